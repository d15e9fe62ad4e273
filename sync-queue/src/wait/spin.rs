//! Spinning: whether it pays, and how to wait for a few instructions of another thread.

use core::sync::atomic::Ordering;
use core::time::Duration;

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

/// Lets the other side of a stream get ahead.
///
/// The position of the queue at one wait and at the next tells a stream from turns: with turns one
/// item went by, with a stream many. A getter that has caught up with a stream, and looks at once,
/// takes the cache lines away from the putter at every single item from then on. So it lets some
/// time pass first, in which the putter adds a hundred items or so. Measured on a Xeon, one putter
/// and one getter, unbounded: 121 ns an item without, 53 with. Only speed rests on the record, so
/// threads that overwrite each other's records do no harm.
#[derive(Debug)]
pub(super) struct StreamLead(HintCell);

impl StreamLead {
    /// The number of items from one wait to the next from which on they are a stream.
    const STREAM: u32 = 8;
    const LEAD: Duration = Duration::from_micros(2);

    pub(super) const fn new() -> Self {
        Self(HintCell::new(0))
    }

    /// Records the position, which counts items, and pauses if this is a stream.
    pub(super) fn give(&self, position: impl FnOnce() -> u64) {
        if MODELLED {
            return;
        }
        // The lower half: only the distance matters.
        let now = position() as u32;
        // Relaxed: a heuristic; no data is published through it.
        let before = self.0.load(Ordering::Relaxed);
        self.0.store(now, Ordering::Relaxed);
        if now.wrapping_sub(before) >= Self::STREAM {
            hint::pause_for(Self::LEAD);
        }
    }
}

impl Default for StreamLead {
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
