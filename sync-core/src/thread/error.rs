//! The reason why a thread was not started.

use core::fmt;
use std::io;

/// The reason why a thread was not started.
#[derive(Debug)]
#[non_exhaustive]
pub enum SpawnError {
    /// The stack would be too small or too large; its size.
    StackSize(usize),
    /// The group has joined its members already.
    ShutDown,
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StackSize(bytes) => write!(f, "a thread cannot have a stack of {bytes} bytes"),
            Self::ShutDown => ShutDown.fmt(f),
            Self::System(error) => write!(f, "the system did not start the thread: {error}"),
        }
    }
}

impl core::error::Error for SpawnError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::System(error) => Some(error),
            _ => None,
        }
    }
}

/// The error of a group that is being joined, or was joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShutDown;

impl fmt::Display for ShutDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the group of threads is shut down")
    }
}

impl core::error::Error for ShutDown {}
