//! Replacements for `std::sync`.

pub mod atomic;
pub mod mpsc;

mod arc;
mod barrier;
mod condvar;
mod mutex;
mod notify;
mod once;
mod poison;
mod rwlock;
mod unwind_safety;

pub use arc::{Arc, Weak};
pub use barrier::{Barrier, BarrierWaitResult};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use mutex::{Mutex, MutexGuard};
pub use notify::Notify;
pub use once::{LazyLock, Once, OnceLock, OnceState};
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};

#[doc(no_inline)]
pub use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
