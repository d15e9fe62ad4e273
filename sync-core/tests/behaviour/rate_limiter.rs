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
fn a_limiter_is_24_bytes_and_built_in_constants() {
    static LIMIT: RateLimiter = RateLimiter::new(1, HOUR).burst(2);
    assert_eq!((size_of::<RateLimiter>(), LIMIT.available()), (24, 2));
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
    assert_eq!(limit.try_acquire_many_until(1, Instant::now()), Err(TryAcquireError::TimedOut));
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
    const YEAR: Duration = Duration::from_secs(366 * 24 * 3600);
    let slow = RateLimiter::new(1, YEAR * 200);
    assert!(slow.try_acquire_for(Duration::MAX).is_ok());
    assert!(slow.reserve(1).unwrap() > YEAR * 199);
    assert_eq!(slow.try_acquire_many_for(3, HOUR), Err(TryAcquireError::TimedOut));
    assert_eq!(slow.try_acquire_many_for(u32::MAX, Duration::MAX), Err(TryAcquireError::TimedOut));
    let late = std::panic::catch_unwind(|| slow.acquire_many(3));
    assert!(late.is_err(), "not due in 292 years");
    assert!(format!("{slow:?}").starts_with("RateLimiter { available: 0"));

    // A bucket that could not fill in the time of the clock.
    let deep = RateLimiter::new(1, YEAR).burst(u32::MAX);
    let full = deep.available();
    assert!((200..300).contains(&full), "{full}");
    assert!(deep.try_acquire_many(full).is_ok() && deep.try_acquire().is_err());
    assert_eq!(deep.available(), 0);
    assert!((YEAR / 2..=YEAR).contains(&deep.reserve(1).unwrap()), "and it fills again");

    let fast = RateLimiter::new(1_000_000_000, Duration::from_secs(1)).burst(u32::MAX);
    assert!(fast.try_acquire_many(u32::MAX).is_ok());
    for too_much in [Duration::ZERO, Duration::from_nanos(u64::MAX), Duration::MAX] {
        assert!(std::panic::catch_unwind(|| RateLimiter::new(1, too_much)).is_err());
    }
    assert!(std::panic::catch_unwind(|| RateLimiter::new(0, HOUR)).is_err());
    assert!(std::panic::catch_unwind(|| RateLimiter::new(1, HOUR).burst(0)).is_err());
}

#[test]
fn a_request_for_no_token_does_not_wait() {
    let limit = RateLimiter::new(1, HOUR);
    limit.reserve(3).unwrap();
    assert_eq!((limit.try_acquire_many(0), limit.acquire_many(0)), (Ok(()), Ok(())));
    limit.close();
    assert_eq!(limit.acquire_many(0), Err(Closed));
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
