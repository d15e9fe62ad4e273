//! Semaphores whose permits are returned by guards.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_semaphore.rs`. This file is
//! the API: [`Semaphore`], which grows by [`add_permits`](Semaphore::add_permits);
//! [`BoundedSemaphore`], which has a bound and refuses a release that would exceed it; and the
//! guard of both, written once.
//!
//! Invariant of the guard: it represents `count` permits that were acquired from its semaphore and
//! that no other code returns on its behalf. Rust cannot enforce this for code that also calls
//! `add_permits` or `release`. So a guard that observes too little room for its permits returns as
//! many as there is room for, and does not panic while it is dropped.

use core::fmt;
use core::mem;
use core::ops::Deref;
use core::ptr;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::primitive::const_new;
use crate::sealed::Sealed;
use crate::wait::raw_semaphore::{Closed, RawSemaphore, TooManyPermits, TryAcquireError, debug};

/// A counting semaphore of four bytes: it limits the number of threads that do something at the
/// same time.
///
/// [`acquire`](Self::acquire) takes a permit and [`acquire_many`](Self::acquire_many) several at
/// once; dropping the [`Permit`] returns them, also in a panic. A request for several permits waits
/// in line and is not starved by smaller requests: later requests wait behind it. Requests for one
/// permit may overtake each other, for about a millisecond at most.
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
/// Everything that happened before a permit was returned or added happens before the return of
/// every acquisition that comes after it.
///
/// # Source of the algorithm
///
/// glibc's `sem_t` with a head of the line; the state table and the invariants are at the top of
/// `raw_semaphore.rs`.
pub struct Semaphore {
    raw: RawSemaphore,
}

/// A semaphore that never has more permits than at first: a release of one permit too many is an
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
/// assert_eq!(doors.release(1), Err(OverRelease), "all permits are returned already");
///
/// // As in Python, without a guard, and released by any thread:
/// doors.acquire().unwrap().forget();
/// doors.release(1).unwrap();
/// ```
///
/// # Memory ordering
///
/// The same as for [`Semaphore`].
///
/// # Source of the algorithm
///
/// The algorithm of [`Semaphore`], with the bound next to the word. The compare-and-swap that
/// releases checks the bound.
pub struct BoundedSemaphore {
    raw: RawSemaphore,
    bound: u32,
}

/// A semaphore whose permits a guard can return. Sealed: only [`Semaphore`] and
/// [`BoundedSemaphore`] implement it.
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

/// Writes the methods of both semaphores: every acquisition, and the queries.
macro_rules! acquiring {
    ($semaphore:ty) => {
        impl $semaphore {
            /// Takes a permit; sleeps until one is available.
            ///
            /// # Errors
            ///
            /// [`Closed`] if the semaphore is closed, or is closed before a permit is available.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn acquire(&self) -> Result<PermitGuard<&Self>, Closed> {
                self.acquire_many(1)
            }

            /// Takes `n` permits at once; sleeps until they are available. The thread holds no
            /// permit while it waits, and later requests wait behind it. For `n` of 0 it never
            /// sleeps.
            ///
            /// # Errors
            ///
            /// Like [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// If there can never be `n` permits.
            #[inline]
            #[track_caller]
            pub fn acquire_many(&self, n: u32) -> Result<PermitGuard<&Self>, Closed> {
                self.check(n);
                self.raw.acquire(n)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// Takes a permit if one is available at this moment and no request is the head of the
            /// line.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            #[inline]
            pub fn try_acquire(&self) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many(1)
            }

            /// Takes `n` permits if they are available at this moment and no request is the head of
            /// the line.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            #[inline]
            pub fn try_acquire_many(&self, n: u32) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.raw.try_acquire(n)?;
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// Like [`acquire`](Self::acquire), for at most `timeout`. A timeout too long for the
            /// clock means forever.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn try_acquire_for(
                &self,
                timeout: Duration,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many_for(1, timeout)
            }

            /// Like [`acquire`](Self::acquire), until `deadline` at most. A deadline in the past
            /// still takes a permit that is available.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            pub fn try_acquire_until(
                &self,
                deadline: Instant,
            ) -> Result<PermitGuard<&Self>, TryAcquireError> {
                self.try_acquire_many_until(1, deadline)
            }

            /// Like [`acquire_many`](Self::acquire_many), for at most `timeout`. A timeout too long
            /// for the clock means forever.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
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

            /// Like [`acquire_many`](Self::acquire_many), until `deadline` at most. A deadline in
            /// the past still takes permits that are available.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
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

            /// Like [`acquire_many`](Self::acquire_many), with a permit that borrows nothing: it
            /// keeps the semaphore alive, and can be sent to any thread.
            ///
            /// # Errors
            ///
            /// Like [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
            #[inline]
            #[track_caller]
            pub fn acquire_arc(self: &Arc<Self>, n: u32) -> Result<PermitGuard<Arc<Self>>, Closed> {
                self.check(n);
                self.raw.acquire(n)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// Like [`try_acquire_many`](Self::try_acquire_many), with a permit that keeps the
            /// semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            #[inline]
            pub fn try_acquire_arc(
                self: &Arc<Self>,
                n: u32,
            ) -> Result<PermitGuard<Arc<Self>>, TryAcquireError> {
                self.raw.try_acquire(n)?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// Like [`try_acquire_many_for`](Self::try_acquire_many_for), with a permit that keeps
            /// the semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
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

            /// Like [`try_acquire_many_until`](Self::try_acquire_many_until), with a permit that
            /// keeps the semaphore alive.
            ///
            /// # Errors
            ///
            /// [`TryAcquireError`] with the reason.
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
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

            /// Takes a permit, as a task. Threads and tasks wait in one line, and the permit may be
            /// held across an `await`.
            ///
            /// Cancel-safe: a wait that is dropped takes no permit, and leaves the line. What a
            /// wait that is kept and not polled holds up, and which threads must not block on the
            /// semaphore, is in the documentation of [`task`](crate::task).
            ///
            /// # Errors
            ///
            /// Like [`acquire`](Self::acquire).
            ///
            /// ```
            #[doc = concat!("use sync_core::{", stringify!($semaphore), ", task::block_on};")]
            ///
            #[doc = concat!("let seats = ", stringify!($semaphore), "::new(1);")]
            /// block_on(async {
            ///     let permit = seats.acquire_async().await.expect("it is open");
            ///     assert_eq!(seats.available_permits(), 0);
            ///     drop(permit);
            /// });
            /// ```
            #[inline]
            pub fn acquire_async(
                &self,
            ) -> impl Future<Output = Result<PermitGuard<&Self>, Closed>> {
                self.acquire_many_async(1)
            }

            /// Like [`acquire_many`](Self::acquire_many), as a task. Cancel-safe, like
            /// [`acquire_async`](Self::acquire_async).
            ///
            /// # Errors
            ///
            /// Like [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
            #[inline]
            pub async fn acquire_many_async(&self, n: u32) -> Result<PermitGuard<&Self>, Closed> {
                self.check(n);
                if !self.raw.try_fast(n) {
                    self.raw.acquire_async(n).await?;
                }
                Ok(PermitGuard { semaphore: self, count: n })
            }

            /// Like [`acquire_many_async`](Self::acquire_many_async), with a permit that borrows
            /// nothing.
            ///
            /// # Errors
            ///
            /// Like [`acquire`](Self::acquire).
            ///
            /// # Panics
            ///
            /// Like [`acquire_many`](Self::acquire_many).
            #[inline]
            pub async fn acquire_arc_async(
                self: &Arc<Self>,
                n: u32,
            ) -> Result<PermitGuard<Arc<Self>>, Closed> {
                self.check(n);
                self.raw.acquire_async(n).await?;
                Ok(PermitGuard { semaphore: Arc::clone(self), count: n })
            }

            /// Returns the number of permits. A snapshot: it may have changed before the call
            /// returns.
            #[inline]
            pub fn available_permits(&self) -> u32 {
                self.raw.available_permits()
            }

            /// Ends every wait, and every later acquisition, with [`Closed`]. Permits may still be
            /// returned. A closed semaphore stays closed.
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

            /// Returns whether [`close`](Self::close) was called.
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
    /// The highest number of permits that a semaphore can hold: about 537 million.
    pub const MAX_PERMITS: u32 = RawSemaphore::MAX_PERMITS;

    const_new! {
        /// Creates a semaphore with `permits` permits.
        ///
        /// # Panics
        ///
        /// If `permits` is more than [`MAX_PERMITS`](Self::MAX_PERMITS). In a constant this is a
        /// compile error.
        #[track_caller]
        pub const fn new(permits: u32) -> Self {
            Self { raw: RawSemaphore::new(permits) }
        }
    }

    /// Adds `n` permits, also beyond the number at first. To add 0 permits changes nothing.
    ///
    /// # Panics
    ///
    /// If there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS); none is added then.
    #[inline]
    #[track_caller]
    #[doc(alias = "release")]
    pub fn add_permits(&self, n: u32) {
        if let Err(error) = self.raw.release(n) {
            panic!("{error}");
        }
    }

    /// Like [`add_permits`](Self::add_permits), with an error instead of a panic.
    ///
    /// # Errors
    ///
    /// [`TooManyPermits`] if there would be more than [`MAX_PERMITS`](Self::MAX_PERMITS); none is
    /// added then.
    #[inline]
    pub fn try_add_permits(&self, n: u32) -> Result<(), TooManyPermits> {
        self.raw.release(n)
    }

    /// Adds as many of `n` permits as there is room for below `limit`, in one step, and returns
    /// their number: a source of permits that does not save up more than `limit`.
    ///
    /// ```
    /// let tokens = sync_core::Semaphore::new(1);
    /// assert_eq!(tokens.add_permits_up_to(5, 3), 2);
    /// assert_eq!(tokens.add_permits_up_to(5, 3), 0);
    /// ```
    #[inline]
    pub fn add_permits_up_to(&self, n: u32, limit: u32) -> u32 {
        self.raw.release_clamped(n, limit.min(Self::MAX_PERMITS))
    }

    /// Makes the semaphore open, with `permits` permits and no waiters: for the child of a `fork`,
    /// where the threads that waited or held permits do not exist any more.
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
        /// Creates a semaphore with `bound` permits, and never more.
        ///
        /// # Panics
        ///
        /// If `bound` is more than [`Semaphore::MAX_PERMITS`]. In a constant this is a compile
        /// error.
        #[track_caller]
        pub const fn new(bound: u32) -> Self {
            Self { raw: RawSemaphore::new(bound), bound }
        }
    }

    /// Returns `n` permits whose guards were [forgotten](PermitGuard::forget); any thread may call
    /// it. To return 0 permits changes nothing.
    ///
    /// # Errors
    ///
    /// [`OverRelease`] if there would be more permits than at first; then none is returned.
    #[inline]
    pub fn release(&self, n: u32) -> Result<(), OverRelease> {
        self.raw.release_within(n, self.bound).map_err(|_| OverRelease)
    }

    /// Returns the number of permits at first.
    #[inline]
    pub fn bound(&self) -> u32 {
        self.bound
    }

    /// Makes the semaphore open, with all its permits and no waiters: for the child of a `fork`.
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
    /// Creates a semaphore with one permit, as in Python.
    fn default() -> Self {
        Self::new(1)
    }
}

impl Default for BoundedSemaphore {
    /// Creates a semaphore with one permit, as in Python.
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

/// Permits of a semaphore; dropping the guard returns them. Its aliases are [`Permit`],
/// [`BoundedPermit`] and [`ArcPermit`].
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
    /// Returns the number of permits of this guard.
    #[inline]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the semaphore of these permits.
    #[inline]
    pub fn semaphore(&self) -> &P::Target {
        &self.semaphore
    }

    /// Drops the guard and does not return its permits: the semaphore has fewer permits from now
    /// on, until they are added or released by number.
    #[inline]
    pub fn forget(mut self) {
        // Not `mem::forget`: an `Arc` must be dropped.
        self.count = 0;
    }

    /// Moves the permits of `other` into this guard.
    ///
    /// # Panics
    ///
    /// If `other` belongs to another semaphore. Both guards return their permits during the
    /// unwinding.
    #[track_caller]
    pub fn merge(&mut self, mut other: Self) {
        assert!(
            ptr::eq::<P::Target>(&*self.semaphore, &*other.semaphore),
            "the permits are of two semaphores"
        );
        // No overflow: together they are at most the permits of the semaphore, unless permits were
        // added beyond those that were taken.
        self.count = self.count.saturating_add(mem::take(&mut other.count));
    }

    /// Splits `n` permits off. Returns `None` if this guard has fewer; then nothing changes.
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

/// The error of a return of more permits than the bound allows; none was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverRelease;

impl fmt::Display for OverRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore was released more often than it was acquired")
    }
}

impl core::error::Error for OverRelease {}
