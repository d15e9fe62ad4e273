//! Virtual time: it passes only where a thread waits for it.
//!
//! A wait whose time runs out takes its duration, and so does [`sleep`](crate::thread::sleep). The
//! clock is consistent with happens-before: a thread that sees what another thread did sees no
//! earlier time.

use crate::engine::runtime::{self, object};
use std::panic::Location;
use std::time::Duration;

/// Replaces `std::time::Instant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The time.
    pub fn now() -> Instant {
        let nanos = if runtime::current().is_some() { runtime::with(|rt| rt.time()) } else { 0 };
        Instant(Duration::from_nanos(nanos))
    }

    /// The time from `earlier` to this, zero if it is later.
    pub fn duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time from `earlier` to this, `None` if it is later.
    pub fn checked_duration_since(&self, earlier: Instant) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    /// The time from `earlier` to this, zero if it is later.
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the time since this instant.
    pub fn elapsed(&self) -> Duration {
        Instant::now().duration_since(*self)
    }

    /// This and `duration`, if it fits.
    pub fn checked_add(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_add(duration).map(Instant)
    }

    /// This less `duration`, if it fits.
    pub fn checked_sub(&self, duration: Duration) -> Option<Instant> {
        self.0.checked_sub(duration).map(Instant)
    }
}

impl std::ops::Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, d: Duration) -> Instant {
        Instant(self.0 + d)
    }
}

impl std::ops::AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        self.0 += d;
    }
}

impl std::ops::Sub<Duration> for Instant {
    type Output = Instant;
    fn sub(self, d: Duration) -> Instant {
        Instant(self.0 - d)
    }
}

impl std::ops::Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

/// Lets virtual time pass.
#[track_caller]
pub fn advance(duration: Duration) {
    object::tick(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Location::caller());
}

/// A wait of this length has timed out.
pub(crate) fn ran_out(duration: Duration, site: &'static Location<'static>) {
    object::tick(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), site);
}
