//! `sync-core` under the name of `parking_lot` 0.12, so that a whole dependency tree runs on it:
//!
//! ```toml
//! [patch.crates-io]
//! parking_lot = { path = "../sync/shims/parking_lot" }
//! ```
//!
//! `shims/suites.sh` runs the tests of three crates this way.
//!
//! Not here: the features `send_guard`, `owning_ref` and `deadlock_detection` (the locks report
//! deadlocks with sync-core's feature `deadlock`), and the traits of `lock_api` 0.4, which
//! `parking_lot::lock_api` would have: sync-core implements those of `lock_api` 0.5. A crate that
//! needs them does not compile with this package.
//!
//! Different: a notification returns how many threads it woke as a hint; one condition variable may
//! be used with several mutexes; `RwLock::read` waits behind a writer that waits, so that a thread
//! that reads twice must use [`RwLock::read_recursive`], as with `parking_lot`.

pub use sync_core::{
    Condvar, FairMutex, FairMutexGuard, MappedMutexGuard, MappedReentrantMutexGuard,
    MappedRwLockReadGuard, MappedRwLockWriteGuard, Mutex, MutexGuard, Once, RawFairMutex, RawMutex,
    RawRwLock, ReentrantMutex, ReentrantMutexGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard, WaitTimeoutResult, const_fair_mutex, const_mutex,
    const_reentrant_mutex, const_rwlock,
};

/// The state of a [`Once`], which `parking_lot` passes to the closure of `call_once_force`, too.
pub use sync_core::OnceStatus as OnceState;

/// A guard over a part of the data of a [`FairMutex`].
pub type MappedFairMutexGuard<'a, T> = MappedMutexGuard<'a, T, RawFairMutex>;

/// The guards that keep an `Arc` alive have the raw lock as their first parameter.
mod arc {
    /// The raw lock of a readers-writer lock.
    pub trait RawReadersWriter {
        /// Its guard of a reader.
        type Read<T: ?Sized>;
        /// Its guard of an upgradable reader.
        type Upgradable<T: ?Sized>;
        /// Its guard of a writer.
        type Write<T: ?Sized>;
    }

    impl RawReadersWriter for sync_core::RawRwLock {
        type Read<T: ?Sized> = sync_core::ArcRwLockReadGuard<T>;
        type Upgradable<T: ?Sized> = sync_core::ArcRwLockUpgradableReadGuard<T>;
        type Write<T: ?Sized> = sync_core::ArcRwLockWriteGuard<T>;
    }
}

/// The guard of [`Mutex::lock_arc`].
pub type ArcMutexGuard<R, T> = sync_core::ArcMutexGuard<T, R>;
/// The guard of [`RwLock::read_arc`].
pub type ArcRwLockReadGuard<R, T> = <R as arc::RawReadersWriter>::Read<T>;
/// The guard of [`RwLock::upgradable_read_arc`].
pub type ArcRwLockUpgradableReadGuard<R, T> = <R as arc::RawReadersWriter>::Upgradable<T>;
/// The guard of [`RwLock::write_arc`].
pub type ArcRwLockWriteGuard<R, T> = <R as arc::RawReadersWriter>::Write<T>;
