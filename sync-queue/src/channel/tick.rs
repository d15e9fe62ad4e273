//! Channels whose items are points in time: no thread and no queue stands behind them.

use core::time::Duration;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::thread;

use crate::buffer::PopError;
use crate::wait::timeout::Timeout;

/// `bounded(0)` and the clock know nothing of each other's items, so the clock turns an `Instant`
/// into a `T` by a function that only `Flavor::<Instant>::ticks` can give it.
pub(super) struct Ticks<T> {
    pub(super) next: Mutex<Option<Instant>>,
    pub(super) period: Option<Duration>,
    pub(super) item: fn(Instant) -> T,
}

impl<T> Ticks<T> {
    /// The next tick, if it is due at `now`; else when it is due, if ever.
    pub(super) fn take(&self, now: Instant) -> Result<T, Option<Instant>> {
        let mut next = self.next.lock();
        match *next {
            Some(due) if due <= now => {
                // The period after this one, or after now if that is past: missed ticks are missed.
                *next = self.period.and_then(|period| {
                    due.checked_add(period)
                        .map(|after| if after < now { now + period } else { after })
                });
                Ok((self.item)(due))
            }
            due => Err(due),
        }
    }

    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        let end = match timeout {
            Timeout::None => Some(Instant::now()),
            Timeout::Forever => None,
            Timeout::For(timeout) => Instant::now().checked_add(timeout),
            Timeout::Until(deadline) => Some(deadline),
        };
        loop {
            let now = Instant::now();
            let due = match self.take(now) {
                Ok(item) => return Ok(item),
                Err(due) => due,
            };
            if end.is_some_and(|end| end <= now) {
                return Err(PopError::Empty);
            }
            match due.into_iter().chain(end).min() {
                Some(when) => thread::sleep(when.saturating_duration_since(now)),
                None => thread::sleep(Duration::MAX),
            }
        }
    }
}
