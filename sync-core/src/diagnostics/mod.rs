//! What the features `deadlock` and `stats` see of the locks.

#[cfg(any(feature = "deadlock", feature = "stats"))]
mod quiet;

pub(crate) mod callback_slot;
#[cfg(feature = "deadlock")]
pub mod deadlock;
pub(crate) mod instrument;
pub(crate) mod lock_kind;
#[cfg(feature = "stats")]
pub mod stats;
