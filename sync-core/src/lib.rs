#![doc = include_str!("../README.md")]

mod auto_reset_event;
mod barrier;
mod condvar;
#[cfg(feature = "deadlock")]
pub mod deadlock;
mod event;
mod fair_mutex;
#[doc(hidden)]
pub mod fork;
#[doc(hidden)]
pub mod futex;
mod guard;
#[macro_use]
mod guard_family;
mod hook;
mod latch;
mod lazy_lock;
primitive::const_items! {
    #[cfg(feature = "lock_api")]
    mod lock_api_impls;
    #[cfg(feature = "lock_api")]
    pub use lock_api_impls::ThreadId;
}
mod mutex;
mod once;
mod once_lock;
mod parker;
#[doc(hidden)]
pub mod primitive;
mod raw;
mod raw_fair;
mod raw_mutex;
mod raw_reentrant;
mod raw_rwlock;
mod raw_semaphore;
mod reentrant_mutex;
mod rwlock;
mod semaphore;
#[cfg(feature = "serde")]
mod serde_impls;
#[cfg(feature = "stats")]
pub mod stats;
pub mod thread;
#[doc(hidden)]
pub mod user_code;
mod wait_group;
mod watch;
mod watched;

pub use auto_reset_event::AutoResetEvent;
pub use barrier::{Action, Barrier, BarrierWaitResult, BrokenBarrier, NoAction, Timed};
pub use condvar::{Condvar, WaitTimeoutResult};
pub use event::Event;
pub use fair_mutex::{FairMutex, FairMutexGuard};
pub use guard::{ArcMutexGuard, MappedMutexGuard, MutexGuard};
pub use latch::Latch;
pub use lazy_lock::LazyLock;
pub use mutex::Mutex;
pub use once::{Once, OnceState};
pub use once_lock::OnceLock;
pub use parker::{Parker, Unparker};
pub use raw::{RawLock, WaitGuard};
pub use raw_fair::RawFairMutex;
pub use raw_mutex::{NotLocked, RawMutex};
pub use raw_reentrant::{NotOwner, RawReentrantMutex};
pub use raw_rwlock::RawRwLock;
pub use raw_semaphore::{Closed, RawSemaphore, TooManyPermits, TryAcquireError};
pub use reentrant_mutex::{
    ArcReentrantMutexGuard, MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard,
};
pub use rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, MappedRwLockReadGuard,
    MappedRwLockUpgradableReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard,
};
pub use semaphore::{
    ArcPermit, BoundedPermit, BoundedSemaphore, OverRelease, Permit, PermitGuard, PermitSource,
    Semaphore,
};
pub use wait_group::WaitGroup;
pub use watch::LockKind;
