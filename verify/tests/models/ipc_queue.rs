//! The queue between processes: each item once, in order, whoever vanishes between any two steps.

use std::sync::Mutex as Log;

use sync_core::primitive::atomic::AtomicU64;
use sync_ipc::raw::ring::{Orphans, Ring, Trouble};

use crate::ipc_peers::{Participant, World, at_any_write, at_every_step};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    head: AtomicU64,
    tail: AtomicU64,
    cells: Vec<AtomicU64>,
    slots: Vec<AtomicU64>,
    items: Vec<Tracked>,
    /// What was received, and what a send returned for: outside the model.
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
            items: (0..capacity).map(|_| Tracked::new(0)).collect(),
            received: Log::default(),
            sent: Log::default(),
        })
    }

    fn ring(&self) -> Ring<'_> {
        Ring { head: &self.head, tail: &self.tail, cells: &self.cells, slots: &self.slots }
    }

    fn send(&self, me: &Participant, item: u32) -> Result<(), Trouble> {
        let claim = self.ring().claim(me)?;
        self.items[claim.slot].set(item);
        self.ring().commit(me, claim)?;
        self.sent.lock().unwrap().push(item);
        Ok(())
    }

    fn recv(&self, me: &Participant) -> Result<u32, Trouble> {
        let claim = self.ring().take(me)?;
        let item = self.items[claim.slot].get();
        // Logged before the acknowledgement: what vanishes between the two is delivered twice, which leases allow and the log shows.
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
                Err(Trouble::Empty) => match self.ring().sweep(me, Orphans::Redeliver, true).expect("attached").taken {
                    Some(claim) => {
                        items.push(self.items[claim.slot].get());
                        assert!(self.ring().acknowledge(me, claim));
                    }
                    None => return items,
                },
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
        assert_eq!(self.send(me, 200), Err(Trouble::Full));
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
        order.run([Participant::new(&world, 1).body(sends), Participant::new(&world, 2).body(receives)]);
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
        let receives = || { let it = it.clone(); move |me: &Participant| { let _ = it.recv(me); } };
        order.run([Participant::new(&world, 1).body(receives()), Participant::new(&world, 2).body(receives())]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
        it.still_works(&Participant::new(&world, 3));
    }
}

/// A sender vanishes anywhere, beside a living sender: what was sent is there, in order, and no slot is lost.
#[test]
fn a_sender_vanishes() {
    at_every_step("a_sender_vanishes", 9, |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        let sends = |item| {
            let it = it.clone();
            move |me: &Participant| it.send(me, item).expect("room")
        };
        order.run([Participant::new(&world, 1).vanishes_after(step).body(sends(1)), Participant::new(&world, 2).body(sends(2))]);
        let last = Participant::new(&world, 3);
        let got = it.drain(&last);
        assert!(got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2, "{got:?}");
        for item in it.sent.lock().unwrap().iter() {
            assert!(got.contains(item), "{item} was sent, and is lost: {got:?}");
        }
        it.still_works(&last);
    });
}

/// A receiver vanishes anywhere, beside a living receiver: nothing is doubled, and nothing lost but what the dead one may have acknowledged.
#[test]
fn a_receiver_vanishes() {
    at_every_step("a_receiver_vanishes", 9, |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        let receives = || {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.recv(me);
            }
        };
        order.run([Participant::new(&world, 1).vanishes_after(step).body(receives()), Participant::new(&world, 2).body(receives())]);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        let mut all = it.received.lock().unwrap().clone();
        let left = it.drain(&last);
        // `drain` logs what it receives in the ordinary way.
        all.extend(left.iter().copied());
        all.sort_unstable();
        all.dedup();
        assert!(all == [1, 2] || all.len() == 1, "{all:?}");
        it.still_works(&last);
    });
}

/// A sender and a receiver, of whom the sender vanishes.
#[test]
fn a_sender_vanishes_beside_a_receiver() {
    at_every_step("a_sender_vanishes_beside_a_receiver", 9, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        let sends = {
            let it = it.clone();
            move |me: &Participant| it.send(me, 1).expect("room")
        };
        let receives = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.recv(me);
            }
        };
        order.run([Participant::new(&world, 1).vanishes_after(step).body(sends), Participant::new(&world, 2).body(receives)]);
        let last = Participant::new(&world, 3);
        it.drain(&last);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        assert!(it.received.lock().unwrap().len() <= 1);
        if !it.sent.lock().unwrap().is_empty() {
            assert_eq!(*it.received.lock().unwrap(), [1]);
        }
        it.still_works(&last);
    });
}

/// Leased by one who may vanish after any write: the other has it, now or by the sweep, once; and no slot is lost.
#[test]
fn a_leaser_may_vanish_after_any_write() {
    at_any_write("ipc_queue, lease", |order| {
        let (world, it) = (World::new(true), Shared::new(1));
        let last = Participant::new(&world, 3);
        it.send(&last, 7).expect("room");
        let leases = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.ring().take(me);
            }
        };
        let sweeps = {
            let it = it.clone();
            move |me: &Participant| {
                let found = it.ring().sweep(me, Orphans::Redeliver, true).expect("attached");
                if let Some(claim) = found.taken {
                    assert_eq!(it.items[claim.slot].get(), 7);
                    assert!(it.ring().give_back(me, claim), "ours until then");
                }
            }
        };
        order.run_with_mortal(Participant::new(&world, 1).mortal(leases), [Participant::new(&world, 2).body(sweeps)]);
        // Either nobody took it, or the leaser lives and holds it, or it is to be had.
        let items = it.drain(&last);
        assert!(items == [7] || (items.is_empty() && it.ring().count(&last).1 == 1), "{items:?}");
    });
}

/// A sender and a receiver who may vanish after any write.
#[test]
fn a_sender_or_a_receiver_may_vanish_after_any_write() {
    at_any_write("ipc_queue, sender", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        let sends = |item| {
            let it = it.clone();
            move |me: &Participant| it.send(me, item).expect("room")
        };
        order.run_with_mortal(Participant::new(&world, 1).mortal(sends(1)), [Participant::new(&world, 2).body(sends(2))]);
        let last = Participant::new(&world, 3);
        let got = it.drain(&last);
        assert!(got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2, "{got:?}");
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        it.still_works(&last);
    });
    at_any_write("ipc_queue, receiver", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        let receives = || {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.recv(me);
            }
        };
        order.run_with_mortal(Participant::new(&world, 1).mortal(receives()), [Participant::new(&world, 2).body(receives())]);
        let left = it.drain(&last);
        assert!(left.len() <= 2, "{left:?}");
        it.still_works(&last);
    });
}
