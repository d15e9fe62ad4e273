//! RateLimiter.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::task::block_on;
use sync_core::{Closed, RateLimiter, TryAcquireError};

use crate::watchdog::watch;

const HOUR: Duration = Duration::from_secs(3600);
const MS: u64 = 1_000_000;

#[test]
fn a_limiter_is_forty_bytes_and_built_in_constants() {
    static LIMIT: RateLimiter = RateLimiter::new(1, HOUR).burst(2);
    assert_eq!((size_of::<RateLimiter>() <= 48, LIMIT.available()), (true, 2));
}

#[test]
fn a_full_bucket_lets_a_burst_go_on_at_once() {
    static LIMIT: RateLimiter = RateLimiter::new(3, HOUR);
    assert_eq!(LIMIT.available(), 3);
    assert_eq!([(); 3].map(|()| LIMIT.try_acquire()), [Ok(()); 3]);
    assert_eq!(LIMIT.try_acquire(), Err(TryAcquireError::NoPermits));
    assert_eq!(LIMIT.available(), 0);
}

#[test]
fn tokens_come_at_the_rate_and_are_saved_up_to_the_burst() {
    let limit = RateLimiter::new(1000, Duration::from_secs(1)).burst(2);
    // A full bucket at the time 2 ms.
    let at = |now: u64, n| limit.take_at(n, now * MS, now * MS).is_some();
    assert!(at(2, 2) && !at(2, 1));
    assert!(at(3, 1) && !at(3, 1), "one token a millisecond");
    assert!(at(60_000, 2) && !at(60_000, 1), "two are saved up, and no more");
    assert!(!at(60_001, 2) && at(60_002, 2), "a request that is refused takes nothing");
}

#[test]
fn requests_go_on_in_the_order_in_which_they_came() {
    let limit = RateLimiter::new(1, Duration::from_millis(1));
    let due = [(); 4].map(|()| limit.take_at(1, MS, u64::MAX).unwrap() / MS);
    assert_eq!(due, [1, 2, 3, 4]);
    assert_eq!(limit.take_at(3, MS, u64::MAX).unwrap() / MS, 7, "more than the bucket holds");
}

#[test]
fn a_request_that_cannot_be_in_time_gives_up_at_once() {
    let _watch = watch();
    let limit = RateLimiter::new(1, HOUR);
    limit.acquire().unwrap();
    assert_eq!(limit.try_acquire_for(HOUR / 2), Err(TryAcquireError::TimedOut));
    assert_eq!(limit.try_acquire_until(Instant::now()), Err(TryAcquireError::TimedOut));
    assert_eq!(limit.try_acquire_many_for(2, HOUR), Err(TryAcquireError::TimedOut));
    // It was not charged for those: the next token is due in an hour.
    assert!(limit.reserve(1).unwrap() <= HOUR);
    assert!(limit.reserve(1).unwrap() > HOUR);
}

#[test]
fn a_wait_is_never_early() {
    let limit = RateLimiter::new(1, Duration::from_millis(5));
    let started = Instant::now();
    (0..4).for_each(|_| limit.acquire().unwrap());
    assert!(started.elapsed() >= Duration::from_millis(15));
}

#[test]
fn closing_ends_the_waits() {
    let _watch = watch();
    let limit = RateLimiter::new(1, HOUR);
    limit.acquire().unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| limit.acquire());
        thread::sleep(Duration::from_millis(5));
        limit.close();
        assert_eq!(waits.join().unwrap(), Err(Closed));
    });
    assert!(limit.is_closed());
    assert_eq!(limit.try_acquire(), Err(TryAcquireError::Closed));
    assert_eq!(limit.reserve(1), Err(Closed));
}

#[test]
fn the_ends_of_the_numbers() {
    let slow = RateLimiter::new(1, Duration::from_nanos(u64::MAX)).burst(u32::MAX);
    assert!(slow.try_acquire_for(Duration::MAX).is_ok(), "the bucket is as full as it can be");
    let refused = RateLimiter::new(1, Duration::from_nanos(u64::MAX));
    let late = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| refused.acquire_many(3)));
    assert!(late.is_err(), "not due in 584 years");
    assert_eq!(refused.try_acquire_many_for(3, HOUR), Err(TryAcquireError::TimedOut));
    assert!(format!("{refused:?}").starts_with("RateLimiter { available: "));
}

/// Against a bucket that is filled by a loop, in steps of the interval.
#[test]
fn it_is_a_bucket_that_is_filled_at_the_rate() {
    const INTERVAL: u64 = 10;
    let mut seed = 0x5eed_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for burst in 1..6_u64 {
        let limit = RateLimiter::new(1, Duration::from_nanos(INTERVAL)).burst(burst as u32);
        // The time starts with a full bucket; the oracle counts nanoseconds of savings.
        let (mut now, mut saved) = (burst * INTERVAL, burst * INTERVAL);
        for step in 0..2000 {
            let passed = random(3 * INTERVAL);
            now += passed;
            saved = (saved + passed).min(burst * INTERVAL);
            let n = random(burst + 2);
            let expected = saved >= n * INTERVAL;
            if expected {
                saved -= n * INTERVAL;
            }
            let got = limit.take_at(n as u32, now, now).is_some();
            assert_eq!(got, expected, "step {step} of burst {burst} (seed 0x5eed)");
        }
    }
}

#[test]
fn tasks_go_on_one_after_the_other() {
    let _watch = watch();
    let limit = Arc::new(RateLimiter::new(1, Duration::from_millis(5)));
    let began = Instant::now();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let limit = Arc::clone(&limit);
            thread::spawn(move || block_on(limit.acquire_async()).unwrap())
        })
        .collect();
    tasks.into_iter().for_each(|task| task.join().unwrap());
    // One token was there, and the others came after an interval each.
    assert!(began.elapsed() >= Duration::from_millis(15));
}

#[test]
fn a_task_that_gives_up_gives_its_token_back_if_it_was_the_last() {
    let limit = RateLimiter::new(1, Duration::from_secs(1_000));
    block_on(limit.acquire_async()).unwrap();
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..3 {
        let mut waits = pin!(limit.acquire_async());
        assert!(waits.as_mut().poll(&mut context).is_pending());
    }
    // None of the three is in the way of this one.
    assert!(limit.reserve(1).unwrap() <= Duration::from_secs(1_000));
    // The first of two is: the second one's moment is known already.
    let mut first = Box::pin(limit.acquire_async());
    assert!(first.as_mut().poll(&mut context).is_pending());
    let second = limit.reserve(1).unwrap();
    drop(first);
    assert!(limit.reserve(1).unwrap() > second);
}

#[test]
fn a_close_ends_the_waits_of_tasks() {
    let _watch = watch();
    let limit = Arc::new(RateLimiter::new(1, Duration::from_secs(1_000)));
    limit.acquire().unwrap();
    let other = Arc::clone(&limit);
    let waits = thread::spawn(move || block_on(other.acquire_async()));
    limit.close();
    assert_eq!(waits.join().unwrap(), Err(Closed));
    assert_eq!(block_on(limit.acquire_async()), Err(Closed));
}
