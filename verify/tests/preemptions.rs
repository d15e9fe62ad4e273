//! The bound of `LOOM_MAX_PREEMPTIONS`: switches away from a thread that could go on, at a lock
//! that is free as well as at an atomic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Plain};
use verify::model::{Builder, Report};
use verify::sync::atomic::{
    AtomicUsize,
    Ordering::{Acquire, Relaxed, Release},
};
use verify::sync::{Condvar, Mutex};
use verify::thread;

/// Runs `n` sections in each of `threads` threads, the first of which is the main thread. `each`
/// gets the order of the sections: the name of the thread for each.
fn sections(
    threads: u8,
    n: usize,
    bound: Option<usize>,
    each: impl Fn(&str) + Send + Sync + 'static,
) -> Report {
    let mut builder = Builder::new();
    (builder.preemption_bound, builder.explain) = (bound, false);
    builder.explore(move || {
        let order = Arc::new(Mutex::new(String::new()));
        let section = move |order: &Mutex<String>, t: u8| {
            (0..n).for_each(|_| order.lock().unwrap().push(char::from(b'a' + t)));
        };
        let others: Vec<_> = (1..threads)
            .map(|t| {
                let order = order.clone();
                thread::spawn(move || section(&order, t))
            })
            .collect();
        section(&order, 0);
        others.into_iter().for_each(|t| t.join().unwrap());
        each(&order.lock().unwrap());
    })
}

/// All orders that there are.
fn orders(threads: u8, n: usize) -> BTreeSet<String> {
    let seen = Arc::new(Plain::new(BTreeSet::new()));
    let all = seen.clone();
    let report = sections(threads, n, None, move |order| {
        all.lock().unwrap().insert(order.to_string());
    });
    assert!(report.failure.is_none() && report.complete && report.blocked == 0, "{report}");
    seen.lock().unwrap().clone()
}

/// Whether an order is among those explored. An execution that is given up is run to its end as
/// well, but what it finds there is no failure.
fn is_explored(threads: u8, n: usize, bound: usize, order: &str) -> bool {
    let wanted = order.to_string();
    let report = sections(threads, n, Some(bound), move |order| assert_ne!(order, wanted));
    report.failure.is_some()
}

/// The switches of an order away from a thread that has sections left. The main thread runs first.
fn preemptions(order: &str) -> usize {
    let mut left = order.chars().fold([0_usize; 8], |mut left, c| {
        left[c as usize - 'a' as usize] += 1;
        left
    });
    let (mut now, mut count) = ('a', 0);
    for c in order.chars() {
        if c != now && left[now as usize - 'a' as usize] > 0 {
            count += 1;
        }
        left[c as usize - 'a' as usize] -= 1;
        now = c;
    }
    count
}

#[test]
fn locks_are_bounded() {
    for n in [3, 5] {
        let all = orders(2, n);
        for bound in 0..4 {
            let within = all.iter().filter(|order| preemptions(order) <= bound).count();
            let report = sections(2, n, Some(bound), |_| ());
            assert_eq!(report.executions, within as u64, "{n} sections: {report}");
            for order in all.iter().filter(|_| n == 3) {
                let explored = is_explored(2, n, bound, order);
                assert_eq!(explored, preemptions(order) <= bound, "{order}, {bound} preemptions");
            }
        }
    }
}

/// With more threads than two an execution may be reached by way of one with more preemptions: what
/// is within the bound is there, and not much else.
#[test]
fn locks_of_three_threads_are_bounded() {
    let all = orders(3, 2);
    assert_eq!(all.len(), 90);
    for bound in 0..3 {
        let report = sections(3, 2, Some(bound), |_| ());
        let within = |slack| all.iter().filter(move |order| preemptions(order) <= bound + slack);
        assert!(report.executions <= within(1).count() as u64, "{bound} preemptions: {report}");
        for order in within(0) {
            assert!(is_explored(3, 2, bound, order), "{order}, {bound} preemptions");
        }
    }
}

/// One place, `n` items, a mutex and two condition variables.
fn channel(n: usize, bound: usize) -> u64 {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(bound);
    let report = builder.explore(move || {
        let shared = Arc::new((Mutex::new(false), Condvar::new(), Condvar::new()));
        let theirs = shared.clone();
        let t = thread::spawn(move || {
            for _ in 0..n {
                let mut full = theirs.0.lock().unwrap();
                while *full {
                    full = theirs.2.wait(full).unwrap();
                }
                *full = true;
                drop(full);
                theirs.1.notify_one();
            }
        });
        for _ in 0..n {
            let mut full = shared.0.lock().unwrap();
            while !*full {
                full = shared.1.wait(full).unwrap();
            }
            *full = false;
            drop(full);
            shared.2.notify_one();
        }
        t.join().unwrap();
    });
    assert!(report.failure.is_none() && report.complete, "{report}");
    report.executions
}

/// Loom 0.7.2 needs 28 executions for 7 items at a bound of 1, and 378 at 2; here each
/// may have a spurious wake-up besides.
#[test]
fn condition_variables_are_bounded() {
    let counts = [0, 1, 2].map(|bound| channel(7, bound));
    println!("{counts:?}");
    assert!(counts.is_sorted(), "{counts:?}");
    assert!(counts[1] <= 28 * 14, "{counts:?}");
    assert!(counts[2] <= 378 * 14, "{counts:?}");
}

/// A token is a lock too: `park` with the token there could go on.
#[test]
fn parking_is_bounded() {
    let run = |bound| {
        let mut builder = Builder::new();
        (builder.preemption_bound, builder.spurious_wakeups) = (bound, 0);
        let report = builder.explore(|| {
            let main = thread::current();
            let t = thread::spawn(move || (0..4).for_each(|_| main.unpark()));
            thread::current().unpark();
            (0..4).for_each(|_| {
                thread::current().unpark();
                thread::park();
            });
            t.join().unwrap();
        });
        assert!(report.failure.is_none() && report.complete, "{report}");
        report.executions
    };
    let counts = [Some(0), Some(1), Some(2), None].map(run);
    println!("{counts:?}");
    assert!(counts[0] == 1 && counts[1] < counts[2] && counts[2] < counts[3], "{counts:?}");
}

/// Stores that are not read have an order all the same.
#[test]
fn stores_are_bounded() {
    fn strings(left: [usize; 2], so_far: &mut String, into: &mut Vec<String>) {
        if left == [0, 0] {
            into.push(so_far.clone());
        }
        for t in 0..2 {
            if left[t] > 0 {
                let mut left = left;
                left[t] -= 1;
                so_far.push(char::from(b'a' + t as u8));
                strings(left, so_far, into);
                so_far.pop();
            }
        }
    }
    let mut all = Vec::new();
    strings([4, 4], &mut String::new(), &mut all);
    for bound in 0..4 {
        let mut builder = Builder::new();
        builder.preemption_bound = Some(bound);
        let report = builder.explore(|| {
            let x = Arc::new(AtomicUsize::new(0));
            let y = x.clone();
            let t = thread::spawn(move || (0..4).for_each(|i| y.store(i, Relaxed)));
            (4..8).for_each(|i| x.store(i, Relaxed));
            t.join().unwrap();
        });
        let within = all.iter().filter(|order| preemptions(order) <= bound).count();
        assert_eq!(report.executions, within as u64, "{bound} preemptions: {report}");
    }
}

/// Modification orders that contradict each other exist in no order of the events: the execution
/// counts as one with a preemption more.
#[test]
fn orders_that_contradict_each_other_are_within_a_larger_bound() {
    let run = |bound| {
        let mut builder = Builder::new();
        builder.preemption_bound = bound;
        builder
            .explore(|| {
                let x = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
                let y = x.clone();
                let t = thread::spawn(move || {
                    y[0].store(1, Relaxed);
                    y[1].store(2, Relaxed);
                });
                x[1].store(1, Relaxed);
                x[0].store(2, Relaxed);
                t.join().unwrap();
            })
            .executions
    };
    assert_eq!([Some(0), Some(1), Some(2), Some(3), None].map(run), [1, 3, 4, 4, 4]);
}

/// A loop that waits and says so lets the others go on: that is no preemption.
#[test]
fn a_yield_is_no_preemption() {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(0);
    let report = builder.explore(|| {
        let x = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let y = x.clone();
        let t = thread::spawn(move || {
            for i in 1..4 {
                while y[0].load(Acquire) < i {
                    thread::yield_now();
                }
                y[1].store(i, Release);
            }
        });
        for i in 1..4 {
            x[0].store(i, Release);
            while x[1].load(Acquire) < i {
                thread::yield_now();
            }
        }
        t.join().unwrap();
    });
    assert!(report.failure.is_none() && report.executions > 0, "{report}");
}

/// Events that loom does not have share the bound: weak failures, spurious wake-ups, timeouts. Each
/// costs two preemptions, or all of a smaller bound.
#[test]
fn surprises_share_the_bound() {
    let run = |bound, model: fn()| {
        let mut builder = Builder::new();
        builder.preemption_bound = bound;
        let report = builder.explore(model);
        assert!(report.failure.is_none() && report.complete, "{report}");
        report.executions
    };
    let weak = || {
        let x = AtomicUsize::new(0);
        for _ in 0..3 {
            let _ = x.compare_exchange_weak(0, 0, Relaxed, Relaxed);
        }
    };
    assert_eq!([Some(0), Some(1), None].map(|bound| run(bound, weak)), [1, 4, 4]);
    let park = || {
        thread::current().unpark();
        thread::park();
    };
    assert_eq!([Some(0), Some(1), None].map(|bound| run(bound, park)), [1, 2, 2]);
    let timeout = || {
        thread::current().unpark();
        thread::park_timeout(std::time::Duration::from_secs(1));
    };
    assert_eq!([Some(0), Some(1), None].map(|bound| run(bound, timeout)), [1, 2, 2]);
    let two = || {
        let x = AtomicUsize::new(0);
        let _ = x.compare_exchange_weak(0, 0, Relaxed, Relaxed);
        thread::current().unpark();
        thread::park();
    };
    let bounds = [Some(0), Some(1), Some(2), Some(3), Some(4), None];
    assert_eq!(bounds.map(|bound| run(bound, two)), [1, 3, 3, 3, 4, 4]);
}
