//! Many threads and the real clock: nothing lost, nothing doubled, each producer's order kept, no one left asleep.

#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod channel;
mod orders;
mod pool;
mod queue;
mod spsc;
