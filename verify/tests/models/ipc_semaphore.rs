//! Permits between processes: none is lost or doubled, wherever a holder vanishes; and the gate loses no wake.

use sync_core::primitive::atomic::AtomicU32;
use sync_ipc::raw::permits::{FREE, Permits};

use crate::ipc_peers::{Participant, World, at_every_step};
use crate::support::{Arc, Tracked};

struct Shared {
    gate: AtomicU32,
    cells: Vec<AtomicU32>,
    data: Tracked,
}

impl Shared {
    fn new(permits: usize) -> Arc<Self> {
        Arc::new(Self { gate: AtomicU32::new(0), cells: (0..permits).map(|_| AtomicU32::new(FREE)).collect(), data: Tracked::new(0) })
    }

    fn permits(&self) -> Permits<'_> {
        Permits { gate: &self.gate, cells: &self.cells }
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
    /// Three: the gate's flag goes and comes, and nobody is forgotten.
    fn one_permit_for_three(order) small {
        let (world, it) = (World::new(false), Shared::new(1));
        order.run([1, 2, 3].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!((it.data.get(), it.permits().available()), (3, 1));
    }
}

/// A holder vanishes anywhere: the other gets the permit all the same, and at the end there is exactly one.
#[test]
fn a_holder_vanishes() {
    at_every_step("a_holder_vanishes", 12, |order, step| {
        let (world, it) = (World::new(true), Shared::new(1));
        order.run([Participant::new(&world, 1).vanishes_after(step).body(counts(&it)), Participant::new(&world, 2).body(counts(&it))]);
        let last = Participant::new(&world, 3);
        it.permits().try_acquire(&last, 0).expect("not lost");
        assert!(it.permits().try_acquire(&last, 0).is_err(), "not doubled");
    });
}
