//! How the operations of a queue wait, for room, for an item, for the end of all work, and what
//! they do about the items of the dead meanwhile.

use core::sync::atomic::Ordering;

use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use super::{ENDS, IDLE_EVENT, ITEMS_EVENT, Queue, RECEIVERS_LEFT, ROOM_EVENT, SENDERS_LEFT};
use crate::error::{RecvError, Result};
use crate::raw::event_count;
use crate::raw::queue::{Claim, RingError};

/// Behind the event counts of items and of room: the processor, plus 1, of the thread that woke a
/// waiter last. A hint.
const WAKER: usize = 4;

/// The time in milliseconds after the last sweep for the dead before a try sweeps again.
const SWEEP_EVERY: u64 = 10;

/// The number of receives after which one looks for what the dead left, though there are items. A
/// power of two.
const SWEEP_TURN: u32 = 1024;

/// The length in bytes from which on an item prefers the lowest free slot: a copy of that many
/// takes much longer than the search for the slot.
const LARGE: usize = 1 << 15;

impl<T> Queue<T> {
    #[cold]
    pub(super) fn with_room<R>(
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
    pub(super) fn claim_now(&self, look: bool) -> Result<Claim, RingError> {
        let (channel, peers) = (self.channel(), self.peers());
        if self.other_end.is_some() && self.other_end_is_gone(RECEIVERS_LEFT, false) {
            return Err(RingError::Disconnected);
        }
        let start_send = || match self.stride {
            LARGE.. => channel.start_send_large(peers),
            _ => channel.start_send(peers),
        };
        match start_send() {
            Err(RingError::Full) if look || self.time_to_sweep() => {
                self.sweep(false)?;
                match start_send() {
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
    pub(super) fn commit(&self, claim: Claim) -> Result<(), RingError> {
        let peers = self.peers();
        self.ring().commit(peers, claim)?;
        if event_count::is_awaited(self.block.u32(ITEMS_EVENT), peers) {
            self.wake(ITEMS_EVENT, 1);
        }
        Ok(())
    }

    /// Whether this is one half of a queue, and no participant holds the other half. Unless
    /// `thorough`, the kernel is queried only if the last holder left a note.
    pub(super) fn other_end_is_gone(&self, note: u32, thorough: bool) -> bool {
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
    pub(super) fn take_until(&self, deadline: Option<Deadline>) -> Result<Claim, RecvError> {
        let taken = match self.take_now(false) {
            Err(RingError::Empty) => self.take_contended(deadline),
            taken => taken,
        };
        taken.map_err(|error| RecvError::new(error, true))
    }

    #[cold]
    fn take_contended(&self, deadline: Option<Deadline>) -> Result<Claim, RingError> {
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
    pub(super) fn take_now(&self, look: bool) -> Result<Claim, RingError> {
        let ended = self.other_end.is_some() && self.other_end_is_gone(SENDERS_LEFT, false);
        self.take(look, ended)
    }

    #[inline]
    pub(super) fn take(&self, look: bool, ended: bool) -> Result<Claim, RingError> {
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

    pub(super) fn acknowledge(&self, claim: Claim) {
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

    pub(super) fn give_back(&self, claim: Claim) {
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
    pub(super) fn sweep(&self, receives: bool) -> Result<Option<Claim>, RingError> {
        self.swept_now();
        self.channel().sweep(self.peers(), receives)
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
}

/// The processor that we run on, plus 1.
fn processor() -> u32 {
    u32::try_from(rustix::thread::sched_getcpu()).unwrap_or(0).wrapping_add(1)
}
