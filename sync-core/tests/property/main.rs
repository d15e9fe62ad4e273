//! The primitives against naive oracles: random sequences of calls, where both must give the same answers.

mod condvar;
mod mutex;
mod once;
mod reentrant_mutex;
mod rwlock;
