//! Nesting, ownership, and that the count belongs to the holder.

use std::time::Duration;

use sync_core::{Condvar, NotOwner, RawReentrantMutex, ReentrantMutex};

use crate::support::{Arc, Body, Tracked, with};

/// A lock and plain data under it that the checker watches.
struct Guarded {
    lock: RawReentrantMutex,
    data: Tracked,
}

fn guarded() -> Arc<Guarded> {
    Arc::new(Guarded { lock: RawReentrantMutex::new(), data: Tracked::new(0) })
}

/// Takes the lock twice, and looks at every step whether the count is its own.
fn nests(shared: &Arc<Guarded>) -> Body {
    with(shared, |it| {
        it.lock.lock();
        assert_eq!(it.lock.depth(), 1);
        it.data.set(it.data.get() + 1);
        it.lock.lock();
        assert_eq!(it.lock.depth(), 2);
        it.lock.unlock().unwrap();
        assert_eq!(it.lock.depth(), 1);
        it.data.set(it.data.get() + 1);
        it.lock.unlock().unwrap();
        assert_eq!(it.lock.depth(), 0);
    })
}

model! {
    /// parking_lot da16c2c: two threads nest. A count written after the release, or a signature
    /// that is cleared after it, spoils the next holder's.
    fn two_nest(order) {
        let shared = guarded();
        order.run([nests(&shared), nests(&shared)]);
        assert_eq!(shared.data.get(), 4);
        assert!(!shared.lock.is_locked());
    }
}

model! {
    /// A third that never holds the lock never takes itself for the owner, and cannot release it.
    fn an_outsider_owns_nothing(order) {
        let shared = guarded();
        let outsider = with(&shared, |it| {
            assert!(!it.lock.is_owned_by_current_thread());
            assert_eq!(it.lock.depth(), 0);
            assert_eq!(it.lock.unlock(), Err(NotOwner));
            assert_eq!(it.lock.unlock_all(), Err(NotOwner));
        });
        order.run([nests(&shared), outsider]);
        assert_eq!(shared.data.get(), 2);
    }
}

model! {
    /// A thread that looks from outside races with no thread, and takes no part.
    fn debug_from_outside(order) whole {
        let shared = guarded();
        let looks = with(&shared, |it| assert!(format!("{:?}", it.lock).contains("count: ")));
        order.run([nests(&shared), looks]);
    }
}

model! {
    /// One nests, one waits with a timeout: a thread that gives up owns nothing. (What giving up
    /// does to a third is `mutex.rs`'s business.)
    fn timeout_owns_nothing(order) {
        let shared = guarded();
        let in_time = with(&shared, |it| {
            if it.lock.try_lock_for(Duration::from_millis(1)) {
                assert_eq!(it.lock.depth(), 1);
                it.data.set(it.data.get() + 1);
                it.lock.unlock().unwrap();
            } else {
                assert_eq!(it.lock.depth(), 0);
            }
        });
        order.run([nests(&shared), in_time]);
        assert!(shared.data.get() >= 2);
    }
}

model! {
    /// A wait at depth two lets the other in, and comes back at depth two.
    fn a_wait_restores_the_depth(order) whole {
        let shared = Arc::new((ReentrantMutex::new(()), Condvar::new(), Tracked::new(0)));
        let waits = with(&shared, |it| {
            let _outer = it.0.lock();
            let mut inner = it.0.lock();
            while it.2.get() == 0 {
                it.1.wait(&mut inner);
                assert_eq!(it.0.depth(), 2);
            }
        });
        let sets = with(&shared, |it| {
            let _outer = it.0.lock();
            it.2.set(1);
            it.1.notify_one();
        });
        order.run([waits, sets]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// A fair release and a bump at depth one and two, next to a waiter.
    fn bump_and_unlock_fair(order) {
        let shared = guarded();
        let fair = with(&shared, |it| {
            it.lock.lock();
            it.data.set(it.data.get() + 1);
            it.lock.lock();
            it.lock.unlock_fair().unwrap();
            it.data.set(it.data.get() + 1);
            it.lock.unlock_fair().unwrap();
        });
        order.run([fair, nests(&shared)]);
        assert_eq!(shared.data.get(), 4);
        assert!(!shared.lock.is_locked());
    }
}

model! {
    /// The last owner frees it: what a release touches after its one atomic, the checker would
    /// report.
    fn the_last_owner_frees_it(order) {
        let shared = guarded();
        let (one, two) = (nests(&shared), nests(&shared));
        drop(shared);
        order.run([one, two]);
    }
}
