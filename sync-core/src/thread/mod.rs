//! Threads with what Python's `threading.Thread` has and `std`'s lacks.
//!
//! * A [`JoinHandle`] may be cloned: several threads may join, each sees the result; joins can time
//!   out; joining oneself is an error.
//! * A [`Thread`] is a name that can be changed, a number that is never used again, the system's
//!   number, a daemon flag that children inherit, and whether it still runs. There is one for every
//!   thread, also for those that were not started here ([`current`], [`main_thread`],
//!   [`enumerate`]).
//! * A [`Group`] joins the threads that were started in it, but not the daemons, when it goes out
//!   of scope.
//! * [`set_panic_hook`] is told of every thread that a panic ended, once it is over and with the
//!   thread that it was.
//!
//! ```
//! use std::time::Duration;
//! use sync_core::thread::{self, JoinError};
//!
//! let worker = thread::Builder::new().name("worker").spawn(|| 6 * 7).unwrap();
//! let other = worker.clone();
//! let joins = thread::spawn(move || *other.join().unwrap()).unwrap();
//! assert_eq!(*worker.join().unwrap(), 42);
//! assert_eq!(*joins.join().unwrap(), 42);
//! assert!(!worker.is_alive());
//!
//! let idle = thread::spawn(|| std::thread::park()).unwrap();
//! assert_eq!(idle.join_timeout(Duration::from_millis(10)), Err(JoinError::TimedOut));
//! ```
//!
//! # How it works
//!
//! The threads are `std`'s. The outcome of a thread lies in a cell that its [`JoinHandle`]s share;
//! the thread writes it and then sets an [`Event`](crate::Event), on which the joins wait.
//! Invariants, cited by the SAFETY comments:
//!
//! 1. The outcome is written once, by the thread, before its event is set, and only read
//!    afterwards.
//! 2. Whoever reads the outcome has seen the event set (Acquire, pairs with the Release of the
//!    setting).
//! 3. A thread is in the registry from before it is started until just before its event is set; one
//!    that could not be started is taken out again.
//!
//! A join returns when the thread's closure has returned or panicked and everything it owned is
//! dropped. The thread's thread-locals are destroyed afterwards; they can be used until the end,
//! and what they do is no part of the result.
//!
//! # What Python has and Rust does not need
//!
//! A thread that was not started, or is started twice, cannot be written down: [`Builder::spawn`]
//! consumes the builder and returns the handle of a running thread. A foreign thread cannot be
//! joined, because there is no handle of it. A runaway recursion ends the process, so the size of
//! the stack is all there is to say about it. There is no finalization of an interpreter: a daemon
//! that still runs when `main` returns is stopped by the end of the process, and nobody is left to
//! join it. Two threads that join each other wait forever; only joining oneself is noticed.

mod builder;
mod error;
mod group;
mod handle;
mod hook;
mod record;

#[cfg(target_os = "linux")]
mod os_linux;
#[cfg(not(target_os = "linux"))]
mod os_other;

#[cfg(target_os = "linux")]
use self::os_linux as os;
#[cfg(not(target_os = "linux"))]
use self::os_other as os;

pub use self::builder::Builder;
pub use self::error::{ShutDown, SpawnError};
pub use self::group::{Group, GroupHandle};
pub use self::handle::{JoinError, JoinHandle};
pub use self::hook::{PanicReport, set_panic_hook, take_panic_hook};
pub use self::record::{Thread, active_count, current, enumerate, main_thread, native_id};

/// Starts a thread: [`Builder::spawn`] with a name of the form `Thread-1` and the daemon flag of
/// the caller.
///
/// # Errors
///
/// [`SpawnError`] if the system refuses.
pub fn spawn<F, T>(body: F) -> Result<JoinHandle<T>, SpawnError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Builder::new().spawn(body)
}
