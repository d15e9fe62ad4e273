//! It happens once, all threads see it, and no waiter is forgotten; `Once`,
//! `OnceLock` and `LazyLock`.
//!
//! A closure that panics is tested with real threads (`sync-core/tests`): a checker takes a panic
//! for a failed model. What a panic does to the state is here the closure that fails, by
//! `get_or_try_init`.

use sync_core::{LazyLock, Once, OnceLock};

use crate::support::{Arc, Tracked, with};

model! {
    /// Three call: one runs, and all see what it did.
    fn three_call(order) small whole {
        let shared = Arc::new((Once::new(), Tracked::new(0)));
        let calls = || with(&shared, |it| {
            it.0.call_once(|| it.1.set(it.1.get() + 1));
            assert_eq!(it.1.get(), 1);
        });
        order.run([calls(), calls(), calls()]);
    }
}

model! {
    /// A thread that sees it completed without waiting sees what it did.
    fn seen_without_waiting(order) {
        let shared = Arc::new((Once::new(), Tracked::new(0)));
        let calls = with(&shared, |it| it.0.call_once(|| it.1.set(1)));
        let looks = with(&shared, |it| if it.0.is_completed() {
            assert_eq!(it.1.get(), 1);
        });
        order.run([calls, looks]);
    }
}

model! {
    /// One waits before, while or after it happens; the bit that it sets beforehand survives the
    /// beginning.
    fn one_waits(order) {
        let shared = Arc::new((Once::new(), Tracked::new(0)));
        let calls = with(&shared, |it| it.0.call_once(|| it.1.set(it.1.get() + 1)));
        let waits = with(&shared, |it| {
            it.0.wait();
            assert_eq!(it.1.get(), 1);
        });
        order.run([calls, waits]);
    }
}

model! {
    /// The first to try may fail; the other has waited for it and tries itself, and sees what the
    /// first did.
    fn one_fails(order) {
        let shared = Arc::new((OnceLock::new(), Tracked::new(0)));
        let fails = with(&shared, |it| {
            let got = it.0.get_or_try_init(|| {
                it.1.set(it.1.get() + 1);
                Err(())
            });
            assert!(got.is_err() || got == Ok(&7));
        });
        let makes = with(&shared, |it| {
            assert_eq!(it.0.get_or_init(|| {
                it.1.set(it.1.get() + 1);
                7
            }), &7);
        });
        order.run([fails, makes]);
        assert!((1..=2).contains(&shared.1.get()));
    }
}

model! {
    /// One waits through a failure until it succeeds.
    fn one_waits_through_a_failure(order) whole {
        let shared = Arc::new(OnceLock::new());
        let tries_twice = with(&shared, |it| {
            assert_eq!(it.get_or_try_init(|| Err(())), Err(()));
            assert_eq!(it.get_or_init(|| 7), &7);
        });
        let waits = with(&shared, |it| assert_eq!(it.wait(), &7));
        order.run([tries_twice, waits]);
    }
}

model! {
    /// Two set: one succeeds, the other gets its value back and finds that of the first.
    fn two_set(order) {
        let shared = Arc::new((OnceLock::new(), Tracked::new(0)));
        let sets = |mine: u32| with(&shared, move |it| match it.0.set(mine) {
            Ok(()) => assert_eq!(it.0.get(), Some(&mine)),
            Err(back) => {
                assert_eq!(back, mine);
                assert_ne!(it.0.get(), Some(&mine));
            }
        });
        order.run([sets(1), sets(2)]);
        assert!(shared.0.get().is_some());
    }
}

model! {
    /// Two look at a lazy value: it is made once.
    fn two_force(order) {
        let shared = Arc::new(LazyLock::new(|| Tracked::new(7)));
        let looks = || with(&shared, |it| assert_eq!(it.get(), 7));
        order.run([looks(), looks()]);
    }
}

model! {
    /// The last owner frees it: what the one that ran the closure touches after its swap, the
    /// checker would report.
    fn the_last_owner_frees_it(order) {
        let shared = Arc::new(Once::new());
        let (one, two) = (with(&shared, |it| it.call_once(|| {})), with(&shared, |it| it.wait()));
        drop(shared);
        order.run([one, two]);
    }
}
