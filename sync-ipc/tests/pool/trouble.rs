//! Workers that die, tasks that take too long, values that cannot be passed on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sync_ipc::pool::{SubmitError, as_completed};
use sync_ipc::{Bytes, Event, JobError, Pool, RawValue, RecvError, Segment, Value, queue};

use crate::audit::Random;
use crate::support::{LIMIT, end_by, exists, pid, send_late, sleep_for, square, until};

#[test]
fn a_worker_that_is_killed_fails_its_task_and_nothing_else() {
    let pool = Pool::new(2).unwrap();
    for (signal, expected) in [(libc::SIGKILL, libc::SIGKILL), (libc::SIGSEGV, libc::SIGSEGV)] {
        match pool.apply(end_by, signal) {
            Err(JobError::WorkerDied { exitcode, signal }) => {
                assert_eq!((exitcode, signal), (-expected, Some(expected)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(pool.map(square, 0..20).unwrap().len(), 20);
        until("it is replaced", || pool.workers().len() == 2);
    }
    match pool.apply(exit_with, 5) {
        Err(JobError::WorkerDied { exitcode: 5, signal: None }) => {}
        other => panic!("{other:?}"),
    }
}

fn exit_with(code: i32) {
    std::process::exit(code);
}

/// Dies by the first `times` calls.
fn die_at_first(calls: Value<u32>, times: u32) -> u32 {
    let call = {
        let guard = calls.lock().unwrap();
        let call = guard.get() + 1;
        guard.set(call);
        call
    };
    if call <= times {
        end_by(libc::SIGKILL);
    }
    call
}

sync_ipc::entry!(exit_with, die_at_first);

#[test]
fn a_task_is_run_again_as_often_as_the_pool_allows() {
    let segment = Segment::anonymous(4096).unwrap();
    let calls = Value::create(&segment, "calls", 0_u32).unwrap();
    let pool = Pool::builder().workers(1).retries(2).build().unwrap();
    assert_eq!(pool.apply(die_at_first, (calls.clone(), 2)).unwrap(), 3);
    calls.set(0).unwrap();
    let error = pool.apply(die_at_first, (calls.clone(), 100)).unwrap_err();
    assert!(matches!(error, JobError::WorkerDied { exitcode: -9, .. }), "{error:?}");
    assert_eq!(calls.get().unwrap(), 3);
    assert_eq!(pool.apply(square, 2).unwrap(), 4);
}

/// Counts, and squares.
fn count_and_square(done: RawValue<u64>, n: u64) -> u64 {
    // SeqCst, as all accesses of these tests.
    done.as_atomic().fetch_add(1, Ordering::SeqCst);
    square(n)
}
sync_ipc::entry!(count_and_square);

/// CPython #96062: `Pool.map` never returned after a worker had been killed.
#[test]
fn map_returns_though_workers_are_killed_from_outside() {
    let segment = Segment::anonymous(4096).unwrap();
    let done = RawValue::create(&segment, "done", 0_u64).unwrap();
    let pool = Pool::builder().workers(3).retries(1000).build().unwrap();
    let (running, ended) = mpsc::channel::<()>();
    let seed = 0x5eed;
    println!("seed {seed}");
    let killed = std::thread::scope(|scope| {
        // Ends with the maps, also if one of them panics.
        let running = running;
        let killing = scope.spawn(|| {
            let (ended, mut random, mut killed, mut seen) = (ended, Random::new(seed), 0, 0);
            while ended.recv_timeout(Duration::from_millis(1)) == Err(RecvTimeoutError::Timeout) {
                let now = done.as_atomic().load(Ordering::SeqCst);
                // On a slow machine too, some tasks are done between two kills.
                if now < seen + 10 {
                    continue;
                }
                seen = now;
                if let Some(victim) = pool.workers().get(random.below(3) as usize) {
                    victim.kill().unwrap();
                    killed += 1;
                }
            }
            killed
        });
        for _ in 0..5 {
            let items = (0..200).map(|n| (done.clone(), n));
            let seen = pool.map_chunked(count_and_square, items, 1).unwrap();
            assert_eq!(seen, (0..200).map(square).collect::<Vec<_>>());
        }
        drop(running);
        killing.join().unwrap()
    });
    assert!(killed > 0);
}

/// Begins if it is the first worker, or `ends` others have ended here. The others end.
fn begin_or_end(calls: Value<u32>, ends: u32) {
    let call = {
        let guard = calls.lock().unwrap();
        let call = guard.get();
        guard.set(call + 1);
        call
    };
    if (1..=ends).contains(&call) {
        exit_with(3);
    }
}

/// Reports that it is there, and waits for the event.
fn report_and_wait(there: RawValue<u64>, event: Event) {
    there.as_atomic().fetch_add(1, Ordering::SeqCst);
    event.wait();
}

sync_ipc::entry!(begin_or_end, report_and_wait);

#[test]
fn a_pool_with_a_worker_that_has_begun_is_not_broken_by_others_that_do_not_begin() {
    let segment = Segment::anonymous(4096).unwrap();
    let calls = Value::create(&segment, "calls", 0_u32).unwrap();
    let ends = 20;
    let pool = Pool::builder().workers(2).initializer(begin_or_end, (calls.clone(), ends)).build();
    let pool = pool.unwrap();
    until("one has begun", || calls.get().unwrap() >= 1);
    while calls.get().unwrap() <= ends + 1 {
        assert_eq!(pool.apply(square, 3).unwrap(), 9);
        assert_eq!(pool.broken(), None);
    }
    assert_eq!(pool.map(square, 0..20).unwrap().len(), 20);
}

#[test]
fn workers_that_are_killed_before_they_begin_break_no_pool() {
    let segment = Segment::anonymous(4096).unwrap();
    let there = RawValue::create(&segment, "there", 0_u64).unwrap();
    let event = Event::create(&segment, "event").unwrap();
    let pool =
        Pool::builder().workers(1).initializer(report_and_wait, (there.clone(), event.clone()));
    let pool = pool.build().unwrap();
    let job = pool.submit(square, 4).unwrap();
    for killed in 0..20 {
        until("a worker is there", || there.as_atomic().load(Ordering::SeqCst) > killed);
        pool.workers().iter().for_each(|worker| worker.kill().unwrap());
    }
    event.set();
    assert_eq!(job.result().unwrap(), 16);
    assert_eq!(pool.broken(), None);
}

#[test]
fn idle_workers_that_are_killed_are_replaced_and_lose_no_task() {
    let pool = Pool::new(2).unwrap();
    pool.map(square, 0..4).unwrap();
    for _ in 0..20 {
        for worker in pool.workers() {
            worker.kill().unwrap();
        }
        // Either it never got to a worker that died, or that worker died before it ran.
        match pool.apply(square, 3) {
            Ok(9) | Err(JobError::WorkerDied { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    until("they are replaced", || pool.workers().len() == 2);
    // As many false starts in a row as break a pool cannot have happened.
    assert_eq!(pool.broken(), None);
}

#[test]
fn a_task_that_takes_too_long_is_ended_with_its_worker() {
    let pool = Pool::builder().workers(1).task_limit(Duration::from_millis(300)).build().unwrap();
    let before = pool.apply(pid, ()).unwrap();
    let slow = pool.submit(sleep_for, 60_000).unwrap();
    let quick = pool.submit(square, 2).unwrap();
    assert!(matches!(slow.result(), Err(JobError::TimeLimit)));
    assert_eq!(quick.result().unwrap(), 4);
    until("the slow one's worker is gone", || !exists(before));
}

#[derive(Debug, Serialize, Deserialize)]
struct Unwritable(#[serde(serialize_with = "refuse")] u32);

fn refuse<S: Serializer>(_: &u32, _: S) -> Result<S::Ok, S::Error> {
    Err(serde::ser::Error::custom("cannot be written"))
}

/// A value with an effect when it is read or written: nothing, a panic, an end of the process.
#[derive(Debug, Serialize, Deserialize)]
struct Touchy(#[serde(serialize_with = "write", deserialize_with = "read")] (u8, u8));

fn act(what: u8) {
    match what {
        0 => {}
        1 => panic!("a value that does not like this"),
        _ => end_by(libc::SIGKILL),
    }
}

fn write<S: Serializer>(value: &(u8, u8), serializer: S) -> Result<S::Ok, S::Error> {
    act(value.0);
    value.serialize(serializer)
}

fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(u8, u8), D::Error> {
    let value = <(u8, u8)>::deserialize(deserializer)?;
    act(value.1);
    Ok(value)
}

fn take(_: Touchy) {}
fn give(what: (u8, u8)) -> Touchy {
    Touchy(what)
}
fn give_unwritable() -> Unwritable {
    Unwritable(1)
}
fn take_unwritable(_: Unwritable) {}
fn not_registered() {}
sync_ipc::entry!(take, give, give_unwritable, take_unwritable);

/// The matrix of CPython's `test_deadlock`: each ends in an error, and the pool goes on.
#[test]
fn whatever_fails_on_the_way_is_an_error_and_no_deadlock() {
    let pool = Pool::new(2).unwrap();
    let works = || assert_eq!(pool.apply(square, 2).unwrap(), 4);

    let error = pool.submit(take_unwritable, Unwritable(1)).unwrap_err();
    assert!(matches!(error, SubmitError::BadArguments(_)), "{error:?}");
    let error = pool.submit(not_registered, ()).unwrap_err();
    assert!(matches!(error, SubmitError::NotRegistered(_)), "{error:?}");
    works();
    let error = pool.apply(take, Touchy((0, 1))).unwrap_err();
    assert_eq!(error.message(), Some("a value that does not like this"));
    works();
    let error = pool.apply(take, Touchy((0, 2))).unwrap_err();
    assert!(matches!(error, JobError::WorkerDied { .. }), "{error:?}");
    works();
    for _ in 0..20 {
        let error = pool.apply(give_unwritable, ()).map(drop).unwrap_err();
        assert!(matches!(error, JobError::BadResult(_)), "{error:?}");
    }
    let error = pool.apply(give, (1, 0)).map(drop).unwrap_err();
    assert_eq!(error.message(), Some("a value that does not like this"));
    let error = pool.apply(give, (2, 0)).map(drop).unwrap_err();
    assert!(matches!(error, JobError::WorkerDied { .. }), "{error:?}");
    works();
    // A result that panics as it is read is its caller's.
    let caught = std::panic::catch_unwind(|| pool.apply(give, (0, 1)).map(drop));
    assert!(caught.is_err());
    works();
    assert_eq!(pool.workers().len(), 2);
}

fn die_with(_: Bytes) {
    end_by(libc::SIGKILL);
}
sync_ipc::entry!(die_with);

#[test]
fn workers_that_die_while_large_tasks_are_written_leave_no_stuck_writer() {
    let pool = Pool::new(2).unwrap();
    let large = || Bytes(vec![1; 4 << 20]);
    let jobs: Vec<_> = (0..6).map(|_| pool.submit(die_with, large()).unwrap()).collect();
    for job in jobs {
        assert!(matches!(job.result(), Err(JobError::WorkerDied { .. })));
    }
    assert_eq!(pool.apply(square, 2).unwrap(), 4);
}

#[test]
fn a_forked_child_leaves_the_pool_alone() {
    let pool = Pool::new(1).unwrap();
    let job = pool.submit(sleep_for, 50).unwrap();
    // SAFETY: the child touches the pool's own words and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let forked = matches!(pool.submit(square, 1), Err(SubmitError::Forked))
            && matches!(job.result(), Err(JobError::Forked))
            && pool.workers().is_empty();
        drop(pool);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!forked)) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(job.result_timeout(LIMIT).unwrap().unwrap(), 50);
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

#[test]
fn a_half_of_a_queue_counts_on_its_way_to_a_worker() {
    let pool = Pool::new(1).unwrap();
    let (sender, receiver) = queue(1).unwrap();
    let job = pool.submit(send_late, sender).unwrap();
    assert_eq!(receiver.recv_timeout(LIMIT), Ok(7));
    job.result_timeout(LIMIT).expect("in time").unwrap();
    assert_eq!(receiver.recv_timeout(LIMIT), Err(RecvError::Disconnected));
}

#[test]
fn a_callback_of_a_refused_job_is_dropped() {
    let pool = Pool::new(1).unwrap();
    pool.close();
    let held = std::sync::Arc::new(());
    let copy = std::sync::Arc::clone(&held);
    let refused = pool.apply_async(square, 1, move |_| drop(copy));
    assert!(matches!(refused, Err(SubmitError::Closed)), "{refused:?}");
    assert_eq!(std::sync::Arc::strong_count(&held), 1);
}

/// Runs until the event is set.
fn until_set(event: Event) -> bool {
    event.wait_timeout(LIMIT)
}

sync_ipc::entry!(until_set);

#[test]
fn a_timed_next_does_not_wait_for_room_beyond_its_time() {
    let segment = Segment::anonymous(4096).unwrap();
    let event = Event::create(&segment, "event").unwrap();
    let pool = Pool::builder().workers(1).queue_limit(1).build().unwrap();
    let running = pool.submit(until_set, event.clone()).unwrap();
    until("it runs", || running.is_running());
    let waiting = pool.submit(square, 5).unwrap();
    for ordered in [true, false] {
        let results =
            if ordered { pool.imap(square, 0..3, 1) } else { pool.imap_unordered(square, 0..3, 1) };
        let mut results = results.unwrap();
        // There is no room, and none comes before the event is set.
        assert!(matches!(
            results.next_timeout(Duration::from_millis(20)),
            Some(Err(JobError::TimedOut))
        ));
        assert!(!running.is_done(), "the call ended by itself, and not with the jobs");
        assert!(matches!(results.next_timeout(Duration::ZERO), Some(Err(JobError::TimedOut))));
        if !ordered {
            event.set();
            // No item was lost by the attempts that found no room.
            let mut squares: Vec<u64> = results.map(Result::unwrap).collect();
            squares.sort_unstable();
            assert_eq!(squares, [0, 1, 4]);
        }
    }
    assert!(running.result().unwrap());
    assert_eq!(waiting.result().unwrap(), 25);
}

/// Runs `act` in a forked child, which must return `true`.
fn forked(act: impl FnOnce() -> bool) {
    // SAFETY: the child runs `act`, which touches the crate's own words, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let passed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(act)).unwrap_or(false);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!passed)) };
    }
    let mut status = None;
    until("the child ends", || {
        let mut seen = 0;
        // SAFETY: our own child, and a place for its status.
        let got = unsafe { libc::waitpid(child, &mut seen, libc::WNOHANG) };
        if got == child {
            status = Some(seen);
        }
        status.is_some()
    });
    assert_eq!(status, Some(0));
}

#[test]
fn a_forked_child_waits_for_no_job_of_its_parent() {
    let segment = Segment::anonymous(4096).unwrap();
    let event = Event::create(&segment, "event").unwrap();
    let pool = Pool::new(1).unwrap();
    let jobs: Vec<_> = (0..2).map(|_| pool.submit(until_set, event.clone()).unwrap()).collect();
    let mut completed = as_completed(jobs);
    let mut items = pool.imap_unordered(until_set, [event.clone(), event.clone()], 1).unwrap();
    assert!(matches!(items.next_timeout(Duration::ZERO), Some(Err(JobError::TimedOut))));
    forked(|| {
        let handed_out = completed.by_ref().filter(|_| true).count() == 2;
        let results: Vec<_> = items.by_ref().collect();
        handed_out
            && results.len() == 2
            && results.iter().all(|result| matches!(result, Err(JobError::Forked)))
    });
    event.set();
    assert_eq!(completed.map(|job| job.result().unwrap()).collect::<Vec<_>>(), [true, true]);
    assert_eq!(items.map(Result::unwrap).collect::<Vec<_>>(), [true, true]);
}

#[test]
fn a_forked_child_does_not_wait_for_the_list_of_children() {
    let pool = Pool::new(1).unwrap();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Holds the lock of the list for most of the time.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let _ = sync_ipc::active_children();
            }
        });
        for _ in 0..100 {
            forked(|| {
                sync_ipc::current_process().name() == "MainProcess"
                    && sync_ipc::active_children().is_empty()
            });
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(pool);
}

/// Forks, and returns in both processes.
fn fork_and_square(n: u64) -> u64 {
    // SAFETY: a worker has one thread, so the child finds no lock held.
    assert_ne!(unsafe { libc::fork() }, -1);
    square(n)
}
sync_ipc::entry!(fork_and_square);

#[test]
fn a_task_that_forks_has_one_outcome() {
    let pool = Pool::new(1).unwrap();
    for n in 0..20 {
        assert_eq!(pool.apply(fork_and_square, n).unwrap(), n * n);
        let next = [pool.submit(square, n + 100).unwrap(), pool.submit(square, n + 200).unwrap()];
        let next = next.map(|job| job.result_timeout(LIMIT).expect("in time").unwrap());
        assert_eq!(next, [square(n + 100), square(n + 200)]);
    }
    // In a chunk the child ends with the call that forked it.
    let squares: Vec<u64> = (0..6).map(square).collect();
    assert_eq!(pool.map_chunked(fork_and_square, 0..6, 3).unwrap(), squares);
}

#[test]
fn a_child_that_a_callback_forks_takes_no_outcome() {
    let pool = Pool::new(1).unwrap();
    let (tell, told) = mpsc::channel();
    let job = pool.submit(sleep_for, 20).unwrap();
    job.on_done(move |_| {
        // SAFETY: the child comes back to the pool at once, which ends it.
        let child = unsafe { libc::fork() };
        if child != 0 {
            let _ = tell.send(child);
        }
    });
    let child = told.recv().unwrap();
    assert_eq!(job.result().unwrap(), 20);
    until("the child has ended", || {
        // SAFETY: a child of this process that no other code waits for.
        unsafe { libc::waitpid(child, core::ptr::null_mut(), libc::WNOHANG) == child }
    });
    assert_eq!(pool.map(square, 0..20).unwrap().len(), 20);
}
