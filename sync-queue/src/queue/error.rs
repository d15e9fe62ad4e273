//! What can go wrong, with the item given back.

use core::error::Error;
use core::fmt;

use crate::buffer::{PopError, PushError};

/// The queue has been shut down. Holds what could not be put, or nothing where nothing was to be
/// put.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShutDown<T = ()>(pub T);

impl<T> ShutDown<T> {
    /// The item that was not put.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.0
    }
}

// By hand, as for the others below: an error is shown whether or not the item in it can be.
impl<T> fmt::Debug for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ShutDown(..)")
    }
}

impl<T> fmt::Display for ShutDown<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the queue has been shut down")
    }
}

impl<T> Error for ShutDown<T> {}

/// The reason why an item was not put. It is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// There was no room, and no more time to wait for some.
    #[doc(alias = "queue.Full")]
    Full(T),
    /// The queue has been shut down. Beats `Full`: a queue that is both answers this.
    ShutDown(T),
}

impl<T> PutError<T> {
    /// The item that was not put.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::ShutDown(item) => item,
        }
    }

    /// Whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Whether the queue has been shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        matches!(self, Self::ShutDown(_))
    }
}

impl<T> fmt::Debug for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue has been shut down",
        })
    }
}

impl<T> Error for PutError<T> {}

impl<T> From<ShutDown<T>> for PutError<T> {
    fn from(ShutDown(item): ShutDown<T>) -> Self {
        Self::ShutDown(item)
    }
}

/// The reason why there is no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetError {
    /// Nothing was inside, and there was no more time to wait for something.
    #[doc(alias = "queue.Empty")]
    Empty,
    /// The queue has been shut down and nothing is left inside. Beats `Empty`.
    ShutDown,
}

impl fmt::Display for GetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::ShutDown => "the queue has been shut down",
        })
    }
}

impl Error for GetError {}

impl From<ShutDown> for GetError {
    fn from(ShutDown(()): ShutDown) -> Self {
        Self::ShutDown
    }
}

/// `task_done` was called more often than items were put. Nothing was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDone(pub(crate) ());

impl fmt::Display for TooManyDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("task_done was called more often than items were put")
    }
}

impl Error for TooManyDone {}

impl<T> From<PushError<T>> for PutError<T> {
    fn from(why: PushError<T>) -> Self {
        match why {
            PushError::Full(item) => Self::Full(item),
            PushError::Closed(item) => Self::ShutDown(item),
        }
    }
}

impl From<PopError> for GetError {
    fn from(why: PopError) -> Self {
        match why {
            PopError::Empty => Self::Empty,
            PopError::Closed => Self::ShutDown,
        }
    }
}
