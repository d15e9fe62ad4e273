//! Checks that a call that wakes no thread and does not wait makes no system call.
//!
//! The proof is the kernel's: a child process switches to seccomp's strict mode, in which every
//! system call but `read`, `write` and `exit` kills it, and then does all of it. The build under
//! test is the ordinary one; nothing counts, nothing is hooked. A second child shows that the
//! method works: it wakes a thread, and is killed for it.
// The feature `deadlock` keeps lists, and may allocate.
#![cfg(all(target_os = "linux", not(sync_futex_fallback), not(feature = "deadlock")))]

use sync_core::{
    AutoResetEvent, Barrier, BoundedSemaphore, Condvar, Event, FairMutex, Latch, Mutex, Once,
    Parker, RawMutex, RawSemaphore, ReentrantMutex, RwLock, RwLockUpgradableReadGuard, Semaphore,
};

/// Runs `body` in a child that may make no system call; whether the child survived.
fn survives(body: impl FnOnce()) -> bool {
    // SAFETY: the child calls nothing that is not safe after a fork.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        // SAFETY: strict mode takes no pointers; from here on only `exit` is left. Not `_exit`,
        // whose `exit_group` is not allowed.
        unsafe {
            if libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) != 0 {
                libc::_exit(2);
            }
            body();
            libc::syscall(libc::SYS_exit, 0);
        }
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(!(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 2), "no seccomp here");
    libc::WIFEXITED(status)
}

#[test]
fn without_waiters_nothing_calls_the_system() {
    // Made before the fork: an allocation may call the system.
    let parker = Parker::new();
    assert!(survives(|| {
        let mutex = Mutex::new(0);
        *mutex.lock() += 1;
        let raw = RawMutex::new();
        raw.lock();
        let _ = raw.unlock();

        let condvar = Condvar::new();
        condvar.notify_one();
        condvar.notify_all();

        let semaphore = Semaphore::new(2);
        drop(semaphore.acquire());
        drop(semaphore.acquire_many(2));
        semaphore.add_permits(1);
        let _ = semaphore.try_acquire_many(5).is_ok();
        let raw = RawSemaphore::new(0);
        let _ = raw.release(3);
        let bounded = BoundedSemaphore::new(1);
        let _ = bounded.release(1);

        let event = Event::new();
        event.set();
        event.set();
        event.wait();
        event.clear();
        let auto = AutoResetEvent::new();
        auto.set();
        auto.wait();

        let barrier = Barrier::new(1);
        let _ = barrier.wait();
        barrier.reset();
        barrier.abort();

        let latch = Latch::new(2);
        latch.count_down(2);
        latch.wait();

        parker.unparker().unpark();
        parker.park();

        let nested = ReentrantMutex::new(());
        drop((nested.lock(), nested.lock()));
        let fair = FairMutex::new(());
        drop(fair.lock());
        let shared = RwLock::new(());
        drop((shared.read(), shared.try_read()));
        drop(shared.write());
        drop(RwLockUpgradableReadGuard::upgrade(shared.upgradable_read()));
        let once = Once::new();
        once.call_once(|| ());
        once.call_once(|| ());
        once.wait();
    }));
}

#[test]
fn the_method_finds_a_system_call() {
    let event = Event::new();
    // No thread sleeps, but one has waited and the event does not know that it has left: the wake
    // that this costs is allowed, and is seen.
    assert!(!event.wait_timeout(std::time::Duration::from_millis(1)));
    assert!(!survives(|| event.set()));
}
