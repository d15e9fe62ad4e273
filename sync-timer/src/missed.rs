//! The policies for ticks whose time has passed.

/// The policy of a periodic timer for ticks that it missed, because a callback, or the thread that
/// waits for the ticks, took longer than a period, or because the [`Executor`](crate::Executor)
/// refused a tick.
///
/// Lateness of less than a period changes nothing: ticks keep to the grid.
///
/// ```text
/// period      |     |     |     |     |     |     |
/// Skip        f1    f2-----------f2   f5    f6      the grid stays; missed ticks are left out
/// Burst       f1    f2-----------f2f3f4f5   f6      the grid stays; missed ticks follow at once
/// Delay       f1    f2-----------f2      f3    f4   the grid moves: a period from the late end
/// ```
///
/// A refused tick is a missed tick: `Skip` leaves it out, `Burst` makes up for it together with the
/// next tick of the grid, `Delay` begins a new grid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Missed {
    /// Leaves them out: the next tick is the first of the grid that is yet to come.
    #[default]
    Skip,
    /// Makes up for them, one after the other without a pause.
    Burst,
    /// Begins a new grid: the next tick is one full period from now.
    Delay,
}

impl Missed {
    /// Returns when the next tick is, after the one for `scheduled`, and how many are left out.
    /// `period` is not zero; `u64::MAX` is never.
    pub(crate) fn next(self, scheduled: u64, period: u64, now: u64) -> (u64, u64) {
        let next = scheduled.saturating_add(period);
        if next > now {
            return (next, 0);
        }
        match self {
            Missed::Burst => (next, 0),
            Missed::Delay => (now.saturating_add(period), 0),
            Missed::Skip => {
                // `next <= now`: at least one was missed.
                let missed = (now - next) / period + 1;
                (scheduled.saturating_add(period.saturating_mul(missed + 1)), missed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Missed::{Burst, Delay, Skip};

    #[test]
    fn what_is_late_by_less_than_a_period_keeps_the_grid() {
        for missed in [Skip, Burst, Delay] {
            assert_eq!(missed.next(100, 10, 100), (110, 0));
            assert_eq!(missed.next(100, 10, 109), (110, 0));
        }
    }

    #[test]
    fn what_was_missed() {
        assert_eq!(Skip.next(100, 10, 110), (120, 1));
        assert_eq!(Skip.next(100, 10, 135), (140, 3));
        assert_eq!(Burst.next(100, 10, 135), (110, 0));
        assert_eq!(Delay.next(100, 10, 135), (145, 0));
    }

    #[test]
    fn the_end_of_time_is_never() {
        for missed in [Skip, Burst, Delay] {
            assert_eq!(missed.next(100, u64::MAX, 200), (u64::MAX, 0));
        }
        assert_eq!(Delay.next(u64::MAX - 3, 2, u64::MAX - 1), (u64::MAX, 0));
    }
}
