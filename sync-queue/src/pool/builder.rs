//! How a pool is configured.

use core::fmt;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicBool, AtomicUsize};

use crate::pool::error::BuildError;
use crate::pool::fork;
use crate::pool::worker::Inner;
use crate::queue::fifo::Queue;

/// How a [`ThreadPool`] is to be. From [`ThreadPool::builder`].
#[must_use = "it does nothing until it is built"]
#[derive(Default)]
pub struct Builder {
    max_workers: Option<usize>,
    prefix: Option<String>,
    initializer: Option<Box<dyn Fn() + Send + Sync>>,
    queue_limit: Option<usize>,
}

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

    /// The parts of the pool, put together.
    pub(super) fn into_inner(self) -> Result<Inner, BuildError> {
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
        Ok(inner)
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
