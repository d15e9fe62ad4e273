//! A bounded queue between processes. The algorithms are in [`raw::queue`](crate::raw::queue) and
//! [`raw::channel`](crate::raw::channel); here are the waiting, the items, and the leases.
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
mod other_end;

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32 as Word;
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use crate::error::{Error, RecvError, Result, SendError};
use crate::plain::{self, Plain};
use crate::raw::channel::Channel;
use crate::raw::event_count;
pub use crate::raw::queue::Orphans;
use crate::raw::queue::{Claim, MAX_SLOTS, Ring, RingError};
use crate::readiness::{self, Readiness, Watched};
use crate::segment::{Block, Segment};

pub use self::halves::{Receiver, Sender, queue};
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

/// Behind the event counts of items and of room: the processor, plus 1, of the thread that woke a
/// waiter last. A hint.
const WAKER: usize = 4;

/// The time in milliseconds after the last sweep for the dead before a try sweeps again.
const SWEEP_EVERY: u64 = 10;

/// The number of receives after which one looks for what the dead left, though there are items. A
/// power of two.
const SWEEP_TURN: u32 = 1024;

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

    /// Receives, waiting while there is no item as a task does: on any executor. One thread of this
    /// process waits for all its tasks, see [`Readiness`].
    ///
    /// Cancel-safe: a wait that is dropped has taken no item, and a wake that it had consumed goes
    /// to the next receiver. Tasks are not in a line.
    ///
    /// ```
    /// use sync_core::task::block_on;
    /// use sync_ipc::{Queue, Segment};
    ///
    /// let segment = Segment::anonymous(4096)?;
    /// let jobs = Queue::<u32>::create(&segment, "jobs", 4)?;
    /// # let jobs = &jobs;
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| jobs.put(7).expect("room"));
    ///     assert_eq!(block_on(jobs.get_async()), Ok(7));
    /// });
    /// # Ok::<(), sync_ipc::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`]; [`RecvError::NotAttached`] also if the system has no thread.
    #[doc(alias = "recv_async")]
    pub async fn get_async(&self) -> Result<T, RecvError>
    where
        T: 'static,
    {
        let claim = self.take_async().await?;
        Ok(self.finish(claim))
    }

    /// As [`get_lease`](Self::get_lease), as a task: see [`get_async`](Self::get_async).
    ///
    /// # Errors
    ///
    /// As [`get_async`](Self::get_async).
    pub async fn get_lease_async(&self) -> Result<Lease<'_, T>, RecvError>
    where
        T: 'static,
    {
        let claim = self.take_async().await?;
        Ok(self.lease(claim))
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

    /// Receives by a lease: until [`Lease::ack`], the item is not gone, and goes to another
    /// receiver if we drop the lease or die.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_lease")]
    pub fn get_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(None)?))
    }

    /// As [`get_lease`](Self::get_lease), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "recv_lease_timeout")]
    pub fn get_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(Deadline::after(timeout))?))
    }

    /// As [`get_lease`](Self::get_lease), if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "try_recv_lease")]
    pub fn try_get_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        let claim = self.take_now(false).map_err(|error| RecvError::new(error, false))?;
        Ok(self.lease(claim))
    }

    fn lease(&self, claim: Claim) -> Lease<'_, T> {
        Lease {
            item: plain::load(&self.block, self.item_at(claim.slot)),
            queue: self,
            claim: Some(claim),
        }
    }
}

/// A queue as the thread of the tasks waits for its items.
pub(crate) struct WatchedQueue<T> {
    queue: Queue<T>,
    announced: Option<event_count::Announced>,
}

impl<T> Watched for WatchedQueue<T> {
    fn word(&self) -> &Word {
        self.queue.channel().items
    }

    fn watch(&mut self, look: bool) -> core::result::Result<(), u32> {
        let queue = &self.queue;
        let (channel, peers) = (queue.channel(), queue.peers());
        event_count::watch(channel.items, peers, &mut self.announced, look, |look| {
            let ended = queue.other_end_is_gone(SENDERS_LEFT, true);
            channel.is_ready(peers, look, ended).then_some(())
        })
    }

    fn unwatch(&mut self) {
        let (channel, peers) = (self.queue.channel(), self.queue.peers());
        event_count::unwatch(channel.items, peers, &mut self.announced);
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

    #[cold]
    fn with_room<R>(
        &self,
        deadline: Option<Deadline>,
        now: impl Fn(bool) -> Result<R, RingError>,
    ) -> Result<R, RingError> {
        let attempt = |look| match now(look) {
            Err(RingError::Full) if self.other_end_is_gone(RECEIVERS_LEFT, true) => {
                Some(Err(RingError::Disconnected))
            }
            Err(RingError::Full) => None,
            sent => Some(sent),
        };
        let mut spin = Spin::new();
        while self.is_worth_a_spin(ROOM_EVENT) && spin.turn() {
            match now(false) {
                Err(RingError::Full) => {}
                sent => return sent,
            }
        }
        let sent =
            event_count::wait_until(self.block.u32(ROOM_EVENT), self.peers(), deadline, attempt);
        sent.unwrap_or(Err(RingError::Full))
    }

    /// Claims the place of an item. With `look`, sweeps for the items of the dead.
    #[inline]
    fn claim_now(&self, look: bool) -> Result<Claim, RingError> {
        let (channel, peers) = (self.channel(), self.peers());
        if self.other_end.is_some() && self.other_end_is_gone(RECEIVERS_LEFT, false) {
            return Err(RingError::Disconnected);
        }
        match channel.start_send(peers) {
            Err(RingError::Full) if look || self.time_to_sweep() => {
                self.sweep(false)?;
                match channel.start_send(peers) {
                    // A receiver that was killed leaves no note.
                    Err(RingError::Full) if self.other_end_is_gone(RECEIVERS_LEFT, true) => {
                        Err(RingError::Disconnected)
                    }
                    claimed => claimed,
                }
            }
            claimed => claimed,
        }
    }

    /// Sends the item in a claimed place.
    #[inline]
    fn commit(&self, claim: Claim) -> Result<(), RingError> {
        let peers = self.peers();
        self.ring().commit(peers, claim)?;
        if event_count::is_awaited(self.block.u32(ITEMS_EVENT), peers) {
            self.wake(ITEMS_EVENT, 1);
        }
        Ok(())
    }

    /// Whether this is one half of a queue, and no participant holds the other half. Unless
    /// `thorough`, the kernel is queried only if the last holder left a note.
    fn other_end_is_gone(&self, note: u32, thorough: bool) -> bool {
        let Some(other) = &self.other_end else { return false };
        // Relaxed: a hint.
        let asks = thorough || self.block.u32(ENDS).load(Ordering::Relaxed) & note != 0;
        asks && other.is_gone(self.segment())
    }

    #[cold]
    fn wake(&self, event: usize, count: u32) {
        // Before the wake: the woken thread may run before this thread runs again. Relaxed: a hint.
        self.block.u32(event + WAKER).store(processor(), Ordering::Relaxed);
        event_count::wake(self.block.u32(event), self.peers(), count);
    }

    /// Whether a spin may help: not if the thread that this thread waits for runs on the same
    /// processor.
    fn is_worth_a_spin(&self, event: usize) -> bool {
        // Relaxed: a hint, and a number from outside that is only compared.
        self.block.u32(event + WAKER).load(Ordering::Relaxed) != processor()
    }

    #[inline]
    fn take_until(&self, deadline: Option<Deadline>) -> Result<Claim, RecvError> {
        let taken = match self.take_now(false) {
            Err(RingError::Empty) => self.take_slow(deadline),
            taken => taken,
        };
        taken.map_err(|error| RecvError::new(error, true))
    }

    #[cold]
    fn take_slow(&self, deadline: Option<Deadline>) -> Result<Claim, RingError> {
        let mut spin = Spin::new();
        while self.is_worth_a_spin(ITEMS_EVENT) && spin.turn() {
            match self.take_now(false) {
                Err(RingError::Empty) => {}
                taken => return taken,
            }
        }
        let word = self.block.u32(ITEMS_EVENT);
        let taken = event_count::wait_until(word, self.peers(), deadline, |look| {
            // Queried before the look at the items: items that were sent before the end are found.
            let ended = self.other_end_is_gone(SENDERS_LEFT, true);
            match self.take(look, ended) {
                Err(RingError::Empty) => None,
                taken => Some(taken),
            }
        });
        taken.unwrap_or(Err(RingError::Empty))
    }

    #[inline]
    fn take_now(&self, look: bool) -> Result<Claim, RingError> {
        let ended = self.other_end.is_some() && self.other_end_is_gone(SENDERS_LEFT, false);
        self.take(look, ended)
    }

    #[inline]
    fn take(&self, look: bool, ended: bool) -> Result<Claim, RingError> {
        // Relaxed, and no read-modify-write: a turn lost to another thread is no loss.
        let turn = self.received.load(Ordering::Relaxed).wrapping_add(1);
        self.received.store(turn, Ordering::Relaxed);
        let found = if turn & (SWEEP_TURN - 1) == 0 { self.sweep(true)? } else { None };
        if let Some(claim) = found {
            return Ok(claim);
        }
        let channel = self.channel();
        match channel.start_recv(self.peers(), look, ended) {
            // The dead may have left an item; and they leave no note that they are gone.
            Err(RingError::Empty) if !look && self.time_to_sweep() => {
                self.swept_now();
                let ended = ended || self.other_end_is_gone(SENDERS_LEFT, true);
                channel.start_recv(self.peers(), true, ended)
            }
            taken => taken,
        }
    }

    fn acknowledge(&self, claim: Claim) {
        let (channel, peers) = (self.channel(), self.peers());
        if channel.ring.acknowledge(peers, claim) {
            if event_count::is_awaited(self.block.u32(ROOM_EVENT), peers) {
                self.wake(ROOM_EVENT, 1);
            }
            // The fence before the look at the first event count is before these looks too.
            if event_count::is_awaited_fenced(self.block.u32(IDLE_EVENT), peers) {
                event_count::wake(self.block.u32(IDLE_EVENT), peers, u32::MAX);
            }
            channel.notify_closed(peers);
        }
    }

    fn give_back(&self, claim: Claim) {
        self.channel().give_back(self.peers(), claim);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn time_to_sweep(&self) -> bool {
        // Relaxed: two threads that sweep at once do no harm.
        self.now().saturating_sub(self.swept.load(Ordering::Relaxed)) >= SWEEP_EVERY
    }

    fn swept_now(&self) {
        // Relaxed: two threads that sweep at once do no harm.
        self.swept.store(self.now(), Ordering::Relaxed);
    }

    /// Sweeps for the items of the dead; may return an item for the caller.
    #[cold]
    fn sweep(&self, receives: bool) -> Result<Option<Claim>, RingError> {
        self.swept_now();
        self.channel().sweep(self.peers(), receives)
    }

    /// A descriptor that is readable when a receive may find something. For `poll` loops and for
    /// `async` code.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor or no thread.
    pub fn readiness(&self) -> Result<Readiness>
    where
        T: 'static,
    {
        Ok(Readiness::new(Box::new(self.watched()))?)
    }

    pub(crate) fn watched(&self) -> WatchedQueue<T> {
        let mut queue =
            Self::with_stride(self.block.clone(), self.capacity, self.orphans, self.stride);
        queue.other_end = self.other_end.clone();
        WatchedQueue { queue, announced: None }
    }

    /// Takes an item as a task: what [`get_async`](Self::get_async) does.
    pub(super) async fn take_async(&self) -> Result<Claim, RecvError>
    where
        T: 'static,
    {
        let mut taken = self.take_now(false);
        loop {
            match taken {
                Err(RingError::Empty) => {}
                taken => return taken.map_err(|error| RecvError::new(error, true)),
            }
            // An item that was there may be taken already.
            if readiness::once(Box::new(self.watched())).await.is_err() {
                return Err(RecvError::new(RingError::NotAttached, true));
            }
            let ended = self.other_end_is_gone(SENDERS_LEFT, true);
            taken = self.take(true, ended);
        }
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

    /// Waits until every item that was sent has been acknowledged; `false` at the deadline.
    pub(crate) fn wait_idle(&self, deadline: Option<Deadline>) -> Result<bool, RecvError> {
        let (word, peers) = (self.block.u32(IDLE_EVENT), self.peers());
        let idle = event_count::wait_until(word, peers, deadline, |look| {
            // An item that a dead sender left unsent is not waited for.
            let swept = if look { self.sweep(false).map(drop) } else { Ok(()) };
            match swept {
                Err(error) => Some(Err(RecvError::new(error, true))),
                Ok(()) => self.ring().is_idle(peers).then_some(Ok(())),
            }
        });
        idle.transpose().map(|idle| idle.is_some())
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

/// The processor that we run on, plus 1.
fn processor() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0).wrapping_add(1)
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("capacity", &self.capacity)
            .field("orphans", &self.orphans)
            .finish_non_exhaustive()
    }
}

/// An item that was received by a lease.
#[must_use = "a lease that is dropped gives its item back"]
pub struct Lease<'a, T: Plain> {
    queue: &'a Queue<T>,
    claim: Option<Claim>,
    item: T,
}

impl<T: Plain> Lease<'_, T> {
    /// The item.
    #[must_use]
    pub fn item(&self) -> &T {
        &self.item
    }

    /// Acknowledges the item: no other receiver gets it. Does nothing in a forked child's copy of
    /// the lease.
    pub fn ack(mut self) {
        if let Some(claim) = self.claim.take() {
            self.queue.acknowledge(claim);
        }
    }
}

impl<T: Plain> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            // With `Orphans::Drop`, no other receiver gets the item of a dropped lease.
            match self.queue.orphans {
                Orphans::Redeliver => self.queue.give_back(claim),
                Orphans::Drop => self.queue.acknowledge(claim),
            }
        }
    }
}

impl<T: Plain + fmt::Debug> fmt::Debug for Lease<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("item", &self.item).finish_non_exhaustive()
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
