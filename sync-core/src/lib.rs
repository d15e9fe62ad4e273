#![doc = include_str!("../README.md")]

mod condvar;
#[doc(hidden)]
pub mod futex;
mod guard;
mod mutex;
#[doc(hidden)]
pub mod primitive;
mod raw;
mod raw_mutex;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use guard::{ArcMutexGuard, MappedMutexGuard, MutexGuard};
pub use mutex::Mutex;
pub use raw::{RawLock, WaitGuard};
pub use raw_mutex::{NotLocked, RawMutex};
