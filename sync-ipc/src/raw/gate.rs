//! Where the waiters of a lock-free structure sleep: a word with a number that changes at every wake.
//!
//! **Source.** An event count (the `eventcount` of Reed and Kanodia, 1979), with the number and a flag in one futex word.
//!
//! **The word**: `number:31 | WAITERS:1`.
//!
//! WAITERS: legal to be set when nobody waits; illegal to be clear while somebody sleeps for longer than its bound.
//!
//! **Invariants**
//!
//! 1. A waiter announces itself (WAITERS) before it looks at the structure for the last time; a notifier changes the structure before it looks
//!    for WAITERS. One of the two sees the other.
//! 2. A waiter sleeps on the value that it announced itself in. A notifier that saw WAITERS changes that value: the waiter wakes or does not
//!    fall asleep.
//! 3. As everywhere: a notifier that dies between the two steps costs the waiters the rest of their bound, and nothing else.
//!
//! **Orderings.** Invariant 1 is store buffering: both sides need a full fence between their write and their read, and both have one.

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::Deadline;

use super::{Patience, Peers, Slept};

const WAITERS: u32 = 1;
const ONE: u32 = 2;

/// Announces a waiter. The value is for [`sleep`]; look at the structure once more in between.
pub fn announce<P: Peers>(gate: &AtomicU32, peers: &P) -> u32 {
    // Relaxed: the fence below orders it before the look.
    let key = peers.at(gate).fetch_or(WAITERS, Ordering::Relaxed) | WAITERS;
    // SeqCst: pairs with the fence in `notify` (invariant 1).
    fence(Ordering::SeqCst);
    key
}

/// Sleeps until the next notification, a bound, or the deadline.
pub fn sleep<P: Peers>(gate: &AtomicU32, peers: &P, key: u32, patience: &mut Patience, deadline: Option<Deadline>) -> Slept {
    peers.sleep(gate, key, patience.next_bound(), deadline)
}

/// Wakes at most `count` waiters after the structure changed, by a read-modify-write.
#[inline]
pub fn notify<P: Peers>(gate: &AtomicU32, peers: &P, count: u32) {
    // SeqCst: pairs with the fence in `announce` (invariant 1).
    peers.fence_after_change();
    notify_fenced(gate, peers, count);
}

/// As [`notify`], when there has been a fence since the change.
#[inline]
pub fn notify_fenced<P: Peers>(gate: &AtomicU32, peers: &P, count: u32) {
    // Relaxed: the fence above orders it after the change.
    let seen = peers.at(gate).load(Ordering::Relaxed);
    if seen & WAITERS != 0 {
        notify_slow(gate, peers, count);
    }
}

#[cold]
fn notify_slow<P: Peers>(gate: &AtomicU32, peers: &P, count: u32) {
    // Relaxed: the number orders nothing, it only differs.
    let now = peers.at(gate).fetch_add(ONE, Ordering::Relaxed).wrapping_add(ONE);
    if peers.wake(gate, count) >= count.min(i32::MAX as u32) as usize || now & WAITERS == 0 {
        return;
    }
    // Fewer slept than we would have woken: nobody sleeps now, or somebody announced itself since, in the number `now`.
    if peers.at(gate).compare_exchange(now, now & !WAITERS, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
        // Who fell asleep on `now` before the flag went is woken and announces itself anew; after it, nobody can fall asleep on `now`.
        peers.wake(gate, u32::MAX);
    }
}

/// Passes on a wake that came together with the end of our own time (row FX-02).
pub fn pass_on<P: Peers>(gate: &AtomicU32, peers: &P) {
    peers.wake(gate, 1);
}
