//! Scoped threads.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sync_core::Event;
use sync_core::thread::{self, Builder, JoinError, SpawnError};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

fn message(payload: Box<dyn std::any::Any + Send>) -> String {
    let text = payload.downcast_ref::<&str>().map(|&text| text.to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[test]
fn a_scope_joins_its_threads_and_they_borrow() {
    let _watch = watch();
    let (words, done) = (vec!["a", "bc"], AtomicU32::new(0));
    let lengths = thread::scope(|scope| {
        let handles = [0, 1].map(|at| {
            scope
                .spawn({
                    let words = &words;
                    move || words[at].len()
                })
                .unwrap()
        });
        // A thread that no handle joins, and a daemon: the scope waits for both.
        scope.spawn(|| done.fetch_add(1, Ordering::Relaxed)).unwrap();
        let daemon = Builder::new().name("daemon").daemon(true);
        let daemon = daemon
            .spawn_scoped(scope, || {
                std::thread::sleep(SHORT);
                done.fetch_add(1, Ordering::Relaxed)
            })
            .unwrap();
        assert!(daemon.is_daemon() && &*daemon.name() == "daemon");
        handles.map(|handle| *handle.join().unwrap())
    });
    assert_eq!((lengths, done.into_inner()), ([1, 2], 2));
}

#[test]
fn handles_of_a_scope_time_out_and_are_cloned() {
    let _watch = watch();
    let (gate, text) = (Event::new(), String::from("text"));
    thread::scope(|scope| {
        let borrows: thread::JoinHandle<&str> = scope
            .spawn(|| {
                gate.wait();
                &*text
            })
            .unwrap();
        let other = borrows.clone();
        assert_eq!(borrows.join_timeout(SHORT), Err(JoinError::TimedOut));
        assert!(!scope.join_timeout(SHORT) && !scope.join_timeout(Duration::ZERO));
        assert!(!scope.join_deadline(std::time::Instant::now() + SHORT));
        gate.set();
        assert_eq!((borrows.join(), other.join()), (Ok(&"text"), Ok(&"text")));
        assert!(scope.join_timeout(Duration::MAX));
        drop(other);
        assert_eq!(borrows.into_result().unwrap().unwrap(), "text");
    });
}

#[test]
fn a_thread_of_a_scope_starts_others_while_the_scope_ends() {
    let _watch = watch();
    let done = AtomicU32::new(0);
    thread::scope(|scope| {
        scope
            .spawn(|| {
                std::thread::sleep(SHORT);
                scope
                    .spawn(|| {
                        std::thread::sleep(SHORT);
                        done.store(1, Ordering::Relaxed);
                    })
                    .unwrap();
            })
            .unwrap();
    });
    assert_eq!(done.into_inner(), 1);
}

#[test]
fn a_panic_that_no_handle_returned_comes_out_of_the_scope_after_all_joins() {
    let _watch = watch();
    let done = AtomicU32::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        thread::scope(|scope| {
            scope.spawn(|| panic!("first")).unwrap();
            scope
                .spawn(|| {
                    std::thread::sleep(SHORT);
                    done.store(1, Ordering::Relaxed);
                })
                .unwrap();
        })
    }));
    assert_eq!(message(panic.unwrap_err()), "a scoped thread panicked: first");
    assert_eq!(done.into_inner(), 1);
}

#[test]
fn a_panic_that_a_handle_returned_stays_with_it() {
    let _watch = watch();
    thread::scope(|scope| {
        let joined = scope.spawn(|| panic!("joined")).unwrap();
        assert_eq!(joined.join(), Err(JoinError::Panicked("joined".into())));
        let taken = scope.spawn(|| panic!("taken")).unwrap();
        while taken.take_panic().is_none() {
            std::thread::yield_now();
        }
    });
}

#[test]
fn a_panic_of_the_body_comes_first_and_waits_for_the_threads() {
    let _watch = watch();
    let done = AtomicU32::new(0);
    let panic = catch_unwind(AssertUnwindSafe(|| {
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    std::thread::sleep(SHORT);
                    done.store(1, Ordering::Relaxed);
                    panic!("a thread");
                })
                .unwrap();
            panic!("the body");
        })
    }));
    assert_eq!((message(panic.unwrap_err()).as_str(), done.into_inner()), ("the body", 1));
}

// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_thread_of_a_scope_that_the_system_refuses() {
    let dropped = AtomicU32::new(0);
    struct Counts<'a>(&'a AtomicU32);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    thread::scope(|scope| {
        let counts = Counts(&dropped);
        let refused = Builder::new().stack_size(1).spawn_scoped(scope, move || drop(counts));
        assert!(matches!(refused, Err(SpawnError::StackSize(1))));
        // More memory than a process can have: std drops the closure.
        let counts = Counts(&dropped);
        let refused = Builder::new()
            .stack_size(isize::MAX as usize & !0xffff)
            .spawn_scoped(scope, move || drop(counts));
        assert!(refused.is_err() && dropped.load(Ordering::Relaxed) == 2);
        assert_eq!(format!("{scope:?}"), "Scope { threads: 1, .. }");
    });
}
