//! Spinning: whether it pays, and how to wait for a few instructions of another thread.

use core::sync::atomic::Ordering;

use sync_core::primitive::{MODELLED, hint, thread};

/// Whether spinning has paid here. It does where the other side runs on another processor at the
/// same time, and never where it waits for this one: then each spin is lost time twice over.
/// Nothing but speed rests on it, so threads that overwrite each other's notes do no harm.
#[derive(Debug)]
pub(super) struct AdaptiveSpin(HintCell);

/// Not a modelled atomic: it is no part of any algorithm, and a checker's spin never begins.
type HintCell = core::sync::atomic::AtomicU32;

impl AdaptiveSpin {
    /// So many failures in a row and it is left alone.
    const ENOUGH: u32 = 4;
    /// Then for so many waits, before it is tried once more.
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
