//! A pool of threads that run jobs.
//!
//! The backlog is a [`Queue`] of jobs; each job is one allocation that holds the closure, then the
//! result, and the word that its handle waits on ([`packet`]). Threads are started as there is work
//! for them: whoever submits a job while all threads that exist have one starts another, up to the
//! limit. How many jobs are unfinished is what the queue counts anyway.

use core::cell::Cell;
use core::error::Error;
use core::fmt;
use core::time::Duration;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicBool, AtomicUsize, Ordering};
use sync_core::primitive::thread::{self, JoinHandle};

use crate::{PutError, Queue};

mod fork;
mod handle;
mod packet;
mod scope;

pub use handle::{
    AsCompleted, JobError, JobHandle, JobStatus, Map, Unfinished, Until, Waited, as_completed, wait,
};
use packet::{Bare, Packet, Run};
pub use scope::Scope;

thread::thread_local! {
    /// The number of the pool whose worker this thread is, or 0.
    static CURRENT: Cell<u64> = in_no_pool();
}

/// Not a `const` block: loom's macro takes none.
fn in_no_pool() -> Cell<u64> {
    Cell::new(0)
}

fn current_pool() -> u64 {
    CURRENT.with(Cell::get)
}

type Job = Arc<dyn Run>;

struct Inner {
    /// Never 0, never used again.
    number: u64,
    jobs: Queue<Job>,
    max_workers: usize,
    /// How many threads were started, or are about to be.
    started: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    prefix: String,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    /// An initializer panicked.
    broken: AtomicBool,
}

/// A pool of threads that run jobs: Python's `ThreadPoolExecutor`.
///
/// Threads are started when there is work for them, up to the limit, and reused. A job that panics
/// harms nobody: the panic comes out of its [`JobHandle`]. Dropping the pool waits for all that was
/// submitted, as leaving Python's `with` block does; [`shutdown`](Self::shutdown) does it earlier,
/// or without waiting, or cancelling what has not begun.
///
/// The backlog is a [`Queue`]: linearisable, no lock on the fast path, jobs begin in the order they
/// were submitted. To submit costs one allocation, the put, and the wake-up of a worker if one
/// sleeps. Beside the put's and the get's atomic operations a job costs 6 read-modify-writes (3 to
/// count its two owners, 2 for its phase, 1 for the handle that goes) and 1 store; by
/// [`execute`](Self::execute), without a handle, 1. One more as long as not all workers are
/// started.
///
/// A pool does not go along with a `fork`: its threads stay with the parent. In the child it takes
/// no jobs ([`SubmitError::Forked`]); jobs that were not done have no result
/// ([`JobError::Forked`]); shutting it down or dropping it returns at once; and a job that forks
/// ends its thread, and with it the child, if it returns there.
///
/// ```
/// use sync_queue::ThreadPool;
///
/// let pool = ThreadPool::new(4);
/// let answer = pool.submit(|| 6 * 7).unwrap();
/// let squares: Vec<u32> = pool.map(1..=4, |n| n * n).unwrap().map(Result::unwrap).collect();
/// assert_eq!(squares, [1, 4, 9, 16]);
/// assert_eq!(answer.result().unwrap(), 42);
///
/// let failed = pool.submit(|| panic!("no answer")).unwrap().result().unwrap_err();
/// assert_eq!(failed.message(), Some("no answer"));
/// ```
#[doc(alias = "ThreadPoolExecutor")]
pub struct ThreadPool {
    inner: Arc<Inner>,
}

/// How a [`ThreadPool`] is to be. From [`ThreadPool::builder`].
#[must_use = "it does nothing until it is built"]
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    queue_limit: Option<usize>,
}

/// Why there is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// `max_workers` is 0: nobody would ever run a job.
    NoWorkers,
    /// `queue_limit` is 0: no job could ever be submitted.
    NoBacklog,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWorkers => "max_workers must be at least 1",
            Self::NoBacklog => "queue_limit must be at least 1",
        })
    }
}

impl Error for BuildError {}

/// Why a job was not submitted. The closure is inside.
pub enum SubmitError<F> {
    /// The pool has been shut down.
    ShutDown(F),
    /// The backlog is full (only from `try_submit`).
    Full(F),
    /// An initializer panicked: the pool runs nothing any more.
    Broken(F),
    /// This process is the child of a fork, and the pool's threads stayed with the parent.
    Forked(F),
    /// The system gave us no thread, and there is none yet that could run the job.
    NoThread(F, io::Error),
}

impl<F> SubmitError<F> {
    /// The closure.
    #[must_use]
    pub fn into_inner(self) -> F {
        match self {
            Self::ShutDown(job)
            | Self::Full(job)
            | Self::Broken(job)
            | Self::Forked(job)
            | Self::NoThread(job, _) => job,
        }
    }
}

impl<F> fmt::Debug for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown(_) => f.write_str("ShutDown(..)"),
            Self::Full(_) => f.write_str("Full(..)"),
            Self::Broken(_) => f.write_str("Broken(..)"),
            Self::Forked(_) => f.write_str("Forked(..)"),
            Self::NoThread(_, why) => f.debug_tuple("NoThread").field(why).finish_non_exhaustive(),
        }
    }
}

impl<F> fmt::Display for SubmitError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown(_) => f.write_str("the pool has been shut down"),
            Self::Full(_) => f.write_str("the backlog of the pool is full"),
            Self::Broken(_) => f.write_str("the pool is broken: an initializer panicked"),
            Self::Forked(_) => f.write_str(
                "the pool was left behind by a fork: its threads are in the parent process",
            ),
            Self::NoThread(_, why) => write!(f, "the pool could not start a thread: {why}"),
        }
    }
}

impl<F> Error for SubmitError<F> {}

/// The pool was shut down, but a worker of it cannot wait for its own end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsideWorker(());

impl fmt::Display for InsideWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a worker cannot wait for its own pool to end; the pool is shut down all the same",
        )
    }
}

impl Error for InsideWorker {}

impl Builder {
    /// How many threads there may be. Default: four more than processors, 32 at most, as in Python.
    pub fn max_workers(mut self, max: usize) -> Self {
        self.max_workers = Some(max);
        self
    }

    /// What the threads' names begin with; `_0`, `_1` and so on follow. Default: `ThreadPool-N`,
    /// `N` counting pools.
    #[doc(alias = "thread_name_prefix")]
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// What each thread does before its first job. If it panics the pool is broken: pending jobs
    /// fail, and no more are taken.
    pub fn initializer(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(f));
        self
    }

    /// How many jobs may wait for a worker: `submit` waits while there are more. Default: no limit.
    pub fn queue_limit(mut self, limit: usize) -> Self {
        self.queue_limit = Some(limit);
        self
    }

    /// The pool. No thread is started yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if no job could ever be submitted or run.
    pub fn build(self) -> Result<ThreadPool, BuildError> {
        let default = || {
            std::thread::available_parallelism().map_or(1, usize::from).saturating_add(4).min(32)
        };
        let max_workers = self.max_workers.unwrap_or_else(default);
        if max_workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        let jobs = match self.queue_limit {
            None => Queue::unbounded(),
            Some(0) => return Err(BuildError::NoBacklog),
            Some(limit) => Queue::bounded(limit),
        };
        let number = fork::next_number();
        let inner = Inner {
            number,
            jobs,
            max_workers,
            started: AtomicUsize::new(0),
            threads: Mutex::new(Vec::new()),
            prefix: self.prefix.unwrap_or_else(|| format!("ThreadPool-{number}")),
            initializer: self.initializer,
            broken: AtomicBool::new(false),
        };
        Ok(ThreadPool { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("max_workers", &self.max_workers)
            .field("name_prefix", &self.prefix)
            .field("queue_limit", &self.queue_limit)
            .finish_non_exhaustive()
    }
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
    fn refuse<F, R>(&self, packet: &Packet<F, R>, full: bool) -> Option<SubmitError<F>> {
        let job = packet.take_back()?;
        Some(if full { SubmitError::Full(job) } else { self.closed(job) })
    }

    /// Puts a job into the queue. A worker does not wait for room in its own pool's backlog, which
    /// it alone might make: it runs a job.
    fn enqueue(&self, job: Job, wait: bool) -> Result<(), PutError<Job>> {
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

    fn execute<F>(self: &Arc<Self>, job: F) -> Result<(), SubmitError<F>>
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

    fn submit<F, R>(self: &Arc<Self>, job: F, wait: bool) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        let job = self.admit(job)?;
        let packet = Arc::new(Packet::new(self.number, job));
        if let Err(why) = self.enqueue(Arc::clone(&packet) as Job, wait)
            && let Some(error) = self.refuse(&packet, why.is_full())
        {
            return Err(error);
        }
        Ok(JobHandle { job: packet })
    }
}

impl ThreadPool {
    /// A pool of at most `max_workers` threads.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    #[must_use]
    #[track_caller]
    pub fn new(max_workers: usize) -> Self {
        match Self::builder().max_workers(max_workers).build() {
            Ok(pool) => pool,
            Err(why) => panic!("{why}"),
        }
    }

    /// For a pool with a name prefix, an initializer, a limited backlog.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Submits a job, waiting for room if the backlog is limited. (A worker of this very pool runs
    /// another job instead of waiting.)
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    #[inline]
    pub fn submit<F, R>(&self, job: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner.submit(job, true)
    }

    /// Submits a job if there is room in the backlog. Never sleeps.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    pub fn try_submit<F, R>(&self, job: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner.submit(job, false)
    }

    /// Has a job run of which nobody wants to hear again: as [`submit`](Self::submit), cheaper by
    /// all that a handle takes. A panic in it is reported by the panic hook; a shutdown that
    /// cancels drops it.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    ///
    /// ```
    /// use sync_queue::{SimpleQueue, ThreadPool};
    /// use std::sync::Arc;
    ///
    /// let (pool, answers) = (ThreadPool::new(2), Arc::new(SimpleQueue::new()));
    /// let there = Arc::clone(&answers);
    /// pool.execute(move || there.put(42)).unwrap();
    /// assert_eq!(answers.get(), 42);
    /// ```
    #[inline]
    pub fn execute<F>(&self, job: F) -> Result<(), SubmitError<F>>
    where
        F: FnOnce() + Send + 'static,
    {
        self.inner.execute(job)
    }

    /// Submits `f(item)` for every item, at once; the results come in the order of the items.
    ///
    /// # Errors
    ///
    /// If the pool takes no more jobs. What was submitted before that is cancelled if nobody has
    /// begun it.
    pub fn map<I, F, R>(&self, items: I, f: F) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.map_before(items, f, None)
    }

    /// As [`map`](Self::map). A result that is not there when `timeout`, counted from now, is over,
    /// is a [`JobError::TimedOut`].
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn map_timeout<I, F, R>(
        &self,
        items: I,
        f: F,
        timeout: Duration,
    ) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.map_before(items, f, Instant::now().checked_add(timeout))
    }

    fn map_before<I, F, R>(
        &self,
        items: I,
        f: F,
        deadline: Option<Instant>,
    ) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        let f = Arc::new(f);
        let mut handles = Vec::new();
        for item in items {
            let f = Arc::clone(&f);
            match self.submit(move || f(item)) {
                Ok(handle) => handles.push(handle),
                Err(why) => {
                    drop(Map { handles: handles.into_iter(), deadline, begun: true });
                    return Err(match why {
                        SubmitError::ShutDown(_) => SubmitError::ShutDown(()),
                        SubmitError::Full(_) => SubmitError::Full(()),
                        SubmitError::Broken(_) => SubmitError::Broken(()),
                        SubmitError::Forked(_) => SubmitError::Forked(()),
                        SubmitError::NoThread(_, why) => SubmitError::NoThread((), why),
                    });
                }
            }
        }
        Ok(Map { handles: handles.into_iter(), deadline, begun: false })
    }

    /// Takes no more jobs. `cancel_pending`: those that nobody has begun are cancelled, else they
    /// are run. `wait`: until all threads have ended. Calling it again is no error. In the child of
    /// a fork it does nothing, and waits for nobody: see [`ThreadPool`].
    ///
    /// # Errors
    ///
    /// [`InsideWorker`] if a worker of this pool is told to wait: the pool is shut down, but it has
    /// not waited.
    pub fn shutdown(&self, wait: bool, cancel_pending: bool) -> Result<(), InsideWorker> {
        if fork::left_behind(self.inner.number) {
            return Ok(());
        }
        if cancel_pending {
            for job in self.inner.jobs.shutdown_now() {
                job.cancel();
                job.notify_cancelled();
            }
        } else {
            self.inner.jobs.shutdown();
        }
        if !wait {
            return Ok(());
        }
        if current_pool() == self.inner.number {
            return Err(InsideWorker(()));
        }
        loop {
            // One at a time, and not under the lock: others may wait too, and a submit that is in
            // time may add one.
            let Some(thread) = self.inner.threads.lock().pop() else { return Ok(()) };
            // A worker does not panic.
            let _ = thread.join();
        }
    }

    /// Whether it takes no more jobs.
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.inner.jobs.is_shutdown()
    }

    /// Whether an initializer panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        // Relaxed: a flag that stays, and hands nothing over.
        self.inner.broken.load(Ordering::Relaxed)
    }

    /// How many threads were started so far.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.started.load(Ordering::Relaxed)
    }

    /// How many threads there may be.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.inner.max_workers
    }

    /// How many jobs wait for a worker at the moment.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.inner.jobs.len()
    }
}

impl Drop for ThreadPool {
    /// Waits for all that was submitted. If the last owner of a pool is one of its own jobs, that
    /// does not wait.
    fn drop(&mut self) {
        let _ = self.shutdown(true, false);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPool")
            .field("name_prefix", &self.inner.prefix)
            .field("workers", &self.workers())
            .field("max_workers", &self.max_workers())
            .field("backlog", &self.backlog())
            .field("shutdown", &self.is_shutdown())
            .finish_non_exhaustive()
    }
}
