//! Event.

use std::mem::size_of;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::Event;

use crate::asleep::until_asleep;
use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn an_event_is_four_bytes_and_built_in_constants() {
    static EVENT: Event = Event::new();
    const { assert!(size_of::<Event>() == 4) };
    fn everywhere<T: Send + Sync>() {}
    everywhere::<Event>();
    assert!(!EVENT.is_set());
}

#[test]
fn is_set() {
    let event = Event::new();
    assert!(!event.is_set());
    event.set();
    assert!(event.is_set());
    event.set();
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
    event.clear();
    assert!(!event.is_set());
}

#[test]
fn one_set_releases_all_and_again_on_the_same_object() {
    let _watch = watch();
    let event = Event::new();
    for _ in 0..2 {
        let returned = AtomicU32::new(0);
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    for _ in 0..2 {
                        event.wait();
                        returned.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            thread::sleep(SHORT);
            assert_eq!(returned.load(Ordering::Relaxed), 0);
            event.set();
        });
        assert_eq!(returned.into_inner(), 10);
        event.clear();
    }
}

#[test]
fn timeouts() {
    let _watch = watch();
    let event = Event::new();
    let in_five = |set: bool| {
        thread::scope(|scope| {
            for _ in 0..5 {
                scope.spawn(|| {
                    assert_eq!(event.wait_timeout(Duration::ZERO), set);
                    let started = Instant::now();
                    assert_eq!(event.wait_timeout(SHORT), set);
                    assert!(set || started.elapsed() >= SHORT);
                });
            }
        });
    };
    in_five(false);
    event.set();
    in_five(true);
}

#[test]
fn reinit_after_fork() {
    let event = Event::new();
    event.set();
    // SAFETY: no other thread uses the event.
    unsafe { event.reinit_after_fork() };
    assert!(!event.is_set());
    event.set();
    event.wait();
}

#[test]
fn debug() {
    let event = Event::default();
    assert_eq!(format!("{event:?}"), "Event { state: unset }");
    event.set();
    assert_eq!(format!("{event:?}"), "Event { state: set }");
}

#[test]
fn a_deadline_in_the_past_asks() {
    let event = Event::new();
    let past = Instant::now() - SHORT;
    assert!(!event.wait_deadline(past));
    event.set();
    assert!(event.wait_deadline(past));
}

#[test]
fn set_and_clear_release_all_threads_that_waited() {
    let _watch = watch();
    let event = Event::new();
    for _ in 0..200 {
        let tasks = [const { AtomicU32::new(0) }; 4];
        thread::scope(|scope| {
            for task in &tasks {
                let event = &event;
                scope.spawn(move || {
                    task.store(sync_core::thread::native_id(), Ordering::Relaxed);
                    event.wait();
                });
            }
            // From here on they sleep in `wait`: there is nothing else that they could sleep in.
            tasks.iter().for_each(until_asleep);
            event.set();
            event.clear();
        });
        assert!(!event.is_set());
    }
}

#[test]
fn is_set_brings_the_news() {
    let event = Event::new();
    let news = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            news.store(1, Ordering::Relaxed);
            event.set();
        });
        while !event.is_set() {
            thread::yield_now();
        }
        assert_eq!(news.load(Ordering::Relaxed), 1);
    });
}

#[test]
fn the_longest_duration_means_forever() {
    let _watch = watch();
    let event = Event::new();
    thread::scope(|scope| {
        let waits = scope.spawn(|| event.wait_timeout(Duration::MAX));
        thread::sleep(SHORT);
        event.set();
        assert!(waits.join().unwrap());
    });
}
