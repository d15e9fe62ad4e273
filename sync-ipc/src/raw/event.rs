//! A flag to wait for: the event of `sync_core`, in shared memory.
//!
//! **Source.** [`raw_event`], which has the states, the invariants and the orderings for threads
//! and processes alike. Here is what a process adds: its sleeps are bounded, so that a setter that
//! dies between its step and the wake holds up no waiter.

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Deadline;
use sync_core::primitive::hint::Spin;
use sync_core::raw_event::{self, Home, Unset};

use super::{Platform, RecheckInterval, Slept};

/// A word in shared memory, which stays mapped for as long as a handle to it exists.
struct Shared<'a, P> {
    word: &'a AtomicU32,
    peers: &'a P,
}

impl<P: Platform> Home for Shared<'_, P> {
    #[inline(always)]
    fn at<'a>(&self, word: &'a AtomicU32) -> &'a AtomicU32 {
        self.peers.at(word)
    }

    #[inline(always)]
    fn wake_all(&self, _: *const AtomicU32) {
        self.peers.wake(self.word, u32::MAX);
    }
}

/// Whether it is set.
pub fn is_set<P: Platform>(word: &AtomicU32, peers: &P) -> bool {
    raw_event::is_set(word, &Shared { word, peers })
}

/// Sets it and wakes all waiters.
pub fn set<P: Platform>(word: &AtomicU32, peers: &P) {
    raw_event::set(word, &Shared { word, peers });
}

/// Clears it.
pub fn clear<P: Platform>(word: &AtomicU32, peers: &P) {
    raw_event::clear(word, &Shared { word, peers });
}

/// Waits until it is set, or was set meanwhile; `false` at the deadline.
pub fn wait<P: Platform>(word: &AtomicU32, peers: &P, deadline: Option<Deadline>) -> bool {
    let home = Shared { word, peers };
    let mut wait = Unset::new();
    let mut spin = Spin::new();
    loop {
        if wait.is_over(word, &home) {
            return true;
        }
        if !spin.turn() {
            break;
        }
    }
    let mut interval = RecheckInterval::new();
    while let Some(expected) = wait.step(word, &home) {
        if peers.sleep(word, expected, interval.next_bound(), deadline) == Slept::Deadline {
            return wait.is_over(word, &home);
        }
    }
    true
}

/// Looks at the event for a waiter that sleeps on several words at once.
///
/// # Errors
///
/// The wait is not over: the value of the word to sleep on.
pub fn watch<P: Platform>(word: &AtomicU32, peers: &P, wait: &mut Unset) -> Result<(), u32> {
    wait.step(word, &Shared { word, peers }).map_or(Ok(()), Err)
}
