//! Proxies of locks, semaphores and conditions.
//!
//! The lock is the client's: of all threads and all proxies of one handle of a manager in one
//! process. The server releases it when the client ends, by death too.

use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use sync_core::fork::ProcessMark;

use super::super::error::Result;
use super::super::link::{Core, Takes};
use super::super::wire::{Call, ConditionCall, LockCall, SemaphoreCall};
use super::{done, flag, number, proxy, until};

/// The server's answer to `acquire`.
fn acquired(flags: u64) -> Option<bool> {
    (flags & 1 == 1).then_some(flags & 2 == 2)
}

/// Releases in `drop`, where an error has no taker: the server releases at the end of the client at
/// the latest. A forked child's copy of a guard does nothing.
fn release(core: &Core, mark: ProcessMark, call: Call) {
    if mark.is_current() {
        let _ = core.now(call);
    }
}

macro_rules! lock_methods {
    ($guard:ident) => {
        /// Acquires the lock, waiting as long as it takes.
        ///
        /// # Errors
        ///
        /// [`ManagerError`](crate::manager::ManagerError), if the server ends meanwhile too.
        #[doc(alias = "acquire")]
        pub fn lock(&self) -> Result<$guard<'_>> {
            loop {
                if let Some(guard) = self.acquire(None)? {
                    return Ok(guard);
                }
            }
        }

        /// Acquires the lock if that takes no waiting.
        ///
        /// # Errors
        ///
        /// [`ManagerError`](crate::manager::ManagerError).
        #[doc(alias = "acquire")]
        pub fn try_lock(&self) -> Result<Option<$guard<'_>>> {
            self.acquire(Some(Duration::ZERO))
        }

        /// Acquires the lock, waiting at most `timeout`.
        ///
        /// # Errors
        ///
        /// [`ManagerError`](crate::manager::ManagerError).
        #[doc(alias = "acquire")]
        pub fn try_lock_for(&self, timeout: Duration) -> Result<Option<$guard<'_>>> {
            self.acquire(Some(timeout))
        }

        /// Acquires the lock, waiting until `deadline`.
        ///
        /// # Errors
        ///
        /// [`ManagerError`](crate::manager::ManagerError).
        #[doc(alias = "acquire")]
        pub fn try_lock_until(&self, deadline: Instant) -> Result<Option<$guard<'_>>> {
            self.acquire(Some(until(deadline)))
        }
    };
}

macro_rules! lock_guard {
    ($(#[$about:meta])* $guard:ident of $lock:ident, $release:expr) => {
        $(#[$about])*
        #[must_use = "the lock is released when the guard is dropped"]
        #[derive(Debug)]
        pub struct $guard<'a> {
            lock: &'a $lock,
            mark: ProcessMark,
            owner_died: bool,
            /// The lock is the thread's that acquired it, where it is reentrant.
            not_send: PhantomData<*const ()>,
        }

        impl<'a> $guard<'a> {
            fn new(lock: &'a $lock, owner_died: bool) -> Self {
                let mark = ProcessMark::current();
                Self { lock, mark, owner_died, not_send: PhantomData }
            }

            /// Whether the last owner ended while it had the lock: what the lock protects may be
            /// half changed.
            #[must_use]
            pub fn owner_died(&self) -> bool {
                self.owner_died
            }

            /// Releases the lock, and reports whether that was done.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            #[doc(alias = "release")]
            pub fn unlock(self) -> Result<()> {
                let this = core::mem::ManuallyDrop::new(self);
                done(&this.lock.core.now($release)?)
            }
        }

        impl Drop for $guard<'_> {
            fn drop(&mut self) {
                release(&self.lock.core, self.mark, $release);
            }
        }
    };
}

proxy! {
    /// A lock in a manager. Python's `Manager().Lock()`.
    ///
    /// Any client may release it, once its owner has handed it over
    /// ([`LockGuard::hand_over`]).
    Lock
}

impl Lock {
    fn acquire(&self, limit: Option<Duration>) -> Result<Option<LockGuard<'_>>> {
        let call = Call::Lock(LockCall::Acquire(limit));
        let flags = number(&self.core.call(call, Takes::Limit(limit))?)?;
        Ok(acquired(flags).map(|died| LockGuard::new(self, died)))
    }

    lock_methods!(LockGuard);

    /// Releases the lock without a guard: after a hand-over, or after the guard was forgotten.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotOwner`](crate::manager::Refusal::NotOwner) if it is free or another client's;
    /// other variants.
    #[doc(alias = "release")]
    pub fn unlock(&self) -> Result<()> {
        done(&self.core.now(Call::Lock(LockCall::Release))?)
    }

    /// Whether a client has it. A snapshot: it may have changed before the call returns.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> Result<bool> {
        flag(&self.core.now(Call::Lock(LockCall::IsLocked))?)
    }
}

lock_guard! {
    /// Releases a [`Lock`] when it is dropped.
    LockGuard of Lock, Call::Lock(LockCall::Release)
}

impl LockGuard<'_> {
    /// Keeps the lock without an owner: it outlives this client, and any client may release it by
    /// [`Lock::unlock`].
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn hand_over(self) -> Result<()> {
        let this = core::mem::ManuallyDrop::new(self);
        done(&this.lock.core.now(Call::Lock(LockCall::HandOver))?)
    }
}

proxy! {
    /// A reentrant lock in a manager: a thread that has it gets it again. Python's
    /// `Manager().RLock()`.
    #[doc(alias = "RLock")]
    ReentrantLock
}

impl ReentrantLock {
    fn acquire(&self, limit: Option<Duration>) -> Result<Option<ReentrantLockGuard<'_>>> {
        let call = Call::Lock(LockCall::Acquire(limit));
        let flags = number(&self.core.call(call, Takes::Limit(limit))?)?;
        Ok(acquired(flags).map(|died| ReentrantLockGuard::new(self, died)))
    }

    lock_methods!(ReentrantLockGuard);
}

lock_guard! {
    /// Releases a [`ReentrantLock`] once when it is dropped.
    ReentrantLockGuard of ReentrantLock, Call::Lock(LockCall::Release)
}

macro_rules! semaphore {
    ($(#[$about:meta])* $name:ident, $permit:ident) => {
        proxy! { $(#[$about])* $name }

        impl $name {
            fn take(&self, limit: Option<Duration>) -> Result<Option<$permit<'_>>> {
                let call = Call::Semaphore(SemaphoreCall::Acquire(limit));
                let taken = flag(&self.core.call(call, Takes::Limit(limit))?)?;
                Ok(taken.then(|| $permit { semaphore: self, mark: ProcessMark::current() }))
            }

            /// Takes a permit, waiting as long as it takes.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn acquire(&self) -> Result<$permit<'_>> {
                loop {
                    if let Some(permit) = self.take(None)? {
                        return Ok(permit);
                    }
                }
            }

            /// Takes a permit if that takes no waiting.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn try_acquire(&self) -> Result<Option<$permit<'_>>> {
                self.take(Some(Duration::ZERO))
            }

            /// Takes a permit, waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn try_acquire_for(&self, timeout: Duration) -> Result<Option<$permit<'_>>> {
                self.take(Some(timeout))
            }

            /// Takes a permit, waiting until `deadline`.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn try_acquire_until(&self, deadline: Instant) -> Result<Option<$permit<'_>>> {
                self.take(Some(until(deadline)))
            }

            /// Returns permits, this client's own first. Without any of its own, it adds them.
            ///
            /// # Errors
            ///
            /// [`Refusal::TooManyReleases`](crate::manager::Refusal::TooManyReleases) beyond the
            /// bound; other variants.
            pub fn release(&self, count: u64) -> Result<()> {
                done(&self.core.now(Call::Semaphore(SemaphoreCall::Release(count)))?)
            }

            /// Returns the number of free permits. A snapshot.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn available_permits(&self) -> Result<u64> {
                number(&self.core.now(Call::Semaphore(SemaphoreCall::Count))?)
            }
        }

        /// A permit. It returns when it is dropped, and when its client ends.
        #[must_use = "the permit returns when it is dropped"]
        #[derive(Debug)]
        pub struct $permit<'a> {
            semaphore: &'a $name,
            mark: ProcessMark,
        }

        impl $permit<'_> {
            /// Keeps the permit: no client has it, and it returns by `release`.
            ///
            /// # Errors
            ///
            /// [`ManagerError`](crate::manager::ManagerError).
            pub fn forget(self) -> Result<()> {
                let this = core::mem::ManuallyDrop::new(self);
                done(&this.semaphore.core.now(Call::Semaphore(SemaphoreCall::Forget))?)
            }
        }

        impl Drop for $permit<'_> {
            fn drop(&mut self) {
                let call = Call::Semaphore(SemaphoreCall::Release(1));
                release(&self.semaphore.core, self.mark, call);
            }
        }
    };
}

semaphore! {
    /// A semaphore in a manager. Python's `Manager().Semaphore(n)`.
    Semaphore, SemaphorePermit
}

semaphore! {
    /// A semaphore in a manager that never has more permits than at its start. Python's
    /// `Manager().BoundedSemaphore(n)`.
    BoundedSemaphore, BoundedSemaphorePermit
}

proxy! {
    /// A condition in a manager, with a reentrant lock of its own. Python's
    /// `Manager().Condition()`.
    Condition
}

impl Condition {
    fn acquire(&self, limit: Option<Duration>) -> Result<Option<ConditionGuard<'_>>> {
        let call = Call::Condition(ConditionCall::Acquire(limit));
        let flags = number(&self.core.call(call, Takes::Limit(limit))?)?;
        Ok(acquired(flags).map(|died| ConditionGuard::new(self, died)))
    }

    lock_methods!(ConditionGuard);
}

lock_guard! {
    /// The lock of a [`Condition`], which it releases when it is dropped.
    ConditionGuard of Condition, Call::Condition(ConditionCall::Release)
}

impl ConditionGuard<'_> {
    fn pause(&mut self, limit: Option<Duration>) -> Result<bool> {
        let call = Call::Condition(ConditionCall::Wait(limit));
        // It waits for the lock again, without limit.
        let flags = number(&self.lock.core.call(call, Takes::Unknown)?)?;
        self.owner_died |= flags & 2 == 2;
        Ok(flags & 1 == 1)
    }

    /// Releases the lock, waits for a notification, and acquires the lock again.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError); then the lock is not held any more.
    pub fn wait(&mut self) -> Result<()> {
        self.pause(None).map(drop)
    }

    /// As [`wait`](Self::wait), at most `timeout`, and then for the lock. Returns whether there was
    /// a notification.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_timeout(&mut self, timeout: Duration) -> Result<bool> {
        self.pause(Some(timeout))
    }

    /// As [`wait_timeout`](Self::wait_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    pub fn wait_deadline(&mut self, deadline: Instant) -> Result<bool> {
        self.pause(Some(until(deadline)))
    }

    /// Waits until `ready`, which is called with the lock held, at most `timeout`. Returns its last
    /// answer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); the errors of `ready`.
    #[doc(alias = "wait_for")]
    pub fn wait_until_timeout(
        &mut self,
        timeout: Duration,
        ready: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        self.wait_until_ready(Instant::now().checked_add(timeout), ready)
    }

    /// As [`wait_until_timeout`](Self::wait_until_timeout), until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); the errors of `ready`.
    #[doc(alias = "wait_for")]
    pub fn wait_until_deadline(
        &mut self,
        deadline: Instant,
        ready: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        self.wait_until_ready(Some(deadline), ready)
    }

    fn wait_until_ready(
        &mut self,
        deadline: Option<Instant>,
        mut ready: impl FnMut() -> Result<bool>,
    ) -> Result<bool> {
        loop {
            if ready()? {
                return Ok(true);
            }
            let left = deadline.map(until);
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            self.pause(left)?;
        }
    }

    /// Notifies this number of waiting calls, those that have waited longest.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn notify(&self, count: u64) -> Result<()> {
        done(&self.lock.core.now(Call::Condition(ConditionCall::Notify(count)))?)
    }

    /// Notifies all waiting calls.
    ///
    /// # Errors
    ///
    /// [`ManagerError`](crate::manager::ManagerError).
    pub fn notify_all(&self) -> Result<()> {
        self.notify(u64::MAX)
    }
}
