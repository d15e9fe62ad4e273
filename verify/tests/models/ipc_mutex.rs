//! The lock between processes: exclusion, no lost wake, and takeover from whoever vanishes anywhere.

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_ipc::raw::lock::{self, Locked, Refused, WAITERS};

use crate::ipc_peers::{Participant, World, at_any_write, at_every_step};
use std::sync::Arc;

use crate::support::Tracked;

struct Shared {
    word: AtomicU32,
    data: Tracked,
}

fn shared() -> Arc<Shared> {
    Arc::new(Shared { word: AtomicU32::new(0), data: Tracked::new(0) })
}

/// Locks, counts, repairs if need be, unlocks.
fn counts(shared: &Arc<Shared>) -> impl FnOnce(&Participant) + 'static {
    let shared = shared.clone();
    move |me| {
        let locked = lock::lock(&shared.word, me, None).expect("recoverable");
        shared.data.set(shared.data.get() + 1);
        if locked == Locked::OwnerDied {
            lock::mark_consistent(&shared.word, me);
        }
        lock::unlock(&shared.word, me);
    }
}

model! {
    /// Two count: no race, no lost count, no lost wake (the sleeps are unbounded here).
    fn two_lock(order) {
        let (world, it) = (World::new(false), shared());
        order.run([1, 2].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!(it.data.get(), 2);
        assert_eq!(lock::owner(&it.word), 0);
    }
}

model! {
    /// Three: a wake has to be passed on.
    fn three_lock(order) small {
        let (world, it) = (World::new(false), shared());
        order.run([1, 2, 3].map(|who| Participant::new(&world, who).body(counts(&it))));
        assert_eq!(it.data.get(), 3);
    }
}

model! {
    /// Who gives a broken lock up wakes all, and all are refused.
    fn giving_up_refuses_everybody(order) small {
        let (world, it) = (World::new(false), shared());
        let waits = |it: &Arc<Shared>| {
            let it = it.clone();
            move |me: &Participant| assert_eq!(lock::lock(&it.word, me, None), Err(Refused::NotRecoverable))
        };
        let holder = Participant::new(&world, 3);
        lock::lock(&it.word, &holder, None).expect("free");
        let gives_up = {
            let it = it.clone();
            move |me: &Participant| lock::give_up(&it.word, me)
        };
        order.run([Participant::new(&world, 1).body(waits(&it)), Participant::new(&world, 2).body(waits(&it)), holder.body(gives_up)]);
    }
}

model! {
    /// A flag that somebody set in a free word for no reason takes nothing away: a try that finds it sees what the last owner wrote.
    fn a_flag_in_a_free_word(order) small {
        let (world, it) = (World::new(false), shared());
        let tries = { let it = it.clone(); move |me: &Participant| {
            it.word.fetch_or(WAITERS, Ordering::Relaxed);
            if lock::try_lock(&it.word, me).is_ok() {
                it.data.set(it.data.get() + 1);
                lock::unlock(&it.word, me);
            }
        } };
        order.run([Participant::new(&world, 1).body(counts(&it)), Participant::new(&world, 2).body(tries)]);
        assert!((1..=2).contains(&it.data.get()));
    }
}

/// One vanishes anywhere in lock and unlock; the other gets the lock, clean or as the dead one's heir; at the end it can be had.
#[test]
fn the_owner_vanishes() {
    at_every_step("the_owner_vanishes", 9, |order, step| {
        let (world, it) = (World::new(true), shared());
        order.run([Participant::new(&world, 1).vanishes_after(step).body(counts(&it)), Participant::new(&world, 2).body(counts(&it))]);
        let last = Participant::new(&world, 3);
        let locked = lock::try_lock(&it.word, &last).expect("free, or a dead one's");
        assert!((1..=2).contains(&it.data.get()), "{locked:?}");
    });
}

/// The owner is dead; its heir vanishes too, anywhere.
#[test]
fn the_heir_vanishes() {
    at_every_step("the_heir_vanishes", 9, |order, step| {
        let (world, it) = (World::new(true), shared());
        Participant::new(&world, 1).vanishes_after(1).body(counts(&it))();
        order.run([Participant::new(&world, 2).vanishes_after(step).body(counts(&it)), Participant::new(&world, 3).body(counts(&it))]);
        // Never not recoverable, and nobody who lives holds it.
        assert!(matches!(lock::owner(&it.word), 0 | 2));
    });
}

/// The same under the checker's own deaths: after any write, which is a step of its own between the two of a wake.
#[test]
fn an_owner_may_vanish_after_any_write() {
    at_any_write("ipc_mutex", |order| {
        let (world, it) = (World::new(true), shared());
        order.run_with_mortal(Participant::new(&world, 1).mortal(counts(&it)), [Participant::new(&world, 2).body(counts(&it))]);
        let last = Participant::new(&world, 3);
        let locked = lock::try_lock(&it.word, &last).expect("free, or a dead one's");
        assert!((1..=2).contains(&it.data.get()), "{locked:?}");
    });
}
