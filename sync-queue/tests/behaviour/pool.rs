//! `ThreadPool`, `JobHandle`, `wait`, `as_completed`, `map`, `scope`.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{BuildError, JobError, JobHandle, JobStatus, Queue, SubmitError, ThreadPool, Until, as_completed, wait};

use crate::support::{A_MOMENT, Drops, LONG};
use crate::watchdog::watch;

/// A job that runs until the other end is dropped or sent to.
fn blocked(pool: &ThreadPool) -> (JobHandle<u32>, mpsc::Sender<()>) {
    let (release, wait) = mpsc::channel::<()>();
    let (started, begun) = mpsc::channel();
    let handle = pool.submit(move || {
        started.send(()).unwrap();
        let _ = wait.recv();
        42
    });
    begun.recv().unwrap();
    (handle.unwrap(), release)
}

/// Panics without the noise of the hook.
fn fail() -> u32 {
    std::panic::resume_unwind(Box::new("it failed"))
}

#[test]
fn fu_01_on_done_is_called_once_however_it_ends() {
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
fn fu_02_a_panicking_callback_stops_nobody() {
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
fn fu_04_debug_says_the_state() {
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
fn fu_05_cancel_only_what_nobody_has_begun() {
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
fn fu_07_result_at_once_or_not() {
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
fn fu_08_a_waiter_wakes_however_it_ends() {
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
fn fw_02_the_first_one() {
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
fn fw_03_the_first_error() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (slow, release) = blocked(&pool);
    let handles = vec![pool.submit(|| 1).unwrap(), slow, pool.submit(fail).unwrap(), pool.submit(|| 2).unwrap()];
    let waited = wait(handles, Until::FirstError, None);
    assert!(waited.done.iter().any(|handle| handle.status() == JobStatus::Panicked));
    assert!(waited.not_done.iter().any(JobHandle::is_running));
    drop(release);
    let all = wait(waited.done.into_iter().chain(waited.not_done), Until::All, None);
    assert_eq!((all.done.len(), all.not_done.len()), (4, 0));
}

#[test]
fn fw_04_all_of_them_or_none() {
    let _watchdog = watch();
    let pool = ThreadPool::new(3);
    let handles: Vec<_> = (0..20).map(|n| pool.submit(move || if n % 5 == 0 { fail() } else { n }).unwrap()).collect();
    let waited = wait(handles, Until::All, None);
    assert_eq!((waited.done.len(), waited.not_done.len()), (20, 0));
    assert_eq!(waited.done.into_iter().filter_map(|handle| handle.result().ok()).sum::<u32>(), 190 - 30);
    let none = wait(Vec::<JobHandle<u8>>::new(), Until::All, None);
    assert!(none.done.is_empty() && none.not_done.is_empty());
    assert!(as_completed(Vec::<JobHandle<u8>>::new()).next().is_none());
}

#[test]
fn fw_05_in_time_or_not() {
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
fn fw_07_as_they_complete() {
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
fn fw_08_as_they_complete_in_time() {
    let _watchdog = watch();
    let pool = ThreadPool::new(3);
    let ((a, release_a), (b, release_b)) = (blocked(&pool), blocked(&pool));
    let quick = [pool.submit(|| 1).unwrap(), pool.submit(|| 2).unwrap()];
    assert!(quick.iter().all(|handle| handle.wait_timeout(LONG)));
    let mut jobs = as_completed([a, b].into_iter().chain(quick));
    let deadline = Instant::now() + Duration::from_millis(5);
    assert!(jobs.next_deadline(deadline).unwrap().is_some());
    assert!(jobs.next_deadline(deadline).unwrap().is_some());
    let unfinished = jobs.next_deadline(deadline).unwrap_err();
    assert_eq!(unfinished.to_string(), "2 (of 4) jobs unfinished");
    assert!(jobs.next().is_none());
    drop((release_a, release_b));
}

#[test]
fn tp_02_map_keeps_the_order() {
    let _watchdog = watch();
    let pool = ThreadPool::new(4);
    let results: Vec<_> = pool.map(0..100, |n| n * n).unwrap().map(Result::unwrap).collect();
    assert!(results.into_iter().eq((0..100).map(|n| n * n)));
}

#[test]
fn tp_04_tp_14_map_out_of_time_cancels_the_rest() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let ran = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let count = ran.clone();
    let mut map = pool
        .map_timeout(
            0..10,
            move |n| {
                count.fetch_add(1, SeqCst);
                if n == 2 {
                    let _ = gate.lock().unwrap().recv();
                }
                n
            },
            Duration::from_millis(300),
        )
        .unwrap();
    // Not in time on a very slow machine: then there is nothing left to see.
    let first: Vec<_> = map.by_ref().take(2).collect();
    let third = map.next().unwrap();
    assert!(matches!(third, Err(JobError::TimedOut)));
    drop(map);
    drop(release);
    pool.shutdown(true, false).unwrap();
    assert!(first.len() == 2 && ran.load(SeqCst) <= 3, "what had not begun never ran");
}

#[test]
fn tp_05_tp_17_shutdown_runs_what_was_submitted() {
    let _watchdog = watch();
    for _ in 0..20 {
        let pool = ThreadPool::new(5);
        let handles: Vec<_> = (0..50).map(|n| pool.submit(move || n).unwrap()).collect();
        pool.shutdown(true, false).unwrap();
        assert!(handles.iter().all(JobHandle::is_done));
        assert_eq!(handles.into_iter().map(|handle| handle.result().unwrap()).sum::<u32>(), 1225);
        pool.shutdown(true, true).unwrap();
    }
}

#[test]
fn tp_06_nothing_is_kept() {
    let _watchdog = watch();
    let drops = Drops::default();
    let pool = ThreadPool::new(1);
    let (captured, returned) = (drops.item(), drops.item());
    let handle = pool
        .submit(move || {
            drop(captured);
            returned
        })
        .unwrap();
    assert!(handle.wait_timeout(LONG));
    assert_eq!(drops.count(), 1);
    drop(handle);
    assert_eq!(drops.count(), 2);
    let item = drops.item();
    drop(pool.submit(move || item).unwrap());
    pool.shutdown(true, false).unwrap();
    assert_eq!(drops.count(), 3, "a result that nobody wants is dropped");
}

#[test]
fn tp_07_a_pool_of_nobody_is_an_error() {
    assert_eq!(ThreadPool::builder().max_workers(0).build().unwrap_err(), BuildError::NoWorkers);
    assert_eq!(ThreadPool::builder().queue_limit(0).build().unwrap_err(), BuildError::NoBacklog);
    assert_eq!(
        std::panic::catch_unwind(|| ThreadPool::new(0)).unwrap_err().downcast_ref::<String>().unwrap(),
        "max_workers must be at least 1"
    );
}

#[test]
fn tp_09_map_runs_even_if_nobody_asks() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    drop(pool.map(0..10, move |_| count.fetch_add(1, SeqCst)).unwrap());
    pool.shutdown(true, false).unwrap();
    assert_eq!(ran.load(SeqCst), 10);
}

#[test]
fn tp_11_never_more_threads_than_allowed() {
    let _watchdog = watch();
    let pool = ThreadPool::new(4);
    let gate = Arc::new(Queue::<()>::unbounded());
    let handles: Vec<_> = (0..60)
        .map(|_| {
            let gate = gate.clone();
            pool.submit(move || gate.get().is_err()).unwrap()
        })
        .collect();
    assert_eq!(pool.workers(), 4);
    gate.shutdown();
    assert!(handles.into_iter().all(|handle| handle.result().unwrap()));
    assert_eq!(pool.workers(), 4);
}

#[test]
fn tp_12_an_idle_worker_is_used_again() {
    let _watchdog = watch();
    let pool = ThreadPool::new(20);
    assert_eq!(pool.workers(), 0);
    for n in 0..50 {
        assert_eq!(pool.submit(move || n).unwrap().result().unwrap(), n);
    }
    assert_eq!(pool.workers(), 1);
}

#[test]
fn tp_15_no_job_after_shutdown() {
    let pool = ThreadPool::new(1);
    pool.shutdown(false, false).unwrap();
    let refused = pool.submit(|| 7).unwrap_err();
    assert!(matches!(refused, SubmitError::ShutDown(_)));
    assert_eq!(refused.into_inner()(), 7, "the closure comes back");
    assert!(pool.is_shutdown());
}

#[test]
fn tp_18_tp_19_cancel_what_has_not_begun() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let (first, release) = blocked(&pool);
    let handles: Vec<_> = (0..50).map(|n| pool.submit(move || n).unwrap()).collect();
    let one = pool.submit(|| 0).unwrap();
    one.cancel();
    let (second, release_second) = (handles, release);
    drop(release_second);
    pool.shutdown(true, true).unwrap();
    assert_eq!(first.result().unwrap(), 42);
    assert!(second.iter().all(JobHandle::is_done));
    let waited = wait(second, Until::All, None);
    assert!(waited.not_done.is_empty(), "cancelled jobs count as met");
    let pool = ThreadPool::new(1);
    pool.submit(|| 1).unwrap().cancel();
    pool.shutdown(true, false).unwrap();
}

#[test]
fn tp_20_tp_21_dropping_the_pool_ends_its_threads_after_its_work() {
    let _watchdog = watch();
    let ran = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::new(3);
    for _ in 0..30 {
        let ran = ran.clone();
        drop(pool.submit(move || ran.fetch_add(1, SeqCst)).unwrap());
    }
    drop(pool);
    assert_eq!(ran.load(SeqCst), 30);
    assert_eq!(Arc::strong_count(&ran), 1);
}

#[test]
fn tp_24_names() {
    let _watchdog = watch();
    let name = || thread::current().name().unwrap().to_owned();
    let pool = ThreadPool::builder().max_workers(2).name_prefix("special").build().unwrap();
    let together = Arc::new(std::sync::Barrier::new(2));
    let handles = [together.clone(), together].map(|together| {
        pool.submit(move || {
            together.wait();
            name()
        })
        .unwrap()
    });
    let mut names = handles.map(|handle| handle.result().unwrap());
    names.sort();
    assert_eq!(names, ["special_0", "special_1"]);
    let [a, b] = [ThreadPool::new(1), ThreadPool::new(1)].map(|pool| pool.submit(name).unwrap().result().unwrap());
    assert!(a != b && a.starts_with("ThreadPool-") && a.ends_with("_0"));
}

#[test]
fn tp_25_the_initializer_runs_once_in_each_worker() {
    let _watchdog = watch();
    thread_local! { static READY: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
    let pool = ThreadPool::builder().max_workers(2).initializer(|| READY.set(READY.get() + 1)).build().unwrap();
    for result in pool.map(0..100, |_| READY.get()).unwrap() {
        assert_eq!(result.unwrap(), 1);
    }
}

#[test]
fn tp_26_a_panicking_initializer_breaks_the_pool() {
    let _watchdog = watch();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let pool = ThreadPool::builder()
        .max_workers(1)
        .initializer(move || {
            let _ = gate.lock().unwrap().recv();
            std::panic::resume_unwind(Box::new("no way to begin"))
        })
        .build()
        .unwrap();
    let handles = [pool.submit(|| 1).unwrap(), pool.submit(|| 2).unwrap()];
    drop(go);
    for handle in handles {
        assert!(matches!(handle.result(), Err(JobError::Broken)));
    }
    assert!(matches!(pool.submit(|| 3), Err(SubmitError::Broken(_))));
    assert!(pool.is_broken());
}

#[test]
fn u_ex_02_callbacks_run_in_the_order_they_were_added() {
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
fn u_ex_07_a_worker_waits_for_a_job_of_its_own_pool() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    fn fibonacci(pool: &Arc<ThreadPool>, n: u32) -> u32 {
        if n < 2 {
            return n;
        }
        let inner = Arc::clone(pool);
        let other = pool.submit(move || fibonacci(&inner, n - 1)).unwrap();
        fibonacci(pool, n - 2) + other.result().unwrap()
    }
    let inner = Arc::clone(&pool);
    assert_eq!(pool.submit(move || fibonacci(&inner, 12)).unwrap().result().unwrap(), 144);
    let inner = Arc::clone(&pool);
    let nested = pool
        .submit(move || {
            let jobs: Vec<_> = (0..5).map(|n| inner.submit(move || n).unwrap()).collect();
            wait(jobs, Until::All, None).done.len() + as_completed((0..5).map(|n| inner.submit(move || n).unwrap())).count()
        })
        .unwrap();
    assert_eq!(nested.result().unwrap(), 10);
}

#[test]
fn u_ex_07_a_job_that_waits_for_itself_is_told() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (give, take) = mpsc::channel::<JobHandle<bool>>();
    let (report, told) = mpsc::channel();
    let handle = pool
        .submit(move || {
            let own = take.recv().unwrap();
            report.send(matches!(own.result(), Err(JobError::Deadlock))).unwrap();
            true
        })
        .unwrap();
    give.send(handle).unwrap();
    assert!(told.recv().unwrap());
}

#[test]
fn u_ex_07_shutdown_by_a_worker_does_not_wait_for_itself() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let inner = Arc::clone(&pool);
    let told = pool.submit(move || inner.shutdown(true, false).is_err()).unwrap();
    assert!(told.result().unwrap());
    assert!(pool.is_shutdown());
    pool.shutdown(true, false).unwrap();
}

#[test]
fn u_ex_08_shutdown_without_waiting_still_runs_the_rest() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (first, release) = blocked(&pool);
    let handles: Vec<_> = (0..10).map(|n| pool.submit(move || n).unwrap()).collect();
    pool.shutdown(false, false).unwrap();
    drop(release);
    assert_eq!(first.result().unwrap(), 42);
    assert_eq!(handles.into_iter().map(|handle| handle.result().unwrap()).sum::<u32>(), 45);
}

#[test]
fn a_limited_backlog_pushes_back_and_its_own_workers_help() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap());
    let (first, release) = blocked(&pool);
    let second = pool.try_submit(|| 2).unwrap();
    let refused = pool.try_submit(|| 3).unwrap_err();
    assert!(matches!(refused, SubmitError::Full(_)));
    thread::scope(|scope| {
        let third = scope.spawn(|| pool.submit(|| 3).unwrap().result().unwrap());
        thread::sleep(A_MOMENT);
        assert_eq!(pool.backlog(), 1);
        drop(release);
        assert_eq!(third.join().unwrap(), 3);
    });
    assert_eq!(first.result().unwrap() + second.result().unwrap(), 44);
    let inner = Arc::clone(&pool);
    let many =
        pool.submit(move || (0..20).map(|n| inner.submit(move || n).unwrap()).map(|job| job.result().unwrap()).sum::<u32>()).unwrap();
    assert_eq!(many.result().unwrap(), 190);
    let inner = Arc::clone(&pool);
    let first_all = pool.submit(move || {
        let jobs: Vec<_> = (0..20).map(|n| inner.submit(move || n).unwrap()).collect();
        jobs.into_iter().map(|job| job.result().unwrap()).sum::<u32>()
    });
    assert_eq!(first_all.unwrap().result().unwrap(), 190);
}

#[test]
fn scopes_borrow_and_pass_panics_on() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let mut numbers = vec![1, 2, 3, 4];
    let sum = AtomicUsize::new(0);
    pool.scope(|scope| {
        for number in &mut numbers {
            scope.submit(|| *number *= 10).unwrap();
        }
    });
    pool.scope(|scope| {
        for &number in &numbers {
            let sum = &sum;
            scope
                .submit(move || {
                    scope
                        .submit(move || {
                            sum.fetch_add(number, SeqCst);
                        })
                        .unwrap();
                })
                .unwrap();
        }
    });
    assert_eq!(sum.load(SeqCst), 100);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        pool.scope(|scope| {
            scope.submit(|| assert_eq!(fail(), 0)).unwrap();
            scope.submit(|| _ = sum.fetch_add(1, SeqCst)).unwrap();
        });
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"it failed"));
    assert_eq!(sum.load(SeqCst), 101);
    pool.shutdown(true, false).unwrap();
    pool.scope(|scope| assert!(matches!(scope.submit(|| ()), Err(SubmitError::ShutDown(())))));
}

#[test]
fn a_scope_inside_the_only_worker() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let inner = Arc::clone(&pool);
    let sum = pool.submit(move || {
        let sum = AtomicUsize::new(0);
        inner.scope(|scope| {
            for n in 0..10 {
                let sum = &sum;
                scope.submit(move || _ = sum.fetch_add(n, SeqCst)).unwrap();
            }
        });
        sum.into_inner()
    });
    assert_eq!(sum.unwrap().result().unwrap(), 45);
}

#[test]
fn a_pool_dropped_by_its_own_job_does_not_wait_for_itself() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let (go, gate) = mpsc::channel::<()>();
    let inner = Arc::clone(&pool);
    let handle = pool
        .submit(move || {
            let _ = gate.recv();
            drop(inner);
            5
        })
        .unwrap();
    drop(pool);
    drop(go);
    assert_eq!(handle.result().unwrap(), 5);
}

#[test]
fn a_result_that_panics_when_dropped_harms_no_worker() {
    struct Bad;
    impl Drop for Bad {
        fn drop(&mut self) {
            std::panic::resume_unwind(Box::new("dropped badly"));
        }
    }
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (first, release) = blocked(&pool);
    drop(pool.submit(|| Bad).unwrap());
    drop(release);
    first.result().unwrap();
    assert_eq!(pool.submit(|| 7).unwrap().result().unwrap(), 7);
    assert!(format!("{pool:?}").starts_with("ThreadPool { name_prefix: "));
}
