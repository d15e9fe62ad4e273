//! Many threads and the real clock.

#[path = "../../../sync-core/tests/support/storm.rs"]
mod storm;
#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod drops;
mod scheduler;
mod timer;
