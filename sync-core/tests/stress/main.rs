//! Many threads, the real clock, and a count at the end that shows whether anything was lost.

#[path = "../support/watchdog.rs"]
mod watchdog;

mod barrier;
mod condvar;
mod event;
mod latch;
mod mutex;
mod reentrant_mutex;
mod semaphore;
mod thread;
