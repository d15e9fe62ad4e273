//! Cancellation: a token that ends waits from outside, of threads and of tasks.
//!
//! [`CancelToken`] is the token. Every blocking call of the crate has a form `*_or_cancelled` that
//! a token ends; [`CancelToken::block_on`] and [`CancelToken::until_cancelled`] do the same for any
//! future.
//!
//! | call | form |
//! |---|---|
//! | `Mutex::lock`, `FairMutex::lock`, `ReentrantMutex::lock`; `lock_arc` | `lock_or_cancelled`, `lock_arc_or_cancelled` |
//! | `RwLock::read`, `write`, `upgradable_read`, `read_recursive`; with `_arc` | `read_or_cancelled` and so on; `read_arc_or_cancelled` and so on |
//! | `RwLockUpgradableReadGuard::upgrade`, `with_upgraded` | `upgrade_or_cancelled`, which returns the guard; `with_upgraded_or_cancelled` |
//! | those of the raw locks | the same names |
//! | `Semaphore::acquire`, `acquire_many`, `acquire_arc`, and of `BoundedSemaphore` | `acquire_or_cancelled`, `acquire_many_or_cancelled`, `acquire_arc_or_cancelled` |
//! | `RateLimiter::acquire`, `acquire_many` | `acquire_or_cancelled`, `acquire_many_or_cancelled` |
//! | `Event::wait`, `AutoResetEvent::wait`, `Latch::wait`, `Barrier::wait`, `WaitGroup::wait` | `wait_or_cancelled` |
//! | `Latch::count_down_and_wait` | `count_down_and_wait_or_cancelled` |
//! | `Condvar::wait`, `wait_while` | `wait_or_cancelled`, `wait_while_or_cancelled` |
//! | `Once::call_once`, `call_once_force`, `wait`, `wait_force` | `call_once_or_cancelled` and so on |
//! | `OnceLock::wait`, `get_or_init`, `get_or_try_init`, `set`; `LazyLock::force` | `wait_or_cancelled`, `get_or_init_or_cancelled` and so on |
//! | `Parker::park` | `park_or_cancelled` |
//! | `JoinHandle::join`, `Group::join`, the threads of a `Scope` | `join_or_cancelled` |
//!
//! Three kinds of waits cannot be ended, because what follows needs their result: the return of a
//! lock to its guard (after `Condvar::wait`, `unlocked`, `bump` and `yield_now`), the end of a
//! `scope`, and the drop of a `Group`.
//!
//! A result that is there is returned, also if the token is cancelled: only a call that would have
//! to wait ends with [`Cancelled`]. A call that ends so has no effect, as after a timeout.

mod once;
mod token;
mod waits;

pub use self::token::{CancelOnDrop, CancelToken, Cancelled};
