//! A bounded queue between processes. The algorithm is in [`raw::ring`](crate::raw::ring); here are
//! the waiting, the items, and the leases.
//!
//! Memory, by offset: head u64, tail u64, three gates u32 (items, room, idle), each on a cache line
//! of its own, the first two with a hint u32 behind them, the third with two flags u32 (closed,
//! given back); ring cells u64 each, slots u64 each, items. The entry's parameter is the capacity,
//! and in its bit 32 what becomes of orphans.

mod error;
mod halves;

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use crate::error::{Error, Result};
use crate::plain::{self, Plain};
pub use crate::raw::ring::Orphans;
use crate::raw::ring::{Claim, MAX_SLOTS, Ring, Trouble};
use crate::raw::{Patience, Slept, gate};
use crate::segment::{Block, Segment};

pub use self::error::{RecvError, SendError};
pub use self::halves::{Receiver, Sender, queue};

const HEAD: usize = 0;
const TAIL: usize = 64;
const ITEMS_GATE: usize = 128;
const ROOM_GATE: usize = 192;
const IDLE_GATE: usize = 256;
const CLOSED: usize = 260;
const GIVEN_BACK: usize = 264;
const CELLS: usize = 320;

/// Behind the gates of items and of room: the processor, plus 1, of whoever woke a waiter last. A
/// hint.
const WAKER: usize = 4;

/// How long ago the dead may have been looked for before a try looks again.
const SWEEP_EVERY: Duration = Duration::from_millis(10);

/// How many receives may go by before one looks for what the dead left, though there are items.
const SWEEP_TURN: u32 = 1024;

const DROP_ORPHANS: u64 = 1 << 32;

/// How a queue is made.
#[derive(Clone, Copy, Debug)]
pub struct QueueOptions {
    /// How many items it holds, those that are leased and not acknowledged included. At most
    /// 16,384.
    pub capacity: usize,
    /// What becomes of an item whose receiver died before it acknowledged.
    pub orphans: Orphans,
}

/// A bounded first-in-first-out queue of plain data in a [`Segment`], for any number of senders and
/// receivers.
///
/// * An item whose `send` returned is seen by every receive that starts afterwards, and survives
///   its sender's death.
/// * A sender that dies before that leaves nothing.
/// * A receiver that dies before its [`recv`](Self::recv) returned, or with a [`Lease`], leaves the
///   item to another receiver, or to nobody, as [`QueueOptions::orphans`] says. So leased items are
///   delivered at least once, and others not twice.
/// * A process that is stopped in the middle of anything holds up nobody.
///
/// ```
/// use sync_ipc::{Queue, Segment};
///
/// let segment = Segment::anonymous(65536)?;
/// let jobs = Queue::<u64>::create(&segment, "jobs", 8)?;
/// jobs.send(1)?;
/// jobs.send(2)?;
/// assert_eq!(jobs.recv()?, 1);
/// let lease = jobs.recv_lease()?;
/// assert_eq!(*lease.item(), 2);
/// lease.ack(); // or, if we die first, another receiver gets it
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// What was written before a send is visible after the receive of that item.
pub struct Queue<T> {
    block: Block,
    capacity: usize,
    orphans: Orphans,
    started: Instant,
    /// Milliseconds after `started` of this handle's last sweep.
    swept: AtomicU64,
    received: AtomicU32,
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
        capacity.checked_mul(Self::stride().checked_add(16)?)?.checked_add(CELLS)
    }

    fn over(block: Block, capacity: usize, orphans: Orphans) -> Self {
        Self {
            block,
            capacity,
            orphans,
            started: Instant::now(),
            swept: AtomicU64::new(0),
            received: AtomicU32::new(0),
            item: PhantomData,
        }
    }

    /// A new queue of `capacity` items that redelivers what the dead received.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and more than 16,384; else as for any object.
    pub fn create(segment: &Segment, name: &str, capacity: usize) -> Result<Self> {
        Self::with_options(segment, name, QueueOptions { capacity, orphans: Orphans::Redeliver })
    }

    /// A new queue.
    ///
    /// # Errors
    ///
    /// As [`create`](Self::create).
    pub fn with_options(segment: &Segment, name: &str, options: QueueOptions) -> Result<Self> {
        let QueueOptions { capacity, orphans } = options;
        if capacity == 0 || capacity > MAX_SLOTS {
            return Err(Error::BadSize);
        }
        let size = Self::layout(capacity).ok_or(Error::BadSize)?;
        let parameter = capacity as u64 | if orphans == Orphans::Drop { DROP_ORPHANS } else { 0 };
        // Zeros are an empty ring of lap 0, and free slots of use 0.
        let block = segment.place(name, Self::kind(), size, parameter, |_| {})?;
        Ok(Self::over(block, capacity, orphans))
    }

    /// The queue of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, Self::kind())?;
        let parameter = block.parameter();
        let capacity = usize::try_from(parameter & !DROP_ORPHANS).ok().filter(|n| (1..=MAX_SLOTS).contains(n)).ok_or(Error::Corrupted)?;
        let orphans = if parameter & DROP_ORPHANS == 0 { Orphans::Redeliver } else { Orphans::Drop };
        Ok(Self::over(block.expect_size(Self::layout(capacity))?, capacity, orphans))
    }

    #[inline]
    fn ring(&self) -> Ring<'_> {
        Ring {
            head: self.block.u64(HEAD),
            tail: self.block.u64(TAIL),
            cells: self.block.u64s(CELLS, self.capacity),
            slots: self.block.u64s(CELLS + self.capacity * 8, self.capacity),
        }
    }

    #[inline]
    fn peers(&self) -> &Block {
        &self.block
    }

    fn item_at(&self, slot: usize) -> usize {
        CELLS + self.capacity * 16 + slot * Self::stride()
    }

    /// Sends, waiting while there is no room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "put")]
    pub fn send(&self, item: T) -> Result<(), SendError<T>> {
        self.send_until(item, None)
    }

    /// Sends, waiting at most `timeout` for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_timeout(&self, item: T, timeout: Duration) -> Result<(), SendError<T>> {
        self.send_until(item, Deadline::after(timeout))
    }

    /// Sends, waiting at most until `deadline` for room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    pub fn send_deadline(&self, item: T, deadline: Instant) -> Result<(), SendError<T>> {
        self.send_until(item, Deadline::at(deadline))
    }

    /// Sends if there is room.
    ///
    /// # Errors
    ///
    /// [`SendError`], with the item.
    #[doc(alias = "put_nowait")]
    pub fn try_send(&self, item: T) -> Result<(), SendError<T>> {
        let sent = self.send_now(&item, false);
        sent.map_err(|trouble| SendError::new(trouble, item, false))
    }

    /// Sends a copy, waiting while there is no room. For large items: they are copied once, into
    /// the queue, and moved nowhere before.
    ///
    /// # Errors
    ///
    /// [`SendError`].
    pub fn send_ref(&self, item: &T) -> Result<(), SendError<()>> {
        let sent = match self.send_now(item, false) {
            Err(Some(Trouble::Full)) => self.send_slow(item, None),
            sent => sent,
        };
        sent.map_err(|trouble| SendError::new(trouble, (), true))
    }

    fn send_until(&self, item: T, deadline: Option<Deadline>) -> Result<(), SendError<T>> {
        match self.send_now(&item, false) {
            Ok(()) => Ok(()),
            Err(Some(Trouble::Full)) => {
                let sent = self.send_slow(&item, deadline);
                sent.map_err(|trouble| SendError::new(trouble, item, true))
            }
            Err(trouble) => Err(SendError::new(trouble, item, true)),
        }
    }

    #[cold]
    fn send_slow(&self, item: &T, deadline: Option<Deadline>) -> Result<(), Option<Trouble>> {
        let full = |sent: &Result<(), Option<Trouble>>| matches!(sent, Err(Some(Trouble::Full)));
        let mut spin = Spin::new();
        while self.is_worth_a_spin(ROOM_GATE) && spin.turn() {
            let sent = self.send_now(item, false);
            if !full(&sent) {
                return sent;
            }
        }
        let (word, mut patience) = (self.block.u32(ROOM_GATE), Patience::at_a_gate());
        loop {
            let announced = gate::announce(word, self.peers());
            let sent = self.send_now(item, false);
            if !full(&sent) {
                gate::withdraw(word, self.peers(), announced);
                return sent;
            }
            let why = gate::sleep(word, self.peers(), announced, &mut patience, deadline);
            let sent = self.send_now(item, why != Slept::Woken);
            if !full(&sent) || why == Slept::Deadline {
                return sent;
            }
        }
    }

    /// `Err(None)`: closed.
    fn send_now(&self, item: &T, sweep: bool) -> Result<(), Option<Trouble>> {
        // Acquire: pairs with the Release in `close`.
        if self.block.u32(CLOSED).load(Ordering::Acquire) != 0 {
            return Err(None);
        }
        let (ring, peers) = (self.ring(), self.peers());
        let claim = match ring.claim(peers) {
            Err(Trouble::Full) if sweep || self.time_to_sweep() => {
                self.sweep(false)?;
                ring.claim(peers)?
            }
            claimed => claimed?,
        };
        plain::store(&self.block, self.item_at(claim.slot), item);
        ring.commit(peers, claim)?;
        if gate::is_awaited(self.block.u32(ITEMS_GATE), peers) {
            self.wake(ITEMS_GATE, 1);
        }
        Ok(())
    }

    #[cold]
    fn wake(&self, gate: usize, count: u32) {
        // Before the wake: who is woken may run before we do again. Relaxed: a hint.
        self.block.u32(gate + WAKER).store(processor(), Ordering::Relaxed);
        gate::wake(self.block.u32(gate), self.peers(), count);
    }

    /// Whether it may help to look again and again: not if those for whom we wait run on this very
    /// processor.
    fn is_worth_a_spin(&self, gate: usize) -> bool {
        // Relaxed: a hint, and a number from outside that is only compared.
        self.block.u32(gate + WAKER).load(Ordering::Relaxed) != processor()
    }

    /// Receives, waiting while there is no item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get")]
    pub fn recv(&self) -> Result<T, RecvError> {
        self.recv_until(None)
    }

    /// Receives, waiting at most `timeout` for an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_timeout(&self, timeout: Duration) -> Result<T, RecvError> {
        self.recv_until(Deadline::after(timeout))
    }

    /// Receives, waiting at most until `deadline` for an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvError> {
        self.recv_until(Deadline::at(deadline))
    }

    /// Receives if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    #[doc(alias = "get_nowait")]
    pub fn try_recv(&self) -> Result<T, RecvError> {
        let claim = self.take_now(false).map_err(|trouble| RecvError::new(trouble, false))?;
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
    /// frames.send_ref(&frame)?;
    /// frame.fill(0);
    /// frames.recv_into(&mut frame)?;
    /// assert_eq!(frame, [7; 4096]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RecvError`]; `item` is as it was.
    pub fn recv_into(&self, item: &mut T) -> Result<(), RecvError> {
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

    /// Receives on probation: until [`Lease::ack`], the item is not gone, and goes to another
    /// receiver if we drop the lease or die.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(None)?))
    }

    /// As [`recv_lease`](Self::recv_lease), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn recv_lease_timeout(&self, timeout: Duration) -> Result<Lease<'_, T>, RecvError> {
        Ok(self.lease(self.take_until(Deadline::after(timeout))?))
    }

    /// As [`recv_lease`](Self::recv_lease), if there is an item.
    ///
    /// # Errors
    ///
    /// [`RecvError`].
    pub fn try_recv_lease(&self) -> Result<Lease<'_, T>, RecvError> {
        let claim = self.take_now(false).map_err(|trouble| RecvError::new(trouble, false))?;
        Ok(self.lease(claim))
    }

    fn lease(&self, claim: Claim) -> Lease<'_, T> {
        Lease { item: plain::load(&self.block, self.item_at(claim.slot)), queue: self, claim: Some(claim) }
    }

    #[inline]
    fn take_until(&self, deadline: Option<Deadline>) -> Result<Claim, RecvError> {
        match self.take_now(false) {
            Ok(claim) => Ok(claim),
            Err(Some(Trouble::Empty)) => self.take_slow(deadline).map_err(|trouble| RecvError::new(trouble, true)),
            Err(trouble) => Err(RecvError::new(trouble, true)),
        }
    }

    #[cold]
    fn take_slow(&self, deadline: Option<Deadline>) -> Result<Claim, Option<Trouble>> {
        let empty = |taken: &Result<Claim, Option<Trouble>>| matches!(taken, Err(Some(Trouble::Empty)));
        let mut spin = Spin::new();
        while self.is_worth_a_spin(ITEMS_GATE) && spin.turn() {
            let taken = self.take_now(false);
            if !empty(&taken) {
                return taken;
            }
        }
        let (word, mut patience) = (self.block.u32(ITEMS_GATE), Patience::at_a_gate());
        loop {
            let announced = gate::announce(word, self.peers());
            let taken = self.take_now(false);
            if !empty(&taken) {
                gate::withdraw(word, self.peers(), announced);
                return taken;
            }
            let why = gate::sleep(word, self.peers(), announced, &mut patience, deadline);
            let taken = self.take_now(why != Slept::Woken);
            if !empty(&taken) || why == Slept::Deadline {
                return taken;
            }
        }
    }

    /// `Err(None)`: closed and empty.
    #[inline]
    fn take_now(&self, sweep: bool) -> Result<Claim, Option<Trouble>> {
        // Relaxed, and no read-modify-write: a turn lost to another thread is no loss.
        let turn = self.received.load(Ordering::Relaxed).wrapping_add(1);
        self.received.store(turn, Ordering::Relaxed);
        if turn.is_multiple_of(SWEEP_TURN)
            && let Some(claim) = self.sweep(true)?
        {
            return Ok(claim);
        }
        // Acquire: pairs with the Release in `close`. Before the look: whatever was sent before the
        // close is found.
        let closed = self.block.u32(CLOSED).load(Ordering::Acquire) != 0;
        match self.ring().take(self.peers()) {
            Err(Trouble::Empty) => {}
            taken => return Ok(taken?),
        }
        // Acquire: pairs with the Release in `give_back`.
        let given_back = self.block.u32(GIVEN_BACK).load(Ordering::Acquire) != 0;
        if given_back {
            // Before the sweep: what is given back during it is announced anew.
            self.block.u32(GIVEN_BACK).store(0, Ordering::SeqCst);
        }
        if (given_back || sweep || self.time_to_sweep())
            && let Some(claim) = self.sweep(true)?
        {
            if given_back {
                // There may be more.
                self.announce_given_back();
            }
            return Ok(claim);
        }
        Err(if closed { None } else { Some(Trouble::Empty) })
    }

    fn acknowledge(&self, claim: Claim) {
        let peers = self.peers();
        if self.ring().acknowledge(peers, claim) {
            if gate::is_awaited(self.block.u32(ROOM_GATE), peers) {
                self.wake(ROOM_GATE, 1);
            }
            // The fence before the look at the first gate is before this look too.
            if gate::is_awaited_fenced(self.block.u32(IDLE_GATE), peers) {
                gate::wake(self.block.u32(IDLE_GATE), peers, u32::MAX);
            }
        }
    }

    fn give_back(&self, claim: Claim) {
        if self.ring().give_back(self.peers(), claim) {
            self.announce_given_back();
        }
    }

    fn announce_given_back(&self) {
        // Release: pairs with the Acquire in `take_now`.
        // A read-modify-write, as `gate::notify` wants it.
        self.block.u32(GIVEN_BACK).swap(1, Ordering::Release);
        gate::notify(self.block.u32(ITEMS_GATE), self.peers(), 1);
    }

    fn time_to_sweep(&self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        // Relaxed: two threads that sweep at once do no harm.
        now.saturating_sub(self.swept.load(Ordering::Relaxed)) >= SWEEP_EVERY.as_millis() as u64
    }

    /// Looks for what the dead left; may find an item for us.
    #[cold]
    fn sweep(&self, receives: bool) -> Result<Option<Claim>, Option<Trouble>> {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.swept.store(now, Ordering::Relaxed);
        let found = self.ring().sweep(self.peers(), self.orphans, receives)?;
        if found.freed > 0 {
            gate::notify(self.block.u32(ROOM_GATE), self.peers(), u32::try_from(found.freed).unwrap_or(u32::MAX));
            gate::notify(self.block.u32(IDLE_GATE), self.peers(), u32::MAX);
        }
        Ok(found.taken)
    }

    /// Sends no more: from now on `send` fails, and `recv` does once the queue is empty. For all
    /// processes, for ever.
    ///
    /// A send that runs at the same time may still succeed; its item waits for whoever receives
    /// afterwards.
    pub fn close(&self) {
        // Release: pairs with the Acquire of the looks.
        // A read-modify-write, as `gate::notify` wants it.
        self.block.u32(CLOSED).swap(1, Ordering::Release);
        for word in [ITEMS_GATE, ROOM_GATE, IDLE_GATE] {
            gate::notify(self.block.u32(word), self.peers(), u32::MAX);
        }
    }

    /// Whether somebody closed it.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.block.u32(CLOSED).load(Ordering::Acquire) != 0
    }

    /// How many items wait to be received. A snapshot.
    #[must_use]
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.ring().count(self.peers()).0
    }

    /// Whether no item waits to be received. A snapshot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many items it holds at most.
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
        let (word, mut patience) = (self.block.u32(IDLE_GATE), Patience::at_a_gate());
        loop {
            let announced = gate::announce(word, self.peers());
            if self.ring().count(self.peers()).1 == 0 {
                gate::withdraw(word, self.peers(), announced);
                return Ok(true);
            }
            match gate::sleep(word, self.peers(), announced, &mut patience, deadline) {
                Slept::Woken => {}
                Slept::Deadline => return Ok(self.ring().count(self.peers()).1 == 0),
                // What a dead sender left unsent is not waited for.
                Slept::Bound => drop(self.sweep(false).map_err(|trouble| RecvError::new(trouble, true))?),
            }
        }
    }
}

/// The processor that we run on, plus 1.
fn processor() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0).wrapping_add(1)
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("capacity", &self.capacity).field("orphans", &self.orphans).finish_non_exhaustive()
    }
}

/// An item that was received on probation.
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

    /// Says that the item has been dealt with: nobody else gets it.
    pub fn ack(mut self) {
        if let Some(claim) = self.claim.take() {
            self.queue.acknowledge(claim);
        }
    }
}

impl<T: Plain> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            // Dropped in order to be dropped: with `Orphans::Drop`, nobody else gets it.
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

handle!([T: Plain] Queue<T>, |this| &this.block, Self::over(this.block.clone(), this.capacity, this.orphans));
