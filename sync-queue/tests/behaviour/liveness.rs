//! Liveness of a pool: jobs that need each other, shutdowns that wait, threads that the system
//! refuses, workers that wait and workers that submit.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{
    BuildError, JobError, JobHandle, SimpleQueue, SubmitError, ThreadPool, Until, as_completed,
    wait,
};

use crate::support::{A_MOMENT, Drops, blocked};
use crate::watchdog::watch;

/// Runs `f` as a job of `pool`; what it returns.
fn inside<R: Send + 'static>(
    pool: &Arc<ThreadPool>,
    f: impl FnOnce(&Arc<ThreadPool>) -> R + Send + 'static,
) -> R {
    let same = pool.clone();
    pool.submit(move || f(&same)).unwrap().result().unwrap()
}

#[test]
fn two_jobs_that_are_submitted_at_once_and_need_each_other_both_run() {
    let _watchdog = watch();
    for _ in 0..500 {
        let pool = ThreadPool::new(4);
        // One worker is idle.
        pool.submit(|| ()).unwrap().result().unwrap();
        let (start, meet) = (Barrier::new(2), Arc::new(Barrier::new(2)));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let meet = meet.clone();
                    start.wait();
                    pool.execute(move || {
                        meet.wait();
                    })
                    .unwrap();
                });
            }
        });
        drop(pool);
    }
}

#[test]
fn a_job_that_a_callback_waits_for_is_run_by_another_worker() {
    let _watchdog = watch();
    for _ in 0..50 {
        let pool = ThreadPool::new(4);
        let (release, waits) = mpsc::channel::<()>();
        let (first, go) = blocked(&pool);
        let (entered, in_callback) = mpsc::channel();
        first.on_done(move |_| {
            entered.send(()).unwrap();
            let _ = waits.recv();
        });
        go.send(()).unwrap();
        in_callback.recv().unwrap();
        pool.submit(move || drop(release)).unwrap().result().unwrap();
        assert_eq!(pool.workers(), 2);
    }
}

#[test]
fn a_job_that_the_drop_of_a_result_waits_for_is_run_by_another_worker() {
    let _watchdog = watch();
    struct Waits(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Drop for Waits {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            let _ = self.1.recv();
        }
    }
    let pool = ThreadPool::new(4);
    let (release, waits) = mpsc::channel::<()>();
    let (entered, in_drop) = mpsc::channel();
    let (first, go) = blocked(&pool);
    let result = Waits(entered, waits);
    let begun = Arc::new(Barrier::new(2));
    let begins = begun.clone();
    drop(pool.submit(move || {
        begins.wait();
        result
    }));
    begun.wait();
    in_drop.recv().unwrap();
    pool.submit(move || drop(release)).unwrap().result().unwrap();
    go.send(()).unwrap();
    assert!(first.result().is_ok());
}

#[test]
fn every_shutdown_that_waits_waits_for_the_job() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let ended = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let count = ended.clone();
    pool.execute(move || {
        let _ = gate.recv();
        count.fetch_add(1, SeqCst);
    })
    .unwrap();
    let callers: Vec<_> = (0..3)
        .map(|_| {
            let (pool, ended) = (pool.clone(), ended.clone());
            thread::spawn(move || {
                pool.shutdown(true, false).unwrap();
                ended.load(SeqCst)
            })
        })
        .collect();
    thread::sleep(A_MOMENT);
    assert!(callers.iter().all(|caller| !caller.is_finished()), "a shutdown did not wait");
    drop(release);
    assert!(callers.into_iter().all(|caller| caller.join().unwrap() == 1));
    // And once more, of a pool that has ended.
    pool.shutdown(true, false).unwrap();
}

#[test]
fn a_shutdown_waits_for_jobs_that_are_submitted_at_that_moment_or_refuses_them() {
    let _watchdog = watch();
    for _ in 0..1_000 {
        let pool = ThreadPool::new(2);
        let (ran, accepted) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let start = Barrier::new(3);
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let count = ran.clone();
                    start.wait();
                    let job = move || {
                        count.fetch_add(1, SeqCst);
                    };
                    accepted.fetch_add(usize::from(pool.execute(job).is_ok()), SeqCst);
                });
            }
            start.wait();
            pool.shutdown(true, false).unwrap();
        });
        // The submits have returned, and so has the shutdown: what was accepted has run.
        assert_eq!(ran.load(SeqCst), accepted.load(SeqCst), "accepted and not run");
    }
}

#[test]
fn a_name_with_a_zero_byte_is_refused_when_the_pool_is_built() {
    let named = ThreadPool::builder().name_prefix("a\0b").build();
    assert!(matches!(named, Err(BuildError::BadName)));
    assert!(BuildError::BadName.to_string().contains("zero byte"));
}

/// A pool that gets no thread: no system has a stack of that size.
fn without_threads(workers: usize) -> ThreadPool {
    let all_memory = isize::MAX as usize & !0xffff;
    ThreadPool::builder().max_workers(workers).stack_size(all_memory).build().unwrap()
}

// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_pool_that_gets_no_thread_returns_the_job() {
    let _watchdog = watch();
    let pool = without_threads(2);
    match pool.submit(|| 7) {
        Err(SubmitError::NoThread(job, _)) => assert_eq!(job(), 7),
        other => panic!("{:?}", other.map(|handle| handle.status())),
    }
    match pool.execute(|| ()) {
        Err(SubmitError::NoThread(job, why)) => {
            job();
            assert!(!why.to_string().is_empty());
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(pool.map([1], |n| n), Err(SubmitError::NoThread((), _))));
    pool.scope(|scope| {
        assert!(matches!(scope.submit(|| ()), Err(SubmitError::NoThread((), _))));
    });
    assert_eq!((pool.workers(), pool.backlog()), (0, 0));
    pool.shutdown(true, false).unwrap();
}

// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_job_is_not_accepted_because_another_thread_is_about_to_be_refused() {
    let _watchdog = watch();
    for _ in 0..300 {
        let pool = without_threads(2);
        let start = Barrier::new(3);
        let accepted = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait();
                    accepted.fetch_add(usize::from(pool.execute(|| ()).is_ok()), SeqCst);
                });
            }
        });
        assert_eq!((accepted.into_inner(), pool.backlog()), (0, 0));
    }
}

#[test]
fn a_worker_that_waits_without_a_limit_of_time_runs_the_job_it_waits_for() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    inside(&pool, |pool| {
        let job = || pool.submit(|| 7).unwrap();
        assert!(matches!(job().result(), Ok(7)));
        assert!(matches!(job().result_timeout(Duration::MAX), Ok(Ok(7))));
        assert!(job().wait_timeout(Duration::MAX));
        assert_eq!(wait([job(), job()], Until::All, None).done.len(), 2);
        assert_eq!(wait([job(), job()], Until::All, Some(Duration::MAX)).done.len(), 2);
        assert_eq!(wait([job(), job()], Until::First, None).done.len(), 1);
        assert_eq!(as_completed([job(), job()]).count(), 2);
        assert_eq!(pool.map(0..3, |n| n).unwrap().filter(Result::is_ok).count(), 3);
        let ran = AtomicUsize::new(0);
        pool.scope(|scope| {
            scope.submit(|| drop(ran.fetch_add(1, SeqCst).to_string())).unwrap();
        });
        assert_eq!(ran.into_inner(), 1);
    });
}

#[test]
fn a_worker_that_waits_with_a_limit_of_time_runs_no_job() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    inside(&pool, move |pool| {
        let job = || {
            let count = count.clone();
            pool.submit(move || count.fetch_add(1, SeqCst)).unwrap()
        };
        let little = Duration::from_millis(1);
        let soon = || Instant::now() + little;
        let mut kept = Vec::new();
        kept.push(job().result_timeout(little).unwrap_err());
        kept.push(job().result_timeout(Duration::ZERO).unwrap_err());
        kept.push(job().result_deadline(soon()).unwrap_err());
        let waits = job();
        assert!(!waits.wait_timeout(little));
        kept.push(waits);
        for until in [Until::All, Until::First, Until::FirstError] {
            for timeout in [little, Duration::ZERO] {
                let waited = wait([job(), job()], until, Some(timeout));
                assert_eq!((waited.done.len(), waited.not_done.len()), (0, 2));
                kept.extend(waited.not_done);
            }
        }
        let unfinished = as_completed([job(), job()]).next_deadline(soon()).unwrap_err();
        assert_eq!((unfinished.handles.len(), unfinished.total), (2, 2));
        kept.extend(unfinished.handles);
        let inside = count.clone();
        let late = pool.map_timeout(0..3, move |_| inside.fetch_add(1, SeqCst), little).unwrap();
        assert!(late.into_iter().all(|result| matches!(result, Err(JobError::TimedOut))));
        assert_eq!(count.load(SeqCst), 0, "a job ran while a wait had a limit");
        // Their jobs run once this worker is free.
        kept.into_iter().for_each(drop);
    });
    drop(pool);
    assert_eq!(ran.load(SeqCst), 4 + 12 + 2);
}

#[test]
fn a_worker_that_waits_meets_a_job_that_was_cancelled() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    inside(&pool, |pool| {
        let cancelled = || {
            let handle = pool.submit(|| 7).unwrap();
            assert!(handle.cancel());
            handle
        };
        let later = || Instant::now() + Duration::from_secs(100);
        assert_eq!(wait([cancelled()], Until::All, None).done.len(), 1);
        assert_eq!(wait([cancelled()], Until::All, Some(Duration::from_secs(100))).done.len(), 1);
        assert_eq!(as_completed([cancelled(), cancelled()]).count(), 2);
        assert!(as_completed([cancelled()]).next_deadline(later()).unwrap().is_some());
        assert!(cancelled().wait_timeout(Duration::MAX));
        assert!(matches!(cancelled().result(), Err(JobError::Cancelled)));
    });
}

#[test]
fn a_job_that_waits_for_itself_is_told_so_by_every_wait() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    type Wait = fn(JobHandle<()>);
    let waits: [Wait; 7] = [
        |own| {
            assert!(matches!(own.result_timeout(Duration::ZERO), Ok(Err(JobError::Deadlock))));
        },
        |own| assert!(matches!(own.result(), Err(JobError::Deadlock))),
        |own| {
            let soon = Instant::now() + Duration::from_secs(1);
            assert!(matches!(own.result_deadline(soon), Ok(Err(JobError::Deadlock))));
        },
        |own| assert!(!own.wait_timeout(Duration::MAX)),
        |own| assert_eq!(wait([own], Until::All, None).not_done.len(), 1),
        |own| assert_eq!(wait([own], Until::First, None).not_done.len(), 1),
        |own| {
            let own: Vec<_> = as_completed([own]).collect();
            assert!(own.into_iter().all(|own| matches!(own.result(), Err(JobError::Deadlock))));
        },
    ];
    for asks in waits {
        let (give, take) = mpsc::channel();
        let (told, hears) = mpsc::channel();
        let handle = pool
            .submit(move || {
                asks(take.recv().unwrap());
                told.send(()).unwrap();
            })
            .unwrap();
        give.send(handle).unwrap();
        hears.recv().unwrap();
    }
}

#[test]
fn jobs_that_wait_for_each_other_in_a_long_chain_do_not_overflow_a_stack() {
    let _watchdog = watch();
    fn chain(pool: &Arc<ThreadPool>, left: u32) -> u32 {
        if left == 0 {
            return 0;
        }
        let same = pool.clone();
        pool.submit(move || chain(&same, left - 1)).unwrap().result().unwrap() + 1
    }
    let initialized = Arc::new(AtomicUsize::new(0));
    let count = initialized.clone();
    let pool = ThreadPool::builder()
        .max_workers(1)
        .initializer(move || drop(count.fetch_add(1, SeqCst).to_string()))
        .build()
        .unwrap();
    let pool = Arc::new(pool);
    assert_eq!(inside(&pool, |pool| chain(pool, 3_000)), 3_000);
    assert_eq!(pool.workers(), 1);
    assert!(initialized.load(SeqCst) > 3_000 / 65, "each thread ran the initializer");
    // The worker is where it was.
    inside(&pool, |_| ());
}

#[test]
fn jobs_that_submit_jobs_to_a_full_backlog_do_not_run_on_top_of_each_other() {
    let _watchdog = watch();
    fn crawl(pool: &Arc<ThreadPool>, ran: &Arc<AtomicUsize>, left: u32) {
        ran.fetch_add(1, SeqCst);
        if left > 0 {
            let (same, count) = (pool.clone(), ran.clone());
            pool.execute(move || crawl(&same, &count, left - 1)).unwrap();
            let count = ran.clone();
            pool.execute(move || drop(count.fetch_add(1, SeqCst).to_string())).unwrap();
        }
    }
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (pool, ran) = (Arc::new(pool), Arc::new(AtomicUsize::new(0)));
    let (same, count) = (pool.clone(), ran.clone());
    pool.execute(move || crawl(&same, &count, 20_000)).unwrap();
    while ran.load(SeqCst) < 40_001 {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_may_hold_a_lock_that_the_jobs_it_submits_take() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (pool, lock) = (Arc::new(pool), Arc::new(Mutex::new(0)));
    let inner = lock.clone();
    let handles = inside(&pool, move |pool| {
        let held = inner.lock().unwrap();
        let handles = [(); 4].map(|()| {
            let lock = inner.clone();
            pool.submit(move || *lock.lock().unwrap() += 1).unwrap()
        });
        drop(held);
        handles
    });
    assert_eq!(wait(handles, Until::All, None).done.len(), 4);
    assert_eq!(*lock.lock().unwrap(), 4);
}

#[test]
fn a_worker_that_submits_runs_no_other_job_in_its_place() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let pool = Arc::new(pool);
    let (drops, ran) = (Drops::default(), Arc::new(AtomicUsize::new(0)));
    let (item, count) = (drops.item(), ran.clone());
    inside(&pool, move |pool| {
        // It takes the only place.
        pool.try_submit(move || drop(item)).map(drop).unwrap_or_else(|_| panic!("no place"));
        assert!(matches!(pool.try_submit(|| ()), Err(SubmitError::Full(_))));
        let inside = count.clone();
        pool.execute(move || drop(inside.fetch_add(1, SeqCst).to_string())).unwrap();
        assert_eq!(count.load(SeqCst), 0);
    });
    // Waits for both jobs, which run after the job that submitted them.
    drop(pool);
    assert_eq!((drops.count(), ran.load(SeqCst)), (1, 1));
}

#[test]
fn a_place_in_the_backlog_is_free_again_when_its_job_has_begun() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(2).build().unwrap();
    for _ in 0..20 {
        let (first, release) = blocked(&pool);
        let waiting = [(); 2].map(|()| pool.try_submit(|| ()).ok().unwrap());
        assert!(matches!(pool.try_submit(|| ()), Err(SubmitError::Full(_))));
        // One that waits for a place gets it, in the end.
        thread::scope(|scope| {
            let waits = scope.spawn(|| pool.submit(|| 5).unwrap().result());
            release.send(()).unwrap();
            assert!(matches!(waits.join().unwrap(), Ok(5)));
        });
        assert!(first.result().is_ok());
        assert_eq!(wait(waiting, Until::All, None).done.len(), 2);
    }
}

#[test]
fn a_submit_that_waits_for_a_place_ends_when_the_pool_shuts_down() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (first, release) = blocked(&pool);
    let second = pool.submit(|| ()).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| pool.submit(|| 5));
        thread::sleep(A_MOMENT);
        pool.shutdown(false, false).unwrap();
        match waits.join().unwrap() {
            Err(SubmitError::ShutDown(job)) => assert_eq!(job(), 5),
            other => panic!("{:?}", other.map(|handle| handle.status())),
        }
    });
    release.send(()).unwrap();
    assert!(first.result().is_ok() && second.result().is_ok());
}

#[test]
fn a_limit_beyond_all_memory_works() {
    let _watchdog = watch();
    for limit in [usize::MAX, usize::MAX >> 20, 1 << 30] {
        let pool = ThreadPool::builder().max_workers(1).queue_limit(limit).build().unwrap();
        assert!(matches!(pool.submit(|| 7).unwrap().result(), Ok(7)));
    }
}

#[test]
fn waits_over_many_jobs_see_every_one() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let signal = Arc::new(SimpleQueue::new());
    let handles: Vec<_> = (0..20_000)
        .map(|n| {
            let signal = signal.clone();
            pool.submit(move || {
                if n == 0 {
                    signal.get();
                }
                n
            })
            .unwrap()
        })
        .collect();
    signal.put(());
    let waited = wait(handles, Until::All, None);
    assert!(waited.not_done.is_empty());
    assert!(waited.done.into_iter().map(|handle| handle.result().unwrap()).eq(0..20_000));
}

#[test]
fn a_worker_at_the_end_of_a_scope_runs_pending_jobs_before_it_sleeps() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(2));
    inside(&pool, |pool| {
        let (begins, begun) = mpsc::channel();
        let (gives, takes) = mpsc::channel();
        pool.scope(|scope| {
            scope
                .submit(move || {
                    begins.send(()).unwrap();
                    takes.recv().unwrap();
                })
                .unwrap();
            // The other worker runs it, and waits for the next one.
            begun.recv().unwrap();
            scope.submit(move || gives.send(()).unwrap()).unwrap();
        });
    });
}

#[test]
fn a_worker_in_a_map_runs_pending_jobs_before_it_sleeps() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(2));
    let results: Vec<_> = inside(&pool, |pool| {
        let (begins, begun) = mpsc::channel();
        let (gives, takes) = mpsc::channel();
        let takes = Mutex::new(takes);
        let numbers = (0..2).inspect(|n| {
            if *n == 1 {
                begun.recv().unwrap();
            }
        });
        let map = pool.map(numbers, move |n| {
            if n == 0 {
                begins.send(()).unwrap();
                takes.lock().unwrap().recv().unwrap();
            } else {
                gives.send(()).unwrap();
            }
            n
        });
        map.unwrap().map(Result::unwrap).collect()
    });
    assert_eq!(results, [0, 1]);
}

// With 32 bits no size is refused for certain.
#[cfg(target_pointer_width = "64")]
#[test]
fn a_stack_that_no_memory_holds_is_an_error_that_returns_the_job() {
    let _watchdog = watch();
    for size in [usize::MAX, usize::MAX - 4096, isize::MAX as usize] {
        let pool = match ThreadPool::builder().max_workers(1).stack_size(size).build() {
            Ok(pool) => pool,
            Err(_) => continue,
        };
        assert!(matches!(pool.submit(|| 7), Err(SubmitError::NoThread(job, _)) if job() == 7));
        assert!(matches!(pool.execute(|| ()), Err(SubmitError::NoThread(..))));
        assert_eq!((pool.workers(), pool.backlog()), (0, 0));
        pool.shutdown(true, false).unwrap();
    }
}

#[test]
fn a_pool_dropped_by_a_thread_local_of_its_worker_does_not_wait_for_itself() {
    let _watchdog = watch();
    struct Last(Arc<ThreadPool>, mpsc::Sender<bool>);
    impl Drop for Last {
        fn drop(&mut self) {
            self.1.send(self.0.shutdown(true, false).is_err()).unwrap();
        }
    }
    thread_local! {
        static LAST: std::cell::RefCell<Option<Last>> = const { std::cell::RefCell::new(None) };
    }
    let pool = Arc::new(ThreadPool::new(1));
    let (told, hears) = mpsc::channel();
    let last = Last(pool.clone(), told);
    let (release, gate) = mpsc::channel::<()>();
    pool.execute(move || {
        LAST.with(|place| *place.borrow_mut() = Some(last));
        let _ = gate.recv();
    })
    .unwrap();
    pool.shutdown(false, false).unwrap();
    drop(pool);
    drop(release);
    assert_eq!(hears.recv(), Ok(true));
    // The sender goes after the pool.
    assert!(hears.recv().is_err());
}
