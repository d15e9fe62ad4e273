//! Busy work that takes a given time on this machine: what a thread does while it holds a lock, and
//! between.
//!
//! Counted in steps of a little computation and not by the clock: a thread that is preempted must
//! do its work all the same, or the more threads share a processor the less work there would be.

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Steps a nanosecond, measured once: the best of many short tries, so that an interruption does
/// not count.
static STEPS_PER_NS: LazyLock<f64> = LazyLock::new(|| {
    const STEPS: u64 = 20_000;
    let best = (0..50)
        .map(|_| {
            let start = Instant::now();
            Work(STEPS).perform();
            start.elapsed()
        })
        .min()
        .expect("there were tries");
    STEPS as f64 / (best.as_nanos().max(1) as f64)
});

/// An amount of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work(u64);

impl Work {
    /// No work at all.
    pub const NONE: Self = Self(0);

    /// Work that takes this long when no other thread interferes.
    pub fn lasting(time: Duration) -> Self {
        Self((time.as_nanos() as f64 * *STEPS_PER_NS) as u64)
    }

    /// Does it. One copy for all contestants: inlined into each of them, the same steps took twice
    /// the time in some, by the place of the state on the stack, and in others in the next build.
    #[inline(never)]
    pub fn perform(self) {
        let mut state = 1_u64;
        for _ in 0..self.0 {
            // Each step needs the one before, so that the compiler and the processor can neither
            // skip nor overlap them.
            state = black_box(state ^ (state << 13));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_is_nothing_and_more_time_is_more_work() {
        assert_eq!(Work::lasting(Duration::ZERO), Work::NONE);
        let (short, long) =
            (Work::lasting(Duration::from_micros(1)), Work::lasting(Duration::from_micros(100)));
        assert!(short.0 > 0 && (90..=110).contains(&(long.0 / short.0)), "{short:?} {long:?}");
    }
}
