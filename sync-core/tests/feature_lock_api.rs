//! The feature `lock_api`: its wrappers over our raw locks.
#![cfg(feature = "lock_api")]

use std::thread;
use std::time::Duration;

use lock_api::{RwLockUpgradableReadGuard, RwLockWriteGuard};
use sync_core::{RawFairMutex, RawMutex, RawRwLock, ThreadId};

const SHORT: Duration = Duration::from_millis(5);

#[test]
fn mutexes() {
    static PLAIN: lock_api::Mutex<RawMutex, u32> = lock_api::Mutex::new(0);
    static FAIR: lock_api::Mutex<RawFairMutex, u32> = lock_api::Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut plain = PLAIN.lock();
                *plain += 1;
                lock_api::MutexGuard::bump(&mut plain);
                lock_api::MutexGuard::unlock_fair(plain);
                *FAIR.lock() += 1;
            });
        }
    });
    assert_eq!((*PLAIN.lock(), *FAIR.lock()), (4, 4));
    let held = PLAIN.lock();
    assert!(PLAIN.is_locked() && PLAIN.try_lock().is_none() && PLAIN.try_lock_for(SHORT).is_none());
    // A guard may be released by another thread.
    thread::scope(|scope| scope.spawn(move || drop(held)).join().unwrap());
    assert!(PLAIN.try_lock().is_some());
}

#[test]
fn rwlock() {
    let lock: lock_api::RwLock<RawRwLock, u32> = lock_api::RwLock::new(0);
    let reader = lock.read();
    let upgradable = lock.upgradable_read();
    assert!(lock.try_write_for(SHORT).is_none() && lock.try_upgradable_read_for(SHORT).is_none());
    let Err(upgradable) = RwLockUpgradableReadGuard::try_upgrade_for(upgradable, SHORT) else {
        panic!("there is a reader")
    };
    drop(reader);
    let mut writer = RwLockUpgradableReadGuard::upgrade(upgradable);
    *writer = 1;
    let upgradable = RwLockWriteGuard::downgrade_to_upgradable(writer);
    let reader = RwLockUpgradableReadGuard::downgrade(upgradable);
    assert_eq!((*reader, *lock.read()), (1, 1));
}

#[test]
fn reentrant_by_our_thread_numbers() {
    let lock: lock_api::ReentrantMutex<RawMutex, ThreadId, u32> = lock_api::ReentrantMutex::new(7);
    let (one, two) = (lock.lock(), lock.lock());
    thread::scope(|scope| scope.spawn(|| assert!(lock.try_lock().is_none())).join().unwrap());
    assert_eq!((*one, *two), (7, 7));
}

#[test]
fn a_condition_variable() {
    static STOCK: lock_api::Mutex<RawMutex, u32> = lock_api::Mutex::new(0);
    static CHANGED: lock_api::Condvar<sync_core::Condvar> = lock_api::Condvar::new();
    thread::scope(|scope| {
        let takes = scope.spawn(|| {
            let mut stock = STOCK.lock();
            while *stock == 0 {
                CHANGED.wait(&mut stock);
            }
            *stock -= 1;
        });
        *STOCK.lock() = 1;
        CHANGED.notify_one();
        takes.join().unwrap();
    });
    let mut stock = STOCK.lock();
    assert!(CHANGED.wait_for(&mut stock, SHORT).timed_out() && *stock == 0);
    assert_eq!((CHANGED.notify_one(), CHANGED.notify_all()), (false, 0));
}

#[test]
fn fair_releases_and_bumps_of_a_readers_writer_lock() {
    let lock: lock_api::RwLock<RawRwLock, u32> = lock_api::RwLock::new(0);
    let (mut reader, mut upgradable) = (lock.read(), lock.upgradable_read());
    lock_api::RwLockReadGuard::bump(&mut reader);
    RwLockUpgradableReadGuard::bump(&mut upgradable);
    lock_api::RwLockReadGuard::unlock_fair(reader);
    RwLockUpgradableReadGuard::unlock_fair(upgradable);
    let mut writer = lock.write();
    RwLockWriteGuard::bump(&mut writer);
    RwLockWriteGuard::unlock_fair(writer);
    assert!(!lock.is_locked());
}
