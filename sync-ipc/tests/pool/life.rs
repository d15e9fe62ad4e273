//! Workers: how many, how long, and how a pool ends.

use std::collections::HashSet;
use std::num::NonZero;
use std::time::{Duration, Instant};

use sync_ipc::pool::{BuildError, SubmitError};
use sync_ipc::{Event, JobError, Pool, Segment, Value};

use crate::support::{LIMIT, exists, pid, pid_of, sleep_for, square, until};

#[test]
fn a_pool_has_exactly_as_many_workers_as_asked_for() {
    assert!(matches!(Pool::new(0), Err(BuildError::NoWorkers)));
    assert!(matches!(Pool::builder().queue_limit(0).build(), Err(BuildError::NoBacklog)));
    let pool = Pool::new(3).unwrap();
    assert_eq!(pool.workers().len(), 3);
    let names: HashSet<_> = pool.workers().iter().map(|child| child.name().to_owned()).collect();
    let expected = ["PoolWorker-1", "PoolWorker-2", "PoolWorker-3"].map(str::to_owned);
    assert_eq!(names, HashSet::from(expected));
}

#[test]
fn sequential_jobs_reuse_one_worker() {
    let pool = Pool::new(3).unwrap();
    until("all workers have begun", || {
        let pids = pool.map_chunked(crate::maps::sleep_and_tell, vec![20; 6], 1).unwrap();
        pids.into_iter().collect::<HashSet<_>>().len() == 3
    });
    // The worker that became idle last is taken first.
    let pids: HashSet<_> = (0..20).map(|_| pool.apply(pid, ()).unwrap()).collect();
    assert_eq!(pids.len(), 1, "{pids:?}");
}

#[test]
fn a_closed_pool_runs_what_it_has_and_takes_no_more() {
    let pool = Pool::new(2).unwrap();
    assert!(pool.join().is_err(), "it is still running");
    let jobs: Vec<_> = (0..20).map(|n| pool.submit(square, n).unwrap()).collect();
    let pids: Vec<u32> = pool.workers().iter().map(|child| child.pid()).collect();
    pool.close();
    pool.close();
    assert!(matches!(pool.submit(square, 1), Err(SubmitError::Closed)));
    pool.join().unwrap();
    for (n, job) in jobs.into_iter().enumerate() {
        assert_eq!(job.result().unwrap(), (n * n) as u64);
    }
    assert!(pids.into_iter().all(|pid| !exists(pid)), "the workers have ended, and are no zombies");
    assert!(pool.workers().is_empty());
}

#[test]
fn terminate_gives_up_what_is_there_promptly() {
    let pool = Pool::builder().workers(2).queue_limit(20_000).build().unwrap();
    let handle = pool.map_async_chunked(sleep_for, vec![60_000; 10_000], 1).unwrap();
    let started = Instant::now();
    pool.terminate();
    assert!(pool.join_deadline(std::time::Instant::now() + LIMIT).unwrap());
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(matches!(handle.results(), Err(JobError::Terminated)));
    assert!(matches!(pool.submit(square, 1), Err(SubmitError::Closed)));
}

#[test]
fn shutdown_may_cancel_what_no_worker_has_begun() {
    let pool = Pool::new(1).unwrap();
    let running = pool.submit(sleep_for, 100).unwrap();
    until("it runs", || running.is_running());
    let waiting = pool.submit(square, 1).unwrap();
    pool.shutdown(true, true);
    assert_eq!(running.result().unwrap(), 100);
    assert!(matches!(waiting.result(), Err(JobError::Cancelled)));
}

#[test]
fn dropping_a_pool_waits_for_what_was_submitted() {
    let pool = Pool::new(2).unwrap();
    let jobs: Vec<_> = (0..4).map(|_| pool.submit(sleep_for, 20).unwrap()).collect();
    drop(pool);
    assert!(jobs.iter().all(|job| job.is_done()));
}

#[test]
fn workers_are_replaced_after_n_tasks() {
    let pool =
        Pool::builder().workers(3).max_tasks_per_child(NonZero::new(10).unwrap()).build().unwrap();
    let first: HashSet<_> = pool.workers().iter().map(|child| child.pid()).collect();
    let pids = pool.map_chunked(pid_of, 0..100, 1).unwrap();
    for pid in pids.iter().collect::<HashSet<_>>() {
        assert!(pids.iter().filter(|other| *other == pid).count() <= 10);
    }
    assert!(pids.iter().collect::<HashSet<_>>().len() >= 10);
    until("the first workers are gone", || {
        pool.workers().iter().all(|child| !first.contains(&child.pid()))
            || pool.map_chunked(pid_of, 0..10, 1).is_err()
    });
}

#[test]
fn one_task_for_each_worker_and_a_failing_one_among_them() {
    for workers in [2, 4] {
        let pool = Pool::builder()
            .workers(workers)
            .max_tasks_per_child(NonZero::<u64>::MIN)
            .build()
            .unwrap();
        let jobs: Vec<_> =
            (0..8).map(|n| pool.submit(crate::support::fail_at_three, n).unwrap()).collect();
        pool.shutdown(false, false);
        let results: Vec<_> = jobs.into_iter().map(|job| job.result().ok()).collect();
        let expected: Vec<_> = (0..8).map(|n| (n != 3).then_some(n)).collect();
        assert_eq!(results, expected);
    }
}

fn count_start(starts: Value<u32>) {
    let guard = starts.lock().unwrap();
    let count = guard.get();
    guard.set(count + 1);
}

/// Whether a pool that cannot have all of its workers is an error and leaves none.
fn build_without_descriptors(free: u64) -> bool {
    let used = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    let limit = libc::rlimit { rlim_cur: used + free, rlim_max: used + 1000 };
    // SAFETY: a limit of this process, from a place of its type.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
    let built = Pool::new(100);
    let raised = libc::rlimit { rlim_cur: used + 1000, ..limit };
    // SAFETY: a limit of this process, from a place of its type.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) }, 0);
    let left = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    matches!(built, Err(BuildError::Spawn(_)))
        && sync_ipc::active_children().is_empty()
        && left <= used
}

sync_ipc::entry!(build_without_descriptors);

#[test]
fn a_pool_that_cannot_start_all_workers_leaves_none() {
    for free in [0, 1, 3, 7, 20, 41] {
        let process = sync_ipc::Process::spawn(build_without_descriptors, free).unwrap();
        assert!(process.result().unwrap(), "{free} descriptors");
    }
}

fn refuse(why: String) {
    panic!("{why}");
}

fn wait_for(event: Event) -> bool {
    event.wait_timeout(LIMIT)
}

sync_ipc::entry!(count_start, refuse, wait_for);

#[test]
fn the_initializer_runs_once_in_each_worker() {
    let segment = Segment::anonymous(4096).unwrap();
    let starts = Value::create(&segment, "starts", 0_u32).unwrap();
    let pool = Pool::builder().workers(2).initializer(count_start, starts.clone()).build().unwrap();
    pool.map(square, 0..50).unwrap();
    until("both have started", || starts.get().unwrap() == 2);
    pool.map(square, 0..50).unwrap();
    assert_eq!(starts.get().unwrap(), 2);
}

#[test]
fn an_initializer_that_panics_breaks_the_pool_and_leaves_nothing() {
    let pool = Pool::builder().workers(2).initializer(refuse, "not today".into()).build().unwrap();
    let pids: Vec<u32> = pool.workers().iter().map(|child| child.pid()).collect();
    until("it is broken", || pool.broken().is_some());
    assert!(pool.broken().unwrap().contains("not today"));
    assert!(matches!(pool.submit(square, 1), Err(SubmitError::Broken(_))));
    pool.join().unwrap();
    until("the workers are gone", || pids.iter().all(|pid| !exists(*pid)));
}

#[test]
fn handles_among_the_arguments_of_tasks() {
    let segment = Segment::anonymous(4096).unwrap();
    let event = Event::create(&segment, "event").unwrap();
    let pool = Pool::new(2).unwrap();
    let jobs = [(); 2].map(|()| pool.submit(wait_for, event.clone()).unwrap());
    event.set();
    for job in jobs {
        assert!(job.result().unwrap());
    }
}

#[test]
fn many_workers_and_many_tasks() {
    let pool = Pool::new(40).unwrap();
    let sum: u64 = pool.map_chunked(square, 0..1000, 1).unwrap().iter().sum();
    assert_eq!(sum, (0..1000).map(square).sum());
}
