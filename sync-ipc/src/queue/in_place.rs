//! A queue whose items are written and read where they lie.
//!
//! The words, the ring and the states are those of [`Queue`]. A [`Loan`] is a claimed slot
//! (WRITING), and an [`InPlaceLease`] a taken one (READING); by the invariants of
//! [`raw::queue`](crate::raw::queue), a slot in one of these states belongs to one thread of one
//! process. That a reference to its bytes is exclusive, or that they do not change behind it,
//! depends on the other processes keeping to these states, which the program promises by
//! [`Segment::trusting_peers`](crate::Segment::trusting_peers).

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use super::{Queue, QueueOptions};
use crate::error::{RecvError, Result, SendError};
use crate::plain::Plain;
use crate::raw::queue::{Claim, Orphans, RingError};
use crate::segment::trusted::TrustedSegment;

/// A [`Queue`] in a [`TrustedSegment`]: an item is written where it will be read, and is never
/// copied. For items from some hundred bytes on.
///
/// It is the same object as a `Queue` of the same name: a process that does not trust its peers
/// opens that one, and copies.
///
/// ```
/// use sync_ipc::{InPlaceQueue, Segment};
///
/// let segment = Segment::anonymous(3 << 20)?;
/// // SAFETY: no other process has the segment.
/// let segment = unsafe { segment.trusting_peers() };
/// let frames = InPlaceQueue::<[u8; 1 << 20]>::create(&segment, "frames", 2)?;
///
/// let mut frame = frames.loan()?;
/// frame.fill(7);
/// frame.put()?;
///
/// let frame = frames.get()?;
/// assert!(frame.iter().all(|byte| *byte == 7));
/// frame.ack();
/// # Ok::<(), sync_ipc::Error>(())
/// ```
///
/// The alignment of `T` is at most 8; else it does not compile.
///
/// # Memory ordering
///
/// Writes before a send are visible after the receive of that item.
pub struct InPlaceQueue<T>(Queue<T>);

impl<T: Plain> InPlaceQueue<T> {
    /// Items lie at multiples of 8.
    const ALIGNED: () = assert!(align_of::<T>() <= 8, "the type's alignment is more than 8");

    /// A new queue of `capacity` items that redelivers the items of dead receivers.
    ///
    /// # Errors
    ///
    /// As [`Queue::create`].
    pub fn create(segment: &TrustedSegment, name: &str, capacity: usize) -> Result<Self> {
        Self::with_options(segment, name, QueueOptions { capacity, orphans: Orphans::Redeliver })
    }

    /// A new queue.
    ///
    /// # Errors
    ///
    /// As [`Queue::create`].
    pub fn with_options(
        segment: &TrustedSegment,
        name: &str,
        options: QueueOptions,
    ) -> Result<Self> {
        let () = Self::ALIGNED;
        Ok(Self(Queue::with_options(segment.segment(), name, options)?))
    }

    /// The queue of that name, also if it was created as a [`Queue`].
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &TrustedSegment, name: &str) -> Result<Self> {
        let () = Self::ALIGNED;
        Ok(Self(Queue::open(segment.segment(), name)?))
    }

    /// The same queue, by copies; and its length, its end and the rest.
    #[must_use]
    pub fn as_queue(&self) -> &Queue<T> {
        &self.0
    }

    /// The place of an item to be sent, waiting while there is no room. It has the bytes of an
    /// earlier item, or zeros.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn loan(&self) -> Result<Loan<'_, T>, SendError<()>> {
        self.loan_until(None)
    }

    /// As [`loan`](Self::loan), if there is room.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn try_loan(&self) -> Result<Loan<'_, T>, SendError<()>> {
        let claim = self.0.claim_now(false);
        Ok(self.lend(claim.map_err(|error| SendError::new(error, (), false))?))
    }

    /// As [`loan`](Self::loan), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn loan_timeout(&self, timeout: Duration) -> Result<Loan<'_, T>, SendError<()>> {
        self.loan_until(Deadline::after(timeout))
    }

    /// As [`loan`](Self::loan), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn loan_deadline(&self, deadline: Instant) -> Result<Loan<'_, T>, SendError<()>> {
        self.loan_until(Deadline::at(deadline))
    }

    fn loan_until(&self, deadline: Option<Deadline>) -> Result<Loan<'_, T>, SendError<()>> {
        let claim = match self.0.claim_now(false) {
            Err(RingError::Full) => self.0.with_room(deadline, |look| self.0.claim_now(look)),
            claim => claim,
        };
        Ok(self.lend(claim.map_err(|error| SendError::new(error, (), true))?))
    }

    fn lend(&self, claim: Claim) -> Loan<'_, T> {
        Loan { held: HeldSlot::new(&self.0, claim) }
    }

    /// Receives by a lease, waiting while there is no item: the item stays where it is until the
    /// lease ends.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<InPlaceLease<'_, T>, RecvError> {
        Ok(self.lease(self.0.take_until(None)?))
    }

    /// As [`get`](Self::get), if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<InPlaceLease<'_, T>, RecvError> {
        let claim = self.0.take_now(false).map_err(|error| RecvError::new(error, false))?;
        Ok(self.lease(claim))
    }

    /// As [`get`](Self::get), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<InPlaceLease<'_, T>, RecvError> {
        Ok(self.lease(self.0.take_until(Deadline::after(timeout))?))
    }

    /// As [`get`](Self::get), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Result<InPlaceLease<'_, T>, RecvError> {
        Ok(self.lease(self.0.take_until(Deadline::at(deadline))?))
    }

    fn lease(&self, claim: Claim) -> InPlaceLease<'_, T> {
        InPlaceLease { held: HeldSlot::new(&self.0, claim) }
    }
}

impl<T: Plain> Clone for InPlaceQueue<T> {
    /// Another handle to the same object.
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for InPlaceQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InPlaceQueue").field(&self.0).finish()
    }
}

/// A slot that is this thread's: WRITING or READING.
struct HeldSlot<'a, T> {
    queue: &'a Queue<T>,
    claim: Claim,
    /// It lends the item, so it is sent and shared between threads only if the item may be.
    item: PhantomData<&'a mut T>,
}

impl<'a, T: Plain> HeldSlot<'a, T> {
    fn new(queue: &'a Queue<T>, claim: Claim) -> Self {
        Self { queue, claim, item: PhantomData }
    }

    fn item(&self) -> *mut T {
        let at = self.queue.item_at(self.claim.slot);
        self.queue.block.pointer(at, size_of::<T>()).cast().as_ptr()
    }
}

/// The place of an item that is being written. Dropped without [`put`](Self::put), it is given
/// back, and nothing is sent.
///
/// A forked child's copy sends nothing and gives nothing back, and the child must not use the
/// place: see [`Segment::trusting_peers`](crate::Segment::trusting_peers).
#[must_use = "a loan that is dropped sends nothing"]
pub struct Loan<'a, T: Plain> {
    held: HeldSlot<'a, T>,
}

impl<T: Plain> Loan<'_, T> {
    /// Sends the item.
    ///
    /// # Errors
    ///
    /// [`SendError::Corrupted`]; [`SendError::NotAttached`] in a forked child.
    #[doc(alias = "send")]
    pub fn put(self) -> Result<(), SendError<()>> {
        let this = core::mem::ManuallyDrop::new(self);
        let HeldSlot { queue, claim, .. } = this.held;
        queue.commit(claim).map_err(|error| SendError::new(error, (), true))
    }
}

impl<T: Plain> Deref for Loan<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `pointer` checked the bounds; the place is aligned (`ALIGNED`), mapped for as
        // long as the queue, and any bytes are a `T`. The slot is WRITING and ours, so no thread of
        // this process and, by the promise of `trusting_peers`, no other process accesses it.
        unsafe { &*self.held.item() }
    }
}

impl<T: Plain> DerefMut for Loan<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and the loan is borrowed exclusively.
        unsafe { &mut *self.held.item() }
    }
}

impl<T: Plain> Drop for Loan<'_, T> {
    fn drop(&mut self) {
        let HeldSlot { queue, claim, .. } = &self.held;
        // To waiters, a slot that was not sent is as a slot that was acknowledged.
        queue.acknowledge(*claim);
    }
}

impl<T: Plain> fmt::Debug for Loan<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loan").finish_non_exhaustive()
    }
}

/// An item that was received and is read where it lies. Dropped without [`ack`](Self::ack), it goes
/// to another receiver, or is dropped, as the queue's [`Orphans`] say.
///
/// A forked child's copy acknowledges nothing and gives nothing back, as with
/// [`Lease`](crate::Lease).
#[must_use = "a lease that is dropped gives its item back"]
pub struct InPlaceLease<'a, T: Plain> {
    held: HeldSlot<'a, T>,
}

impl<T: Plain> InPlaceLease<'_, T> {
    /// Acknowledges the item: no other receiver gets it, and its place is free.
    pub fn ack(self) {
        let this = core::mem::ManuallyDrop::new(self);
        this.held.queue.acknowledge(this.held.claim);
    }
}

impl<T: Plain> Deref for InPlaceLease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: as in `Loan::deref`; the slot is READING and ours, so it is not written to, and
        // its contents were acquired with the claim.
        unsafe { &*self.held.item() }
    }
}

impl<T: Plain> Drop for InPlaceLease<'_, T> {
    fn drop(&mut self) {
        let HeldSlot { queue, claim, .. } = &self.held;
        match queue.orphans {
            Orphans::Redeliver => queue.give_back(*claim),
            Orphans::Drop => queue.acknowledge(*claim),
        }
    }
}

impl<T: Plain> fmt::Debug for InPlaceLease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InPlaceLease").finish_non_exhaustive()
    }
}
