//! What `LOOM_MAX_PREEMPTIONS` bounds: switches away from a thread that could go on, at a lock that
//! is free as well as at an atomic.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Plain};
use verify::model::Builder;
use verify::sync::{Condvar, Mutex};
use verify::thread;

/// The orders in which threads go through a lock: the name of the thread for each section.
type Orders = BTreeSet<String>;

/// Runs `n` sections in each of `threads` threads, the first of which is the main thread.
fn orders(threads: u8, n: usize, bound: Option<usize>) -> (Orders, u64) {
    let seen = Arc::new(Plain::new(Orders::new()));
    let all = seen.clone();
    let mut builder = Builder::new();
    builder.preemption_bound = bound;
    let report = builder.explore(move || {
        let order = Arc::new(Mutex::new(String::new()));
        let section = |order: &Mutex<String>, t: u8| {
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
        all.lock().unwrap().insert(order.lock().unwrap().clone());
    });
    assert!(report.failure.is_none() && report.complete, "{report}");
    let seen = seen.lock().unwrap().clone();
    (seen, report.executions)
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
        let (all, _) = orders(2, n, None);
        for bound in 0..4 {
            let (found, executions) = orders(2, n, Some(bound));
            let wanted: Orders =
                all.iter().filter(|order| preemptions(order) <= bound).cloned().collect();
            assert_eq!(found, wanted, "{n} sections, {bound} preemptions");
            assert_eq!(executions, found.len() as u64);
        }
    }
}

/// With more threads than two an execution may be reached by way of one with more preemptions: what
/// is within the bound is there, and not much else.
#[test]
fn locks_of_three_threads_are_bounded() {
    let (all, _) = orders(3, 2, None);
    assert_eq!(all.len(), 90);
    for bound in 0..4 {
        let (found, _) = orders(3, 2, Some(bound));
        let within = |slack| all.iter().filter(move |order| preemptions(order) <= bound + slack);
        assert!(within(0).all(|order| found.contains(order)), "{bound} preemptions: {found:?}");
        assert!(found.len() <= within(1).count(), "{bound} preemptions: {found:?}");
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

/// What loom 0.7.2 needs for 7 items at a bound of 1 is 28 executions, at 2 it is 378; here each
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
