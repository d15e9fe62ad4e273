//! The traits of `lock_api` 0.5 on the raw locks, so that its wrappers (and crates that take any
//! `RawMutex`) work with them.
//!
//! The guards' tokens are `Send`: every raw lock of this crate may be released by another thread
//! than the one that took it.

use core::num::NonZeroUsize;
use core::time::Duration;
use std::time::Instant;

use lock_api::{GetThreadId, GuardSend};

use crate::lock::instrumented::RELOCK;
use crate::lock::raw_lock::{RawLock, WaitGuard};
use crate::primitive::thread;
use crate::user_code::AbortOnUnwind;
use crate::sealed::Sealed;
use crate::{Condvar, RawFairMutex, RawMutex, RawRwLock};

fn token(acquired: bool) -> Option<GuardSend> {
    acquired.then(GuardSend::new)
}

macro_rules! mutex {
    ($($Raw:ident),*) => {$(
        // SAFETY: exclusion is invariant 1 of the lock's file; nothing here unwinds with a lock
        // taken and no token returned.
        unsafe impl lock_api::RawMutex for $Raw {
            #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
            const INIT: Self = Self::new();
            type Guard = GuardSend;

            #[inline]
            fn lock(&self) -> GuardSend {
                $Raw::lock(self);
                GuardSend::new()
            }

            #[inline]
            fn try_lock(&self) -> Option<GuardSend> {
                token($Raw::try_lock(self))
            }

            #[inline]
            unsafe fn unlock(&self, _: GuardSend) {
                // SAFETY: the caller holds the lock; the token represents the hold.
                unsafe { RawLock::release(self) }
            }

            #[inline]
            fn is_locked(&self) -> bool {
                $Raw::is_locked(self)
            }
        }

        // SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
        unsafe impl lock_api::RawMutexFair for $Raw {
            #[inline]
            unsafe fn unlock_fair(&self, _: GuardSend) {
                // SAFETY: the caller holds the lock; the token represents the hold.
                unsafe { RawLock::release_fair(self) }
            }

            #[inline]
            unsafe fn bump(&self, _: &mut GuardSend) {
                // SAFETY: the caller holds the lock; the token represents the hold.
                unsafe { RawLock::bump(self) }
            }
        }

        // SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
        unsafe impl lock_api::RawMutexTimed for $Raw {
            type Duration = Duration;
            type Instant = Instant;

            #[inline]
            fn try_lock_for(&self, timeout: Duration) -> Option<GuardSend> {
                token($Raw::try_lock_for(self, timeout))
            }

            #[inline]
            fn try_lock_until(&self, deadline: Instant) -> Option<GuardSend> {
                token($Raw::try_lock_until(self, deadline))
            }
        }
    )*};
}

mutex!(RawMutex, RawFairMutex);

/// The numbers of threads for `lock_api::ReentrantMutex<RawMutex, ThreadId, T>`: never used again.
#[derive(Debug)]
pub struct ThreadId(());

// SAFETY: two threads that live at the same time, or at any time, have different numbers.
unsafe impl GetThreadId for ThreadId {
    const INIT: Self = Self(());

    #[inline]
    fn nonzero_thread_id(&self) -> NonZeroUsize {
        // On a 32-bit system, the first 2^32 threads of a process have numbers.
        NonZeroUsize::try_from(thread::id())
            .expect("more threads were started than a usize can number")
    }
}

/// Unwraps the result of a release. The caller vouches that the lock is held in the mode of the
/// token.
fn expect_held<T: core::fmt::Debug>(result: Result<T, crate::NotLocked>) -> T {
    result.expect("the caller holds the lock in this mode")
}

// SAFETY: exclusion is invariant 1 of `raw_rwlock/mod.rs`; a panic for too many readers leaves
// nothing held.
unsafe impl lock_api::RawRwLock for RawRwLock {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Self = Self::new();
    type SharedGuard = GuardSend;
    type ExclusiveGuard = GuardSend;

    #[inline]
    fn lock_shared(&self) -> GuardSend {
        self.read();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_shared(&self) -> Option<GuardSend> {
        token(self.try_read())
    }

    #[inline]
    unsafe fn unlock_shared(&self, _: GuardSend) {
        expect_held(self.unlock_read());
    }

    #[inline]
    fn lock_exclusive(&self) -> GuardSend {
        self.write();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_exclusive(&self) -> Option<GuardSend> {
        token(self.try_write())
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, _: GuardSend) {
        expect_held(self.unlock_write());
    }

    #[inline]
    fn is_locked(&self) -> bool {
        RawRwLock::is_locked(self)
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        RawRwLock::is_locked_exclusive(self)
    }
}

// SAFETY: invariant 1 of the lock's file; a `bump` that cannot take the lock again aborts.
unsafe impl lock_api::RawRwLockFair for RawRwLock {
    #[inline]
    unsafe fn unlock_shared_fair(&self, _: GuardSend) {
        expect_held(self.unlock_read_fair());
    }

    #[inline]
    unsafe fn unlock_exclusive_fair(&self, _: GuardSend) {
        expect_held(self.unlock_write_fair());
    }

    #[inline]
    unsafe fn bump_shared(&self, _: &mut GuardSend) {
        relocked(|| self.bump_read());
    }

    #[inline]
    unsafe fn bump_exclusive(&self, _: &mut GuardSend) {
        relocked(|| self.bump_write());
    }
}

// SAFETY: as for `RawRwLockFair`.
unsafe impl lock_api::RawRwLockUpgradeFair for RawRwLock {
    #[inline]
    unsafe fn unlock_upgradable_fair(&self, _: GuardSend) {
        expect_held(RawRwLock::unlock_upgradable_fair(self));
    }

    #[inline]
    unsafe fn bump_upgradable(&self, _: &mut GuardSend) {
        relocked(|| RawRwLock::bump_upgradable(self));
    }
}

/// Runs `bump`, after which the token stands for a hold again. Does not unwind.
fn relocked(bump: impl FnOnce() -> Result<(), crate::NotLocked>) {
    let abort = AbortOnUnwind::new(RELOCK);
    expect_held(bump());
    abort.disarm();
}

// SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
unsafe impl lock_api::RawRwLockDowngrade for RawRwLock {
    #[inline]
    unsafe fn downgrade(&self, _: GuardSend) -> GuardSend {
        expect_held(RawRwLock::downgrade(self));
        GuardSend::new()
    }
}

// SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
unsafe impl lock_api::RawRwLockTimed for RawRwLock {
    type Duration = Duration;
    type Instant = Instant;

    #[inline]
    fn try_lock_shared_for(&self, timeout: Duration) -> Option<GuardSend> {
        token(self.try_read_for(timeout))
    }

    #[inline]
    fn try_lock_shared_until(&self, deadline: Instant) -> Option<GuardSend> {
        token(self.try_read_until(deadline))
    }

    #[inline]
    fn try_lock_exclusive_for(&self, timeout: Duration) -> Option<GuardSend> {
        token(self.try_write_for(timeout))
    }

    #[inline]
    fn try_lock_exclusive_until(&self, deadline: Instant) -> Option<GuardSend> {
        token(self.try_write_until(deadline))
    }
}

// SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
unsafe impl lock_api::RawRwLockUpgrade for RawRwLock {
    type UpgradableGuard = GuardSend;

    #[inline]
    fn lock_upgradable(&self) -> GuardSend {
        self.upgradable_read();
        GuardSend::new()
    }

    #[inline]
    fn try_lock_upgradable(&self) -> Option<GuardSend> {
        token(self.try_upgradable_read())
    }

    #[inline]
    unsafe fn unlock_upgradable(&self, _: GuardSend) {
        expect_held(RawRwLock::unlock_upgradable(self));
    }

    #[inline]
    unsafe fn upgrade(&self, _: GuardSend) -> GuardSend {
        expect_held(RawRwLock::upgrade(self));
        GuardSend::new()
    }

    #[inline]
    unsafe fn try_upgrade(&self, held: GuardSend) -> Result<GuardSend, GuardSend> {
        if expect_held(RawRwLock::try_upgrade(self)) { Ok(held) } else { Err(held) }
    }
}

// SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
unsafe impl lock_api::RawRwLockUpgradeDowngrade for RawRwLock {
    #[inline]
    unsafe fn downgrade_upgradable(&self, _: GuardSend) -> GuardSend {
        expect_held(RawRwLock::downgrade_upgradable(self));
        GuardSend::new()
    }

    #[inline]
    unsafe fn downgrade_to_upgradable(&self, _: GuardSend) -> GuardSend {
        expect_held(RawRwLock::downgrade_to_upgradable(self));
        GuardSend::new()
    }
}

// SAFETY: invariant 1 of the lock's file; nothing here unwinds with a lock taken.
unsafe impl lock_api::RawRwLockUpgradeTimed for RawRwLock {
    #[inline]
    fn try_lock_upgradable_for(&self, timeout: Duration) -> Option<GuardSend> {
        token(self.try_upgradable_read_for(timeout))
    }

    #[inline]
    fn try_lock_upgradable_until(&self, deadline: Instant) -> Option<GuardSend> {
        token(self.try_upgradable_read_until(deadline))
    }

    #[inline]
    unsafe fn try_upgrade_for(
        &self,
        held: GuardSend,
        timeout: Duration,
    ) -> Result<GuardSend, GuardSend> {
        if expect_held(RawRwLock::try_upgrade_for(self, timeout)) { Ok(held) } else { Err(held) }
    }

    #[inline]
    unsafe fn try_upgrade_until(
        &self,
        held: GuardSend,
        deadline: Instant,
    ) -> Result<GuardSend, GuardSend> {
        if expect_held(RawRwLock::try_upgrade_until(self, deadline)) { Ok(held) } else { Err(held) }
    }
}

/// The hold of a raw mutex, for a wait.
struct Held<'a>(&'a RawMutex);

impl Sealed for Held<'_> {}

impl WaitGuard for Held<'_> {
    unsafe fn release_all(&mut self) -> u32 {
        // SAFETY: the caller of `RawCondvar::wait` holds the lock, and its token is not used before
        // the lock is taken again.
        unsafe { RawLock::release(self.0) };
        1
    }

    unsafe fn reacquire(&mut self, _: u32) {
        self.0.lock();
    }
}

/// A wait never ends without a notification or its time, but a notification may end more waits than
/// intended, so its results are those that the trait asks of a condition variable with spurious
/// wake-ups: `false` and 0.
// SAFETY: a wait counts itself before it releases the mutex, and does not return before it has
// taken it again; nothing unwinds in between (it aborts).
unsafe impl lock_api::RawCondvar for Condvar {
    #[allow(clippy::declare_interior_mutable_const, reason = "the trait asks for it")]
    const INIT: Self = Self::new();
    type RawMutex = RawMutex;

    #[inline]
    unsafe fn wait(&self, mutex: &RawMutex, _: &mut GuardSend) {
        Condvar::wait(self, &mut Held(mutex));
    }

    #[inline]
    fn notify_one(&self) -> bool {
        Condvar::notify_one(self);
        false
    }

    #[inline]
    fn notify_all(&self) -> usize {
        Condvar::notify_all(self);
        0
    }
}

// SAFETY: as for `RawCondvar`.
unsafe impl lock_api::RawCondvarTimed for Condvar {
    fn checked_duration_to_instant(timeout: &Duration) -> Option<Instant> {
        Instant::now().checked_add(*timeout)
    }

    #[inline]
    unsafe fn wait_until(&self, mutex: &RawMutex, _: &mut GuardSend, deadline: &Instant) -> bool {
        Condvar::wait_until(self, &mut Held(mutex), *deadline).timed_out()
    }
}
