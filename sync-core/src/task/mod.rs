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
//! # A thread that polls tasks blocks on no object of these tasks
//!
//! Threads and tasks wait for the same objects, and a thread may block on any of them. One case is
//! excluded: a thread that polls tasks (the thread of an executor, or one inside
//! [`block_on`](fn@block_on)) must not call the blocking form (`lock`, `acquire`, `wait`, `recv`,
//! ...) of an object that a task of its own waits for or holds. That task goes on when it is polled
//! and not before; the thread that would poll it sleeps, and may sleep forever.
//!
//! | where | in place of the blocking call |
//! |---|---|
//! | in a task | the form `*_async`, with `.await` |
//! | where nothing can be awaited: a destructor, a waker, a callback | the form `try_*`; what it could not do is left to a task or to another thread |
//! | in code that has only a blocking form | a thread that polls no task: the runtime's `spawn_blocking`, or [`thread::spawn`](fn@crate::thread::spawn) and [`join_async`](crate::thread::JoinHandle::join_async) |
//!
//! A `try_lock` whose guard is dropped does not make the `lock` after it a call that never blocks:
//! a task, or another thread, may have taken the object meanwhile. A timed form blocks for its
//! time.
//!
//! # A guard that is held across an await
//!
//! A [`TaskGuard`](crate::TaskGuard) holds its lock from one poll to the next, and a permit its
//! place. Every other thread and task waits until the task has been polled to the end of the guard,
//! however long the awaited future, or the executor, takes. So the guard belongs around as few
//! awaits as possible: take what is needed out of the data, drop the guard, and await then. A task
//! that awaits under its guard something that another task does under the same lock, or on a thread
//! that blocks on that lock, waits forever.
//!
//! # A future that is not polled
//!
//! A wake chooses one waiter. If that is a task, the task has to be polled, or dropped, before
//! anything goes on because of that wake: a dropped future passes its wake on, and gives back what
//! it had been handed. A future that was started and is kept without being polled, next to a branch
//! of a `select` that runs on for example, does neither. It keeps the wake that it was chosen for:
//!
//! | object | meanwhile |
//! |---|---|
//! | [`Mutex`](crate::Mutex), [`RwLock`](crate::RwLock) | the lock is free. A call that comes takes it, in a millisecond at most if the lock is reserved for a waiter that starves, and a release that wakes a task wakes a thread that sleeps as well. A task behind the chosen one waits for it, or for a release after another waiter has come |
//! | [`FairMutex`](crate::FairMutex) | the task holds the lock: all others wait, as for the mutex of tokio |
//! | [`Semaphore`](crate::Semaphore) | if the task is the head of the line (it requests several permits, or has starved for a millisecond), all others wait, as for the semaphore of tokio. Else the permits are free: a call that comes takes them, and a waiter that sleeps already waits for the task, or for a release after another waiter has come |
//! | [`AutoResetEvent`](crate::AutoResetEvent) | the event is set: a call that comes takes it, and a waiter that sleeps already waits for the task, or for the next `set` |
//! | [`Condvar`](crate::Condvar) | the notification is the task's |
//! | [`Once`](crate::Once), [`OnceLock`](crate::OnceLock) | if the task makes the value, all others wait |
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
