//! `ThreadPool` under everything at once: submits, cancels, nested jobs, panics, callbacks,
//! shutdowns.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use sync_queue::{JobError, SubmitError, ThreadPool, Until, as_completed, wait};

use crate::watchdog::{note, watch};

/// Deterministic numbers: a multiplier of Knuth's.
fn numbers(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

#[test]
fn every_job_ends_once() {
    let _watchdog = watch();
    for (workers, limit) in [(1, None), (1, Some(1)), (4, Some(3)), (4, None)] {
        note(format!("{workers} workers, backlog {limit:?}"));
        let mut builder = ThreadPool::builder().max_workers(workers);
        if let Some(limit) = limit {
            builder = builder.queue_limit(limit);
        }
        let pool = builder.build().unwrap();
        let (ran, called) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (submitted, cancelled) = (AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for submitter in 0..3 {
                let (pool, ran, called, submitted, cancelled) =
                    (&pool, &ran, &called, &submitted, &cancelled);
                scope.spawn(move || {
                    let mut number = numbers(submitter);
                    for n in 0..1_500_u64 {
                        let count = ran.clone();
                        let panics = number(5) == 0;
                        let handle = pool
                            .submit(move || {
                                count.fetch_add(1, SeqCst);
                                if panics {
                                    std::panic::resume_unwind(Box::new("on purpose"));
                                }
                                n
                            })
                            .unwrap();
                        submitted.fetch_add(1, SeqCst);
                        let count = called.clone();
                        handle.on_done(move |_| {
                            count.fetch_add(1, SeqCst);
                        });
                        if number(4) == 0 && handle.cancel() {
                            cancelled.fetch_add(1, SeqCst);
                        }
                        match number(3) {
                            0 => drop(handle),
                            1 => drop(handle.result_timeout(Duration::from_micros(10))),
                            _ => match handle.result() {
                                Ok(result) => assert!(result == n && !panics),
                                Err(JobError::Panicked(_)) => assert!(panics),
                                Err(JobError::Cancelled) => {}
                                Err(other) => panic!("{other}"),
                            },
                        }
                    }
                });
            }
        });
        pool.shutdown(true, false).unwrap();
        assert_eq!(
            ran.load(SeqCst) + cancelled.load(SeqCst),
            submitted.load(SeqCst),
            "run or cancelled, never both"
        );
        assert_eq!(called.load(SeqCst), submitted.load(SeqCst), "each callback once");
    }
}

#[test]
fn jobs_that_wait_for_jobs() {
    let _watchdog = watch();
    fn tree(pool: &Arc<ThreadPool>, depth: u32) -> u32 {
        if depth == 0 {
            return 1;
        }
        let submit = || {
            let inner = pool.clone();
            pool.submit(move || tree(&inner, depth - 1)).unwrap()
        };
        let handles = [submit(), submit()];
        match depth % 3 {
            0 => handles.into_iter().map(|handle| handle.result().unwrap()).sum(),
            1 => wait(handles, Until::All, None)
                .done
                .into_iter()
                .map(|handle| handle.result().unwrap())
                .sum(),
            _ => as_completed(handles).map(|handle| handle.result().unwrap()).sum(),
        }
    }
    for workers in [1, 2, 4] {
        note(format!("{workers} workers"));
        let pool = Arc::new(ThreadPool::new(workers));
        for _ in 0..40 {
            assert_eq!(tree(&pool, 6), 64);
        }
        pool.shutdown(true, false).unwrap();
    }
}

#[test]
fn shutdowns_in_the_middle() {
    let _watchdog = watch();
    for round in 0..60 {
        let pool = ThreadPool::new(1 + round % 3);
        let ran = Arc::new(AtomicUsize::new(0));
        let taken = thread::scope(|scope| {
            let submitters = [(); 2].map(|()| {
                let (pool, ran) = (&pool, &ran);
                scope.spawn(move || {
                    let mut handles = Vec::new();
                    loop {
                        let ran = ran.clone();
                        match pool.submit(move || ran.fetch_add(1, SeqCst)) {
                            Ok(handle) => handles.push(handle),
                            Err(SubmitError::ShutDown(_)) => return handles,
                            Err(other) => panic!("{other}"),
                        }
                    }
                })
            });
            thread::sleep(Duration::from_micros(50 * round as u64));
            pool.shutdown(round % 2 == 0, round % 3 == 0).unwrap();
            submitters.map(|submitter| submitter.join().unwrap())
        });
        drop(pool);
        let results = taken.into_iter().flatten().map(|handle| handle.result());
        let good = results.filter(|result| match result {
            Ok(_) => true,
            Err(JobError::Cancelled) => false,
            Err(other) => panic!("{other}"),
        });
        assert_eq!(good.count(), ran.load(SeqCst), "nothing pending, nothing counted twice");
    }
}
