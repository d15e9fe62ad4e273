//! The fair release of a lock, `release_fair`. It wakes a waiter before it releases, which decides
//! whether the lock is reserved, and one more after: the first may have looked in between, and
//! sleeps again.

use std::time::Duration;

use sync_core::primitive::futex::task::model_with_tasks;
use sync_core::task::block_on;
use sync_core::{CancelToken, Mutex, MutexGuard};

use super::{poll_and_drop, poll_once};
use crate::support::{Arc, Body, Tracked, with};

/// A lock and the number of times that it was taken.
type Counted = Arc<(Mutex<()>, Tracked)>;

fn counted() -> Counted {
    model_with_tasks();
    Arc::new((Mutex::new(()), Tracked::new(0)))
}

fn count(shared: &(Mutex<()>, Tracked)) {
    shared.1.set(shared.1.get() + 1);
}

/// Takes the lock and releases it to a waiter.
fn releases_fairly(shared: &Counted) -> Body {
    with(shared, |it| {
        let guard = it.0.lock();
        count(&it);
        MutexGuard::unlock_fair(guard);
    })
}

fn thread_takes(shared: &Counted) -> Body {
    with(shared, |it| {
        let _guard = it.0.lock();
        count(&it);
    })
}

fn task_takes(shared: &Counted) -> Body {
    with(shared, |it| {
        block_on(async {
            let _guard = it.0.lock_async().await;
            count(&it);
        })
    })
}

model! {
    /// The waiter that is woken before the release may look at once, and sleep again on the lock
    /// that is still held: the wake after the release is for it.
    fn a_thread_that_looks_before_a_fair_release(order) {
        let shared = counted();
        order.run([releases_fairly(&shared), thread_takes(&shared)]);
        assert!(shared.1.get() == 2 && !shared.0.is_locked());
    }
}

model! {
    /// The same with a task that waits.
    fn a_task_that_looks_before_a_fair_release(order) {
        let shared = counted();
        order.run([releases_fairly(&shared), task_takes(&shared)]);
        assert!(shared.1.get() == 2 && !shared.0.is_locked());
    }
}

model! {
    /// Two threads wait, and one release is fair: both get in.
    fn a_fair_release_to_two_threads(order) small {
        let shared = counted();
        order.run([releases_fairly(&shared), thread_takes(&shared), thread_takes(&shared)]);
        assert!(shared.1.get() == 3 && !shared.0.is_locked());
    }
}

model! {
    /// A thread and a task wait: both get in.
    fn a_fair_release_to_a_thread_and_a_task(order) small {
        let shared = counted();
        order.run([releases_fairly(&shared), thread_takes(&shared), task_takes(&shared)]);
        assert!(shared.1.get() == 3 && !shared.0.is_locked());
    }
}

model! {
    /// A task is woken before the release and dropped, at any moment: the thread gets in.
    fn a_fair_release_to_a_task_that_gives_up(order) small {
        let shared = counted();
        let gives_up = with(&shared, |it| {
            if let Some(_guard) = poll_and_drop(it.0.lock_async(), 2) {
                count(&it);
            }
        });
        order.run([releases_fairly(&shared), gives_up, thread_takes(&shared)]);
        assert!(shared.1.get() >= 2 && !shared.0.is_locked());
    }
}

model! {
    /// A thread is woken before the release, and its time is up: the task gets in.
    fn a_fair_release_to_a_thread_that_gives_up(order) small {
        let shared = counted();
        let gives_up = with(&shared, |it| {
            if let Some(_guard) = it.0.try_lock_for(Duration::from_millis(1)) {
                count(&it);
            }
        });
        order.run([releases_fairly(&shared), gives_up, task_takes(&shared)]);
        assert!(shared.1.get() >= 2 && !shared.0.is_locked());
    }
}

model! {
    /// A thread is woken before the release, and a token ends its wait: no wake is taken along.
    fn a_fair_release_to_a_thread_that_is_cancelled(order) tight {
        let shared = counted();
        let token = CancelToken::new();
        let ended = token.clone();
        let waits = with(&shared, move |it| {
            if let Ok(_guard) = it.0.lock_or_cancelled(&ended) {
                count(&it);
            }
        });
        let fair = with(&shared, move |it| {
            let guard = it.0.lock();
            count(&it);
            token.cancel();
            MutexGuard::unlock_fair(guard);
        });
        order.run([fair, waits, thread_takes(&shared)]);
        assert!(shared.1.get() >= 2 && !shared.0.is_locked());
    }
}

model! {
    /// The lock is reserved for the task that waits: a task that comes later does not get it,
    /// although the first one was not polled yet.
    fn a_fair_release_keeps_the_lock_for_a_task_that_waits(order) {
        let shared = counted();
        let fair = with(&shared, |it| {
            let guard = it.0.lock();
            let mut waits = Box::pin(it.0.lock_async());
            assert!(poll_once(waits.as_mut()).is_pending());
            MutexGuard::unlock_fair(guard);
            let mut comes = Box::pin(it.0.lock_async());
            assert!(poll_once(comes.as_mut()).is_pending(), "it overtook the task that waits");
            assert!(poll_once(waits.as_mut()).is_ready());
        });
        order.run([fair]);
        assert!(!shared.0.is_locked());
    }
}

model! {
    /// The mark of a waiter is stale, and no waiter is there: nothing is reserved.
    fn a_fair_release_without_a_waiter_reserves_nothing(order) {
        let shared = counted();
        let fair = with(&shared, |it| {
            let guard = it.0.lock();
            assert!(poll_and_drop(it.0.lock_async(), 1).is_none());
            MutexGuard::unlock_fair(guard);
            assert!(poll_and_drop(it.0.lock_async(), 1).is_some(), "it waits for no waiter");
        });
        order.run([fair]);
    }
}
