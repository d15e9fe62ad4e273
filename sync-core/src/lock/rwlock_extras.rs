//! The operations of the guards of an [`RwLock`] beside access to the data: pauses of the hold
//! (`unlocked`, `bump`), fair releases, a temporary upgrade; and recursive reads.

use core::mem;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::lock::instrumented::InstrumentedRwLock;
use crate::lock::raw_rwlock::RawRwLock;
use crate::lock::rwlock::{
    ArcRwLockReadGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
};

/// Writes the pauses and the fair release of one guard.
macro_rules! pauses {
    ($Guard:ident, $release:ident, $again:ident, $fair:ident, $bump:ident, $lets_in:literal) => {
        impl<T: ?Sized> $Guard<'_, T> {
            /// Calls `f` with the lock released, and takes it again in the same mode before it
            /// returns or unwinds. Other threads may write in between.
            ///
            /// # Aborts
            ///
            /// If the lock cannot be taken again: 2^25 readers hold it.
            #[inline]
            pub fn unlocked<U>(this: &mut Self, f: impl FnOnce() -> U) -> U {
                struct Relock<'a>(&'a InstrumentedRwLock);
                impl Drop for Relock<'_> {
                    fn drop(&mut self) {
                        self.0.$again();
                    }
                }
                let raw = &Self::rwlock(this).raw;
                // SAFETY: invariant 1 of `guard_macros.rs`; the guard is borrowed mutably until
                // the lock is taken again, and `Relock`, which takes it again, does not unwind.
                unsafe { raw.$release() };
                let _relock = Relock(raw);
                f()
            }

            #[doc = $lets_in]
            /// Costs one load if there is no such thread.
            ///
            /// # Aborts
            ///
            /// If the lock cannot be taken again: 2^25 readers hold it.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn bump(this: &mut Self) {
                // SAFETY: invariant 1 of `guard_macros.rs`: the guard holds the lock; it is
                // borrowed mutably.
                unsafe { Self::rwlock(this).raw.pause(RawRwLock::$bump) }
            }

            /// Releases the lock; if that frees it and a thread waits for it, no newcomer gets it
            /// before a waiter.
            #[inline]
            pub fn unlock_fair(this: Self) {
                let lock = Self::rwlock(&this);
                mem::forget(this);
                // SAFETY: invariant 1 of `guard_macros.rs`; the guard was forgotten.
                unsafe { lock.raw.release_by(RawRwLock::$fair) }
            }
        }
    };
}

pauses!(
    RwLockReadGuard,
    release_read,
    read_again,
    unlock_read_fair,
    bump_read,
    "Lets a waiting writer in, if there is one, and takes the lock for reading again."
);
pauses!(
    RwLockWriteGuard,
    release_write,
    write_again,
    unlock_write_fair,
    bump_write,
    "Lets the waiting threads in, if there are any, and takes the lock for writing again."
);
pauses!(
    RwLockUpgradableReadGuard,
    release_upgradable,
    upgradable_read_again,
    unlock_upgradable_fair,
    bump_upgradable,
    "Lets the waiting threads in, if there are any, and takes the lock in the same mode again."
);

impl<T: ?Sized> RwLockUpgradableReadGuard<'_, T> {
    /// Becomes the writer for the time of `f`, and the upgradable reader again when `f` returns or
    /// unwinds. No other thread writes before, in between or afterwards.
    ///
    /// ```
    /// use sync_core::{RwLock, RwLockUpgradableReadGuard};
    /// let cache = RwLock::new(vec![1]);
    /// let mut cached = cache.upgradable_read();
    /// if cached.len() < 2 {
    ///     RwLockUpgradableReadGuard::with_upgraded(&mut cached, |cache| cache.push(2));
    /// }
    /// assert_eq!(*cached, [1, 2]);
    /// ```
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn with_upgraded<R>(this: &mut Self, f: impl FnOnce(&mut T) -> R) -> R {
        Self::rwlock(this).raw.upgrade();
        Self::upgraded_for(this, f)
    }

    /// Like [`with_upgraded`](Self::with_upgraded) if there are no other readers at this moment;
    /// `None` without a call of `f` if there are.
    #[inline]
    pub fn try_with_upgraded<R>(this: &mut Self, f: impl FnOnce(&mut T) -> R) -> Option<R> {
        Self::rwlock(this).raw.try_upgrade().then(|| Self::upgraded_for(this, f))
    }

    /// Like [`with_upgraded`](Self::with_upgraded), or gives up after `timeout`: `None` without a
    /// call of `f`.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_with_upgraded_for<R>(
        this: &mut Self,
        timeout: Duration,
        f: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        Self::rwlock(this).raw.try_upgrade_for(timeout).then(|| Self::upgraded_for(this, f))
    }

    /// Like [`with_upgraded`](Self::with_upgraded), or gives up at `deadline`: `None` without a
    /// call of `f`.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_with_upgraded_until<R>(
        this: &mut Self,
        deadline: Instant,
        f: impl FnOnce(&mut T) -> R,
    ) -> Option<R> {
        Self::rwlock(this).raw.try_upgrade_until(deadline).then(|| Self::upgraded_for(this, f))
    }

    /// Calls `f` with the data of a lock that this guard holds for writing now, and weakens the
    /// hold afterwards.
    pub(crate) fn upgraded_for<R>(this: &mut Self, f: impl FnOnce(&mut T) -> R) -> R {
        struct Weaken<'a>(&'a InstrumentedRwLock);
        impl Drop for Weaken<'_> {
            fn drop(&mut self) {
                self.0.weaken_to_upgradable();
            }
        }
        let lock = Self::rwlock(this);
        let _weaken = Weaken(&lock.raw);
        // SAFETY: the lock is held for writing until `_weaken` is dropped, on behalf of this guard,
        // which is borrowed mutably: no other reference to the data exists.
        lock.data.with_mut(|data| f(unsafe { &mut *data }))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Like [`read`](Self::read); if any thread holds the lock for reading, the calling thread
    /// becomes a reader at once, also if a writer waits. So a thread that reads already may call
    /// it, where [`read`](Self::read) could wait forever.
    ///
    /// Readers that come this way without a need can keep a writer out forever.
    ///
    /// ```
    /// let lock = sync_core::RwLock::new(1);
    /// let outer = lock.read();
    /// assert_eq!(*lock.read_recursive(), *outer);
    /// ```
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    #[inline]
    #[track_caller]
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.raw.read_recursive();
        // SAFETY: the call above has acquired the lock.
        unsafe { RwLockReadGuard::new(self) }
    }

    /// Like [`try_read`](Self::try_read); never refused if a thread reads already.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[inline]
    #[track_caller]
    pub fn try_read_recursive(&self) -> Option<RwLockReadGuard<'_, T>> {
        let got = self.raw.read_beside_readers() || self.raw.try_read();
        // SAFETY: the guard is made only if the lock was acquired.
        got.then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Like [`read_recursive`](Self::read_recursive), for at most `timeout`.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[inline]
    #[track_caller]
    pub fn try_read_recursive_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        let got = self.raw.read_beside_readers() || self.raw.try_read_for(timeout);
        // SAFETY: the guard is made only if the lock was acquired.
        got.then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Like [`read_recursive`](Self::read_recursive), until `deadline` at most.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[inline]
    #[track_caller]
    pub fn try_read_recursive_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        let got = self.raw.read_beside_readers() || self.raw.try_read_until(deadline);
        // SAFETY: the guard is made only if the lock was acquired.
        got.then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Like [`read_recursive`](Self::read_recursive), of a lock in an [`Arc`]; the guard keeps the
    /// lock alive and borrows nothing.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[inline]
    #[track_caller]
    pub fn read_arc_recursive(self: &Arc<Self>) -> ArcRwLockReadGuard<T> {
        self.raw.read_recursive();
        // SAFETY: the call above has acquired the lock.
        unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) }
    }
}
