//! Finds orders of locks that can deadlock, before they do (feature `deadlock`).
//!
//! Two threads that take the same two locks in different orders can deadlock, but most runs never
//! show it. This module remembers for every pair of locks which one was held when a thread
//! attempted to take the other. Before a thread waits for a lock, this module reports if earlier
//! threads held that lock while they waited for a lock that this thread holds, whether or not a
//! thread does so at this moment.
//!
//! ```
//! use std::panic::{AssertUnwindSafe, catch_unwind};
//! use sync_core::Mutex;
//!
//! let (a, b) = (Mutex::new(()), Mutex::new(()));
//! {
//!     let _a = a.lock();
//!     let _b = b.lock(); // a before b
//! }
//! let found = catch_unwind(AssertUnwindSafe(|| {
//!     let _b = b.lock();
//!     let _a = a.lock(); // b before a: one thread here, another above, and both wait forever
//! }));
//! let message = *found.unwrap_err().downcast::<String>().unwrap();
//! assert!(message.starts_with("locks are taken in different orders, which can deadlock"));
//! ```
//!
//! # What is found
//!
//! * A cycle in the order of any number of locks, of the kinds [`Mutex`](crate::Mutex),
//!   [`FairMutex`](crate::FairMutex), [`ReentrantMutex`](crate::ReentrantMutex),
//!   [`RwLock`](crate::RwLock) and [`Once`](crate::Once) (with `OnceLock` and `LazyLock`; it is
//!   held while its closure runs), and a [`Condvar`](crate::Condvar)'s taking its lock again.
//! * A thread that waits for a lock that it holds: a `Mutex` taken twice, a `Once` that is called
//!   in its own closure, an `RwLock` taken for reading twice (a writer that comes in between waits
//!   for the first hold, and the second hold waits for the writer), an upgrade while the same
//!   thread has a second hold.
//!
//! # What is not
//!
//! * An attempt that does not wait, or not forever (`try_lock`, `try_lock_for`), deadlocks with no
//!   thread and adds nothing to the order. When it has the lock, later attempts under this lock add
//!   to the order as under any other lock.
//! * Readers count as much as writers: because a reader waits behind a waiting writer, two orders
//!   of reading deadlock with the help of two writers.
//! * The raw locks that any thread may release ([`RawMutex`](crate::RawMutex),
//!   [`RawFairMutex`](crate::RawFairMutex), [`RawRwLock`](crate::RawRwLock)) and semaphores belong
//!   to no thread and take no part. Neither do calls on a lock through
//!   [`Mutex::raw`](crate::Mutex::raw).
//!
//! A lock is known by a number of its own, not by its address: it may be moved, and when it is
//! dropped it leaves the order.
//!
//! # What happens then
//!
//! The [hook](set_hook) is called with the [`Cycle`], and if it returns, the thread goes on to take
//! the lock. Each order is shown to the hook once; a thread that waits for itself is shown each
//! time. Without a hook the thread panics before it takes the lock, every time. Where a panic would
//! do harm it writes the report to standard error instead, and ignores an error of that: if the
//! thread is panicking already, or takes a lock again for a guard that lives.
//!
//! # What it costs
//!
//! A thread keeps a list of the locks it holds. It uses the graph that all threads share only if it
//! waits for a lock while it holds another. The feature is for tests and staging rather than for
//! production; without the feature the locks are compiled as if this module did not exist. The
//! child of a `fork` begins with the hook of its parent and without any order.

mod cycle;
mod held_locks;
mod lock_order;

pub use self::cycle::{Cycle, Lock, Step, set_hook, take_hook};
pub(crate) use self::held_locks::{Report, attempt, attempt_upgrade, deeper, got, released};
pub(crate) use self::lock_order::Node;
