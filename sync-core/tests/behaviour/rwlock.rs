//! RwLock and RawRwLock.

use std::cell::Cell;
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{
    ArcRwLockReadGuard, ArcRwLockWriteGuard, Condvar, MappedRwLockReadGuard,
    MappedRwLockWriteGuard, NotLocked, RawRwLock, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard,
};

use crate::WATCHED;
use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);
/// Long enough for a thread to fall asleep; no result depends on it.
const A_MOMENT: Duration = Duration::from_millis(10);

fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}

#[test]
fn it_is_eight_bytes_and_built_in_constants() {
    static IN_A_STATIC: RwLock<u8> = RwLock::new(7);
    const { assert!(WATCHED || size_of::<RwLock<()>>() == 4) };
    assert_eq!(*IN_A_STATIC.read(), 7);
}

#[test]
fn it_is_send_and_sync_as_its_data_allows() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<RwLock<Cell<u8>>>();
    sync::<RwLock<u8>>();
    sync::<RwLockReadGuard<'_, u8>>();
    sync::<RwLockWriteGuard<'_, u8>>();
    sync::<MappedRwLockReadGuard<'_, u8>>();
    sync::<MappedRwLockWriteGuard<'_, u8>>();
    sync::<ArcRwLockReadGuard<u8>>();
    sync::<ArcRwLockWriteGuard<u8>>();
}

#[test]
fn the_modes_go_together_as_the_table_says() {
    #[derive(Clone, Copy, PartialEq)]
    enum Mode {
        Read,
        Upgradable,
        Write,
    }
    use Mode::{Read, Upgradable, Write};
    let take = |lock: &RawRwLock, mode| match mode {
        Read => lock.try_read(),
        Upgradable => lock.try_upgradable_read(),
        Write => lock.try_write(),
    };
    for held in [Read, Upgradable, Write] {
        for wanted in [Read, Upgradable, Write] {
            let lock = RawRwLock::new();
            assert!(take(&lock, held));
            let goes =
                held != Write && wanted != Write && !(held == Upgradable && wanted == Upgradable);
            assert_eq!(take(&lock, wanted), goes);
        }
    }
}

#[test]
fn many_readers_are_in_at_the_same_time() {
    let _watch = watch();
    let (lock, all_in) = (RwLock::new(1), Barrier::new(4));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let data = lock.read();
                all_in.wait();
                assert_eq!(*data, 1);
            });
        }
    });
}

#[test]
fn readers_that_a_writer_kept_out_are_in_at_the_same_time() {
    let _watch = watch();
    let (lock, all_in) = (RwLock::new(1), Barrier::new(3));
    let writer = lock.write();
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let _data = lock.read();
                all_in.wait();
            });
        }
        thread::sleep(A_MOMENT);
        drop(writer);
    });
}

#[test]
fn a_waiting_writer_keeps_new_readers_out_and_gets_in() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let reader = lock.read();
    thread::scope(|scope| {
        scope.spawn(|| *lock.write() = 1);
        while elsewhere(|| lock.try_read().is_some()) {
            thread::yield_now();
        }
        drop(reader);
    });
    assert_eq!(*lock.read(), 1);
}

#[test]
fn a_writer_that_gave_up_keeps_no_thread_out() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let reader = lock.read();
    thread::scope(|scope| {
        let gives_up = scope.spawn(|| lock.try_write_for(SHORT).is_none());
        // Stands back behind the writer at first.
        let reads = scope.spawn(|| *lock.read());
        assert!(gives_up.join().unwrap());
        assert_eq!(reads.join().unwrap(), 0);
        assert!(elsewhere(|| lock.try_read().is_some()));
    });
    drop(reader);
    assert!(lock.try_write().is_some());
}

#[test]
fn timeouts() {
    let _watch = watch();
    let lock = RwLock::new(());
    let far = Instant::now() + Duration::from_secs(3600);
    assert!(
        lock.try_read_for(Duration::MAX).is_some() && lock.try_write_for(Duration::MAX).is_some()
    );
    assert!(lock.try_upgradable_read_for(Duration::MAX).is_some());
    assert!(
        lock.try_read_until(far).is_some()
            && lock.try_write_until(far).is_some()
            && lock.try_upgradable_read_until(far).is_some()
    );
    assert!(lock.try_read_for(Duration::ZERO).is_some(), "no time at all still takes what is free");
    assert!(lock.try_write_until(Instant::now() - SHORT).is_some());
    let writer = lock.write();
    for gives_up in [
        &(|| lock.try_read_for(SHORT).is_none()) as &dyn Fn() -> bool,
        &|| lock.try_write_for(SHORT).is_none(),
        &|| lock.try_upgradable_read_for(SHORT).is_none(),
    ] {
        let started = Instant::now();
        assert!(gives_up());
        assert!(started.elapsed() >= SHORT, "never early");
    }
    assert!(lock.try_read_for(Duration::ZERO).is_none());
    drop(writer);
    assert!(lock.try_write().is_some(), "those who gave up left nothing behind");
}

#[test]
fn the_longest_timeout_waits() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let writer = lock.write();
    thread::scope(|scope| {
        let waits = scope.spawn(|| lock.try_read_for(Duration::MAX).is_some());
        let writes = scope.spawn(|| lock.try_write_for(Duration::from_secs(u64::MAX)).is_some());
        thread::sleep(A_MOMENT);
        drop(writer);
        assert!(waits.join().unwrap() && writes.join().unwrap());
    });
}

#[test]
fn an_upgrade_waits_for_the_readers_and_no_thread_writes_in_between() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let reader = lock.read();
    thread::scope(|scope| {
        let (reading, upgrade) = channel();
        let lock = &lock;
        scope.spawn(move || {
            let data = lock.upgradable_read();
            let seen = *data;
            reading.send(()).unwrap();
            let mut data = RwLockUpgradableReadGuard::upgrade(data);
            assert_eq!(*data, seen);
            *data += 1;
        });
        upgrade.recv().unwrap();
        scope.spawn(|| *lock.write() += 10);
        while elsewhere(|| lock.try_read().is_some()) {
            thread::yield_now();
        }
        assert_eq!(*reader, 0);
        drop(reader);
    });
    assert_eq!(*lock.read(), 11);
}

#[test]
fn an_upgrade_that_gives_up() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let reader = lock.read();
    let data = lock.try_upgradable_read().unwrap();
    let Err(data) = RwLockUpgradableReadGuard::try_upgrade(data) else {
        panic!("there is another reader")
    };
    let started = Instant::now();
    let Err(data) = RwLockUpgradableReadGuard::try_upgrade_for(data, SHORT) else {
        panic!("there is another reader")
    };
    assert!(started.elapsed() >= SHORT);
    assert!(lock.try_read().is_some(), "readers may come in again");
    let Err(data) = RwLockUpgradableReadGuard::try_upgrade_until(data, started) else {
        panic!("there is another reader")
    };
    drop(reader);
    let Ok(mut data) = RwLockUpgradableReadGuard::try_upgrade_until(data, started) else {
        panic!("it is the only one")
    };
    *data = 1;
    let data = RwLockWriteGuard::downgrade_to_upgradable(data);
    assert!(lock.try_upgradable_read().is_none() && lock.try_read().is_some());
    let data = RwLockUpgradableReadGuard::downgrade(data);
    assert!(lock.try_upgradable_read().is_some());
    assert_eq!(*data, 1);
}

#[test]
fn a_downgrade_lets_readers_in_and_writers_not() {
    let _watch = watch();
    let lock = RwLock::new(0);
    let mut writer = lock.write();
    *writer = 1;
    thread::scope(|scope| {
        let reads = scope.spawn(|| *lock.read());
        let writes = scope.spawn(|| *lock.write() = 2);
        thread::sleep(A_MOMENT);
        let reader = RwLockWriteGuard::downgrade(writer);
        assert_eq!(reads.join().unwrap(), 1);
        assert!(lock.try_write().is_none());
        assert_eq!(*reader, 1);
        drop(reader);
        writes.join().unwrap();
    });
    assert_eq!(lock.into_inner(), 2);
}

#[test]
fn release_of_what_is_not_held() {
    let lock = RawRwLock::new();
    let nothing = [RawRwLock::unlock_read, RawRwLock::unlock_write, RawRwLock::unlock_upgradable];
    for unlock in nothing {
        assert_eq!(unlock(&lock), Err(NotLocked));
    }
    assert_eq!((lock.upgrade(), lock.try_upgrade()), (Err(NotLocked), Err(NotLocked)));
    assert_eq!((lock.downgrade(), lock.downgrade_upgradable()), (Err(NotLocked), Err(NotLocked)));
    lock.upgradable_read();
    assert_eq!(
        (lock.unlock_read(), lock.unlock_write()),
        (Err(NotLocked), Err(NotLocked)),
        "held in another mode"
    );
    lock.unlock_upgradable().unwrap();
    lock.write();
    assert_eq!((lock.unlock_read(), lock.unlock_upgradable()), (Err(NotLocked), Err(NotLocked)));
    assert_eq!(elsewhere(|| lock.unlock_write()), Ok(()), "by another thread");
    assert!(!lock.is_locked());
}

#[test]
fn debug_never_blocks() {
    let _watch = watch();
    let lock = RwLock::new(5);
    let raw = |state, readers, upgradable| {
        format!("RawRwLock {{ state: {state}, readers: {readers}, upgradable: {upgradable} }}")
    };
    assert_eq!(
        format!("{lock:?}"),
        format!("RwLock {{ raw: {}, data: 5 }}", raw("unlocked", 0, false))
    );
    let reader = lock.upgradable_read();
    assert_eq!(
        format!("{lock:?}"),
        format!("RwLock {{ raw: {}, data: 5 }}", raw("read-locked", 1, true))
    );
    assert_eq!(format!("{reader:?} {reader}"), "5 5");
    drop(reader);
    let _writer = lock.write();
    assert_eq!(
        format!("{lock:?}"),
        format!("RwLock {{ raw: {}, data: <locked> }}", raw("write-locked", 0, false))
    );
}

#[test]
fn a_panic_releases_and_does_not_poison() {
    let lock = RwLock::new(1);
    let write = catch_unwind(AssertUnwindSafe(|| {
        *lock.write() = 2;
        let _writer = lock.write();
        panic!("with the lock held");
    }));
    let read = catch_unwind(AssertUnwindSafe(|| {
        let _reader = lock.read();
        panic!("with the lock held");
    }));
    assert!(write.is_err() && read.is_err());
    assert_eq!(*lock.try_write().expect("released by the unwinding"), 2);
}

#[test]
fn mapped_and_arc_guards() {
    let lock = Arc::new(RwLock::new((1, 2)));
    let mut second = RwLockWriteGuard::map(lock.write(), |pair| &mut pair.1);
    *second = 3;
    assert!(lock.try_read().is_none());
    let Err(second) = MappedRwLockWriteGuard::try_map(second, |_| None::<&mut u8>) else {
        panic!("there is no part")
    };
    drop(second);
    let (one, two) = (RwLockReadGuard::map(lock.read(), |pair| &pair.0), lock.try_read().unwrap());
    assert!(lock.try_write().is_none());
    assert_eq!((*MappedRwLockReadGuard::map(one, |one| one), two.1), (1, 3));
    drop(two);
    let upgradable = RwLockUpgradableReadGuard::map(lock.upgradable_read(), |pair| &pair.0);
    assert!(lock.try_upgradable_read().is_none());
    drop(upgradable);
    let mut guard = lock.write_arc();
    assert!(
        lock.try_read_arc().is_none()
            && lock.try_write_arc().is_none()
            && lock.try_upgradable_read_arc().is_none()
    );
    guard.0 = 5;
    drop(guard);
    let (reader, upgradable) = (lock.read_arc(), lock.try_upgradable_read_arc().unwrap());
    drop(lock);
    assert_eq!((reader.0, upgradable.1), (5, 3));
}

#[test]
fn a_condvar_waits_with_every_borrowed_guard() {
    let _watch = watch();
    let (lock, changed, waiting) = (RwLock::new(0), Condvar::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        let reads = scope.spawn(|| {
            let mut guard = lock.read();
            waiting.fetch_add(1, Ordering::Relaxed);
            while *guard == 0 {
                changed.wait(&mut guard);
            }
            *guard
        });
        let upgrades = scope.spawn(|| {
            let mut guard = lock.upgradable_read();
            waiting.fetch_add(1, Ordering::Relaxed);
            while *guard == 0 {
                changed.wait(&mut guard);
            }
            *RwLockUpgradableReadGuard::upgrade(guard)
        });
        let writes = scope.spawn(|| {
            let mut guard = lock.write();
            waiting.fetch_add(1, Ordering::Relaxed);
            changed.wait_while(&mut guard, |value| *value == 0);
            *guard
        });
        while waiting.load(Ordering::Relaxed) < 3 {
            thread::yield_now();
        }
        *lock.write() = 7;
        changed.notify_all();
        assert_eq!(
            [reads.join().unwrap(), upgrades.join().unwrap(), writes.join().unwrap()],
            [7; 3]
        );
    });
}

#[test]
fn the_rest_of_the_api() {
    let mut lock = RwLock::from(1);
    *lock.get_mut() = 2;
    assert!(!lock.is_locked() && !lock.is_locked_exclusive());
    assert_eq!(*RwLockReadGuard::rwlock(&lock.read()).try_read().unwrap(), 2);
    std::mem::forget(lock.write());
    assert!(lock.is_locked_exclusive());
    // SAFETY: the guard is forgotten, and no other thread uses the lock.
    unsafe { lock.raw() }.unlock_write().unwrap();
    std::mem::forget(lock.read());
    // SAFETY: the guard is forgotten, and no other thread uses the lock.
    unsafe { lock.reinit_after_fork() };
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner(), 2);
    assert_eq!(RwLock::<u8>::default().into_inner(), 0);
}
