//! The queue between processes: each item once, in order, whichever process vanishes between any
//! two steps.

use std::sync::Mutex as Log;

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_ipc::raw::channel::Channel;
use sync_ipc::raw::queue::{Orphans, Ring, RingError};
use sync_ipc::raw::{LAST_BOUND, Peers, event_count};

use crate::ipc_peers::{Participant, World, at_any_write, at_every_step};
use std::sync::Arc;

use crate::support::Tracked;

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

/// A sender vanishes anywhere, next to a living sender: what was sent is there, in order, and no
/// slot is lost.
#[test]
fn a_sender_vanishes() {
    at_every_step("a_sender_vanishes", 11, |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(sends(&it, 1)),
            Participant::new(&world, 2).body(sends(&it, 2)),
        ]);
        let last = Participant::new(&world, 3);
        // A sent item is not swept away, though its sender is dead.
        let waiting = it.ring().len(&last);
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        let got = it.drain(&last);
        assert_eq!(got.len(), waiting, "{got:?}");
        assert!(
            got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2,
            "{got:?}"
        );
        for item in it.sent.lock().unwrap().iter() {
            assert!(got.contains(item), "{item} was sent, and is lost: {got:?}");
        }
        it.still_works(&last);
    });
}

/// A receiver vanishes anywhere, next to a living receiver: nothing is doubled, and nothing lost
/// but what the dead one may have acknowledged.
#[test]
fn a_receiver_vanishes() {
    at_every_step("a_receiver_vanishes", 9, |order, step| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(receives(&it)),
            Participant::new(&world, 2).body(receives(&it)),
        ]);
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

/// A sender and a receiver. The sender vanishes.
#[test]
fn a_sender_vanishes_beside_a_receiver() {
    at_every_step("a_sender_vanishes_beside_a_receiver", 11, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(sends(&it, 1)),
            Participant::new(&world, 2).body(receives(&it)),
        ]);
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

/// Leased by one who may vanish after any write: the other has it, now or by the sweep, once; and
/// no slot is lost.
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
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(leases),
            [Participant::new(&world, 2).body(sweeps)],
        );
        // Either no receiver took it, or the leaser lives and holds it, or it is available.
        let items = it.drain(&last);
        assert!(items == [7] || (items.is_empty() && it.ring().in_use(&last) == 1), "{items:?}");
    });
}

/// A sender and a receiver who may vanish after any write.
#[test]
fn a_sender_or_a_receiver_may_vanish_after_any_write() {
    at_any_write("ipc_queue, sender", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(sends(&it, 1)),
            [Participant::new(&world, 2).body(sends(&it, 2))],
        );
        let last = Participant::new(&world, 3);
        let got = it.drain(&last);
        assert!(
            got.contains(&2) && got.iter().all(|item| [1, 2].contains(item)) && got.len() <= 2,
            "{got:?}"
        );
        it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
        it.still_works(&last);
    });
    at_any_write("ipc_queue, receiver", |order| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(receives(&it)),
            [Participant::new(&world, 2).body(receives(&it))],
        );
        let left = it.drain(&last);
        assert!(left.len() <= 2, "{left:?}");
        it.still_works(&last);
    });
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
            let claim = it.ring().take(me).expect("nobody else does");
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
            let claim = it.ring().take(me).expect("nobody else does");
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

/// The slot of a dead participant is freed by one, and used by another: nothing of it is written
/// any more. A sender that had begun, and a receiver.
#[test]
fn what_is_freed_is_used_by_another() {
    for steps in 0..9 {
        for receiver in [false, true] {
            at_any_write(
                &format!("ipc_queue, freed, receiver: {receiver}, after {steps}"),
                move |order| {
                    let (world, it) = (World::new(true), Shared::new(1));
                    let last = Participant::new(&world, 3);
                    if receiver {
                        it.send(&last, 7).expect("room");
                    }
                    let dies = {
                        let it = it.clone();
                        move |me: &Participant| {
                            if receiver {
                                let claim = it.ring().take(me).expect("nobody else does");
                                assert_eq!(it.items[claim.slot].get(), 7);
                                let _ = it.ring().take(me);
                            } else {
                                let Ok(claim) = it.ring().claim(me) else { return };
                                it.items[claim.slot].set(7);
                                let _ = it.ring().take(me);
                            }
                        }
                    };
                    let frees = {
                        let it = it.clone();
                        move |me: &Participant| {
                            it.ring().sweep(me, Orphans::Drop, false).expect("attached");
                        }
                    };
                    let uses = {
                        let it = it.clone();
                        move |me: &Participant| {
                            if let Ok(claim) = it.ring().claim(me) {
                                it.items[claim.slot].set(8);
                            }
                        }
                    };
                    order.run([
                        Participant::new(&world, 1).vanishes_after(steps).body(dies),
                        Participant::new(&world, 2).body(frees),
                        last.body(uses),
                    ]);
                },
            );
        }
    }
}

model! {
    /// Work moves behind the walk over the slots: a worker puts its follow-up into the slot that
    /// was looked at, and then finishes the task in the slot that was not. There is no moment
    /// without unfinished work.
    fn idle_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        // Slot 0 is free, the tail is at it, and slot 1 has the task.
        it.recv(&last).expect("the first");
        let works = { let it = it.clone(); move |me: &Participant| {
            let task = it.ring().take(me).expect("nobody else does");
            it.send(me, 3).expect("room");
            assert!(it.ring().acknowledge(me, task));
        } };
        let joins = { let it = it.clone(); move |me: &Participant| {
            assert!(!it.ring().is_idle(me), "there is unfinished work");
        } };
        order.run([
            Participant::new(&world, 1).body(works),
            Participant::new(&world, 2).body(joins),
        ]);
    }
}

model! {
    /// Room moves behind the walk over the slots: the slot that was looked at is freed, and then
    /// the one that was not is claimed. There is no moment without room.
    fn full_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let [moves, sends] = [1, 2].map(|who| Participant::new(&world, who));
        it.send(&moves, 1).expect("room");
        it.send(&moves, 2).expect("room");
        let [leased, done] = [0, 1].map(|_| it.ring().take(&moves).expect("two items"));
        assert_eq!((leased.slot, done.slot), (0, 1));
        assert!(it.ring().acknowledge(&moves, done));
        let moves = moves.body({ let it = it.clone(); move |me: &Participant| {
            assert!(it.ring().acknowledge(me, leased));
            // The last step of a claim that looked at slot 0 before that.
            let free = it.slots[1].load(Ordering::Acquire);
            let claimed = free | 1 << 30 | u64::from(me.me());
            let _ =
                it.slots[1].compare_exchange(free, claimed, Ordering::AcqRel, Ordering::Relaxed);
        } });
        let sends = sends.body({ let it = it.clone(); move |me: &Participant| {
            it.ring().claim(me).expect("there is room");
        } });
        order.run([moves, sends]);
    }
}

model! {
    /// Two items were given back, and two receivers look: neither is told that there is none,
    /// though the first of them is still looking for more.
    fn what_was_given_back_is_seen_by_both(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        it.give_all_back(&last);
        let receives = [1, 2].map(|who| {
            let it = it.clone();
            Participant::new(&world, who).body(move |me: &Participant| {
                it.channel().start_recv(me, false, false).expect("one for each");
            })
        });
        order.run(receives);
    }
}

model! {
    /// An item goes round: given back while another receiver looks for one.
    fn empty_is_true_of_one_moment(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        it.send(&last, 1).expect("room");
        it.send(&last, 2).expect("room");
        let claims = [0, 1].map(|_| it.ring().take(&last).expect("two items"));
        it.channel().give_back(&last, claims[0]);
        // Gives one back, and then takes the other one: there is one at every moment.
        let moves = { let it = it.clone(); last.body(move |me: &Participant| {
            it.channel().give_back(me, claims[1]);
            let _ = it.channel().start_recv(me, false, false);
        }) };
        let receives = { let it = it.clone(); move |me: &Participant| {
            it.channel().start_recv(me, false, false).expect("there is one");
        } };
        order.run([moves, Participant::new(&world, 2).body(receives)]);
    }
}

model! {
    /// One item goes round, another one comes and goes: there is one at every moment, now in the
    /// ring, now given back.
    fn empty_is_true_of_one_moment_while_items_move(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let moves = Participant::new(&world, 1);
        it.send(&moves, 1).expect("room");
        it.give_all_back(&moves);
        let moves = moves.body({ let it = it.clone(); move |me: &Participant| {
            it.send(me, 2).expect("room");
            if let Some(claim) = it.channel().sweep(me, true).expect("attached") {
                it.channel().give_back(me, claim);
                let _ = it.ring().take(me);
            }
        } });
        let receives = { let it = it.clone(); move |me: &Participant| {
            it.channel().start_recv(me, false, false).expect("there is one");
        } };
        order.run([moves, Participant::new(&world, 2).body(receives)]);
    }
}

model! {
    /// One watches for an item and leaves it, another receives it, and both sleep without bounds: a
    /// wake that the watcher gets goes on to the receiver.
    fn a_watcher_leaves_the_item_to_a_receiver(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let gone = Arc::new(AtomicU32::new(0));
        let watches = { let (it, gone) = (it.clone(), gone.clone()); move |me: &Participant| {
            let (waiters, mut announced) = (&it.event_counts[0], None);
            while let Err(value) = event_count::watch(waiters, me, &mut announced, false, |_| {
                // Once the item is taken, there is nothing to see for the watcher.
                let gone = gone.load(Ordering::Acquire) == 1;
                (gone || it.channel().is_ready(me, false, false)).then_some(())
            }) {
                me.sleep(waiters, value, LAST_BOUND, None);
            }
        } };
        let receives = { let (it, gone) = (it.clone(), gone.clone()); move |me: &Participant| {
            let claim = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                it.channel().start_recv(me, false, false).ok()
            });
            let claim = claim.expect("there is one");
            it.received.lock().unwrap().push(it.items[claim.slot].get());
            // For the watcher, which may sleep.
            gone.swap(1, Ordering::Release);
            event_count::pass_on(&it.event_counts[0], me);
        } };
        let sends = { let it = it.clone(); move |me: &Participant| {
            it.send(me, 7).expect("room");
            event_count::notify(&it.event_counts[0], me, 1);
        } };
        order.run([
            Participant::new(&world, 1).body(watches),
            Participant::new(&world, 2).body(receives),
            Participant::new(&world, 3).body(sends),
        ]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
    }
}

model! {
    /// A watcher sleeps once and ends, with or without the wake: the receiver, which sleeps without
    /// bounds, gets it.
    fn a_watcher_that_ends_passes_its_wake_on(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let watches = { let it = it.clone(); move |me: &Participant| {
            let (waiters, mut announced) = (&it.event_counts[0], None);
            let is_ready = |_| it.channel().is_ready(me, false, false).then_some(());
            if let Err(value) = event_count::watch(waiters, me, &mut announced, false, is_ready) {
                me.sleep(waiters, value, LAST_BOUND, Deadline::after(LAST_BOUND));
                event_count::unwatch(waiters, me, &mut announced);
            }
        } };
        let receives = { let it = it.clone(); move |me: &Participant| {
            let claim = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                it.channel().start_recv(me, false, false).ok()
            });
            it.received.lock().unwrap().push(it.items[claim.expect("there is one").slot].get());
        } };
        let sends = { let it = it.clone(); move |me: &Participant| {
            it.send(me, 7).expect("room");
            event_count::notify(&it.event_counts[0], me, 1);
        } };
        order.run([
            Participant::new(&world, 1).body(watches),
            Participant::new(&world, 2).body(receives),
            Participant::new(&world, 3).body(sends),
        ]);
        assert_eq!(*it.received.lock().unwrap(), [7]);
    }
}

model! {
    /// A receiver of a closed queue is told so only when no send can succeed any more.
    fn closed_is_final(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        let told = Arc::new(AtomicU32::new(0));
        let sends = { let it = it.clone(); move |me: &Participant| {
            if let Ok(claim) = it.channel().start_send(me) {
                it.ring().commit(me, claim).expect("honest");
                it.sent.lock().unwrap().push(1);
            }
        } };
        let closes = { let it = it.clone(); move |me: &Participant| it.channel().close(me) };
        let receives = { let (it, told) = (it.clone(), told.clone()); move |me: &Participant| {
            match it.channel().start_recv(me, false, false) {
                Ok(_) => it.received.lock().unwrap().push(1),
                Err(RingError::Closed) => told.store(1, Ordering::Relaxed),
                Err(RingError::Empty) => {}
                Err(other) => panic!("{other:?}"),
            }
        } };
        order.run([
            Participant::new(&world, 1).body(sends),
            Participant::new(&world, 2).body(closes),
            Participant::new(&world, 3).body(receives),
        ]);
        if told.load(Ordering::Relaxed) == 1 {
            assert_eq!(*it.sent.lock().unwrap(), *it.received.lock().unwrap(), "an item came \
                after the end");
        }
    }
}

model! {
    /// A receiver of a closed queue is not told so while an item on lease may come back, and is
    /// woken when it does not.
    fn closed_waits_for_leases(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let holder = Participant::new(&world, 1);
        it.send(&holder, 7).expect("room");
        let lease = it.ring().take(&holder).expect("an item");
        it.channel().close(&holder);
        let done = Arc::new(AtomicU32::new(0));
        let ends = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            done.store(1, Ordering::Relaxed);
            assert!(it.ring().acknowledge(me, lease));
            me.fence_after_change();
            it.channel().notify_closed(me);
        } };
        let receives = { let (it, done) = (it.clone(), done.clone()); move |me: &Participant| {
            let told = event_count::wait_until(&it.event_counts[0], me, None, |_| {
                match it.channel().start_recv(me, false, false) {
                    Err(RingError::Empty) => None,
                    other => Some(other),
                }
            });
            assert_eq!(told, Some(Err(RingError::Closed)));
            assert_eq!(done.load(Ordering::Relaxed), 1, "not before the lease ended");
        } };
        order.run([holder.body(ends), Participant::new(&world, 2).body(receives)]);
    }
}

/// A sender vanishes anywhere while the queue is closed: what it sent is received, and then the
/// queue is over.
#[test]
fn a_sender_of_a_closing_queue_vanishes() {
    at_any_write("ipc_queue, closing", |order| {
        let (world, it) = (World::new(true), Shared::new(1));
        let sends = {
            let it = it.clone();
            move |me: &Participant| {
                if let Ok(claim) = it.channel().start_send(me) {
                    it.ring().commit(me, claim).expect("honest");
                }
            }
        };
        let closes = {
            let it = it.clone();
            move |me: &Participant| it.channel().close(me)
        };
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(sends),
            [Participant::new(&world, 2).body(closes)],
        );
        let last = Participant::new(&world, 3);
        if let Ok(claim) = it.channel().start_recv(&last, true, false) {
            assert!(it.ring().acknowledge(&last, claim));
        }
        assert_eq!(it.channel().start_recv(&last, true, false), Err(RingError::Closed));
    });
}

model! {
    /// A receiver looks at a reference and is overtaken by 2^32 uses of its slot, the last of which
    /// is being written, or complete and not sent: it takes neither. The words are set to what they
    /// would be then.
    fn a_receiver_that_is_overtaken_takes_nothing_unfinished(order) {
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

/// A receiver vanishes anywhere between taking an item and emptying its cell: when its slot is free
/// again, no cell refers to it.
#[test]
fn a_freed_slot_is_referred_to_by_no_cell() {
    at_any_write("ipc_queue, cell of a dead receiver", |order| {
        let world = World::new(true);
        let (it, last) = with_two(&world);
        let takes = {
            let it = it.clone();
            move |me: &Participant| {
                let _ = it.ring().take(me);
            }
        };
        let sweeps = {
            let it = it.clone();
            move |me: &Participant| {
                it.ring().sweep(me, Orphans::Drop, false).expect("attached");
            }
        };
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(takes),
            [Participant::new(&world, 2).body(sweeps)],
        );
        it.ring().sweep(&last, Orphans::Drop, false).expect("attached");
        for cell in &it.cells {
            let cell = cell.load(Ordering::Relaxed);
            // Of two slots: one bit for the slot, and then the bit of a full cell.
            let full = cell & 2 != 0;
            let slot = it.slots[(cell & 1) as usize].load(Ordering::Relaxed);
            assert!(!full || (slot >> 30) & 3 != 0, "{cell:#x} refers to {slot:#x}");
        }
    });
}

/// The ring of messages of different lengths: a length and the bytes, which belong together. And
/// the ring of items in place: a loan is written, and a lease is read, while others send and
/// receive.
mod parts {
    use super::*;

    /// The places of two messages, each with its length.
    struct Messages {
        ring: Arc<Shared>,
        lengths: [Tracked; 2],
    }

    impl Messages {
        fn new(slots: usize) -> Arc<Self> {
            let lengths = [Tracked::new(0), Tracked::new(0)];
            Arc::new(Self { ring: Shared::new(slots), lengths })
        }

        /// As `ByteQueue` does: the length, the bytes, the commit.
        fn send(&self, me: &Participant, message: u32) -> Result<(), RingError> {
            let claim = self.ring.ring().claim(me)?;
            self.lengths[claim.slot].set(message);
            me.at(&());
            self.ring.items[claim.slot].set(message);
            self.ring.ring().commit(me, claim)
        }

        /// As `ByteQueue` does: the length, the bytes, the acknowledgement.
        fn recv(&self, me: &Participant, look: bool) -> Result<u32, RingError> {
            let claim = self.ring.channel().start_recv(me, look, false)?;
            let len = self.lengths[claim.slot].get();
            me.at(&());
            let message = self.ring.items[claim.slot].get();
            assert_eq!(message, len, "the bytes of one message, the length of another");
            self.ring.ring().acknowledge(me, claim);
            Ok(message)
        }
    }

    model! {
        /// Two send messages of different lengths and one receives, twice.
        fn a_message_has_its_own_length(order) small {
            let (world, it) = (World::new(false), Messages::new(1));
            let sends = |message| { let it = it.clone(); move |me: &Participant| {
                let _ = it.send(me, message);
            } };
            let receives = { let it = it.clone(); move |me: &Participant| {
                let _ = it.recv(me, false);
                let _ = it.recv(me, false);
            } };
            order.run([
                Participant::new(&world, 1).body(sends(5)),
                Participant::new(&world, 2).body(sends(6)),
                Participant::new(&world, 3).body(receives),
            ]);
        }
    }

    /// A sender vanishes anywhere between claiming, the length, the bytes and the commit, next to a
    /// sender and a receiver.
    #[test]
    fn a_sender_of_a_message_vanishes() {
        at_every_step("ipc_queue, message", 12, |order, step| {
            let (world, it) = (World::new(true), Messages::new(1));
            let dies = {
                let it = it.clone();
                move |me: &Participant| {
                    let _ = it.send(me, 5);
                }
            };
            let both = {
                let it = it.clone();
                move |me: &Participant| {
                    let _ = it.recv(me, false);
                    let _ = it.send(me, 6);
                }
            };
            order.run([
                Participant::new(&world, 1).vanishes_after(step).body(dies),
                Participant::new(&world, 2).body(both),
            ]);
            let last = Participant::new(&world, 3);
            while it.recv(&last, true).is_ok() {}
            it.ring.still_works(&last);
        });
    }

    /// A receiver vanishes anywhere between taking, the length, the bytes and the acknowledgement:
    /// the message is redelivered whole, or was acknowledged.
    #[test]
    fn a_receiver_of_a_message_vanishes() {
        at_every_step("ipc_queue, message received", 12, |order, step| {
            let (world, it) = (World::new(true), Messages::new(1));
            it.send(&Participant::new(&world, 3), 5).expect("room");
            let dies = {
                let it = it.clone();
                move |me: &Participant| {
                    let _ = it.recv(me, false);
                }
            };
            let sends = {
                let it = it.clone();
                move |me: &Participant| {
                    let _ = it.send(me, 6);
                }
            };
            order.run([
                Participant::new(&world, 1).vanishes_after(step).body(dies),
                Participant::new(&world, 2).body(sends),
            ]);
            let last = Participant::new(&world, 4);
            let mut got = Vec::new();
            while let Ok(message) = it.recv(&last, true) {
                got.push(message);
            }
            assert!(got.len() <= 1 && got.iter().all(|one| [5, 6].contains(one)), "{got:?}");
            it.ring.still_works(&last);
        });
    }

    model! {
        /// One writes in a loan, another reads in a lease, a third takes what room there is: no
        /// place is written while it is read, and none is two loans. (A `Tracked` reports accesses
        /// that race.)
        fn loans_and_leases_in_place_exclude_each_other(order) small {
            let (world, it) = (World::new(false), Shared::new(2));
            it.send(&Participant::new(&world, 4), 7).expect("room");
            let lends = |item| { let it = it.clone(); move |me: &Participant| {
                let Ok(claim) = it.ring().claim(me) else { return };
                it.items[claim.slot].set(item);
                assert_eq!(it.items[claim.slot].get(), item);
                it.items[claim.slot].set(item + 1);
                if item == 20 {
                    // A loan that is dropped.
                    assert!(it.ring().abandon(me, claim));
                } else {
                    it.ring().commit(me, claim).expect("honest");
                }
            } };
            let leases = { let it = it.clone(); move |me: &Participant| {
                let Ok(claim) = it.ring().take(me) else { return };
                let item = it.items[claim.slot].get();
                assert!([7, 11].contains(&item), "{item}");
                assert_eq!(it.items[claim.slot].get(), item, "it changed while it was read");
                assert!(it.ring().acknowledge(me, claim));
            } };
            order.run([
                Participant::new(&world, 1).body(lends(10)),
                Participant::new(&world, 2).body(lends(20)),
                Participant::new(&world, 3).body(leases),
            ]);
        }
    }

    /// The holder of a loan vanishes anywhere while it writes in place: its place is given to
    /// another loan only afterwards, and what it wrote is not received.
    #[test]
    fn the_holder_of_a_loan_vanishes() {
        at_every_step("ipc_queue, loan", 12, |order, step| {
            let (world, it) = (World::new(true), Shared::new(1));
            let dies = {
                let it = it.clone();
                move |me: &Participant| {
                    let Ok(claim) = it.ring().claim(me) else { return };
                    it.items[claim.slot].set(10);
                    me.at(&());
                    it.items[claim.slot].set(11);
                    let _ = it.ring().commit(me, claim);
                }
            };
            let takes_over = {
                let it = it.clone();
                move |me: &Participant| {
                    it.ring().sweep(me, Orphans::Redeliver, false).expect("attached");
                    if let Ok(claim) = it.ring().claim(me) {
                        it.items[claim.slot].set(20);
                        it.ring().commit(me, claim).expect("honest");
                    }
                }
            };
            order.run([
                Participant::new(&world, 1).vanishes_after(step).body(dies),
                Participant::new(&world, 2).body(takes_over),
            ]);
            let last = Participant::new(&world, 3);
            let got = it.drain(&last);
            assert!(got.len() <= 1 && got.iter().all(|item| [11, 20].contains(item)), "{got:?}");
            it.ring().sweep(&last, Orphans::Redeliver, false).expect("attached");
            it.still_works(&last);
        });
    }

    /// The holder of a lease in place vanishes while it reads, and its successor in the middle of
    /// taking it over; the third reads the item, whole.
    #[test]
    fn two_holders_of_a_lease_vanish() {
        at_every_step("ipc_queue, lease in place", 12, |order, step| {
            let (world, it) = (World::new(true), Shared::new(1));
            let first = Participant::new(&world, 1);
            it.send(&first, 7).expect("room");
            it.ring().take(&first).expect("an item");
            first.vanishes_after(0).body(|me: &Participant| {
                let _ = me.at(&());
            })();
            let reads = |it: &Shared, me: &Participant| {
                let found = it.ring().sweep(me, Orphans::Redeliver, true).expect("attached");
                if let Some(claim) = found.taken {
                    assert_eq!(it.items[claim.slot].get(), 7);
                    me.at(&());
                    assert_eq!(it.items[claim.slot].get(), 7);
                    it.ring().give_back(me, claim);
                }
            };
            let bodies = [2, 3].map(|who| {
                let it = it.clone();
                let reader = Participant::new(&world, who);
                let reader = if who == 2 { reader.vanishes_after(step) } else { reader };
                reader.body(move |me: &Participant| reads(&it, me))
            });
            order.run(bodies);
            let last = Participant::new(&world, 4);
            assert_eq!(it.drain(&last), [7]);
            it.still_works(&last);
        });
    }
}
