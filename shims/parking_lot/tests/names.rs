//! The names and the shapes that users of `parking_lot` 0.12 write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{
    ArcMutexGuard, ArcRwLockReadGuard, Condvar, FairMutex, MappedFairMutexGuard, MappedMutexGuard,
    Mutex, MutexGuard, Once, OnceState, RawMutex, RawRwLock, ReentrantMutex, RwLock,
    RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, const_mutex,
};

static COUNT: Mutex<u32> = const_mutex(0);

#[test]
fn locks_and_guards() {
    *COUNT.lock() += 1;
    let mut pair = MutexGuard::map(COUNT.lock(), |count| count);
    *pair += 1;
    let _: &MappedMutexGuard<'_, u32> = &pair;
    drop(pair);
    assert_eq!(COUNT.try_lock_for(Duration::from_millis(1)).as_deref(), Some(&2));
    let lock = Arc::new(Mutex::new(1));
    let guard: ArcMutexGuard<RawMutex, i32> = lock.lock_arc();
    assert!(lock.try_lock().is_none());
    drop(guard);
    let fair = FairMutex::new((1, 2));
    let part: MappedFairMutexGuard<'_, i32> =
        parking_lot::FairMutexGuard::map(fair.lock(), |pair| &mut pair.1);
    assert_eq!(*part, 2);
    let nested = ReentrantMutex::new(3);
    assert_eq!(*nested.lock() + *nested.lock(), 6);
}

#[test]
fn readers_and_writers() {
    let lock = Arc::new(RwLock::new(vec![1]));
    let mut guard = lock.upgradable_read();
    RwLockUpgradableReadGuard::with_upgraded(&mut guard, |data| data.push(2));
    drop(RwLockUpgradableReadGuard::downgrade(guard));
    let reader = lock.read_recursive();
    assert_eq!(*lock.read_recursive(), *reader);
    RwLockReadGuard::unlock_fair(reader);
    let mut writer = lock.write();
    RwLockWriteGuard::bump(&mut writer);
    drop(RwLockWriteGuard::downgrade(writer));
    let owned: ArcRwLockReadGuard<RawRwLock, Vec<i32>> = lock.read_arc();
    assert_eq!(owned.len(), 2);
}

#[test]
fn conditions_and_once() {
    let (lock, changed) = (Mutex::new(false), Condvar::new());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            *lock.lock() = true;
            changed.notify_one();
        });
        let mut done = lock.lock();
        changed.wait_while(&mut done, |done| !*done);
        let late = changed.wait_until(&mut done, Instant::now());
        assert!(late.timed_out() && changed.wait_for(&mut done, Duration::ZERO).timed_out());
    });
    assert!(!changed.notify_one() && changed.notify_all() == 0);
    let once = Once::new();
    assert_eq!(once.state(), OnceState::New);
    once.call_once(|| ());
    assert!(once.state().done());
}
