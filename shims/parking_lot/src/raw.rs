//! sync-core's raw locks under the traits of `lock_api` 0.4, by way of those of 0.5, which they
//! implement.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use lock_api_next as next;

/// Whether a guard may be sent: with the feature `send_guard`, as parking_lot's.
#[cfg(feature = "send_guard")]
type GuardMarker = lock_api::GuardSend;
#[cfg(not(feature = "send_guard"))]
type GuardMarker = lock_api::GuardNoSend;

/// The token of a hold in `lock_api` 0.5. It has no content: the caller of a release vouches for
/// the hold, in both versions.
const HOLD: next::GuardSend = next::GuardSend::new();

/// A raw lock of sync-core with the traits of `lock_api` 0.4.
macro_rules! raw_mutex {
    ($Raw:ident) => {
        /// sync-core's raw lock of that name.
        #[derive(Debug)]
        pub struct $Raw(pub(crate) sync_core::$Raw);

        // SAFETY: by the same promise of `lock_api` 0.5, which sync-core's lock keeps.
        unsafe impl lock_api::RawMutex for $Raw {
            #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
            const INIT: Self = Self(<sync_core::$Raw as next::RawMutex>::INIT);
            type GuardMarker = GuardMarker;

            #[inline]
            fn lock(&self) {
                self.0.lock();
            }

            #[inline]
            fn try_lock(&self) -> bool {
                self.0.try_lock()
            }

            #[inline]
            unsafe fn unlock(&self) {
                // SAFETY: the caller holds the lock.
                unsafe { next::RawMutex::unlock(&self.0, HOLD) }
            }

            #[inline]
            fn is_locked(&self) -> bool {
                self.0.is_locked()
            }
        }

        // SAFETY: as for `lock_api::RawMutex`.
        unsafe impl lock_api::RawMutexFair for $Raw {
            #[inline]
            unsafe fn unlock_fair(&self) {
                // SAFETY: the caller holds the lock.
                unsafe { next::RawMutexFair::unlock_fair(&self.0, HOLD) }
            }

            #[inline]
            unsafe fn bump(&self) {
                // SAFETY: the caller holds the lock.
                unsafe { next::RawMutexFair::bump(&self.0, &mut { HOLD }) }
            }
        }

        // SAFETY: as for `lock_api::RawMutex`.
        unsafe impl lock_api::RawMutexTimed for $Raw {
            type Duration = Duration;
            type Instant = Instant;

            #[inline]
            fn try_lock_for(&self, timeout: Duration) -> bool {
                self.0.try_lock_for(timeout)
            }

            #[inline]
            fn try_lock_until(&self, deadline: Instant) -> bool {
                self.0.try_lock_until(deadline)
            }
        }
    };
}

raw_mutex!(RawMutex);
raw_mutex!(RawFairMutex);

/// The number of a thread.
#[derive(Debug)]
pub struct RawThreadId(());

// SAFETY: by the same promise of `lock_api` 0.5, which sync-core's numbers keep.
unsafe impl lock_api::GetThreadId for RawThreadId {
    const INIT: Self = Self(());

    #[inline]
    fn nonzero_thread_id(&self) -> NonZeroUsize {
        next::GetThreadId::nonzero_thread_id(&<sync_core::ThreadId as next::GetThreadId>::INIT)
    }
}

/// sync-core's raw lock of that name.
#[derive(Debug)]
pub struct RawRwLock(sync_core::RawRwLock);

/// Writes the methods that release or change a hold: `name(&self) = the trait of 0.5`.
macro_rules! holds {
    ($($name:ident by $Trait:ident,)*) => {$(
        #[inline]
        unsafe fn $name(&self) {
            // SAFETY: the caller has the lock in the mode that the trait names.
            let _ = unsafe { next::$Trait::$name(&self.0, HOLD) };
        }
    )*};
}

/// Writes the methods that take the lock: `name(arguments) = method of sync-core's lock`.
macro_rules! takes {
    ($($name:ident($($argument:ident: $Type:ty)?) = $method:ident,)*) => {$(
        #[inline]
        fn $name(&self $(, $argument: $Type)?) -> bool {
            self.0.$method($($argument)?)
        }
    )*};
}

// SAFETY: by the same promise of `lock_api` 0.5, which sync-core's lock keeps.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Self = Self(<sync_core::RawRwLock as next::RawRwLock>::INIT);
    type GuardMarker = GuardMarker;

    #[inline]
    fn lock_shared(&self) {
        self.0.read();
    }

    #[inline]
    fn lock_exclusive(&self) {
        self.0.write();
    }

    takes! {
        try_lock_shared() = try_read,
        try_lock_exclusive() = try_write,
        is_locked() = is_locked,
        is_locked_exclusive() = is_locked_exclusive,
    }
    holds! { unlock_shared by RawRwLock, unlock_exclusive by RawRwLock, }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    holds! { unlock_shared_fair by RawRwLockFair, unlock_exclusive_fair by RawRwLockFair, }

    #[inline]
    unsafe fn bump_shared(&self) {
        // SAFETY: the caller reads.
        unsafe { next::RawRwLockFair::bump_shared(&self.0, &mut { HOLD }) }
    }

    #[inline]
    unsafe fn bump_exclusive(&self) {
        // SAFETY: the caller writes.
        unsafe { next::RawRwLockFair::bump_exclusive(&self.0, &mut { HOLD }) }
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    holds! { downgrade by RawRwLockDowngrade, }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    takes! {
        try_lock_shared_for(timeout: Duration) = try_read_for,
        try_lock_shared_until(deadline: Instant) = try_read_until,
        try_lock_exclusive_for(timeout: Duration) = try_write_for,
        try_lock_exclusive_until(deadline: Instant) = try_write_until,
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockRecursive for RawRwLock {
    #[inline]
    fn lock_shared_recursive(&self) {
        self.0.read_recursive();
    }

    takes! { try_lock_shared_recursive() = try_read_recursive, }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockRecursiveTimed for RawRwLock {
    takes! {
        try_lock_shared_recursive_for(timeout: Duration) = try_read_recursive_for,
        try_lock_shared_recursive_until(deadline: Instant) = try_read_recursive_until,
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    #[inline]
    fn lock_upgradable(&self) {
        self.0.upgradable_read();
    }

    takes! { try_lock_upgradable() = try_upgradable_read, }
    holds! { unlock_upgradable by RawRwLockUpgrade, upgrade by RawRwLockUpgrade, }

    #[inline]
    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: the caller is the upgradable reader.
        unsafe { next::RawRwLockUpgrade::try_upgrade(&self.0, HOLD) }.is_ok()
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockUpgradeFair for RawRwLock {
    holds! { unlock_upgradable_fair by RawRwLockUpgradeFair, }

    #[inline]
    unsafe fn bump_upgradable(&self) {
        // SAFETY: the caller is the upgradable reader.
        unsafe { next::RawRwLockUpgradeFair::bump_upgradable(&self.0, &mut { HOLD }) }
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    holds! {
        downgrade_upgradable by RawRwLockUpgradeDowngrade,
        downgrade_to_upgradable by RawRwLockUpgradeDowngrade,
    }
}

// SAFETY: as for `RawRwLock`.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    takes! {
        try_lock_upgradable_for(timeout: Duration) = try_upgradable_read_for,
        try_lock_upgradable_until(deadline: Instant) = try_upgradable_read_until,
    }

    #[inline]
    unsafe fn try_upgrade_for(&self, timeout: Duration) -> bool {
        // SAFETY: the caller is the upgradable reader.
        unsafe { next::RawRwLockUpgradeTimed::try_upgrade_for(&self.0, HOLD, timeout) }.is_ok()
    }

    #[inline]
    unsafe fn try_upgrade_until(&self, deadline: Instant) -> bool {
        // SAFETY: the caller is the upgradable reader.
        unsafe { next::RawRwLockUpgradeTimed::try_upgrade_until(&self.0, HOLD, deadline) }.is_ok()
    }
}
