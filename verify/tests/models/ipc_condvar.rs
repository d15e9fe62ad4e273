//! Waiters by name: a notification wakes exactly one, and none is lost to a timeout or a death.

use sync_core::primitive::atomic::{AtomicU32, AtomicU64};
use sync_ipc::raw::waitlist::Waitlist;

use crate::ipc_peers::{Participant, World, at_every_step};
use crate::support::Arc;

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
