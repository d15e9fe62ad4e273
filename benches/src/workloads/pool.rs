//! Thread pools: threadpool, rusty_pool, and rayon's `spawn`. `ours` is `execute`, which gives no
//! handle, as theirs; `submit` gives one.
//!
//! * `empty`: jobs that only count, submitted by one thread; over when all have run;
//! * `ten-us`: jobs of 10 us each;
//! * `nested`: each job submits another.
//!
//! All pools have two workers. rayon's `spawn` gives no handle and no result and takes the newest
//! job first: it does less, and is shown to say where we stand.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use crate::compare::shapes::{self, expect};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};
use crate::compare::work::Work;

const WORKERS: usize = 2;

/// Operations that a workload needs of a pool.
pub trait Pool: Clone + Send + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A pool of two workers.
    fn new() -> Self;
    /// Has a job run.
    fn submit(&self, job: impl FnOnce() + Send + 'static);
}

/// Ours, without a handle as the others.
#[derive(Clone, Debug)]
pub struct Ours(Arc<sync_queue::ThreadPool>);

impl Pool for Ours {
    const PEER: &'static str = OURS;

    fn new() -> Self {
        Self(Arc::new(sync_queue::ThreadPool::new(WORKERS)))
    }

    #[inline]
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.execute(job).expect("it is not shut down");
    }
}

/// Ours with a handle for the result, which is dropped.
#[derive(Clone, Debug)]
pub struct WithHandle(Arc<sync_queue::ThreadPool>);

impl Pool for WithHandle {
    const PEER: &'static str = "submit";

    fn new() -> Self {
        Self(Arc::new(sync_queue::ThreadPool::new(WORKERS)))
    }

    #[inline]
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        drop(self.0.submit(job).expect("it is not shut down"));
    }
}

impl Pool for threadpool::ThreadPool {
    const PEER: &'static str = "threadpool";

    fn new() -> Self {
        Self::new(WORKERS)
    }

    #[inline]
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.execute(job);
    }
}

impl Pool for rusty_pool::ThreadPool {
    const PEER: &'static str = "rusty_pool";

    fn new() -> Self {
        rusty_pool::Builder::new().core_size(WORKERS).max_size(WORKERS).build()
    }

    #[inline]
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.execute(job);
    }
}

/// rayon's pool.
#[derive(Clone, Debug)]
pub struct Rayon(Arc<rayon_core::ThreadPool>);

impl Pool for Rayon {
    const PEER: &'static str = "rayon";

    fn new() -> Self {
        Self(Arc::new(
            rayon_core::ThreadPoolBuilder::new()
                .num_threads(WORKERS)
                .build()
                .expect("there are threads"),
        ))
    }

    #[inline]
    fn submit(&self, job: impl FnOnce() + Send + 'static) {
        self.0.spawn(job);
    }
}

/// Counts the jobs that have run, and wakes the thread that waits for the last.
#[derive(Debug)]
struct Count {
    left: AtomicU64,
    waiter: Thread,
}

impl Count {
    fn of(jobs: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(jobs), waiter: thread::current() })
    }

    fn one_done(&self) {
        // AcqRel: the jobs' effects happen before the end of `wait`.
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.waiter.unpark();
        }
    }

    fn wait(&self) {
        while self.left.load(Ordering::Acquire) > 0 {
            thread::park();
        }
    }
}

/// `each` submits one job, and whatever belongs to it, which calls `one_done` as often as is said.
fn jobs<P: Pool>(
    each_counts: u64,
    each: impl Fn(&P, &Arc<Count>, Arc<AtomicU64>) + Copy + 'static,
) -> Contestant {
    shapes::custom(P::PEER, move || {
        let pool = P::new();
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let count = Count::of(ops * each_counts);
            let ran = Arc::new(AtomicU64::new(0));
            let start = Instant::now();
            for _ in 0..ops {
                each(&pool, &count, Arc::clone(&ran));
            }
            count.wait();
            let elapsed = start.elapsed();
            // Relaxed: `wait` has ordered it.
            expect(ops * each_counts, ran.load(Ordering::Relaxed))?;
            Ok(Outcome::timed(ops, elapsed))
        }
    })
}

fn run(count: &Count, ran: &AtomicU64) {
    // Relaxed: `wait` has ordered it.
    ran.fetch_add(1, Ordering::Relaxed);
    count.one_done();
}

fn empty<P: Pool>() -> Contestant {
    jobs::<P>(1, |pool, count, ran| {
        let count = Arc::clone(count);
        pool.submit(move || run(&count, &ran));
    })
}

fn ten_us<P: Pool>() -> Contestant {
    let work = Work::lasting(Duration::from_micros(10));
    jobs::<P>(1, move |pool, count, ran| {
        let count = Arc::clone(count);
        pool.submit(move || {
            work.perform();
            run(&count, &ran);
        });
    })
}

fn nested<P: Pool>() -> Contestant {
    jobs::<P>(2, |pool, count, ran| {
        let (same, count) = (pool.clone(), Arc::clone(count));
        pool.submit(move || {
            let (inner, counts) = (Arc::clone(&ran), Arc::clone(&count));
            same.submit(move || run(&counts, &inner));
            run(&count, &ran);
        });
    })
}

/// Calls a function for each pool, ours first.
macro_rules! each {
    ($function:ident) => {
        vec![
            $function::<Ours>(),
            $function::<WithHandle>(),
            $function::<threadpool::ThreadPool>(),
            $function::<rusty_pool::ThreadPool>(),
            $function::<Rayon>(),
        ]
    };
}

/// All workloads of the pool.
pub fn workloads() -> Vec<Workload> {
    let workload =
        |name, contestants| Workload::team("pool", name, WORKERS + 1, contestants).paced_by_ops();
    vec![
        workload("empty", each!(empty)),
        workload("ten-us", each!(ten_us)),
        workload("nested", each!(nested)),
    ]
}
