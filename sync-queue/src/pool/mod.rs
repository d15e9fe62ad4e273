//! A pool of threads that run jobs.
//!
//! The backlog is a [`Queue`](crate::Queue) of jobs. Each job is one allocation that holds the
//! closure, then the result, and the word that its handle waits on ([`job`]). Threads are started
//! as there is work for them: a thread that submits a job while all existing threads have a job
//! starts another thread, up to the limit. The number of unfinished jobs is counted by the queue
//! anyway.

use core::fmt;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::atomic::Ordering;

mod builder;
mod error;
mod executor;
mod handle;
mod job;
mod scope;
mod worker;

pub use builder::Builder;
pub use error::{BuildError, InsideWorker, JobError, SubmitError};
pub use handle::{AsCompleted, JobHandle, Map, Unfinished, Until, Waited, as_completed, wait};
pub use job::JobStatus;
pub use scope::Scope;
use worker::{Inner, current_pool};

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
/// workers are started, and one more for a handle that is dropped before its job is done.
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
/// # Fork
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
        self.inner.submit(job, true).map(JobHandle::new)
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
        self.inner.submit(job, false).map(JobHandle::new)
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
        self.inner.execute(job)
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
                    return Err(why.without_job());
                }
            }
        }
        Ok(Map { handles: handles.into_iter(), deadline, begun: false })
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
            for job in self.inner.close_and_drain() {
                job.cancel();
            }
        } else {
            self.inner.close();
        }
        if !wait {
            return Ok(());
        }
        if current_pool() == self.inner.number {
            return Err(InsideWorker(()));
        }
        self.inner.join_threads();
        Ok(())
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

    /// Returns the number of threads started so far.
    #[must_use]
    pub fn workers(&self) -> usize {
        self.inner.started.load(Ordering::Relaxed)
    }

    /// Returns the maximum number of threads.
    #[must_use]
    pub fn max_workers(&self) -> usize {
        self.inner.max_workers
    }

    /// Returns the number of jobs that wait for a worker at the moment.
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
