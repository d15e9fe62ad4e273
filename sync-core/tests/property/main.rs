//! The primitives against naive oracles: random sequences of calls, where both must give the same
//! answers.

mod barrier;
mod condvar;
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
