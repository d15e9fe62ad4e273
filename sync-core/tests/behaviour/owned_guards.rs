//! Guards that own their lock, with limits of time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sync_core::{
    ArcFairMutexGuard, BoundedSemaphore, Condvar, FairMutex, RwLock, Semaphore, TryAcquireError,
};

const SHORT: Duration = Duration::from_millis(2);

#[test]
fn owned_guards_of_an_rwlock_give_up_in_time_and_take_what_is_free() {
    let lock = Arc::new(RwLock::new(1));
    let soon = || Instant::now() + SHORT;
    let writes = lock.try_write_arc_for(Duration::ZERO).unwrap();
    assert!(lock.try_read_arc_for(SHORT).is_none() && lock.try_read_arc_until(soon()).is_none());
    assert!(lock.try_write_arc_for(SHORT).is_none() && lock.try_write_arc_until(soon()).is_none());
    assert!(lock.try_upgradable_read_arc_for(SHORT).is_none());
    assert!(lock.try_upgradable_read_arc_until(soon()).is_none());
    drop(writes);
    let past = Instant::now();
    let reads = (lock.try_read_arc_for(Duration::MAX), lock.try_read_arc_until(past));
    let upgradable = lock.try_upgradable_read_arc_until(past);
    assert!(reads.0.is_some() && reads.1.is_some() && upgradable.is_some());
    assert_eq!(Arc::strong_count(&lock), 4, "each keeps the lock alive");
    drop((reads, upgradable));
    assert!(lock.try_upgradable_read_arc_for(SHORT).is_some());
    *lock.try_write_arc_until(past).unwrap() += 1;
    assert_eq!((*lock.read(), Arc::strong_count(&lock)), (2, 1));
}

#[test]
fn owned_permits_give_up_in_time_and_take_what_is_there() {
    let (free, bounded) = (Arc::new(Semaphore::new(2)), Arc::new(BoundedSemaphore::new(2)));
    let held = (
        free.try_acquire_arc_for(2, SHORT).unwrap(),
        bounded.try_acquire_arc_until(2, Instant::now()).unwrap(),
    );
    let late = TryAcquireError::TimedOut;
    assert_eq!(free.try_acquire_arc_for(1, SHORT).unwrap_err(), late);
    assert_eq!(free.try_acquire_arc_until(1, Instant::now() + SHORT).unwrap_err(), late);
    assert_eq!(bounded.try_acquire_arc_for(1, SHORT).unwrap_err(), late);
    drop(held);
    assert_eq!((free.available_permits(), bounded.available_permits()), (2, 2));
    free.close();
    assert_eq!(free.try_acquire_arc_for(1, SHORT).unwrap_err(), TryAcquireError::Closed);
}

#[test]
fn owned_guards_of_a_fair_mutex() {
    let (lock, changed) = (Arc::new(FairMutex::new(1)), Condvar::new());
    let mut guard = lock.lock_arc();
    assert!(lock.try_lock_arc().is_none() && lock.try_lock_arc_for(SHORT).is_none());
    assert!(lock.try_lock_arc_until(Instant::now() + SHORT).is_none());
    assert!(!ArcFairMutexGuard::should_yield(&guard) && !ArcFairMutexGuard::yield_now(&mut guard));
    assert!(changed.wait_for(&mut guard, SHORT).timed_out());
    *guard += 1;
    assert_eq!((format!("{guard:?}"), format!("{guard}")), ("2".into(), "2".into()));
    assert!(Arc::ptr_eq(ArcFairMutexGuard::mutex(&guard), &lock));
    let weak = Arc::downgrade(&lock);
    drop(lock);
    assert!(weak.upgrade().is_some(), "the guard keeps it alive");
    drop(guard);
    assert!(weak.upgrade().is_none());
}
