//! Reservations, and the slots that they leave void (R5 to R7).

use sync_core::primitive::atomic::Ordering;

use super::{Array, RESERVED, Reserved, SKIPPED, VOID};
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

    /// Fills a reserved position. Returns whether getters are parked.
    ///
    /// # Errors
    ///
    /// The item, if the ring was closed meanwhile, and a getter went on without it (R5).
    ///
    /// # Safety
    ///
    /// The position was reserved here.
    pub(crate) unsafe fn fill(&self, place: Reserved, item: T) -> Result<Wake, PushError<T>> {
        let Reserved { position, wake } = place;
        let slot = self.slot(position);
        // Relaxed: this thread found the slot free itself.
        let taken = slot.stamp.compare_exchange(
            position + RESERVED,
            position,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if taken.is_err() {
            return Err(PushError::Closed(item));
        }
        // SAFETY: the position was claimed, and its slot was found free (R1) and taken back (R5).
        unsafe { slot.fill(position, item) };
        Ok(wake)
    }

    /// Leaves a reserved position void, and takes it out again if no item is before it. Returns
    /// whether putters are parked. Getters that are parked have nothing to wake up for. (A putter
    /// that takes the place finds their flag again.)
    ///
    /// # Safety
    ///
    /// The position was reserved here.
    pub(crate) unsafe fn leave_void(&self, place: Reserved) -> Wake {
        let is_void = |position: u64| self.slot(position).stamp() == position + STEP + VOID;
        if !self.make_void(place.position) {
            // The ring is closed.
            return Wake(false);
        }
        // The fence in it: R7.
        let mut head = self.head.settled();
        while head & CLOSED == 0 && is_void(head & !FLAGS) {
            if !self.skip_void(head) {
                break;
            }
            head = self.head.settled();
        }
        // Also if it is not the first: a putter takes it (R6).
        Wake(head & PARKED != 0)
    }

    /// Makes the slot of a reservation void. Returns `false` if it is no longer reserved.
    fn make_void(&self, position: u64) -> bool {
        // Acquire: takes the free slot over from the thread that reserved it. Release: a thread
        // that skips the slot, or takes it, hands it on.
        let made = self.slot(position).stamp.compare_exchange(
            position + RESERVED,
            position + STEP + VOID,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        if made.is_ok() {
            // Relaxed: published by the fence in `settled`, and by the versions of `departures`.
            self.voids.fetch_add(STEP, Ordering::Relaxed);
        }
        made.is_ok()
    }

    /// Makes a reservation void that its thread may never complete, if the tail is closed (R5).
    /// Returns whether the slot has changed.
    #[cold]
    pub(super) fn abandon(&self, position: u64) -> bool {
        self.tail.acquire() & CLOSED != 0 && self.make_void(position)
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
