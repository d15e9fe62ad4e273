//! The behaviour of each type, named after the rows of the semantics where there is one.

#[path = "../../../sync-core/tests/support/watchdog.rs"]
#[allow(dead_code, reason = "not every test leaves notes")]
mod watchdog;

mod calendar;
mod executor;
mod interval;
mod paced;
mod scheduler;
mod task;
mod timer;
