//! The event between processes: no wait is lost, `set` and `clear` at once release the waiters, and
//! a death on either side stops no participant.

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::raw_event::Unset;
use sync_ipc::raw::{LAST_BOUND, Platform, event};

use crate::ipc_platform::{Participant, World, at_any_write, at_every_step};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    word: AtomicU32,
    data: Tracked,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { word: AtomicU32::new(0), data: Tracked::new(0) })
}

fn waits(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| {
        assert!(event::wait(&shared.word, me, None));
        assert_eq!(shared.data.get(), 7, "what was written before the set");
    }
}

/// Waits, and looks at no data: a setter that vanished may have been about to write it.
fn only_waits(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| assert!(event::wait(&shared.word, me, None))
}

fn sets(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| event::set(&shared.word, me)
}

model! {
    /// Two wait, one sets (the sleeps are unbounded here).
    fn two_wait_for_one(order) small whole {
        let (world, it) = (World::new(false), shared());
        let [one, two] = [1, 2].map(|who| Participant::new(&world, who).body(waits(&it)));
        let sets = {
            let it = it.clone();
            move |me: &Participant| {
                it.data.set(7);
                event::set(&it.word, me);
            }
        };
        order.run([one, two, Participant::new(&world, 3).body(sets)]);
    }
}

model! {
    /// A watcher of several words and a waiter: both observe the event.
    fn a_watcher_beside_a_waiter(order) small whole {
        let (world, it) = (World::new(false), shared());
        let watches = {
            let it = it.clone();
            move |me: &Participant| {
                let mut wait = Unset::new();
                while let Err(value) = event::watch(&it.word, me, &mut wait) {
                    me.sleep(&it.word, value, LAST_BOUND, None);
                }
                assert_eq!(it.data.get(), 7);
            }
        };
        let sets = {
            let it = it.clone();
            move |me: &Participant| {
                it.data.set(7);
                event::set(&it.word, me);
            }
        };
        order.run([
            Participant::new(&world, 1).body(watches),
            Participant::new(&world, 2).body(waits(&it)),
            Participant::new(&world, 3).body(sets),
        ]);
    }
}

model! {
    /// Set by two: a waiter sees what both wrote, the second one's set being of one that is
    /// set already.
    fn set_by_two(order) small {
        let (world, it) = (World::new(false), shared());
        it.data.set(7);
        let [one, two] = [1, 2].map(|who| Participant::new(&world, who).body(sets(&it)));
        order.run([one, two, Participant::new(&world, 3).body(waits(&it))]);
        assert!(event::is_set(&it.word, &Participant::new(&world, 3)));
    }
}

model! {
    /// Set, cleared, set: a wait that began before goes on by the generation; what was written is
    /// seen.
    fn set_and_clear(order) {
        let (world, it) = (World::new(false), shared());
        let pulses = { let it = it.clone(); move |me: &Participant| {
            it.data.set(7);
            event::set(&it.word, me);
            event::clear(&it.word, me);
            event::set(&it.word, me);
        } };
        order.run([
            Participant::new(&world, 1).body(waits(&it)),
            Participant::new(&world, 2).body(pulses),
        ]);
    }
}

/// A setter vanishes anywhere: another set releases the waiter.
#[test]
fn a_setter_vanishes() {
    at_every_step("event::a_setter_vanishes", 4, |order, step| {
        let (world, it) = (World::new(true), shared());
        order.run([
            Participant::new(&world, 1).vanishes_after(step).body(sets(&it)),
            Participant::new(&world, 2).body(only_waits(&it)),
            Participant::new(&world, 3).body(sets(&it)),
        ]);
    });
    at_any_write("event::a_setter_vanishes", |order| {
        let (world, it) = (World::new(true), shared());
        let others = [
            Participant::new(&world, 2).body(only_waits(&it)),
            Participant::new(&world, 3).body(sets(&it)),
        ];
        order.run_with_mortal(Participant::new(&world, 1).mortal(sets(&it)), others);
    });
}

/// A waiter vanishes anywhere: the other one is released by one set.
// Not under loom: a waiter looks again and again for as long as no participant sets the event, more
// often than loom's limit of steps allows.
#[cfg(not(loom))]
#[test]
fn a_waiter_vanishes() {
    at_any_write("event::a_waiter_vanishes", |order| {
        let (world, it) = (World::new(true), shared());
        let others = [
            Participant::new(&world, 2).body(only_waits(&it)),
            Participant::new(&world, 3).body(sets(&it)),
        ];
        order.run_with_mortal(Participant::new(&world, 1).mortal(only_waits(&it)), others);
    });
}

model! {
    /// A thread that finds it set sees what was written before.
    fn a_look_sees_what_was_written(order) {
        let (world, it) = (World::new(false), shared());
        let sets = {
            let it = it.clone();
            move |me: &Participant| {
                it.data.set(7);
                event::set(&it.word, me);
            }
        };
        let looks = { let it = it.clone(); move |me: &Participant| {
            if event::is_set(&it.word, me) {
                assert_eq!(it.data.get(), 7);
            }
        } };
        order
            .run([Participant::new(&world, 1).body(sets), Participant::new(&world, 2).body(looks)]);
    }
}

model! {
    /// The loop "wait, clear, look for work" next to a producer that sets an event that is set
    /// already: the clear sees the work, or the event stays set. (sync-core has the same model:
    /// `event::set_again_beside_clear`.)
    fn set_again_beside_clear(order) {
        let (world, it) = (World::new(false), shared());
        let (work, found) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        event::set(&it.word, &Participant::new(&world, 3));
        let produces = { let (it, work) = (it.clone(), work.clone()); move |me: &Participant| {
            work.store(1, Ordering::Relaxed);
            event::set(&it.word, me);
        } };
        let consumes = {
            let (it, work, found) = (it.clone(), work.clone(), found.clone());
            move |me: &Participant| {
                assert!(event::wait(&it.word, me, None));
                event::clear(&it.word, me);
                found.store(work.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        };
        order.run([
            Participant::new(&world, 1).body(produces),
            Participant::new(&world, 2).body(consumes),
        ]);
        let found = found.load(Ordering::Relaxed) == 1;
        assert!(found || event::is_set(&it.word, &Participant::new(&world, 3)), "the work is lost");
    }
}
