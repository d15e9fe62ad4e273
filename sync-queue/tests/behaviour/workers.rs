//! The workers of a pool: their number, names, hooks, idleness, and the order of the backlog.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sync_queue::{JobError, JobStatus, SubmitError, ThreadPool, Until, wait};

use crate::support::{A_MOMENT, Drops, LONG, blocked, fail};
use crate::watchdog::watch;

fn add_one(counter: &AtomicUsize) {
    counter.fetch_add(1, SeqCst);
}

/// Waits for what another thread does soon.
fn soon(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_join_waits_for_all_jobs_and_the_pool_goes_on() {
    let _watchdog = watch();
    let (pool, ran) = (ThreadPool::new(4), Arc::new(AtomicUsize::new(0)));
    pool.join().unwrap();
    for round in 1..=50 {
        for _ in 0..10 {
            let ran = ran.clone();
            pool.execute(move || add_one(&ran)).unwrap();
        }
        pool.join().unwrap();
        assert_eq!(ran.load(SeqCst), round * 10);
        assert!(pool.join_timeout(Duration::ZERO).unwrap(), "a pool at rest is idle at once");
    }
}

#[test]
fn a_join_waits_for_callbacks_and_for_the_drop_of_results() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    for _ in 0..200 {
        let drops = Drops::default();
        let called = Arc::new(AtomicUsize::new(0));
        let (handle, go) = blocked(&pool);
        let count = called.clone();
        handle.on_done(move |_| {
            thread::yield_now();
            count.fetch_add(1, SeqCst);
        });
        let item = drops.item();
        drop(pool.submit(move || item).unwrap());
        drop(go);
        pool.join().unwrap();
        assert_eq!((drops.count(), called.load(SeqCst)), (1, 1));
    }
}

#[test]
fn a_join_with_a_limit_of_time_ends_before_the_job() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (_handle, go) = blocked(&pool);
    assert!(!pool.join_timeout(Duration::ZERO).unwrap());
    assert!(!pool.join_timeout(A_MOMENT).unwrap());
    assert!(!pool.join_deadline(Instant::now()).unwrap());
    drop(go);
    assert!(pool.join_timeout(LONG).unwrap());
}

#[test]
fn several_threads_join_while_others_submit() {
    let _watchdog = watch();
    for _ in 0..100 {
        let (pool, ran) = (ThreadPool::new(3), Arc::new(AtomicUsize::new(0)));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mine = Arc::new(AtomicUsize::new(0));
                    for _ in 0..5 {
                        let (ran, mine) = (ran.clone(), mine.clone());
                        pool.execute(move || {
                            mine.fetch_add(1, SeqCst);
                            ran.fetch_add(1, SeqCst);
                        })
                        .unwrap();
                    }
                    pool.join().unwrap();
                    assert_eq!(mine.load(SeqCst), 5, "every job before the join has ended");
                });
            }
        });
        assert_eq!(ran.load(SeqCst), 10);
    }
}

#[test]
fn a_join_counts_cancelled_jobs_and_jobs_that_a_shutdown_cancels() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(1));
    let (_first, go) = blocked(&pool);
    let cancelled = pool.submit(|| ()).unwrap();
    assert!(cancelled.cancel());
    let pending = pool.submit(|| ()).unwrap();
    let same = pool.clone();
    let joins = thread::spawn(move || same.join().unwrap());
    pool.shutdown(false, true).unwrap();
    assert!(pending.is_cancelled());
    drop(go);
    joins.join().unwrap();
    assert_eq!(pool.busy(), 0);
}

#[test]
fn a_worker_that_joins_its_own_pool_is_told() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(2));
    let same = pool.clone();
    assert!(pool.submit(move || same.join()).unwrap().result().unwrap().is_err());
    let other = ThreadPool::new(1);
    let joins_another = pool.submit(move || {
        other.execute(|| ()).unwrap();
        other.join()
    });
    joins_another.unwrap().result().unwrap().unwrap();
}

#[test]
fn the_busy_workers_are_those_that_run_a_job() {
    let _watchdog = watch();
    let pool = ThreadPool::new(3);
    assert_eq!(pool.busy(), 0);
    let (first, go) = blocked(&pool);
    let (second, go_too) = blocked(&pool);
    assert_eq!(pool.busy(), 2);
    drop(go);
    first.result().unwrap();
    soon(|| pool.busy() == 1);
    drop(go_too);
    second.result().unwrap();
    pool.join().unwrap();
    assert_eq!((pool.busy(), pool.workers()), (0, 2));
}

#[test]
fn idle_workers_end_but_for_one_and_come_back() {
    let _watchdog = watch();
    let ended = Arc::new(AtomicUsize::new(0));
    let count = ended.clone();
    let pool = ThreadPool::builder()
        .max_workers(3)
        .idle_timeout(Duration::from_millis(1))
        .exit_hook(move || add_one(&count))
        .build()
        .unwrap();
    for round in 1..=3 {
        let jobs: Vec<_> = (0..3).map(|_| blocked(&pool)).collect();
        assert_eq!(pool.workers(), 3);
        drop(jobs);
        soon(|| pool.workers() == 1 && ended.load(SeqCst) == 2 * round);
    }
    thread::sleep(A_MOMENT);
    assert_eq!(pool.workers(), 1, "the last worker stays");
    pool.join().unwrap();
    drop(pool);
    assert_eq!(ended.load(SeqCst), 7);
}

#[test]
fn jobs_that_need_each_other_run_while_idle_workers_end() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(2).idle_timeout(Duration::ZERO).build().unwrap();
    for _ in 0..500 {
        let (told, hears) = mpsc::channel();
        let waits = pool.submit(move || hears.recv().unwrap()).unwrap();
        pool.execute(move || told.send(7).unwrap()).unwrap();
        assert_eq!(waits.result().unwrap(), 7);
    }
    pool.join().unwrap();
}

#[test]
fn a_pool_grows_at_once_if_there_is_work() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (told, hears) = mpsc::channel();
    let waits = pool.submit(move || hears.recv().unwrap()).unwrap();
    pool.execute(move || told.send(7).unwrap()).unwrap();
    thread::sleep(A_MOMENT);
    assert!(!waits.is_done());
    pool.resize(2);
    assert_eq!(waits.result().unwrap(), 7);
    assert_eq!((pool.workers(), pool.max_workers()), (2, 2));
}

#[test]
fn a_pool_shrinks_when_its_workers_have_no_job() {
    let _watchdog = watch();
    let pool = ThreadPool::new(4);
    let jobs: Vec<_> = (0..4).map(|_| blocked(&pool)).collect();
    pool.resize(2);
    assert_eq!(pool.workers(), 4, "no job is interrupted");
    drop(jobs);
    soon(|| pool.workers() == 2);
    // Workers that sleep.
    pool.join().unwrap();
    pool.resize(1);
    soon(|| pool.workers() == 1);
    assert_eq!(pool.submit(|| 7).unwrap().result().unwrap(), 7);
    pool.join().unwrap();
    assert!(std::panic::catch_unwind(|| pool.resize(0)).is_err());
    pool.resize(2);
    let both = [blocked(&pool), blocked(&pool)];
    assert_eq!(pool.workers(), 2);
    drop(both);
}

#[test]
fn resizing_among_submits_loses_no_job() {
    let _watchdog = watch();
    let (pool, ran) = (ThreadPool::new(2), Arc::new(AtomicUsize::new(0)));
    thread::scope(|scope| {
        scope.spawn(|| (0..300).for_each(|n| pool.resize(n % 4 + 1)));
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let ran = ran.clone();
                    pool.execute(move || add_one(&ran)).unwrap();
                }
            });
        }
    });
    pool.join().unwrap();
    assert_eq!(ran.load(SeqCst), 1_000);
    pool.shutdown(true, false).unwrap();
}

#[test]
fn the_exit_hook_runs_once_in_each_worker_and_may_panic() {
    let _watchdog = watch();
    let names = Arc::new(Mutex::new(Vec::new()));
    let put = names.clone();
    let pool = ThreadPool::builder()
        .max_workers(2)
        .name_prefix("hooked")
        .exit_hook(move || {
            put.lock().unwrap().push(thread::current().name().unwrap().to_owned());
            fail();
        })
        .build()
        .unwrap();
    drop([blocked(&pool), blocked(&pool)]);
    drop(pool);
    let mut names = names.lock().unwrap().clone();
    names.sort();
    assert_eq!(names, ["hooked_0", "hooked_1"]);
}

#[test]
fn the_exit_hook_is_left_out_where_the_initializer_panicked() {
    let _watchdog = watch();
    let drops = Drops::default();
    let item = drops.item();
    let pool = ThreadPool::builder()
        .max_workers(1)
        .initializer(|| {
            fail();
        })
        .exit_hook(move || unreachable!("{item:?}"))
        .build()
        .unwrap();
    match pool.submit(|| ()) {
        Ok(handle) => assert!(matches!(handle.result(), Err(JobError::Broken))),
        Err(why) => assert!(matches!(why, SubmitError::Broken(_))),
    }
    drop(pool);
    assert_eq!(drops.count(), 1);
}

#[test]
fn a_function_names_the_threads() {
    let _watchdog = watch();
    let name = || thread::current().name().map(str::to_owned);
    let build = |f: fn(usize) -> String| {
        let builder = ThreadPool::builder().max_workers(1).name_prefix("plain");
        builder.thread_name(f).build().unwrap()
    };
    let named = |pool: ThreadPool| pool.submit(name).unwrap().result().unwrap().unwrap();
    assert_eq!(named(build(|n| format!("worker {n}"))), "worker 0");
    assert_eq!(named(build(|n| format!("a\0b{n}"))), "ab0");
    assert_eq!(named(build(|_| fail().to_string())), "plain_0");
}

#[test]
fn higher_priorities_come_first_and_equals_in_their_order() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).by_priority().build().unwrap();
    let (_first, go) = blocked(&pool);
    let order = Arc::new(Mutex::new(Vec::new()));
    for (number, priority) in [(1, 0), (2, -1), (3, 5), (4, 5), (5, i32::MAX), (6, i32::MIN)] {
        let order = order.clone();
        let push = move || order.lock().unwrap().push(number);
        drop(pool.submit_with_priority(priority, push).unwrap());
    }
    let last = order.clone();
    pool.execute(move || last.lock().unwrap().push(7)).unwrap();
    drop(go);
    pool.join().unwrap();
    assert_eq!(*order.lock().unwrap(), [5, 3, 4, 1, 7, 2, 6]);
}

#[test]
fn a_pool_without_priorities_refuses_them() {
    let pool = ThreadPool::new(1);
    pool.submit_with_priority(0, || ()).unwrap().result().unwrap();
    let submits = std::panic::AssertUnwindSafe(|| drop(pool.submit_with_priority(1, || ())));
    assert!(std::panic::catch_unwind(submits).is_err());
}

#[test]
fn a_job_lapses_if_no_thread_has_begun_it_in_time() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(2).build().unwrap();
    let (_first, go) = blocked(&pool);
    let drops = Drops::default();
    let item = drops.item();
    let late = pool.submit_within(Duration::from_millis(1), move || drop(item)).unwrap();
    let in_time = pool.submit_within(LONG, || 7).unwrap();
    thread::sleep(Duration::from_millis(2));
    assert_eq!((late.status(), drops.count()), (JobStatus::Pending, 0));
    let (told, hears) = mpsc::channel();
    late.on_done(move |status| told.send(status).unwrap());
    drop(go);
    assert_eq!(hears.recv(), Ok(JobStatus::Lapsed));
    let waited = wait([late], Until::FIRST_EXCEPTION, None);
    let late = waited.done.into_iter().next().unwrap();
    assert!(late.is_done() && !late.is_cancelled() && !late.cancel());
    assert!(matches!(late.result(), Err(JobError::Lapsed)));
    assert_eq!((in_time.result().unwrap(), drops.count()), (7, 1));
    let forever = pool.submit_within(Duration::MAX, || 8).unwrap();
    assert_eq!(forever.result().unwrap(), 8);
    pool.join().unwrap();
}

#[test]
fn a_map_that_looks_ahead_takes_no_more_items_than_it_was_told() {
    let _watchdog = watch();
    let pool = ThreadPool::new(2);
    let taken = AtomicUsize::new(0);
    let items = (0..).inspect(|_| add_one(&taken));
    let mut results = pool.map_ahead(items, |n: usize| n * 2, 3);
    assert_eq!(taken.load(SeqCst), 0);
    for n in 0..100 {
        assert_eq!(results.next().unwrap().unwrap(), n * 2);
        assert_eq!(taken.load(SeqCst), n + 3);
    }
    drop(results);
    let mut short = pool.map_ahead([1, 2], |n| if n == 1 { fail() } else { n }, 10);
    assert!(matches!(short.next(), Some(Err(JobError::Panicked(_)))));
    assert!(matches!(short.next(), Some(Ok(2))));
    assert!(short.next().is_none() && short.next().is_none());
}

#[test]
fn a_map_that_looks_ahead_ends_with_the_pool_and_says_so() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let mut results = pool.map_ahead(0.., |n: u32| n, 2);
    assert_eq!(results.next().unwrap().unwrap(), 0);
    pool.shutdown(false, false).unwrap();
    assert_eq!(results.next().unwrap().unwrap(), 1);
    match results.next() {
        Some(Err(JobError::Refused(SubmitError::ShutDown(())))) => {}
        other => panic!("{other:?}"),
    }
    assert!(results.next().is_none());
}

#[test]
fn a_map_that_looks_ahead_and_is_dropped_cancels_what_has_not_begun() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (_first, go) = blocked(&pool);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = ran.clone();
    let mut results = pool.map_ahead(0.., move |_: u32| add_one(&count), 5);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(A_MOMENT);
            drop(go);
        });
        results.next().unwrap().unwrap();
    });
    let (second, go) = blocked(&pool);
    let ran_before = ran.load(SeqCst);
    let more = results.next();
    drop((second, go));
    drop((more, results));
    pool.join().unwrap();
    assert!(ran_before <= 5 && ran.load(SeqCst) <= 6);
}

#[test]
fn a_shutdown_settles_every_job_before_a_callback_runs() {
    let _watchdog = watch();
    let pool = ThreadPool::new(1);
    let (_first, go) = blocked(&pool);
    let second = pool.submit(|| ()).unwrap();
    let third = pool.submit(|| ()).unwrap();
    let (told, hears) = mpsc::channel();
    // Waits for the third job: without a limit of time it would wait forever if that job were
    // still pending.
    second.on_done(move |_| {
        told.send(third.result()).unwrap();
    });
    pool.shutdown(false, true).unwrap();
    assert!(matches!(hears.recv().unwrap(), Err(JobError::Cancelled)));
    drop(go);
}

#[test]
fn a_closure_that_waits_when_dropped_finds_every_job_of_a_broken_pool_settled() {
    let _watchdog = watch();
    struct Waits(Option<sync_queue::JobHandle<()>>, mpsc::Sender<bool>);
    impl Drop for Waits {
        fn drop(&mut self) {
            let result = self.0.take().unwrap().result();
            self.1.send(matches!(result, Err(JobError::Broken))).unwrap();
        }
    }
    let (enter, waits) = mpsc::channel::<()>();
    let waits = Mutex::new(waits);
    let pool = ThreadPool::builder()
        .max_workers(1)
        .by_priority()
        .initializer(move || {
            let _ = waits.lock().unwrap().recv();
            fail();
        })
        .build()
        .unwrap();
    // Given up last, for its priority is the lowest.
    let last = pool.submit_with_priority(-1, || ()).unwrap();
    let (told, hears) = mpsc::channel();
    let dropped = Waits(Some(last), told);
    pool.execute(move || drop(dropped)).unwrap();
    drop(enter);
    assert!(hears.recv().unwrap());
}

#[test]
fn a_cancelled_job_gives_its_place_in_the_backlog_back() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap();
    let (_first, go) = blocked(&pool);
    let second = pool.submit(|| 2).unwrap();
    assert!(matches!(pool.try_submit(|| 3), Err(SubmitError::Full(_))));
    assert!(second.cancel());
    let third = pool.try_submit(|| 3).unwrap();
    assert!(matches!(pool.try_submit(|| 4), Err(SubmitError::Full(_))));
    drop(go);
    assert_eq!(third.result().unwrap(), 3);
}

#[test]
fn a_job_that_a_waiting_worker_runs_gives_its_place_back() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::builder().max_workers(1).queue_limit(1).build().unwrap());
    let same = pool.clone();
    let outer = pool.submit(move || {
        let inner = same.try_submit(|| 1).unwrap();
        assert!(matches!(same.try_submit(|| 2), Err(SubmitError::Full(_))));
        assert_eq!(inner.result().unwrap(), 1);
        // The job has run here; its entry is still in the backlog.
        let next = same.try_submit(|| 2).unwrap();
        next.result().unwrap()
    });
    assert_eq!(outer.unwrap().result().unwrap(), 2);
}

/// The state of the thread of this process that has this name: `S` while it sleeps.
#[cfg(target_os = "linux")]
fn state_of(name: &str) -> Option<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    tasks.flatten().find_map(|task| {
        let stat = std::fs::read_to_string(task.path().join("stat")).ok()?;
        let (_, state) = stat.split_once(&format!("({name}) "))?;
        Some(state[..1].to_owned())
    })
}

#[cfg(target_os = "linux")]
#[test]
fn the_last_worker_sleeps_however_short_the_idle_timeout() {
    let _watchdog = watch();
    let pool = ThreadPool::builder().idle_timeout(Duration::ZERO).max_workers(3);
    let pool = pool.thread_name(|_| "last worker".into()).build().unwrap();
    for _ in 0..20 {
        let _ = wait((0..3).map(|_| pool.submit(|| ()).unwrap()), Until::All, None);
    }
    soon(|| pool.workers() == 1);
    // A worker that looks again and again is never asleep for long.
    let mut asleep = 0;
    for _ in 0..10_000 {
        thread::sleep(Duration::from_millis(1));
        asleep = if state_of("last worker").as_deref() == Some("S") { asleep + 1 } else { 0 };
        if asleep == 20 {
            break;
        }
    }
    assert_eq!(asleep, 20, "the worker is at rest");
    assert_eq!(pool.submit(|| 7).unwrap().result().unwrap(), 7, "and still takes jobs");
}

#[test]
fn a_worker_that_maps_runs_what_a_running_job_waits_for() {
    let _watchdog = watch();
    let pool = Arc::new(ThreadPool::new(2));
    let same = pool.clone();
    let sum = pool.submit(move || {
        let ((begins, begun), (sends, receives)) = (mpsc::channel(), mpsc::channel());
        let receives = Mutex::new(receives);
        // The second job is submitted when the other worker runs the first one, which waits for it.
        let items = (0..2).inspect(|n| {
            if *n == 1 {
                begun.recv().unwrap();
            }
        });
        let job = move |n| {
            if n == 1 {
                sends.send(5).unwrap();
                return 1;
            }
            begins.send(()).unwrap();
            receives.lock().unwrap().recv().unwrap()
        };
        same.map_ahead(items, job, 2).map(Result::unwrap).sum::<i32>()
    });
    assert_eq!(sum.unwrap().result().unwrap(), 6);
}
