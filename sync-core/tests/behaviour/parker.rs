//! Parker and Unparker.

use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Parker, Unparker};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_parker_is_sent_and_an_unparker_is_shared() {
    fn send<T: Send>() {}
    fn sync<T: Sync>() {}
    send::<Parker>();
    send::<Unparker>();
    sync::<Unparker>();
}

#[test]
fn one_token_is_kept() {
    let parker = Parker::default();
    assert_eq!(format!("{parker:?}"), "Parker { token: false }");
    parker.unparker().unpark();
    parker.unparker().unpark();
    assert_eq!(format!("{parker:?}"), "Parker { token: true }");
    parker.park();
    assert!(!parker.park_timeout(Duration::ZERO));
}

#[test]
fn a_token_wakes() {
    let _watch = watch();
    let parker = Parker::new();
    let unparker = parker.unparker().clone();
    let (taken, took) = std::sync::mpsc::channel();
    let parks = thread::spawn(move || {
        parker.park();
        taken.send(()).unwrap();
        parker.park_timeout(Duration::MAX)
    });
    thread::sleep(SHORT);
    unparker.unpark();
    // Two tokens at once would be one.
    took.recv().unwrap();
    thread::sleep(SHORT);
    unparker.unpark();
    assert!(parks.join().unwrap());
    unparker.unpark();
}

#[test]
fn timeouts() {
    let parker = Parker::new();
    let started = Instant::now();
    assert!(!parker.park_timeout(SHORT));
    assert!(started.elapsed() >= SHORT);
    assert!(!parker.park_deadline(started));
    parker.unparker().unpark();
    assert!(parker.park_deadline(started), "a deadline in the past takes what is there");
}
