//! Many threads, the real clock, and a count at the end that shows whether anything was lost.

#[path = "../support/give_up.rs"]
mod give_up;
#[path = "../support/storm.rs"]
mod storm;
#[path = "../support/watchdog.rs"]
mod watchdog;

mod barrier;
mod condvar;
mod drops;
mod event;
mod fair_mutex;
mod latch;
mod mutex;
mod once;
mod rate_limiter;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
mod task;
mod thread;
