//! The jobs of a pool that wait for a worker: first in first out, or by priority.

use core::cmp::Ordering;
use core::time::Duration;

use crate::pool::queued::Queued;
use crate::queue::error::{GetError, PutError, ShutDown};
use crate::queue::fifo::Queue;
use crate::queue::priority::PriorityQueue;

/// The priority of a job that is submitted without one.
pub(super) const DEFAULT_PRIORITY: i32 = 0;

/// A job and its priority: the highest is the least, so that it comes first.
pub(super) struct Ranked(i32, Queued);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.cmp(&self.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Ranked {}

/// Without a limit of its own: see `Inner::places`.
#[allow(clippy::large_enum_variant, reason = "a pool has one, behind an `Arc`")]
pub(super) enum Backlog {
    Fifo(Queue<Queued>),
    ByPriority(PriorityQueue<Ranked>),
}

macro_rules! either {
    ($self:ident, $queue:ident => $what:expr) => {
        match $self {
            Backlog::Fifo($queue) => $what,
            Backlog::ByPriority($queue) => $what,
        }
    };
}

impl Backlog {
    pub(super) fn new(by_priority: bool) -> Self {
        if by_priority {
            Self::ByPriority(PriorityQueue::unbounded())
        } else {
            Self::Fifo(Queue::unbounded())
        }
    }

    pub(super) fn is_by_priority(&self) -> bool {
        matches!(self, Self::ByPriority(_))
    }

    #[inline]
    pub(super) fn put(&self, priority: i32, job: Queued) -> Result<(), PutError<Queued>> {
        match self {
            Self::Fifo(queue) => queue.put(job).map_err(PutError::from),
            Self::ByPriority(queue) => queue
                .put(Ranked(priority, job))
                .map_err(|ShutDown(Ranked(_, job))| PutError::ShutDown(job)),
        }
    }

    #[inline]
    pub(super) fn try_get(&self) -> Result<Queued, GetError> {
        match self {
            Self::Fifo(queue) => queue.try_get(),
            Self::ByPriority(queue) => queue.try_get().map(|Ranked(_, job)| job),
        }
    }

    pub(super) fn get(&self) -> Result<Queued, ShutDown> {
        match self {
            Self::Fifo(queue) => queue.get(),
            Self::ByPriority(queue) => queue.get().map(|Ranked(_, job)| job),
        }
    }

    pub(super) fn get_timeout(&self, timeout: Duration) -> Result<Queued, GetError> {
        match self {
            Self::Fifo(queue) => queue.get_timeout(timeout),
            Self::ByPriority(queue) => queue.get_timeout(timeout).map(|Ranked(_, job)| job),
        }
    }

    /// Counts a job as done: as many as were put, so it does not fail.
    #[inline]
    pub(super) fn task_done(&self) {
        let _ = either!(self, queue => queue.task_done());
    }

    #[inline]
    pub(super) fn unfinished(&self) -> u64 {
        either!(self, queue => queue.unfinished())
    }

    /// Returns the number of jobs that were put so far.
    pub(super) fn pushed(&self) -> u64 {
        either!(self, queue => queue.pushed())
    }

    pub(super) fn len(&self) -> usize {
        either!(self, queue => queue.len())
    }

    #[inline]
    pub(super) fn is_shutdown(&self) -> bool {
        either!(self, queue => queue.is_shutdown())
    }

    pub(super) fn shutdown(&self) {
        either!(self, queue => queue.shutdown());
    }

    pub(super) fn shutdown_now(&self) -> Vec<Queued> {
        match self {
            Self::Fifo(queue) => queue.shutdown_now(),
            Self::ByPriority(queue) => {
                queue.shutdown_now().into_iter().map(|Ranked(_, job)| job).collect()
            }
        }
    }
}
