//! The locks, their guards, and the trait through which guards and condition variables use a lock.

// This module comes first: the other files use its macros.
#[macro_use]
pub(crate) mod guard_macros;

pub(crate) mod asynchronous;
pub(crate) mod fair_mutex;
pub(crate) mod instrumented;
pub(crate) mod mutex;
pub(crate) mod raw_fair_mutex;
pub(crate) mod raw_lock;
pub(crate) mod raw_mutex;
pub(crate) mod raw_reentrant_mutex;
pub(crate) mod raw_rwlock;
pub(crate) mod reentrant_mutex;
pub(crate) mod rwlock;
mod rwlock_extras;
