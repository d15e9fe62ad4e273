//! Where a lock cannot be taken again for a guard that lives, the process aborts and prints why:
//! the guard would represent a lock that is not held.

#[path = "support/child.rs"]
mod child;

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sync_core::{
    Condvar, RawRwLock, ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard, WaitGuard,
};

const SENTENCE: &str = "fatal: a panic while a lock was taken again for a guard that lives";
const MOST_READERS: u32 = 1 << 25;

/// Runs the test `name` in a child, which is expected to abort with `sentence` on standard error.
fn aborts(name: &str, sentence: &str) {
    let output = child::run(name, Stdio::piped());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "the child went on: {stderr}");
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{stderr}");
    }
    assert!(stderr.contains(sentence), "{stderr}");
}

/// Takes the lock for reading as often as possible. No guards are made, so the holds stay taken.
fn read_as_often_as_possible(lock: &RawRwLock) {
    for _ in 0..MOST_READERS {
        lock.read();
    }
}

/// Waits with `guard` until as many readers as there can be hold the lock.
fn wait_among_too_many<'a, G: WaitGuard>(
    lock: &'a RwLock<u32>,
    take: impl FnOnce(&'a RwLock<u32>) -> G,
) {
    static FULL: AtomicBool = AtomicBool::new(false);
    let changed = Condvar::new();
    let mut guard = take(lock);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // SAFETY: the raw lock is not released through it.
            read_as_often_as_possible(unsafe { lock.raw() });
            FULL.store(true, Ordering::Release);
        });
        while !FULL.load(Ordering::Acquire) {
            let _ = changed.wait_for(&mut guard, Duration::from_millis(1));
        }
        let _ = changed.wait_for(&mut guard, Duration::from_millis(1));
    });
}

#[test]
fn a_wait_of_a_reader_among_too_many() {
    if child::is_child() {
        let lock = RwLock::new(1);
        wait_among_too_many(&lock, RwLock::read);
        return;
    }
    aborts("a_wait_of_a_reader_among_too_many", SENTENCE);
}

#[test]
fn a_wait_of_an_upgradable_reader_among_too_many() {
    if child::is_child() {
        let lock = RwLock::new(1);
        wait_among_too_many(&lock, RwLock::upgradable_read);
        return;
    }
    aborts("a_wait_of_an_upgradable_reader_among_too_many", SENTENCE);
}

#[test]
fn a_level_too_many_after_unlocked() {
    if child::is_child() {
        let lock = ReentrantMutex::new(());
        let mut guard = lock.lock();
        ReentrantMutexGuard::unlocked(&mut guard, || {
            // SAFETY: the level of the guard is given back at the moment; these are others.
            unsafe { lock.raw() }.lock_levels(u32::MAX);
        });
        return;
    }
    aborts("a_level_too_many_after_unlocked", SENTENCE);
}

/// Where there is no guard yet, one reader too many panics, and nothing is changed.
#[test]
fn counters_at_their_ends_panic_before_anything_changes() {
    let lock = RwLock::new(1);
    // SAFETY: the raw lock is not released through it.
    let raw = unsafe { lock.raw() };
    read_as_often_as_possible(raw);
    let before = format!("{raw:?}");
    let read = || drop::<RwLockReadGuard<'_, u32>>(lock.read());
    assert!(std::panic::catch_unwind(read).is_err());
    assert!(std::panic::catch_unwind(|| drop(lock.try_read())).is_err());
    assert!(std::panic::catch_unwind(|| drop(lock.try_upgradable_read())).is_err());
    assert_eq!(format!("{raw:?}"), before);
    raw.unlock_read().unwrap();
    read();

    let nested = sync_core::RawReentrantMutex::new();
    nested.lock_levels(u32::MAX);
    assert!(std::panic::catch_unwind(|| nested.lock()).is_err());
    assert!(std::panic::catch_unwind(|| nested.try_lock()).is_err());
    assert!(std::panic::catch_unwind(|| nested.lock_levels(1)).is_err());
    assert_eq!(nested.depth(), u32::MAX);
    assert_eq!(nested.unlock_all(), Ok(u32::MAX));

    let most = sync_core::RawSemaphore::MAX_PERMITS;
    let semaphore = sync_core::Semaphore::new(most);
    assert!(std::panic::catch_unwind(|| semaphore.add_permits(1)).is_err());
    assert!(std::panic::catch_unwind(|| semaphore.add_permits(u32::MAX)).is_err());
    assert_eq!(semaphore.available_permits(), most);
    assert!(std::panic::catch_unwind(|| drop(semaphore.acquire_many(u32::MAX))).is_err());
    assert!(semaphore.try_acquire_many(u32::MAX).is_err());
    let bounded = sync_core::BoundedSemaphore::new(most);
    assert!(bounded.release(1).is_err() && bounded.release(u32::MAX).is_err());
    assert_eq!(bounded.available_permits(), most);
    assert!(std::panic::catch_unwind(|| sync_core::Semaphore::new(u32::MAX)).is_err());

    assert!(std::panic::catch_unwind(|| sync_core::Barrier::new(u32::MAX)).is_err());
    assert!(std::panic::catch_unwind(|| sync_core::Barrier::new(0)).is_err());
    assert_eq!(sync_core::Barrier::new(sync_core::Barrier::MAX_PARTIES).waiting(), 0);
    assert!(std::panic::catch_unwind(|| sync_core::Latch::new(u32::MAX)).is_err());
    let latch = sync_core::Latch::new(sync_core::Latch::MAX_COUNT);
    assert!(std::panic::catch_unwind(|| latch.count_down(u32::MAX)).is_err());
    assert_eq!(latch.count(), sync_core::Latch::MAX_COUNT);
    latch.count_down(sync_core::Latch::MAX_COUNT);
    assert!(latch.is_open());
}
