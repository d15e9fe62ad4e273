//! The diagnostics of the features `deadlock`, `stats` and `waits`.

#[cfg(any(feature = "deadlock", feature = "stats"))]
mod quiet;

pub(crate) mod callback_slot;
#[cfg(feature = "deadlock")]
pub mod deadlock;
pub(crate) mod instrument;
pub(crate) mod lock_kind;
#[cfg(feature = "stats")]
pub mod stats;
#[cfg(any(feature = "deadlock", feature = "waits"))]
pub(crate) mod std_locks;
#[cfg(feature = "waits")]
pub mod waits;
