//! Threads with the features of Python's `threading.Thread` that `std`'s lack.
//!
//! * A [`JoinHandle`] may be cloned: several threads may join, each sees the result; joins can time
//!   out; joining oneself is an error.
//! * A [`Thread`] is a name that can be changed, a number that is never used again, the system's
//!   number, a daemon flag that children inherit, and whether it still runs. There is one for every
//!   thread, also for those that were not started here ([`current`], [`main_thread`],
//!   [`enumerate`]).
//! * A [`Group`] joins the threads that were started in it, but not the daemons, when it goes out
//!   of scope.
//! * [`scope`] starts threads that borrow, with names, handles and joins that time out.
//! * [`set_panic_hook`] sets a hook that is called for every thread that a panic ended.
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
//! 2. A thread that reads the outcome has seen the event set (Acquire, pairs with the Release of
//!    the setting).
//! 3. A thread is in the registry from before it is started until just before its event is set; one
//!    that could not be started is taken out again.
//! 4. Between its closure and its event a thread runs user code (hook, payload, result) inside
//!    catches only: every thread that begins sets its event.
//!
//! A join returns when the thread's closure has returned or panicked and everything it owned is
//! dropped. The thread's thread-locals are destroyed afterwards; they can be used until the end,
//! and what they do is no part of the result.
//!
//! # What the child of a `fork` may do
//!
//! The child has one thread, the one that forked, and copies of everything else. What the other
//! threads held stays held, and what they were about to do is not done. (A child may use the
//! allocator only if the system's survives a fork, as those of glibc, musl and macOS do.)
//!
//! | object | in the child |
//! |---|---|
//! | [`current`], [`main_thread`], [`enumerate`], [`active_count`] | know one thread, the one that forked, which is the main thread; it keeps its name and [`ident`](Thread::ident), and has the child's [`native_id`](Thread::native_id) |
//! | [`Thread::is_alive`] of another thread of the parent | `false` |
//! | [`JoinHandle`] of such a thread | every join that would wait is [`JoinError::OtherProcess`] at once; the outcome of a thread that was over at the fork is there |
//! | the closure of a [`spawn`] that forked, of a member of a [`Group`] or of a [`scope`] | a child that returns from it ends, with the code 0, as the copy of the thread does |
//! | [`Group`] of the parent | its drop and [`Group::join`] call and join nothing; it takes no threads ([`SpawnError::ShutDown`]) and no callbacks |
//! | [`scope`] that the parent was in | its end waits for no thread, and it starts none ([`SpawnError::ShutDown`]) |
//! | [`spawn`], [`Group::new`] | work as in any process, as far as `std` can start threads there: where another thread was just starting or ending at the fork, a lock of `std` is held, and threads that are started in the child wait for it forever |
//! | the hook of [`set_panic_hook`], and those of the features | the parent's, unless a thread was just setting one |
//! | the order of locks of the feature `deadlock` | empty |
//! | a lock that the thread which forked holds | is held by it; its guard, or the raw lock, releases it; see the next row for [`FairMutex`](crate::FairMutex) |
//! | [`FairMutex`](crate::FairMutex) and [`RawFairMutex`](crate::RawFairMutex) that another thread waited for at the fork | usable only after `reinit_after_fork`, before any other call, `try_*` included; a thread that holds the lock forgets its guard first ([`mem::forget`](core::mem::forget)). The queue consists of nodes on the stacks of threads that are not there, and a release would grant the lock to such a node |
//! | [`Mutex`](crate::Mutex), [`FairMutex`](crate::FairMutex), [`RwLock`](crate::RwLock), [`ReentrantMutex`](crate::ReentrantMutex), and the raw locks, that another thread holds | held forever, until `reinit_after_fork` |
//! | [`Semaphore`](crate::Semaphore) and its kin, that no thread waited for at the fork | usable; permits of other threads come back by `reinit_after_fork` |
//! | [`Semaphore`](crate::Semaphore) and its kin, that another thread waited for at the fork | usable only after `reinit_after_fork`, before any other call, `try_*` included: the waiter may have been the head of the line, for which every permit is reserved, and only the head itself ends that |
//! | [`Event`](crate::Event), [`AutoResetEvent`](crate::AutoResetEvent) | usable |
//! | [`CancelToken`](crate::CancelToken) | usable, and its drop waits for nothing. If another thread was making, dropping or cancelling a child of the token at the fork, [`child`](crate::CancelToken::child) waits forever, and [`cancel`](crate::CancelToken::cancel) cancels the token without its children |
//! | [`RateLimiter`](crate::RateLimiter) | goes on: the tokens that threads of the parent have taken are taken |
//! | [`Barrier`](crate::Barrier) | counts threads that are not there, until `reinit_after_fork` |
//! | [`Condvar`](crate::Condvar) | usable |
//! | [`Once`](crate::Once) and its kin | as they are; one that another thread was running stays so forever |
//! | [`Latch`](crate::Latch), [`WaitGroup`](crate::WaitGroup), [`Parker`](crate::Parker) | as they are: what other threads owe them does not come |
//!
//! No call of this module waits for a thread that is not in the process, and no lock that the crate
//! shares in the whole process is held forever. A child that was made without the C library (a bare
//! `clone`) is not noticed.
//!
//! # What Python has and Rust does not need
//!
//! A thread that was not started, or is started twice, cannot be written down: [`Builder::spawn`]
//! consumes the builder and returns the handle of a running thread. A foreign thread cannot be
//! joined, because there is no handle of it. A runaway recursion ends the process, so only the size
//! of the stack can be set. There is no finalization of an interpreter: a daemon that still runs
//! when `main` returns is stopped by the end of the process, and no thread is left to join it. Two
//! threads that join each other wait forever; only a thread that joins itself gets an error.

mod builder;
mod error;
mod group;
mod handle;
mod hook;
mod record;
mod scope;

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
pub use self::scope::{Scope, scope};

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
