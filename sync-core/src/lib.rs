#![doc = include_str!("../README.md")]

mod condvar;
#[doc(hidden)]
pub mod futex;
mod guard;
#[macro_use]
mod guard_family;
mod lazy_lock;
mod mutex;
mod once;
mod once_lock;
#[doc(hidden)]
pub mod primitive;
mod raw;
mod raw_mutex;
mod raw_reentrant;
mod raw_rwlock;
mod reentrant_mutex;
mod rwlock;

pub use condvar::{Condvar, WaitTimeoutResult};
pub use guard::{ArcMutexGuard, MappedMutexGuard, MutexGuard};
pub use lazy_lock::LazyLock;
pub use mutex::Mutex;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use raw::{RawLock, WaitGuard};
pub use raw_mutex::{NotLocked, RawMutex};
pub use raw_reentrant::{NotOwner, RawReentrantMutex};
pub use raw_rwlock::RawRwLock;
pub use reentrant_mutex::{ArcReentrantMutexGuard, MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};
pub use rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, MappedRwLockReadGuard, MappedRwLockUpgradableReadGuard,
    MappedRwLockWriteGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};
