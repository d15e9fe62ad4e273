//! A queue's end: closing it, giving items back, and the moment from which receivers get "closed".
//!
//! **Source.** Our own. The [`Ring`] orders items. This file adds the results that a receiver gets
//! without an item, and a sender without room.
//!
//! **The words** (u32): `closed` (not 0: closed, forever), `given_back` (the number of items that
//! were given back so far), `drained` (up to which of these numbers no given back item was left
//! when a receiver looked). Three [`event_count`]s: of items, of room, and of idleness.
//!
//! **Invariants**
//!
//! 1. A sender claims its slot and then reads `closed`; a receiver reads `closed` and then the
//!    slots. Both have a full fence between the two, so the sender sees the queue closed, or the
//!    receiver sees the slot. So once a receiver got [`RingError::Closed`], no item comes: every
//!    slot was at rest at one moment after the queue was closed.
//! 2. Closed is returned only when no item can come back: with [`Orphans::Redeliver`], while no
//!    slot is leased or being written; with [`Orphans::Drop`], while none is being written.
//! 3. `drained == given_back` means: no given back item waits. A receiver stores the number that it
//!    read before a sweep that found nothing. An item that is given back meanwhile has a later
//!    number. (A receiver that is stopped before that store for exactly k * 2^32 returns hides an
//!    item until the next sweep for the dead.)
//! 4. [`RingError::Empty`] is true of one moment: the number of returns, all of them drained, was
//!    the same before and after the look at the ring.
//!
//! The slots that a dead participant left count from the moment at which a sweep finds them.

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};

use super::queue::{ATTEMPTS, Claim, Orphans, Ring, RingError};
use super::{Platform, event_count};

/// A ring, and the words of its end.
#[derive(Clone, Copy, Debug)]
pub struct Channel<'a> {
    /// The items.
    pub ring: Ring<'a>,
    /// The treatment of an item whose receiver dies.
    pub orphans: Orphans,
    /// Not 0: closed.
    pub closed: &'a AtomicU32,
    /// The number of items that were given back.
    pub given_back: &'a AtomicU32,
    /// See invariant 3.
    pub drained: &'a AtomicU32,
    /// Receivers wait here.
    pub items: &'a AtomicU32,
    /// Senders wait here.
    pub room: &'a AtomicU32,
    /// Waiters for the end of all work wait here.
    pub idle: &'a AtomicU32,
}

impl Channel<'_> {
    /// Claims a slot to fill and [`commit`](Ring::commit).
    ///
    /// # Errors
    ///
    /// [`RingError::Closed`], and those of [`Ring::claim`].
    #[inline]
    pub fn start_send<P: Platform>(&self, peers: &P) -> Result<Claim, RingError> {
        self.start_send_by(peers, |ring| ring.claim(peers))
    }

    /// As [`start_send`](Self::start_send), for large items: see [`Ring::claim_lowest`].
    ///
    /// # Errors
    ///
    /// As [`start_send`](Self::start_send).
    #[inline]
    pub fn start_send_large<P: Platform>(&self, peers: &P) -> Result<Claim, RingError> {
        self.start_send_by(peers, |ring| ring.claim_lowest(peers))
    }

    #[inline]
    fn start_send_by<P: Platform>(
        &self,
        peers: &P,
        claim: impl FnOnce(&Ring<'_>) -> Result<Claim, RingError>,
    ) -> Result<Claim, RingError> {
        if self.is_closed(peers) {
            return Err(RingError::Closed);
        }
        let claim = claim(&self.ring)?;
        // SeqCst: pairs with the fence in `ended` (invariant 1).
        peers.fence_after_change();
        // Relaxed: the fence orders it.
        if peers.at(self.closed).load(Ordering::Relaxed) == 0 {
            return Ok(claim);
        }
        self.ring.abandon(peers, claim);
        // Receivers that saw the slot wait for its end.
        self.notify_all(peers);
        Err(RingError::Closed)
    }

    /// Takes an item. With `look`, sweeps for items of the dead if there is no other item. `ended`:
    /// the sending end was seen to be gone before the call.
    ///
    /// # Errors
    ///
    /// [`RingError::Empty`], [`RingError::Closed`], [`RingError::Disconnected`], and those of
    /// [`Ring::take`].
    #[inline]
    pub fn start_recv<P: Platform>(
        &self,
        peers: &P,
        look: bool,
        ended: bool,
    ) -> Result<Claim, RingError> {
        match self.ring.take(peers) {
            Err(RingError::Empty) => self.recv_none(peers, look, ended),
            taken => taken,
        }
    }

    #[cold]
    fn recv_none<P: Platform>(
        &self,
        peers: &P,
        mut look: bool,
        ended: bool,
    ) -> Result<Claim, RingError> {
        for _ in 0..ATTEMPTS {
            // Before the looks at the ring and the slots.
            let closed = self.is_closed(peers);
            // Acquire: pairs with the Release in `give_back`.
            let given_back = peers.at(self.given_back).load(Ordering::Acquire);
            match self.ring.take(peers) {
                Err(RingError::Empty) => {}
                taken => return taken,
            }
            // Acquire: pairs with the Release below.
            if look || peers.at(self.drained).load(Ordering::Acquire) != given_back {
                look = false;
                if let Some(claim) = self.sweep(peers, true)? {
                    return Ok(claim);
                }
                // Release: the sweep comes before it.
                peers.at(self.drained).store(given_back, Ordering::Release);
                continue;
            }
            if closed || ended {
                // SeqCst: pairs with the fence in `start_send` (invariant 1).
                fence(Ordering::SeqCst);
                // Invariant 2.
                let over = match self.orphans {
                    Orphans::Redeliver => self.ring.is_idle(peers),
                    Orphans::Drop => self.ring.is_taken(peers),
                };
                if over {
                    return Err(if closed { RingError::Closed } else { RingError::Disconnected });
                }
            }
            // Acquire: pairs with the Release in `give_back`; ordered after the look at the ring by
            // its Acquire (invariant 4).
            if peers.at(self.given_back).load(Ordering::Acquire) == given_back {
                return Err(RingError::Empty);
            }
        }
        Err(RingError::Corrupted)
    }

    /// Whether a receive would find an item, or the end. With `look`, what the dead left is made
    /// available first. `ended` as in [`start_recv`](Self::start_recv).
    pub fn is_ready<P: Platform>(&self, peers: &P, look: bool, ended: bool) -> bool {
        if self.ring.len(peers) > 0 {
            return true;
        }
        if look {
            match self.sweep(peers, true) {
                Ok(None) => {}
                Ok(Some(claim)) => self.give_back(peers, claim),
                // A receive reports it.
                Err(_) => return true,
            }
        }
        // Acquire: as in `recv_none`.
        let given_back = peers.at(self.given_back).load(Ordering::Acquire);
        if peers.at(self.drained).load(Ordering::Acquire) != given_back {
            return true;
        }
        if !ended && !self.is_closed(peers) {
            return false;
        }
        // SeqCst: as in `recv_none` (invariant 1).
        fence(Ordering::SeqCst);
        match self.orphans {
            Orphans::Redeliver => self.ring.is_idle(peers),
            Orphans::Drop => self.ring.is_taken(peers),
        }
    }

    /// Frees the slots of the dead; may return an item for the caller.
    ///
    /// # Errors
    ///
    /// [`RingError::NotAttached`].
    pub fn sweep<P: Platform>(
        &self,
        peers: &P,
        receives: bool,
    ) -> Result<Option<Claim>, RingError> {
        let found = self.ring.sweep(peers, self.orphans, receives)?;
        if found.freed > 0 {
            let freed = u32::try_from(found.freed).unwrap_or(u32::MAX);
            event_count::notify(self.room, peers, freed);
            event_count::notify(self.idle, peers, u32::MAX);
        }
        Ok(found.taken)
    }

    /// Gives an item back, for the next receiver.
    pub fn give_back<P: Platform>(&self, peers: &P, claim: Claim) {
        if self.ring.give_back(peers, claim) {
            // Release: pairs with the Acquire in `start_recv`.
            peers.at(self.given_back).fetch_add(1, Ordering::Release);
            event_count::notify(self.items, peers, 1);
        }
    }

    /// After an acknowledgement and a fence: wakes the receivers of a closed queue, for which the
    /// acknowledged item may have been the last that could come back.
    #[inline]
    pub fn notify_closed<P: Platform>(&self, peers: &P) {
        // Relaxed: the fence orders it.
        if peers.at(self.closed).load(Ordering::Relaxed) != 0 {
            event_count::notify(self.items, peers, u32::MAX);
        }
    }

    /// Closes it.
    pub fn close<P: Platform>(&self, peers: &P) {
        // Release: pairs with the Acquire in `is_closed`. A read-modify-write, as
        // `event_count::notify` requires.
        peers.at(self.closed).swap(1, Ordering::Release);
        self.notify_all(peers);
    }

    /// Whether it is closed.
    #[inline]
    pub fn is_closed<P: Platform>(&self, peers: &P) -> bool {
        // Acquire: pairs with the Release in `close`.
        peers.at(self.closed).load(Ordering::Acquire) != 0
    }

    /// Wakes all waiters, after a read-modify-write.
    pub fn notify_all<P: Platform>(&self, peers: &P) {
        for word in [self.items, self.room, self.idle] {
            event_count::notify(word, peers, u32::MAX);
        }
    }
}
