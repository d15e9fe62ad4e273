//! Errors of segments and of the objects in them.

use core::fmt;
use std::io;

use crate::barrier::BarrierError;
use crate::connection::ConnectionError;
use crate::mutex::{LockError, Unrepaired};
use crate::queue::{RecvError, SendError};
use crate::semaphore::TooManyReleases;
use crate::shared_memory::ListError;
use crate::value::OutOfRange;

/// Why a segment, or an object in one, could not be created, opened or used.
///
/// Each error of the crate becomes one with `?`. None of them borrows anything: an item that was
/// not sent is dropped, and a guard is released as [`LockError`] says.
///
/// ```
/// use sync_ipc::{Queue, Segment, Value};
///
/// fn count(segment: &Segment) -> sync_ipc::Result<u64> {
///     let total = Value::create(segment, "total", 0_u64)?;
///     let jobs = Queue::<u64>::create(segment, "jobs", 4)?;
///     jobs.put(2)?;
///     total.set(total.get()? + jobs.get()?)?;
///     total.lock()?.update(|n| *n += 1);
///     total.get().map_err(Into::into)
/// }
/// # assert_eq!(count(&Segment::anonymous(4096)?)?, 3);
/// # Ok::<(), sync_ipc::Error>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    Io(io::Error),
    /// A name that exists already.
    AlreadyExists,
    /// No such name, or none of the processes that held that segment lives.
    NotFound,
    /// The name is there and a process holds it, or may hold it, but this process cannot reach that
    /// process's memory: it is in another PID namespace, is another user's or not dumpable, or
    /// `/proc` is not mounted here. Ask it to pass the descriptor over a socket.
    Unreachable,
    /// A name that is empty, too long, or contains `/` or NUL.
    BadName,
    /// A size or capacity that is zero, or larger than this object can have.
    BadSize,
    /// A descriptor or a name that does not lead to a segment, with the reason.
    NotASegment(&'static str),
    /// The object has another type or another size than requested.
    WrongType,
    /// The segment's contents contradict themselves: a peer wrote over them.
    Corrupted,
    /// No room left in the segment.
    Full,
    /// More participants than a segment has slots for.
    TooManyParticipants,
    /// An internal lock was not free within a second: a stopped process may hold it.
    Busy,
    /// A lock or a permit was not acquired, or its owner died.
    Lock(LockError<()>),
    /// An item was not sent.
    Send(SendError<()>),
    /// No item was received.
    Recv(RecvError),
    /// A message was not sent or received.
    Connection(Box<ConnectionError>),
    /// A wait at a barrier failed.
    Barrier(BarrierError),
    /// A semaphore was released too often.
    TooManyReleases(TooManyReleases),
    /// An index or a range is not inside.
    OutOfRange(OutOfRange),
    /// An item of a list was not read or written.
    List(ListError),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::AlreadyExists => f.write_str("the name exists already"),
            Self::NotFound => f.write_str("no such name, or none of its holders lives"),
            Self::Unreachable => f.write_str("the holders of the name cannot be reached from here"),
            Self::BadName => {
                f.write_str("a name must be 1 to 31 bytes (200 for a segment) without '/' and NUL")
            }
            Self::BadSize => f.write_str("the size or capacity is zero or too large"),
            Self::NotASegment(why) => write!(f, "not a segment: {why}"),
            Self::WrongType => f.write_str("the object has another type or size"),
            Self::Corrupted => f.write_str("the segment's contents contradict themselves"),
            Self::Full => f.write_str("no room left in the segment"),
            Self::TooManyParticipants => {
                f.write_str("the segment has no slot left for another participant")
            }
            Self::Busy => f.write_str("an internal lock is held by a process that does not run"),
            Self::Lock(error) => error.fmt(f),
            Self::Send(error) => error.fmt(f),
            Self::Recv(error) => error.fmt(f),
            Self::Connection(error) => error.fmt(f),
            Self::Barrier(error) => error.fmt(f),
            Self::TooManyReleases(error) => error.fmt(f),
            Self::OutOfRange(error) => error.fmt(f),
            Self::List(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            // Shown as they are: what is behind them is what is behind this error.
            Self::Connection(error) => error.source(),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<G: Unrepaired> From<LockError<G>> for Error {
    fn from(error: LockError<G>) -> Self {
        Self::Lock(error.without_guard())
    }
}

impl<T> From<SendError<T>> for Error {
    fn from(error: SendError<T>) -> Self {
        Self::Send(error.without_item())
    }
}

impl From<ConnectionError> for Error {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Io(error) => Self::Io(error),
            ConnectionError::Segment(error) => error,
            other => Self::Connection(Box::new(other)),
        }
    }
}

macro_rules! from {
    ($($variant:ident($error:ty);)*) => {
        $(
            impl From<$error> for Error {
                fn from(error: $error) -> Self {
                    Self::$variant(error)
                }
            }
        )*
    };
}

from! {
    Recv(RecvError);
    Barrier(BarrierError);
    TooManyReleases(TooManyReleases);
    OutOfRange(OutOfRange);
    List(ListError);
}

/// Makes an error of the standard library of a system call's, on its way to an error of the crate:
/// rustix's types are not part of the public interface.
pub(crate) trait OrIo<T> {
    fn or_io(self) -> io::Result<T>;
}

impl<T> OrIo<T> for rustix::io::Result<T> {
    fn or_io(self) -> io::Result<T> {
        self.map_err(io::Error::from)
    }
}

/// The result of creating, opening and using.
pub type Result<T, E = Error> = core::result::Result<T, E>;
