//! Waiters in the order of their arrival. A notification names one waiter, and no waiter
//! acknowledges it.
//!
//! **Source.** Our own. The need for it is CPython's `Condition` (#75158): its `notify` waits until
//! the woken waiters have answered, and hangs if one of them is killed. Here a notification is a
//! state of the waiter's slot.
//!
//! | slot | meaning |
//! |---|---|
//! | 0 | free |
//! | ENROLLING, identity | claimed; the ticket is not written yet |
//! | identity | waits |
//! | NOTIFIED, identity | notified; the waiter does not hold its lock again yet |
//! | NOTIFIED, ENROLLING, identity | claimed; the dead waiter's notification is not passed on yet |
//!
//! **Invariants**
//!
//! 1. A notification turns exactly one waiting slot into a notified one, by compare-and-swap: it
//!    wakes one waiter, and only one that was enrolled.
//! 2. A waiter that gives up leaves its slot by compare-and-swap from "waits". If that fails, it
//!    was notified, and its wait returns so. A timeout loses no notification.
//! 3. NOTIFIED stays in a slot until the waiter holds its lock again. A waiter whose recheck
//!    interval ends takes over the slot of a notified waiter that died: the slot then bears
//!    NOTIFIED and the new owner's identity, so that the next waiter finds it if the new owner dies
//!    too.
//! 4. A notification that its owner cannot use is passed on before it is erased. A death between
//!    the two steps leaves it in both places: after a death a notification may wake two waiters,
//!    and never none.
//!
//! **After the wait.** From the return of a wait on, the notification is used up. A process that
//! dies then dies as the owner of the lock, and the next owner gets `OwnerDied`.
//!
//! **Orderings.** Notifying is Release and pairs with the waiter's Acquire. Erasing a slot is
//! Release and pairs with the Acquire of the next claim.

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::Deadline;

use super::{IDENTITY, Platform, RecheckInterval, Slept};

const NOTIFIED: u32 = 1 << 31;
const ENROLLING: u32 = 1 << 30;

/// A ticket dispenser, and a slot and a ticket for every waiter that there can be.
#[derive(Clone, Copy, Debug)]
pub struct Waitlist<'a> {
    /// The next ticket.
    pub next: &'a AtomicU64,
    /// The waiters.
    pub slots: &'a [AtomicU32],
    /// The order of their arrival.
    pub tickets: &'a [AtomicU64],
}

impl Waitlist<'_> {
    /// Enrols the caller. Returns its slot, or `None` if there are as many living waiters as slots.
    pub fn enrol<P: Platform>(&self, peers: &P) -> Option<usize> {
        let free = |slot: &AtomicU32| {
            // Relaxed: a look; the claim decides.
            peers.at(slot).load(Ordering::Relaxed) == 0 && self.claim(peers, slot, 0)
        };
        let dead = |slot: &AtomicU32| {
            // Relaxed: a look; the claim decides.
            let seen = peers.at(slot).load(Ordering::Relaxed);
            seen & IDENTITY != 0 && peers.is_dead(seen & IDENTITY) && self.claim(peers, slot, seen)
        };
        let at = self.slots.iter().position(free).or_else(|| self.slots.iter().position(dead))?;
        // Relaxed: tickets only order the waiters; a tie costs fairness and nothing else.
        let ticket = peers.at(self.next).fetch_add(1, Ordering::Relaxed);
        peers.at(&self.tickets[at]).store(ticket, Ordering::Relaxed);
        // Release: pairs with the Acquire of the notifier's look, which reads the ticket.
        peers.at(&self.slots[at]).store(peers.me(), Ordering::Release);
        Some(at)
    }

    /// Claims a slot that was seen to be free, or to belong to a dead waiter.
    fn claim<P: Platform>(&self, peers: &P, slot: &AtomicU32, seen: u32) -> bool {
        // NOTIFIED goes along (invariant 3): if this participant dies before it has passed the
        // notification on, the notification is still in the slot.
        let claimed = peers.me() | ENROLLING | (seen & NOTIFIED);
        // Acquire: pairs with the Release of the participant that left the slot, so that its ticket
        // is not written after ours.
        if peers
            .at(slot)
            .compare_exchange(seen, claimed, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        if seen & NOTIFIED != 0 {
            // Invariant 4. The caller of `enrol` holds the lock and has looked at the condition
            // after that notification: it needs none.
            self.notify(peers, 1);
        }
        true
    }

    /// Notifies the `count` waiters that have waited longest. Returns the number of notified
    /// waiters.
    pub fn notify<P: Platform>(&self, peers: &P, count: usize) -> usize {
        if count >= self.slots.len() {
            // All of them: one pass, whatever their order.
            let waiting = self.slots.iter().filter(|slot| {
                // Acquire: pairs with the Release in `enrol`.
                let seen = peers.at(*slot).load(Ordering::Acquire);
                waits(seen) && self.notify_slot(peers, slot, seen)
            });
            return waiting.count();
        }
        let mut done = 0;
        while done < count {
            let waiting = self.slots.iter().enumerate().filter_map(|(at, slot)| {
                // Acquire: pairs with the Release in `enrol`.
                let seen = peers.at(slot).load(Ordering::Acquire);
                // Relaxed: the look at the slot orders it.
                let ticket = || peers.at(&self.tickets[at]).load(Ordering::Relaxed);
                waits(seen).then(|| (ticket(), at, seen))
            });
            let Some((_, at, seen)) = waiting.min() else { break };
            done += usize::from(self.notify_slot(peers, &self.slots[at], seen));
        }
        done
    }

    fn notify_slot<P: Platform>(&self, peers: &P, slot: &AtomicU32, seen: u32) -> bool {
        // Release: pairs with the Acquire in `give_up`, `take_over` and `wait`.
        let notified = peers
            .at(slot)
            .compare_exchange(seen, seen | NOTIFIED, Ordering::Release, Ordering::Relaxed)
            .is_ok();
        if notified {
            peers.wake(slot, 1);
        }
        notified
    }

    /// Waits in the slot that [`enrol`](Self::enrol) returned, calls `lock_again`, and leaves the
    /// slot. Returns whether the waiter was notified (`false`: the deadline passed), and what
    /// `lock_again` returned.
    ///
    /// The order is invariant 3: the notification is erased when the lock is held.
    pub fn wait<P: Platform, L>(
        &self,
        peers: &P,
        at: usize,
        deadline: Option<Deadline>,
        lock_again: impl FnOnce() -> L,
    ) -> (bool, L) {
        let notified = self.wait_for_notification(peers, at, deadline);
        let locked = lock_again();
        if let Some(at) = notified {
            self.erase(peers, at);
        }
        (notified.is_some(), locked)
    }

    /// Returns the slot with the notification, which is the caller's; or `None`, if the deadline
    /// passed and the caller has no slot any more.
    fn wait_for_notification<P: Platform>(
        &self,
        peers: &P,
        at: usize,
        deadline: Option<Deadline>,
    ) -> Option<usize> {
        let slot = &self.slots[at];
        let me = peers.me();
        let mut interval = RecheckInterval::new();
        loop {
            // Acquire: pairs with the Release in `notify_slot`. Any other word than `me` counts as
            // a notification: if a peer scribbled, one wake-up too many is legal.
            if peers.at(slot).load(Ordering::Acquire) != me {
                return Some(at);
            }
            let why = peers.sleep(slot, me, interval.next_bound(), deadline);
            let taken = if why == Slept::Woken { None } else { self.take_over(peers) };
            if let Some(taken) = taken {
                if !self.give_up(peers, at) {
                    // Two notifications: another waiter gets ours (invariant 4).
                    self.notify(peers, 1);
                    self.erase(peers, at);
                }
                return Some(taken);
            }
            if why == Slept::Deadline {
                return if self.give_up(peers, at) { None } else { Some(at) };
            }
        }
    }

    /// Leaves a slot that waits. Returns `false` if it was notified.
    fn give_up<P: Platform>(&self, peers: &P, at: usize) -> bool {
        // Relaxed if it succeeds: a read-modify-write, after which the next to claim the slot still
        // acquires the Release in `enrol`. Acquire on failure: pairs with the Release in
        // `notify_slot`.
        peers
            .at(&self.slots[at])
            .compare_exchange(peers.me(), 0, Ordering::Relaxed, Ordering::Acquire)
            .is_ok()
    }

    /// Frees a notified slot of the caller's.
    fn erase<P: Platform>(&self, peers: &P, at: usize) {
        // Release: pairs with the Acquire of the next claim. Relaxed on failure: the slot is not
        // ours, so a peer scribbled, and nothing of ours is in it.
        let _ = peers.at(&self.slots[at]).compare_exchange(
            peers.me() | NOTIFIED,
            0,
            Ordering::Release,
            Ordering::Relaxed,
        );
    }

    /// Makes the notified slot of a dead waiter the caller's (invariant 3).
    fn take_over<P: Platform>(&self, peers: &P) -> Option<usize> {
        self.slots.iter().position(|slot| {
            // Relaxed: a look; the exchange decides.
            let seen = peers.at(slot).load(Ordering::Relaxed);
            seen & NOTIFIED != 0
                && peers.is_dead(seen & IDENTITY)
                // Acquire: stands for the Acquire of the waiter that died. Release: the next claim
                // acquires from this participant what the dead one released.
                && peers
                    .at(slot)
                    .compare_exchange(
                        seen,
                        peers.me() | NOTIFIED,
                        Ordering::AcqRel,
                        Ordering::Relaxed,
                    )
                    .is_ok()
        })
    }
}

/// Whether a slot's owner waits and is not notified.
fn waits(slot: u32) -> bool {
    slot != 0 && slot & (NOTIFIED | ENROLLING) == 0
}
