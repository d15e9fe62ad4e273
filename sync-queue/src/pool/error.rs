//! The errors of a pool and of its jobs.

use core::any::Any;
use core::error::Error;
use core::fmt;
use std::io;

use sync_core::user_code;

/// The reason why there is no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// `max_workers` is 0: no thread would ever run a job.
    NoWorkers,
    /// `queue_limit` is 0: no job could ever be submitted.
    NoBacklog,
    /// `name_prefix` has a zero byte in it: no thread could be given that name.
    BadName,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoWorkers => "max_workers must be at least 1",
            Self::NoBacklog => "queue_limit must be at least 1",
            Self::BadName => "name_prefix must not contain a zero byte",
        })
    }
}

impl Error for BuildError {}

/// The reason why a job was not submitted. The closure is inside.
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

impl<F> SubmitError<F> {
    /// The same error without the closure, which is dropped.
    pub(super) fn without_job(self) -> SubmitError<()> {
        self.map(user_code::dispose)
    }

    /// The same error with what `f` makes of the closure.
    pub(super) fn map<G>(self, f: impl FnOnce(F) -> G) -> SubmitError<G> {
        match self {
            Self::ShutDown(job) => SubmitError::ShutDown(f(job)),
            Self::Full(job) => SubmitError::Full(f(job)),
            Self::Broken(job) => SubmitError::Broken(f(job)),
            Self::Forked(job) => SubmitError::Forked(f(job)),
            Self::NoThread(job, why) => SubmitError::NoThread(f(job), why),
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

/// A worker cannot wait for its own end, nor for the end of its own job. A pool that was to be shut
/// down is shut down all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InsideWorker(pub(super) ());

impl fmt::Display for InsideWorker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a worker cannot wait for its own pool; a shutdown takes place all the same")
    }
}

impl Error for InsideWorker {}

/// The reason why a job has no result.
pub enum JobError {
    /// It panicked, with this payload. To go on panicking: [`std::panic::resume_unwind`].
    Panicked(Box<dyn Any + Send>),
    /// It was cancelled before a thread began it.
    Cancelled,
    /// It was never run: the initializer of a worker of its pool panicked.
    Broken,
    /// It was never run: no thread began it within the time that it was submitted for
    /// ([`submit_within`](crate::ThreadPool::submit_within)).
    Lapsed,
    /// It was never submitted: the pool took no more jobs in the middle of a
    /// [`map_ahead`](crate::ThreadPool::map_ahead).
    Refused(SubmitError<()>),
    /// It was not done when this process was forked: the pool's threads stayed with the parent.
    Forked,
    /// It is the job that asks for the result, or it waits, on the same thread, for the job that
    /// asks.
    Deadlock,
    /// It was not done in time.
    TimedOut,
}

impl JobError {
    /// The text that the job panicked with, if it was a text.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        let Self::Panicked(payload) = self else { return None };
        user_code::text(&**payload)
    }
}

impl fmt::Debug for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(_) => {
                f.debug_tuple("Panicked").field(&self.message().unwrap_or("..")).finish()
            }
            Self::Cancelled => f.write_str("Cancelled"),
            Self::Broken => f.write_str("Broken"),
            Self::Lapsed => f.write_str("Lapsed"),
            Self::Refused(why) => f.debug_tuple("Refused").field(why).finish(),
            Self::Forked => f.write_str("Forked"),
            Self::Deadlock => f.write_str("Deadlock"),
            Self::TimedOut => f.write_str("TimedOut"),
        }
    }
}

impl fmt::Display for JobError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.message()) {
            (Self::Panicked(_), Some(message)) => write!(f, "the job panicked: {message}"),
            (Self::Panicked(_), None) => f.write_str("the job panicked"),
            (Self::Cancelled, _) => f.write_str("the job was cancelled"),
            (Self::Broken, _) => f.write_str("the pool is broken: an initializer panicked"),
            (Self::Lapsed, _) => f.write_str("no thread began the job in time"),
            (Self::Refused(why), _) => write!(f, "the job was not submitted: {why}"),
            (Self::Forked, _) => f.write_str(
                "the job was left behind by a fork: its thread is in the parent process",
            ),
            (Self::Deadlock, _) => f.write_str("the job waits for itself"),
            (Self::TimedOut, _) => f.write_str("the job was not done in time"),
        }
    }
}

impl Error for JobError {}
