//! `JobHandle`, `wait`, `as_completed`.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{JobError, JobHandle, JobStatus, Queue, ThreadPool, Until, as_completed, wait};

use crate::support::{A_MOMENT, Drops, LONG, blocked, fail};
use crate::watchdog::watch;

#[test]
fn on_done_is_called_once_however_it_ends() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let seen = Arc::new(Queue::unbounded());
    let note = |handle: &JobHandle<u32>| {
        let seen = Arc::clone(&seen);
        handle.on_done(move |status| seen.put(status).unwrap());
    };
    let (returns, release) = blocked(&pool);
    let panics = pool.submit(fail).unwrap();
    let cancelled = pool.submit(|| 1).unwrap();
    note(&returns);
    note(&panics);
    note(&cancelled);
    assert!(cancelled.cancel());
    assert_eq!(seen.get(), Ok(JobStatus::Cancelled));
    drop(release);
    assert_eq!(seen.get(), Ok(JobStatus::Returned));
    assert_eq!(seen.get(), Ok(JobStatus::Panicked));
    note(&returns);
    assert_eq!(seen.try_get(), Ok(JobStatus::Returned), "already done: at once, here");
    pool.shutdown(true, false).unwrap();
    assert!(seen.is_empty());
}

#[test]
fn a_panicking_callback_stops_no_thread() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (handle, release) = blocked(&pool);
    let called = Arc::new(AtomicUsize::new(0));
    handle.on_done(|_| std::panic::resume_unwind(Box::new("bad callback")));
    let count = called.clone();
    handle.on_done(move |_| {
        count.fetch_add(1, SeqCst);
    });
    drop(release);
    assert_eq!(handle.result().unwrap(), 42);
    assert_eq!(pool.submit(|| 7).unwrap().result().unwrap(), 7, "the worker lives");
    assert_eq!(called.load(SeqCst), 1);
}

#[test]
fn debug_says_the_state() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let pending = pool.submit(|| 1).unwrap();
    assert_eq!(format!("{running:?} {pending:?}"), "JobHandle(Running) JobHandle(Pending)");
    pending.cancel();
    assert_eq!(format!("{pending:?}"), "JobHandle(Cancelled)");
    drop(release);
    assert!(running.wait_timeout(LONG));
    assert_eq!(format!("{running:?}"), "JobHandle(Returned)");
}

#[test]
fn cancel_only_what_no_thread_has_begun() {
    let _watchdog = watch();
    let drops = Drops::default();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let item = drops.item();
    let pending = pool.submit(move || drop(item)).unwrap();
    assert!(!running.cancel() && running.is_running() && !running.is_cancelled());
    assert!(pending.cancel() && pending.cancel());
    assert_eq!(drops.count(), 1, "the closure goes at once");
    assert!(pending.is_cancelled() && pending.is_done() && !pending.is_running());
    drop(release);
    assert!(running.wait_timeout(LONG));
    assert!(!running.cancel() && running.is_done() && !running.is_cancelled());
    assert!(matches!(pending.result(), Err(JobError::Cancelled)));
}

#[test]
fn result_at_once_or_not() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let pending = pool.submit(|| 1).unwrap();
    let running = running.result_timeout(Duration::ZERO).unwrap_err();
    let pending = pending.result_timeout(Duration::ZERO).unwrap_err();
    let running = running.result_timeout(Duration::from_millis(2)).unwrap_err();
    pending.cancel();
    assert!(matches!(pending.result_timeout(Duration::ZERO), Ok(Err(JobError::Cancelled))));
    drop(release);
    assert_eq!(running.result_deadline(Instant::now() + LONG).unwrap().unwrap(), 42);
    let failed = pool.submit(fail).unwrap().result().unwrap_err();
    assert_eq!(failed.message(), Some("it failed"));
    assert_eq!(failed.to_string(), "the job panicked: it failed");
}

#[test]
fn a_waiter_wakes_however_it_ends() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let pending = Arc::new(pool.submit(|| 1).unwrap());
    thread::scope(|scope| {
        let waits = scope.spawn(|| running.result());
        let other = scope.spawn(|| pending.wait_timeout(Duration::MAX));
        thread::sleep(A_MOMENT);
        assert!(pending.cancel());
        assert!(other.join().unwrap());
        drop(release);
        assert_eq!(waits.join().unwrap().unwrap(), 42);
    });
}

#[test]
fn the_first_one() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let ((a, release_a), (b, release_b)) = (blocked(&pool), blocked(&pool));
    let cancelled = pool.submit(|| 0).unwrap();
    cancelled.cancel();
    let waited = wait([a, b, cancelled], Until::First, Some(Duration::from_millis(2)));
    assert!(waited.done.is_empty(), "a cancelled job that no worker has met yet does not count");
    thread::scope(|scope| {
        scope.spawn(move || {
            thread::sleep(A_MOMENT);
            drop(release_a);
        });
        let waited = wait(waited.not_done, Until::First, None);
        assert!(!waited.done.is_empty());
        assert!(waited.not_done.iter().any(JobHandle::is_running));
        let begun = Instant::now();
        let again = wait(waited.done, Until::First, None);
        assert!(begun.elapsed() < LONG && !again.done.is_empty());
        drop(release_b);
    });
}

#[test]
fn the_first_error() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (slow, release) = blocked(&pool);
    let handles = vec![
        pool.submit(|| 1).unwrap(),
        slow,
        pool.submit(fail).unwrap(),
        pool.submit(|| 2).unwrap(),
    ];
    let waited = wait(handles, Until::FirstError, None);
    assert!(waited.done.iter().any(|handle| handle.status() == JobStatus::Panicked));
    assert!(waited.not_done.iter().any(JobHandle::is_running));
    drop(release);
    let all = wait(waited.done.into_iter().chain(waited.not_done), Until::All, None);
    assert_eq!((all.done.len(), all.not_done.len()), (4, 0));
}

#[test]
fn all_of_them_or_none() {
    let _watchdog = watch();
    let pool = ThreadPool::new(3);
    let handles: Vec<_> = (0..20)
        .map(|n| pool.submit(move || if n % 5 == 0 { fail() } else { n }).unwrap())
        .collect();
    let waited = wait(handles, Until::All, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (20, 0));
    assert_eq!(
        waited.done.into_iter().filter_map(|handle| handle.result().ok()).sum::<u32>(),
        190 - 30
    );
    let none = wait(Vec::<JobHandle<u8>>::new(), Until::All, None);
    assert!(none.done.is_empty() && none.not_done.is_empty());
    assert!(as_completed(Vec::<JobHandle<u8>>::new()).next().is_none());
}

#[test]
fn in_time_or_not() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (slow, release) = blocked(&pool);
    let quick = pool.submit(|| 1).unwrap();
    assert!(quick.wait_timeout(LONG));
    let waited = wait([slow, quick], Until::All, Some(Duration::from_millis(5)));
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 1));
    drop(release);
}

#[test]
fn as_they_complete() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (slow, release) = blocked(&pool);
    let quick = pool.submit(|| 1).unwrap();
    assert!(quick.wait_timeout(LONG));
    let mut release = Some(release);
    let mut order = Vec::new();
    for handle in as_completed([slow, quick]) {
        drop(release.take());
        order.push(handle.result().unwrap());
    }
    assert_eq!(order, [1, 42]);
}

#[test]
fn as_they_complete_in_time() {
    let _watchdog = watch();
    let pool = ThreadPool::new(3);
    let ((a, release_a), (b, release_b)) = (blocked(&pool), blocked(&pool));
    let quick = [pool.submit(|| 1).unwrap(), pool.submit(|| 2).unwrap()];
    assert!(quick.iter().all(|handle| handle.wait_timeout(LONG)));
    let mut jobs = as_completed([a, b].into_iter().chain(quick));
    let deadline = Instant::now() + Duration::from_millis(5);
    assert!(jobs.next_deadline(deadline).unwrap().is_some());
    assert!(jobs.next_deadline(deadline).unwrap().is_some());
    let unfinished = jobs.next_timeout(Duration::from_millis(5)).unwrap_err();
    assert!(unfinished.handles.iter().all(|handle| !handle.wait_deadline(deadline)));
    assert_eq!(unfinished.to_string(), "2 (of 4) jobs unfinished");
    assert!(jobs.next().is_none());
    drop((release_a, release_b));
}

#[test]
fn callbacks_run_in_the_order_they_were_added() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (handle, release) = blocked(&pool);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for n in 0..5 {
        let seen = seen.clone();
        handle.on_done(move |_| seen.lock().unwrap().push(n));
    }
    drop(release);
    pool.shutdown(true, false).unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_states_and_what_is_said_of_them() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let says = |handle: &JobHandle<u32>| {
        (handle.status(), handle.is_cancelled(), handle.is_done(), handle.is_running())
    };
    let (running, release) = blocked(&pool);
    let pending = pool.submit(|| 1).unwrap();
    let cancelled = pool.submit(|| 2).unwrap();
    let panics = pool.submit(fail).unwrap();
    assert!(cancelled.cancel());
    assert_eq!(says(&pending), (JobStatus::Pending, false, false, false));
    assert_eq!(says(&running), (JobStatus::Running, false, false, true));
    assert_eq!(
        says(&cancelled),
        (JobStatus::Cancelled, true, true, false),
        "no worker has met it yet"
    );
    drop(release);
    assert!(panics.wait_timeout(LONG));
    assert_eq!(says(&cancelled), (JobStatus::Cancelled, true, true, false), "one has");
    assert_eq!(says(&running), (JobStatus::Returned, false, true, false));
    assert_eq!(says(&pending), (JobStatus::Returned, false, true, false));
    assert_eq!(says(&panics), (JobStatus::Panicked, false, true, false));
    let broken = ThreadPool::builder().max_workers(1).initializer(|| _ = fail()).build().unwrap();
    if let Ok(handle) = broken.submit(|| 1) {
        assert!(handle.wait_timeout(LONG));
        assert_eq!(says(&handle), (JobStatus::Broken, false, true, false));
    }
}

#[test]
fn a_handle_cannot_be_given_twice() {
    /// Two ways to read `_`, and so an error in compiling, for a type that can be cloned.
    trait NotClone<Which> {
        const OK: () = ();
    }
    impl<T> NotClone<()> for T {}
    impl<T: Clone> NotClone<u8> for T {}
    const _: () = <JobHandle<u32> as NotClone<_>>::OK;

    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let handles: Vec<_> = (0..3).map(|n| pool.submit(move || n).unwrap()).collect();
    let waited = wait(handles, Until::All, None);
    assert_eq!(waited.done.len(), 3, "each once");
    assert_eq!(as_completed(waited.done).count(), 3, "each once");
}

#[test]
fn the_iterator_keeps_nothing_that_was_handed_out() {
    let _watchdog = watch();
    let drops = Drops::default();
    let pool = ThreadPool::new(1);
    let handles: Vec<_> = (0..3)
        .map(|_| {
            let item = drops.item();
            pool.submit(move || item).unwrap()
        })
        .collect();
    let mut jobs = as_completed(handles);
    for count in 1..=3 {
        drop(jobs.next().unwrap().result().unwrap());
        assert_eq!(drops.count(), count, "the iterator is still there, the result is not");
    }
    assert!(jobs.next().is_none());
}

#[test]
fn a_cancelled_job_counts_when_a_worker_has_met_it() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let cancelled = pool.submit(|| 1).unwrap();
    assert!(cancelled.cancel() && cancelled.is_done(), "done at once");
    let waited = wait([cancelled], Until::All, Some(Duration::from_millis(2)));
    assert_eq!((waited.done.len(), waited.not_done.len()), (0, 1), "but not for who waits");
    drop(release);
    let waited = wait(waited.not_done, Until::All, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (1, 0));
    assert_eq!(running.result().unwrap(), 42);
}

#[test]
fn a_cancelled_job_gets_no_result_and_none_is_begun_twice() {
    let _watchdog = watch();
    // There is no `set_result`: only the closure makes one, and it is moved out by the thread that
    // begins the job.
    let pool = ThreadPool::new(1);
    let ran = Arc::new(AtomicUsize::new(0));
    let (running, release) = blocked(&pool);
    let count = ran.clone();
    let cancelled = pool.submit(move || count.fetch_add(1, SeqCst)).unwrap();
    assert!(cancelled.cancel());
    drop(release);
    pool.shutdown(true, false).unwrap();
    assert!(matches!(cancelled.result(), Err(JobError::Cancelled)));
    assert_eq!((ran.load(SeqCst), running.result().unwrap()), (0, 42));
}

#[test]
fn waiting_for_none() {
    let _watchdog = watch();
    let none = Vec::<JobHandle<u8>>::new;
    for until in [Until::First, Until::FirstError, Until::All] {
        for timeout in [None, Some(Duration::ZERO), Some(Duration::MAX)] {
            let waited = wait(none(), until, timeout);
            assert!(waited.done.is_empty() && waited.not_done.is_empty());
        }
    }
    assert!(as_completed(none()).next().is_none());
    assert!(as_completed(none()).next_deadline(Instant::now()).unwrap().is_none());
}

#[test]
fn any_panic_is_the_jobs_own() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let worker = pool.submit(|| thread::current().id()).unwrap().result().unwrap();
    let payloads: [fn() -> Box<dyn Any + Send>; 3] =
        [|| Box::new("text"), || Box::new(String::from("owned")), || Box::new(7_u8)];
    for (payload, text) in payloads.into_iter().zip([Some("text"), Some("owned"), None]) {
        let failed = pool
            .submit(move || -> u32 { std::panic::resume_unwind(payload()) })
            .unwrap()
            .result()
            .unwrap_err();
        assert_eq!(failed.message(), text);
    }
    assert_eq!(
        pool.submit(|| thread::current().id()).unwrap().result().unwrap(),
        worker,
        "the same worker lives on"
    );
}

#[test]
fn a_running_job_cannot_be_cancelled() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let ((a, release_a), (b, release_b)) = (blocked(&pool), blocked(&pool));
    // Only what a worker runs is running: there are no jobs that wait inside a worker.
    let pending: Vec<_> = (0..5).map(|n| pool.submit(move || n).unwrap()).collect();
    assert!(!a.cancel() && !b.cancel());
    assert!(pending.iter().all(JobHandle::cancel));
    drop((release_a, release_b));
    assert_eq!((a.result().unwrap(), b.result().unwrap()), (42, 42));
}

#[test]
fn many_waits_over_the_same_pool_do_not_block_each_other() {
    let _watchdog = watch();
    // A handle belongs to one wait, and no wait holds more than one job's lock at a time: there is
    // no order to be kept.
    let pool = ThreadPool::new(2);
    thread::scope(|scope| {
        for back in [false, true] {
            let pool = &pool;
            scope.spawn(move || {
                for _ in 0..100 {
                    let mut handles: Vec<_> =
                        (0..4).map(|n| pool.submit(move || n).unwrap()).collect();
                    if back {
                        handles.reverse();
                        assert_eq!(as_completed(handles).count(), 4);
                    } else {
                        assert_eq!(wait(handles, Until::All, None).done.len(), 4);
                    }
                }
            });
        }
    });
}
