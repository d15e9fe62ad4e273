//! Errors of segments and of the objects in them. The objects import this module, and it imports
//! none of them.

mod lock;
mod objects;
mod queue;

use core::fmt;
use std::io;

pub use self::lock::LockError;
pub(crate) use self::lock::{Unrepaired, boxed};
pub use self::objects::{BarrierError, ListError, OutOfRange, TooManyReleases};
pub use self::queue::{RecvError, SendError};

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
    /// No room left in the segment, or no entry: a segment has at most 128 objects, and an
    /// [`Array`](crate::Array) is two.
    Full,
    /// More participants than a segment has slots for.
    TooManyParticipants,
    /// An internal lock was not free within a second: a stopped process may hold it, or a forked
    /// child of a killed one.
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

/// The most descriptors in one message: the kernel's limit.
pub const MAX_FDS: usize = 253;

/// Why a message was not sent or received.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The system refused.
    Io(io::Error),
    /// The other side is closed, between two messages; or its reading end is.
    Closed,
    /// The other side ended in the middle of a message.
    Interrupted,
    /// The message is longer than the maximum that was given. Nothing more can be received.
    TooLong {
        /// The length that the peer sent.
        length: u64,
    },
    /// The message is longer than the caller's buffer; here it is.
    BufferTooShort(Vec<u8>),
    /// The deadline passed. Nothing of the message was sent; a message that was received in part is
    /// kept for the next call.
    TimedOut,
    /// The deadline passed in the middle of the message. The rest of it goes first at the next
    /// send: do not send it again.
    SentInPart,
    /// This end of a one-way pipe only sends.
    NotReadable,
    /// This end of a one-way pipe only receives.
    NotWritable,
    /// The bytes are not a value of the requested type, or the value cannot be serialised.
    Format(postcard::Error),
    /// The message has no descriptors with it, or not as many as it declares.
    MissingDescriptors,
    /// More descriptors than one message can carry.
    TooManyDescriptors,
    /// The received descriptor is not a segment.
    Segment(Error),
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Closed => f.write_str("the other side is closed"),
            Self::Interrupted => f.write_str("the other side ended in the middle of a message"),
            Self::TooLong { length } => write!(f, "bad message length: {length} bytes"),
            Self::BufferTooShort(message) => {
                write!(f, "the buffer is too short for a message of {} bytes", message.len())
            }
            Self::TimedOut => f.write_str("the time was up"),
            Self::SentInPart => f.write_str("the time was up when a part of the message was sent"),
            Self::NotReadable => f.write_str("this end of the pipe only sends"),
            Self::NotWritable => f.write_str("this end of the pipe only receives"),
            Self::Format(error) => error.fmt(f),
            Self::MissingDescriptors => {
                f.write_str("the message did not bring the descriptors that it should")
            }
            Self::TooManyDescriptors => write!(f, "more than {MAX_FDS} descriptors in one message"),
            Self::Segment(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ConnectionError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            Self::Format(error) => Some(error),
            Self::Segment(error) => Some(error),
            _ => None,
        }
    }
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
