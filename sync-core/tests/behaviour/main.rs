//! Behaviour, primitive by primitive. A test named after a row of the behaviour contract
//! (`lk_03_...`) is the proof of that row.

#[path = "../support/asleep.rs"]
mod asleep;
#[path = "../support/watchdog.rs"]
mod watchdog;

/// With the features `deadlock` and `stats` a lock has something beside it, and is larger than it
/// says otherwise.
const WATCHED: bool = cfg!(any(feature = "deadlock", feature = "stats"));

mod auto_reset_event;
mod barrier;
mod cancel;
mod condvar;
mod event;
mod fair_mutex;
mod latch;
mod mutex;
mod once;
mod owned_guards;
mod parker;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
mod tasks;
mod thread;
