//! The primitives that threads wait on and that are not locks.

pub(crate) mod alarm;
pub(crate) mod auto_reset_event;
pub(crate) mod barrier;
pub(crate) mod condvar;
pub(crate) mod event;
pub(crate) mod latch;
pub(crate) mod parker;
pub(crate) mod rate_limiter;
pub mod raw_event;
pub(crate) mod raw_semaphore;
pub(crate) mod semaphore;
pub(crate) mod wait_group;
