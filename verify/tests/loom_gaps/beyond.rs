//! Models that loom has no types for (loom #306, #346, #308, #396, #156, #117, #393).

use std::time::Duration;

use super::checker::futex;
use super::checker::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*};
use super::checker::sync::{Arc, Barrier, Condvar, LazyLock, Mutex, OnceLock, Weak, mpsc};
use super::checker::thread;
use super::explore;

#[track_caller]
fn passes(model: fn()) {
    assert_eq!(explore(model), None);
}

#[track_caller]
fn fails(reason: &str, model: fn()) {
    let failure = explore(model).expect("the model fails");
    assert!(failure.contains(reason), "not for {reason}:\n{failure}");
}

/// Statics start again in every execution.
#[test]
fn const_constructors() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    static NAMES: Mutex<Vec<usize>> = Mutex::new(Vec::new());
    passes(|| {
        let other = thread::spawn(|| {
            NAMES.lock().expect("no panic").push(1);
            COUNT.fetch_add(1, Relaxed)
        });
        let mine = COUNT.fetch_add(1, Relaxed);
        assert_eq!(mine + other.join().expect("no panic"), 1);
    });
}

#[test]
fn scoped_threads() {
    passes(|| {
        let count = AtomicUsize::new(0);
        thread::scope(|scope| {
            scope.spawn(|| count.fetch_add(1, Relaxed));
            scope.spawn(|| count.fetch_add(1, Relaxed));
        });
        assert_eq!(count.load(Relaxed), 2);
    });
}

#[test]
fn weak_references() {
    fn upgrade() -> Option<String> {
        let strong = Arc::new(String::from("kept"));
        let weak: Weak<String> = Arc::downgrade(&strong);
        let dropper = thread::spawn(move || drop(strong));
        let found = weak.upgrade().map(|strong| (*strong).clone());
        dropper.join().expect("no panic");
        assert!(weak.upgrade().is_none());
        found
    }
    passes(|| assert!(upgrade().is_none_or(|value| value == "kept")));
    fails("gone", || assert!(upgrade().is_some(), "gone"));
    fails("still there", || assert!(upgrade().is_none(), "still there"));
}

#[test]
fn barriers() {
    passes(|| {
        let shared = Arc::new((Barrier::new(2), AtomicUsize::new(0)));
        let other = shared.clone();
        let thread = thread::spawn(move || {
            other.1.store(1, Relaxed);
            other.0.wait().is_leader()
        });
        let leader = shared.0.wait().is_leader();
        assert_eq!(shared.1.load(Relaxed), 1);
        assert!(leader != thread.join().expect("no panic"));
    });
}

#[test]
fn values_made_once() {
    passes(|| {
        let shared = Arc::new((OnceLock::new(), AtomicUsize::new(0)));
        let get = |shared: &Arc<(OnceLock<usize>, AtomicUsize)>| {
            *shared.0.get_or_init(|| shared.1.fetch_add(1, Relaxed))
        };
        let other = shared.clone();
        let thread = thread::spawn(move || get(&other));
        assert_eq!(get(&shared), 0);
        assert_eq!(thread.join().expect("no panic"), 0);
    });
    passes(|| {
        let shared = Arc::new(LazyLock::new(|| String::from("made")));
        let other = shared.clone();
        let thread = thread::spawn(move || other.len());
        assert_eq!(shared.len() + thread.join().expect("no panic"), 8);
    });
}

#[test]
fn waits_with_conditions_and_times() {
    passes(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new()));
        let other = shared.clone();
        let thread = thread::spawn(move || {
            *other.0.lock().expect("no panic") = true;
            other.1.notify_one();
        });
        let ready = shared
            .1
            .wait_while(shared.0.lock().expect("no panic"), |ready| !*ready)
            .expect("no panic");
        assert!(*ready);
        drop(ready);
        thread.join().expect("no panic");
    });
    fails("too late", || {
        let (sender, receiver) = mpsc::channel();
        let thread = thread::spawn(move || sender.send(1).is_ok());
        let received = receiver.recv_timeout(Duration::from_millis(1));
        drop(receiver);
        thread.join().expect("no panic");
        assert_eq!(received, Ok(1), "too late");
    });
}

#[test]
fn futexes() {
    fn model(wakes: bool) {
        let word = Arc::new(AtomicU32::new(0));
        let sleeper = word.clone();
        let thread = thread::spawn(move || {
            while sleeper.load(Acquire) == 0 {
                futex::wait(&sleeper, 0);
            }
        });
        word.store(1, Release);
        if wakes {
            futex::wake(&raw const *word, 1);
        }
        thread.join().expect("no panic");
    }
    passes(|| model(true));
    fails("deadlock", || model(false));
}
