//! A flag to wait for.
//!
//! **Source.** The usual flag in a futex word, with a generation next to it, so that a `set`
//! followed at once by `clear` releases all waiters: they observe another generation.
//!
//! **The word**: `generation:30 | WAITERS:1 | SET:1`. No participant holds an event, so no death
//! matters to its state; a setter that dies before it wakes leaves waiters that look again when
//! their bound ends.
//!
//! WAITERS: legal to be set without a waiter; illegal to be clear while a waiter sleeps for longer
//! than its bound.
//!
//! **Limit.** A waiter that is stopped during exactly 2^30 sets misses them, until the next.
//!
//! **Orderings.** `set` is Release and pairs with the Acquire of every look. It writes also where
//! the event is set already, and `clear` is Acquire: that is for the loop "wait, clear, look for
//! work" next to a producer that sets an event that is set already. Either `clear` follows that
//! `set` in the word's modification order, and then the consumer sees the work; or `set` follows
//! `clear`, and then the event stays set. With a Relaxed `clear` the work could be lost on a weakly
//! ordered processor. (`sync_core::Event` has the same rule and the same model.)

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;

use super::{Patience, Peers, Slept};

const SET: u32 = 1;
const WAITERS: u32 = 2;
const ONE: u32 = 4;

/// Whether it is set.
pub fn is_set<P: Peers>(word: &AtomicU32, peers: &P) -> bool {
    // Acquire: pairs with the Release in `set`.
    peers.at(word).load(Ordering::Acquire) & SET != 0
}

/// Sets it and wakes all waiters.
pub fn set<P: Peers>(word: &AtomicU32, peers: &P) {
    // Relaxed: a look.
    let mut seen = peers.at(word).load(Ordering::Relaxed);
    loop {
        let next = if seen & SET != 0 { seen } else { (seen.wrapping_add(ONE) | SET) & !WAITERS };
        // Release, also when it is set already: pairs with the Acquire of the looks.
        match peers.at(word).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed) {
            Ok(_) => break,
            Err(now) => seen = now,
        }
    }
    if seen & WAITERS != 0 {
        peers.wake(word, u32::MAX);
    }
}

/// Clears it.
pub fn clear<P: Peers>(word: &AtomicU32, peers: &P) {
    // Acquire: pairs with the Release of the last `set` that this clear undoes. See "Orderings".
    peers.at(word).fetch_and(!SET, Ordering::Acquire);
}

/// Waits until it is set, or was set meanwhile; `false` at the deadline.
pub fn wait<P: Peers>(word: &AtomicU32, peers: &P, deadline: Option<Deadline>) -> bool {
    // Acquire, here and below: pairs with the Release in `set`.
    let first = peers.at(word).load(Ordering::Acquire);
    if first & SET != 0 {
        return true;
    }
    let mut spin = Spin::new();
    let mut patience = Patience::new();
    let mut seen = first;
    loop {
        if seen & SET != 0 || seen & !(SET | WAITERS) != first & !(SET | WAITERS) {
            return true;
        }
        if seen & WAITERS == 0 {
            if spin.turn() {
                // Acquire: pairs with the Release in `set`.
                seen = peers.at(word).load(Ordering::Acquire);
                continue;
            }
            // Relaxed on success: then it was a look that found the event unset.
            if let Err(now) = peers.at(word).compare_exchange(
                seen,
                seen | WAITERS,
                Ordering::Relaxed,
                Ordering::Acquire,
            ) {
                seen = now;
                continue;
            }
        }
        let why = peers.sleep(word, seen | WAITERS, patience.next_bound(), deadline);
        // Acquire: pairs with the Release in `set`.
        seen = peers.at(word).load(Ordering::Acquire);
        if why == Slept::Deadline {
            return seen & SET != 0 || seen & !(SET | WAITERS) != first & !(SET | WAITERS);
        }
    }
}

/// Looks at the event for a waiter that sleeps on several words at once. `first` is the word at the
/// beginning of its wait, `None` before.
///
/// # Errors
///
/// It is not set, and was not since the beginning: the value of the word to sleep on.
pub fn watch<P: Peers>(word: &AtomicU32, peers: &P, first: &mut Option<u32>) -> Result<(), u32> {
    // Acquire, here and below: pairs with the Release in `set`.
    let mut seen = peers.at(word).load(Ordering::Acquire);
    let first = *first.get_or_insert(seen);
    loop {
        if seen & SET != 0 || seen & !(SET | WAITERS) != first & !(SET | WAITERS) {
            return Ok(());
        }
        // Relaxed on success: then it was a look that found the event unset.
        match peers.at(word).compare_exchange(
            seen,
            seen | WAITERS,
            Ordering::Relaxed,
            Ordering::Acquire,
        ) {
            Ok(_) => return Err(seen | WAITERS),
            Err(now) => seen = now,
        }
    }
}
