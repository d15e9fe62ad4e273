//! Why an item was not sent, or not received.

use core::fmt;

use crate::raw::queue::Trouble;

/// Why an item was not sent. It is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// No room, and no waiting.
    Full(T),
    /// No room until the deadline.
    TimedOut(T),
    /// Somebody closed the queue.
    Closed(T),
    /// The queue's words contradict each other.
    Corrupted(T),
    /// This process is a fork of a participant and could not become one itself.
    NotAttached(T),
}

impl<T> SendError<T> {
    pub(super) fn new(trouble: Option<Trouble>, item: T, waited: bool) -> Self {
        match trouble {
            None => Self::Closed(item),
            Some(Trouble::Full) if waited => Self::TimedOut(item),
            Some(Trouble::Full) => Self::Full(item),
            Some(Trouble::NotAttached) => Self::NotAttached(item),
            Some(Trouble::Corrupted | Trouble::Empty) => Self::Corrupted(item),
        }
    }

    pub(crate) fn without_item(self) -> SendError<()> {
        match self {
            Self::Full(_) => SendError::Full(()),
            Self::TimedOut(_) => SendError::TimedOut(()),
            Self::Closed(_) => SendError::Closed(()),
            Self::Corrupted(_) => SendError::Corrupted(()),
            Self::NotAttached(_) => SendError::NotAttached(()),
        }
    }

    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::TimedOut(item) | Self::Closed(item) | Self::Corrupted(item) | Self::NotAttached(item) => item,
        }
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Full(_) => "the queue is full",
            Self::TimedOut(_) => "the queue was full until the deadline",
            Self::Closed(_) => "the queue is closed",
            Self::Corrupted(_) => "the queue's contents contradict themselves",
            Self::NotAttached(_) => "this forked process could not become a participant of the segment",
        }
    }
}

impl<T> fmt::Debug for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SendError({:?})", self.message())
    }
}

impl<T> fmt::Display for SendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl<T> std::error::Error for SendError<T> {}

/// Why no item was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecvError {
    /// No item, and no waiting.
    Empty,
    /// No item until the deadline.
    TimedOut,
    /// Somebody closed the queue, and it is empty.
    Closed,
    /// The queue's words contradict each other.
    Corrupted,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
}

impl RecvError {
    pub(super) fn new(trouble: Option<Trouble>, waited: bool) -> Self {
        match trouble {
            None => Self::Closed,
            Some(Trouble::Empty) if waited => Self::TimedOut,
            Some(Trouble::Empty) => Self::Empty,
            Some(Trouble::NotAttached) => Self::NotAttached,
            Some(Trouble::Corrupted | Trouble::Full) => Self::Corrupted,
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::TimedOut => "the queue was empty until the deadline",
            Self::Closed => "the queue is closed and empty",
            Self::Corrupted => "the queue's contents contradict themselves",
            Self::NotAttached => "this forked process could not become a participant of the segment",
        })
    }
}

impl std::error::Error for RecvError {}
