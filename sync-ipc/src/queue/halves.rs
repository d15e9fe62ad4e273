//! The two halves of a queue.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use super::{Lease, Queue, RecvError, SendError};
use crate::error::{Error, Result};
use crate::plain::Plain;
use crate::raw::ring::MAX_SLOTS;
use crate::segment::Segment;

/// A queue in an anonymous segment of its own, as two halves. Another process gets at it by the
/// segment's descriptor: [`Sender::segment`], and [`Sender::open`] or [`Receiver::open`] there.
///
/// ```
/// let (sender, receiver) = sync_ipc::queue::<u32>(4)?;
/// sender.send(7)?;
/// assert_eq!(receiver.recv()?, 7);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// Those of [`Segment::anonymous`] and [`Queue::create`].
pub fn queue<T: Plain>(capacity: usize) -> Result<(Sender<T>, Receiver<T>)> {
    if capacity == 0 || capacity > MAX_SLOTS {
        return Err(Error::BadSize);
    }
    let segment = Segment::anonymous(Queue::<T>::layout(capacity).ok_or(Error::BadSize)?)?;
    let sender = Sender(Queue::create(&segment, NAME, capacity)?);
    Ok((sender, Receiver(Queue::open(&segment, NAME)?)))
}

const NAME: &str = "queue";

/// The sending half of a [`queue`].
pub struct Sender<T>(Queue<T>);

/// The receiving half of a [`queue`].
pub struct Receiver<T>(Queue<T>);

macro_rules! half {
    ($half:ident) => {
        impl<T: Plain> $half<T> {
            /// The half of the queue in a segment that was passed to us.
            ///
            /// # Errors
            ///
            /// As for any object.
            pub fn open(segment: &Segment) -> Result<Self> {
                Ok(Self(Queue::open(segment, NAME)?))
            }

            /// The segment it lies in: to pass to another process.
            #[must_use]
            pub fn segment(&self) -> &Segment {
                self.0.segment()
            }

            /// As [`Queue::close`].
            pub fn close(&self) {
                self.0.close();
            }

            /// As [`Queue::len`].
            #[must_use]
            pub fn len(&self) -> usize {
                self.0.len()
            }

            /// As [`Queue::is_empty`].
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl<T> fmt::Debug for $half<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($half)).field(&self.0).finish()
            }
        }
    };
}
half!(Sender);
half!(Receiver);

impl<T: Plain> Sender<T> {
    /// As [`Queue::send`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.0.send(item)
    }

    /// As [`Queue::try_send`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.0.try_send(item)
    }

    /// As [`Queue::send_timeout`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.0.send_timeout(item, timeout)
    }

    /// As [`Queue::send_deadline`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.0.send_deadline(item, deadline)
    }
}

impl<T: Plain> Receiver<T> {
    /// As [`Queue::recv`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv(&self) -> Result<T, RecvError> {
        self.0.recv()
    }

    /// As [`Queue::try_recv`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.0.try_recv()
    }

    /// As [`Queue::recv_timeout`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.0.recv_timeout(timeout)
    }

    /// As [`Queue::recv_deadline`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.0.recv_deadline(deadline)
    }

    /// As [`Queue::recv_lease`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        self.0.recv_lease()
    }

    /// As [`Queue::recv_lease_timeout`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        self.0.recv_lease_timeout(timeout)
    }
}

handle!([T: Plain] Sender<T>, |this| this.0.block(), Self(this.0.clone()), |segment, _| Self::open(segment));
handle!([T: Plain] Receiver<T>, |this| this.0.block(), Self(this.0.clone()), |segment, _| Self::open(segment));
