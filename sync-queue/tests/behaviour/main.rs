//! The behaviour of the queues, the channels and the pool, case by case, as Python's `queue` and
//! `concurrent.futures` have it.

#[path = "../../../sync-core/tests/support/bomb.rs"]
mod bomb;
#[path = "../../../sync-core/tests/support/evil_waker.rs"]
mod evil_waker;
#[path = "../../../sync-core/tests/support/wakes.rs"]
mod wakes;
#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod support;

mod asynchronous;
mod cancel;
mod channel;
mod channel_async;
mod handle;
mod limits;
mod liveness;
mod orders;
mod pool;
mod queue;
mod select;
mod select_begun;
mod spsc;
mod together;
mod unwinding;
mod workers;
