//! What the queues do, case by case. Tests are named after the rows of the contract with Python's
//! `queue` and `concurrent.futures`.

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
