#![doc = include_str!("../README.md")]

mod condvar;
#[doc(hidden)]
pub mod futex;
mod guard;
#[macro_use]
mod guard_family;
mod mutex;
#[doc(hidden)]
pub mod primitive;
mod raw;
mod raw_mutex;
mod raw_reentrant;
mod reentrant_mutex;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use guard::{ArcMutexGuard, MappedMutexGuard, MutexGuard};
pub use mutex::Mutex;
pub use raw::{RawLock, WaitGuard};
pub use raw_mutex::{NotLocked, RawMutex};
pub use raw_reentrant::{NotOwner, RawReentrantMutex};
pub use reentrant_mutex::{ArcReentrantMutexGuard, MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};
