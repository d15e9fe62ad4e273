//! Why an item was not sent, or not received.

use core::fmt;

use crate::raw::queue::RingError;

/// Why an item was not sent. It is given back.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError<T> {
    /// No room, and no waiting.
    Full(T),
    /// No room until the deadline.
    TimedOut(T),
    /// The queue is closed.
    Closed(T),
    /// No process holds a [`Receiver`](crate::Receiver) of this [`Sender`](crate::Sender)'s queue
    /// any more.
    Disconnected(T),
    /// The message is longer than the messages of the queue can be.
    TooLong(T),
    /// The queue's words contradict each other.
    Corrupted(T),
    /// This process is a fork of a participant and could not become one itself.
    NotAttached(T),
}

impl<T> SendError<T> {
    pub(crate) fn new(error: RingError, item: T, waited: bool) -> Self {
        match error {
            RingError::Closed => Self::Closed(item),
            RingError::Disconnected => Self::Disconnected(item),
            RingError::Full if waited => Self::TimedOut(item),
            RingError::Full => Self::Full(item),
            RingError::NotAttached => Self::NotAttached(item),
            RingError::Corrupted => Self::Corrupted(item),
            RingError::Empty => unreachable!("a send needs no item"),
        }
    }

    pub(crate) fn without_item(self) -> SendError<()> {
        match self {
            Self::Full(_) => SendError::Full(()),
            Self::TimedOut(_) => SendError::TimedOut(()),
            Self::Closed(_) => SendError::Closed(()),
            Self::Disconnected(_) => SendError::Disconnected(()),
            Self::TooLong(_) => SendError::TooLong(()),
            Self::Corrupted(_) => SendError::Corrupted(()),
            Self::NotAttached(_) => SendError::NotAttached(()),
        }
    }

    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item)
            | Self::TimedOut(item)
            | Self::Closed(item)
            | Self::Disconnected(item)
            | Self::TooLong(item)
            | Self::Corrupted(item)
            | Self::NotAttached(item) => item,
        }
    }

    fn message(&self) -> &'static str {
        match self {
            Self::Full(_) => "the queue is full",
            Self::TimedOut(_) => "the queue was full until the deadline",
            Self::Closed(_) => "the queue is closed",
            Self::Disconnected(_) => "the queue's last receiver is gone",
            Self::TooLong(_) => "the message is longer than the queue's messages can be",
            Self::Corrupted(_) => "the queue's contents contradict themselves",
            Self::NotAttached(_) => {
                "this forked process could not become a participant of the segment"
            }
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
    /// The queue is closed, and no item can come any more.
    Closed,
    /// No process holds a [`Sender`](crate::Sender) of this [`Receiver`](crate::Receiver)'s queue
    /// any more, and no item can come.
    Disconnected,
    /// The queue's words contradict each other.
    Corrupted,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
}

impl RecvError {
    pub(crate) fn new(error: RingError, waited: bool) -> Self {
        match error {
            RingError::Closed => Self::Closed,
            RingError::Disconnected => Self::Disconnected,
            RingError::Empty if waited => Self::TimedOut,
            RingError::Empty => Self::Empty,
            RingError::NotAttached => Self::NotAttached,
            RingError::Corrupted => Self::Corrupted,
            RingError::Full => unreachable!("a receive needs no room"),
        }
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the queue is empty",
            Self::TimedOut => "the queue was empty until the deadline",
            Self::Closed => "the queue is closed and empty",
            Self::Disconnected => "the queue's last sender is gone, and the queue is empty",
            Self::Corrupted => "the queue's contents contradict themselves",
            Self::NotAttached => {
                "this forked process could not become a participant of the segment"
            }
        })
    }
}

impl std::error::Error for RecvError {}
