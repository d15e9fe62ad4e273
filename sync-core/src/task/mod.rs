//! Waiting as a task without a runtime: [`block_on`](fn@block_on), [`wait_any`](fn@wait_any)
//! and [`join_all`](fn@join_all).
//!
//! # Memory
//!
//! No asynchronous call of this crate allocates: the place in the line is in the future. Three
//! things do: the first wait of a process, which makes one table; a wait for a moment of a
//! [`RateLimiter`](crate::RateLimiter), which needs a place in the order of the alarms; and
//! `join_all`, which has a list of its futures and results.
//!
//! # A future that is not polled
//!
//! A wake chooses one waiter. If that is a task, the task has to be polled, or dropped, before
//! anything goes on because of that wake: a dropped future passes its wake on, and gives back what
//! it had been handed. A future that is kept and not polled, next to a branch of a `select` that
//! runs on for example, does neither:
//!
//! | object | meanwhile |
//! |---|---|
//! | [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock) | the lock is free, and a call that comes takes it, in a millisecond at most if the lock is reserved for a waiter that starves. A waiter that sleeps already waits for the task, or for a release after another waiter has come |
//! | [`FairMutex`](crate::FairMutex) | the task holds the lock: all others wait, as for the mutex of tokio |
//! | [`Semaphore`](crate::Semaphore) | if the task is the head of the line (it requests several permits, or has starved for a millisecond), all others wait, as for the semaphore of tokio. Else the permits are free, as a mutex is |
//! | [`AutoResetEvent`](crate::AutoResetEvent), [`Condvar`](crate::Condvar) | the event, or the notification, is the task's |
//! | the others | every waiter was woken |
//!
//! # A future that is forgotten
//!
//! A future that waits and is forgotten (`mem::forget`, a circle of `Rc`s) is one that is never
//! polled: it keeps its place, and may keep one wake, or what it was handed, of its object. When
//! the object is dropped, the place is given up, so an object that comes to the same address later
//! has nothing to do with it.
//!
//! One case remains: an object that is *moved* while a forgotten future of it waits (the borrow of
//! the future is over, so the compiler permits that) leaves the place behind, at the old address.
//! An object that is made there later may lose one wake to it. Drop futures, or keep what they
//! borrowed where it is.

pub(crate) mod block_on;
mod join_all;
mod wait_any;

#[doc(hidden)]
pub use self::block_on::{ThreadWaker, with_thread_waker};
pub use self::block_on::{block_on, block_on_deadline, block_on_timeout};
pub use self::join_all::join_all;
pub use self::wait_any::wait_any;
#[doc(hidden)]
pub use crate::wait::alarm::Alarm;
