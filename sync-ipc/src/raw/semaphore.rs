//! Permits that come back when their holder dies.
//!
//! **Source.** Our own. A counter, as in POSIX's `sem_t`, does not record which participant took
//! a permit. So a semaphore of *n* permits is *n* cells, each of which is free or bears its
//! holder's identity; taking a permit is one compare-and-swap on one cell.
//!
//! | cell | meaning |
//! |---|---|
//! | 0 | no permit here; one may be added |
//! | [`FREE`] | a permit |
//! | [`FORGOTTEN`] | a permit that was forgotten, until one is added; no death returns it |
//! | identity | a permit that this participant holds |
//!
//! **Invariants**
//!
//! 1. A permit is in one cell, and a cell changes by compare-and-swap only: permits are neither
//!    lost nor doubled, wherever a participant dies.
//! 2. A waiter announces itself and looks again before it sleeps ([`event_count`],
//!    invariant 1).
//! 3. A waiter whose recheck interval ends looks for dead holders, and takes the permit of one that
//!    it finds.
//!
//! **Orderings.** Taking is Acquire and pairs with the Release of giving back; from a dead holder
//! as in [`mutex`](super::mutex).

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use super::{IDENTITY, Platform, event_count, mutex::Refused};

/// A permit that is free. No identity, since no table has that many slots.
pub const FREE: u32 = 0xffff;

/// A permit that was forgotten on purpose.
pub const FORGOTTEN: u32 = 0xfffe;

/// The word at which waiters sleep, and the cells.
#[derive(Clone, Copy, Debug)]
pub struct Permits<'a> {
    /// See [`event_count`].
    pub waiters: &'a AtomicU32,
    /// One per permit that can exist.
    pub cells: &'a [AtomicU32],
}

impl Permits<'_> {
    /// Takes a permit, sleeping until `deadline` if needed. Returns its cell. `hint` is the cell to
    /// try first.
    ///
    /// # Errors
    ///
    /// [`Refused::TimedOut`], [`Refused::NotAttached`].
    #[inline]
    pub fn acquire<P: Platform>(
        &self,
        peers: &P,
        hint: usize,
        deadline: Option<Deadline>,
    ) -> Result<usize, Refused> {
        let me = peers.me();
        if me == 0 {
            return Err(Refused::NotAttached);
        }
        match self.take(peers, me, hint) {
            Some(cell) => Ok(cell),
            None => self.acquire_contended(peers, me, hint, deadline),
        }
    }

    #[cold]
    fn acquire_contended<P: Platform>(
        &self,
        peers: &P,
        me: u32,
        hint: usize,
        deadline: Option<Deadline>,
    ) -> Result<usize, Refused> {
        let mut spin = Spin::new();
        while spin.turn() {
            if let Some(cell) = self.take(peers, me, hint) {
                return Ok(cell);
            }
        }
        let taken = event_count::wait_until(self.waiters, peers, deadline, |look| {
            let reclaimed = || if look { self.reclaim(peers, me) } else { None };
            self.take(peers, me, hint).or_else(reclaimed)
        });
        taken.ok_or(Refused::TimedOut)
    }

    /// Takes a permit if there is one, or if a dead participant holds one.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    pub fn try_acquire<P: Platform>(&self, peers: &P, hint: usize) -> Result<usize, Refused> {
        let me = peers.me();
        if me == 0 {
            return Err(Refused::NotAttached);
        }
        self.take(peers, me, hint).or_else(|| self.reclaim(peers, me)).ok_or(Refused::TimedOut)
    }

    /// Whether there is a permit. With `look`, the permit of a dead holder is made available first.
    pub fn is_ready<P: Platform>(&self, peers: &P, look: bool) -> bool {
        if self.available() > 0 {
            return true;
        }
        match look.then(|| self.reclaim(peers, peers.me())).flatten() {
            Some(cell) => {
                self.release(peers, cell);
                true
            }
            None => false,
        }
    }

    #[inline]
    fn take<P: Platform>(&self, peers: &P, me: u32, hint: usize) -> Option<usize> {
        match self.cells.get(hint) {
            Some(word) if take_cell(word, peers, me) => Some(hint),
            _ => self.take_any(peers, me),
        }
    }

    fn take_any<P: Platform>(&self, peers: &P, me: u32) -> Option<usize> {
        self.cells.iter().position(|word| take_cell(word, peers, me))
    }

    /// Takes a dead holder's permit.
    fn reclaim<P: Platform>(&self, peers: &P, me: u32) -> Option<usize> {
        // One participant may hold many permits: query it once.
        let mut alive = me;
        for (cell, word) in self.cells.iter().enumerate() {
            // Relaxed: a look.
            let seen = peers.at(word).load(Ordering::Relaxed);
            if matches!(seen, 0 | FREE | FORGOTTEN) || seen == alive {
                continue;
            }
            if !peers.is_dead(seen & IDENTITY) {
                alive = seen;
            // Relaxed: the Acquire in `is_dead` comes after all that the dead holder wrote.
            } else if peers
                .at(word)
                .compare_exchange(seen, me, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Some(cell);
            }
        }
        None
    }

    /// Gives back the permit in `cell`, if this participant holds it.
    #[inline]
    pub fn release<P: Platform>(&self, peers: &P, cell: usize) {
        self.release_of(peers, cell, peers.me());
    }

    /// As [`release`](Self::release), with this participant's identity, which the caller knows.
    #[inline]
    pub fn release_of<P: Platform>(&self, peers: &P, cell: usize, me: u32) {
        // Release: pairs with the Acquire in `take`. Compared, and not stored: a forked child's
        // copy of a permit is not its own.
        if peers
            .at(&self.cells[cell])
            .compare_exchange(me, FREE, Ordering::Release, Ordering::Relaxed)
            .is_ok()
        {
            event_count::notify(self.waiters, peers, 1);
        }
    }

    /// Takes the permit in `cell`, which this participant holds, out of the semaphore until a call
    /// [`add`](Self::add)s one.
    pub fn forget<P: Platform>(&self, peers: &P, cell: usize) {
        // Release: writes before this are visible to the taker after the permit is given back.
        let _ = peers.at(&self.cells[cell]).compare_exchange(
            peers.me(),
            FORGOTTEN,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// Adds one permit: one that was forgotten, or, if `grow`, a new one. `false`: there is
    /// neither.
    pub fn add<P: Platform>(&self, peers: &P, grow: bool) -> bool {
        for from in if grow { &[FORGOTTEN, 0][..] } else { &[FORGOTTEN][..] } {
            for word in self.cells {
                // Relaxed: a look. Release: pairs with the Acquire in `take`.
                if peers.at(word).load(Ordering::Relaxed) == *from
                    && peers
                        .at(word)
                        .compare_exchange(*from, FREE, Ordering::Release, Ordering::Relaxed)
                        .is_ok()
                {
                    event_count::notify(self.waiters, peers, 1);
                    return true;
                }
            }
        }
        false
    }

    /// Returns the number of free permits. A snapshot.
    #[must_use]
    pub fn available(&self) -> usize {
        // Relaxed: a snapshot orders nothing.
        self.cells.iter().filter(|word| word.load(Ordering::Relaxed) == FREE).count()
    }
}

#[inline]
fn take_cell<P: Platform>(word: &AtomicU32, peers: &P, me: u32) -> bool {
    // Relaxed: a look. Acquire: pairs with the Release in `release` and `add`.
    peers.at(word).load(Ordering::Relaxed) == FREE
        && peers.at(word).compare_exchange(FREE, me, Ordering::Acquire, Ordering::Relaxed).is_ok()
}
