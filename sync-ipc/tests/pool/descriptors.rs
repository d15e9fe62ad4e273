//! Pools in a process that may open few descriptors. Each test runs in a process of its own.

use std::fs::File;

use sync_ipc::{Bytes, Event, JobError, Pool, Process, Segment};

use crate::support::{LIMIT, pid, square, until};

/// The descriptors that the process of a test may have: far fewer than it has tasks.
const FEW: u64 = 128;
const TASKS: u64 = 400;

/// Longer than what goes through a socket.
const LONG: usize = 70_000;

fn limit_descriptors() {
    let limit = libc::rlimit { rlim_cur: FEW, rlim_max: FEW };
    // SAFETY: a limit of this process, from a place of its type.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }, 0);
}

/// Opens descriptors until there is none left.
fn all_descriptors() -> Vec<File> {
    core::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

fn event() -> Event {
    let segment = Segment::anonymous(4096).unwrap();
    Event::create(&segment, "event").unwrap()
}

fn until_set(event: Event) -> bool {
    event.wait_timeout(LIMIT)
}

fn length(bytes: Bytes) -> u64 {
    bytes.iter().for_each(|byte| assert_eq!(*byte, bytes[0]));
    bytes.len() as u64
}

/// Long if `n` is odd, so that the length of the next one is not known.
fn every_other_long(n: u64) -> Bytes {
    Bytes(vec![n as u8; if n % 2 == 1 { LONG + n as usize } else { 1 }])
}

fn long(n: u64) -> Bytes {
    Bytes(vec![n as u8; LONG + n as usize])
}

fn with_handle(event: Event, n: u64) -> u64 {
    std::thread::sleep(std::time::Duration::from_millis(1));
    assert!(event.is_set());
    n
}

fn arguments_wait() {
    limit_descriptors();
    let (pool, event) = (Pool::new(2).unwrap(), event());
    let running = [(); 2].map(|()| pool.submit(until_set, event.clone()).unwrap());
    until("both run", || running.iter().all(|job| job.is_running()));
    let items = || (0..TASKS).map(|n| LONG + n as usize);
    let bytes = items().map(|length| Bytes(vec![length as u8; length]));
    let map = pool.map_async_chunked(length, bytes, 1).expect("all wait");
    assert_eq!(pool.backlog() as u64, TASKS);
    event.set();
    let lengths: Vec<u64> = items().map(|length| length as u64).collect();
    assert_eq!(map.results().unwrap(), lengths);
}

fn results_wait() {
    limit_descriptors();
    let pool = Pool::new(2).unwrap();
    let every_other = pool.map_async_chunked(every_other_long, 0..TASKS, 1).unwrap();
    let each = pool.map_async_chunked(long, 0..TASKS, 1).unwrap();
    for (map, function) in [(every_other, every_other_long as fn(u64) -> Bytes), (each, long)] {
        assert!(map.wait_deadline(std::time::Instant::now() + LIMIT));
        for (n, bytes) in (0..TASKS).zip(map.results().unwrap()) {
            assert!(bytes == function(n), "{n}");
        }
    }
}

fn handles_wait() {
    limit_descriptors();
    let (pool, event) = (Pool::new(2).unwrap(), event());
    event.set();
    let items = (0..TASKS).map(|n| (event.clone(), n));
    assert_eq!(pool.map_chunked(with_handle, items, 1).unwrap(), (0..TASKS).collect::<Vec<_>>());
}

fn no_descriptor_is_left() {
    limit_descriptors();
    let (pool, event) = (Pool::new(2).unwrap(), event());
    let running = pool.submit(until_set, event.clone()).unwrap();
    until("it runs", || running.is_running());
    let before = pool.apply(pid, ()).unwrap();
    let all = all_descriptors();
    // A result that is not received is its task's alone.
    let error = pool.apply(long, 1).unwrap_err();
    assert!(matches!(error, JobError::BadResult(_)), "{error:?}");
    assert_eq!(pool.apply(pid, ()).unwrap(), before, "the worker goes on");
    // While another task runs, there may be a descriptor at its end.
    let waits = pool.submit(length, long(2)).unwrap();
    assert!(!waits.wait_timeout(std::time::Duration::from_millis(100)));
    drop(all);
    assert_eq!(waits.result_timeout(LIMIT).expect("in time").unwrap(), LONG as u64 + 2);
    event.set();
    assert!(running.result().unwrap());
    // Else it is an error after a while. Files that go round are in no one's way.
    let jobs: Vec<_> = (0..100).map(|n| pool.submit(long, n).unwrap()).collect();
    let all = all_descriptors();
    for (n, job) in (0..).zip(jobs) {
        match job.result_timeout(LIMIT).expect("in time") {
            Ok(bytes) => assert_eq!(bytes, long(n)),
            Err(JobError::BadResult(_)) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    drop(pool);
    drop(all);
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(square, 2).unwrap(), 4);
    let all = all_descriptors();
    let error = pool.apply(length, long(3)).unwrap_err();
    assert!(matches!(error, JobError::BadArguments(_)), "{error:?}");
    drop(all);
    assert_eq!(pool.apply(length, long(4)).unwrap(), LONG as u64 + 4);
}

sync_ipc::entry!(until_set, length, every_other_long, long, with_handle);
sync_ipc::entry!(arguments_wait, results_wait, handles_wait, no_descriptor_is_left);

#[test]
fn long_arguments_that_wait_need_no_descriptor_each() {
    Process::spawn(arguments_wait, ()).unwrap().result().unwrap();
}

#[test]
fn long_results_that_wait_need_no_descriptor_each() {
    Process::spawn(results_wait, ()).unwrap().result().unwrap();
}

#[test]
fn submitting_waits_while_too_many_handles_wait() {
    Process::spawn(handles_wait, ()).unwrap().result().unwrap();
}

#[test]
fn a_task_without_a_descriptor_waits_or_fails_and_the_pool_goes_on() {
    Process::spawn(no_descriptor_is_left, ()).unwrap().result().unwrap();
}
