//! What the queues, channels and the pool do, case by case, as Python's `queue` and
//! `concurrent.futures` do it.

#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod support;

mod channel;
mod handle;
mod limits;
mod liveness;
mod orders;
mod pool;
mod queue;
mod spsc;
mod unwinding;
