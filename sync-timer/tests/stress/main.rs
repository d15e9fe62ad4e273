//! Many threads and the real clock.

#[path = "../../../sync-core/tests/support/watchdog.rs"]
#[allow(dead_code, reason = "not every test leaves notes")]
mod watchdog;

mod scheduler;
mod timer;
