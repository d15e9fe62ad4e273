//! Mutex and RawMutex.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{
    ArcMutexGuard, MappedMutexGuard, Mutex, MutexGuard, NotLocked, RawMutex, ReentrantMutex,
};

use crate::WATCHED;
use crate::asleep::until_asleep;
use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_mutex_is_four_bytes_and_built_in_constants() {
    static IN_A_STATIC: Mutex<u8> = Mutex::new(7);
    const { assert!(WATCHED || size_of::<Mutex<()>>() == 4) };
    const { assert!(size_of::<RawMutex>() == 4) };
    assert_eq!(*IN_A_STATIC.lock(), 7);
}

#[test]
fn it_is_send_and_sync_as_its_data_allows() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Mutex<std::cell::Cell<u8>>>();
    sync::<Mutex<std::cell::Cell<u8>>>();
    sync::<MutexGuard<'_, u8>>();
    sync::<MappedMutexGuard<'_, u8>>();
    sync::<ArcMutexGuard<u8>>();
    sync::<RawMutex>();
}

#[test]
fn new_is_unlocked() {
    let lock = Mutex::new(1);
    assert!(!lock.is_locked());
    drop(Mutex::new(String::from("never locked")));
    assert_eq!(lock.into_inner(), 1);
}

#[test]
fn debug_of_a_free_lock() {
    assert_eq!(format!("{:?}", Mutex::new(5)), "Mutex { state: unlocked, data: 5 }");
    assert_eq!(format!("{:?}", RawMutex::new()), "RawMutex { state: unlocked }");
}

#[test]
fn debug_of_a_held_lock_never_blocks() {
    let _watch = watch();
    let lock = Mutex::new(5);
    let guard = lock.lock();
    assert_eq!(format!("{lock:?}"), "Mutex { state: locked, data: <locked> }");
    assert_eq!(format!("{guard:?} {guard}"), "5 5");
}

#[test]
fn dropped_while_held() {
    let lock = Mutex::new(Arc::new(()));
    let data = Arc::clone(&*lock.lock());
    std::mem::forget(lock.lock());
    drop(lock);
    assert_eq!(Arc::strong_count(&data), 1, "the data was dropped with the lock");
    RawMutex::new().lock();
}

#[test]
fn acquire_release() {
    let lock = Mutex::new(0);
    for _ in 0..3 {
        *lock.lock() += 1;
    }
    assert_eq!(*lock.lock(), 3);
}

#[test]
fn try_lock_of_a_held_lock() {
    let lock = Mutex::new(0);
    let guard = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| assert!(lock.try_lock().is_none()));
    });
    assert!(lock.is_locked());
    drop(guard);
    assert!(lock.try_lock().is_some());
}

#[test]
fn release_wakes_each_in_turn() {
    let _watch = watch();
    let lock = Mutex::new(());
    let done = AtomicUsize::new(0);
    let guard = lock.lock();
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                drop(lock.lock());
                done.fetch_add(1, Ordering::Relaxed);
            });
        }
        thread::sleep(SHORT);
        assert_eq!(done.load(Ordering::Relaxed), 0);
        drop(guard);
    });
    assert_eq!(done.load(Ordering::Relaxed), 5);
}

#[test]
fn a_panic_releases_and_does_not_poison() {
    let lock = Mutex::new(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = lock.lock();
        *guard = 2;
        panic!("with the lock held");
    }));
    assert!(panicked.is_err());
    assert_eq!(*lock.try_lock().expect("released by the unwinding"), 2);
}

#[test]
fn used_by_threads_of_any_origin() {
    let lock = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..15)
        .map(|_| {
            let lock = Arc::clone(&lock);
            thread::spawn(move || *lock.lock() += 1)
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*lock.lock(), 15);
    assert_eq!(Arc::strong_count(&lock), 1, "no record of a thread keeps the lock");
}

#[test]
fn timeouts() {
    let _watch = watch();
    let lock = Mutex::new(());
    let far = Instant::now() + Duration::from_secs(3600);
    assert!(lock.try_lock_for(Duration::MAX).is_some(), "the longest timeout on a free lock");
    assert!(lock.try_lock_for(Duration::from_secs(3600)).is_some());
    assert!(lock.try_lock_for(Duration::ZERO).is_some(), "no time at all still takes what is free");
    assert!(lock.try_lock_until(far).is_some());
    assert!(lock.try_lock_until(Instant::now() - SHORT).is_some());
    let _held = lock.lock();
    let started = Instant::now();
    assert!(lock.try_lock_for(SHORT).is_none());
    assert!(started.elapsed() >= SHORT, "never early");
    assert!(lock.try_lock_until(started).is_none());
    assert!(lock.try_lock_for(Duration::ZERO).is_none());
}

#[test]
fn the_longest_timeout_waits() {
    let _watch = watch();
    let lock = Mutex::new(());
    let held = lock.lock();
    thread::scope(|scope| {
        let waits = scope.spawn(|| lock.try_lock_for(Duration::MAX).is_some());
        thread::sleep(SHORT);
        assert!(!waits.is_finished(), "forever, and not at once");
        drop(held);
        assert!(waits.join().unwrap());
    });
}

#[test]
fn released_by_another_thread() {
    let _watch = watch();
    let lock = RawMutex::new();
    lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| lock.unlock().unwrap());
    });
    assert!(!lock.is_locked());
}

#[test]
fn a_timeout_leaves_no_residue() {
    let lock = RawMutex::new();
    lock.lock();
    assert!(!lock.try_lock_for(SHORT));
    lock.unlock().unwrap();
    assert!(!lock.is_locked());
    assert!(lock.try_lock());
}

#[test]
fn reinit_makes_it_usable_in_either_state() {
    for held in [false, true] {
        let lock = Mutex::new(3);
        if held {
            std::mem::forget(lock.lock());
        }
        // SAFETY: one thread, and the guard was forgotten.
        unsafe { lock.reinit_after_fork() };
        assert_eq!(*lock.try_lock().expect("free"), 3);
    }
}

#[test]
fn release_of_a_free_lock_is_an_error() {
    let lock = RawMutex::new();
    assert_eq!(lock.unlock(), Err(NotLocked));
    assert!(lock.try_lock(), "nothing was changed");
    lock.unlock().unwrap();
    assert_eq!(lock.unlock().unwrap_err().to_string(), "the lock is not locked");
}

/// Signals interrupt the system call; the wait goes on against the same deadline.
#[cfg(target_os = "linux")]
#[test]
fn signals_do_not_prolong_a_timed_wait() {
    extern "C" fn nothing(_: libc::c_int) {}
    let _watch = watch();
    // SAFETY: the handler does nothing; no other test of this process uses SIGUSR1.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()), 0);
    }
    let lock = Mutex::new(());
    let _held = lock.lock();
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let lock = &lock;
        let waits = scope.spawn(move || {
            // SAFETY: always succeeds.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            let started = Instant::now();
            assert!(lock.try_lock_for(Duration::from_millis(200)).is_none());
            started.elapsed()
        });
        let target = receiver.recv().unwrap();
        loop {
            // SAFETY: the thread is not joined yet, so the handle is valid even if it has ended.
            unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
            if waits.is_finished() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let waited = waits.join().unwrap();
        assert!(waited >= Duration::from_millis(200), "an interruption is not a timeout");
    });
}

/// A handler that raises does not exist here: a wait ends by its lock or its time, and who wants to
/// end it otherwise gives it a time.
#[cfg(target_os = "linux")]
#[test]
fn a_signal_is_handled_and_ends_no_wait() {
    static HANDLED: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn counts(_: libc::c_int) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    let _watch = watch();
    // SAFETY: the handler counts in an atomic; no other test of this process uses SIGUSR2.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = counts as *const () as usize;
        assert_eq!(libc::sigaction(libc::SIGUSR2, &action, std::ptr::null_mut()), 0);
    }
    let (lock, nested) = (Mutex::new(()), ReentrantMutex::new(()));
    let (held, held_too) = (lock.lock(), nested.lock());
    let (sender, receiver) = channel();
    thread::scope(|scope| {
        let (lock, nested) = (&lock, &nested);
        let waits = scope.spawn(move || {
            // SAFETY: always succeeds.
            sender.send(unsafe { libc::pthread_self() }).unwrap();
            drop(lock.lock());
            assert!(nested.try_lock_for(Duration::MAX).is_some());
        });
        let target = receiver.recv().unwrap();
        while HANDLED.load(Ordering::SeqCst) < 5 {
            // SAFETY: the thread waits for the lock, so it lives.
            unsafe { libc::pthread_kill(target, libc::SIGUSR2) };
            thread::sleep(Duration::from_millis(1));
        }
        assert!(!waits.is_finished());
        drop((held, held_too));
        waits.join().unwrap();
    });
}

/// The combination that Python refuses, an attempt with a timeout, cannot be written down:
/// `try_lock` takes none.
#[test]
fn no_time_is_a_poll() {
    let lock = Mutex::new(());
    let held = lock.try_lock_for(Duration::ZERO).expect("free");
    assert!(lock.try_lock_for(Duration::ZERO).is_none() && lock.try_lock().is_none());
    drop(held);
    assert!(lock.try_lock_for(Duration::ZERO).is_some());
}

/// Which of those who wait comes next is not said, and a running thread may be before all of them;
/// but a release lets exactly one in.
#[test]
fn a_release_lets_exactly_one_in() {
    let _watch = watch();
    let lock = Mutex::new(());
    let (inside, goes_on) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let held = lock.lock();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let held = lock.lock();
                let mine = inside.fetch_add(1, Ordering::SeqCst);
                while goes_on.load(Ordering::SeqCst) <= mine {
                    thread::yield_now();
                }
                drop(held);
            });
        }
        thread::sleep(SHORT);
        assert_eq!(inside.load(Ordering::SeqCst), 0);
        drop(held);
        for turn in 1..=4 {
            while inside.load(Ordering::SeqCst) < turn {
                thread::yield_now();
            }
            thread::sleep(SHORT / 4);
            assert_eq!(inside.load(Ordering::SeqCst), turn, "a second one came in");
            assert!(lock.try_lock().is_none());
            goes_on.store(turn, Ordering::SeqCst);
        }
    });
    // A running thread may take a lock that it has just released.
    let held = lock.lock();
    drop(held);
    assert!(lock.try_lock().is_some());
}

/// Python has a largest timeout; here the largest of the type means forever, and so does an instant
/// that the system's clock cannot say.
#[test]
fn what_is_too_long_means_forever() {
    let _watch = watch();
    let lock = Mutex::new(());
    let held = lock.lock();
    let mut far = Instant::now();
    for exponent in (0..64).rev() {
        far = far.checked_add(Duration::from_secs(1 << exponent)).unwrap_or(far);
    }
    thread::scope(|scope| {
        let waits = [
            scope.spawn(|| lock.try_lock_for(Duration::MAX).is_some()),
            scope.spawn(|| lock.try_lock_for(Duration::from_secs(u64::MAX)).is_some()),
            scope.spawn(|| lock.try_lock_until(far).is_some()),
        ];
        thread::sleep(SHORT);
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        drop(held);
        assert!(waits.into_iter().all(|wait| wait.join().unwrap()));
    });
}

#[test]
fn guards_map_and_try_map() {
    let lock = Mutex::new((1, vec![2, 3]));
    {
        let mut tail =
            MappedMutexGuard::map(MutexGuard::map(lock.lock(), |data| &mut data.1), |list| {
                &mut list[1..]
            });
        tail[0] += 10;
        assert!(lock.is_locked(), "a mapped guard holds the lock");
    }
    let back = MutexGuard::try_map(lock.lock(), |data| data.1.get_mut(9)).unwrap_err();
    assert_eq!(*back, (1, vec![2, 13]));
    let first = MutexGuard::try_map(back, |data| data.1.first_mut()).unwrap();
    MappedMutexGuard::unlock_fair(first);
    assert!(!lock.is_locked());
}

#[test]
fn arc_guards_keep_the_mutex_alive() {
    let lock = Arc::new(Mutex::new(1));
    let guard = lock.lock_arc();
    assert!(lock.try_lock_arc().is_none());
    assert!(lock.try_lock_arc_for(Duration::ZERO).is_none());
    assert!(lock.try_lock_arc_until(Instant::now()).is_none());
    let same = Arc::clone(ArcMutexGuard::mutex(&guard));
    drop(lock);
    assert_eq!(*guard, 1);
    drop(guard);
    assert!(!same.is_locked());
}

#[test]
fn unlocked_lets_others_in_and_takes_it_again_even_by_a_panic() {
    let lock = Mutex::new(0);
    let mut guard = lock.lock();
    MutexGuard::unlocked(&mut guard, || *lock.lock() += 1);
    assert_eq!(*guard, 1);
    let panicked =
        catch_unwind(AssertUnwindSafe(|| MutexGuard::unlocked(&mut guard, || panic!("outside"))));
    assert!(panicked.is_err());
    assert!(lock.is_locked(), "the guard has it again");
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn bump_lets_a_waiter_in() {
    let _watch = watch();
    let lock = Mutex::new(false);
    let mut guard = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| *lock.lock() = true);
        while !*guard {
            MutexGuard::bump(&mut guard);
        }
    });
}

/// One bump is enough for one that sleeps: without the reservation the lock would be taken back
/// long before the sleeper is awake.
#[test]
fn bump_lets_the_sleeper_in_first() {
    const ROUNDS: usize = 20;
    let _watch = watch();
    let in_first = (0..ROUNDS).filter(|_| {
        let (lock, task) = (Mutex::new(false), AtomicU32::new(0));
        let mut guard = lock.lock();
        thread::scope(|scope| {
            scope.spawn(|| {
                task.store(sync_core::thread::native_id(), Ordering::Relaxed);
                *lock.lock() = true;
            });
            until_asleep(&task);
            MutexGuard::bump(&mut guard);
            let was_in = *guard;
            drop(guard);
            was_in
        })
    });
    // Not all: on a busy machine the thread that is woken may be kept waiting for longer than a
    // reservation lasts. Without a reservation it is none.
    assert!(in_first.count() > 0);
}

#[test]
fn data_of_any_size() {
    let lock: Box<Mutex<[i32]>> = Box::new(Mutex::new([1, 2, 3]));
    lock.lock()[1] = 5;
    assert_eq!(&*lock.lock(), &[1, 5, 3]);
    let mut defaulted: Mutex<String> = Mutex::default();
    defaulted.get_mut().push('x');
    assert_eq!(&*Mutex::from("x").lock(), &defaulted.into_inner());
}

/// The last owner frees the lock while another thread is still in its release. Run under
/// valgrind or a sanitizer it would show.
#[test]
fn freed_by_the_last_owner_right_after_its_release() {
    let _watch = watch();
    for _ in 0..2_000 {
        let lock = Arc::new(Mutex::new(0));
        let other = Arc::clone(&lock);
        let thread = thread::spawn(move || *other.lock() += 1);
        *lock.lock() += 1;
        drop(lock);
        thread.join().unwrap();
    }
}
