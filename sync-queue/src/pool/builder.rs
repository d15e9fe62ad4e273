//! The configuration of a pool.

use core::fmt;
use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::sync::Arc;

use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use sync_core::{Condvar, Mutex, Semaphore};

use crate::pool::backlog::Backlog;
use crate::pool::error::BuildError;
use crate::pool::worker::{Hook, Inner, Namer, Threads};
use crate::wait::event_count::EventCount;

/// Configures a [`ThreadPool`](crate::ThreadPool). From
/// [`ThreadPool::builder`](crate::ThreadPool::builder).
#[must_use = "it does nothing until it is built"]
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    namer: Option<Namer>,
    initializer: Option<Hook>,
    exit_hook: Option<Hook>,
    queue_limit: Option<usize>,
    stack_size: Option<usize>,
    idle_timeout: Option<Duration>,
    by_priority: bool,
}

impl Builder {
    /// Sets the maximum number of threads. Default: four more than processors, 32 at most, as in
    /// Python.
    pub fn max_workers(mut self, max: usize) -> Self {
        self.max_workers = Some(max);
        self
    }

    /// Sets the prefix of the threads' names; `_0`, `_1` and so on follow it. Default:
    /// `ThreadPool-N`, `N` counting pools. A prefix with a zero byte in it is an error of
    /// [`build`](Self::build).
    #[doc(alias = "thread_name_prefix")]
    pub fn name_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the function that names each thread, called with 0, 1 and so on before a thread is
    /// started. A number may be left out. It takes the place of
    /// [`name_prefix`](Self::name_prefix), except if it panics; zero bytes are left out of the name.
    pub fn thread_name(mut self, f: impl Fn(usize) -> String + Send + Sync + 'static) -> Self {
        self.namer = Some(Box::new(f));
        self
    }

    /// Sets the function that each thread calls before its first job. If it panics, the pool is
    /// broken: pending jobs fail, and no more are taken.
    pub fn initializer(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.initializer = Some(Box::new(f));
        self
    }

    /// Sets the function that each thread calls after its last job, as long as the pool's
    /// [`initializer`](Self::initializer) did not panic there. A panic of it is reported by the
    /// panic hook.
    ///
    /// A shutdown that waits, and dropping the pool, wait for it.
    pub fn exit_hook(mut self, f: impl Fn() + Send + Sync + 'static) -> Self {
        self.exit_hook = Some(Box::new(f));
        self
    }

    /// Sets the time after which a thread that has found no job ends; another one is started when
    /// there is work for it. The last thread stays: it takes the job that comes next. Default:
    /// threads stay.
    ///
    /// Each job costs one read-modify-write more, and each submit a fence.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_queue::ThreadPool;
    ///
    /// let pool = ThreadPool::builder().idle_timeout(Duration::from_secs(10)).build().unwrap();
    /// pool.execute(|| ()).unwrap();
    /// ```
    #[doc(alias = "keep_alive")]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// Orders the backlog by priority, the highest first, and among equals in the order of
    /// submission: see [`submit_with_priority`](crate::ThreadPool::submit_with_priority). The
    /// backlog is a [`PriorityQueue`](crate::PriorityQueue) then, which takes a lock for each put
    /// and get. A job of low priority waits as long as others come before it.
    pub fn by_priority(mut self) -> Self {
        self.by_priority = true;
        self
    }

    /// Sets the number of jobs that may wait for a worker: `submit` waits for a place while that
    /// many wait. Default: no limit; a limit of more than 536 million is none.
    ///
    /// A worker of the pool does not wait for a place, which it alone might make: the jobs that
    /// jobs submit are taken beyond the limit. ([`try_submit`](crate::ThreadPool::try_submit)
    /// keeps to it.)
    pub fn queue_limit(mut self, limit: usize) -> Self {
        self.queue_limit = Some(limit);
        self
    }

    /// Sets the stack size of each thread, in bytes. Default: the system's.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Puts the parts of the pool together.
    pub(super) fn into_inner(self) -> Result<Inner, BuildError> {
        /// The number of the next pool. Not a modelled atomic: it is no part of any algorithm.
        static NEXT: AtomicU64 = AtomicU64::new(1);

        let default = || {
            std::thread::available_parallelism().map_or(1, usize::from).saturating_add(4).min(32)
        };
        let max_workers = self.max_workers.unwrap_or_else(default);
        if max_workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if self.queue_limit == Some(0) {
            return Err(BuildError::NoBacklog);
        }
        if self.prefix.as_ref().is_some_and(|prefix| prefix.contains('\0')) {
            return Err(BuildError::BadName);
        }
        // A backlog of more than `MAX_PERMITS` jobs has no limit that it could reach.
        let limit = self.queue_limit.and_then(|limit| u32::try_from(limit).ok());
        let limit = limit.filter(|limit| *limit <= Semaphore::MAX_PERMITS);
        // Relaxed: only distinctness is asked for.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Inner {
            number,
            process: ProcessMark::current(),
            jobs: Backlog::new(self.by_priority),
            places: limit.map(|limit| Arc::new(Semaphore::new(limit))),
            max_workers: AtomicUsize::new(max_workers),
            started: AtomicUsize::new(0),
            may_shrink: AtomicBool::new(self.idle_timeout.is_some()),
            threads: Mutex::new(Threads::new()),
            joined: Condvar::new(),
            idlers: EventCount::new(),
            has_idlers: AtomicU32::new(0),
            idle_timeout: self.idle_timeout,
            prefix: self.prefix.unwrap_or_else(|| format!("ThreadPool-{number}")),
            namer: self.namer,
            next_name: core::sync::atomic::AtomicUsize::new(0),
            stack_size: self.stack_size,
            initializer: self.initializer,
            exit_hook: self.exit_hook,
            broken: AtomicBool::new(false),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("max_workers", &self.max_workers)
            .field("name_prefix", &self.prefix)
            .field("queue_limit", &self.queue_limit)
            .field("stack_size", &self.stack_size)
            .field("idle_timeout", &self.idle_timeout)
            .field("by_priority", &self.by_priority)
            .finish_non_exhaustive()
    }
}
