//! Waiters in the order they came, each woken by name, none acknowledged.
//!
//! **Source.** Our own; the need for it is CPython's `Condition` (#75158), whose `notify` waits for
//! the woken ones to say so, for ever if one of them is killed. Here a notification is a state of
//! the waiter's own cell.
//!
//! | cell | meaning |
//! |---|---|
//! | 0 | free |
//! | ENROLLING, identity | claimed, ticket not written yet |
//! | identity | waits |
//! | NOTIFIED, identity | was notified and has not seen it yet |
//!
//! **Invariants**
//!
//! 1. A notification turns exactly one waiting cell into a notified one, by compare-and-swap: it
//!    wakes one waiter, and only one that was enrolled.
//! 2. A waiter that gives up leaves its cell by compare-and-swap from "waits": if that fails it was
//!    notified and says so. No notification is lost to a timeout (row FX-02).
//! 3. A notification to one who died is not lost either: a waiter whose bound ends takes over what
//!    a dead one was notified of.
//!
//! **Orderings.** Notifying is Release and pairs with the waiter's Acquire.

use sync_core::primitive::atomic::{AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::futex::Deadline;

use super::{IDENTITY, Patience, Peers, Slept};

const NOTIFIED: u32 = 1 << 31;
const ENROLLING: u32 = 1 << 30;

/// A ticket dispenser, and for every waiter that there can be a cell and a ticket.
#[derive(Clone, Copy, Debug)]
pub struct Waitlist<'a> {
    /// The next ticket.
    pub next: &'a AtomicU64,
    /// The waiters.
    pub cells: &'a [AtomicU32],
    /// When they came.
    pub tickets: &'a [AtomicU64],
}

impl Waitlist<'_> {
    /// Enrols the caller; `None` if there are as many living waiters as cells.
    pub fn enrol<P: Peers>(&self, peers: &P) -> Option<usize> {
        let me = peers.me();
        let claim = |cell: &AtomicU32, from: u32| {
            // Acquire: pairs with the Release of the one who left the cell, so that its ticket is
            // not written after ours.
            peers.at(cell).compare_exchange(from, me | ENROLLING, Ordering::Acquire, Ordering::Relaxed).is_ok()
        };
        let at = self.cells.iter().position(|cell| peers.at(cell).load(Ordering::Relaxed) == 0 && claim(cell, 0)).or_else(|| {
            self.cells.iter().position(|cell| {
                let seen = peers.at(cell).load(Ordering::Relaxed);
                if seen & IDENTITY == 0 || !peers.is_dead(seen & IDENTITY) || !claim(cell, seen) {
                    return false;
                }
                if seen & NOTIFIED != 0 {
                    self.notify(peers, 1);
                }
                true
            })
        })?;
        // Relaxed: tickets only order the waiters; a tie costs fairness and nothing else.
        let ticket = peers.at(self.next).fetch_add(1, Ordering::Relaxed);
        peers.at(&self.tickets[at]).store(ticket, Ordering::Relaxed);
        // Release: pairs with the Acquire of the notifier's look, which reads the ticket.
        peers.at(&self.cells[at]).store(me, Ordering::Release);
        Some(at)
    }

    /// Notifies the `count` who have waited longest; says how many there were.
    pub fn notify<P: Peers>(&self, peers: &P, count: usize) -> usize {
        let mut done = 0;
        while done < count {
            let oldest = self
                .cells
                .iter()
                .enumerate()
                .filter_map(|(at, cell)| {
                    // Acquire: pairs with the Release in `enrol`.
                    let seen = peers.at(cell).load(Ordering::Acquire);
                    let waits = seen != 0 && seen & (NOTIFIED | ENROLLING) == 0;
                    waits.then(|| (self.tickets[at].load(Ordering::Relaxed), at, seen))
                })
                .min();
            let Some((_, at, seen)) = oldest else { break };
            // Release: pairs with the Acquire in `leave` and `inherit`.
            if peers.at(&self.cells[at]).compare_exchange(seen, seen | NOTIFIED, Ordering::Release, Ordering::Relaxed).is_ok() {
                peers.wake(&self.cells[at], 1);
                done += 1;
            }
        }
        done
    }

    /// Waits in the cell that [`enrol`](Self::enrol) gave, and leaves it; `false` at the deadline.
    pub fn wait<P: Peers>(&self, peers: &P, at: usize, deadline: Option<Deadline>) -> bool {
        let cell = &self.cells[at];
        let me = peers.me();
        let mut patience = Patience::new();
        loop {
            // Relaxed: a look; leaving acquires.
            if peers.at(cell).load(Ordering::Relaxed) != me {
                return self.leave(peers, at);
            }
            let why = peers.sleep(cell, me, patience.next_bound(), deadline);
            if why != Slept::Woken && self.inherit(peers) {
                // We have a notification; if our own came too, somebody else shall have it.
                if self.leave(peers, at) {
                    self.notify(peers, 1);
                }
                return true;
            }
            if why == Slept::Deadline {
                return self.leave(peers, at);
            }
        }
    }

    /// Leaves the cell; `true` if it had been notified.
    fn leave<P: Peers>(&self, peers: &P, at: usize) -> bool {
        let (cell, me) = (&self.cells[at], peers.me());
        // Relaxed if it succeeds: a read-modify-write, after which the next to claim the cell still
        // acquires the Release in `enrol`. Acquire on failure: pairs with the Release in `notify`.
        match peers.at(cell).compare_exchange(me, 0, Ordering::Relaxed, Ordering::Acquire) {
            Ok(_) => false,
            Err(seen) if seen == me | NOTIFIED => {
                // Release: pairs with the Acquire of the next to claim the cell.
                peers.at(cell).store(0, Ordering::Release);
                true
            }
            // Not our cell: somebody scribbled. A wake-up too many is legal.
            Err(_) => true,
        }
    }

    /// Takes over the notification of one who died before it saw it.
    fn inherit<P: Peers>(&self, peers: &P) -> bool {
        self.cells.iter().any(|cell| {
            let seen = peers.at(cell).load(Ordering::Relaxed);
            seen & NOTIFIED != 0
                && peers.is_dead(seen & IDENTITY)
                // Acquire: stands for the Acquire of the one who died.
                && peers.at(cell).compare_exchange(seen, 0, Ordering::Acquire, Ordering::Relaxed).is_ok()
        })
    }
}
