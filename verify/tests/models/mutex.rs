//! Mutual exclusion, hand-over of data, and no waiter is forgotten.

use std::time::Duration;

use sync_core::{Mutex, MutexGuard, RawMutex};

use crate::support::{Arc, Body, Tracked, with};

/// A lock and plain data under it that the checker watches: the mutex's own cell is watched too,
/// but only when a guard is dereferenced.
struct Guarded {
    lock: RawMutex,
    data: Tracked,
}

fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RawMutex::new(), data: Tracked::new(0) })
}

/// One that takes the lock, counts, and gives it back.
fn counts(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.lock();
        it.data.set(it.data.get() + 1);
        it.lock.unlock().unwrap();
    })
}

/// One that counts if it gets the lock in time.
fn counts_in_time(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        if it.lock.try_lock_for(Duration::from_millis(1)) {
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        }
    })
}

/// The lock is free at the end, and works.
fn free_at_the_end(shared: &Arc<Guarded>) -> u32 {
    assert!(!shared.lock.is_locked());
    assert!(shared.lock.try_lock());
    shared.data.get()
}

model! {
    /// Two threads count under the lock: no race, and no count is lost.
    fn two_lock(order) {
        let shared = guarded();
        order.run([counts(&shared), counts(&shared)]);
        assert_eq!(free_at_the_end(&shared), 2);
    }
}

model! {
    /// Three threads: one releases while two wait, so that a wake has to be passed on.
    fn three_lock(order) whole {
        let shared = guarded();
        order.run([counts(&shared), counts(&shared), counts(&shared)]);
        assert_eq!(free_at_the_end(&shared), 3);
    }
}

model! {
    /// Twice each: a thread that comes back meets the waiter it left behind, and its reservation.
    fn two_lock_twice(order) {
        let shared = guarded();
        let twice = || with(&shared, |it| for _ in 0..2 {
            it.lock.lock();
            it.data.set(it.data.get() + 1);
            it.lock.unlock().unwrap();
        });
        order.run([twice(), twice()]);
        assert_eq!(free_at_the_end(&shared), 4);
    }
}

model! {
    /// LLVM libc #201937: one holds, one waits with a timeout, one waits. If the timed one takes
    /// the wake along when its time is up, the last sleeps forever.
    fn timeout_passes_the_wake_on(order) whole {
        let shared = guarded();
        order.run([counts(&shared), counts_in_time(&shared), counts(&shared)]);
        assert!(free_at_the_end(&shared) >= 2);
    }
}

model! {
    /// Two waits with a timeout, and one without, which must get in whatever they do.
    fn two_timeouts(order) whole {
        let shared = guarded();
        order.run([counts_in_time(&shared), counts(&shared), counts_in_time(&shared)]);
        assert!(free_at_the_end(&shared) >= 1);
    }
}

model! {
    /// The lock is held throughout: every timed wait gives up, and leaves nothing behind that keeps
    /// any thread out.
    fn timeout_leaves_no_residue(order) {
        let shared = guarded();
        shared.lock.lock();
        let gives_up =
            || with(&shared, |it| assert!(!it.lock.try_lock_for(Duration::from_millis(1))));
        order.run([gives_up(), gives_up()]);
        shared.lock.unlock().unwrap();
        free_at_the_end(&shared);
    }
}

model! {
    /// `try_lock` against a holder and a waiter: what it takes, it takes alone, and the waiter
    /// still gets in.
    fn try_lock_beside_a_waiter(order) whole {
        let shared = guarded();
        let tries = with(&shared, |it| {
            if it.lock.try_lock() {
                it.data.set(it.data.get() + 1);
                it.lock.unlock().unwrap();
            }
        });
        order.run([counts(&shared), tries, counts(&shared)]);
        assert!(free_at_the_end(&shared) >= 2);
    }
}

model! {
    /// A fair release and a bump next to a waiter: no thread is shut out by a reservation that no
    /// thread uses.
    fn bump_and_unlock_fair(order) whole {
        let shared = Arc::new((Mutex::new(0), Tracked::new(0)));
        let fair = with(&shared, |it| {
            let mut guard = it.0.lock();
            it.1.set(it.1.get() + 1);
            MutexGuard::bump(&mut guard);
            it.1.set(it.1.get() + 1);
            MutexGuard::unlock_fair(guard);
        });
        let plain = with(&shared, |it| {
            let guard = it.0.lock();
            it.1.set(it.1.get() + 1);
            drop(guard);
        });
        order.run([fair, plain]);
        assert_eq!(shared.1.get(), 3);
        assert!(shared.0.try_lock().is_some());
    }
}

model! {
    /// A fair release reserves the lock for a waiter that then gives up: the reservation ends by
    /// itself, and the third gets in.
    fn fair_release_to_one_that_gives_up(order) whole {
        let shared = Arc::new((Mutex::new(0), Tracked::new(0)));
        let fair = with(&shared, |it| {
            let guard = it.0.lock();
            it.1.set(it.1.get() + 1);
            MutexGuard::unlock_fair(guard);
        });
        let gives_up = with(&shared, |it| {
            if let Some(_guard) = it.0.try_lock_for(Duration::from_millis(1)) {
                it.1.set(it.1.get() + 1);
            }
        });
        let plain = with(&shared, |it| {
            let _guard = it.0.lock();
            it.1.set(it.1.get() + 1);
        });
        order.run([fair, gives_up, plain]);
        assert!(shared.1.get() >= 2);
    }
}

model! {
    /// `unlocked` lets others in and takes the lock again before it returns.
    fn unlocked_takes_it_again(order) {
        let shared = Arc::new(Mutex::new(0));
        let lets_in = with(&shared, |it| {
            let mut guard = it.lock();
            let before = *guard;
            MutexGuard::unlocked(&mut guard, || {});
            assert!(*guard >= before);
            *guard += 1;
        });
        let adds = with(&shared, |it| *it.lock() += 1);
        order.run([lets_in, adds]);
        assert_eq!(*shared.lock(), 2);
    }
}

model! {
    /// Wake after free: the last owner of the lock frees it while the other may still be about to
    /// wake a waiter. What a release touches after its one atomic, the checker would report as an
    /// access to freed memory or as a race.
    fn the_last_owner_frees_it(order) {
        let shared = guarded();
        let (one, two) = (counts(&shared), counts(&shared));
        drop(shared);
        order.run([one, two]);
    }
}

model! {
    /// Taken by one thread and released by another: a signal.
    fn released_by_another_thread(order) {
        let shared = guarded();
        shared.lock.lock();
        let releases = with(&shared, |it| {
            it.data.set(1);
            it.lock.unlock().unwrap();
        });
        let waits = with(&shared, |it| {
            it.lock.lock();
            assert_eq!(it.data.get(), 1);
        });
        order.run([releases, waits]);
    }
}
