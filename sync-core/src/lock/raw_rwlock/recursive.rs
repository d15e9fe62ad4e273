//! Reads by a thread that reads already.
//!
//! An ordinary reader waits behind a waiting writer, so a thread that holds the lock for reading
//! and takes it again would wait for a writer that waits for it. A recursive reader enters whenever
//! the lock is held for reading: the count is not 0, whatever waits. A thread that holds the lock
//! for reading finds such a state always, so it never waits, unless 2^25 readers make it panic.
//!
//! The price is that readers that come recursively without a need can keep a writer out forever.
//!
//! A recursive reader enters although `UPGRADING` is set. The upgrading reader finds the count
//! changed and sleeps again; the release that leaves it alone wakes it (the table of `mod.rs`).

use core::time::Duration;
use std::time::Instant;

use super::RawRwLock;
use super::state::{COUNT, READER, entered};
use crate::primitive::atomic::Ordering::{Acquire, Relaxed};

impl RawRwLock {
    /// Like [`read`](Self::read); if any thread holds the lock for reading, or as upgradable
    /// reader, the calling thread becomes a reader at once, also if a writer waits. So a thread
    /// that reads may call it without a deadlock.
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    #[track_caller]
    pub fn read_recursive(&self) {
        if !self.read_beside_readers() {
            self.read();
        }
    }

    /// Like [`try_read`](Self::try_read); never refused if a thread reads already.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn try_read_recursive(&self) -> bool {
        self.read_beside_readers() || self.try_read()
    }

    /// Like [`read_recursive`](Self::read_recursive), for at most `timeout`.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn try_read_recursive_for(&self, timeout: Duration) -> bool {
        self.read_beside_readers() || self.try_read_for(timeout)
    }

    /// Like [`read_recursive`](Self::read_recursive), until `deadline` at most.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn try_read_recursive_until(&self, deadline: Instant) -> bool {
        self.read_beside_readers() || self.try_read_until(deadline)
    }

    /// Enters if the count of readers is not 0.
    #[track_caller]
    pub(crate) fn read_beside_readers(&self) -> bool {
        // Relaxed: the compare-and-swap that follows compares it.
        let mut state = self.state.load(Relaxed);
        // Under a writer the count is 0.
        while state & COUNT != 0 {
            // Acquire: as in `read_at_once`. The readers that are there may have entered before
            // this thread saw what the last writer wrote.
            match self.state.compare_exchange(state, entered(state, READER), Acquire, Relaxed) {
                Ok(_) => return true,
                Err(seen) => state = seen,
            }
        }
        false
    }
}
