//! The blocking calls that a token can end. Each is the wait of its primitive, as steps, next to
//! the wait for the token.

use core::ops::DerefMut;
use std::sync::Arc;

use super::token::{CancelToken, Cancelled};
use crate::lock::fair_mutex::{FairMutex, FairMutexGuard};
use crate::lock::mutex::{Mutex, MutexGuard};
use crate::lock::raw_fair_mutex::RawFairMutex;
use crate::lock::raw_lock::WaitGuard;
use crate::lock::raw_mutex::RawMutex;
use crate::lock::raw_rwlock::RawRwLock;
use crate::lock::reentrant_mutex::{ReentrantMutex, ReentrantMutexGuard};
use crate::lock::rwlock::{RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard};
use crate::once::once_lock::OnceLock;
use crate::primitive::steps::Waiting;
use crate::thread::{JoinError, JoinHandle};
use crate::wait::auto_reset_event::AutoResetEvent;
use crate::wait::barrier::{Action, Barrier, BarrierWaitResult, BrokenBarrier};
use crate::wait::condvar::Condvar;
use crate::wait::event::Event;
use crate::wait::latch::Latch;
use crate::wait::raw_semaphore::{Closed, RawSemaphore};
use crate::wait::semaphore::{BoundedSemaphore, PermitGuard, Semaphore};
use crate::wait::wait_group::WaitGroup;

impl<T: ?Sized> Mutex<T> {
    /// Like [`lock`](Self::lock), until the token is cancelled at most.
    ///
    /// ```
    /// use sync_core::{CancelToken, Cancelled, Mutex};
    ///
    /// let (stop, lock) = (CancelToken::new(), Mutex::new(1));
    /// let held = lock.lock_or_cancelled(&stop).unwrap();
    /// stop.cancel();
    /// assert_eq!(lock.lock_or_cancelled(&stop).unwrap_err(), Cancelled);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the lock was not free.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_or_cancelled(&self, token: &CancelToken) -> Result<MutexGuard<'_, T>, Cancelled> {
        let taken = self.raw.lock_by(|raw| token.block_on(Waiting::new(raw.acquiring())).is_ok());
        if !taken {
            return Err(Cancelled);
        }
        // SAFETY: the lock was acquired.
        Ok(unsafe { MutexGuard::new(self) })
    }
}

impl RawMutex {
    /// Like [`lock`](Self::lock), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the lock was not free.
    pub fn lock_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        if self.try_lock() { Ok(()) } else { token.block_on(Waiting::new(self.acquiring())) }
    }
}

impl<T: ?Sized> FairMutex<T> {
    /// Like [`lock`](Self::lock), until the token is cancelled at most. The thread requests that
    /// the holder yields as soon as it is the first in the queue.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the lock was not free.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<FairMutexGuard<'_, T>, Cancelled> {
        let inner = &self.inner;
        let taken =
            inner.raw.lock_by(|raw| token.block_on(Waiting::new(raw.queueing(true))).is_ok());
        if !taken {
            return Err(Cancelled);
        }
        // SAFETY: the lock was acquired.
        Ok(unsafe { MutexGuard::new(inner) })
    }
}

impl RawFairMutex {
    /// Like [`lock`](Self::lock), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the lock was not free.
    pub fn lock_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        if self.try_lock() { Ok(()) } else { token.block_on(Waiting::new(self.queueing(true))) }
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Like [`lock`](Self::lock), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while another thread held the lock.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<ReentrantMutexGuard<'_, T>, Cancelled> {
        let taken = self.raw.lock_by(|raw| token.block_on(Waiting::new(raw.acquiring())).is_ok());
        if !taken {
            return Err(Cancelled);
        }
        // SAFETY: the lock was acquired.
        Ok(unsafe { ReentrantMutexGuard::new(self) })
    }
}

/// Writes the forms of a readers-writer lock.
macro_rules! rwlock {
    ($take:ident, $try:ident, $steps:ident, $Guard:ident, $like:literal) => {
        impl<T: ?Sized> RwLock<T> {
            #[doc = concat!("Like [`", $like, "`](Self::", $like, "), until the token is")]
            /// cancelled at most.
            ///
            /// # Errors
            ///
            /// [`Cancelled`] if the token was cancelled while the lock could not be taken.
            #[track_caller]
            pub fn $take(&self, token: &CancelToken) -> Result<$Guard<'_, T>, Cancelled> {
                let taken =
                    self.raw.$take(|raw| token.block_on(Waiting::new(raw.$steps())).is_ok());
                if !taken {
                    return Err(Cancelled);
                }
                // SAFETY: the lock was acquired in its mode.
                Ok(unsafe { $Guard::new(self) })
            }
        }

        impl RawRwLock {
            #[doc = concat!("Like [`", $like, "`](Self::", $like, "), until the token is")]
            /// cancelled at most.
            ///
            /// # Errors
            ///
            /// [`Cancelled`] if the token was cancelled while the lock could not be taken.
            pub fn $take(&self, token: &CancelToken) -> Result<(), Cancelled> {
                if self.$try() { Ok(()) } else { token.block_on(Waiting::new(self.$steps())) }
            }
        }
    };
}

rwlock!(read_or_cancelled, try_read, reading, RwLockReadGuard, "read");
rwlock!(write_or_cancelled, try_write, writing, RwLockWriteGuard, "write");
rwlock!(
    upgradable_read_or_cancelled,
    try_upgradable_read,
    upgradable_reading,
    RwLockUpgradableReadGuard,
    "upgradable_read"
);

/// Writes the forms of the two semaphores.
macro_rules! semaphore {
    ($Semaphore:ident) => {
        impl $Semaphore {
            /// Like [`acquire`](Self::acquire), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// The outer error is [`Cancelled`]; the inner one is [`Closed`].
            pub fn acquire_or_cancelled(
                &self,
                token: &CancelToken,
            ) -> Result<Result<PermitGuard<&Self>, Closed>, Cancelled> {
                token.block_on(self.acquire_async())
            }

            /// Like [`acquire_many`](Self::acquire_many), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// Like [`acquire_or_cancelled`](Self::acquire_or_cancelled).
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
            pub fn acquire_many_or_cancelled(
                &self,
                n: u32,
                token: &CancelToken,
            ) -> Result<Result<PermitGuard<&Self>, Closed>, Cancelled> {
                token.block_on(self.acquire_many_async(n))
            }

            /// Like [`acquire_arc`](Self::acquire_arc), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// Like [`acquire_or_cancelled`](Self::acquire_or_cancelled).
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
            pub fn acquire_arc_or_cancelled(
                self: &Arc<Self>,
                n: u32,
                token: &CancelToken,
            ) -> Result<Result<PermitGuard<Arc<Self>>, Closed>, Cancelled> {
                token.block_on(self.acquire_arc_async(n))
            }
        }
    };
}

semaphore!(Semaphore);
semaphore!(BoundedSemaphore);

/// Writes the form of a wait without a result.
macro_rules! wait {
    ($Object:ident) => {
        impl $Object {
            /// Like [`wait`](Self::wait), until the token is cancelled at most.
            ///
            /// # Errors
            ///
            /// [`Cancelled`] if the token was cancelled while the call waited.
            pub fn wait_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
                token.block_on(self.wait_async())
            }
        }
    };
}

wait!(Event);
wait!(AutoResetEvent);
wait!(Latch);

impl RawSemaphore {
    /// Like [`acquire`](Self::acquire), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`]; the inner one is [`Closed`].
    ///
    /// # Panics
    ///
    /// Like [`acquire`](Self::acquire).
    pub fn acquire_or_cancelled(
        &self,
        n: u32,
        token: &CancelToken,
    ) -> Result<Result<(), Closed>, Cancelled> {
        token.block_on(self.acquire_async(n))
    }
}

impl WaitGroup {
    /// Like [`wait`](Self::wait), until the token is cancelled at most. The group is left in both
    /// cases.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while other members were there.
    pub fn wait_or_cancelled(self, token: &CancelToken) -> Result<(), Cancelled> {
        token.block_on(self.wait_async())
    }
}

impl<A: Action> Barrier<A> {
    /// Like [`wait`](Self::wait), until the token is cancelled at most. A wait that is cancelled
    /// leaves the barrier as if it had not arrived, and breaks nothing.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`]; the inner one is [`BrokenBarrier`].
    ///
    /// # Panics
    ///
    /// Like [`wait`](Self::wait).
    pub fn wait_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<Result<BarrierWaitResult, BrokenBarrier>, Cancelled> {
        token.block_on(self.wait_async())
    }
}

impl Condvar {
    /// Like [`wait`](Self::wait), until the token is cancelled at most. The lock is taken again in
    /// both cases.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled before a notification.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_or_cancelled<G: WaitGuard>(
        &self,
        guard: &mut G,
        token: &CancelToken,
    ) -> Result<(), Cancelled> {
        let mut result = Ok(());
        self.wait_through(guard, |steps| result = token.block_on(Waiting::new(steps)));
        result
    }

    /// Like [`wait_while`](Self::wait_while), until the token is cancelled at most. The condition
    /// is checked once more then.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled and the condition still held.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait_while_or_cancelled<G: WaitGuard + DerefMut>(
        &self,
        guard: &mut G,
        mut condition: impl FnMut(&mut G::Target) -> bool,
        token: &CancelToken,
    ) -> Result<(), Cancelled> {
        let mut result = Ok(());
        loop {
            if !condition(guard) {
                return Ok(());
            }
            result?;
            result = self.wait_or_cancelled(guard, token);
        }
    }
}

impl<T> OnceLock<T> {
    /// Like [`wait`](Self::wait), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the cell was empty.
    pub fn wait_or_cancelled(&self, token: &CancelToken) -> Result<&T, Cancelled> {
        token.block_on(self.wait_async())
    }
}

impl<T> JoinHandle<T> {
    /// Like [`join`](Self::join), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`], if the token was cancelled while the thread ran; the inner
    /// one is that of [`join`](Self::join).
    pub fn join_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<Result<&T, JoinError>, Cancelled> {
        token.block_on(self.join_async())
    }
}
