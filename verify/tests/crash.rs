//! Processes that vanish, and histories that have to be linearisable.

use std::sync::Arc as StdArc;
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
    assert!(
        lock_of_a_process(false)
            .expect("a lost lock")
            .contains("deadlock")
    );
    assert_eq!(lock_of_a_process(true), None);
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
    assert!(
        counter(false)
            .expect("a lost increment")
            .contains("not linearisable")
    );
}
