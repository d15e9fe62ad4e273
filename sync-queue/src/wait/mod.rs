//! How a thread waits: for a few instructions of another thread, or asleep until it is chosen, by
//! one event or by the first of several.

pub(crate) mod event_count;
pub(crate) mod random;
pub(crate) mod selector;
pub(crate) mod spin;
pub(crate) mod stash;
pub(crate) mod timeout;
#[cfg(feature = "futures-core")]
pub(crate) mod unfold;
