//! The limit of a wait.

use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

/// The limit of a wait, as the caller gave it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Timeout {
    None,
    Forever,
    For(Duration),
    Until(Instant),
}

impl Timeout {
    /// The deadline, which may be never; or `Err` if there is to be no waiting at all.
    pub(crate) fn deadline(self) -> Result<Option<Deadline>, ()> {
        match self {
            Self::None | Self::For(Duration::ZERO) => Err(()),
            Self::Forever => Ok(None),
            Self::For(timeout) => Ok(Deadline::after(timeout)),
            Self::Until(instant) => Ok(Deadline::at(instant)),
        }
    }
}
