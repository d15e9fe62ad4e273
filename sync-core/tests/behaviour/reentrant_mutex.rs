//! ReentrantMutex and RawReentrantMutex.

use std::cell::{Cell, RefCell};
use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{
    ArcReentrantMutexGuard, Condvar, MappedReentrantMutexGuard, NotOwner, RawReentrantMutex,
    ReentrantMutex, ReentrantMutexGuard,
};

use crate::WATCHED;
use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// The state that another thread sees.
fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}

#[test]
fn it_is_sixteen_bytes_and_built_in_constants() {
    static IN_A_STATIC: ReentrantMutex<Cell<u8>> = ReentrantMutex::new(Cell::new(7));
    const { assert!(WATCHED || size_of::<ReentrantMutex<()>>() <= 16) };
    assert_eq!(IN_A_STATIC.lock().get(), 7);
}

#[test]
fn it_is_send_and_sync_as_its_data_allows() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<ReentrantMutex<Cell<u8>>>();
    sync::<ReentrantMutex<Cell<u8>>>();
    sync::<ReentrantMutexGuard<'_, u8>>();
    sync::<MappedReentrantMutexGuard<'_, u8>>();
    sync::<ArcReentrantMutexGuard<u8>>();
}

#[test]
fn debug_shows_count_and_owner_to_any_thread() {
    let _watch = watch();
    let lock = RawReentrantMutex::new();
    assert_eq!(format!("{lock:?}"), "RawReentrantMutex { state: unlocked, owner: 0, count: 0 }");
    lock.lock();
    lock.lock();
    let here = format!("{lock:?}");
    assert!(
        here.starts_with("RawReentrantMutex { state: locked, owner: ")
            && here.ends_with(", count: 2 }"),
        "{here}"
    );
    assert!(!here.contains("owner: 0"), "{here}");
    assert_eq!(elsewhere(|| format!("{lock:?}")), here);
    lock.unlock_all().unwrap();
}

#[test]
fn debug_with_data_never_blocks() {
    let _watch = watch();
    let lock = ReentrantMutex::new(5);
    assert!(format!("{lock:?}").contains("data: 5"));
    let guard = lock.lock();
    assert!(format!("{lock:?}").contains("data: 5"), "the owner may look");
    assert!(elsewhere(|| format!("{lock:?}")).contains("data: <locked>"));
    assert_eq!(format!("{guard:?} {guard}"), "5 5");
    assert_eq!(lock.depth(), 1, "looking left no level behind");
}

#[test]
fn reacquire() {
    let _watch = watch();
    let lock = RawReentrantMutex::new();
    lock.lock();
    lock.lock();
    lock.unlock().unwrap();
    lock.lock();
    lock.unlock().unwrap();
    lock.unlock().unwrap();
    assert!(!lock.is_locked());
    assert!(elsewhere(|| lock.try_lock() && lock.unlock().is_ok()));
}

#[test]
fn release_of_what_is_not_held() {
    let lock = RawReentrantMutex::new();
    assert_eq!(lock.unlock(), Err(NotOwner));
    assert_eq!(lock.unlock_fair(), Err(NotOwner));
    lock.lock();
    lock.unlock().unwrap();
    assert_eq!(lock.unlock(), Err(NotOwner));
    lock.lock();
    lock.unlock().unwrap();
    assert_eq!(NotOwner.to_string(), "the lock is not held by this thread");
}

#[test]
fn locked_at_every_depth() {
    let lock = ReentrantMutex::new(());
    assert!(!lock.is_locked());
    let one = lock.lock();
    assert!(lock.is_locked());
    let two = lock.lock();
    assert!(lock.is_locked());
    drop(two);
    assert!(lock.is_locked());
    drop(one);
    assert!(!lock.is_locked());
}

#[test]
fn release_of_all_levels_by_another_thread() {
    let lock = RawReentrantMutex::new();
    assert_eq!(lock.unlock_all(), Err(NotOwner));
    lock.lock();
    assert_eq!(elsewhere(|| lock.unlock_all()), Err(NotOwner));
    assert_eq!(lock.depth(), 1);
    lock.unlock().unwrap();
}

#[test]
fn depth() {
    let lock = ReentrantMutex::new(());
    assert_eq!(lock.depth(), 0);
    let one = lock.lock();
    assert_eq!(lock.depth(), 1);
    let (two, three) = (lock.lock(), lock.lock());
    assert_eq!(lock.depth(), 3);
    assert_eq!(elsewhere(|| lock.depth()), 0, "of the thread that asks");
    drop(two);
    assert_eq!(lock.depth(), 2);
    drop((one, three));
    assert_eq!(lock.depth(), 0);
}

#[test]
fn release_by_another_thread() {
    let lock = RawReentrantMutex::new();
    lock.lock();
    assert_eq!(elsewhere(|| lock.unlock()), Err(NotOwner));
    assert!(lock.is_owned_by_current_thread());
    lock.unlock().unwrap();
}

#[test]
fn is_owned() {
    let lock = ReentrantMutex::new(());
    assert!(!lock.is_owned_by_current_thread());
    let one = lock.lock();
    let two = lock.lock();
    assert!(lock.is_owned_by_current_thread());
    assert!(!elsewhere(|| lock.is_owned_by_current_thread()));
    drop(one);
    assert!(lock.is_owned_by_current_thread());
    drop(two);
    assert!(!lock.is_owned_by_current_thread());
}

#[test]
fn timed_calls() {
    let _watch = watch();
    let lock = ReentrantMutex::new(());
    let held = lock.lock();
    assert!(lock.try_lock_for(Duration::ZERO).is_some(), "the owner is never kept waiting");
    assert!(lock.try_lock_until(Instant::now() - SHORT).is_some());
    let waited = elsewhere(|| {
        let started = Instant::now();
        assert!(lock.try_lock().is_none());
        assert!(lock.try_lock_for(SHORT).is_none());
        assert!(lock.try_lock_until(started).is_none());
        started.elapsed()
    });
    assert!(waited >= SHORT, "never early");
    drop(held);
    assert!(elsewhere(|| lock.try_lock_for(Duration::MAX).is_some()));
}

#[test]
fn a_wait_restores_the_depth() {
    let _watch = watch();
    let (lock, changed, ready) =
        (ReentrantMutex::new(()), Condvar::new(), std::sync::atomic::AtomicBool::new(false));
    let (_one, _two) = (lock.lock(), lock.lock());
    let mut three = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| {
            // Gets in only because the wait gives all three levels back.
            let _guard = lock.lock();
            ready.store(true, std::sync::atomic::Ordering::Relaxed);
            changed.notify_one();
        });
        while !ready.load(std::sync::atomic::Ordering::Relaxed) {
            changed.wait(&mut three);
        }
        assert_eq!(lock.depth(), 3);
    });
    assert!(changed.wait_for(&mut three, SHORT).timed_out());
    assert_eq!(lock.depth(), 3, "and after a timeout");
}

#[test]
fn raw_levels() {
    let lock = RawReentrantMutex::new();
    lock.lock_levels(0);
    assert!(!lock.is_locked());
    lock.lock_levels(3);
    assert_eq!(lock.unlock_all(), Ok(3));
    assert!(!lock.is_locked());
    lock.lock_levels(2);
    lock.lock_levels(2);
    assert_eq!(lock.depth(), 4);
    lock.unlock_all().unwrap();
}

#[test]
fn a_thread_that_ends_leaves_its_lock_to_no_thread() {
    let _watch = watch();
    let lock = Arc::new(RawReentrantMutex::new());
    let taken = Arc::clone(&lock);
    thread::spawn(move || taken.lock()).join().unwrap();
    for _ in 0..50 {
        // Each of these may get the system's number of the thread that ended.
        let lock = Arc::clone(&lock);
        thread::spawn(move || {
            assert!(!lock.try_lock());
            assert_eq!(lock.unlock(), Err(NotOwner));
        })
        .join()
        .unwrap();
    }
    assert!(lock.is_locked());
}

#[test]
fn too_deep_is_a_panic_that_changes_nothing() {
    let lock = RawReentrantMutex::new();
    lock.lock_levels(u32::MAX);
    let ways: [&dyn Fn() -> bool; 4] = [
        &|| {
            lock.lock();
            true
        },
        &|| lock.try_lock(),
        &|| lock.try_lock_for(SHORT),
        &|| {
            lock.lock_levels(2);
            true
        },
    ];
    for way in ways {
        assert!(catch_unwind(AssertUnwindSafe(way)).is_err());
    }
    assert_eq!(lock.unlock_all(), Ok(u32::MAX));
    lock.lock();
    lock.unlock().unwrap();
}

#[test]
fn a_panic_gives_its_levels_back() {
    let lock = ReentrantMutex::new(RefCell::new(1));
    let outer = lock.lock();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let inner = lock.lock();
        *inner.borrow_mut() = 2;
        panic!("with the lock held twice");
    }));
    assert!(panicked.is_err());
    assert_eq!(lock.depth(), 1);
    assert_eq!(*outer.borrow(), 2);
}

#[test]
fn unlocked_gives_back_one_level() {
    let _watch = watch();
    let lock = ReentrantMutex::new(());
    let mut one = lock.lock();
    ReentrantMutexGuard::unlocked(&mut one, || assert!(elsewhere(|| lock.try_lock().is_some())));
    let mut two = lock.lock();
    ReentrantMutexGuard::unlocked(&mut two, || {
        assert_eq!(lock.depth(), 1);
        assert!(elsewhere(|| lock.try_lock().is_none()));
    });
    assert_eq!(lock.depth(), 2);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ReentrantMutexGuard::unlocked(&mut two, || panic!("outside"))
    }));
    assert!(panicked.is_err());
    assert_eq!(lock.depth(), 2, "taken again by the unwinding");
}

#[test]
fn mapped_and_arc_guards() {
    let lock = Arc::new(ReentrantMutex::new((Cell::new(1), Cell::new(2))));
    let second = ReentrantMutexGuard::map(lock.lock(), |pair| &pair.1);
    second.set(3);
    let same = MappedReentrantMutexGuard::map(second, |cell| cell);
    assert_eq!(lock.depth(), 1);
    let Err(same) = MappedReentrantMutexGuard::try_map(same, |_| None::<&u8>) else {
        panic!("there is no part")
    };
    drop(same);
    let Err(whole) = ReentrantMutexGuard::try_map(lock.lock(), |_| None::<&u8>) else {
        panic!("there is no part")
    };
    drop(whole);
    assert_eq!(lock.depth(), 0);
    let (one, two) = (lock.lock_arc(), lock.try_lock_arc().unwrap());
    assert!(Arc::ptr_eq(ArcReentrantMutexGuard::lock(&one), &lock));
    assert!(elsewhere(|| lock.try_lock_arc_for(SHORT).is_none()
        && lock.try_lock_arc_until(Instant::now()).is_none()));
    assert_eq!(lock.depth(), 2);
    drop(lock);
    drop(one);
    assert_eq!(two.1.get(), 3);
}

#[test]
fn fair_releases_and_bumps() {
    let _watch = watch();
    let lock = ReentrantMutex::new(());
    let mut one = lock.lock();
    ReentrantMutexGuard::bump(&mut one);
    let two = lock.lock();
    ReentrantMutexGuard::bump(&mut one);
    assert_eq!(lock.depth(), 2, "a bump at depth two lets no thread in");
    ReentrantMutexGuard::unlock_fair(two);
    assert_eq!(lock.depth(), 1);
    ReentrantMutexGuard::unlock_fair(one);
    assert!(!lock.is_locked());
}

#[test]
fn the_rest_of_the_api() {
    let mut lock = ReentrantMutex::from(1);
    *lock.get_mut() = 2;
    assert_eq!(*ReentrantMutexGuard::mutex(&lock.lock()).lock(), 2);
    std::mem::forget(lock.lock());
    // SAFETY: the guard is forgotten, and no other thread uses the lock.
    unsafe { lock.raw() }.unlock().unwrap();
    std::mem::forget(lock.lock());
    // SAFETY: the guard is forgotten, and no other thread uses the lock.
    unsafe { lock.reinit_after_fork() };
    assert!(!lock.is_locked());
    assert_eq!(lock.into_inner(), 2);
    assert_eq!(ReentrantMutex::<u8>::default().into_inner(), 0);
}
