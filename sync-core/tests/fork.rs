//! `reinit_after_fork`: the child of a fork has one thread and whatever state the others left; the
//! primitives work again once they are told.
#![cfg(target_os = "linux")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sync_core::{AutoResetEvent, Barrier, BoundedSemaphore, Event, Mutex, RawSemaphore, Semaphore};

static MUTEX: Mutex<u32> = Mutex::new(0);
static SEMAPHORE: Semaphore = Semaphore::new(2);
static RAW: RawSemaphore = RawSemaphore::new(1);
static BOUNDED: BoundedSemaphore = BoundedSemaphore::new(2);
static EVENT: Event = Event::new();
static AUTO: AutoResetEvent = AutoResetEvent::new();
static BARRIER: Barrier = Barrier::new(2);

const MOMENT: Duration = Duration::from_millis(1);

/// What the child does; the first thing that is not as it should be is its exit code. It must not
/// allocate or panic: another thread may have held the allocator's lock when the process was
/// forked.
fn child() -> i32 {
    let checks = || {
        // Everything is as the threads left it that are not here.
        if MUTEX.try_lock().is_some() || SEMAPHORE.try_acquire().is_ok() || BARRIER.waiting() != 1 {
            return 1;
        }
        // SAFETY: the child has one thread, which holds no guard; the data under the mutex is a
        // number.
        unsafe {
            MUTEX.reinit_after_fork();
            SEMAPHORE.reinit_after_fork(2);
            RAW.reinit_after_fork(1);
            BOUNDED.reinit_after_fork();
            EVENT.reinit_after_fork();
            AUTO.reinit_after_fork();
            BARRIER.reinit_after_fork();
        }
        if MUTEX.try_lock_for(MOMENT).is_none() {
            return 2;
        }
        match (
            SEMAPHORE.try_acquire_many_for(2, MOMENT),
            RAW.try_acquire_for(1, MOMENT),
            BOUNDED.try_acquire_many_for(2, MOMENT),
        ) {
            (Ok(_), Ok(()), Ok(_)) => {}
            _ => return 3,
        }
        if BOUNDED.release(1).is_ok() || SEMAPHORE.available_permits() != 2 {
            return 4;
        }
        EVENT.set();
        AUTO.set();
        if !EVENT.wait_for(MOMENT) || !AUTO.wait_for(MOMENT) {
            return 5;
        }
        // Nobody waits any more: alone, this thread is the first of two.
        match BARRIER.wait_for(MOMENT) {
            Err(broken) if broken.timed_out() => 0,
            _ => 6,
        }
    };
    checks()
}

#[test]
fn ev_05_the_child_of_a_fork_can_use_everything_again() {
    static HELD: AtomicU32 = AtomicU32::new(0);
    // A thread that holds and one that waits at the barrier, neither of which the child has.
    let holds = std::thread::spawn(|| {
        let _mutex = MUTEX.lock();
        let _permits = (SEMAPHORE.acquire_many(2).unwrap(), BOUNDED.acquire_many(2).unwrap());
        RAW.acquire(1).unwrap();
        HELD.store(1, Ordering::Release);
        EVENT.wait();
    });
    let waits = std::thread::spawn(|| BARRIER.wait().is_ok());
    while HELD.load(Ordering::Acquire) == 0 || BARRIER.waiting() == 0 {
        std::thread::yield_now();
    }
    // SAFETY: the child calls nothing that is not safe after a fork: atomics, futexes and `_exit`.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    if pid == 0 {
        let code = child();
        // SAFETY: ends the child without running what belongs to the parent.
        unsafe { libc::_exit(code) };
    }
    let mut status = 0;
    // SAFETY: waits for our own child, and writes to our own variable.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child ended with status {status:#x}");
    assert_eq!(libc::WEXITSTATUS(status), 0, "which check of the child failed");
    // The parent's own are as they were.
    assert!(BARRIER.wait().is_ok() && waits.join().unwrap());
    EVENT.set();
    holds.join().unwrap();
    assert!(MUTEX.try_lock().is_some());
}
