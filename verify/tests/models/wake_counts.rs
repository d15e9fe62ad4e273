//! The number of threads that a wake reports is not to be trusted (litebox #809, and systems that
//! cannot tell): what each primitive does where every wake reports that it woke no thread, and
//! where every wake reports that it woke one.

use std::time::Duration;

use sync_core::primitive::wakes_say;
use sync_core::{Condvar, FairMutex, Mutex, MutexGuard, RawMutex, RawRwLock, RawSemaphore};

use crate::support::{Arc, Body, Order, Tracked, with};

const MOMENT: Duration = Duration::from_millis(1);

/// A fair release, a bump, and one that gives up next to them.
fn fair_releases(order: Order, says: usize) {
    wakes_say(says);
    let shared = Arc::new((Mutex::new(()), Tracked::new(0)));
    let fair = with(&shared, |it| {
        let mut guard = it.0.lock();
        it.1.set(it.1.get() + 1);
        MutexGuard::bump(&mut guard);
        it.1.set(it.1.get() + 1);
        MutexGuard::unlock_fair(guard);
    });
    let gives_up = with(&shared, |it| {
        if let Some(_guard) = it.0.try_lock_for(MOMENT) {
            it.1.set(it.1.get() + 1);
        }
    });
    let plain = with(&shared, |it| {
        let _guard = it.0.lock();
        it.1.set(it.1.get() + 1);
    });
    order.run([fair, gives_up, plain]);
    assert!(shared.1.get() >= 3);
    assert!(shared.0.try_lock().is_some());
}

model! {
    fn a_fair_release_where_no_thread_is_counted(order) tight {
        fair_releases(order, 0);
    }
}

model! {
    fn a_fair_release_where_one_is_counted(order) tight {
        fair_releases(order, 1);
    }
}

/// A release with a reader and a writer waiting: neither is forgotten.
fn both_sides(order: Order, says: usize) {
    wakes_say(says);
    let shared = Arc::new((RawRwLock::new(), Tracked::new(0)));
    shared.0.write();
    let writes = with(&shared, |it| {
        it.0.write();
        it.1.set(it.1.get() + 1);
        it.0.unlock_write().unwrap();
    });
    let reads = with(&shared, |it| {
        it.0.read();
        it.1.get();
        it.0.unlock_read().unwrap();
    });
    let releases = with(&shared, |it| it.0.unlock_write().unwrap());
    order.run([writes, reads, releases]);
    assert!(shared.0.try_write());
}

model! {
    fn readers_and_writers_where_no_thread_is_counted(order) small whole {
        both_sides(order, 0);
    }
}

model! {
    fn readers_and_writers_where_one_is_counted(order) small whole {
        both_sides(order, 1);
    }
}

/// Two threads wait in each of the ways that wakes go by number, and one of them may give up.
fn by_number(order: Order, says: usize) {
    wakes_say(says);
    let shared = Arc::new((RawSemaphore::new(0), RawMutex::new()));
    let in_time = with(&shared, |it| {
        if it.0.try_acquire_for(1, MOMENT).is_ok() {
            it.0.release(1).unwrap();
        }
    });
    let takes = with(&shared, |it| it.0.acquire(1).unwrap());
    let gives = with(&shared, |it| it.0.release(1).unwrap());
    order.run([in_time, takes, gives]);
    assert_eq!(shared.0.available_permits(), 0);
}

model! {
    fn permits_where_no_thread_is_counted(order) {
        by_number(order, 0);
    }
}

model! {
    fn permits_where_one_is_counted(order) {
        by_number(order, 1);
    }
}

/// A notification of two by number, and a hand-over.
fn notified(order: Order, says: usize) {
    wakes_say(says);
    let shared = Arc::new((FairMutex::new(0), Condvar::new()));
    let waits = || -> Body {
        with(&shared, |it| {
            let mut guard = it.0.lock();
            it.1.wait_while(&mut guard, |value| *value == 0);
        })
    };
    let notifies = with(&shared, |it| {
        *it.0.lock() = 1;
        it.1.notify_many(2);
    });
    order.run([waits(), waits(), notifies]);
}

model! {
    fn notifications_where_no_thread_is_counted(order) tight {
        notified(order, 0);
    }
}

model! {
    fn notifications_where_one_is_counted(order) tight {
        notified(order, 1);
    }
}
