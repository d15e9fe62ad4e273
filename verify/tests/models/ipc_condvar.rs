//! Waiters by name: a notification wakes exactly one, and none is lost to a timeout or a death.

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_ipc::raw::condvar::Waitlist;

use sync_ipc::raw::mutex::{self, Locked};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step, soon};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    next: AtomicU64,
    slots: Vec<AtomicU32>,
    tickets: Vec<AtomicU64>,
}

impl Shared {
    fn new(waiters: usize) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(0),
            slots: (0..waiters).map(|_| AtomicU32::new(0)).collect(),
            tickets: (0..waiters).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn list(&self) -> Waitlist<'_> {
        Waitlist { next: &self.next, slots: &self.slots, tickets: &self.tickets }
    }
}

/// A notifier that keeps on until it has notified one.
fn notifies(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| assert_eq!(shared.list().notify(me, 1), 1)
}

/// Waits in a cell it was enrolled in before.
fn waits(shared: &Arc<Shared>, at: usize) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| assert!(shared.list().wait(me, at, None, || ()).0)
}

model! {
    /// Two wait, two notify one each: both wake (the sleeps are unbounded here), and nothing is
    /// left.
    fn two_notifications_for_two(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let waiters = [1, 2].map(|who| {
            let waiter = Participant::new(&world, who);
            let at = it.list().enrol(&waiter).expect("a cell");
            waiter.body(waits(&it, at))
        });
        let [one, two] = waiters;
        order.run([one, two, Participant::new(&world, 3).body({
            let it = it.clone();
            move |me| {
                assert_eq!(it.list().notify(me, 1), 1);
                assert_eq!(it.list().notify(me, 1), 1);
                assert_eq!(it.list().notify(me, 1), 0, "no participant waits any more");
            }
        })]);
    }
}

/// Two wait, one notification, and one of the two vanishes anywhere in its wait: the other has the
/// notification, or it is still to be had.
#[test]
fn a_notified_waiter_vanishes() {
    at_every_step("a_notified_waiter_vanishes", 8, |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        let first = Participant::new(&world, 1);
        let at = it.list().enrol(&first).expect("a cell");
        let dies = first.vanishes_after(step).body(waits(&it, at));
        let second = Participant::new(&world, 2);
        let other = it.list().enrol(&second).expect("a cell");
        let notifier = Participant::new(&world, 3).body(notifies(&it));
        order.run([dies, notifier]);
        // The one that waited longest was notified. If it died before it saw that, the second
        // inherits at its next bound.
        let list = it.list();
        let seen = it.slots[at].load(Ordering::Relaxed);
        if seen != 0 {
            assert!(list.wait(&second, other, None, || ()).0, "inherited");
        }
    });
}

/// The same under the checker's own deaths; and the notifier's.
#[test]
fn a_waiter_or_a_notifier_may_vanish_after_any_write() {
    at_any_write("ipc_condvar, waiter", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        let [first, second] = [1, 2].map(|who| Participant::new(&world, who));
        let at = it.list().enrol(&first).expect("a cell");
        let other = it.list().enrol(&second).expect("a cell");
        order.run_with_mortal(
            first.mortal(waits(&it, at)),
            [Participant::new(&world, 3).body(notifies(&it))],
        );
        let seen = it.slots[at].load(Ordering::Relaxed);
        if seen != 0 {
            assert!(it.list().wait(&second, other, None, || ()).0, "inherited");
        }
    });
    at_any_write("ipc_condvar, notifier", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        let waiter = Participant::new(&world, 1);
        let at = it.list().enrol(&waiter).expect("a cell");
        let dies = {
            let it = it.clone();
            move |me: &Participant| {
                it.list().notify(me, 1);
            }
        };
        let another = {
            let it = it.clone();
            move |me: &Participant| {
                it.list().notify(me, 1);
            }
        };
        order.run_with_mortal(
            Participant::new(&world, 2).mortal(dies),
            [waiter.body(waits(&it, at)), Participant::new(&world, 3).body(another)],
        );
    });
}

/// A new waiter may find the cell of a dead waiter, notified or not: the notification goes to
/// another else.
#[test]
fn the_heir_of_a_cell() {
    at_any_write("ipc_condvar, heir", |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        let [first, second] = [1, 2].map(|who| Participant::new(&world, who));
        let at = it.list().enrol(&first).expect("a cell");
        let enrols = {
            let it = it.clone();
            move |me: &Participant| {
                it.list().enrol(me);
            }
        };
        order.run_with_mortal(
            first.mortal(waits(&it, at)),
            [Participant::new(&world, 3).body(notifies(&it)), second.body(enrols)],
        );
    });
}

model! {
    /// The notified waiter dies before it saw that, and a new waiter gets its cell: the
    /// notification goes on to the one that still waits.
    fn the_notification_of_a_dead_cell(_order) {
        let (world, it) = (World::new(true), Shared::new(2));
        let [first, second, third] = [1, 2, 3].map(|who| Participant::new(&world, who));
        let at = it.list().enrol(&first).expect("a cell");
        let other = it.list().enrol(&second).expect("a cell");
        assert_eq!(it.list().notify(&third, 1), 1);
        first.vanishes_after(0).body(waits(&it, at))();
        assert_eq!(it.list().enrol(&third), Some(at), "the cell of the dead");
        assert!(it.list().wait(&second, other, soon(), || ()).0, "passed on");
    }
}

model! {
    /// A write before the notification is seen after the wait, however it ends.
    fn a_notification_carries_what_was_written(order) small {
        let (world, it, data) = (World::new(false), Shared::new(1), Arc::new(Tracked::new(0)));
        let waiter = Participant::new(&world, 1);
        let at = it.list().enrol(&waiter).expect("a cell");
        let waits = { let (it, data) = (it.clone(), data.clone()); move |me: &Participant| {
            assert!(it.list().wait(me, at, None, || ()).0);
            assert_eq!(data.get(), 3);
        } };
        let notifies = { let (it, data) = (it.clone(), data.clone()); move |me: &Participant| {
            data.set(3);
            assert_eq!(it.list().notify(me, 1), 1);
        } };
        order.run([waiter.body(waits), Participant::new(&world, 2).body(notifies)]);
    }
}

model! {
    /// A waiter that runs out of time at any moment next to another: one notification wakes one,
    /// and is not lost.
    fn one_runs_out_of_time(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let [late, other] = [1, 2].map(|who| Participant::new(&world, who));
        let [first, second] =
            [&late, &other].map(|waiter| it.list().enrol(waiter).expect("a cell"));
        let runs_out = { let it = it.clone(); move |me: &Participant| {
            // Notified at the last moment, it would say so; then the other has to be notified by a
            // third participant.
            if it.list().wait(me, first, soon(), || ()).0 {
                assert_eq!(it.list().notify(me, 1), 1);
            }
        } };
        order.run([
            late.body(runs_out),
            other.body(waits(&it, second)),
            Participant::new(&world, 3).body(notifies(&it)),
        ]);
    }
}

model! {
    /// A waiter leaves, notified or not, and another comes into the same cell: the ticket there is
    /// the last comer's.
    fn the_ticket_is_the_last_comers(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let comes = { let it = it.clone(); move |me: &Participant| {
            if let Some(at) = it.list().enrol(me) {
                it.list().wait(me, at, soon(), || ());
            }
        } };
        let stays = { let it = it.clone(); move |me: &Participant| { it.list().enrol(me); } };
        let notifies = {
            let it = it.clone();
            move |me: &Participant| {
                it.list().notify(me, 1);
            }
        };
        order.run([
            Participant::new(&world, 1).body(comes),
            Participant::new(&world, 2).body(stays),
            Participant::new(&world, 3).body(notifies),
        ]);
        let (cell, ticket) =
            (it.slots[0].load(Ordering::Relaxed), it.tickets[0].load(Ordering::Relaxed));
        assert!(cell == 0 || ticket + 1 == it.next.load(Ordering::Relaxed), "{cell}: {ticket}");
    }
}

model! {
    /// A waiter that is seen is seen with its ticket: a newcomer in an old cell is not notified
    /// before one that came earlier.
    fn the_first_waiter_is_notified_first(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let [left, first] = [3, 1].map(|who| Participant::new(&world, who));
        let [old, mine] = [&left, &first].map(|waiter| it.list().enrol(waiter).expect("a cell"));
        assert_eq!(it.list().notify(&left, 1), 1);
        assert!(it.list().wait(&left, old, None, || ()).0, "it came first");
        let comes = { let it = it.clone(); move |me: &Participant| { it.list().enrol(me); } };
        order.run([Participant::new(&world, 2).body(comes), left.body(notifies(&it))]);
        assert!(it.list().wait(&first, mine, soon(), || ()).0, "it came before the newcomer");
    }
}

/// The notified one was dead already: its heir sees what was written before the notification.
#[test]
fn an_inherited_notification_carries_what_was_written() {
    at_any_write("ipc_condvar, carries", |order| {
        let (world, it, data) = (World::new(true), Shared::new(2), Arc::new(Tracked::new(0)));
        let [dead, heir] = [1, 2].map(|who| Participant::new(&world, who));
        it.list().enrol(&dead).expect("a cell");
        dead.vanishes_after(0).body({
            let it = it.clone();
            move |me| {
                it.list().wait(me, 0, None, || ());
            }
        })();
        let at = it.list().enrol(&heir).expect("a cell");
        let waits = {
            let (it, data) = (it.clone(), data.clone());
            move |me: &Participant| {
                // Not forever: under a checker, the bound may end again and again before the
                // notifier runs.
                if it.list().wait(me, at, soon(), || ()).0 {
                    assert_eq!(data.get(), 3);
                }
            }
        };
        let notifies = {
            let (it, data) = (it.clone(), data.clone());
            move |me: &Participant| {
                data.set(3);
                it.list().notify(me, 1);
            }
        };
        order.run([heir.body(waits), Participant::new(&world, 3).body(notifies)]);
    });
}

/// A waiter list with the lock that its waiters take again, and how many of them held it again.
struct Locking {
    list: Arc<Shared>,
    lock: AtomicU32,
    held_again: AtomicU32,
}

impl Locking {
    /// Two enrolled waiters, 1 and 2; participant 4 notified one of them and still holds the lock.
    fn with_one_notified(world: &Arc<World>) -> (Arc<Self>, [Participant; 3]) {
        let list = Shared::new(2);
        let it = Arc::new(Self { list, lock: AtomicU32::new(0), held_again: AtomicU32::new(0) });
        let [first, second, notifier] = [1, 2, 4].map(|who| Participant::new(world, who));
        for (at, waiter) in [&first, &second].into_iter().enumerate() {
            assert_eq!(it.list.list().enrol(waiter), Some(at));
        }
        mutex::lock(&it.lock, &notifier, None).expect("free");
        assert_eq!(it.list.list().notify(&notifier, 1), 1);
        (it, [first, second, notifier])
    }

    /// Waits in a slot, and takes the lock again, as the condition variable does.
    fn wait(&self, me: &Participant, at: usize, deadline: Option<Deadline>) -> bool {
        let (notified, ()) = self.list.list().wait(me, at, deadline, || {
            let locked = mutex::lock(&self.lock, me, None).expect("recoverable");
            self.held_again.fetch_add(1, Ordering::Relaxed);
            if locked == Locked::OwnerDied {
                mutex::mark_consistent(&self.lock, me);
            }
        });
        mutex::unlock(&self.lock, me);
        notified
    }

    fn waits(self: &Arc<Self>, at: usize) -> impl FnOnce(&Participant) + 'static {
        let it = self.clone();
        move |me| {
            it.wait(me, at, None);
        }
    }

    fn unlocks(self: &Arc<Self>) -> impl FnOnce(&Participant) + 'static {
        let it = self.clone();
        move |me| mutex::unlock(&it.lock, me)
    }

    /// The notification reached a waiter that held the lock again, or reaches the last waiter now.
    fn is_not_lost(&self, last: &Participant, at: usize) {
        if self.held_again.load(Ordering::Relaxed) == 0 {
            assert!(self.wait(last, at, soon()), "the notification is lost with the dead");
        }
    }
}

/// A notified waiter dies anywhere in its wait, also while it waits for the lock that the notifier
/// still holds: another waiter has the notification.
#[test]
fn a_notified_waiter_vanishes_before_it_has_the_lock_again() {
    at_any_write("ipc_condvar, before the lock", |order| {
        let world = World::new(true);
        let (it, [first, second, notifier]) = Locking::with_one_notified(&world);
        order.run_with_mortal(first.mortal(it.waits(0)), [notifier.body(it.unlocks())]);
        it.is_not_lost(&second, 1);
    });
}

/// Two waiters die: the notified one before it has the lock again, and the one that takes its
/// notification over, anywhere. The third waiter has it.
#[test]
fn the_successor_of_a_notified_waiter_vanishes_too() {
    for steps in 0..14 {
        at_any_write(&format!("ipc_condvar, successor, after {steps}"), move |order| {
            let world = World::new(true);
            let list = Shared::new(3);
            let it = Locking { list, lock: AtomicU32::new(0), held_again: AtomicU32::new(0) };
            let it = Arc::new(it);
            let [first, second, third] = [1, 2, 3].map(|who| Participant::new(&world, who));
            for (at, waiter) in [&first, &second, &third].into_iter().enumerate() {
                assert_eq!(it.list.list().enrol(waiter), Some(at));
            }
            assert_eq!(it.list.list().notify(&Participant::new(&world, 4), 1), 1);
            order.run_with_mortal(
                first.mortal(it.waits(0)),
                [second.vanishes_after(steps).body({
                    let it = it.clone();
                    move |me| {
                        it.wait(me, 1, soon());
                    }
                })],
            );
            let (first, second) = (
                it.list.slots[0].load(Ordering::Relaxed),
                it.list.slots[1].load(Ordering::Relaxed),
            );
            // A second waiter that gave up in time has no part in it.
            if first != 0 || second != 0 {
                it.is_not_lost(&third, 2);
            }
        });
    }
}

/// At a full list, a newcomer claims the slot of a notified waiter that died, and dies too,
/// anywhere: the waiter that still waits has the notification.
#[test]
fn the_claimer_of_a_notified_slot_vanishes_too() {
    at_every_step("ipc_condvar, claimer", 12, |_, steps| {
        let world = World::new(true);
        let (it, [first, second, notifier]) = Locking::with_one_notified(&world);
        first.vanishes_after(0).body(it.waits(0))();
        mutex::unlock(&it.lock, &notifier);
        Participant::new(&world, 3).vanishes_after(steps).body({
            let it = it.clone();
            move |me| {
                it.list.list().enrol(me);
            }
        })();
        assert!(it.wait(&second, 1, soon()), "the notification is lost with the dead");
    });
}
