//! The parts that the two builds under a checker share.

use core::cell::Cell;
use core::num::NonZeroU64;
use core::time::Duration;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::thread::{thread_local, yield_now};

/// A spin that never begins: under a checker it would only multiply the executions.
#[derive(Debug, Default)]
pub struct Spin(());

impl Spin {
    /// A spin that has not begun.
    pub const fn new() -> Self {
        Self(())
    }

    /// As [`new`](Self::new).
    pub const fn none() -> Self {
        Self(())
    }

    /// Returns `false`: it is time to sleep.
    pub fn turn(&mut self) -> bool {
        false
    }
}

/// The most words that one thread can sleep on: no checker has such a call.
pub const MOST_WORDS: usize = 1;

/// Returns `false`: a checker has no wait for several words.
pub fn wait_many(
    _: (&super::atomic::AtomicU32, u32),
    _: &[(&super::atomic::AtomicU32, u32)],
    _: Option<super::futex::Deadline>,
) -> bool {
    false
}

std::thread_local! {
    /// A plain thread-local, not the checker's: all threads of a model run on the thread that
    /// explores it.
    static WAKES_SAY: Cell<Option<usize>> = const { Cell::new(None) };
}

/// From now on every wake reports that it woke `count` threads, whatever it did: some systems do
/// not report the number, and some report it wrongly.
pub fn wakes_say(count: usize) {
    WAKES_SAY.set(Some(count));
}

/// Returns the number that a wake of `woken` threads reports.
pub(super) fn said(woken: usize) -> usize {
    WAKES_SAY.get().unwrap_or(woken)
}

/// Lets other threads go on: there is no clock to sleep by.
pub fn sleep(_: Duration) {
    yield_now();
}

/// The calling thread's number: never zero, never used again.
pub fn id() -> NonZeroU64 {
    // Not a modelled atomic: numbering the threads is no part of any model.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    thread_local! {
        static ID: Cell<u64> = Cell::new(0);
    }
    ID.with(|id| {
        if id.get() == 0 {
            // Relaxed: the numbers only have to differ.
            id.set(NEXT.fetch_add(1, Ordering::Relaxed));
        }
        NonZeroU64::new(id.get()).expect("numbers start at 1")
    })
}

/// [`Spin`], which never begins: a checker explores the state after any number of turns.
pub type Looks = Spin;

/// Returns at once: under a checker no time passes.
pub fn pause_for(_: core::time::Duration) {}

/// No effect: a checker has no caches.
pub fn prefetch<T: ?Sized>(_: *const T) {}

/// A finite deadline. A checker has no clock: whether it passes is a matter of scheduling. Which of
/// two is the earlier one is that of their timeouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Duration);

impl Deadline {
    /// A deadline; `None` where the real one would be past the end of the clock.
    #[must_use]
    pub fn after(timeout: Duration) -> Option<Self> {
        (timeout != Duration::MAX).then_some(Self(timeout))
    }

    /// A deadline, before all that are measured from now.
    #[must_use]
    pub fn at(_: Instant) -> Option<Self> {
        Some(Self(Duration::ZERO))
    }
}
