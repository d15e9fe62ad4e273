//! The queue between processes: each item once, in order, whichever process vanishes between any
//! two steps.

use std::sync::Mutex as Log;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_ipc::raw::channel::Channel;
use sync_ipc::raw::queue::{Orphans, Ring, RingError};
use sync_ipc::raw::{LAST_BOUND, Platform, event_count};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step};
use std::sync::Arc;

use crate::support::Tracked;

mod in_place;
mod moments;
mod vanishing;
mod waits;

struct Shared {
    head: AtomicU64,
    tail: AtomicU64,
    cells: Vec<AtomicU64>,
    slots: Vec<AtomicU64>,
    origins: Vec<AtomicU64>,
    items: Vec<Tracked>,
    closed: AtomicU32,
    given_back: AtomicU32,
    drained: AtomicU32,
    event_counts: [AtomicU32; 3],
    /// The items received, and the items for which a send returned: outside the model.
    received: Log<Vec<u32>>,
    sent: Log<Vec<u32>>,
}

impl Shared {
    fn new(capacity: usize) -> Arc<Self> {
        let words = || (0..capacity).map(|_| AtomicU64::new(0)).collect();
        Arc::new(Self {
            head: AtomicU64::new(0),
            tail: AtomicU64::new(0),
            cells: words(),
            slots: words(),
            origins: words(),
            items: (0..capacity).map(|_| Tracked::new(0)).collect(),
            closed: AtomicU32::new(0),
            given_back: AtomicU32::new(0),
            drained: AtomicU32::new(0),
            event_counts: [0; 3].map(AtomicU32::new),
            received: Log::default(),
            sent: Log::default(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring {
            head: &self.head,
            tail: &self.tail,
            cells: &self.cells,
            slots: &self.slots,
            origins: &self.origins,
        }
    }

    fn channel(&self) -> Channel<'_> {
        let [items, room, idle] = &self.event_counts;
        Channel {
            ring: self.ring(),
            orphans: Orphans::Redeliver,
            closed: &self.closed,
            given_back: &self.given_back,
            drained: &self.drained,
            items,
            room,
            idle,
        }
    }

    /// Takes all items and gives them back.
    fn give_all_back(&self, me: &Participant) {
        let claims: Vec<_> = core::iter::from_fn(|| self.ring().take(me).ok()).collect();
        claims.into_iter().for_each(|claim| self.channel().give_back(me, claim));
    }

    fn send(&self, me: &Participant, item: u32) -> Result<(), RingError> {
        let claim = self.ring().claim(me)?;
        self.items[claim.slot].set(item);
        self.ring().commit(me, claim)?;
        self.sent.lock().unwrap().push(item);
        Ok(())
    }

    fn recv(&self, me: &Participant) -> Result<u32, RingError> {
        let claim = self.ring().take(me)?;
        let item = self.items[claim.slot].get();
        // Logged before the acknowledgement: what vanishes between the two is delivered twice,
        // which leases allow and the log shows.
        assert!(self.ring().acknowledge(me, claim));
        self.received.lock().unwrap().push(item);
        Ok(item)
    }

    /// Everything that is there, the dead ones' included.
    fn drain(&self, me: &Participant) -> Vec<u32> {
        let mut items = Vec::new();
        loop {
            match self.recv(me) {
                Ok(item) => items.push(item),
                Err(RingError::Empty) => {
                    match self.ring().sweep(me, Orphans::Redeliver, true).expect("attached").taken {
                        Some(claim) => {
                            items.push(self.items[claim.slot].get());
                            assert!(self.ring().acknowledge(me, claim));
                        }
                        None => return items,
                    }
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }

    /// No slot is lost: as many as the capacity go in and come out.
    fn still_works(&self, me: &Participant) {
        let capacity = self.slots.len() as u32;
        for item in 0..capacity {
            self.send(me, 100 + item).expect("room");
        }
        assert_eq!(self.send(me, 200), Err(RingError::Full));
        assert_eq!(self.drain(me), (100..100 + capacity).collect::<Vec<_>>());
    }
}

model! {
    /// One sends two, the other receives what is there: in order, once each.
    fn sender_and_receiver(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let sends = { let it = it.clone(); move |me: &Participant| {
            it.send(me, 1).expect("room");
            it.send(me, 2).expect("room");
        } };
        let receives = { let it = it.clone(); move |me: &Participant| {
            let _ = it.recv(me);
            let _ = it.recv(me);
        } };
        order.run([
            Participant::new(&world, 1).body(sends),
            Participant::new(&world, 2).body(receives),
        ]);
        it.drain(&Participant::new(&world, 3));
        let mut received = it.received.lock().unwrap().clone();
        assert_eq!(received, [1, 2]);
        received.clear();
    }
}

model! {
    /// Two receivers, one item: one of them has it.
    fn two_receivers(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        it.send(&Participant::new(&world, 3), 7).expect("room");
        order.run([
            Participant::new(&world, 1).body(receives(&it)),
            Participant::new(&world, 2).body(receives(&it)),
        ]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
        it.still_works(&Participant::new(&world, 3));
    }
}

/// A queue with two items in it, and who sent them.
fn with_two(world: &Arc<World>) -> (Arc<Shared>, Participant) {
    let (it, last) = (Shared::new(2), Participant::new(world, 3));
    it.send(&last, 1).expect("room");
    it.send(&last, 2).expect("room");
    (it, last)
}

fn sends(it: &Arc<Shared>, item: u32) -> impl FnOnce(&Participant) + 'static {
    let it = it.clone();
    move |me| it.send(me, item).expect("room")
}

/// Receives what is there, if anything.
fn receives(it: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let it = it.clone();
    move |me| {
        let _ = it.recv(me);
    }
}

model! {
    /// A slot's next item is written after the last one was read: here, when the receiver
    /// acknowledged.
    fn a_slot_is_used_again(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        it.send(&Participant::new(&world, 3), 7).expect("room");
        let sends = { let it = it.clone(); move |me: &Participant| { let _ = it.send(me, 8); } };
        order.run([
            Participant::new(&world, 1).body(receives(&it)),
            Participant::new(&world, 2).body(sends),
        ]);
    }
}

model! {
    /// The same, when the receiver gave it back and another one dealt with it.
    fn a_slot_is_used_again_after_it_was_given_back(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        it.send(&Participant::new(&world, 3), 7).expect("room");
        let gives_back = { let it = it.clone(); move |me: &Participant| {
            let claim = it.ring().take(me).expect("no other thread does");
            assert_eq!(it.items[claim.slot].get(), 7);
            assert!(it.ring().give_back(me, claim));
        } };
        let takes_over = { let it = it.clone(); move |me: &Participant| {
            if let Some(claim) =
                it.ring().sweep(me, Orphans::Redeliver, true).expect("attached").taken
            {
                assert_eq!(it.items[claim.slot].get(), 7);
                it.items[claim.slot].set(9);
                assert!(it.ring().acknowledge(me, claim));
            }
        } };
        order.run([
            Participant::new(&world, 1).body(gives_back),
            Participant::new(&world, 2).body(takes_over),
        ]);
    }
}

model! {
    /// A receiver looks at a reference and is overtaken by 2^32 uses of its slot, the last of which
    /// is being written, or complete and not sent: it takes neither. The words are set to what they
    /// would be then.
    fn a_receiver_that_is_overtaken_takes_nothing_unfinished(order) whole {
        let (world, it) = (World::new(false), Shared::new(1));
        it.send(&Participant::new(&world, 3), 7).expect("room");
        let overtakes = { let it = it.clone(); move |me: &Participant| {
            let Ok(claim) = it.ring().take(me) else { return };
            assert!(it.ring().acknowledge(me, claim));
            // FREE, of the use before number 2^32.
            it.slots[0].store(u64::from(u32::MAX) << 32, Ordering::Release);
            let claim = it.ring().claim(me).expect("no other participant sends");
            assert!(it.ring().abandon(me, claim));
            let claim = it.ring().claim(me).expect("no other participant sends");
            it.items[claim.slot].set(8);
            // Complete, of the sender and with the lower half of the use that the receiver saw.
            it.slots[0].store(2 << 30 | 1, Ordering::Release);
            it.items[claim.slot].set(9);
        } };
        order.run([
            Participant::new(&world, 1).body(receives(&it)),
            Participant::new(&world, 2).body(overtakes),
        ]);
    }
}

model! {
    /// A receiver that knows that an item was sent, and that none was taken, does not find the
    /// queue empty: not even if that sender found another sender's item there which no other
    /// participant knows of.
    fn a_known_item_is_found(order) {
        let (world, it, known) = (World::new(false), Shared::new(2), Arc::new(AtomicU32::new(0)));
        let tells = { let (it, known) = (it.clone(), known.clone()); move |me: &Participant| {
            it.send(me, 2).expect("room");
            known.store(1, Ordering::Release);
        } };
        let asks = { let (it, known) = (it.clone(), known.clone()); move |me: &Participant| {
            if known.load(Ordering::Acquire) == 1 {
                it.recv(me).expect("there is one, or two");
            }
        } };
        order.run([
            Participant::new(&world, 1).body(sends(&it, 1)),
            Participant::new(&world, 2).body(tells),
            Participant::new(&world, 3).body(asks),
        ]);
    }
}

model! {
    /// A thread that finds that nothing is in use any more sees what the receiver did before it
    /// acknowledged.
    fn all_dealt_with_carries_what_was_done(order) {
        let (world, it, done) = (World::new(false), Shared::new(1), Arc::new(Tracked::new(0)));
        it.send(&Participant::new(&world, 3), 7).expect("room");
        let deals = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            let claim = it.ring().take(me).expect("no other thread does");
            done.set(1);
            assert!(it.ring().acknowledge(me, claim));
        } };
        let asks = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            if it.ring().is_idle(me) {
                assert_eq!(done.get(), 1);
            }
        } };
        order
            .run([Participant::new(&world, 1).body(deals), Participant::new(&world, 2).body(asks)]);
    }
}
