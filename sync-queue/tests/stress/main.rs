//! Many threads and the real clock: nothing lost, nothing doubled, each producer's order kept, no
//! one left asleep.

#[path = "../../../sync-core/tests/support/give_up.rs"]
mod give_up;
#[path = "../../../sync-core/tests/support/storm.rs"]
mod storm;
#[path = "../../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

mod channel;
mod drops;
mod orders;
mod pool;
mod queue;
mod select;
mod spsc;
mod task;

/// How many items go through. Where there is little room nearly every one waits for a switch of
/// threads, which takes milliseconds on a machine that is busy with other things; where there is
/// room, they are as many as make the threads meet.
fn items(capacity: Option<usize>) -> usize {
    if capacity.is_some_and(|capacity| capacity < 50) { 2_000 } else { 60_000 }
}
