//! The blocking calls that a token can end. Each is the wait of its primitive, as steps, next to
//! the wait for the token.

use core::mem;
use core::ops::DerefMut;
use std::sync::Arc;

use super::token::{CancelToken, Cancelled};
use crate::lock::fair_mutex::{ArcFairMutexGuard, FairMutex, FairMutexGuard};
use crate::lock::mutex::{ArcMutexGuard, Mutex, MutexGuard};
use crate::lock::raw_fair_mutex::RawFairMutex;
use crate::lock::raw_lock::WaitGuard;
use crate::lock::raw_mutex::{NotLocked, RawMutex};
use crate::lock::raw_reentrant_mutex::RawReentrantMutex;
use crate::lock::raw_rwlock::RawRwLock;
use crate::lock::reentrant_mutex::{ArcReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};
use crate::lock::rwlock::{
    ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard, ArcRwLockWriteGuard, RwLock, RwLockReadGuard,
    RwLockUpgradableReadGuard, RwLockWriteGuard,
};
use crate::primitive::steps::Waiting;
use crate::task::block_on_timeout;
use crate::thread::{Group, JoinError, JoinHandle, Scope};
use crate::wait::auto_reset_event::AutoResetEvent;
use crate::wait::barrier::{Action, Barrier, BarrierWaitResult, BrokenBarrier};
use crate::wait::condvar::Condvar;
use crate::wait::event::Event;
use crate::wait::latch::Latch;
use crate::wait::parker::Parker;
use crate::wait::rate_limiter::RateLimiter;
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

    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled), with a guard that keeps the mutex
    /// alive.
    ///
    /// # Errors
    ///
    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled).
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_arc_or_cancelled(
        self: &Arc<Self>,
        token: &CancelToken,
    ) -> Result<ArcMutexGuard<T>, Cancelled> {
        mem::forget(self.lock_or_cancelled(token)?);
        // SAFETY: the lock was acquired, and the guard of that was forgotten.
        Ok(unsafe { ArcMutexGuard::new(Arc::clone(self)) })
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

    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled), with a guard that keeps the mutex
    /// alive.
    ///
    /// # Errors
    ///
    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled).
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_arc_or_cancelled(
        self: &Arc<Self>,
        token: &CancelToken,
    ) -> Result<ArcFairMutexGuard<T>, Cancelled> {
        mem::forget(self.lock_or_cancelled(token)?);
        // SAFETY: the lock was acquired, and the guard of that was forgotten.
        Ok(unsafe { ArcFairMutexGuard::new(Arc::clone(self)) })
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

    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled), with a guard that keeps the mutex
    /// alive.
    ///
    /// # Errors
    ///
    /// Like [`lock_or_cancelled`](Self::lock_or_cancelled).
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_arc_or_cancelled(
        self: &Arc<Self>,
        token: &CancelToken,
    ) -> Result<ArcReentrantMutexGuard<T>, Cancelled> {
        mem::forget(self.lock_or_cancelled(token)?);
        // SAFETY: the lock was acquired, and the guard of that was forgotten.
        Ok(unsafe { ArcReentrantMutexGuard::new(Arc::clone(self)) })
    }
}

impl RawReentrantMutex {
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
    pub fn lock_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        let taken = self.lock_by(|raw| token.block_on(Waiting::new(raw.acquiring())).is_ok());
        if taken { Ok(()) } else { Err(Cancelled) }
    }
}

/// Writes the forms of a readers-writer lock.
macro_rules! rwlock {
    (
        $take:ident, $take_arc:ident, $try:ident, $steps:ident, $Guard:ident, $Arc:ident,
        $like:literal
    ) => {
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

            #[doc = concat!("Like [`", stringify!($take), "`](Self::", stringify!($take), "),")]
            /// with a guard that keeps the lock alive.
            ///
            /// # Errors
            ///
            #[doc = concat!("Like [`", stringify!($take), "`](Self::", stringify!($take), ").")]
            #[track_caller]
            pub fn $take_arc(self: &Arc<Self>, token: &CancelToken) -> Result<$Arc<T>, Cancelled> {
                mem::forget(self.$take(token)?);
                // SAFETY: the lock was acquired in its mode, and the guard of that was forgotten.
                Ok(unsafe { $Arc::new(Arc::clone(self)) })
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

rwlock!(
    read_or_cancelled,
    read_arc_or_cancelled,
    try_read,
    reading,
    RwLockReadGuard,
    ArcRwLockReadGuard,
    "read"
);
rwlock!(
    write_or_cancelled,
    write_arc_or_cancelled,
    try_write,
    writing,
    RwLockWriteGuard,
    ArcRwLockWriteGuard,
    "write"
);
rwlock!(
    upgradable_read_or_cancelled,
    upgradable_read_arc_or_cancelled,
    try_upgradable_read,
    upgradable_reading,
    RwLockUpgradableReadGuard,
    ArcRwLockUpgradableReadGuard,
    "upgradable_read"
);

impl<T: ?Sized> RwLock<T> {
    /// Like [`read_recursive`](Self::read_recursive), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while a writer held the lock, or waited for it and
    /// no thread read.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn read_recursive_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<RwLockReadGuard<'_, T>, Cancelled> {
        if !self.raw.read_beside_readers() {
            return self.read_or_cancelled(token);
        }
        // SAFETY: the lock was acquired for reading.
        Ok(unsafe { RwLockReadGuard::new(self) })
    }

    /// Like [`read_arc_recursive`](Self::read_arc_recursive), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// Like [`read_recursive_or_cancelled`](Self::read_recursive_or_cancelled).
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn read_arc_recursive_or_cancelled(
        self: &Arc<Self>,
        token: &CancelToken,
    ) -> Result<ArcRwLockReadGuard<T>, Cancelled> {
        mem::forget(self.read_recursive_or_cancelled(token)?);
        // SAFETY: the lock was acquired for reading, and the guard of that was forgotten.
        Ok(unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) })
    }
}

impl RawRwLock {
    /// Like [`read_recursive`](Self::read_recursive), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the lock could not be taken.
    ///
    /// # Panics
    ///
    /// Like [`read_recursive`](Self::read_recursive).
    #[track_caller]
    pub fn read_recursive_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        if self.read_beside_readers() { Ok(()) } else { self.read_or_cancelled(token) }
    }

    /// Like [`upgrade`](Self::upgrade), until the token is cancelled at most: then the upgradable
    /// reader is what it was.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`]; the inner one is that of [`upgrade`](Self::upgrade).
    pub fn upgrade_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<Result<(), NotLocked>, Cancelled> {
        token.block_on(Waiting::new(self.upgrading())).map(|upgraded| upgraded.map(|_| ()))
    }
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    /// Like [`upgrade`](Self::upgrade), until the token is cancelled at most.
    ///
    /// ```
    /// use sync_core::{CancelToken, RwLock, RwLockUpgradableReadGuard};
    ///
    /// let (stop, lock) = (CancelToken::new(), RwLock::new(1));
    /// let reader = lock.read();
    /// stop.cancel();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(|| {
    ///         let guard = lock.upgradable_read();
    ///         // Another thread reads still, so there is something to wait for.
    ///         let guard = RwLockUpgradableReadGuard::upgrade_or_cancelled(guard, &stop);
    ///         assert_eq!(*guard.unwrap_err(), 1);
    ///     });
    /// });
    /// assert_eq!(*reader, 1);
    /// ```
    ///
    /// # Errors
    ///
    /// The guard itself, if the token was cancelled while there were other readers.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn upgrade_or_cancelled(
        this: Self,
        token: &CancelToken,
    ) -> Result<RwLockWriteGuard<'a, T>, Self> {
        let lock = Self::rwlock(&this);
        if !lock.raw.upgrade_by(|raw| raw.upgrade_or_cancelled(token) == Ok(Ok(()))) {
            return Err(this);
        }
        mem::forget(this);
        // SAFETY: held for writing now, on behalf of the guard that was forgotten.
        Ok(unsafe { RwLockWriteGuard::new(lock) })
    }

    /// Like [`with_upgraded`](Self::with_upgraded), until the token is cancelled at most: then `f`
    /// is not called.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while there were other readers.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn with_upgraded_or_cancelled<R>(
        this: &mut Self,
        token: &CancelToken,
        f: impl FnOnce(&mut T) -> R,
    ) -> Result<R, Cancelled> {
        let raw = &Self::rwlock(this).raw;
        if !raw.upgrade_by(|raw| raw.upgrade_or_cancelled(token) == Ok(Ok(()))) {
            return Err(Cancelled);
        }
        Ok(Self::upgraded_for(this, f))
    }
}

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

impl Latch {
    /// Like [`count_down_and_wait`](Self::count_down_and_wait), until the token is cancelled at
    /// most. The count is down in both cases.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the count was not zero.
    ///
    /// # Panics
    ///
    /// Like [`count_down`](Self::count_down).
    #[track_caller]
    pub fn count_down_and_wait_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        self.count_down(1);
        self.wait_or_cancelled(token)
    }
}

impl Parker {
    /// Like [`park`](Self::park), until the token is cancelled at most.
    ///
    /// ```
    /// use sync_core::{CancelToken, Cancelled, Parker};
    ///
    /// let (stop, parker) = (CancelToken::new(), Parker::new());
    /// stop.cancel();
    /// assert_eq!(parker.park_or_cancelled(&stop), Err(Cancelled));
    /// parker.unparker().unpark();
    /// assert_eq!(parker.park_or_cancelled(&stop), Ok(()), "the parker's token is there");
    /// ```
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the `CancelToken` was cancelled while the parker had no token.
    pub fn park_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        token.block_on(Waiting::new(self.parking()))
    }
}

impl RateLimiter {
    /// Like [`acquire`](Self::acquire), until the `CancelToken` is cancelled at most.
    ///
    /// # Errors
    ///
    /// Like [`acquire_many_or_cancelled`](Self::acquire_many_or_cancelled).
    pub fn acquire_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<Result<(), Closed>, Cancelled> {
        self.acquire_many_or_cancelled(1, token)
    }

    /// Like [`acquire_many`](Self::acquire_many), until the `CancelToken` is cancelled at most.
    /// Then the tokens go back into the bucket, if no later request has reserved any since;
    /// otherwise they are used up, and no other request is delayed by that.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`], if that came before the tokens were due; the inner one is
    /// [`Closed`].
    ///
    /// # Panics
    ///
    /// Like [`acquire_many`](Self::acquire_many).
    #[track_caller]
    pub fn acquire_many_or_cancelled(
        &self,
        n: u32,
        token: &CancelToken,
    ) -> Result<Result<(), Closed>, Cancelled> {
        let sleep = |closed: &Event, time| {
            let closes = token.until_cancelled(closed.wait_async());
            match block_on_timeout(closes, time) {
                // The time is up.
                None => Some(false),
                Some(Ok(())) => Some(true),
                Some(Err(Cancelled)) => None,
            }
        };
        self.acquire_by(n, sleep).ok_or(Cancelled)
    }
}

impl Group {
    /// Like [`join`](Self::join), until the token is cancelled at most.
    ///
    /// The callbacks are called in any case, before the wait, and only once.
    ///
    /// # Errors
    ///
    /// The group, if the token was cancelled while members ran. Its drop joins them.
    ///
    /// # Panics
    ///
    /// Like [`join`](Self::join).
    pub fn join_or_cancelled(self, token: &CancelToken) -> Result<(), Self> {
        if self.join_by(|finished| finished.wait_or_cancelled(token).is_ok()) {
            Ok(())
        } else {
            Err(self)
        }
    }
}

impl Scope<'_, '_> {
    /// Like [`join_timeout`](Self::join_timeout), until the token is cancelled.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while threads of the scope ran. The end of the
    /// scope waits for them.
    pub fn join_or_cancelled(&self, token: &CancelToken) -> Result<(), Cancelled> {
        if self.join_by(|finished| finished.wait_or_cancelled(token).is_ok()) {
            Ok(())
        } else {
            Err(Cancelled)
        }
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
