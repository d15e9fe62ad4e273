//! Cancellation: a token that ends waits from outside, of threads and of tasks.
//!
//! [`CancelToken`] is the token. Every blocking call of the crate has a form `*_or_cancelled` that
//! a token ends; [`CancelToken::block_on`] and [`CancelToken::until_cancelled`] do the same for any
//! future.
//!
//! | call | form |
//! |---|---|
//! | `Mutex::lock`, `FairMutex::lock` | `lock_or_cancelled` |
//! | `RwLock::read`, `write`, `upgradable_read` | `read_or_cancelled`, `write_or_cancelled`, `upgradable_read_or_cancelled` |
//! | `ReentrantMutex::lock`, and of the raw locks | `lock_or_cancelled`, and the others |
//! | `Semaphore::acquire`, `acquire_many`, `acquire_arc`, and of `BoundedSemaphore` | `acquire_or_cancelled`, `acquire_many_or_cancelled`, `acquire_arc_or_cancelled` |
//! | `Event::wait`, `AutoResetEvent::wait`, `Latch::wait`, `Barrier::wait` | `wait_or_cancelled` |
//! | `Condvar::wait` | `wait_or_cancelled`, `wait_while_or_cancelled` |
//! | `OnceLock::wait`, `WaitGroup::wait` | `wait_or_cancelled` |
//! | `JoinHandle::join` | `join_or_cancelled` |
//!
//! The upgrade of a readers-writer lock, [`Parker`](crate::Parker) and the closures of a `Once`
//! have no such form.
//!
//! A result that is there is returned, also if the token is cancelled: only a call that would have
//! to wait ends with [`Cancelled`]. A call that ends so has no effect, as after a timeout.

mod token;
mod waits;

pub use self::token::{CancelOnDrop, CancelToken, Cancelled};
