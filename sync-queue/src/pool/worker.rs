//! What the threads of a pool and those that submit share, and the life of a worker.

use core::cell::Cell;
use core::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use sync_core::primitive::thread::{self, JoinHandle};

use crate::pool::error::SubmitError;
use crate::pool::fork;
use crate::pool::job::{Bare, Job, Outcome, Run};
use crate::queue::error::PutError;
use crate::queue::fifo::Queue;

thread::thread_local! {
    /// The number of the pool whose worker this thread is, or 0.
    static CURRENT: Cell<u64> = in_no_pool();
}

/// Not a `const` block: loom's macro takes none.
fn in_no_pool() -> Cell<u64> {
    Cell::new(0)
}

pub(super) fn current_pool() -> u64 {
    CURRENT.with(Cell::get)
}

type QueuedJob = Arc<dyn Run>;

pub(super) struct Inner {
    /// Never 0, never used again.
    pub(super) number: u64,
    pub(super) jobs: Queue<QueuedJob>,
    pub(super) max_workers: usize,
    /// How many threads were started, or are about to be.
    pub(super) started: AtomicUsize,
    pub(super) threads: Mutex<Vec<JoinHandle<()>>>,
    pub(super) prefix: String,
    pub(super) initializer: Option<Box<dyn Fn() + Send + Sync>>,
    /// An initializer panicked.
    pub(super) broken: AtomicBool,
}

impl Inner {
    /// Starts a thread if all that exist have a job. An error only if there is none at all.
    #[inline]
    fn staff(self: &Arc<Self>) -> io::Result<()> {
        // Relaxed: the count alone decides; it only grows, and reading it too low leads to the
        // compare-exchange.
        let started = self.started.load(Ordering::Relaxed);
        if started == self.max_workers || self.jobs.unfinished() < started as u64 {
            return Ok(());
        }
        self.start(started)
    }

    #[cold]
    fn start(self: &Arc<Self>, number: usize) -> io::Result<()> {
        // Relaxed: as above. If another starts one at the same time, that will do.
        if self
            .started
            .compare_exchange(number, number + 1, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return Ok(());
        }
        let inner = Arc::clone(self);
        match thread::Builder::new()
            .name(format!("{}_{number}", self.prefix))
            .spawn(move || inner.work())
        {
            Ok(thread) => {
                self.threads.lock().push(thread);
                Ok(())
            }
            Err(why) => {
                self.started.fetch_sub(1, Ordering::Relaxed);
                if number == 0 { Err(why) } else { Ok(()) }
            }
        }
    }

    /// A worker's life.
    fn work(&self) {
        CURRENT.with(|current| current.set(self.number));
        if let Some(initializer) = &self.initializer
            && catch_unwind(AssertUnwindSafe(initializer)).is_err()
        {
            self.break_down();
            return;
        }
        while let Ok(job) = self.jobs.get() {
            // A job's own panic is caught inside; here, only what a result or a closure panics with
            // when it is dropped.
            drop(catch_unwind(AssertUnwindSafe(|| job.run(&|| self.one_done()))));
            drop(catch_unwind(AssertUnwindSafe(|| drop(job))));
            if fork::left_behind(self.number) {
                // The job has forked, and this is the child: the backlog is the parent's to run.
                return;
            }
        }
    }

    /// One job less, before anybody is told: who submits the next one after this one's result finds
    /// its worker free.
    fn one_done(&self) {
        // With all threads started nobody looks at the count any more.
        // Relaxed: as in `staff`.
        if self.started.load(Ordering::Relaxed) < self.max_workers {
            let _ = self.jobs.task_done();
        }
    }

    #[cold]
    fn break_down(&self) {
        // Relaxed: published by the shutdown of the queue: a submit that finds it shut finds this
        // too.
        self.broken.store(true, Ordering::Relaxed);
        for job in self.jobs.shutdown_now() {
            job.fail();
        }
    }

    #[cold]
    fn refuse<F, R>(&self, job: &Job<F, R>, full: bool) -> Option<SubmitError<F>> {
        let job = job.take_back()?;
        Some(if full { SubmitError::Full(job) } else { self.closed(job) })
    }

    /// Puts a job into the queue. A worker does not wait for room in its own pool's backlog, which
    /// it alone might make: it runs a job.
    fn enqueue(&self, job: QueuedJob, wait: bool) -> Result<(), PutError<QueuedJob>> {
        if wait && current_pool() != self.number {
            return self.jobs.put(job).map_err(PutError::from);
        }
        let mut job = job;
        loop {
            match self.jobs.try_put(job) {
                Err(PutError::Full(back)) if wait => {
                    job = back;
                    if let Ok(other) = self.jobs.try_get() {
                        other.run(&|| self.one_done());
                    }
                }
                done => return done,
            }
        }
    }

    /// Before a job is put together: is it of any use?
    fn admit<F>(self: &Arc<Self>, job: F) -> Result<F, SubmitError<F>> {
        if fork::left_behind(self.number) {
            return Err(SubmitError::Forked(job));
        }
        if self.jobs.is_shutdown() {
            return Err(self.closed(job));
        }
        match self.staff() {
            Ok(()) => Ok(job),
            Err(why) => Err(SubmitError::NoThread(job, why)),
        }
    }

    #[cold]
    fn closed<F>(&self, job: F) -> SubmitError<F> {
        // Relaxed: the caller has found the queue shut, and so sees what came before that.
        if self.broken.load(Ordering::Relaxed) {
            SubmitError::Broken(job)
        } else {
            SubmitError::ShutDown(job)
        }
    }

    pub(super) fn execute<F>(self: &Arc<Self>, job: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        let bare = Arc::new(Bare::new(self.admit(job)?));
        let inside: *const Bare<F> = Arc::as_ptr(&bare);
        let Err(PutError::Full(back) | PutError::ShutDown(back)) = self.enqueue(bare, true) else {
            return Ok(());
        };
        // SAFETY: the job came back, so it is in no queue and is this thread's, and it is alive as
        // long as `back` is.
        let job = unsafe { (*inside).take() };
        drop(back);
        job.map_or(Ok(()), |job| Err(self.closed(job)))
    }

    pub(super) fn submit<F, R>(
        self: &Arc<Self>,
        job: F,
        wait: bool,
    ) -> Result<Arc<dyn Outcome<R>>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let job = self.admit(job)?;
        let job = Arc::new(Job::new(self.number, job));
        if let Err(why) = self.enqueue(Arc::clone(&job) as QueuedJob, wait)
            && let Some(error) = self.refuse(&job, why.is_full())
        {
            return Err(error);
        }
        Ok(job)
    }

    pub(super) fn describe(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        f.debug_struct(name)
            .field("name_prefix", &self.prefix)
            // Relaxed: as in `staff`.
            .field("workers", &self.started.load(Ordering::Relaxed))
            .field("max_workers", &self.max_workers)
            .field("backlog", &self.jobs.len())
            .field("shutdown", &self.jobs.is_shutdown())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.describe(f, "Inner")
    }
}
