//! Processes that vanish, and histories that have to be linearisable.

use std::collections::HashSet;
use std::sync::{Arc as StdArc, Mutex};
use verify::linear::{History, Spec};
use verify::model::Builder;
use verify::sync::atomic::{AtomicU32, Ordering::*};
use verify::{futex, process, thread};

fn lock_of_a_process(kernel_helps: bool) -> Option<String> {
    let model = move || {
        let word = StdArc::new(AtomicU32::new(0));
        let theirs = word.clone();
        let p = process::spawn(move || {
            if kernel_helps {
                let word = theirs.clone();
                process::on_death(move || {
                    // Whatever the word says: the process may have vanished between its unlock
                    // and its wake.
                    word.swap(0, Release);
                    futex::wake(&*word, 1);
                });
            }
            if theirs.compare_exchange(0, 1, Acquire, Relaxed).is_ok()
                && theirs.swap(0, Release) == 2
            {
                futex::wake(&*theirs, 1);
            }
        });
        if word.compare_exchange(0, 1, Acquire, Relaxed).is_err() {
            while word.swap(2, Acquire) != 0 {
                futex::wait(&word, 2);
            }
        }
        p.wait();
    };
    Builder::new().explore(model).failure.map(|f| f.to_string())
}

#[test]
fn a_lock_whose_holder_vanishes_is_lost_unless_the_kernel_helps() {
    assert!(lock_of_a_process(false).expect("a lost lock").contains("deadlock"));
    assert_eq!(lock_of_a_process(true), None);
}

/// A process of two threads that both write: when it vanishes both are gone, each wherever it was.
#[test]
fn all_threads_of_a_process_vanish() {
    let outcomes = StdArc::new(Mutex::new(HashSet::new()));
    let seen = outcomes.clone();
    let mut builder = Builder::new();
    builder.count_distinct = true;
    let report = builder.explore(move || {
        let words = StdArc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let theirs = words.clone();
        let process = process::spawn(move || {
            let other = theirs.clone();
            let thread = thread::spawn(move || {
                other[1].store(1, Relaxed);
                other[1].store(2, Relaxed);
            });
            theirs[0].store(1, Relaxed);
            theirs[0].store(2, Relaxed);
            thread.join().unwrap();
        });
        let whole = process.wait();
        seen.lock().unwrap().insert((whole, words[0].load(Relaxed), words[1].load(Relaxed)));
    });
    assert!(
        report.failure.is_none() && report.complete,
        "{:?}",
        report.failure.map(|f| f.to_string())
    );
    assert_eq!(report.distinct, Some(report.executions));
    let outcomes = outcomes.lock().unwrap();
    // The first thread has not got beyond its join unless the other one has come to its end.
    let mut expected = HashSet::from([(true, 2, 2)]);
    for (a, b) in [(0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
        expected.insert((false, a, b));
    }
    // One of both has to write for the process to vanish: at the other's first step it has done
    // nothing yet.
    assert!(outcomes.is_subset(&expected), "{:?}", outcomes.difference(&expected));
    assert!(
        [(true, 2, 2), (false, 1, 1), (false, 1, 2), (false, 2, 1), (false, 2, 2)]
            .iter()
            .all(|o| outcomes.contains(o)),
        "{outcomes:?}"
    );
}

/// Steps of a thread after the end of its process are no execution: it cannot answer the kernel.
#[test]
fn no_thread_survives_his_process() {
    let model = |answers: bool| {
        move || {
            let words = StdArc::new([AtomicU32::new(0), AtomicU32::new(0)]);
            let theirs = words.clone();
            let process = process::spawn(move || {
                let dead = theirs.clone();
                process::on_death(move || dead[0].store(7, SeqCst));
                let other = theirs.clone();
                let thread = thread::spawn(move || {
                    if !answers || other[0].load(SeqCst) == 7 {
                        other[1].store(1, SeqCst);
                    }
                });
                theirs[0].store(1, SeqCst);
                thread.join().unwrap();
            });
            process.wait();
            assert_ne!(words[1].load(SeqCst), 1, "somebody answered");
        }
    };
    assert!(
        Builder::new()
            .explore(model(false))
            .failure
            .expect("it may")
            .message
            .contains("somebody answered")
    );
    assert_eq!(Builder::new().explore(model(true)).failure.map(|f| f.to_string()), None);
}

/// A thread that waits forever is no deadlock when its process has vanished.
#[test]
fn a_waiter_vanishes_where_it_stands() {
    let model = |mends: bool| {
        move || {
            let word = StdArc::new(AtomicU32::new(0));
            let theirs = word.clone();
            let process = process::spawn(move || {
                let sleeper = theirs.clone();
                thread::spawn(move || {
                    while sleeper.load(Acquire) < 2 {
                        futex::wait(&sleeper, 1);
                    }
                });
                theirs.store(1, Release);
                theirs.store(2, Release);
                if mends {
                    futex::wake(&*theirs, 1);
                }
            });
            process.wait();
        }
    };
    assert_eq!(Builder::new().explore(model(true)).failure.map(|f| f.to_string()), None);
    assert!(
        Builder::new()
            .explore(model(false))
            .failure
            .expect("a lost wake-up")
            .message
            .contains("deadlock")
    );
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Counter(u32);

impl Spec for Counter {
    type Call = ();
    type Return = u32;
    fn apply(&mut self, (): &()) -> u32 {
        self.0 += 1;
        self.0 - 1
    }
}

fn counter(atomic: bool) -> Option<String> {
    let model = move || {
        let s = StdArc::new((AtomicU32::new(0), History::new()));
        let next = move |s: &(AtomicU32, History<(), u32>)| {
            s.1.run((), || {
                if atomic {
                    return s.0.fetch_add(1, Relaxed);
                }
                let v = s.0.load(Relaxed);
                s.0.store(v + 1, Relaxed);
                v
            });
        };
        let t = s.clone();
        let other = thread::spawn(move || next(&t));
        next(&s);
        other.join().unwrap();
        s.1.check(Counter(0));
    };
    Builder::new().explore(model).failure.map(|f| f.to_string())
}

#[test]
fn a_counter_that_loses_an_increment_is_not_linearisable() {
    assert_eq!(counter(true), None);
    assert!(counter(false).expect("a lost increment").contains("not linearisable"));
}
