//! Spinning: whether it pays, and how to wait for a few instructions of another thread.

use core::sync::atomic::Ordering;

use sync_core::primitive::{MODELLED, hint, thread};

/// Records whether spinning has paid here. Spinning pays where the other side runs on another
/// processor at the same time. It never pays where the other side waits for this processor: then
/// each spin is lost time twice over. Only speed rests on the record, so threads that overwrite
/// each other's records do no harm.
#[derive(Debug)]
pub(super) struct AdaptiveSpin(HintCell);

/// Not a modelled atomic: it is no part of any algorithm, and under a checker no thread spins.
type HintCell = core::sync::atomic::AtomicU32;

impl AdaptiveSpin {
    /// The number of failures in a row after which spinning is suspended.
    const ENOUGH: u32 = 4;
    /// The number of waits without a spin before it is tried once more.
    const REST: u32 = 16;

    pub(super) const fn new() -> Self {
        Self(HintCell::new(0))
    }

    pub(super) fn tries(&self) -> bool {
        if MODELLED {
            return false;
        }
        // Relaxed: a heuristic; no data is published through it.
        let failures = self.0.load(Ordering::Relaxed);
        if failures < Self::ENOUGH {
            return true;
        }
        let next =
            if failures < Self::ENOUGH + Self::REST { failures + 1 } else { Self::ENOUGH - 1 };
        self.0.store(next, Ordering::Relaxed);
        false
    }

    pub(super) fn had(&self, luck: bool) {
        // Relaxed: a heuristic; no data is published through it.
        let failures = self.0.load(Ordering::Relaxed);
        let next = if luck { 0 } else { failures + 1 };
        if next != failures {
            self.0.store(next, Ordering::Relaxed);
        }
    }
}

impl Default for AdaptiveSpin {
    fn default() -> Self {
        Self::new()
    }
}

/// Waiting for another thread that is in the middle of a few instructions and, at worst, was
/// preempted there.
#[derive(Debug, Default)]
pub(crate) struct Backoff(hint::Spin);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[cold]
    pub(crate) fn turn(&mut self) {
        if !self.0.turn() {
            thread::yield_now();
        }
    }
}
