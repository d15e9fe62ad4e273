//! Semaphores whose permits return themselves.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_semaphore.rs`. This file is
//! the API: [`Semaphore`], which grows by [`add_permits`](Semaphore::add_permits);
//! [`BoundedSemaphore`], which has a bound and refuses what would exceed it; and the guard of both,
//! written once.
//!
//! Invariant of the guard: it stands for `count` permits that were acquired from its semaphore and
//! that nobody else returns on its behalf. Rust cannot hold anybody to that who also calls
//! `add_permits` or `release`, so a guard that finds no room for its permits returns as many as
//! there is room for, and does not panic while it is dropped.

use core::fmt;
use core::mem;
use core::ops::Deref;
use core::ptr;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::primitive::const_new;
use crate::sealed::Sealed;
use crate::wait::raw_semaphore::{Closed, RawSemaphore, TryAcquireError, debug};

/// A counting semaphore, in four bytes: at most so many at once.
///
/// [`acquire`](Self::acquire) takes a permit and [`acquire_many`](Self::acquire_many) several at
/// once; dropping the [`Permit`] returns them, also in a panic. A request for several waits in line
/// and is not starved by smaller ones: who comes later waits behind it. Requests for one permit may
/// overtake each other, for about a millisecond at most.
///
/// # Examples
///
/// ```
/// use sync_core::Semaphore;
///
/// static SEATS: Semaphore = Semaphore::new(3);
///
/// std::thread::scope(|scope| {
///     for _ in 0..10 {
///         scope.spawn(|| {
///             let _seat = SEATS.acquire().unwrap();
///             // never more than three threads are here
///         });
///     }
/// });
/// assert_eq!(SEATS.available_permits(), 3);
/// ```
///
/// # Memory ordering
///
/// What happened before a permit was returned or added happens before the return of every
/// acquisition that comes after it.
///
/// # Source of the algorithm
///
/// glibc's `sem_t` with a head of the line; state table and invariants stand at the top of
/// `raw_semaphore.rs`.
pub struct Semaphore {
    raw: RawSemaphore,
}

/// A semaphore that never has more permits than it began with: giving one back too many is an
/// error, and changes nothing.
///
/// # Examples
///
/// ```
/// use sync_core::{BoundedSemaphore, OverRelease};
///
/// let doors = BoundedSemaphore::new(2);
/// let inside = doors.acquire().unwrap();
/// drop(inside);
/// assert_eq!(doors.release(1), Err(OverRelease), "everybody is out already");
///
/// // As in Python, without a guard, and released by whom you like:
/// doors.acquire().unwrap().forget();
/// doors.release(1).unwrap();
/// ```
///
/// # Memory ordering
///
/// As for [`Semaphore`].
///
/// # Source of the algorithm
///
/// As for [`Semaphore`], with the bound beside the word; the bound is checked by the
/// compare-and-swap that releases.
pub struct BoundedSemaphore {
    raw: RawSemaphore,
    bound: u32,
}

/// A semaphore whose permits a guard can return. Sealed: [`Semaphore`] and [`BoundedSemaphore`].
pub trait PermitSource: Sealed {
    #[doc(hidden)]
    fn raw(&self) -> &RawSemaphore;
    #[doc(hidden)]
    fn bound(&self) -> u32;
}

impl Sealed for Semaphore {}

impl PermitSource for Semaphore {
    #[inline]
    fn raw(&self) -> &RawSemaphore {
        &self.raw
    }

    #[inline]
    fn bound(&self) -> u32 {
        RawSemaphore::MAX_PERMITS
    }
}

impl Sealed for BoundedSemaphore {}

impl PermitSource for BoundedSemaphore {
    #[inline]
    fn raw(&self) -> &RawSemaphore {
        &self.raw
    }

    #[inline]
    fn bound(&self) -> u32 {
        self.bound
    }
}

/// What both semaphores have: every way in, and the ways to look at them.
macro_rules! acquiring {
    ($semaphore:ty) => {
        impl $semaphore {
            /// Takes a permit; sleeps until there is one.
            ///
            /// # Errors
            ///
            /// [`Closed`] if the semaphore is closed, or becomes so before there is a permit.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn acquire(&self) -> Result<PermitGuard<&Self>, Closed> {
                self.acquire_many(1)
            }

            /// Takes `n` permits at once; sleeps until they are there. It holds nothing while it
            /// waits, and whoever comes later waits behind it. For `n` of 0 it never sleeps.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// If there can never be so many permits.
            #[inline]
            #[track_caller]
            pub fn acquire_many(&self, n: u32) -> Result<PermitGuard<&Self>, Closed> {
                self.check(n);
                self.raw.acquire(n)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// Takes a permit if there is one at this moment and nobody is first in line.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            #[inline]
            pub fn try_acquire(&self) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many(1)
            }

            /// Takes `n` permits if they are there at this moment and nobody is first in line.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            #[inline]
            pub fn try_acquire_many(&self, n: u32) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.raw.try_acquire(n)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// As [`acquire`](Self::acquire), for at most `timeout`. One too long for the clock
            /// means forever.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn try_acquire_for(
                &self,
                timeout: Duration,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many_for(1, timeout)
            }

            /// As [`acquire`](Self::acquire), until `deadline` at most. One in the past still takes
            /// a permit that is there.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn try_acquire_until(
                &self,
                deadline: Instant,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many_until(1, deadline)
            }

            /// As [`acquire_many`](Self::acquire_many), for at most `timeout`. One too long for the
            /// clock means forever.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            ///
            /// # Panics
            ///
            /// As [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn try_acquire_many_for(
                &self,
                n: u32,
                timeout: Duration,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.check(n);
                self.raw.try_acquire_for(n, timeout)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// As [`acquire_many`](Self::acquire_many), until `deadline` at most. One in the past
            /// still takes what is there.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            ///
            /// # Panics
            ///
            /// As [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn try_acquire_many_until(
                &self,
                n: u32,
                deadline: Instant,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.check(n);
                self.raw.try_acquire_until(n, deadline)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// As [`acquire_many`](Self::acquire_many), with a permit that borrows nothing: it
            /// keeps the semaphore alive, and can be sent anywhere.
            ///
            /// # Errors
            ///
            /// As [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// As [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn acquire_arc(self: &Arc<Self>, n: u32) -> Result<PermitGuard<Arc<Self>>, Closed> {
                self.check(n);
                self.raw.acquire(n)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// As [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the
            /// semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            #[inline]
            pub fn try_acquire_arc(
                self: &Arc<Self>,
                n: u32,
            ) -> Result<PermitGuard<Arc<Self>>, TryAcquireError> {
                self.raw.try_acquire(n)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// As [`try_acquire_many_for`](Self::try_acquire_many_for), with a permit that keeps
            /// the semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            ///
            /// # Panics
            ///
            /// As [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn try_acquire_arc_for(
                self: &Arc<Self>,
                n: u32,
                timeout: Duration,
            ) -> Result<PermitGuard<Arc<Self>>, TryAcquireError> {
                self.check(n);
                self.raw.try_acquire_for(n, timeout)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// As [`try_acquire_many_until`](Self::try_acquire_many_until), with a permit that
            /// keeps the semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] says why not.
            ///
            /// # Panics
            ///
            /// As [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn try_acquire_arc_until(
                self: &Arc<Self>,
                n: u32,
                deadline: Instant,
            ) -> Result<PermitGuard<Arc<Self>>, TryAcquireError> {
                self.check(n);
                self.raw.try_acquire_until(n, deadline)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// How many permits there are. A snapshot: it may have changed before the call returns.
            #[inline]
            pub fn available_permits(&self) -> u32 {
                self.raw.available_permits()
            }

            /// Ends every wait, and every acquisition to come, with [`Closed`]. Permits may still
            /// be returned. There is no way back.
            ///
            /// ```
            /// use sync_core::{Closed, Semaphore};
            /// let semaphore = Semaphore::new(0);
            /// std::thread::scope(|scope| {
            ///     scope.spawn(|| semaphore.close());
            ///     assert_eq!(semaphore.acquire().unwrap_err(), Closed);
            /// });
            /// ```
            pub fn close(&self) {
                self.raw.close();
            }

            /// Whether [`close`](Self::close) was called.
            #[inline]
            pub fn is_closed(&self) -> bool {
                self.raw.is_closed()
            }

            #[inline]
            #[track_caller]
            fn check(&self, n: u32) {
                assert!(n <= self.bound(), "more permits than there can ever be");
            }
        }
    };
}

acquiring!(Semaphore);
acquiring!(BoundedSemaphore);

impl Semaphore {
    /// The most permits a semaphore can hold: about 537 million.
    pub const MAX_PERMITS: u32 = RawSemaphore::MAX_PERMITS;

    const_new! {
        /// A semaphore with so many permits.
        ///
        /// # Panics
        ///
        /// If that is more than [`MAX_PERMITS`](Self::MAX_PERMITS). In a constant that is an error
        /// of compilation.
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            Self { raw: RawSemaphore::new(permits) }
        }
    }

    /// Adds `n` permits, also beyond what the semaphore began with. Adding none changes nothing.
    ///
    /// # Panics
    ///
    /// If that would make more than [`MAX_PERMITS`](Self::MAX_PERMITS); none is added then.
    #[inline]
    #[track_caller]
    #[doc(alias = "release")]
    pub fn add_permits(&self, n: u32) {
        if let Err(error) = self.raw.release(n) {
            panic!("{error}");
        }
    }

    /// Makes the semaphore open, with so many permits and nobody waiting: for the child of a
    /// `fork`, where the threads that waited or held permits do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the semaphore, and no permit of it may still be
    /// dropped.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self, permits: u32) {
        // SAFETY: passed on to the caller.
        unsafe { self.raw.reinit_after_fork(permits) }
    }
}

impl BoundedSemaphore {
    const_new! {
        /// A semaphore with so many permits, and never more.
        ///
        /// # Panics
        ///
        /// If that is more than [`Semaphore::MAX_PERMITS`]. In a constant that is an error of
        /// compilation.
        #[track_caller]
        pub const fn new(bound: u32) -> Self {
            Self { raw: RawSemaphore::new(bound), bound }
        }
    }

    /// Returns `n` permits whose guards were [forgotten](PermitGuard::forget); any thread may.
    /// Returning none changes nothing.
    ///
    /// # Errors
    ///
    /// [`OverRelease`] if that would make more permits than there were at first; then none is
    /// returned.
    #[inline]
    pub fn release(&self, n: u32) -> Result<(), OverRelease> {
        self.raw.release_within(n, self.bound).map_err(|_| OverRelease)
    }

    /// How many permits there were at first.
    #[inline]
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// Makes the semaphore open, with all its permits and nobody waiting: for the child of a
    /// `fork`.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the semaphore, and no permit of it may still be
    /// dropped.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.raw.reinit_after_fork(self.bound) }
    }
}

impl Default for Semaphore {
    /// One permit, as in Python.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Default for BoundedSemaphore {
    /// One permit, as in Python.
    fn default() -> Self {
        Self::new(1)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "Semaphore", &self.raw, None)
    }
}

impl fmt::Debug for BoundedSemaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug(f, "BoundedSemaphore", &self.raw, Some(self.bound))
    }
}

/// Permits of a semaphore; dropping them returns them. Spelled [`Permit`], [`BoundedPermit`] or
/// [`ArcPermit`].
///
/// It may be sent to another thread and dropped there.
#[must_use = "the permits are returned as soon as this is dropped"]
pub struct PermitGuard<P: Deref<Target: PermitSource>> {
    semaphore: P,
    count: u32,
}

/// Permits of a [`Semaphore`].
pub type Permit<'a> = PermitGuard<&'a Semaphore>;

/// Permits of a [`BoundedSemaphore`].
pub type BoundedPermit<'a> = PermitGuard<&'a BoundedSemaphore>;

/// Permits of a semaphore in an [`Arc`], which they keep alive.
pub type ArcPermit<S = Semaphore> = PermitGuard<Arc<S>>;

impl<P: Deref<Target: PermitSource>> PermitGuard<P> {
    /// How many permits this is.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The semaphore these permits are of.
    #[inline]
    pub fn semaphore(&self) -> &P::Target {
        &self.semaphore
    }

    /// Does not return the permits: the semaphore has so many fewer from now on, until somebody
    /// adds them or releases them by number.
    #[inline]
    pub fn forget(mut self) {
        // Not `mem::forget`: an `Arc` is to be given up.
        self.count = 0;
    }

    /// Takes the permits of `other` to these.
    ///
    /// # Panics
    ///
    /// If `other` is of another semaphore. Both guards return their permits as they unwind.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            ptr::eq::<P::Target>(&*self.semaphore, &*other.semaphore),
            "the permits are of two semaphores"
        );
        // No overflow: together they are at most what the semaphore holds, unless permits were
        // added beyond what was taken.
        self.count = self.count.saturating_add(mem::take(&mut other.count));
    }

    /// Splits `n` permits off, or `None` if there are not so many; then nothing changes.
    ///
    /// ```
    /// let semaphore = sync_core::Semaphore::new(3);
    /// let mut three = semaphore.acquire_many(3).unwrap();
    /// let one = three.split(1).unwrap();
    /// drop(three);
    /// assert_eq!((semaphore.available_permits(), one.count()), (2, 1));
    /// ```
    pub fn split(&mut self, n: u32) -> Option<Self>
    where
        P: Clone,
    {
        self.count = self.count.checked_sub(n)?;
        Some(Self { semaphore: self.semaphore.clone(), count: n })
    }
}

impl<P: Deref<Target: PermitSource>> Drop for PermitGuard<P> {
    #[inline]
    fn drop(&mut self) {
        self.semaphore.raw().release_clamped(self.count, self.semaphore.bound());
    }
}

impl<P: Deref<Target: PermitSource>> fmt::Debug for PermitGuard<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("count", &self.count).finish()
    }
}

/// More permits were to be returned than the bound allows; none was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease;

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore was released more often than it was acquired")
    }
}

impl core::error::Error for OverRelease {}
