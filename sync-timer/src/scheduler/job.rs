//! What a timer calls, with its type forgotten.

use core::cell::Cell;
use std::time::Instant;

use crate::Missed;

/// One timer's callback, in one allocation.
pub(super) trait Job: Send {
    /// Calls it. A one-shot job is called once.
    fn call(&mut self, tick: &Tick);

    /// How it goes on after a call; `None`: it does not.
    fn repeat(&self) -> Option<Repeat>;

    /// How many ticks were left out before the coming one.
    fn missed(&self) -> u64 {
        0
    }

    /// Notes what `missed` is to say.
    fn set_missed(&mut self, missed: u64) {
        debug_assert_eq!(missed, 0, "a one-shot job misses nothing");
    }
}

/// The rhythm of a periodic timer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Repeat {
    /// Nanoseconds, not zero.
    pub(super) period: u64,
    pub(super) missed: Missed,
}

/// One tick of a periodic timer, as its callback sees it.
#[derive(Debug)]
pub struct Tick {
    pub(super) scheduled: Instant,
    pub(super) missed: u64,
    pub(super) stop: Cell<bool>,
}

impl Tick {
    /// When it was due.
    #[must_use]
    pub fn scheduled(&self) -> Instant {
        self.scheduled
    }

    /// How many ticks were left out before this one; always 0 unless the timer is [`Missed::Skip`].
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Makes this the last one: the same as cancelling the timer from within its callback, without
    /// a handle.
    pub fn stop(&self) {
        self.stop.set(true);
    }
}

pub(super) struct Once<F>(pub(super) Option<F>);

impl<F: FnOnce() + Send> Job for Once<F> {
    fn call(&mut self, _: &Tick) {
        let callback = self.0.take().expect("a one-shot job is called once");
        callback();
    }

    fn repeat(&self) -> Option<Repeat> {
        None
    }
}

pub(super) struct Every<F> {
    pub(super) callback: F,
    pub(super) repeat: Repeat,
    pub(super) missed: u64,
}

impl<F: FnMut(&Tick) + Send> Job for Every<F> {
    fn call(&mut self, tick: &Tick) {
        (self.callback)(tick);
    }

    fn repeat(&self) -> Option<Repeat> {
        Some(self.repeat)
    }

    fn missed(&self) -> u64 {
        self.missed
    }

    fn set_missed(&mut self, missed: u64) {
        self.missed = missed;
    }
}
