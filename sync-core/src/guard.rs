//! The guards of every exclusive lock of the crate, written once over [`RawLock`].
//!
//! Invariants, cited by the SAFETY comments here:
//!
//! 1. A guard exists only while its lock is held on its behalf: `new` is unsafe and asks for that,
//!    `drop` ends it, and what releases the lock in between ([`MutexGuard::unlocked`],
//!    [`Condvar`](crate::Condvar)) holds the guard mutably borrowed until it has it again.
//! 2. A mapped guard's pointer came from the reference that a mapped guard's predecessor would have
//!    given out; it points into the data of the lock, which outlives the guard.
//!
//! Guards are not `Send`: a lock that its own thread does not release is the raw lock's business.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use std::sync::Arc;

use crate::mutex::Mutex;
use crate::raw::{RawLock, WaitGuard, sealed::Sealed};
use crate::raw_mutex::RawMutex;
use crate::watched::Watched;

/// Not `Send`, whatever else.
type NotSend = PhantomData<*const ()>;

/// The right to the data of a [`Mutex`]; dropping it releases the lock.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized, R: RawLock = RawMutex> {
    mutex: &'a Mutex<T, R>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync, R: RawLock + Sync> Sync for MutexGuard<'_, T, R> {}

impl<'a, T: ?Sized, R: RawLock> MutexGuard<'a, T, R> {
    /// # Safety
    ///
    /// The lock is held, and no other guard stands for it (invariant 1).
    #[inline]
    pub(crate) unsafe fn new(mutex: &'a Mutex<T, R>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    /// A guard over a part of the data.
    ///
    /// An associated function, as the others here, so that it hides no method of the data.
    ///
    /// ```
    /// use sync_core::{Mutex, MutexGuard};
    /// let pair = Mutex::new((1, 2));
    /// let mut second = MutexGuard::map(pair.lock(), |pair| &mut pair.1);
    /// *second += 1;
    /// drop(second);
    /// assert_eq!(pair.into_inner(), (1, 3));
    /// ```
    #[inline]
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, R> {
        let data = NonNull::from(part(&mut *this));
        MappedMutexGuard::take_over(this, |this| &this.mutex.raw, data)
    }

    /// A guard over a part of the data, if there is such a part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `part` returned `None`.
    #[inline]
    pub fn try_map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U, R>, Self> {
        match part(&mut *this).map(NonNull::from) {
            Some(data) => Ok(MappedMutexGuard::take_over(this, |this| &this.mutex.raw, data)),
            None => Err(this),
        }
    }

    /// Calls `f` with the lock released, and takes it again before it returns or unwinds.
    #[inline]
    pub fn unlocked<U>(this: &mut Self, f: impl FnOnce() -> U) -> U {
        struct Relock<'a, R: RawLock>(&'a Watched<R>);
        impl<R: RawLock> Drop for Relock<'_, R> {
            fn drop(&mut self) {
                self.0.lock_again();
            }
        }
        this.mutex.raw.release();
        let _relock = Relock(&this.mutex.raw);
        f()
    }

    /// Releases the lock; if somebody waits for it, no newcomer gets it before a waiter.
    #[inline]
    pub fn unlock_fair(this: Self) {
        let mutex = this.mutex;
        mem::forget(this);
        mutex.raw.release_fair();
    }

    /// Lets a waiter in, if there is one, and takes the lock again; almost free if there is none.
    ///
    /// For a long computation under a lock, at the points where others may see the data.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn bump(this: &mut Self) {
        this.mutex.raw.let_others_in(R::bump);
    }

    /// The mutex of this guard.
    #[inline]
    pub fn mutex(this: &Self) -> &'a Mutex<T, R> {
        this.mutex
    }
}

impl<T: ?Sized, R: RawLock> Deref for MutexGuard<'_, T, R> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1.
        self.mutex.data.with(|data| unsafe { &*data })
    }
}

impl<T: ?Sized, R: RawLock> DerefMut for MutexGuard<'_, T, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1.
        self.mutex.data.with_mut(|data| unsafe { &mut *data })
    }
}

impl<T: ?Sized, R: RawLock> Drop for MutexGuard<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.release();
    }
}

/// The right to a part of the data of a [`Mutex`], from [`MutexGuard::map`]; dropping it releases
/// the lock.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized, R: RawLock = RawMutex> {
    raw: &'a Watched<R>,
    data: NonNull<T>,
    /// Invariant in `T`, like the `&mut T` that this stands for.
    part: PhantomData<&'a mut T>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` only.
unsafe impl<T: ?Sized + Sync, R: RawLock + Sync> Sync for MappedMutexGuard<'_, T, R> {}

impl<'a, T: ?Sized, R: RawLock> MappedMutexGuard<'a, T, R> {
    /// Makes a guard out of one that is forgotten: the lock stays held.
    #[inline]
    fn take_over<G>(from: G, raw: impl FnOnce(&G) -> &'a Watched<R>, data: NonNull<T>) -> Self {
        let raw = raw(&from);
        mem::forget(from);
        Self { raw, data, part: PhantomData, not_send: PhantomData }
    }

    /// A guard over a part of the part.
    #[inline]
    pub fn map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> &mut U,
    ) -> MappedMutexGuard<'a, U, R> {
        let data = NonNull::from(part(&mut *this));
        MappedMutexGuard::take_over(this, |this| this.raw, data)
    }

    /// A guard over a part of the part, if there is such a part.
    ///
    /// # Errors
    ///
    /// The guard itself, if `part` returned `None`.
    #[inline]
    pub fn try_map<U: ?Sized>(
        mut this: Self,
        part: impl FnOnce(&mut T) -> Option<&mut U>,
    ) -> Result<MappedMutexGuard<'a, U, R>, Self> {
        match part(&mut *this).map(NonNull::from) {
            Some(data) => Ok(MappedMutexGuard::take_over(this, |this| this.raw, data)),
            None => Err(this),
        }
    }

    /// Releases the lock; if somebody waits for it, no newcomer gets it before a waiter.
    #[inline]
    pub fn unlock_fair(this: Self) {
        let raw = this.raw;
        mem::forget(this);
        raw.release_fair();
    }
}

impl<T: ?Sized, R: RawLock> Deref for MappedMutexGuard<'_, T, R> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariants 1 and 2.
        unsafe { self.data.as_ref() }
    }
}

impl<T: ?Sized, R: RawLock> DerefMut for MappedMutexGuard<'_, T, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariants 1 and 2.
        unsafe { self.data.as_mut() }
    }
}

impl<T: ?Sized, R: RawLock> Drop for MappedMutexGuard<'_, T, R> {
    #[inline]
    fn drop(&mut self) {
        self.raw.release();
    }
}

/// The right to the data of a [`Mutex`] in an [`Arc`], which it keeps alive; from
/// [`Mutex::lock_arc`].
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct ArcMutexGuard<T: ?Sized, R: RawLock = RawMutex> {
    mutex: Arc<Mutex<T, R>>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` and `&Arc` only; the mutex may then be sent and shared,
// hence both bounds.
unsafe impl<T: ?Sized + Send + Sync, R: RawLock + Send + Sync> Sync for ArcMutexGuard<T, R> {}

impl<T: ?Sized, R: RawLock> ArcMutexGuard<T, R> {
    /// # Safety
    ///
    /// As [`MutexGuard::new`].
    #[inline]
    pub(crate) unsafe fn new(mutex: Arc<Mutex<T, R>>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    /// The mutex of this guard.
    #[inline]
    pub fn mutex(this: &Self) -> &Arc<Mutex<T, R>> {
        &this.mutex
    }
}

impl<T: ?Sized, R: RawLock> Deref for ArcMutexGuard<T, R> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1.
        self.mutex.data.with(|data| unsafe { &*data })
    }
}

impl<T: ?Sized, R: RawLock> DerefMut for ArcMutexGuard<T, R> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1.
        self.mutex.data.with_mut(|data| unsafe { &mut *data })
    }
}

impl<T: ?Sized, R: RawLock> Drop for ArcMutexGuard<T, R> {
    #[inline]
    fn drop(&mut self) {
        self.mutex.raw.release();
    }
}

/// What all guards show: the data.
macro_rules! show_the_data {
    ($($guard:ty),*) => {$(
        impl<T: ?Sized + fmt::Debug, R: RawLock> fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<T: ?Sized + fmt::Display, R: RawLock> fmt::Display for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    )*};
}

show_the_data!(MutexGuard<'_, T, R>, MappedMutexGuard<'_, T, R>, ArcMutexGuard<T, R>);

/// How a condition variable lets go of a lock that is held once.
macro_rules! wait_once_held {
    ($($guard:ty, $this:ident => $raw:expr);*) => {$(
        impl<T: ?Sized, R: RawLock> Sealed for $guard {}

        impl<T: ?Sized, R: RawLock> WaitGuard for $guard {
            #[inline]
            fn release_all(&mut self) -> u32 {
                let $this = self;
                $raw.release();
                1
            }

            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            fn reacquire(&mut self, _: u32) {
                let $this = self;
                $raw.lock_again();
            }
        }
    )*};
}

wait_once_held!(
    MutexGuard<'_, T, R>, this => this.mutex.raw;
    MappedMutexGuard<'_, T, R>, this => this.raw;
    ArcMutexGuard<T, R>, this => this.mutex.raw
);
