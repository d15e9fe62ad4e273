//! FairMutex and RawFairMutex.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Condvar, FairMutex, FairMutexGuard, NotLocked, RawFairMutex};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);
/// Long enough for a thread to fall asleep; no result depends on it.
const A_MOMENT: Duration = Duration::from_millis(10);

fn elsewhere<R: Send>(f: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(f).join().unwrap())
}

#[test]
fn it_is_built_in_constants_and_shared() {
    static IN_A_STATIC: FairMutex<u8> = FairMutex::with_interval(7, Duration::from_millis(1));
    fn sync<T: Sync + Send>() {}
    sync::<FairMutex<std::cell::Cell<u8>>>();
    assert_eq!((*IN_A_STATIC.lock(), IN_A_STATIC.interval()), (7, Duration::from_millis(1)));
    assert_eq!(FairMutex::new(()).interval(), Duration::from_millis(5));
    const { assert!(size_of::<RawFairMutex>() <= 80) };
}

#[test]
fn first_come_first_served() {
    let _watch = watch();
    let order = FairMutex::new(Vec::new());
    let held = order.lock();
    thread::scope(|scope| {
        for me in 0..5 {
            let order = &order;
            scope.spawn(move || order.lock().push(me));
            // In the queue before the next one starts. Only this wait is by the clock: an order
            // that a slow machine mixes up is seen below.
            thread::sleep(SHORT);
        }
        drop(held);
    });
    let order = order.into_inner();
    assert_eq!(order.len(), 5);
    if order != [0, 1, 2, 3, 4] {
        eprintln!("the threads came in another order: {order:?}");
    }
}

#[test]
fn no_thread_overtakes_a_queue() {
    let _watch = watch();
    let lock = FairMutex::new(0);
    let mut held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| *lock.lock() += 1);
        // Yielding lets exactly those in who wait; without one it comes back at once.
        while !FairMutexGuard::yield_now(&mut held) {
            thread::yield_now();
        }
        assert_eq!(*held, 1, "the waiter was in");
    });
    drop(held);
    assert!(lock.try_lock().is_some());
}

#[test]
fn a_waiter_asks_after_an_interval() {
    let _watch = watch();
    let lock = FairMutex::with_interval(false, Duration::from_millis(1));
    let mut held = lock.lock();
    assert!(!FairMutexGuard::should_yield(&held));
    thread::scope(|scope| {
        scope.spawn(|| *lock.lock() = true);
        while !FairMutexGuard::should_yield(&held) {
            thread::yield_now();
        }
        assert!(FairMutexGuard::yield_now(&mut held));
        assert!(*held && !FairMutexGuard::should_yield(&held));
    });
}

#[test]
fn a_request_goes_with_its_asker() {
    let _watch = watch();
    let lock = FairMutex::with_interval((), Duration::from_millis(1));
    let mut held = lock.lock();
    assert!(elsewhere(|| lock.try_lock_for(SHORT).is_none()));
    assert!(!FairMutexGuard::should_yield(&held));
    assert!(!FairMutexGuard::yield_now(&mut held), "there is no thread to yield to");
}

#[test]
fn without_an_interval_no_thread_asks() {
    let _watch = watch();
    let lock = FairMutex::with_interval((), Duration::MAX);
    let held = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| drop(lock.lock()));
        thread::sleep(A_MOMENT);
        assert!(!FairMutexGuard::should_yield(&held));
        drop(held);
    });
}

#[test]
fn timeouts() {
    let _watch = watch();
    let lock = FairMutex::new(());
    assert!(
        lock.try_lock_for(Duration::MAX).is_some() && lock.try_lock_for(Duration::ZERO).is_some()
    );
    let held = lock.lock();
    let started = Instant::now();
    assert!(elsewhere(|| lock.try_lock().is_none() && lock.try_lock_for(SHORT).is_none()));
    assert!(started.elapsed() >= SHORT, "never early");
    assert!(elsewhere(|| lock.try_lock_until(started).is_none()));
    drop(held);
    assert!(lock.try_lock_until(started).is_some(), "those who gave up left nothing behind");
}

#[test]
fn unlocked_lets_others_in() {
    let _watch = watch();
    let lock = FairMutex::new(0);
    let mut held = lock.lock();
    FairMutexGuard::unlocked(&mut held, || elsewhere(|| *lock.lock() += 1));
    assert_eq!(*held, 1);
}

#[test]
fn a_condvar_waits_with_it() {
    let _watch = watch();
    let (lock, changed) = (FairMutex::new(false), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| {
            *lock.lock() = true;
            changed.notify_one();
        });
        changed.wait_while(&mut lock.lock(), |done| !*done);
    });
}

#[test]
fn the_raw_lock() {
    let _watch = watch();
    let lock = RawFairMutex::default();
    assert_eq!(lock.unlock(), Err(NotLocked));
    lock.lock();
    assert!(lock.is_locked() && !lock.yield_now());
    assert_eq!(elsewhere(|| lock.unlock()), Ok(()), "by another thread");
    assert_eq!(format!("{lock:?}"), "RawFairMutex { state: unlocked, interval: 5ms }");
    lock.lock();
    // SAFETY: no other thread uses the lock.
    unsafe { lock.reinit_after_fork() };
    assert!(!lock.is_locked());
}

#[test]
fn debug_and_the_rest() {
    let mut lock = FairMutex::from(5);
    assert_eq!(format!("{lock:?}"), "FairMutex { state: unlocked, data: 5 }");
    let held = lock.lock();
    assert_eq!(format!("{lock:?}"), "FairMutex { state: locked, data: <locked> }");
    drop(held);
    *lock.get_mut() += 1;
    std::mem::forget(lock.lock());
    assert!(lock.is_locked());
    // SAFETY: the guard is forgotten.
    unsafe { lock.raw() }.unlock().unwrap();
    // SAFETY: no other thread uses the lock.
    unsafe { lock.reinit_after_fork() };
    assert_eq!((lock.into_inner(), FairMutex::<u8>::default().into_inner()), (6, 0));
}

#[test]
fn a_panic_hands_it_over() {
    let _watch = watch();
    let (lock, entered) = (FairMutex::new(()), AtomicBool::new(false));
    thread::scope(|scope| {
        let held = lock.lock();
        scope.spawn(|| {
            let _held = lock.lock();
            entered.store(true, Ordering::Relaxed);
        });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _held = held;
            thread::sleep(A_MOMENT);
            panic!("with the lock held");
        }));
        assert!(panicked.is_err());
    });
    assert!(entered.into_inner());
}
