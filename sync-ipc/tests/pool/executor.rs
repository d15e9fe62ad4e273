//! submit, handles, callbacks, wait, as_completed.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use sync_ipc::pool::{JobStatus, SubmitError, Until, as_completed, wait};
use sync_ipc::{JobError, Pool};

use crate::support::{LIMIT, add, fail_at_three, sleep_for, square, until};

#[test]
fn apply_and_submit_return_what_the_function_does() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.apply(add, (40, 2)).unwrap(), 42);
    let job = pool.submit(square, 5).unwrap();
    assert_eq!(job.result().unwrap(), 25);
    let error = pool.apply(fail_at_three, 3).unwrap_err();
    assert_eq!(error.message(), Some("three is no number"));
    let JobError::Panicked(panic) = error else { panic!("{error}") };
    assert!(panic.location.unwrap().contains("support.rs:"));
    assert!(panic.process.starts_with("PoolWorker-"));
}

#[test]
fn a_result_that_is_not_there_in_time_can_be_waited_for_again() {
    let pool = Pool::new(1).unwrap();
    let job = pool.submit(sleep_for, 100).unwrap();
    assert!(!job.wait_timeout(Duration::from_millis(1)));
    assert!(!job.wait_deadline(Instant::now()));
    let job = job.result_timeout(Duration::ZERO).unwrap_err();
    assert_eq!(job.result_timeout(LIMIT).unwrap().unwrap(), 100);
}

#[test]
fn a_job_that_no_worker_has_begun_can_be_cancelled() {
    let pool = Pool::new(1).unwrap();
    let running = pool.submit(sleep_for, 200).unwrap();
    until("it runs", || running.is_running());
    let waiting = pool.submit(square, 1).unwrap();
    assert_eq!(waiting.status(), JobStatus::Pending);
    assert!(!running.cancel());
    assert!(waiting.cancel() && waiting.is_cancelled() && waiting.is_done());
    assert!(matches!(waiting.result(), Err(JobError::Cancelled)));
    assert_eq!(running.result().unwrap(), 200);
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

#[test]
fn callbacks_run_once_before_the_wait_returns_and_may_panic() {
    let pool = Pool::new(2).unwrap();
    let (sender, receiver) = mpsc::channel();
    let job = pool.submit(sleep_for, 30).unwrap();
    let first = sender.clone();
    job.on_done(move |status| first.send(status).unwrap());
    job.on_done(|_| panic!("a callback fails"));
    let last = sender.clone();
    job.on_done(move |status| last.send(status).unwrap());
    assert!(job.wait_timeout(LIMIT));
    assert_eq!(receiver.try_iter().count(), 2);
    assert_eq!(job.result().unwrap(), 30);

    let all = sender.clone();
    let handle = pool.map_async(sleep_for, [1, 2, 3]).unwrap();
    let (results, received) = mpsc::channel();
    handle.on_results(move |outcome| results.send(outcome.map_err(drop)).unwrap());
    assert_eq!(received.recv_timeout(LIMIT).unwrap(), Ok(vec![1, 2, 3]));
    drop(all);

    let (results, received) = mpsc::channel();
    let report = results.clone();
    pool.apply_async(square, 7, move |outcome| report.send(outcome.ok()).unwrap()).unwrap();
    assert_eq!(received.recv_timeout(LIMIT).unwrap(), Some(49));
    pool.apply_async(fail_at_three, 3, move |outcome| results.send(outcome.ok()).unwrap()).unwrap();
    assert_eq!(received.recv_timeout(LIMIT).unwrap(), None);
    // The pool is none the worse.
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

#[test]
fn a_callback_may_submit_to_a_pool_whose_backlog_is_full() {
    let pool = std::sync::Arc::new(Pool::builder().workers(1).queue_limit(1).build().unwrap());
    let (sender, receiver) = mpsc::channel();
    let inner = std::sync::Arc::clone(&pool);
    let first = pool.submit(sleep_for, 50).unwrap();
    until("it runs", || first.is_running());
    let second = pool.submit(sleep_for, 50).unwrap();
    first.on_done(move |_| {
        for n in 0..3 {
            sender.send(inner.submit(square, n).unwrap()).unwrap();
        }
    });
    second.result().unwrap();
    for n in 0..3 {
        let job = receiver.recv_timeout(LIMIT).unwrap();
        assert_eq!(job.result().unwrap(), n * n);
    }
}

#[test]
fn a_full_backlog_refuses_and_makes_wait() {
    let pool = Pool::builder().workers(1).queue_limit(2).build().unwrap();
    let running = pool.submit(sleep_for, 100).unwrap();
    until("it runs", || running.is_running());
    let waiting = [pool.try_submit(square, 1).unwrap(), pool.try_submit(square, 2).unwrap()];
    assert!(matches!(pool.try_submit(square, 3), Err(SubmitError::Full)));
    // Waits for room.
    assert_eq!(pool.submit(square, 3).unwrap().result().unwrap(), 9);
    for job in waiting {
        job.result().unwrap();
    }
}

#[test]
fn wait_sorts_jobs_into_done_and_not_done() {
    let pool = Pool::new(2).unwrap();
    let jobs = || [300, 1].map(|time| pool.submit(sleep_for, time).unwrap());
    let waited = wait(jobs(), Until::First, Some(LIMIT));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    let waited = wait(waited.not_done, Until::All, Some(LIMIT));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 0));
    let waited = wait(jobs(), Until::All, Some(Duration::ZERO));
    assert!(!waited.not_done.is_empty());
    let waited = wait(waited.not_done, Until::FirstError, Some(LIMIT));
    assert_eq!(waited.not_done.len(), 0);
    let failing = pool.submit(fail_at_three, 3).unwrap();
    let slow = pool.submit(sleep_for, 2000).unwrap();
    let waited = wait([slow, failing], Until::FirstError, Some(LIMIT));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    assert_eq!(waited.done[0].status(), JobStatus::Panicked);
}

#[test]
fn jobs_arrive_as_they_are_completed() {
    let pool = Pool::new(3).unwrap();
    let jobs = [400, 200, 1].map(|time| pool.submit(sleep_for, time).unwrap());
    let order: Vec<_> = as_completed(jobs).map(|job| job.result().unwrap()).collect();
    assert_eq!(order, [1, 200, 400]);
    let mut none = as_completed([pool.submit(sleep_for, 100).unwrap()]);
    assert!(none.next_deadline(Instant::now()).is_none());
    assert_eq!(none.left(), 1);
    assert_eq!(none.next().unwrap().result().unwrap(), 100);
}
