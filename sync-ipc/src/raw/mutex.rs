//! A lock in one word that survives the death of its owner.
//!
//! **Source.** Drepper's "Futexes Are Tricky" (mutex 2) with the owner's identity in place of the
//! 1, and the owner-died protocol of POSIX robust mutexes (`EOWNERDEAD`,
//! `pthread_mutex_consistent`, `ENOTRECOVERABLE`) without their list of held locks, which a peer
//! could scribble and which loses the wake of a waiter that is killed after it was woken.
//!
//! **The word**: `WAITERS:1 | INCONSISTENT:1 | identity:30`.
//!
//! | identity | INCONSISTENT | meaning |
//! |---|---|---|
//! | 0 | 0 | free |
//! | owner | 0 | held |
//! | owner | 1 | held by an owner that took it from a dead owner and has not marked it consistent |
//! | [`ABANDONED`] | 1 | as it was when a dead owner had it: the next owner gets `OwnerDied` again |
//! | 0 | 1 | not recoverable: such an owner released it without marking it. Final. |
//!
//! WAITERS: legal to be set when no thread waits (one wake too many); illegal to be clear while a
//! thread sleeps, for longer than that thread's bound.
//!
//! **Invariants**
//!
//! 1. Only a compare-and-swap from a word without an owner, or from a word whose owner is dead,
//!    writes an identity: one owner at a time.
//! 2. The owner's identity is in the word from the step that takes the lock to the step that frees
//!    it.
//! 3. A sleeper has set WAITERS, or saw it set, in the very value it sleeps on. Unlock swaps that
//!    value out, and wakes one sleeper if WAITERS was in it. A thread that slept takes the lock
//!    with WAITERS set, because other threads may still sleep.
//! 4. If the waker dies before the wake, or the woken thread dies, the bounds of the other sleepers
//!    end: no thread sleeps for longer than [`LAST_BOUND`](super::LAST_BOUND) without looking.
//!
//! **Orderings.** Taking the lock is Acquire, and pairs with the Release of the unlock. Taking it
//! from a dead owner is Acquire for [`abandon`], whose Release it pairs with. A process that died
//! released nothing. The kernel orders what that process wrote and had acquired: it frees the
//! liveness lock, which [`Platform::is_dead`] queried, after the process ran its last instruction.
//! Every other access to the word is Relaxed: it decides, by the word's modification order, but
//! publishes nothing.

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use super::{IDENTITY, Platform, RecheckInterval, Slept};

/// A thread may sleep on the word.
pub const WAITERS: u32 = 1 << 31;

/// The data behind the lock may be half written.
pub const INCONSISTENT: u32 = 1 << 30;

/// The owner that an inconsistent lock is left to by [`abandon`]. No table has that slot, so it is
/// dead by definition.
pub const ABANDONED: u32 = 0xfffd;

/// How the lock was acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locked {
    /// The lock was free.
    Clean,
    /// From an owner that died: the guarded data may be half written.
    OwnerDied,
}

/// Why the lock was not acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Held until the deadline, or at the time of the try.
    TimedOut,
    /// A dead owner's lock was released without being marked consistent.
    NotRecoverable,
    /// This process could not become a participant.
    NotAttached,
}

/// Takes the lock, sleeping until `deadline` if needed.
///
/// # Errors
///
/// [`Refused`].
#[inline]
pub fn lock<P: Platform>(
    word: &AtomicU32,
    peers: &P,
    deadline: Option<Deadline>,
) -> Result<Locked, Refused> {
    match lock_at_once(word, peers) {
        Some(_) => Ok(Locked::Clean),
        None => lock_contended(word, peers, deadline),
    }
}

/// Takes the lock if it is free, and no owner or waiter has left a mark. Returns the identity with
/// which it was taken. A failure has no meaning.
#[inline(always)]
pub fn lock_at_once<P: Platform>(word: &AtomicU32, peers: &P) -> Option<u32> {
    let me = peers.me();
    // Acquire: pairs with the Release in `unlock`.
    let is_taken = me != 0
        && peers.at(word).compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed).is_ok();
    is_taken.then_some(me)
}

/// As [`lock`], where [`lock_at_once`] has failed.
///
/// # Errors
///
/// [`Refused`].
#[cold]
pub fn lock_contended<P: Platform>(
    word: &AtomicU32,
    peers: &P,
    deadline: Option<Deadline>,
) -> Result<Locked, Refused> {
    let me = peers.me();
    if me == 0 {
        return Err(Refused::NotAttached);
    }
    let mut spin = Spin::new();
    let mut interval = RecheckInterval::new();
    // WAITERS once this thread slept (invariant 3).
    let mut slept = 0;
    loop {
        // Relaxed: a look; the compare-and-swap decides.
        let seen = peers.at(word).load(Ordering::Relaxed);
        if seen & IDENTITY == 0 {
            if seen & INCONSISTENT != 0 {
                return Err(Refused::NotRecoverable);
            }
            // Acquire: pairs with the Release in `unlock`.
            if peers
                .at(word)
                .compare_exchange(
                    seen,
                    me | slept | (seen & WAITERS),
                    Ordering::Acquire,
                    Ordering::Relaxed,
                )
                .is_ok()
            {
                return Ok(Locked::Clean);
            }
            continue;
        }
        if seen & WAITERS == 0 {
            if spin.turn() {
                continue;
            }
            // Relaxed: announces this waiter to the owner's unlock, which swaps this very word.
            if peers
                .at(word)
                .compare_exchange(seen, seen | WAITERS, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
            {
                continue;
            }
        }
        let asleep_on = seen | WAITERS;
        let why = peers.sleep(word, asleep_on, interval.next_bound(), deadline);
        slept = WAITERS;
        if why == Slept::Woken {
            continue;
        }
        // At the deadline too: a deadline shorter than the bound must not hide a dead owner.
        if peers.is_dead(seen & IDENTITY) && steal(word, peers, me, asleep_on) {
            return Ok(Locked::OwnerDied);
        }
        if why == Slept::Deadline {
            // We may have been woken at the same moment and time out instead: pass the wake on, if
            // the lock is free. Relaxed: the value decides about a wake only.
            if peers.at(word).load(Ordering::Relaxed) & IDENTITY == 0 {
                peers.wake(word, 1);
            }
            return Err(Refused::TimedOut);
        }
    }
}

/// Takes the lock if it is free, or if its owner is dead.
///
/// # Errors
///
/// [`Refused`].
#[inline]
pub fn try_lock<P: Platform>(word: &AtomicU32, peers: &P) -> Result<Locked, Refused> {
    let me = peers.me();
    // Acquire: pairs with the Release in `unlock`.
    match peers.at(word).compare_exchange(0, me, Ordering::Acquire, Ordering::Relaxed) {
        Ok(_) if me != 0 => Ok(Locked::Clean),
        Ok(_) => Err(Refused::NotAttached),
        Err(seen) => try_lock_contended(word, peers, me, seen),
    }
}

#[cold]
fn try_lock_contended<P: Platform>(
    word: &AtomicU32,
    peers: &P,
    me: u32,
    seen: u32,
) -> Result<Locked, Refused> {
    if me == 0 {
        return Err(Refused::NotAttached);
    }
    if seen & IDENTITY == 0 {
        if seen & INCONSISTENT != 0 {
            return Err(Refused::NotRecoverable);
        }
        // A free word with WAITERS in it: no operation leaves one, but a peer may scribble.
        // Acquire: as in `try_lock`.
        let got = peers
            .at(word)
            .compare_exchange(seen, me | WAITERS, Ordering::Acquire, Ordering::Relaxed)
            .is_ok();
        return if got { Ok(Locked::Clean) } else { Err(Refused::TimedOut) };
    }
    if peers.is_dead(seen & IDENTITY) && steal(word, peers, me, seen) {
        return Ok(Locked::OwnerDied);
    }
    Err(Refused::TimedOut)
}

/// Takes the lock from the dead owner in `seen`.
fn steal<P: Platform>(word: &AtomicU32, peers: &P, me: u32, seen: u32) -> bool {
    // WAITERS stays as it was: other sleepers still have to be woken. INCONSISTENT is set in the
    // same step, so that this owner's death before `mark_consistent` is no new case for the next
    // owner. Acquire: pairs with the Release in `abandon`.
    peers
        .at(word)
        .compare_exchange(
            seen,
            me | INCONSISTENT | (seen & WAITERS),
            Ordering::Acquire,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// Declares the data behind a lock that was acquired with [`Locked::OwnerDied`] to be consistent.
/// Only for the owner.
pub fn mark_consistent<P: Platform>(word: &AtomicU32, peers: &P) {
    // Relaxed: the Release of the unlock publishes the repair.
    peers.at(word).fetch_and(!INCONSISTENT, Ordering::Relaxed);
}

/// Releases the lock. Only for the owner.
#[inline]
pub fn unlock<P: Platform>(word: &AtomicU32, peers: &P) {
    // Release: pairs with the Acquire of the next owner.
    if peers.at(word).swap(0, Ordering::Release) & WAITERS != 0 {
        wake_next(word, peers);
    }
}

#[cold]
fn wake_next<P: Platform>(word: &AtomicU32, peers: &P) {
    peers.wake(word, 1);
}

/// Releases a lock whose data could not be repaired: every present and every later waiter gets
/// [`Refused::NotRecoverable`].
#[cold]
pub fn give_up<P: Platform>(word: &AtomicU32, peers: &P) {
    // A swap, not a store: a waiter's compare-and-swap and its futex comparison must be in one
    // order with it, or the waiter falls asleep on the old value. Relaxed: no thread gets the
    // guarded data any more.
    peers.at(word).swap(INCONSISTENT, Ordering::Relaxed);
    peers.wake(word, u32::MAX);
}

/// Releases a lock that was acquired with [`Locked::OwnerDied`] and was not repaired: the next
/// owner gets [`Locked::OwnerDied`] again. Only for the owner.
#[cold]
pub fn abandon<P: Platform>(word: &AtomicU32, peers: &P) {
    // Release: pairs with the Acquire of the thread that takes the lock from a dead owner. A swap,
    // as in `give_up`.
    peers.at(word).swap(ABANDONED | INCONSISTENT, Ordering::Release);
    peers.wake(word, u32::MAX);
}

/// Returns the identity of the owner; 0: unowned. A snapshot.
pub fn owner(word: &AtomicU32) -> u32 {
    // Relaxed: a snapshot orders nothing.
    word.load(Ordering::Relaxed) & IDENTITY
}
