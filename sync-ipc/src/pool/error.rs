//! The errors of a pool of processes, and the state of a job.

use core::fmt;

use crate::process::SpawnError;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// No worker has begun it.
    Pending,
    /// A worker runs it.
    Running,
    /// It was cancelled before a worker began it.
    Cancelled,
    /// The worker has run it.
    Returned,
    /// The function panicked.
    Panicked,
    /// It was not run to its end.
    Failed,
}

impl JobStatus {
    pub(super) fn is_end(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }
}

/// Why a job was not submitted.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SubmitError {
    /// The pool was closed or terminated.
    Closed,
    /// The backlog is full (only from [`Pool::try_submit`](super::Pool::try_submit)).
    Full,
    /// The pool is broken: why.
    Broken(String),
    /// No [`entry!`](crate::entry) registers this function.
    NotRegistered(&'static str),
    /// The arguments cannot be passed on.
    BadArguments(String),
    /// A chunk size of zero.
    NoChunk,
    /// This process is the child of a fork, and the pool stayed with the parent.
    Forked,
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the pool was closed or terminated"),
            Self::Full => f.write_str("the backlog of the pool is full"),
            Self::Broken(why) => write!(f, "the pool is broken: {why}"),
            Self::NotRegistered(name) => {
                write!(f, "`{name}` is no entry point: register it with `sync_ipc::entry!`")
            }
            Self::BadArguments(why) => write!(f, "the arguments cannot be passed on: {why}"),
            Self::NoChunk => f.write_str("the chunk size must be at least 1"),
            Self::Forked => f.write_str("the pool was left behind by a fork"),
        }
    }
}

impl std::error::Error for SubmitError {}

/// Why there is no pool.
#[derive(Debug)]
#[non_exhaustive]
pub enum BuildError {
    /// No worker would ever run a job.
    NoWorkers,
    /// No job could ever be submitted.
    NoBacklog,
    /// The initializer cannot be used.
    Initializer(SubmitError),
    /// A worker could not be started.
    Spawn(SpawnError),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoWorkers => f.write_str("the number of workers must be at least 1"),
            Self::NoBacklog => f.write_str("the limit of the backlog must be at least 1"),
            Self::Initializer(error) => write!(f, "the initializer: {error}"),
            Self::Spawn(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Initializer(error) => Some(error),
            Self::Spawn(error) => Some(error),
            _ => None,
        }
    }
}

/// The pool was not closed: [`Pool::join`](super::Pool::join) would wait without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StillRunning(pub(super) ());

impl fmt::Display for StillRunning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is still running: close or terminate it first")
    }
}

impl std::error::Error for StillRunning {}
