//! The barrier between processes: all pass or none does, whichever party runs out of time, aborts
//! or vanishes.

use std::sync::Mutex as Log;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_ipc::raw::barrier::{Arrival, BarrierState, Failed};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step, soon};
use std::sync::Arc;

use crate::support::{Order, Size, Tracked, check};

struct Shared {
    lock: AtomicU32,
    state: AtomicU32,
    broken: AtomicU32,
    cells: Vec<AtomicU32>,
    data: [Tracked; 2],
    /// The result of each party: outside the model.
    outcomes: Log<Vec<Result<(), Failed>>>,
}

impl Shared {
    fn new(parties: usize) -> Arc<Self> {
        let word = || AtomicU32::new(0);
        let cells = (0..2 * parties).map(|_| word()).collect();
        let data = [Tracked::new(0), Tracked::new(0)];
        Arc::new(Self {
            lock: word(),
            state: word(),
            broken: word(),
            cells,
            data,
            outcomes: Log::default(),
        })
    }

    fn barrier_state(&self) -> BarrierState<'_> {
        BarrierState {
            lock: &self.lock,
            state: &self.state,
            broken: &self.broken,
            cells: &self.cells,
        }
    }

    fn meet(&self, me: &Participant, deadline: Option<Deadline>) -> Result<(), Failed> {
        let outcome = match self.barrier_state().arrive(me, deadline) {
            Ok(Arrival::Waits(place)) => self.barrier_state().wait(me, place, deadline),
            Ok(Arrival::Completes(place)) => self.barrier_state().complete(me, place),
            Err(failed) => Err(failed),
        };
        self.outcomes.lock().unwrap().push(outcome);
        outcome
    }

    /// All passed, or none.
    fn agree(&self) -> bool {
        let outcomes = self.outcomes.lock().unwrap();
        outcomes.iter().all(|outcome| outcome.is_ok() == outcomes[0].is_ok())
    }
}

fn meets(shared: &Arc<Shared>, deadline: Option<Deadline>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| {
        let _ = shared.meet(me, deadline);
    }
}

model! {
    /// Two meet: both pass, and each sees what the other wrote before.
    fn two_meet(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let party = |who: usize| { let it = it.clone(); move |me: &Participant| {
            it.data[who].set(1);
            it.meet(me, None).expect("no participant breaks it");
            assert_eq!(it.data[1 - who].get(), 1);
        } };
        order.run([
            Participant::new(&world, 1).body(party(0)),
            Participant::new(&world, 2).body(party(1)),
        ]);
    }
}

model! {
    /// They meet again at once: the second meeting's members are not the first one's.
    fn two_meet_twice(order) small whole {
        let (world, it) = (World::new(false), Shared::new(2));
        let party = || { let it = it.clone(); move |me: &Participant| {
            it.meet(me, None).expect("no participant breaks it");
            it.meet(me, None).expect("no participant breaks it");
        } };
        order.run([
            Participant::new(&world, 1).body(party()),
            Participant::new(&world, 2).body(party()),
        ]);
    }
}

model! {
    /// One may run out of time at any moment: both pass or none, and no party is left behind.
    fn one_runs_out_of_time(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        order.run([
            Participant::new(&world, 1).body(meets(&it, soon())),
            Participant::new(&world, 2).body(meets(&it, None)),
        ]);
        assert!(it.agree(), "{:?}", it.outcomes.lock().unwrap());
    }
}

model! {
    /// One waits, another aborts: sent away, and it stays broken until the reset.
    fn abort_wakes_the_waiters(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let aborts = {
            let it = it.clone();
            move |me: &Participant| it.barrier_state().abort(me).expect("no participant is stopped")
        };
        order.run([
            Participant::new(&world, 1).body(meets(&it, None)),
            Participant::new(&world, 2).body(aborts),
        ]);
        let last = Participant::new(&world, 3);
        assert_eq!(it.outcomes.lock().unwrap()[..], [Err(Failed::Broken)]);
        assert!(it.barrier_state().is_broken(&last));
        it.barrier_state().reset(&last).expect("no participant is stopped");
        assert!(!it.barrier_state().is_broken(&last) && it.barrier_state().waiting(&last) == 0);
    }
}

model! {
    /// A party aborts: another one that sees it broken sees what the first one did before, and sees
    /// it broken from then on.
    fn broken_brings_the_news(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let aborts = { let it = it.clone(); move |me: &Participant| {
            it.data[0].set(1);
            it.barrier_state().abort(me).expect("no participant is stopped");
        } };
        let looks = { let it = it.clone(); move |me: &Participant| {
            if it.barrier_state().is_broken(me) {
                assert_eq!(it.data[0].get(), 1);
                assert!(it.barrier_state().is_broken(me), "until a reset");
            }
        } };
        order.run([
            Participant::new(&world, 1).body(aborts),
            Participant::new(&world, 2).body(looks),
        ]);
    }
}

model! {
    /// The same of a reset of a broken one: it is whole from then on.
    fn a_reset_brings_the_news(order) small {
        let (world, it) = (World::new(false), Shared::new(2));
        let resets = Participant::new(&world, 1);
        it.barrier_state().abort(&resets).expect("no participant is stopped");
        let resets = resets.body({ let it = it.clone(); move |me: &Participant| {
            it.data[0].set(1);
            it.barrier_state().reset(me).expect("no participant is stopped");
        } });
        let looks = { let it = it.clone(); move |me: &Participant| {
            if !it.barrier_state().is_broken(me) {
                assert_eq!(it.data[0].get(), 1);
                assert!(!it.barrier_state().is_broken(me), "until it is broken");
            }
        } };
        order.run([resets, Participant::new(&world, 2).body(looks)]);
    }
}

/// A party vanishes anywhere. The other passes, or finds it broken, or runs out of time; and
/// afterwards the barrier can be had again.
#[test]
fn a_party_vanishes() {
    let afterwards = |world: &Arc<World>, it: &Arc<Shared>| {
        let last = Participant::new(world, 3);
        it.barrier_state().reset(&last).expect("no participant is stopped");
        assert!(!it.barrier_state().is_broken(&last));
        assert_eq!(it.barrier_state().waiting(&last), 0, "no party is left behind");
        assert!(matches!(
            it.barrier_state().arrive(&last, None),
            Ok(Arrival::Waits(place)) if place.index == 0
        ));
    };
    at_every_step("barrier::a_party_vanishes", 30, move |order, step| {
        let (world, it) = (World::new(true), Shared::new(2));
        let dies = Participant::new(&world, 1).vanishes_after(step).body(meets(&it, None));
        order.run([dies, Participant::new(&world, 2).body(meets(&it, soon()))]);
        afterwards(&world, &it);
    });
    at_any_write("barrier::a_party_vanishes", move |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(meets(&it, None)),
            [Participant::new(&world, 2).body(meets(&it, soon()))],
        );
        afterwards(&world, &it);
    });
}

/// Completes its cycle, or gives it up, as after an action that panicked; and may vanish in it.
fn fails(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| match shared.barrier_state().arrive(me, None) {
        Ok(Arrival::Completes(place)) => shared.barrier_state().fail(me, place),
        Ok(Arrival::Waits(place)) => {
            let _ = shared.barrier_state().wait(me, place, None);
        }
        Err(_) => {}
    }
}

/// The party that completes a cycle gives it up: its place is free afterwards, and the other party
/// is sent away. It may vanish while it does so.
#[test]
fn a_cycle_is_given_up() {
    let afterwards = |world: &Arc<World>, it: &Arc<Shared>| {
        let last = Participant::new(world, 3);
        it.barrier_state().reset(&last).expect("no participant is stopped");
        assert_eq!(it.barrier_state().waiting(&last), 0);
        assert!(!it.barrier_state().is_broken(&last));
    };
    for order in [Order::Forward, Order::Reversed] {
        check(
            &format!("ipc_barrier, given up, {order:?}"),
            order,
            Size::DEFAULT.small(),
            std::sync::Arc::new(move |order: Order| {
                let (world, it) = (World::new(false), Shared::new(1));
                let other = {
                    let it = it.clone();
                    move |me: &Participant| {
                        let _ = it.barrier_state().reset(me);
                    }
                };
                order.run([
                    Participant::new(&world, 1).body(fails(&it)),
                    Participant::new(&world, 2).body(other),
                ]);
                afterwards(&world, &it);
                let left = it.cells.iter().all(|cell| cell.load(Ordering::Relaxed) == 0);
                assert!(left, "a place is not left");
            }),
        );
    }
    at_any_write("ipc_barrier, given up", move |order| {
        let (world, it) = (World::new(true), Shared::new(2));
        order.run_with_mortal(
            Participant::new(&world, 1).mortal(fails(&it)),
            [Participant::new(&world, 2).body(meets(&it, soon()))],
        );
        afterwards(&world, &it);
    });
}
