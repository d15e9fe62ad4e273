//! Executions that are given up come to their end all the same: what their threads own is dropped,
//! so that a long run needs no more memory than a short one.

use std::sync::Arc;
use std::sync::atomic::{AtomicIsize as RealAtomic, Ordering::Relaxed as RealRelaxed};
use verify::model::{Builder, Report};
use verify::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use verify::{futex, thread};

/// Something on the heap, that is counted.
#[derive(Clone)]
struct Held(Arc<Count>);

struct Count(&'static RealAtomic, Box<u64>);

impl Held {
    fn new(live: &'static RealAtomic) -> Held {
        live.fetch_add(1, RealRelaxed);
        Held(Arc::new(Count(live, Box::new(7))))
    }

    fn look(&self) {
        assert_eq!(*self.0.1, 7);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, RealRelaxed);
    }
}

fn with(set: impl FnOnce(&mut Builder)) -> Builder {
    let mut builder = Builder::new();
    set(&mut builder);
    builder
}

/// Explores, and asserts that there were executions given up and that nothing of any of them is
/// left.
#[track_caller]
fn leaves_nothing(
    live: &RealAtomic,
    builder: Builder,
    f: impl Fn() + Send + Sync + 'static,
) -> Report {
    let report = builder.explore(f);
    assert!(report.failure.is_none(), "{:?}", report.failure.map(|f| f.to_string()));
    assert!(report.blocked > 0, "no execution was given up among {}", report.executions);
    assert_eq!(
        live.load(RealRelaxed),
        0,
        "left of {} executions, {} of them given up",
        report.executions,
        report.blocked
    );
    report
}

/// A comparison that saw a value which the waker had changed before it woke.
#[test]
fn a_wait_that_comes_too_late() {
    static LIVE: RealAtomic = RealAtomic::new(0);
    for spurious in [0, 1] {
        let builder = with(|b| b.spurious_wakeups = spurious);
        leaves_nothing(&LIVE, builder, || {
            let word = Arc::new(AtomicU32::new(0));
            let held = Held::new(&LIVE);
            let (theirs, also) = (word.clone(), held.clone());
            let waiter = thread::spawn(move || {
                while theirs.load(Acquire) == 0 {
                    futex::wait(&theirs, 0);
                    also.look();
                }
            });
            word.store(1, Release);
            futex::wake(&raw const *word, 1);
            waiter.join().expect("it ends");
            held.look();
        });
    }
}

/// More preemptions than the bound allows, with locks that are held where the execution is given
/// up.
#[test]
fn a_preemption_too_many() {
    static LIVE: RealAtomic = RealAtomic::new(0);
    let builder = with(|b| b.preemption_bound = Some(0));
    leaves_nothing(&LIVE, builder, || {
        let x = Arc::new((AtomicUsize::new(0), verify::sync::Mutex::new(Vec::new())));
        let threads: Vec<_> = (0..3)
            .map(|i| {
                let x = x.clone();
                let held = Held::new(&LIVE);
                thread::spawn(move || {
                    x.1.lock().expect("not poisoned").push(held);
                    for _ in 0..2 {
                        let seen = x.0.load(Relaxed);
                        x.0.store(seen + i, Relaxed);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().expect("it ends"));
    });
}

/// Idle rounds of a spin loop.
#[test]
fn an_idle_round() {
    static LIVE: RealAtomic = RealAtomic::new(0);
    leaves_nothing(&LIVE, Builder::new(), || {
        let x = Arc::new(AtomicUsize::new(0));
        let held = Held::new(&LIVE);
        let (theirs, also) = (x.clone(), held.clone());
        let spinner = thread::spawn(move || {
            while theirs.swap(2, AcqRel) != 1 {
                also.look();
                thread::yield_now();
            }
        });
        x.store(1, Release);
        held.look();
        drop(spinner);
    });
}

/// A failure found while an execution that was given up comes to its end is not reported: here, a
/// panic that only more preemptions than the bound lead to.
#[test]
fn a_failure_past_the_bound_is_not_reported() {
    let model = || {
        let words = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let theirs = words.clone();
        let other = thread::spawn(move || {
            for n in 1..3 {
                if theirs.0.load(Acquire) == n {
                    theirs.1.store(n, Release);
                }
            }
        });
        let answered = (1..3).all(|n| {
            words.0.store(n, Release);
            words.1.load(Acquire) == n
        });
        assert!(!answered, "each time");
        other.join().expect("it ends");
    };
    let bounded = with(|b| b.preemption_bound = Some(1)).explore(model);
    assert!(
        bounded.failure.is_none() && bounded.blocked > 0,
        "{:?}",
        bounded.failure.map(|f| f.to_string())
    );
    assert!(Builder::new().explore(model).failure.is_some());
}
