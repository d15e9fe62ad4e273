//! The promises of Linux about a futex, and no more.
//!
//! Sources: the comment "Basic futex operation and ordering guarantees" of the kernel's
//! `kernel/futex/waitwake.c` (commit 0ea5c948cb64), and futex(2).

use std::sync::Arc;
use verify::futex;
use verify::model::{Builder, Report};
use verify::sync::atomic::{
    AtomicU32, AtomicUsize,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};
use verify::thread;

fn explore(f: impl Fn() + Send + Sync + 'static) -> Report {
    let mut builder = Builder::new();
    (builder.spurious_wakeups, builder.early_timeouts) = (0, 0);
    builder.explore(f)
}

fn passes(f: impl Fn() + Send + Sync + 'static) {
    let report = explore(f);
    assert!(report.failure.is_none() && report.complete, "{}", report.failure.expect("it failed"));
}

fn loses_a_wake(f: impl Fn() + Send + Sync + 'static) {
    let failure = explore(f).failure.expect("a thread sleeps forever");
    assert!(failure.message.contains("deadlock"), "{failure}");
}

#[test]
fn a_wake_after_the_store_is_never_lost() {
    passes(|| {
        let word = Arc::new(AtomicU32::new(0));
        let theirs = word.clone();
        let t = thread::spawn(move || {
            theirs.store(1, Relaxed);
            futex::wake(&*theirs, 1);
        });
        futex::wait(&word, 0);
        t.join().unwrap();
    });
}

#[test]
fn a_wake_before_the_store_is_lost() {
    loses_a_wake(|| {
        let word = Arc::new(AtomicU32::new(0));
        let theirs = word.clone();
        thread::spawn(move || {
            futex::wake(&*theirs, 1);
            theirs.store(1, Relaxed);
        });
        futex::wait(&word, 0);
    });
}

/// The barrier in front of a wake (B) is a full one: it stands behind all that the waker has seen,
/// and so do the stores of other threads.
#[test]
fn a_wake_on_behalf_of_another_thread_is_never_lost() {
    for order in [Acquire, Relaxed] {
        passes(move || {
            let word = Arc::new(AtomicU32::new(0));
            let [writer, waker] = [word.clone(), word.clone()];
            let a = thread::spawn(move || writer.store(1, Release));
            let b = thread::spawn(move || {
                if waker.load(order) == 1 {
                    futex::wake(&*waker, 1);
                }
            });
            if word.load(Relaxed) == 0 {
                b.join().unwrap();
                a.join().unwrap();
                return;
            }
            futex::wait(&word, 0);
            a.join().unwrap();
            b.join().unwrap();
        });
        passes(move || {
            let word = Arc::new(AtomicU32::new(0));
            let [writer, waker] = [word.clone(), word.clone()];
            thread::spawn(move || writer.store(1, Release));
            thread::spawn(move || {
                while waker.load(order) == 0 {
                    thread::yield_now();
                }
                futex::wake(&*waker, 1);
            });
            futex::wait(&word, 0);
        });
    }
}

/// By way of another location: the store happens before the wake.
#[test]
fn a_wake_that_comes_after_the_store_by_way_of_a_flag_is_never_lost() {
    let model = |order| {
        move || {
            let shared = Arc::new((AtomicU32::new(0), AtomicUsize::new(0)));
            let [writer, waker] = [shared.clone(), shared.clone()];
            thread::spawn(move || {
                writer.0.store(1, Relaxed);
                writer.1.store(1, order);
            });
            thread::spawn(move || {
                while waker.1.load(Acquire) == 0 {
                    thread::yield_now();
                }
                futex::wake(&waker.0, 1);
            });
            futex::wait(&shared.0, 0);
        }
    };
    passes(model(Release));
    loses_a_wake(model(Relaxed));
}

/// A comparison and the place in the queue are taken under the lock of the queue, so a comparison
/// sees at least what an earlier sleeper saw. The wake that took the earlier sleeper happens before
/// the later comparison; the store does not.
#[test]
fn a_comparison_sees_what_an_earlier_sleeper_saw() {
    passes(|| {
        let shared = Arc::new((AtomicU32::new(0), AtomicUsize::new(0)));
        let [writer, sleeper, waker] = [shared.clone(), shared.clone(), shared.clone()];
        thread::spawn(move || writer.0.store(1, Relaxed));
        thread::spawn(move || futex::wait_timeout(&sleeper.0, 1));
        thread::spawn(move || {
            if futex::wake(&waker.0, 1) == 1 {
                waker.1.store(1, Release);
            }
        });
        if shared.1.load(Acquire) == 1 {
            futex::wait(&shared.0, 0);
        }
    });
}

/// Neither a wake nor a wait orders anything but the word and the queue.
#[test]
fn a_wake_up_gives_no_happens_before() {
    let failure = explore(|| {
        let shared = Arc::new((AtomicU32::new(0), AtomicUsize::new(0)));
        let theirs = shared.clone();
        let t = thread::spawn(move || {
            theirs.1.store(7, Relaxed);
            theirs.0.store(1, Relaxed);
            futex::wake(&theirs.0, 1);
        });
        futex::wait(&shared.0, 0);
        assert_eq!(shared.1.load(Relaxed), 7, "stale");
        t.join().unwrap();
    })
    .failure
    .expect("a stale value");
    assert!(failure.message.contains("stale"), "{failure}");
}

/// A lock whose unlock hands over by a swap: the sleeper that finds a newer word goes round.
#[test]
fn a_futex_mutex_of_three_states_loses_no_wake() {
    passes(|| {
        let lock = Arc::new((AtomicU32::new(0), AtomicUsize::new(0)));
        let section = |l: &(AtomicU32, AtomicUsize)| {
            if l.0.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
                while l.0.swap(2, Acquire) != 0 {
                    futex::wait(&l.0, 2);
                }
            }
            l.1.store(l.1.load(Relaxed) + 1, Relaxed);
            if l.0.swap(0, AcqRel) == 2 {
                futex::wake(&l.0, 1);
            }
        };
        let theirs = lock.clone();
        let t = thread::spawn(move || section(&theirs));
        section(&lock);
        t.join().unwrap();
        assert_eq!(lock.1.load(Relaxed), 2);
    });
}
