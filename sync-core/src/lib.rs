//! Locks, condition variables, semaphores, events and threads, from atomics and futex waits.

#[doc(hidden)]
pub mod futex;
#[doc(hidden)]
pub mod primitive;
