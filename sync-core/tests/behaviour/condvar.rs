//! Condvar.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Condvar, Mutex, MutexGuard, RwLock};

use crate::asleep::until_asleep;
use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// Runs `test` beside `count` threads that each wait once; `woken` says how many waits have ended.
/// Returns when all have.
fn with_waiters(count: usize, test: impl FnOnce(&Mutex<usize>, &Condvar, &AtomicUsize)) {
    let _watch = watch();
    let (waiting, changed, woken) = (Mutex::new(0), Condvar::new(), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..count {
            scope.spawn(|| {
                let mut guard = waiting.lock();
                *guard += 1;
                changed.wait(&mut guard);
                woken.fetch_add(1, Ordering::SeqCst);
            });
        }
        // A thread that counted itself under the lock has released it by waiting.
        until(|| *waiting.lock() == count);
        test(&waiting, &changed, &woken);
        while woken.load(Ordering::SeqCst) < count {
            changed.notify_all();
            thread::yield_now();
        }
    });
}

fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

#[test]
fn it_is_at_most_eight_bytes_and_built_in_constants() {
    static IN_A_STATIC: Condvar = Condvar::new();
    const { assert!(size_of::<Condvar>() <= 8) };
    IN_A_STATIC.notify_all();
    assert_eq!(format!("{:?}", Condvar::default()), "Condvar { waiters: 0 }");
}

#[test]
fn condition_and_lock_are_the_same_lock() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let mut guard = lock.lock();
    assert!(lock.try_lock().is_none());
    let _ = changed.wait_for(&mut guard, SHORT);
    assert!(lock.try_lock().is_none(), "held again after the wait");
}

#[test]
fn no_thread_notifies() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut guard = lock.lock();
                let started = Instant::now();
                assert!(changed.wait_for(&mut guard, SHORT).timed_out());
                assert!(started.elapsed() >= SHORT, "never early");
                *guard += 1;
            });
        }
    });
    assert_eq!(*lock.lock(), 5);
}

#[test]
fn wait_while_returns_when_the_condition_is_false() {
    let _watch = watch();
    let (state, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut guard = state.lock();
            changed.wait_while(&mut guard, |state| *state != 4);
            *guard
        });
        for _ in 0..4 {
            *state.lock() += 1;
            changed.notify_one();
        }
        assert_eq!(waits.join().unwrap(), 4);
    });
}

#[test]
fn notifications_do_not_restart_the_timeout() {
    let _watch = watch();
    let (state, changed) = (Mutex::new(0), Condvar::new());
    let ended = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut guard = state.lock();
            let started = Instant::now();
            let result =
                changed.wait_while_for(&mut guard, |state| *state != usize::MAX, 5 * SHORT);
            assert!(result.timed_out());
            assert!(started.elapsed() >= 5 * SHORT);
            ended.store(1, Ordering::SeqCst);
        });
        // If each notification gave the whole timeout again, this would never end, and the watchdog
        // would say so.
        while ended.load(Ordering::SeqCst) == 0 {
            *state.lock() = 1;
            changed.notify_one();
            thread::sleep(Duration::from_millis(1));
        }
    });
}

#[test]
fn notify_one_ends_one_wait_and_notify_many_that_many() {
    with_waiters(6, |_, changed, woken| {
        // From counted to asleep: a waiter in between would be an extra, permitted wake-up.
        thread::sleep(SHORT);
        changed.notify_many(2);
        until(|| woken.load(Ordering::SeqCst) >= 2);
        thread::sleep(SHORT);
        let first = woken.load(Ordering::SeqCst);
        changed.notify_one();
        until(|| woken.load(Ordering::SeqCst) > first);
        changed.notify_all();
        until(|| woken.load(Ordering::SeqCst) == 6);
    });
}

#[test]
fn no_time_still_lets_others_have_the_lock() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let mut guard = lock.lock();
        scope.spawn(|| *lock.lock() = true);
        while !*guard {
            assert!(changed.wait_for(&mut guard, Duration::ZERO).timed_out());
            assert!(changed.wait_until(&mut guard, Instant::now() - SHORT).timed_out());
        }
    });
}

#[test]
fn the_condition_is_looked_at_before_and_after() {
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let mut looks = 0;
    let result = changed.wait_while_for(
        &mut lock.lock(),
        |()| {
            looks += 1;
            true
        },
        Duration::ZERO,
    );
    assert!(result.timed_out());
    assert_eq!(looks, 2);
    let mut guard = lock.lock();
    let mut first = true;
    let at_the_deadline =
        changed.wait_while_until(&mut guard, |()| std::mem::take(&mut first), Instant::now());
    assert!(!at_the_deadline.timed_out(), "true at the deadline is success");
}

#[test]
fn notifications_are_not_kept() {
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    changed.notify_many(0);
    changed.notify_many(1000);
    changed.notify_one();
    changed.notify_all();
    assert!(changed.wait_for(&mut lock.lock(), SHORT).timed_out());
    with_waiters(3, |_, changed, woken| {
        changed.notify_many(0);
        changed.notify_many(1000);
        until(|| woken.load(Ordering::SeqCst) == 3);
    });
}

#[test]
fn waits_that_timed_out_absorb_no_later_notification() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    for _ in 0..3 {
        assert!(changed.wait_for(&mut lock.lock(), Duration::from_millis(1)).timed_out());
    }
    assert_eq!(format!("{changed:?}"), "Condvar { waiters: 0 }");
}

#[test]
fn a_panicking_condition_leaves_the_lock_held() {
    let (lock, changed) = (Mutex::new(()), Condvar::new());
    let mut guard = lock.lock();
    let panicked =
        catch_unwind(AssertUnwindSafe(|| changed.wait_while(&mut guard, |()| panic!("condition"))));
    assert!(panicked.is_err());
    assert!(lock.is_locked());
    drop(guard);
    assert!(lock.try_lock().is_some());
}

#[test]
fn the_timeout_does_not_bound_taking_the_lock_again() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(0), Condvar::new());
    // On a busy machine the wait may be over before this thread has the lock; then it has shown
    // nothing, and is tried again.
    loop {
        *lock.lock() = 0;
        let shown = thread::scope(|scope| {
            let mut guard = lock.lock();
            let waits = scope.spawn(|| {
                let mut guard = lock.lock();
                *guard = 1;
                let timed_out = changed.wait_for(&mut guard, SHORT).timed_out();
                *guard += 10;
                (timed_out, *guard)
            });
            while *guard == 0 {
                MutexGuard::unlocked(&mut guard, thread::yield_now);
            }
            if *guard != 1 {
                return false;
            }
            thread::sleep(2 * SHORT);
            assert!(!waits.is_finished(), "it needs the lock to return");
            *guard = 2;
            drop(guard);
            assert_eq!(waits.join().unwrap(), (true, 12));
            true
        });
        if shown {
            break;
        }
    }
}

#[test]
fn several_conditions_share_a_lock_and_every_guard_of_the_whole_data_will_do() {
    let _watch = watch();
    let (lock, first, second) = (Arc::new(Mutex::new((0, 0))), Condvar::new(), Condvar::new());
    thread::scope(|scope| {
        scope.spawn(|| first.wait_while(&mut lock.lock(), |data| data.0 == 0));
        scope.spawn(|| second.wait_while(&mut lock.lock_arc(), |data| data.1 == 0));
        thread::sleep(SHORT);
        lock.lock().0 = 1;
        first.notify_one();
        lock.lock().1 = 1;
        second.notify_all();
    });
}

#[test]
fn the_longest_timeout_waits_for_a_notification() {
    let _watch = watch();
    let (lock, changed) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut guard = lock.lock();
            changed.wait_while_for(&mut guard, |done| !*done, Duration::MAX).timed_out()
        });
        thread::sleep(SHORT);
        *lock.lock() = true;
        changed.notify_one();
        assert!(!waits.join().unwrap());
    });
}
/// Without the lock there is no guard, and without a guard no wait: `Condvar::wait` has a
/// `compile_fail` example. What can be written down is a wait with the guard of some other lock,
/// which is the caller's own business.
#[test]
fn a_wait_takes_a_guard() {
    fn is_a_guard<G: sync_core::WaitGuard>(_: &G) {}
    let (lock, nested, shared) =
        (Mutex::new(()), sync_core::ReentrantMutex::new(()), RwLock::new(()));
    is_a_guard(&lock.lock());
    is_a_guard(&nested.lock());
    is_a_guard(&shared.read());
    is_a_guard(&sync_core::FairMutex::new(()).lock());
}

/// Python refuses a notification without the lock; here it is allowed, as in `std`: the change
/// belongs under the lock, the notification need not be.
#[test]
fn notify_without_the_lock() {
    let _watch = watch();
    let (state, changed) = (Mutex::new(false), Condvar::new());
    thread::scope(|scope| {
        let waits = scope.spawn(|| {
            let mut guard = state.lock();
            changed.wait_while(&mut guard, |ready| !*ready);
        });
        let held = state.lock();
        drop(held);
        *state.lock() = true;
        assert!(!state.is_locked() || state.try_lock().is_none());
        changed.notify_one();
        waits.join().unwrap();
    });
}

/// Python's `wait_for` returns what its predicate returned last. Here the condition is a closure,
/// and what it found it can leave outside.
#[test]
fn the_last_value_of_the_condition() {
    let _watch = watch();
    let (state, changed) = (Mutex::new(Vec::<&str>::new()), Condvar::new());
    let mut guard = state.lock();
    let mut last = None;
    let result = changed.wait_while_for(
        &mut guard,
        |state| {
            last = Some(state.len());
            state.is_empty()
        },
        SHORT,
    );
    assert!(result.timed_out());
    assert_eq!(last, Some(0), "what it found when the time was up");
    drop(guard);
    thread::scope(|scope| {
        scope.spawn(|| {
            state.lock().push("tok");
            changed.notify_one();
        });
        let mut found = None;
        let mut guard = state.lock();
        changed.wait_while(&mut guard, |state| {
            found = state.pop();
            found.is_none()
        });
        assert_eq!(found, Some("tok"));
    });
}

/// In which order those who wait are woken is not said; that each notification ends one wait is.
#[test]
fn as_many_as_are_notified() {
    let (order, count) = (std::sync::Mutex::new(Vec::new()), 4);
    let _watch = watch();
    let (waiting, changed) = (Mutex::new(0), Condvar::new());
    thread::scope(|scope| {
        for name in 0..count {
            let (order, waiting, changed) = (&order, &waiting, &changed);
            scope.spawn(move || {
                let mut guard = waiting.lock();
                *guard += 1;
                changed.wait(&mut guard);
                order.lock().unwrap().push(name);
            });
        }
        until(|| *waiting.lock() == count);
        for ended in 1..=count {
            changed.notify_one();
            until(|| order.lock().unwrap().len() >= ended);
        }
    });
    let mut order = order.into_inner().unwrap();
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2, 3]);
}

#[test]
fn a_notification_returns_how_many_threads_it_woke() {
    let _watch = watch();
    const SLEEPERS: usize = 3;
    let (lock, changed, go) = (Mutex::new(()), Condvar::new(), AtomicBool::new(false));
    assert!(!changed.notify_one() && changed.notify_all() == 0 && changed.notify_many(7) == 0);
    let tasks = [const { AtomicU32::new(0) }; SLEEPERS];
    thread::scope(|scope| {
        for task in &tasks {
            let (lock, changed, go) = (&lock, &changed, &go);
            scope.spawn(move || {
                let mut guard = lock.lock();
                task.store(sync_core::thread::native_id(), Ordering::Relaxed);
                while !go.load(Ordering::Relaxed) {
                    changed.wait(&mut guard);
                }
            });
        }
        let all_asleep = || {
            for task in &tasks {
                until_asleep(task);
            }
        };
        // One that sleeps may sleep for the lock, or wake for no reason: asked until it is seen.
        let until = |notified: &dyn Fn() -> bool| {
            loop {
                all_asleep();
                if notified() {
                    return;
                }
            }
        };
        until(&|| changed.notify_one());
        until(&|| changed.notify_many(2) == 2);
        until(&|| changed.notify_all() == SLEEPERS);
        all_asleep();
        assert_eq!(changed.notify_many(0), 0);
        let _guard = lock.lock();
        go.store(true, Ordering::Relaxed);
        changed.notify_all();
    });
    assert_eq!(changed.notify_all(), 0);
}

#[test]
fn the_waiters_of_one_condition_may_hold_different_locks() {
    let _watch = watch();
    let changed = Condvar::new();
    let (first, second, third) = (Mutex::new(0), Mutex::new(0), RwLock::new(0));
    thread::scope(|scope| {
        scope.spawn(|| changed.wait_while(&mut first.lock(), |n| *n == 0));
        scope.spawn(|| changed.wait_while(&mut second.lock(), |n| *n == 0));
        scope.spawn(|| changed.wait_while(&mut third.write(), |n| *n == 0));
        *first.lock() += 1;
        changed.notify_all();
        *second.lock() += 1;
        *third.write() += 1;
        changed.notify_all();
    });
}
