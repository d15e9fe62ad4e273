//! A bounded queue between processes. The algorithms are in [`raw::queue`](crate::raw::queue) and
//! [`raw::channel`](crate::raw::channel). Here are the memory and the items; `waiting` has how
//! operations wait, `watching` how tasks and descriptors do, `lease` the items on lease.
//!
//! Memory, by offset: head u64, tail u64, three event counts u32 (items, room, idle), each on a
//! cache line of its own, the first two with a hint u32 behind them, the third with four words u32
//! (closed, given back, drained, ends); ring cells, slots and origins u64 each, items. The entry's
//! parameter is the capacity, and in its bit 32 what becomes of orphans.

pub(crate) mod bytes;
mod former;
mod halves;
pub(crate) mod in_place;
pub(crate) mod joinable;
mod lease;
mod other_end;
mod waiting;
pub(crate) mod watching;

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64};
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::error::{Error, RecvError, Result, SendError};
use crate::plain::{self, Plain};
use crate::raw::channel::Channel;
pub use crate::raw::queue::Orphans;
use crate::raw::queue::{Claim, MAX_SLOTS, Ring, RingError};
use crate::segment::{Block, Segment};

pub use self::halves::{Receiver, Sender, queue};
pub use self::lease::Lease;
use self::other_end::OtherEnd;

const HEAD: usize = 0;
const TAIL: usize = 64;
const ITEMS_EVENT: usize = 128;
const ROOM_EVENT: usize = 192;
const IDLE_EVENT: usize = 256;
const CLOSED: usize = 260;
const GIVEN_BACK: usize = 264;
const DRAINED: usize = 268;
const ENDS: usize = 272;
const CELLS: usize = 320;

/// The bytes of the words of one slot: its cell, its state, its origin.
const WORDS: usize = 24;

/// In the word of the ends: the last sender, or the last receiver, left in good order. A hint: the
/// kernel is queried before anything depends on it.
const SENDERS_LEFT: u32 = 1;
const RECEIVERS_LEFT: u32 = 2;

const DROP_ORPHANS: u64 = 1 << 32;

/// The options of a new queue.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// The most items that it holds, including leased items that are not acknowledged. At most
    /// 16,384.
    pub capacity: usize,
    /// The treatment of an item whose receiver died before it acknowledged.
    pub orphans: Orphans,
}

/// A bounded first-in-first-out queue of plain data in a [`Segment`], for any number of senders and
/// receivers.
///
/// * An item whose `send` returned is seen by every receive that starts afterwards, and survives
///   its sender's death.
/// * A sender that dies before that leaves nothing.
/// * A receiver that dies before its [`get`](Self::get) returned, or with a [`Lease`], leaves the
///   item to another receiver, or the item is dropped, as [`QueueOptions::orphans`] is set. So
///   leased items are delivered at least once, and others at most once.
/// * A process that is stopped in the middle of an operation holds up no other process.
///
/// ```
/// use sync_ipc::{Queue, Segment};
///
/// let segment = Segment::anonymous(65536)?;
/// let jobs = Queue::<u64>::create(&segment, "jobs", 8)?;
/// jobs.put(1)?;
/// jobs.put(2)?;
/// assert_eq!(jobs.get()?, 1);
/// let lease = jobs.get_lease()?;
/// assert_eq!(*lease.item(), 2);
/// lease.ack(); // or, if we die first, another receiver gets it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// Writes before a send are visible after the receive of that item.
pub struct Queue<T> {
    block: Block,
    capacity: usize,
    orphans: Orphans,
    /// The bytes of an item's place.
    stride: usize,
    started: Instant,
    /// Milliseconds after `started` of this handle's last sweep.
    swept: AtomicU64,
    received: AtomicU32,
    /// For a half of a [`queue`]: the opposite end.
    other_end: Option<OtherEnd>,
    item: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Queue<T> {
    fn kind() -> u64 {
        plain::kind_of::<T>("queue")
    }

    fn stride() -> usize {
        size_of::<T>().next_multiple_of(8)
    }

    fn layout(capacity: usize) -> Option<usize> {
        layout(capacity, Self::stride())
    }

    fn over(block: Block, capacity: usize, orphans: Orphans) -> Self {
        Self::with_stride(block, capacity, orphans, Self::stride())
    }
}

/// The bound is at the functions: so a type that is not [`Plain`] is an error that tells what to
/// derive, and not a function that is missing.
impl<T> Queue<T> {
    /// A new queue of `capacity` items that redelivers the items of dead receivers.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and more than 16,384; else as for any object.
    pub fn create(segment: &Segment, name: &str, capacity: usize) -> Result<Self>
    where
        T: Plain,
    {
        Self::with_options(segment, name, QueueOptions { capacity, orphans: Orphans::Redeliver })
    }

    /// A new queue.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn with_options(segment: &Segment, name: &str, options: QueueOptions) -> Result<Self>
    where
        T: Plain,
    {
        Self::place(segment, name, options, Self::kind(), Self::stride())
    }

    /// The queue of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self>
    where
        T: Plain,
    {
        let (block, QueueOptions { capacity, orphans }) = find(segment, name, Self::kind())?;
        Ok(Self::over(block.expect_size(Self::layout(capacity))?, capacity, orphans))
    }
}

impl<T: Plain> Queue<T> {
    /// Sends, waiting while there is no room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "send")]
    pub fn put(&self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, None)
    }

    /// Sends, waiting at most `timeout` for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "send_timeout")]
    pub fn put_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_until(item, Deadline::after(timeout))
    }

    /// Sends, waiting at most until `deadline` for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "send_deadline")]
    pub fn put_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.send_until(item, Deadline::at(deadline))
    }

    /// Sends if there is room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "put_nowait")]
    #[doc(alias = "try_send")]
    pub fn try_put(&self, item: T) -> Result<(), SendError<T>> {
        self.send_now(&item, false).map_err(|error| SendError::new(error, item, false))
    }

    /// Sends a copy, waiting while there is no room. For large items: they are copied once, into
    /// the queue, and moved nowhere before.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    #[doc(alias = "send_ref")]
    pub fn put_ref(&self, item: &T) -> Result<(), SendError<()>> {
        let sent = match self.send_now(item, false) {
            Err(RingError::Full) => self.with_room(None, |look| self.send_now(item, look)),
            sent => sent,
        };
        sent.map_err(|error| SendError::new(error, (), true))
    }

    fn send_until(&self, item: T, deadline: Option<Deadline>) -> Result<(), SendError<T>> {
        let sent = match self.send_now(&item, false) {
            Err(RingError::Full) => self.with_room(deadline, |look| self.send_now(&item, look)),
            sent => sent,
        };
        sent.map_err(|error| SendError::new(error, item, true))
    }

    /// With `look`, sweeps for the items of the dead.
    #[inline]
    fn send_now(&self, item: &T, look: bool) -> Result<(), RingError> {
        let claim = self.claim_now(look)?;
        plain::store(&self.block, self.item_at(claim.slot), item);
        self.commit(claim)
    }

    /// Receives, waiting while there is no item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv")]
    pub fn get(&self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// Receives, waiting at most `timeout` for an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_timeout")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(Deadline::after(timeout))
    }

    /// Receives, waiting at most until `deadline` for an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_deadline")]
    pub fn get_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.recv_until(Deadline::at(deadline))
    }

    /// Receives if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get_nowait")]
    #[doc(alias = "try_recv")]
    pub fn try_get(&self) -> Result<T, RecvError> {
        let claim = self.take_now(false).map_err(|error| RecvError::new(error, false))?;
        Ok(self.finish(claim))
    }

    /// Receives into `item`, waiting while there is none. For large items: they are copied once,
    /// out of the queue, and moved nowhere afterwards.
    ///
    /// ```
    /// use sync_ipc::{Queue, Segment};
    ///
    /// let segment = Segment::anonymous(65536)?;
    /// let frames = Queue::<[u8; 4096]>::create(&segment, "frames", 8)?;
    /// let mut frame = [7; 4096];
    /// frames.put_ref(&frame)?;
    /// frame.fill(0);
    /// frames.get_into(&mut frame)?;
    /// assert_eq!(frame, [7; 4096]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`]; `item` is unchanged.
    #[doc(alias = "recv_into")]
    pub fn get_into(&self, item: &mut T) -> Result<(), RecvError> {
        let claim = self.take_until(None)?;
        self.block.read(self.item_at(claim.slot), item.as_mut_bytes());
        self.acknowledge(claim);
        Ok(())
    }

    fn recv_until(&self, deadline: Option<Deadline>) -> Result<T, RecvError> {
        let claim = self.take_until(deadline)?;
        Ok(self.finish(claim))
    }

    fn finish(&self, claim: Claim) -> T {
        let item = plain::load(&self.block, self.item_at(claim.slot));
        self.acknowledge(claim);
        item
    }
}

impl<T> Queue<T> {
    fn with_stride(block: Block, capacity: usize, orphans: Orphans, stride: usize) -> Self {
        Self {
            block,
            capacity,
            orphans,
            stride,
            started: Instant::now(),
            swept: AtomicU64::new(0),
            received: AtomicU32::new(0),
            other_end: None,
            item: PhantomData,
        }
    }

    fn place(
        segment: &Segment,
        name: &str,
        options: QueueOptions,
        kind: u64,
        stride: usize,
    ) -> Result<Self> {
        let QueueOptions { capacity, orphans } = options;
        if capacity == 0 || capacity > MAX_SLOTS {
            return Err(Error::BadSize);
        }
        let size = layout(capacity, stride).ok_or(Error::BadSize)?;
        let parameter = capacity as u64 | if orphans == Orphans::Drop { DROP_ORPHANS } else { 0 };
        // Zeros are an empty ring of lap 0, and free slots of use 0.
        let block = segment.place(name, kind, size, parameter, |_| {})?;
        Ok(Self::with_stride(block, capacity, orphans, stride))
    }

    fn item_at(&self, slot: usize) -> usize {
        CELLS + self.capacity * WORDS + slot * self.stride
    }

    /// Closes the queue, for all processes and forever: from now on `send` fails, and `recv` does
    /// once no item can come any more.
    ///
    /// A send that runs at the same time fails, or its item is received. An item on lease can come
    /// back, unless the queue [drops](Orphans::Drop) what its receiver does not acknowledge: so a
    /// `recv` waits, and `try_recv` returns [`RecvError::Empty`], until the last lease has ended.
    #[doc(alias = "close")]
    pub fn shutdown(&self) {
        self.channel().close(self.peers());
    }

    /// Whether the queue is closed.
    #[must_use]
    #[doc(alias = "is_closed")]
    pub fn is_shutdown(&self) -> bool {
        self.channel().is_closed(self.peers())
    }

    /// Returns the number of items that wait to be received. A snapshot.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.ring().len(self.peers())
    }

    /// Whether no item waits to be received. A snapshot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the most items that it holds.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// The segment it lies in: to pass to another process.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        self.block.segment()
    }

    #[inline]
    fn ring(&self) -> Ring<'_> {
        Ring {
            head: self.block.u64(HEAD),
            tail: self.block.u64(TAIL),
            cells: self.block.u64s(CELLS, self.capacity),
            slots: self.block.u64s(CELLS + self.capacity * 8, self.capacity),
            origins: self.block.u64s(CELLS + self.capacity * 16, self.capacity),
        }
    }

    #[inline]
    fn channel(&self) -> Channel<'_> {
        Channel {
            ring: self.ring(),
            orphans: self.orphans,
            closed: self.block.u32(CLOSED),
            given_back: self.block.u32(GIVEN_BACK),
            drained: self.block.u32(DRAINED),
            items: self.block.u32(ITEMS_EVENT),
            room: self.block.u32(ROOM_EVENT),
            idle: self.block.u32(IDLE_EVENT),
        }
    }

    #[inline]
    fn peers(&self) -> &Block {
        &self.block
    }
}

fn layout(capacity: usize, stride: usize) -> Option<usize> {
    capacity.checked_mul(stride.checked_add(WORDS)?)?.checked_add(CELLS)
}

/// Finds a queue, whose size is still to be compared.
fn find(segment: &Segment, name: &str, kind: u64) -> Result<(Block, QueueOptions)> {
    let block = segment.find(name, kind)?;
    let parameter = block.parameter();
    let capacity = usize::try_from(parameter & !DROP_ORPHANS)
        .ok()
        .filter(|n| (1..=MAX_SLOTS).contains(n))
        .ok_or(Error::Corrupted)?;
    let orphans = if parameter & DROP_ORPHANS == 0 { Orphans::Redeliver } else { Orphans::Drop };
    Ok((block, QueueOptions { capacity, orphans }))
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity)
            .field("orphans", &self.orphans)
            .finish_non_exhaustive()
    }
}

impl<T> Queue<T> {
    /// The object's memory.
    #[cfg(feature = "process")]
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }
}

handle!(
    [T: Plain] Queue<T>,
    |this| &this.block,
    Self::over(this.block.clone(), this.capacity, this.orphans)
);
