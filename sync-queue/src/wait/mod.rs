//! How a thread waits: for a few instructions of another thread, or asleep until it is chosen.

pub(crate) mod event_count;
pub(crate) mod spin;
pub(crate) mod timeout;
