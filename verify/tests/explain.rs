//! The text of a report, that its replay string is the same execution, and what mutation finds.

use std::sync::Arc as StdArc;
use verify::model::Builder;
use verify::sync::Mutex;
use verify::sync::atomic::{AtomicUsize, Ordering, Ordering::*};
use verify::{cell::UnsafeCell, sync::Arc, thread};

struct Shared {
    flag: AtomicUsize,
    data: UnsafeCell<usize>,
}

// SAFETY: the flag says whose turn it is; the checker looks whether that is true.
unsafe impl Sync for Shared {}

fn message(store: Ordering, load: Ordering) -> impl Fn() + Send + Sync + 'static {
    move || {
        let s = StdArc::new(Shared { flag: AtomicUsize::new(0), data: UnsafeCell::new(0) });
        let t = s.clone();
        thread::spawn(move || {
            // SAFETY: the flag is not set yet.
            t.data.with_mut(|p| unsafe { *p = 1 });
            t.flag.store(1, store);
        });
        if s.flag.load(load) == 1 {
            // SAFETY: the flag is set.
            assert_eq!(s.data.with(|p| unsafe { *p }), 1);
        }
    }
}

#[test]
fn a_report_names_the_place_the_cure_and_the_execution() {
    let report = Builder::new().explore(message(Relaxed, Acquire));
    let failure = report.failure.expect("a race");
    assert!(
        failure.message.contains("data race") && failure.message.contains("explain.rs"),
        "{failure}"
    );
    assert_eq!(failure.cures.len(), 1, "{failure}");
    assert!(failure.cures[0].ends_with("Store with Release in place of Relaxed"), "{failure}");
    assert!(
        failure.html.starts_with("<!DOCTYPE html>") && failure.html.contains("<path class=\"rf\"")
    );
    let mut again = Builder::new();
    again.replay = Some(failure.replay.clone());
    let replayed = again.explore(message(Relaxed, Acquire));
    assert_eq!((replayed.executions, replayed.blocked), (0, 0));
    let replayed = replayed.failure.expect("the same race");
    assert_eq!(
        (replayed.message, replayed.trace, replayed.replay),
        (failure.message, failure.trace, failure.replay)
    );
}

#[test]
fn a_wrong_replay_string_is_refused() {
    let mut b = Builder::new();
    b.replay = Some("0c1,0r0".into());
    let failure = b.explore(message(Relaxed, Acquire)).failure.expect("it does not fit");
    assert!(failure.message.contains("does not belong"), "{failure}");
}

#[test]
fn replays_of_sleep_and_deadlock() {
    let model = || {
        let m = Arc::new((Mutex::new(false), verify::sync::Condvar::new()));
        let n = m.clone();
        let t = thread::spawn(move || {
            n.1.notify_one();
            *n.0.lock().unwrap() = true;
        });
        let mut g = m.0.lock().unwrap();
        while !*g {
            g = m.1.wait(g).unwrap();
        }
        drop(g);
        t.join().unwrap();
    };
    let failure = Builder::new().explore(model).failure.expect("a lost wake-up");
    let mut again = Builder::new();
    again.replay = Some(failure.replay.clone());
    let replayed = again.explore(model).failure.expect("the same one");
    assert_eq!(replayed.trace, failure.trace);
}

#[test]
fn every_ordering_of_a_message_matters() {
    let mutants = Builder::new().mutate(message(Release, Acquire));
    assert_eq!(mutants.len(), 2);
    assert!(mutants.iter().all(|m| m.caught.is_some()), "{mutants:?}");
    let mutants = Builder::new().mutate(message(SeqCst, SeqCst));
    assert_eq!(mutants.iter().filter(|m| m.caught.is_none()).count(), 2, "too strong: {mutants:?}");
}

#[test]
fn parallel_is_the_same_as_serial() {
    let count = |workers| {
        let mut b = Builder::new();
        b.workers = workers;
        b.symmetry = false;
        let r = b.explore(|| {
            let m = StdArc::new((Mutex::new(0), AtomicUsize::new(0)));
            for _ in 0..4 {
                let m = m.clone();
                thread::spawn(move || {
                    m.1.fetch_add(1, Relaxed);
                    *m.0.lock().unwrap() += 1;
                });
            }
        });
        assert!(r.failure.is_none() && r.complete);
        (r.executions, r.blocked)
    };
    assert_eq!(count(1), (24 * 24, 0));
    assert_eq!(count(4), count(1));
}

#[test]
fn the_summary_is_json() {
    let json = Builder::new().explore(message(Relaxed, Relaxed)).json();
    assert!(json.starts_with("{\"executions\": ") && json.contains("\"replay\": \"0c1,"), "{json}");
}
