//! A queue of messages of different lengths.
//!
//! A [`Queue`] whose items are a length u64 and as many bytes as the longest message has. A length
//! is a number from outside: it is loaded once and compared.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::Ordering;
use sync_core::primitive::futex::Deadline;

use super::{Queue, QueueOptions, find, layout};
use crate::error::{Error, RecvError, Result, SendError};
use crate::plain;
use crate::raw::queue::{Claim, Orphans, RingError};
use crate::readiness::Readiness;
use crate::segment::Segment;

/// A bounded first-in-first-out queue of messages of any length up to a limit, in a [`Segment`].
/// In all else it is a [`Queue`]: it survives the death of senders and receivers as that one does,
/// and redelivers the message of a receiver that died before its `get` returned.
///
/// ```
/// use sync_ipc::{ByteQueue, Segment};
///
/// let segment = Segment::anonymous(65536)?;
/// let lines = ByteQueue::create(&segment, "lines", 16, 1000)?;
/// lines.put(b"one")?;
/// lines.put(b"")?;
/// assert_eq!(lines.get()?, b"one");
/// assert_eq!(lines.get()?, b"");
/// # Ok::<(), sync_ipc::Error>(())
/// ```
///
/// The memory is that of `capacity` messages of the greatest length. For messages without a limit,
/// and for descriptors, use a [`Connection`](crate::Connection).
pub struct ByteQueue(Queue<[u8; 0]>);

fn kind() -> u64 {
    plain::kind_of::<()>("byte queue")
}

fn stride(max_len: usize) -> Option<usize> {
    max_len.checked_add(8)?.checked_next_multiple_of(8)
}

impl ByteQueue {
    /// A new queue of `capacity` messages of at most `max_len` bytes (rounded up to a multiple of
    /// 8).
    ///
    /// # Errors
    ///
    /// As [`Queue::create`].
    pub fn create(segment: &Segment, name: &str, capacity: usize, max_len: usize) -> Result<Self> {
        let options = QueueOptions { capacity, orphans: Orphans::Redeliver };
        let stride = stride(max_len).ok_or(Error::BadSize)?;
        Ok(Self(Queue::place(segment, name, options, kind(), stride)?))
    }

    /// The queue of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let (block, QueueOptions { capacity, orphans }) = find(segment, name, kind())?;
        // The length of the messages follows from the size of the object.
        let words = layout(capacity, 0).ok_or(Error::Corrupted)?;
        let stride = block.len().checked_sub(words).ok_or(Error::WrongType)? / capacity;
        if stride < 8 || stride % 8 != 0 {
            return Err(Error::WrongType);
        }
        let block = block.expect_size(layout(capacity, stride))?;
        Ok(Self(Queue::with_stride(block, capacity, orphans, stride)))
    }

    /// Returns the length of the longest message that it takes.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.0.stride - 8
    }

    /// Sends, waiting while there is no room.
    ///
    /// # Errors
    ///
    /// [`SendError`]; [`SendError::TooLong`].
    #[doc(alias = "send")]
    pub fn put(&self, message: &[u8]) -> Result<(), SendError<()>> {
        self.send_until(message, None)
    }

    /// Sends if there is room.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, message: &[u8]) -> Result<(), SendError<()>> {
        self.check(message)?;
        self.send_now(message, false).map_err(|error| SendError::new(error, (), false))
    }

    /// Sends, waiting at most `timeout` for room.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    #[doc(alias = "send_timeout")]
    pub fn put_timeout(&self, message: &[u8], timeout: Duration) -> Result<(), SendError<()>> {
        self.send_until(message, Deadline::after(timeout))
    }

    /// Sends, waiting at most until `deadline` for room.
    ///
    /// # Errors
    ///
    /// As [`put`](Self::put).
    #[doc(alias = "send_deadline")]
    pub fn put_deadline(&self, message: &[u8], deadline: Instant) -> Result<(), SendError<()>> {
        self.send_until(message, Deadline::at(deadline))
    }

    fn check(&self, message: &[u8]) -> Result<(), SendError<()>> {
        if message.len() > self.max_len() { Err(SendError::TooLong(())) } else { Ok(()) }
    }

    fn send_until(&self, message: &[u8], deadline: Option<Deadline>) -> Result<(), SendError<()>> {
        self.check(message)?;
        let sent = match self.send_now(message, false) {
            Err(RingError::Full) => self.0.with_room(deadline, |look| self.send_now(message, look)),
            sent => sent,
        };
        sent.map_err(|error| SendError::new(error, (), true))
    }

    fn send_now(&self, message: &[u8], look: bool) -> Result<(), RingError> {
        let claim = self.0.claim_now(look)?;
        let at = self.0.item_at(claim.slot);
        // Relaxed: the commit publishes it.
        self.0.block.u64(at).store(message.len() as u64, Ordering::Relaxed);
        self.0.block.write(at + 8, message);
        self.0.commit(claim)
    }

    /// Receives, waiting while there is no message.
    ///
    /// # Errors
    ///
    /// [`RecvError`]; [`RecvError::Corrupted`] if a peer wrote a length that cannot be, and then
    /// the message is gone.
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<Vec<u8>, RecvError> {
        self.finish(self.0.take_until(None)?)
    }

    /// Receives if there is a message.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<Vec<u8>, RecvError> {
        self.finish(self.0.take_now(false).map_err(|error| RecvError::new(error, false))?)
    }

    /// Receives, waiting at most `timeout` for a message.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Vec<u8>, RecvError> {
        self.finish(self.0.take_until(Deadline::after(timeout))?)
    }

    /// Receives, waiting at most until `deadline` for a message.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Result<Vec<u8>, RecvError> {
        self.finish(self.0.take_until(Deadline::at(deadline))?)
    }

    /// Receives, waiting while there is no message as a task does: see [`Queue::get_async`].
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get).
    #[doc(alias = "recv_async")]
    pub async fn get_async(&self) -> Result<Vec<u8>, RecvError> {
        self.finish(self.0.take_async().await?)
    }

    /// As [`get`](Self::get), into `message`, whose memory is used again.
    ///
    /// # Errors
    ///
    /// As [`get`](Self::get); `message` is then unchanged.
    #[doc(alias = "recv_into")]
    pub fn get_into(&self, message: &mut Vec<u8>) -> Result<(), RecvError> {
        self.finish_into(self.0.take_until(None)?, message)
    }

    fn finish(&self, claim: Claim) -> Result<Vec<u8>, RecvError> {
        let mut message = Vec::new();
        self.finish_into(claim, &mut message)?;
        Ok(message)
    }

    fn finish_into(&self, claim: Claim, message: &mut Vec<u8>) -> Result<(), RecvError> {
        let at = self.0.item_at(claim.slot);
        // Relaxed: acquired with the claim.
        let len = usize::try_from(self.0.block.u64(at).load(Ordering::Relaxed));
        let read = match len.ok().filter(|len| *len <= self.max_len()) {
            Some(len) => {
                message.resize(len, 0);
                self.0.block.read(at + 8, message);
                Ok(())
            }
            None => Err(RecvError::Corrupted),
        };
        self.0.acknowledge(claim);
        read
    }

    /// As [`Queue::readiness`].
    ///
    /// # Errors
    ///
    /// As [`Queue::readiness`].
    pub fn readiness(&self) -> Result<Readiness> {
        self.0.readiness()
    }

    /// As [`Queue::shutdown`].
    #[doc(alias = "close")]
    pub fn shutdown(&self) {
        self.0.shutdown();
    }

    /// As [`Queue::is_shutdown`].
    #[must_use]
    #[doc(alias = "is_closed")]
    pub fn is_shutdown(&self) -> bool {
        self.0.is_shutdown()
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

    /// As [`Queue::capacity`].
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// The segment it lies in: to pass to another process.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        self.0.segment()
    }
}

impl fmt::Debug for ByteQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteQueue")
            .field("capacity", &self.capacity())
            .field("max_len", &self.max_len())
            .finish_non_exhaustive()
    }
}

handle!([] ByteQueue, |this| &this.0.block, {
    let Queue { block, capacity, orphans, stride, .. } = &this.0;
    Self(Queue::with_stride(block.clone(), *capacity, *orphans, *stride))
});
