//! Waiters by name: a notification wakes exactly one, and none is lost to a timeout or a death.

use sync_core::primitive::atomic::{AtomicU32, AtomicU64};
use sync_ipc::raw::waitlist::Waitlist;

use crate::ipc_peers::{Participant, World, at_any_write, at_every_step, soon};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    next: AtomicU64,
    cells: Vec<AtomicU32>,
    tickets: Vec<AtomicU64>,
}

impl Shared {
    fn new(waiters: usize) -> Arc<Self> {
        Arc::new(Self {
            next: AtomicU64::new(0),
            cells: (0..waiters).map(|_| AtomicU32::new(0)).collect(),
            tickets: (0..waiters).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn list(&self) -> Waitlist<'_> {
        Waitlist { next: &self.next, cells: &self.cells, tickets: &self.tickets }
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
    move |me| assert!(shared.list().wait(me, at, None))
}

model! {
    /// Two wait, two notify one each: both wake (the sleeps are unbounded here), and nothing is left.
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
                assert_eq!(it.list().notify(me, 1), 0, "nobody waits any more");
            }
        })]);
    }
}

/// Two wait, one notification, and one of the two vanishes anywhere in its wait: the other has the notification, or it is still to be had.
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
        // The one that waited longest was notified. If it died before it saw that, the second inherits at its next bound.
        let list = it.list();
        let seen = it.cells[at].load(sync_core::primitive::atomic::Ordering::Relaxed);
        if seen != 0 {
            assert!(list.wait(&second, other, None), "inherited");
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
        order.run_with_mortal(first.mortal(waits(&it, at)), [Participant::new(&world, 3).body(notifies(&it))]);
        let seen = it.cells[at].load(sync_core::primitive::atomic::Ordering::Relaxed);
        if seen != 0 {
            assert!(it.list().wait(&second, other, None), "inherited");
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

/// Who enrols may find the cell of a dead one, notified or not: the notification goes to somebody else.
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
        order.run_with_mortal(first.mortal(waits(&it, at)), [Participant::new(&world, 3).body(notifies(&it)), second.body(enrols)]);
    });
}

model! {
    /// What was written before the notification is seen after the wait, however it ends.
    fn a_notification_carries_what_was_written(order) small {
        let (world, it, data) = (World::new(false), Shared::new(1), Arc::new(Tracked::new(0)));
        let waiter = Participant::new(&world, 1);
        let at = it.list().enrol(&waiter).expect("a cell");
        let waits = { let (it, data) = (it.clone(), data.clone()); move |me: &Participant| {
            assert!(it.list().wait(me, at, None));
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
    /// A waiter that runs out of time at any moment beside another: one notification wakes one, and is not lost.
    fn one_runs_out_of_time(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let [late, other] = [1, 2].map(|who| Participant::new(&world, who));
        let [first, second] = [&late, &other].map(|waiter| it.list().enrol(waiter).expect("a cell"));
        let runs_out = { let it = it.clone(); move |me: &Participant| {
            // Notified at the last moment, it would say so; then the other has to be notified by somebody else.
            if it.list().wait(me, first, soon()) {
                assert_eq!(it.list().notify(me, 1), 1);
            }
        } };
        order.run([late.body(runs_out), other.body(waits(&it, second)), Participant::new(&world, 3).body(notifies(&it))]);
    }
}
