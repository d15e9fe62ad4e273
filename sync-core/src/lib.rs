#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(target_has_atomic = "64"))]
compile_error!("sync-core needs atomics of 64 bits, which this target does not have");

mod cancel;
mod diagnostics;
pub mod executor;
#[doc(hidden)]
pub mod fork;
#[doc(hidden)]
pub mod futex;
mod interop;
mod lock;
mod once;
#[doc(hidden)]
pub mod primitive;
mod sealed;
pub mod task;
pub mod thread;
#[doc(hidden)]
pub mod user_code;
mod wait;

pub use cancel::{CancelOnDrop, CancelToken, Cancelled};
#[cfg(feature = "deadlock")]
pub use diagnostics::deadlock;
pub use diagnostics::lock_kind::LockKind;
#[cfg(feature = "stats")]
pub use diagnostics::stats;
#[cfg(feature = "waits")]
pub use diagnostics::waits;
primitive::const_items! {
    #[cfg(feature = "lock_api")]
    pub use interop::lock_api::ThreadId;
}
pub use lock::asynchronous::{
    Exclusive, FairMutexTaskGuard, MutexTaskGuard, RwLockReadTaskGuard,
    RwLockUpgradableReadTaskGuard, RwLockWriteTaskGuard, Shared, TaskGuard, TaskLock, Upgradable,
};
pub use lock::fair_mutex::{ArcFairMutexGuard, FairMutex, FairMutexGuard, const_fair_mutex};
pub use lock::mutex::{ArcMutexGuard, MappedMutexGuard, Mutex, MutexGuard, const_mutex};
pub use lock::raw_fair_mutex::RawFairMutex;
pub use lock::raw_lock::{RawLock, WaitGuard};
pub use lock::raw_mutex::{NotLocked, RawMutex};
pub use lock::raw_reentrant_mutex::{NotOwner, RawReentrantMutex};
pub use lock::raw_rwlock::RawRwLock;
pub use lock::reentrant_mutex::{
    ArcReentrantMutexGuard, MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard,
    const_reentrant_mutex,
};
pub use lock::rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, MappedRwLockReadGuard,
    MappedRwLockUpgradableReadGuard, MappedRwLockWriteGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, const_rwlock,
};
pub use once::lazy_lock::LazyLock;
pub use once::once::{Once, OnceState, OnceStatus};
pub use once::once_lock::OnceLock;
pub use wait::auto_reset_event::AutoResetEvent;
pub use wait::barrier::{
    Action, AnyAction, Barrier, BarrierWaitResult, BrokenBarrier, NoAction, Timed,
};
pub use wait::condvar::{Condvar, WaitTimeoutResult};
pub use wait::event::Event;
pub use wait::latch::Latch;
pub use wait::parker::{Parker, Unparker};
pub use wait::rate_limiter::RateLimiter;
#[doc(hidden)]
pub use wait::raw_event;
pub use wait::raw_semaphore::{Closed, RawSemaphore, TooManyPermits, TryAcquireError};
pub use wait::semaphore::{
    ArcPermit, BoundedPermit, BoundedSemaphore, OverRelease, Permit, PermitGuard, PermitSource,
    Semaphore,
};
pub use wait::wait_group::WaitGroup;
