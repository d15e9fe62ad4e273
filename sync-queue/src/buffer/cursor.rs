//! One end of a queue: a position and three flags in one word.
//!
//! | bit | at the tail | at the head | in the count of tasks done |
//! |---|---|---|---|
//! | 0 `CLOSED` | no more puts | no more gets (drained) | – |
//! | 1 `PARKED` | a getter may sleep | a putter may sleep | a joiner may sleep |
//! | 2 `EXTRA` | – | unbounded: a further block exists | – |
//! | 3-63 | position | position | count |
//!
//! # Invariants
//!
//! C1. A position never decreases. (At one operation a nanosecond 2^61 last seventy years.)
//!
//! C2. A position is claimed by a compare-exchange of the whole word. So a claim fails if the end
//! was closed or `PARKED` was set in the meantime: closing is one step in the same order as all
//! puts (or gets), and no parked thread is overlooked.
//!
//! C3. `CLOSED` is never cleared.
//!
//! # Memory orderings
//!
//! A claim is Release, so that a thread that finds the head moved on also sees a tail that is at
//! least as far (it was for the thread that moved the head), and never one behind it. It is Acquire
//! because of `PARKED`: the thread that set it last is seen as a sleeper. That the word was loaded
//! with Acquire before is not enough, for the same value may have been written again by another
//! sleeper since. Closing is Release, so that a thread that finds an end closed (and then executes
//! an Acquire fence) sees what was done before. It is Acquire as a claim is: the closing thread
//! signals next, in another word, and must see every sleeper whose `PARKED` it found. Every change
//! is a read-modify-write, hence continues the release sequences of those before it.

use core::fmt;

use crossbeam_utils::CachePadded;
use sync_core::primitive::atomic::{AtomicU64, Ordering, fence};

pub(crate) const CLOSED: u64 = 1;
pub(crate) const PARKED: u64 = 2;
pub(crate) const EXTRA: u64 = 4;
pub(crate) const FLAGS: u64 = 7;
pub(crate) const SHIFT: u32 = 3;
pub(crate) const STEP: u64 = 1 << SHIFT;

pub(crate) struct Cursor(CachePadded<AtomicU64>);

impl Cursor {
    pub(crate) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Relaxed: for values that an exchange compares, or that are hints.
    #[inline]
    pub(crate) fn relaxed(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Acquire: pairs with the Release of the operation that moved the cursor.
    #[inline]
    pub(crate) fn acquire(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// Returns the present word, in the one order that all threads agree on. For answers (Full,
    /// Empty) that must be true of a moment within the call even if two queues are compared.
    pub(crate) fn settled(&self) -> u64 {
        // SeqCst: between any two threads that each change one queue and then find another full or
        // empty, one sees the other's change.
        fence(Ordering::SeqCst);
        self.0.load(Ordering::Acquire)
    }

    /// Moves on from `now` to `next`, both whole words (C2).
    #[inline]
    pub(crate) fn claim(&self, now: u64, next: u64) -> Result<u64, u64> {
        // AcqRel on success: see "Memory orderings". Acquire on failure: the new value is used as
        // if it had been loaded.
        self.0.compare_exchange_weak(now, next, Ordering::AcqRel, Ordering::Acquire)
    }

    /// Moves on from a position that no other thread can move on from; flags may be set meanwhile.
    /// `by` may also clear a flag that is set.
    pub(crate) fn advance(&self, by: u64) {
        // Release: publishes the queue's private parts to the next claim.
        self.0.fetch_add(by, Ordering::Release);
    }

    /// Sets `PARKED` if the word is still `now`.
    pub(crate) fn set_parked(&self, now: u64) -> bool {
        // A write even if the flag is set already: the thread that clears it must see this sleeper
        // (W4). Release: publishes that the caller has entered the wait set. Pairs with the Acquire
        // in `claim`, `close` and `clear_parked`. Acquire: pairs with the Release in
        // `clear_parked`.
        self.0.compare_exchange(now, now | PARKED, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Clears `PARKED`. A later `set_parked` at this end sees what was done before.
    pub(crate) fn clear_parked(&self) {
        // Acquire: pairs with the Release in `set_parked`. Release: with the Acquire there.
        self.0.fetch_and(!PARKED, Ordering::AcqRel);
    }

    /// Closes this end. Returns the word as it was.
    pub(crate) fn close(&self) -> u64 {
        // Release: a thread that finds it closed sees what came before. Acquire: pairs with the
        // Release in `set_parked`. The signal that follows must not miss that sleeper.
        self.0.fetch_or(CLOSED, Ordering::AcqRel)
    }
}

/// Called by a thread that found an end closed with a Relaxed load.
#[cold]
pub(crate) fn saw_closed() {
    // Acquire: pairs with the Release in `close`.
    fence(Ordering::Acquire);
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.relaxed();
        write!(f, "{}", word >> SHIFT)?;
        for (flag, name) in [(CLOSED, " closed"), (PARKED, " parked"), (EXTRA, " extra")] {
            f.write_str(if word & flag == 0 { "" } else { name })?;
        }
        Ok(())
    }
}
