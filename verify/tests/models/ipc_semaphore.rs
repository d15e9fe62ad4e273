//! Permits between processes: none is lost or doubled, wherever a holder vanishes; and the event
//! count loses no wake.

use sync_core::primitive::atomic::AtomicU32;
use sync_ipc::raw::semaphore::{FREE, Permits};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step, soon};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    waiters: AtomicU32,
    cells: Vec<AtomicU32>,
    data: Tracked,
}

impl Shared {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self {
            waiters: AtomicU32::new(0),
            cells: (0..permits).map(|_| AtomicU32::new(FREE)).collect(),
            data: Tracked::new(0),
        })
    }

    fn permits(&self) -> Permits<'_> {
        Permits { waiters: &self.waiters, cells: &self.cells }
    }
}

/// Takes the only permit, counts, gives it back.
fn counts(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| {
        let cell = shared.permits().acquire(me, 0, None).expect("there is one");
        shared.data.set(shared.data.get() + 1);
        shared.permits().release(me, cell);
    }
}

model! {
    /// Two share one permit: exclusion, and no lost wake.
    fn one_permit(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        order.run([1, 2].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!((it.data.get(), it.permits().available()), (2, 1));
    }
}

model! {
    /// Three: the event count's flag goes and comes, and no waiter is forgotten.
    fn one_permit_for_three(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        order.run([1, 2, 3].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!((it.data.get(), it.permits().available()), (3, 1));
    }
}

/// A holder vanishes anywhere: the other gets the permit all the same, and at the end there is
/// exactly one.
#[test]
fn a_holder_vanishes() {
    at_every_step("a_holder_vanishes", 20, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(counts(&it)),
            Participant::new(&world, 2).body(counts(&it)),
        ]);
        let last = Participant::new(&world, 3);
        it.permits().try_acquire(&last, 0).expect("not lost");
        assert!(it.permits().try_acquire(&last, 0).is_err(), "not doubled");
    });
}

/// The same under the checker's own deaths.
#[test]
fn a_holder_may_vanish_after_any_write() {
    at_any_write("ipc_semaphore", |order| {
        let (world, it) = (World::new(true), Shared::new(1));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(counts(&it)),
            [Participant::new(&world, 2).body(counts(&it))],
        );
        let last = Participant::new(&world, 3);
        it.permits().try_acquire(&last, 0).expect("not lost");
        assert!(it.permits().try_acquire(&last, 0).is_err(), "not doubled");
    });
}

model! {
    /// A permit that was forgotten, and one that never was, are added by two at once: both are
    /// there, and no third.
    fn two_add(order) {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        let cells = [0, 0].map(|hint| it.permits().acquire(&last, hint, None).expect("there are \
            two"));
        cells.iter().for_each(|&cell| it.permits().forget(&last, cell));
        let adds = || {
            let it = it.clone();
            move |me: &Participant| assert!(it.permits().add(me, false))
        };
        order.run([
            Participant::new(&world, 1).body(adds()),
            Participant::new(&world, 2).body(adds()),
        ]);
        assert!(!it.permits().add(&last, false), "none is missing any more");
        assert_eq!(it.permits().available(), 2);
    }
}

model! {
    /// One waits, another adds: no lost wake.
    fn a_waiter_and_an_added_permit(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        let last = Participant::new(&world, 3);
        let cell = it.permits().acquire(&last, 0, None).expect("there is one");
        it.data.set(5);
        it.permits().forget(&last, cell);
        let adds = { let it = it.clone(); move |me: &Participant| {
            it.data.set(6);
            assert!(it.permits().add(me, false));
        } };
        let takes = { let it = it.clone(); move |me: &Participant| {
            it.permits().acquire(me, 0, None).expect("one comes");
            assert_eq!(it.data.get(), 6);
        } };
        order
            .run([Participant::new(&world, 1).body(takes), Participant::new(&world, 2).body(adds)]);
    }
}

model! {
    /// A write before a permit was forgotten is seen by the thread that takes the permit after
    /// another participant added it again.
    fn a_forgotten_permit_carries_what_was_written(order) {
        let (world, it) = (World::new(false), Shared::new(1));
        let forgets = Participant::new(&world, 1);
        let cell = it.permits().acquire(&forgets, 0, None).expect("there is one");
        let forget = { let it = it.clone(); move |me: &Participant| {
            it.data.set(6);
            it.permits().forget(me, cell);
        } };
        let adds = { let it = it.clone(); move |me: &Participant| {
            if it.permits().add(me, false) {
                it.permits().acquire(me, 0, None).expect("no other participant takes it");
                assert_eq!(it.data.get(), 6);
            }
        } };
        order.run([forgets.body(forget), Participant::new(&world, 2).body(adds)]);
    }
}

model! {
    /// Two wait, two permits are added by one: each wakes a waiter.
    fn two_waiters_and_two_added_permits(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let last = Participant::new(&world, 3);
        let cells = [0, 0].map(|hint| it.permits().acquire(&last, hint, None).expect("there are \
            two"));
        cells.iter().for_each(|&cell| it.permits().forget(&last, cell));
        let takes = || { let it = it.clone(); move |me: &Participant| {
            it.permits().acquire(me, 0, None).expect("one comes");
        } };
        let adds = { let it = it.clone(); move |me: &Participant| {
            assert!(it.permits().add(me, false));
            assert!(it.permits().add(me, false));
        } };
        order.run([
            Participant::new(&world, 1).body(takes()),
            Participant::new(&world, 2).body(takes()),
            last.body(adds),
        ]);
    }
}

model! {
    /// One may run out of time at any moment, next to one that waits: the permit that comes is for
    /// one of them, and the wake is not lost.
    fn one_runs_out_of_time(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        let last = Participant::new(&world, 3);
        let cell = it.permits().acquire(&last, 0, None).expect("there is one");
        let hurries = { let it = it.clone(); move |me: &Participant| {
            if let Ok(cell) = it.permits().acquire(me, 0, soon()) {
                it.permits().release(me, cell);
            }
        } };
        let gives = { let it = it.clone(); move |me: &Participant| it.permits().release(me, cell) };
        order.run([
            Participant::new(&world, 1).body(hurries),
            Participant::new(&world, 2).body(counts(&it)),
            last.body(gives),
        ]);
        assert_eq!((it.data.get(), it.permits().available()), (1, 1));
    }
}

/// A waiter vanishes anywhere, counted at the event count or not, next to another: the permit that
/// comes reaches the living one.
#[test]
fn a_waiter_vanishes() {
    at_every_step("ipc_semaphore::a_waiter_vanishes", 16, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        let last = Participant::new(&world, 3);
        let cell = it.permits().acquire(&last, 0, None).expect("there is one");
        let gives = {
            let it = it.clone();
            move |me: &Participant| it.permits().release(me, cell)
        };
        let dies = Participant::new(&world, 1).vanishes_after(step).body(counts(&it));
        order.run([dies, last.body(gives)]);
        let other = Participant::new(&world, 2);
        counts(&it)(&other);
        assert_eq!(it.permits().available(), 1);
    });
}
