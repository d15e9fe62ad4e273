//! First come, first served: hand-over, requests, and waiters that leave the queue.

use std::time::Duration;

use sync_core::RawFairMutex;

use crate::support::{Arc, Body, Tracked, with};

struct Guarded {
    lock: RawFairMutex,
    data: Tracked,
}

/// Without an interval: no thread requests the lock, so that a waiter sleeps until it is granted
/// and a lost grant is a deadlock.
fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RawFairMutex::with_interval(Duration::MAX), data: Tracked::new(0) })
}

/// With one: a waiter may ask at any moment.
fn with_interval() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RawFairMutex::new(), data: Tracked::new(0) })
}

fn counts(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.lock();
        it.data.set(it.data.get() + 1);
        it.lock.unlock().unwrap();
    })
}

fn counts_in_time(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        if it.lock.try_lock_for(Duration::from_millis(1)) {
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        }
    })
}

fn free_at_the_end(shared: &Arc<Guarded>) -> u32 {
    assert!(!shared.lock.should_yield(), "a request without a thread behind it");
    assert!(shared.lock.try_lock());
    shared.data.get()
}

model! {
    /// Two threads count under the lock.
    fn two_lock(order) {
        let shared = guarded();
        order.run([counts(&shared), counts(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// Three: a queue of two.
    fn three_lock(order) small {
        let shared = guarded();
        shared.lock.lock();
        let releases = with(&shared, |it| it.lock.unlock().unwrap());
        order.run([counts(&shared), counts(&shared), releases]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// One gives up, from wherever in the queue it is, or just when it is granted the lock.
    fn one_leaves_the_queue(order) small {
        let shared = guarded();
        shared.lock.lock();
        let releases = with(&shared, |it| it.lock.unlock().unwrap());
        order.run([counts_in_time(&shared), counts(&shared), releases]);
        assert!(free_at_the_end(&shared) >= 1);
    }
}

model! {
    /// CPython gh-96387: one asks, and is gone before the holder looks. The holder yields to no
    /// thread and goes on, and the request does not outlive the asker.
    fn the_asker_leaves(order) {
        let shared = with_interval();
        shared.lock.lock();
        let holds = with(&shared, |it| {
            if it.lock.should_yield() {
                it.lock.yield_now();
            }
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        order.run([holds, counts_in_time(&shared)]);
        assert!(free_at_the_end(&shared) >= 1);
    }
}

model! {
    /// The same with a time that is longer than the interval, so that it asks and then gives up: it
    /// takes its request along. The lock is held throughout, so both times are up whatever the
    /// checker's budget of early timeouts.
    fn the_asker_leaves_after_it_has_asked(order) {
        let shared = with_interval();
        shared.lock.lock();
        let looks = with(&shared, |it| {
            it.lock.should_yield();
        });
        let asks = with(&shared, |it| assert!(!it.lock.try_lock_for(4 * RawFairMutex::INTERVAL)));
        order.run([looks, asks]);
        assert!(!shared.lock.should_yield(), "the request outlives the asker");
        shared.lock.unlock().unwrap();
        free_at_the_end(&shared);
    }
}

model! {
    /// The same while the holder lets go: it may be granted the lock just then.
    fn the_asker_leaves_while_it_is_granted(order) {
        let shared = with_interval();
        shared.lock.lock();
        let holds = with(&shared, |it| {
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        let asks = with(&shared, |it| if it.lock.try_lock_for(4 * RawFairMutex::INTERVAL) {
            it.lock.unlock().unwrap();
        });
        order.run([holds, asks]);
        assert_eq!(free_at_the_end(&shared), 1);
    }
}

model! {
    /// The holder yields: the waiter gets in, and the holder has the lock again afterwards.
    fn yield_to_a_waiter(order) {
        let shared = guarded();
        let yields = with(&shared, |it| {
            it.lock.lock();
            it.data.set(it.data.get() + 1);
            it.lock.yield_now();
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        order.run([yields, counts(&shared)]);
        assert_eq!(free_at_the_end(&shared), 3);
    }
}

model! {
    /// A waiter that may ask, and a holder that looks.
    fn ask_and_yield(order) whole {
        let shared = with_interval();
        let holds = with(&shared, |it| {
            it.lock.lock();
            it.data.set(it.data.get() + 1);
            if it.lock.should_yield() {
                it.lock.yield_now();
            }
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        order.run([holds, counts(&shared)]);
        assert_eq!(free_at_the_end(&shared), 3);
    }
}

model! {
    /// The last owner frees it: what a hand-over touches after the grant, the checker would report.
    fn the_last_owner_frees_it(order) {
        let shared = guarded();
        let (one, two) = (counts(&shared), counts(&shared));
        drop(shared);
        order.run([one, two]);
    }
}

model! {
    /// The only waiter gives up while the holder is about to hand over: the holder then releases to
    /// no thread, and the next holder sees what it did.
    fn a_release_after_the_only_waiter_left(order) {
        let shared = guarded();
        shared.lock.lock();
        let releases = with(&shared, |it| {
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        let gives_up_and_tries = with(&shared, |it| {
            if it.lock.try_lock_for(Duration::from_millis(1)) || it.lock.try_lock() {
                it.data.set(it.data.get() + 1);
                it.lock.unlock().unwrap();
            }
        });
        order.run([releases, gives_up_and_tries]);
        assert!(free_at_the_end(&shared) >= 1);
    }
}

model! {
    /// The lock is granted to one whose time is up at that moment: it has the lock, and the
    /// next one gets it from there.
    fn a_grant_is_not_lost_on_one_that_gives_up(order) small {
        let shared = guarded();
        order.run([counts(&shared), counts_in_time(&shared), counts(&shared)]);
        assert!(free_at_the_end(&shared) >= 2);
    }
}
