//! The pauses, fair releases, temporary upgrades and recursive reads of RwLock.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{
    MutexGuard, RawRwLock, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// Returns once a writer waits for a lock that is held for reading: it keeps readers out.
fn until_a_writer_waits(lock: &RawRwLock) {
    while lock.try_read() {
        lock.unlock_read().unwrap();
        thread::yield_now();
    }
}

#[test]
fn a_thread_that_reads_may_read_again_while_a_writer_waits() {
    let _watch = watch();
    let lock = RawRwLock::new();
    lock.read();
    thread::scope(|scope| {
        scope.spawn(|| {
            lock.write();
            lock.unlock_write().unwrap();
        });
        until_a_writer_waits(&lock);
        lock.read_recursive();
        assert!(lock.try_read_recursive() && lock.try_read_recursive_for(SHORT));
        assert!(lock.try_read_recursive_until(Instant::now()));
        (0..5).for_each(|_| lock.unlock_read().unwrap());
    });
    assert!(!lock.is_locked());
}

#[test]
fn a_reader_may_read_again_while_another_thread_upgrades() {
    let _watch = watch();
    let lock = RawRwLock::new();
    lock.read();
    lock.upgradable_read();
    thread::scope(|scope| {
        scope.spawn(|| {
            lock.upgrade().unwrap();
            lock.unlock_write().unwrap();
        });
        until_a_writer_waits(&lock);
        lock.read_recursive();
        (0..2).for_each(|_| lock.unlock_read().unwrap());
    });
    assert!(!lock.is_locked());
}

#[test]
fn a_recursive_read_waits_for_a_writer() {
    let lock = Arc::new(RwLock::new(1));
    let written = lock.write();
    assert!(lock.try_read_recursive().is_none() && lock.try_read_recursive_for(SHORT).is_none());
    assert!(lock.try_read_recursive_until(Instant::now()).is_none());
    drop(written);
    let outer = lock.read_recursive();
    assert_eq!((*outer, *lock.read_recursive(), *lock.read_arc_recursive()), (1, 1, 1));
    assert!(lock.try_write().is_none());
    drop(outer);
    assert!(lock.try_write().is_some());
}

#[test]
fn unlocked_lets_writers_in_and_takes_the_mode_again() {
    let lock = RwLock::new(0);
    let mut reader = lock.read();
    RwLockReadGuard::unlocked(&mut reader, || *lock.try_write().unwrap() += 1);
    assert_eq!((*reader, lock.try_write().is_none()), (1, true));
    drop(reader);

    let mut upgradable = lock.upgradable_read();
    RwLockUpgradableReadGuard::unlocked(&mut upgradable, || *lock.try_write().unwrap() += 1);
    assert_eq!((*upgradable, lock.try_upgradable_read().is_none()), (2, true));
    drop(upgradable);

    let mut writer = lock.write();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        RwLockWriteGuard::unlocked(&mut writer, || {
            *lock.try_write().unwrap() += 1;
            panic!("in unlocked");
        });
    }));
    assert!(panic.is_err());
    assert_eq!((*writer, lock.try_read().is_none()), (3, true), "held again after a panic");
}

#[test]
fn bump_lets_a_waiter_in() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let mut reader = lock.read();
    RwLockReadGuard::bump(&mut reader);
    thread::scope(|scope| {
        scope.spawn(|| *lock.write() += 1);
        while *reader == 0 {
            RwLockReadGuard::bump(&mut reader);
        }
    });
    drop(reader);

    let mut writer = lock.write();
    RwLockWriteGuard::bump(&mut writer);
    thread::scope(|scope| {
        scope.spawn(|| *lock.write() += 1);
        while *writer == 1 {
            RwLockWriteGuard::bump(&mut writer);
        }
    });
    drop(writer);

    let mut upgradable = lock.upgradable_read();
    RwLockUpgradableReadGuard::bump(&mut upgradable);
    thread::scope(|scope| {
        scope.spawn(|| *lock.write() += 1);
        while *upgradable == 2 {
            RwLockUpgradableReadGuard::bump(&mut upgradable);
        }
    });
    assert_eq!(*upgradable, 3);
}

#[test]
fn bumps_of_a_raw_lock_that_is_not_held_are_errors_or_nothing() {
    let lock = RawRwLock::new();
    assert!(lock.unlock_read_fair().is_err() && lock.unlock_write_fair().is_err());
    assert!(lock.unlock_upgradable_fair().is_err());
    assert!(!lock.is_locked() && lock.try_write());
    assert_eq!(lock.unlock_write_fair(), Ok(()));
}

/// A release that is fair: the thread that released comes after the waiter, however fast it is.
#[test]
fn a_fair_release_goes_to_a_waiter() {
    let _watch = watch();
    let lock = RwLock::new(0);
    for _ in 0..100 {
        let waiting = AtomicBool::new(false);
        let writer = lock.write();
        let before = *writer;
        thread::scope(|scope| {
            scope.spawn(|| {
                waiting.store(true, Ordering::Relaxed);
                *lock.write() += 1;
            });
            while !waiting.load(Ordering::Relaxed) {
                thread::yield_now();
            }
            thread::sleep(Duration::from_micros(200));
            RwLockWriteGuard::unlock_fair(writer);
            // Where the thread did not sleep yet, it is a newcomer, too.
            let after = *lock.write();
            assert!(after == before || after == before + 1);
        });
        assert_eq!(*lock.read(), before + 1);
    }
    RwLockReadGuard::unlock_fair(lock.read());
    RwLockUpgradableReadGuard::unlock_fair(lock.upgradable_read());
    assert!(lock.try_write().is_some());
}

#[test]
fn with_upgraded_writes_and_keeps_the_right() {
    let lock = RwLock::new(vec![1]);
    let mut guard = lock.upgradable_read();
    assert_eq!(RwLockUpgradableReadGuard::with_upgraded(&mut guard, |data| data.pop()), Some(1));
    assert!(lock.try_read().is_some() && lock.try_upgradable_read().is_none());
    let reader = lock.try_read().unwrap();
    let push = |data: &mut Vec<i32>| data.push(2);
    assert!(RwLockUpgradableReadGuard::try_with_upgraded(&mut guard, push).is_none());
    assert!(RwLockUpgradableReadGuard::try_with_upgraded_for(&mut guard, SHORT, push).is_none());
    let past = Instant::now();
    assert!(RwLockUpgradableReadGuard::try_with_upgraded_until(&mut guard, past, push).is_none());
    drop(reader);
    assert!(RwLockUpgradableReadGuard::try_with_upgraded(&mut guard, push).is_some());
    assert!(RwLockUpgradableReadGuard::try_with_upgraded_for(&mut guard, SHORT, push).is_some());
    assert!(RwLockUpgradableReadGuard::try_with_upgraded_until(&mut guard, past, push).is_some());
    assert_eq!(*guard, [2, 2, 2]);
}

#[test]
fn a_panic_in_with_upgraded_leaves_the_upgradable_reader() {
    let lock = RwLock::new(0);
    let mut guard = lock.upgradable_read();
    let panic = catch_unwind(AssertUnwindSafe(|| {
        RwLockUpgradableReadGuard::with_upgraded(&mut guard, |data| {
            *data = 1;
            panic!("while it is the writer");
        });
    }));
    assert!(panic.is_err());
    assert_eq!((*guard, lock.try_read().is_some()), (1, true), "readers are let in again");
    drop(guard);
    assert!(lock.try_write().is_some());
}

#[test]
fn try_map_or_err_gives_the_guard_and_the_error_back() {
    let mutex = sync_core::Mutex::new((1, 2));
    let Err((guard, error)) =
        MutexGuard::try_map_or_err(mutex.lock(), |_| Err::<&mut u8, _>("no part"))
    else {
        panic!("there is no part")
    };
    assert_eq!((*guard, error), ((1, 2), "no part"));
    let part = MutexGuard::try_map_or_err(guard, |pair| Ok::<_, ()>(&mut pair.1)).unwrap();
    assert_eq!(*part, 2);
    drop(part);
    assert!(mutex.try_lock().is_some());

    let lock = RwLock::new((1, 2));
    let reader = lock.read();
    let (reader, error) =
        RwLockReadGuard::try_map_or_err(reader, |_| Err::<&u8, _>(3)).unwrap_err();
    assert_eq!((*reader, error), ((1, 2), 3));
    drop(RwLockReadGuard::try_map_or_err(reader, |pair| Ok::<_, ()>(&pair.0)).unwrap());
    let writer = lock.write();
    let mut part =
        RwLockWriteGuard::try_map_or_err(writer, |pair| Ok::<_, ()>(&mut pair.1)).unwrap();
    *part = 7;
    drop(part);
    assert_eq!(*lock.read(), (1, 7));
}
