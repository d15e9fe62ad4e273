//! Loops: bounded ones are explored and come to an end, those that wait for another thread are cut,
//! those that wait for no thread are reported.

use std::sync::Arc;
use verify::hint::{spin_loop, wait_until};
use verify::model::{Builder, Report};
use verify::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
use verify::thread;

fn explore(f: impl Fn() + Send + Sync + 'static) -> Report {
    Builder::new().explore(f)
}

#[track_caller]
fn passes(f: impl Fn() + Send + Sync + 'static) -> (u64, u64) {
    let report = explore(f);
    assert!(
        report.failure.is_none() && report.complete,
        "{:?}",
        report.failure.map(|f| f.to_string())
    );
    (report.executions, report.blocked)
}

fn row(loads: usize) -> impl Fn() + Send + Sync + 'static {
    move || {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || y.store(1, Relaxed));
        let seen: Vec<usize> = (0..loads).map(|_| x.load(Relaxed)).collect();
        assert!(seen.is_sorted());
    }
}

/// A row of loads of the same, from one place, is no loop that waits, however long it is.
#[test]
fn bounded_loops_of_loads() {
    for loads in [1, 16, 17, 18, 19, 25, 40, 100] {
        assert_eq!(passes(row(loads)), (loads as u64 + 1, 0), "{loads} loads");
    }
}

#[test]
fn bounded_loops_that_no_thread_disturbs() {
    for loads in [19, 40, 500] {
        let executions = passes(move || {
            let x = AtomicUsize::new(0);
            for _ in 0..loads {
                assert_eq!(x.load(Relaxed), 0);
            }
        });
        assert_eq!(executions, (1, 0), "{loads} loads");
    }
}

/// Failing compare-exchanges, and loops over several words.
#[test]
fn bounded_loops_of_other_things() {
    let (executions, blocked) = passes(|| {
        let x = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
        let y = x.clone();
        thread::spawn(move || y.0.store(1, Relaxed));
        for _ in 0..20 {
            let _ = x.0.compare_exchange(5, 6, Relaxed, Relaxed);
            x.1.load(Relaxed);
        }
    });
    assert_eq!((executions, blocked), (21, 0));
}

/// Marked as waiting, and bounded all the same: adaptive locks do that.
#[test]
fn bounded_loops_that_say_that_they_wait() {
    for rounds in [5, 25, 100] {
        passes(move || {
            let x = Arc::new(AtomicBool::new(false));
            let y = x.clone();
            let t = thread::spawn(move || y.store(true, Release));
            for _ in 0..rounds {
                if x.load(Acquire) {
                    break;
                }
                verify::hint::spin_loop();
            }
            t.join().unwrap();
        });
        passes(move || {
            let x = AtomicBool::new(false);
            for _ in 0..rounds {
                if x.load(Acquire) {
                    break;
                }
                verify::hint::spin_loop();
            }
        });
    }
}

#[test]
fn loops_that_wait_without_saying_so() {
    passes(|| {
        let x = Arc::new(AtomicBool::new(false));
        let y = x.clone();
        thread::spawn(move || y.store(true, Release));
        while !x.load(Acquire) {}
    });
    passes(|| {
        let x = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        for i in 0..2 {
            let y = x.clone();
            thread::spawn(move || y[i].store(true, Release));
        }
        while !x[0].load(Acquire) || !x[1].load(Acquire) {}
    });
}

/// The code after the loop is explored with all that the loop can have seen.
#[test]
fn a_loop_that_waits_sees_every_value_that_ends_it() {
    let report = explore(|| {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || {
            y.store(1, Release);
            y.store(2, Release);
        });
        while x.load(Acquire) == 0 {}
        assert_ne!(x.load(Relaxed), 1, "it went on with the first");
    });
    assert!(report.failure.expect("that value").message.contains("the first"));
}

#[test]
fn loops_that_wait_for_no_thread() {
    let silent = || {
        let x = AtomicBool::new(false);
        while !x.load(Acquire) {}
    };
    let marked = || {
        let x = AtomicBool::new(false);
        while !x.load(Acquire) {
            thread::yield_now();
        }
    };
    let for_each_other = || {
        let x = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let y = x.clone();
        thread::spawn(move || {
            while !y[0].load(Acquire) {}
            y[1].store(true, Release);
        });
        while !x[1].load(Acquire) {}
        x[0].store(true, Release);
    };
    for text in [explore(silent), explore(marked), explore(for_each_other)]
        .map(|r| r.failure.expect("a diagnosis").message)
    {
        assert!(text.contains("non-termination") && text.contains("spinning.rs"), "{text}");
    }
}

/// The result of an exploration about loops does not depend on the number of workers.
#[test]
fn in_parallel() {
    for loads in [19, 40] {
        let mut builder = Builder::new();
        builder.workers = 3;
        let report = builder.explore(row(loads));
        assert!(report.failure.is_none());
        assert_eq!((report.executions, report.blocked), (loads as u64 + 1, 0));
    }
}

/// Data whose accesses are checked.
#[derive(Default)]
struct Checked(verify::cell::UnsafeCell<usize>);

// SAFETY: the checker reports accesses that race.
unsafe impl Sync for Checked {}

/// Threads at a ticket lock, which wait by what `wait` does.
fn ticket_lock(threads: usize, wait: fn(&AtomicUsize, usize)) -> (u64, u64) {
    let mut builder = Builder::new();
    builder.count_distinct = true;
    builder.symmetry = false;
    let report = builder.explore(move || {
        let lock = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let inside = Arc::new(Checked::default());
        for _ in 0..threads {
            let (lock, inside) = (lock.clone(), inside.clone());
            thread::spawn(move || {
                let ticket = lock[0].fetch_add(1, Relaxed);
                wait(&lock[1], ticket);
                // SAFETY: the checker reports accesses that race.
                inside.0.with_mut(|n| unsafe { *n += 1 });
                lock[1].store(ticket + 1, Release);
            });
        }
    });
    assert!(report.failure.is_none() && report.complete, "{report}");
    assert_eq!(report.distinct, Some(report.executions));
    (report.executions, report.blocked)
}

/// Of a wait for a condition the last round alone is explored; a loop has its earlier rounds.
#[test]
fn waits_for_conditions_do_not_multiply() {
    let until = |turn: &AtomicUsize, ticket| wait_until(|| turn.load(Acquire) == ticket);
    let counts = [2, 3, 4].map(|threads| ticket_lock(threads, until).0);
    assert_eq!(counts, [2, 6, 24]);
    let spin = |turn: &AtomicUsize, ticket| {
        while turn.load(Acquire) != ticket {
            spin_loop();
        }
    };
    assert!(ticket_lock(3, spin).0 > 20);
}

/// A wait that passed over newer writes is no endless one, whatever these are.
#[test]
fn a_condition_that_holds_in_the_end() {
    let (executions, _) = passes(|| {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || (1..6).for_each(|n| y.store(n, Release)));
        wait_until(|| x.load(Acquire) == 5);
        assert_eq!(x.load(Relaxed), 5);
    });
    assert_eq!(executions, 1);
    passes(|| wait_until(|| true));
}

#[test]
fn a_condition_that_never_holds() {
    let never = || {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || y.store(1, Relaxed));
        wait_until(|| x.load(Relaxed) == 2);
    };
    let nothing = || wait_until(|| false);
    let for_each_other = || {
        let x = Arc::new([AtomicBool::new(false), AtomicBool::new(false)]);
        let y = x.clone();
        thread::spawn(move || {
            wait_until(|| y[0].load(Acquire));
            y[1].store(true, Release);
        });
        wait_until(|| x[1].load(Acquire));
        x[0].store(true, Release);
    };
    // It holds for one of both, and not for the other afterwards.
    let passing = || {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || {
            y.store(1, Relaxed);
            y.store(2, Relaxed);
        });
        wait_until(|| x.load(Relaxed) == 1);
    };
    for text in [explore(never), explore(nothing), explore(for_each_other), explore(passing)]
        .map(|r| r.failure.expect("a diagnosis").message)
    {
        assert!(text.contains("non-termination") && text.contains("spinning.rs"), "{text}");
    }
}

#[test]
fn a_condition_with_an_effect() {
    let report = explore(|| {
        let x = Arc::new(AtomicUsize::new(0));
        wait_until(|| x.fetch_add(1, Relaxed) == 3);
    });
    let text = report.failure.expect("a diagnosis").message;
    assert!(text.contains("the condition that thread 0 waits for at verify/tests/spinning.rs"));
    // One that fails to write has none.
    passes(|| {
        let x = Arc::new(AtomicUsize::new(0));
        let y = x.clone();
        thread::spawn(move || y.store(1, Release));
        wait_until(|| x.compare_exchange(1, 2, Acquire, Relaxed).is_ok());
    });
}

/// A race in a round that does not count is found: it is the first round elsewhere.
#[test]
fn a_condition_that_races() {
    let report = explore(|| {
        let x = Arc::new((AtomicBool::new(false), Checked::default()));
        let y = x.clone();
        thread::spawn(move || {
            // SAFETY: the checker reports accesses that race.
            y.1.0.with_mut(|n| unsafe { *n = 1 });
            y.0.store(true, Release);
        });
        // SAFETY: the checker reports accesses that race.
        wait_until(|| x.1.0.with(|n| unsafe { *n } < 2) && x.0.load(Acquire));
    });
    assert!(report.failure.expect("a race").message.contains("Causality"));
}
