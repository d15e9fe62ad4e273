//! A pool of threads that run jobs.
//!
//! The backlog is a [`Queue`](crate::Queue) of jobs. Each job is one allocation that holds the
//! closure, then the result, and the word that its handle waits on ([`job`]). Threads are started
//! as there is work for them: a thread that submits a job while all existing threads have a job
//! starts another thread, up to the limit. The number of unfinished jobs is counted by the queue
//! anyway.

use core::fmt;
use core::future::Future;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::atomic::Ordering;
use sync_core::{CancelToken, Mutex};

mod backlog;
mod builder;
mod cancel;
mod error;
mod executor;
mod handle;
mod job;
mod map;
mod queued;
mod scope;
mod worker;

pub use builder::Builder;
pub use error::{BuildError, InsideWorker, JobError, SubmitError};
pub use handle::{
    AsCompleted, JobFuture, JobHandle, Unfinished, Until, Waited, as_completed, wait, wait_async,
    wait_or_cancelled,
};
pub use job::JobStatus;
pub use map::{Map, MapAhead};
pub use scope::Scope;
use worker::{How, Inner, current_pool};

use crate::pool::backlog::DEFAULT_PRIORITY;
use crate::pool::job::NOTIFIED;
use crate::wait::timeout::Timeout;

/// A pool of threads that run jobs: Python's `ThreadPoolExecutor`.
///
/// Threads are started when there is work for them, up to the limit, and reused: while a job waits
/// and fewer threads than the limit are free, another one is started. A job that panics harms no
/// other job: the panic comes out of its [`JobHandle`]. Dropping the pool waits for all that was
/// submitted, as leaving Python's `with` block does. [`shutdown`](Self::shutdown) does it earlier,
/// or without waiting, or cancels the jobs that have not begun.
///
/// The backlog is a [`Queue`](crate::Queue): linearisable, no lock on the fast path, jobs begin in
/// the order in which they were submitted. Submitting costs one allocation, the put, and the
/// wake-up of a worker if one sleeps. In addition to the atomic operations of the put and the get,
/// a job costs 6 read-modify-writes (3 to count its two owners, 3 for its phase) and 1 store. By
/// [`execute`](Self::execute), without a handle, it costs 1. It costs one more as long as not all
/// workers are started, and one more for a handle that is dropped before its job is done. Each
/// worker adds 3 stores to a cache line of its own, for [`join`](Self::join) and
/// [`busy`](Self::busy).
///
/// # User code
///
/// Jobs, callbacks, initializers, and the destructors of closures, results and panic payloads run
/// inside a catch and under no lock. A panic there is reported by the panic hook; the panic of a
/// job comes out of its handle as well. A worker, and the thread that cancels or shuts down, goes
/// on.
///
/// A worker that waits without a limit of time for a pending job of its own pool runs that job: see
/// [`JobHandle::result`]. A worker that submits runs no other job in its place, and never waits for
/// a place in a limited backlog: a job may hold a lock while it submits.
///
/// # Tasks
///
/// A handle can be awaited, and so can [`wait_async`] and [`AsCompleted::next_async`]. A task runs
/// no pending job in its place.
///
/// # Fork
///
/// A pool does not go along with a `fork`: its threads stay with the parent. In the child it takes
/// no jobs ([`SubmitError::Forked`]); jobs that were not done have no result
/// ([`JobError::Forked`]); and shutting it down or dropping it returns at once.
///
/// Where the pool's own call of a job, a callback, an initializer or an exit hook, or its poll of a
/// future, forks and returns in the child, nothing else of the pool runs there: no other job,
/// callback or hook, and no further poll of that future. A worker's thread ends, and with it the
/// child, with the code 0. A thread that was in a call of the pool comes back from it: a wait and a
/// submit with `Forked`, a shutdown without having waited.
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

impl Builder {
    /// The pool. No thread is started yet.
    ///
    /// # Errors
    ///
    /// [`BuildError`] if no job could ever be submitted or run.
    pub fn build(self) -> Result<ThreadPool, BuildError> {
        Ok(ThreadPool { inner: Arc::new(self.into_inner()?) })
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

    /// Submits a job, waiting for a place if the backlog is limited. A worker of this very pool
    /// does not wait: its job is taken beyond the limit.
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
        self.inner.submit(job, How::PLAIN).map(JobHandle::new)
    }

    /// As [`submit`](Self::submit), with a priority: higher ones are begun first, and a job that is
    /// submitted otherwise has 0. The pool is built with [`Builder::by_priority`].
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    ///
    /// # Panics
    ///
    /// If the pool is not built so and `priority` is not 0.
    ///
    /// ```
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::builder().by_priority().build().unwrap();
    /// let urgent = pool.submit_with_priority(10, || "at once").unwrap();
    /// assert_eq!(urgent.result().unwrap(), "at once");
    /// ```
    #[track_caller]
    pub fn submit_with_priority<F, R>(
        &self,
        priority: i32,
        job: F,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.check_priority(priority);
        self.inner.submit(job, How { priority, ..How::PLAIN }).map(JobHandle::new)
    }

    #[track_caller]
    fn check_priority(&self, priority: i32) {
        assert!(
            priority == DEFAULT_PRIORITY || self.inner.jobs.is_by_priority(),
            "this pool has no priorities: build it with Builder::by_priority"
        );
    }

    /// As [`submit`](Self::submit); the job lapses when no thread has begun it within `limit`,
    /// counted from now: its closure is dropped, and its result is [`JobError::Lapsed`]. The worker
    /// that takes it from the backlog notices, so a wait for the job may last longer than `limit`.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_queue::{JobError, ThreadPool};
    ///
    /// let pool = ThreadPool::new(1);
    /// let late = pool.submit_within(Duration::ZERO, || unreachable!()).unwrap();
    /// assert!(matches!(late.result(), Err::<(), _>(JobError::Lapsed)));
    /// ```
    pub fn submit_within<F, R>(
        &self,
        limit: Duration,
        job: F,
    ) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        // A limit beyond the end of the clock is none.
        let lapses = Instant::now().checked_add(limit);
        self.inner.submit(job, How { lapses, ..How::PLAIN }).map(JobHandle::new)
    }

    /// Submits a job if there is a place in the backlog, by a worker too. Never sleeps.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the closure.
    pub fn try_submit<F, R>(&self, job: F) -> Result<JobHandle<R>, SubmitError<F>>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.inner.submit(job, How { wait: false, ..How::PLAIN }).map(JobHandle::new)
    }

    /// Submits a job without a handle: as [`submit`](Self::submit), without the cost of a handle. A
    /// panic in the job is reported by the panic hook; a shutdown that cancels drops the job.
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
        self.inner.execute(job, None)
    }

    /// Submits a future as a job; its handle is a future too. A worker polls it until it is ready,
    /// and sleeps meanwhile, as in [`block_on`](sync_core::task::block_on): it runs no other job,
    /// so futures that wait for each other need a worker each.
    ///
    /// # Errors
    ///
    /// [`SubmitError`] with the future.
    ///
    /// ```
    /// use sync_core::task::block_on;
    /// use sync_queue::{Queue, ThreadPool};
    /// use std::sync::Arc;
    ///
    /// let (pool, queue) = (ThreadPool::new(2), Arc::new(Queue::bounded(1)));
    /// let same = queue.clone();
    /// let sum = pool.spawn_future(async move {
    ///     let mut sum = 0;
    ///     while let Ok(n) = same.get_async().await {
    ///         sum += n;
    ///     }
    ///     sum
    /// });
    /// block_on(async {
    ///     for n in 1..=4 {
    ///         queue.put_async(n).await.unwrap();
    ///     }
    ///     queue.shutdown();
    ///     assert_eq!(sum.unwrap().await.unwrap(), 10);
    /// });
    /// ```
    pub fn spawn_future<F>(&self, future: F) -> Result<JobHandle<F::Output>, SubmitError<F>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.submit_future(future, None)
    }

    /// Submits `f(item)` for every item, at once; the results come in the order of the items.
    ///
    /// # Errors
    ///
    /// If the pool takes no more jobs. Jobs submitted before that are cancelled if no thread has
    /// begun them.
    pub fn map<I, F, R>(&self, items: I, f: F) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.map_before(items, f, None, None)
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
        self.map_before(items, f, Instant::now().checked_add(timeout), None)
    }

    /// As [`map_timeout`](Self::map_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`map`](Self::map).
    pub fn map_deadline<I, F, R>(
        &self,
        items: I,
        f: F,
        deadline: Instant,
    ) -> Result<Map<R>, SubmitError<()>>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        self.map_before(items, f, Some(deadline), None)
    }

    /// As [`map`](Self::map), with at most `ahead` jobs submitted whose results were not handed out
    /// yet: for items without end, or more of them than are to wait in memory. A call of `next`
    /// takes items and submits jobs, then waits for the result of the oldest one.
    ///
    /// A pool that takes no more jobs ends the iterator: its last result is
    /// [`JobError::Refused`].
    ///
    /// # Panics
    ///
    /// If `ahead` is 0.
    ///
    /// ```
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::new(4);
    /// let squares = pool.map_ahead(1_u64.., |n| n * n, 8).map(Result::unwrap);
    /// assert_eq!(squares.take_while(|square| *square < 50).last(), Some(49));
    /// ```
    #[track_caller]
    #[doc(alias = "buffersize")]
    pub fn map_ahead<I, F, R>(
        &self,
        items: I,
        f: F,
        ahead: usize,
    ) -> MapAhead<'_, I::IntoIter, F, R>
    where
        I: IntoIterator,
        I::Item: Send + 'static,
        F: Fn(I::Item) -> R + Send + Sync + 'static,
        R: Send + 'static,
    {
        assert!(ahead > 0, "a map that looks no job ahead makes no progress");
        MapAhead {
            pool: self,
            items: Some(items.into_iter()),
            f: Arc::new(f),
            ahead,
            handles: VecDeque::new(),
            refused: None,
            held: Mutex::new(None),
        }
    }

    /// Calls `f` with a scope, and waits for all jobs submitted to it before returning.
    ///
    /// # Panics
    ///
    /// If `f` panics, or, after `f`, with the first panic of a job.
    ///
    /// ```
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::new(2);
    /// let mut words = ["one", "two"].map(String::from);
    /// pool.scope(|scope| {
    ///     for word in &mut words {
    ///         scope.submit(|| word.make_ascii_uppercase()).unwrap();
    ///     }
    /// });
    /// assert_eq!(words, ["ONE", "TWO"]);
    /// ```
    pub fn scope<'env, R>(
        &'env self,
        f: impl for<'scope> FnOnce(&'scope Scope<'scope, 'env>) -> R,
    ) -> R {
        scope::scope(&self.inner, f)
    }

    /// Takes no more jobs. With `cancel_pending`, jobs that no thread has begun are cancelled;
    /// otherwise they are run. With `wait`, the call returns when all threads have ended, and with
    /// them every job that was accepted. Any number of threads may call it, at once or one after
    /// another, and each of them waits. In the child of a fork it does nothing, and does not wait:
    /// see [`ThreadPool`].
    ///
    /// # Errors
    ///
    /// [`InsideWorker`] if a worker of this pool calls it with `wait`: the pool is shut down, but the
    /// call has not waited.
    pub fn shutdown(&self, wait: bool, cancel_pending: bool) -> Result<(), InsideWorker> {
        if !self.inner.process.is_current() {
            return Ok(());
        }
        if cancel_pending {
            self.inner.give_up_pending(NOTIFIED);
        } else {
            self.inner.close();
        }
        // A callback may have forked: the child has no threads to wait for.
        if !wait || !self.inner.process.is_current() {
            return Ok(());
        }
        if current_pool() == self.inner.number {
            return Err(InsideWorker(()));
        }
        self.inner.join_threads();
        Ok(())
    }

    /// Waits until the pool is idle: every job that was accepted has ended, and no callback of one
    /// is left to run. The pool goes on. Jobs that are submitted meanwhile are waited for too.
    ///
    /// In the child of a fork it does not wait: see [`ThreadPool`].
    ///
    /// # Errors
    ///
    /// [`InsideWorker`] if a worker of this pool calls it: it would wait for its own job.
    ///
    /// # Memory ordering
    ///
    /// Everything that the jobs did happens before the end of this call.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    /// use std::sync::Arc;
    /// use sync_queue::ThreadPool;
    ///
    /// let (pool, sum) = (ThreadPool::new(4), Arc::new(AtomicU32::new(0)));
    /// for n in 1..=4 {
    ///     let sum = sum.clone();
    ///     pool.execute(move || drop(sum.fetch_add(n, Ordering::Relaxed))).unwrap();
    /// }
    /// pool.join().unwrap();
    /// assert_eq!(sum.load(Ordering::Relaxed), 10);
    /// ```
    pub fn join(&self) -> Result<(), InsideWorker> {
        self.join_before(Timeout::Forever).map(|_| ())
    }

    /// As [`join`](Self::join), waiting at most `timeout`. `Ok(false)`: the pool is not idle yet.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, InsideWorker> {
        self.join_before(Timeout::For(timeout))
    }

    /// As [`join`](Self::join), waiting until `deadline`. `Ok(false)`: the pool is not idle yet.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool, InsideWorker> {
        self.join_before(Timeout::Until(deadline))
    }

    /// As [`join`](Self::join), until the token is cancelled at most. `Ok(false)`: the token was
    /// cancelled while the pool was not idle.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_or_cancelled(&self, token: &CancelToken) -> Result<bool, InsideWorker> {
        match self.join_before(Timeout::None)? {
            true => Ok(true),
            false => Ok(token.block_on(self.inner.idle()).is_ok()),
        }
    }

    fn join_before(&self, timeout: Timeout) -> Result<bool, InsideWorker> {
        if !self.inner.process.is_current() {
            return Ok(true);
        }
        if current_pool() == self.inner.number {
            return Err(InsideWorker(()));
        }
        Ok(self.inner.join_idle(timeout))
    }

    /// Changes the maximum number of threads. If there is work for more of them, they are started
    /// here; those that are too many end when they have no job. The call does not wait for that.
    ///
    /// From the first call on each job costs one read-modify-write more.
    ///
    /// # Panics
    ///
    /// If `max_workers` is 0.
    ///
    /// ```
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::new(1);
    /// pool.resize(4);
    /// assert_eq!(pool.max_workers(), 4);
    /// ```
    #[track_caller]
    #[doc(alias = "set_num_threads")]
    pub fn resize(&self, max_workers: usize) {
        assert!(max_workers > 0, "{}", BuildError::NoWorkers);
        if self.inner.process.is_current() {
            self.inner.resize(max_workers);
        }
    }

    /// Returns whether the pool takes no more jobs.
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.inner.jobs.is_shutdown()
    }

    /// Returns whether an initializer panicked.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        // Relaxed: a flag that is never cleared; no data is published through it.
        self.inner.broken.load(Ordering::Relaxed)
    }

    /// Returns the number of threads that were started and have not ended for want of work.
    #[must_use]
    pub fn workers(&self) -> usize {
        // Relaxed: a snapshot; no data is read because of it.
        self.inner.started.load(Ordering::Relaxed)
    }

    /// Returns the maximum number of threads.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        // Relaxed: a number that stands for itself.
        self.inner.max_workers.load(Ordering::Relaxed)
    }

    /// Returns the number of workers that run a job at the moment.
    #[must_use]
    #[doc(alias = "active_count")]
    pub fn busy(&self) -> usize {
        if self.inner.process.is_current() { self.inner.busy() } else { 0 }
    }

    /// Returns the number of jobs that wait for a worker at the moment. A job that was cancelled
    /// counts until a worker has taken it.
    #[must_use]
    pub fn backlog(&self) -> usize {
        self.inner.jobs.len()
    }
}

// A panic of a job, a callback or an initializer is caught; what it leaves behind is what the job
// itself shares with others.
impl UnwindSafe for ThreadPool {}
impl RefUnwindSafe for ThreadPool {}

impl Drop for ThreadPool {
    /// Waits for all that was submitted. If the last owner of a pool is one of its own jobs, that
    /// does not wait.
    fn drop(&mut self) {
        let _ = self.shutdown(true, false);
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.describe(f, "ThreadPool")
    }
}
