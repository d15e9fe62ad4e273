//! Behaviour, primitive by primitive. CONTRACT.md has a row for each test.

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
mod forgotten;
mod latch;
mod mutex;
mod once;
mod owned_guards;
mod parker;
mod rate_limiter;
mod reentrant_mutex;
mod rwlock;
mod rwlock_extras;
mod scope;
mod semaphore;
mod task;
mod task_wakers;
mod thread;
mod together;
