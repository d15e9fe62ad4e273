//! Latch and WaitGroup.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Latch, WaitGroup};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

#[test]
fn a_latch_is_four_bytes_and_built_in_constants() {
    static LATCH: Latch = Latch::new(0);
    const { assert!(size_of::<Latch>() == 4) };
    assert!(LATCH.is_open());
    assert!(catch_unwind(|| Latch::new(u32::MAX)).is_err());
}

#[test]
fn it_opens_at_zero_for_all_threads() {
    let _watch = watch();
    let (latch, through) = (Latch::new(3), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                latch.wait();
                through.fetch_add(1, Ordering::Relaxed);
            });
        }
        latch.count_down(2);
        thread::sleep(SHORT);
        assert_eq!(through.load(Ordering::Relaxed), 0);
        assert_eq!(format!("{latch:?}"), "Latch { count: 1 }");
        latch.count_down_and_wait();
    });
    assert_eq!(through.into_inner(), 4);
    latch.wait();
    latch.count_down(0);
}

#[test]
fn below_zero_is_a_panic_and_counts_nothing() {
    let latch = Latch::new(2);
    assert!(catch_unwind(AssertUnwindSafe(|| latch.count_down(3))).is_err());
    assert_eq!(latch.count(), 2);
    latch.count_down(2);
    assert!(catch_unwind(AssertUnwindSafe(|| latch.count_down(1))).is_err());
    assert!(latch.is_open());
}

#[test]
fn timeouts() {
    let latch = Latch::new(1);
    let started = Instant::now();
    assert!(!latch.wait_timeout(SHORT));
    assert!(started.elapsed() >= SHORT);
    assert!(!latch.wait_deadline(started));
    latch.count_down(1);
    assert!(latch.wait_deadline(started));
    assert!(latch.wait_timeout(Duration::MAX));
}

#[test]
fn a_wait_group_waits_for_every_clone() {
    let _watch = watch();
    let (group, done) = (WaitGroup::default(), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..5 {
            let (group, done) = (group.clone(), &done);
            scope.spawn(move || {
                thread::sleep(SHORT);
                done.fetch_add(1, Ordering::Relaxed);
                group.done();
            });
        }
        assert!(group.count() >= 1);
        group.wait();
        assert_eq!(done.load(Ordering::Relaxed), 5);
    });
}

#[test]
fn a_wait_group_that_times_out_is_given_back() {
    let group = WaitGroup::new();
    let other = group.clone();
    let group = group.wait_timeout(SHORT).unwrap_err();
    assert_eq!(format!("{group:?}"), "WaitGroup { count: 2 }");
    let group = group.wait_deadline(Instant::now()).unwrap_err();
    drop(other);
    assert!(group.wait_timeout(Duration::ZERO).is_ok());
    assert!(WaitGroup::new().wait_timeout(Duration::MAX).is_ok());
}

#[test]
fn two_may_wait_for_each_other() {
    let _watch = watch();
    let group = WaitGroup::new();
    let other = group.clone();
    thread::scope(|scope| {
        scope.spawn(|| other.wait());
        group.wait();
    });
}

#[test]
fn a_panic_leaves_the_group() {
    let _watch = watch();
    let group = WaitGroup::new();
    let other = group.clone();
    let panics = thread::spawn(move || {
        let _other = other;
        panic!("in the group");
    });
    group.wait();
    assert!(panics.join().is_err());
}
