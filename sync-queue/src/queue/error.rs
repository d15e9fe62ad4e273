//! The errors of the queues. Each one gives the item back.

use core::error::Error;
use core::fmt;

use crate::buffer::{PopError, PushError};

/// The queue has been shut down. Holds the items that could not be put, or nothing where no item
/// was to be put.
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

/// The reason why an item was not put. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutError<T> {
    /// There was no room, and no more time to wait for some.
    #[doc(alias = "queue.Full")]
    Full(T),
    /// The queue has been shut down. A queue that is both full and shut down returns this.
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

    /// Returns whether there was no room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full(_))
    }

    /// Returns whether the queue has been shut down.
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

/// The reason why an item was not put by a call that a token can end. The item is inside.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum PutCancelError<T> {
    /// The token was cancelled while there was no room.
    Cancelled(T),
    /// The queue has been shut down.
    ShutDown(T),
}

impl<T> PutCancelError<T> {
    /// The item that was not put.
    #[must_use]
    pub fn into_inner(self) -> T {
        match self {
            Self::Cancelled(item) | Self::ShutDown(item) => item,
        }
    }

    /// Returns whether the token was cancelled.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled(_))
    }

    /// Returns whether the queue has been shut down.
    #[must_use]
    pub fn is_shut_down(&self) -> bool {
        matches!(self, Self::ShutDown(_))
    }
}

impl<T> fmt::Debug for PutCancelError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "Cancelled(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for PutCancelError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled(_) => "the put was cancelled",
            Self::ShutDown(_) => "the queue has been shut down",
        })
    }
}

impl<T> Error for PutCancelError<T> {}

/// The reason why a call that a token can end got no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GetCancelError {
    /// The token was cancelled while nothing was inside.
    Cancelled,
    /// The queue has been shut down and nothing is left inside. Beats `Cancelled`.
    ShutDown,
}

impl fmt::Display for GetCancelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cancelled => "the get was cancelled",
            Self::ShutDown => "the queue has been shut down",
        })
    }
}

impl Error for GetCancelError {}

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

/// `Full`: the token was cancelled while it was.
impl<T> From<PushError<T>> for PutCancelError<T> {
    fn from(why: PushError<T>) -> Self {
        match why {
            PushError::Full(item) => Self::Cancelled(item),
            PushError::Closed(item) => Self::ShutDown(item),
        }
    }
}

/// `Empty`: the token was cancelled while it was.
impl From<PopError> for GetCancelError {
    fn from(why: PopError) -> Self {
        match why {
            PopError::Empty => Self::Cancelled,
            PopError::Closed => Self::ShutDown,
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
