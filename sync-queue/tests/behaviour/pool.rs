//! `ThreadPool`: `submit`, `map`, `scope`, `shutdown`. What its handles do is in `handle`.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{
    BuildError, JobError, JobHandle, Queue, SubmitError, ThreadPool, Until, as_completed, wait,
};

use crate::support::{A_MOMENT, Drops, LONG, blocked, fail};
use crate::watchdog::watch;

#[test]
fn map_keeps_the_order() {
    let _watchdog = watch();
    let pool = ThreadPool::new(4);
    let results: Vec<_> = pool.map(0..100, |n| n * n).unwrap().map(Result::unwrap).collect();
    assert!(results.into_iter().eq((0..100).map(|n| n * n)));
}

#[test]
fn map_out_of_time_cancels_the_rest() {
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
fn shutdown_runs_what_was_submitted() {
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
fn nothing_is_kept() {
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
    assert_eq!(drops.count(), 3, "a result without a handle is dropped");
}

#[test]
fn a_pool_of_no_thread_is_an_error() {
    assert_eq!(ThreadPool::builder().max_workers(0).build().unwrap_err(), BuildError::NoWorkers);
    assert_eq!(ThreadPool::builder().queue_limit(0).build().unwrap_err(), BuildError::NoBacklog);
    assert_eq!(
        std::panic::catch_unwind(|| ThreadPool::new(0))
            .unwrap_err()
            .downcast_ref::<String>()
            .unwrap(),
        "max_workers must be at least 1"
    );
}

#[test]
fn map_runs_even_if_no_thread_asks() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    drop(pool.map(0..10, move |_| count.fetch_add(1, SeqCst)).unwrap());
    pool.shutdown(true, false).unwrap();
    assert_eq!(ran.load(SeqCst), 10);
}

#[test]
fn never_more_threads_than_allowed() {
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
fn an_idle_worker_is_used_again() {
    let _watchdog = watch();
    let pool = ThreadPool::new(20);
    assert_eq!(pool.workers(), 0);
    for n in 0..50 {
        assert_eq!(pool.submit(move || n).unwrap().result().unwrap(), n);
    }
    assert_eq!(pool.workers(), 1);
}

#[test]
fn no_job_after_shutdown() {
    let pool = ThreadPool::new(1);
    pool.shutdown(false, false).unwrap();
    let refused = pool.submit(|| 7).unwrap_err();
    assert!(matches!(refused, SubmitError::ShutDown(_)));
    assert_eq!(refused.into_inner()(), 7, "the closure comes back");
    assert!(pool.is_shutdown());
}

#[test]
fn cancel_what_has_not_begun() {
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
fn dropping_the_pool_ends_its_threads_after_its_work() {
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
fn names() {
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
    let [a, b] = [ThreadPool::new(1), ThreadPool::new(1)]
        .map(|pool| pool.submit(name).unwrap().result().unwrap());
    assert!(a != b && a.starts_with("ThreadPool-") && a.ends_with("_0"));
}

#[test]
fn the_initializer_runs_once_in_each_worker() {
    let _watchdog = watch();
    thread_local! { static READY: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }
    let pool = ThreadPool::builder()
        .max_workers(2)
        .initializer(|| READY.set(READY.get() + 1))
        .build()
        .unwrap();
    for result in pool.map(0..100, |_| READY.get()).unwrap() {
        assert_eq!(result.unwrap(), 1);
    }
}

#[test]
fn a_panicking_initializer_breaks_the_pool() {
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
fn a_worker_waits_for_a_job_of_its_own_pool() {
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
            wait(jobs, Until::All, None).done.len()
                + as_completed((0..5).map(|n| inner.submit(move || n).unwrap())).count()
        })
        .unwrap();
    assert_eq!(nested.result().unwrap(), 10);
}

#[test]
fn a_job_that_waits_for_itself_is_told() {
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
fn shutdown_by_a_worker_does_not_wait_for_itself() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let inner = Arc::clone(&pool);
    let told = pool.submit(move || inner.shutdown(true, false).is_err()).unwrap();
    assert!(told.result().unwrap());
    assert!(pool.is_shutdown());
    pool.shutdown(true, false).unwrap();
}

#[test]
fn shutdown_without_waiting_still_runs_the_rest() {
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
    let many = pool
        .submit(move || {
            (0..20)
                .map(|n| inner.submit(move || n).unwrap())
                .map(|job| job.result().unwrap())
                .sum::<u32>()
        })
        .unwrap();
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

#[test]
fn arguments_are_captured() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (this, job, fn_) = (1, String::from("two"), [3; 3]);
    let handle = pool.submit(move || format!("{this} {job} {fn_:?}")).unwrap();
    assert_eq!(handle.result().unwrap(), "1 two [3, 3, 3]");
}

#[test]
fn a_map_given_up_runs_nothing_more() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let mut map = pool
        .map_timeout(0..10, move |_| count.fetch_add(1, SeqCst), Duration::from_millis(2))
        .unwrap();
    assert!(matches!(map.next(), Some(Err(JobError::TimedOut))), "the only worker is busy");
    drop(map);
    let mut map = pool.map_deadline(0..10, |_| (), Instant::now()).unwrap();
    assert!(matches!(map.next(), Some(Err(JobError::TimedOut))), "the only worker is busy");
    drop(map);
    drop(release);
    pool.shutdown(true, false).unwrap();
    assert_eq!((ran.load(SeqCst), running.result().unwrap()), (0, 42));
}

#[test]
fn fifty_jobs_of_five_workers_and_a_shutdown() {
    let _watchdog = watch();
    let pool = ThreadPool::new(5);
    let handles: Vec<_> = (0..50).map(|n| pool.submit(move || n).unwrap()).collect();
    pool.shutdown(true, false).unwrap();
    assert!(handles.iter().all(JobHandle::is_done));
    assert!(handles.into_iter().map(|handle| handle.result().unwrap()).eq(0..50));
}

#[test]
fn cancelled_at_once() {
    let _watchdog = watch();
    for _ in 0..50 {
        let pool = ThreadPool::new(1);
        let handle = pool.submit(|| 7).unwrap();
        let cancelled = handle.cancel();
        pool.shutdown(true, false).unwrap();
        assert_eq!(handle.result().is_err(), cancelled);
    }
}

#[test]
fn a_pool_dropped_without_a_shutdown_does_its_work() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let handles: Vec<_> = (0..20).map(|n| pool.submit(move || n).unwrap()).collect();
    drop(pool);
    assert!(handles.into_iter().map(|handle| handle.result().unwrap()).eq(0..20));
}

#[test]
fn cancelled_without_waiting() {
    let _watchdog = watch();
    let begun = Arc::new(AtomicUsize::new(0));
    let ended = Arc::new(AtomicUsize::new(0));
    let pool = ThreadPool::new(1);
    let handles: Vec<_> = (0..10)
        .map(|_| {
            let (begun, ended) = (begun.clone(), ended.clone());
            pool.submit(move || {
                begun.fetch_add(1, SeqCst);
                thread::sleep(Duration::from_millis(1));
                ended.fetch_add(1, SeqCst);
            })
            .unwrap()
        })
        .collect();
    pool.shutdown(false, true).unwrap();
    // Waits for the worker: what it had begun has ended.
    drop(pool);
    assert_eq!(begun.load(SeqCst), ended.load(SeqCst), "each ran to its end or not at all");
    let cancelled = handles
        .into_iter()
        .filter_map(|handle| handle.result().err())
        .inspect(|why| assert!(matches!(why, JobError::Cancelled)));
    assert_eq!(cancelled.count() + begun.load(SeqCst), 10);
}

#[test]
fn a_job_without_a_handle_runs_or_comes_back() {
    let _watchdog = watch();
    let drops = Drops::default();
    let pool = ThreadPool::new(1);
    let (running, release) = blocked(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    for panics in [false, true, false] {
        let (count, item) = (ran.clone(), drops.item());
        pool.execute(move || {
            let _item = item;
            count.fetch_add(1, SeqCst);
            if panics {
                fail();
            }
        })
        .unwrap();
    }
    drop(release);
    assert_eq!(running.result().unwrap(), 42);
    let (running, release) = (pool.submit(|| 1).unwrap(), ran.clone());
    assert_eq!(running.result().unwrap(), 1);
    assert_eq!((release.load(SeqCst), drops.count()), (3, 3), "a panic is the job's own");

    // Cancelled by a shutdown: dropped, not run.
    let (_running, release) = blocked(&pool);
    let (count, item) = (ran.clone(), drops.item());
    pool.execute(move || {
        let _item = item;
        count.fetch_add(1, SeqCst);
    })
    .unwrap();
    pool.shutdown(false, true).unwrap();
    assert_eq!((ran.load(SeqCst), drops.count()), (3, 4));
    drop(release);

    // Refused: it comes back.
    let item = drops.item();
    let refused = pool.execute(move || drop(item)).unwrap_err();
    assert!(matches!(refused, SubmitError::ShutDown(_)) && drops.count() == 4);
    refused.into_inner()();
    assert_eq!(drops.count(), 5);
}
