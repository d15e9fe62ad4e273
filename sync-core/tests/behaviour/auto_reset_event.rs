//! AutoResetEvent.

use std::mem::size_of;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::AutoResetEvent;

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn it_is_four_bytes_and_built_in_constants() {
    static EVENT: AutoResetEvent = AutoResetEvent::new();
    const { assert!(size_of::<AutoResetEvent>() == 4) };
    assert!(!EVENT.is_set());
}

#[test]
fn a_set_before_the_wait_is_kept_once() {
    let event = AutoResetEvent::default();
    event.set();
    event.set();
    assert_eq!(format!("{event:?}"), "AutoResetEvent { state: set }");
    event.wait();
    assert!(!event.try_wait());
    assert_eq!(format!("{event:?}"), "AutoResetEvent { state: unset }");
}

#[test]
fn a_set_releases_one() {
    let _watch = watch();
    let event = AutoResetEvent::new();
    let released = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                event.wait();
                released.fetch_add(1, Ordering::Relaxed);
            });
        }
        for round in 1..=3 {
            thread::sleep(SHORT);
            assert_eq!(released.load(Ordering::Relaxed), round - 1);
            event.set();
            while released.load(Ordering::Relaxed) < round {
                thread::yield_now();
            }
        }
    });
    assert!(!event.is_set());
}

#[test]
fn timeouts_and_clear() {
    let event = AutoResetEvent::new();
    let started = Instant::now();
    assert!(!event.wait_timeout(SHORT));
    assert!(started.elapsed() >= SHORT);
    event.set();
    event.clear();
    assert!(!event.wait_deadline(started));
    event.set();
    assert!(event.wait_deadline(started), "a deadline in the past takes what is there");
    event.set();
    assert!(event.wait_timeout(Duration::MAX));
    // SAFETY: no other thread uses the event.
    unsafe { event.reinit_after_fork() };
    assert!(!event.is_set());
}
