//! The primitives against naive oracles: random sequences of calls, where both must give the same answers.

mod barrier;
mod condvar;
mod event;
mod latch;
mod mutex;
mod reentrant_mutex;
mod semaphore;
