//! Reservations, and the slots that they leave void (R5 to R7).

use sync_core::primitive::atomic::Ordering;

use super::{AWAITED, Array, Ended, RESERVED, Reserved, SKIPPED, VOID, is_reserved};
use crate::buffer::cursor::{CLOSED, FLAGS, PARKED, STEP};
use crate::buffer::{PushError, Wake};

impl<T> Array<T> {
    /// Reserves the next position at the tail. The caller fills it, or leaves it void.
    pub(crate) fn reserve(&self) -> Result<Reserved, PushError<()>> {
        let place = self.claim_tail()?;
        // Release: hands the free slot on to the thread that makes it void.
        self.slot(place.position).stamp.store(place.position + RESERVED, Ordering::Release);
        Ok(place)
    }

    /// Fills a reserved position. Returns the getters that are parked.
    ///
    /// # Errors
    ///
    /// The item, if the ring was closed meanwhile (R5).
    ///
    /// # Safety
    ///
    /// The position was reserved here.
    pub(crate) unsafe fn fill(&self, place: Reserved, item: T) -> Result<Ended, PushError<T>> {
        let Reserved { position, wake } = place;
        if self.tail.acquire() & CLOSED != 0 {
            self.abandon(position);
        }
        let Some(awaited) = self.take_back(position) else {
            return Err(PushError::Closed(item));
        };
        // SAFETY: the position was claimed, and its slot was found free (R1) and taken back (R5).
        unsafe { self.slot(position).fill(position, item) };
        Ok(Ended { wake, awaited })
    }

    /// Leaves a reserved position void, and takes it out again if no item is before it. Returns the
    /// putters that are parked. Getters that are parked at the tail have nothing to wake up for. (A
    /// putter that takes the place finds their flag again.)
    ///
    /// # Safety
    ///
    /// The position was reserved here.
    pub(crate) unsafe fn leave_void(&self, place: Reserved) -> Ended {
        let position = place.position;
        let is_void = |position: u64| self.slot(position).stamp() == position + STEP + VOID;
        let Some(awaited) = self.take_back(position) else {
            // The ring is closed.
            return Ended { wake: Wake(false), awaited: Wake(false) };
        };
        // Release: a thread that skips the slot, or takes it, hands it on.
        self.slot(position).stamp.store(position + STEP + VOID, Ordering::Release);
        self.count_void();
        // The fence in it: R7.
        let mut head = self.head.settled();
        while head & CLOSED == 0 && is_void(head & !FLAGS) {
            if !self.skip_void(head) {
                break;
            }
            head = self.head.settled();
        }
        // Also if it is not the first: a putter takes it (R6).
        Ended { wake: Wake(head & PARKED != 0), awaited }
    }

    /// Ends the reservation of a position: the slot is this thread's, as in the middle of a put.
    /// Returns whether getters are parked at the slot, or `None` if the slot is no longer reserved.
    fn take_back(&self, position: u64) -> Option<Wake> {
        // Relaxed: only compared.
        let mut stamp = self.slot(position).stamp.load(Ordering::Relaxed);
        while is_reserved(stamp, position) {
            // Acquire: pairs with the Release in `set_awaited`: the sleepers behind the mark are
            // seen. The slot itself was this thread's when it reserved it.
            match self.slot(position).stamp.compare_exchange(
                stamp,
                position,
                Ordering::Acquire,
                Ordering::Relaxed,
            ) {
                Ok(_) => {
                    // While getters wait for the slot: a getter that reads the number before this
                    // has found the slot reserved, a getter that reads it after this finds what
                    // comes of the slot. Relaxed: published by the stamp that follows.
                    self.ended.fetch_add(STEP, Ordering::Relaxed);
                    return Some(Wake(stamp & AWAITED != 0));
                }
                Err(now) => stamp = now,
            }
        }
        None
    }

    /// If the slot at the head is still reserved, and the ring is open: marks the slot, so that the
    /// end of the reservation wakes getters, and returns `true`.
    pub(super) fn set_awaited(&self, position: u64, stamp: u64) -> bool {
        // A write even if the mark is set already, as in `set_parked`. Release: publishes that the
        // caller has entered the wait set. Acquire: continues what other sleepers published.
        let marked = self.slot(position).stamp.compare_exchange(
            stamp,
            position + RESERVED + AWAITED,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        // The fence in it: R7.
        marked.is_ok() && self.tail.settled() & CLOSED == 0
    }

    /// Makes a reservation void that its thread may never complete (R5).
    #[cold]
    pub(super) fn abandon(&self, position: u64) {
        // Relaxed: only compared.
        let mut stamp = self.slot(position).stamp.load(Ordering::Relaxed);
        while is_reserved(stamp, position) {
            // Acquire: takes the free slot over from the thread that reserved it. Release: a thread
            // that skips the slot hands it on.
            match self.slot(position).stamp.compare_exchange(
                stamp,
                position + STEP + VOID,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return self.count_void(),
                Err(now) => stamp = now,
            }
        }
    }

    fn count_void(&self) {
        // Relaxed: published by the fence in `settled`, and by the versions of `departures`.
        self.voids.fetch_add(STEP, Ordering::Relaxed);
    }

    /// Returns whether the slot before the tail was left void.
    pub(super) fn ends_void(&self, tail: u64) -> bool {
        tail > 0 && {
            let last = self.previous(tail);
            self.slot(last).stamp() == last + STEP + VOID
        }
    }

    /// Takes the first of the void slots at the end of a full ring (R6), and returns its position.
    /// `Err`: another thread was faster.
    #[cold]
    pub(super) fn take_void(&self, tail: u64) -> Result<Option<u64>, ()> {
        if !self.ends_void(tail) {
            return Ok(None);
        }
        let mut position = self.previous(tail);
        while self.ends_void(position) {
            position = self.previous(position);
        }
        let stamp = &self.slot(position).stamp;
        let void = position + STEP + VOID;
        // Acquire: takes the slot over from the thread that left it.
        stamp
            .compare_exchange(void, position, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| ())?;
        self.count_void_gone();
        Ok(Some(position))
    }

    /// Moves the head on over a void slot. Returns `false` if another thread does, or has taken the
    /// slot.
    #[cold]
    pub(super) fn skip_void(&self, head: u64) -> bool {
        let (mut now, position) = (head, head & !FLAGS);
        let (void, slot) = (position + STEP + VOID, self.slot(position));
        // Acquire: takes the slot over from the thread that left it (R6).
        let taken =
            slot.stamp.compare_exchange(void, void | SKIPPED, Ordering::Acquire, Ordering::Relaxed);
        if taken.is_err() {
            return false;
        }
        // Only the flags can change meanwhile (R6).
        while let Err(newer) = self.head.claim(now, self.next(position) | (now & FLAGS)) {
            now = newer;
        }
        slot.free(position + self.one_lap);
        self.count_void_gone();
        // Relaxed: the thread that takes the count is this one, or it has claimed the head after
        // this thread.
        self.skipped.fetch_add(1, Ordering::Relaxed);
        true
    }

    fn count_void_gone(&self) {
        // Relaxed: only `len` reads it, a snapshot.
        self.voids_gone.fetch_add(STEP, Ordering::Relaxed);
    }
}
