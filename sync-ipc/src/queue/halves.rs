//! The two halves of a queue, and how a half learns that the other end is gone.
//!
//! **Source.** The proof of life of a participant (`membership`), once more: each half holds a
//! shared lock on a byte of the segment's memfd, through an open file description of its own. The
//! kernel frees it when the last copy of that description goes: by a drop, by death of any cause,
//! at `exec`. A forked child's copy of a half counts, before the child has used it, as a copy of a
//! pipe's end does. The bytes lie far behind the participants' bytes, two for each queue: senders,
//! receivers.

use core::fmt;
use core::time::Duration;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use sync_core::primitive::atomic::Ordering;

use super::other_end::{ENDS_LOCKS, OtherEnd};
use super::{ENDS, Lease, Queue, RECEIVERS_LEFT, SENDERS_LEFT};
use crate::error::{Error, RecvError, Result, SendError};
use crate::membership::{byte_lock, reopen};
use crate::plain::Plain;
use crate::raw::queue::MAX_SLOTS;
use crate::readiness::Readiness;
use crate::segment::Segment;

/// A queue in an anonymous segment of its own, as two halves. Another process opens it by the
/// segment's descriptor: [`Sender::segment`], and [`Sender::open`] or [`Receiver::open`] there.
///
/// ```
/// use sync_ipc::RecvError;
///
/// let (sender, receiver) = sync_ipc::queue::<u32>(4)?;
/// sender.send(7)?;
/// drop(sender);
/// assert_eq!(receiver.recv()?, 7);
/// assert_eq!(receiver.recv(), Err(RecvError::Disconnected));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # The end of the other side
///
/// When no process holds a [`Sender`] any more, and all items are received, `recv` returns
/// [`RecvError::Disconnected`]. When no process holds a [`Receiver`], a send returns
/// [`SendError::Disconnected`]: at once, if the last receiver was dropped; if it died, when the
/// queue is full. It makes no difference how a process ended. A call that waits returns within 32
/// ms.
///
/// A process that was only given the segment's descriptor is no sender yet: keep the own half until
/// the other process has [opened](Sender::open) one. A half among the arguments or the result of a
/// `Process` or of a job of a `Pool` counts on its way too; one among a job's arguments counts
/// until the job ends. A forked child's copies are halves like any other: drop the half that a
/// process does not use, as with a pipe. A half that another thread is opening while a process
/// forks counts until the child ends or executes another program. A half that is opened later
/// connects the queue again. A half costs a file descriptor.
///
/// # Errors
///
/// The errors of [`Segment::anonymous`] and [`Queue::create`].
pub fn queue<T: Plain>(capacity: usize) -> Result<(Sender<T>, Receiver<T>)> {
    if capacity == 0 || capacity > MAX_SLOTS {
        return Err(Error::BadSize);
    }
    let segment = Segment::anonymous(Queue::<T>::layout(capacity).ok_or(Error::BadSize)?)?;
    Queue::<T>::create(&segment, NAME, capacity)?;
    Ok((Sender::open(&segment)?, Receiver::open(&segment)?))
}

const NAME: &str = "queue";

/// The sending half of a [`queue`].
pub struct Sender<T> {
    queue: Queue<T>,
    /// Holds the lock. `None` while the half is dropped.
    end: Option<OwnedFd>,
}

/// The receiving half of a [`queue`].
pub struct Receiver<T> {
    queue: Queue<T>,
    /// Holds the lock. `None` while the half is dropped.
    end: Option<OwnedFd>,
}

macro_rules! half {
    ($half:ident, byte: $byte:literal, other byte: $other_byte:literal, note: $note:ident) => {
        impl<T: Plain> $half<T> {
            /// The half of the queue in a segment that was passed to us.
            ///
            /// # Errors
            ///
            /// As for any object; and if the system has no descriptor left.
            pub fn open(segment: &Segment) -> Result<Self> {
                Self::with_end(segment, reopen(segment.as_fd())?)
            }

            /// The half that locks its byte through the description `end` of the segment's memfd.
            /// `end` may have the lock already.
            pub(crate) fn with_end(segment: &Segment, end: OwnedFd) -> Result<Self> {
                let mut queue = Queue::open(segment, NAME)?;
                let locks = ENDS_LOCKS + queue.block.offset() as u64;
                byte_lock::share(end.as_fd(), locks + $byte)?;
                // Relaxed: a hint.
                queue.block.u32(ENDS).fetch_and(!$note, Ordering::Relaxed);
                queue.other_end = Some(OtherEnd(locks + $other_byte));
                Ok(Self { queue, end: Some(end) })
            }

            /// A description that locks this half's byte, for another half.
            #[cfg(feature = "process")]
            pub(crate) fn another_end(&self) -> std::io::Result<OwnedFd> {
                let end = reopen(self.segment().as_fd())?;
                let locks = ENDS_LOCKS + self.queue.block.offset() as u64;
                byte_lock::share(end.as_fd(), locks + $byte)?;
                Ok(end)
            }

            /// The segment it lies in: to pass to another process.
            #[must_use]
            pub fn segment(&self) -> &Segment {
                self.queue.segment()
            }

            /// As [`Queue::shutdown`].
            #[doc(alias = "shutdown")]
            pub fn close(&self) {
                self.queue.shutdown();
            }

            /// As [`Queue::len`].
            #[must_use]
            pub fn len(&self) -> usize {
                self.queue.len()
            }

            /// As [`Queue::is_empty`].
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.queue.is_empty()
            }
        }

        impl<T> Drop for $half<T> {
            fn drop(&mut self) {
                // Closed first: this half is gone now, and the kernel reports that.
                self.end = None;
                let block = &self.queue.block;
                let own = OtherEnd(ENDS_LOCKS + block.offset() as u64 + $byte);
                if own.is_gone(block.segment()) {
                    // A read-modify-write, as the wake requires; Relaxed: a hint.
                    block.u32(ENDS).fetch_or($note, Ordering::Relaxed);
                    self.queue.channel().notify_all(block);
                }
            }
        }

        impl<T> fmt::Debug for $half<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($half)).field(&self.queue).finish()
            }
        }
    };
}
half!(Sender, byte: 0, other byte: 1, note: SENDERS_LEFT);
half!(Receiver, byte: 1, other byte: 0, note: RECEIVERS_LEFT);

impl<T: Plain> Receiver<T> {
    /// As [`Queue::readiness`]; also readable when no process holds a [`Sender`] any more.
    ///
    /// # Errors
    ///
    /// As [`Queue::readiness`].
    pub fn readiness(&self) -> Result<Readiness> {
        self.queue.readiness()
    }
}

impl<T: Plain> Sender<T> {
    /// As [`Queue::put`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "put")]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.queue.put(item)
    }

    /// As [`Queue::try_put`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        self.queue.try_put(item)
    }

    /// As [`Queue::put_timeout`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.queue.put_timeout(item, timeout)
    }

    /// As [`Queue::put_deadline`].
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.queue.put_deadline(item, deadline)
    }
}

impl<T: Plain> Receiver<T> {
    /// As [`Queue::get`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.queue.get()
    }

    /// As [`Queue::try_get`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn try_recv(&self) -> Result<T, RecvError> {
        self.queue.try_get()
    }

    /// As [`Queue::get_async`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get_async")]
    pub async fn recv_async(&self) -> Result<T, RecvError>
    where
        T: 'static,
    {
        self.queue.get_async().await
    }

    /// As [`Queue::get_lease`], as a task: see [`Queue::get_async`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub async fn recv_lease_async(&self) -> Result<Lease<'_, T>, RecvError>
    where
        T: 'static,
    {
        self.queue.get_lease_async().await
    }

    /// As [`Queue::get_timeout`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.queue.get_timeout(timeout)
    }

    /// As [`Queue::get_deadline`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.queue.get_deadline(deadline)
    }

    /// As [`Queue::get_lease`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        self.queue.get_lease()
    }

    /// As [`Queue::get_lease_timeout`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        self.queue.get_lease_timeout(timeout)
    }

    /// As [`Queue::get_lease_deadline`].
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease_deadline(&self, deadline: Instant) -> Result<Lease<'_, T>, RecvError> {
        self.queue.get_lease_deadline(deadline)
    }
}
