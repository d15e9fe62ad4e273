//! What can go wrong with segments and with the objects in them.

use core::fmt;
use std::io;

/// Why a segment, or an object in one, could not be created or opened.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The system refused.
    Io(io::Error),
    /// A name that exists already.
    AlreadyExists,
    /// No such name, or nobody who held that segment lives any more.
    NotFound,
    /// A name that is empty, too long, or contains `/` or NUL.
    BadName,
    /// A size or capacity that is zero, or larger than this object can have.
    BadSize,
    /// A descriptor that is not a segment of ours: what is wrong with it.
    NotASegment(&'static str),
    /// An object of another type or another size than the one that was asked for.
    WrongType,
    /// The segment's contents contradict themselves: a peer scribbled over them.
    Corrupted,
    /// No room left in the segment.
    Full,
    /// More participants than a segment has slots for.
    TooManyParticipants,
    /// Somebody holds an internal lock for longer than we are willing to wait; a stopped process
    /// may.
    Busy,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::AlreadyExists => f.write_str("the name exists already"),
            Self::NotFound => f.write_str("no such name, or none of its holders lives"),
            Self::BadName => f.write_str("a name must be 1 to 31 bytes (200 for a segment) without '/' and NUL"),
            Self::BadSize => f.write_str("the size or capacity is zero or too large"),
            Self::NotASegment(why) => write!(f, "not a segment: {why}"),
            Self::WrongType => f.write_str("the object has another type or size"),
            Self::Corrupted => f.write_str("the segment's contents contradict themselves"),
            Self::Full => f.write_str("no room left in the segment"),
            Self::TooManyParticipants => f.write_str("the segment has no slot left for another participant"),
            Self::Busy => f.write_str("an internal lock is held by a process that does not run"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// The result of creating or opening.
pub type Result<T, E = Error> = core::result::Result<T, E>;
