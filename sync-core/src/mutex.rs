//! Mutual exclusion over data.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_mutex.rs`; the guards,
//! written once for every exclusive lock of the crate, are in `guard.rs`. This file is the API: the
//! names and signatures are those of `std` and `parking_lot`.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::guard::{ArcMutexGuard, MutexGuard};
use crate::primitive::{cell::UnsafeCell, const_new};
use crate::raw::RawLock;
use crate::raw_mutex::RawMutex;
use crate::watch::LockKind;
use crate::watched::Watched;

/// A mutual exclusion lock over data, in four bytes beside the data.
///
/// It does not poison: a panic while the guard is held releases it, and the next holder finds the
/// data as the panic left it. It is unfair in the small, so that it is fast, and fair in the large:
/// a thread that has waited for a millisecond is the next one, whoever else comes.
///
/// Python's `threading.Lock` is this, or [`RawMutex`](crate::RawMutex) where one thread takes it
/// and another releases it.
///
/// # Examples
///
/// ```
/// use sync_core::Mutex;
///
/// static TOTAL: Mutex<u64> = Mutex::new(0);
///
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| *TOTAL.lock() += 1);
///     }
/// });
/// assert_eq!(*TOTAL.lock(), 4);
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a guard was dropped happens before the return of the next
/// acquisition.
///
/// # Source of the algorithm
///
/// Drepper's "Futexes Are Tricky" with the starvation bit of Go's `sync.Mutex`; state table and
/// invariants stand at the top of `raw_mutex.rs`.
#[doc(alias = "Lock")]
pub struct Mutex<T: ?Sized, R: RawLock = RawMutex> {
    pub(crate) raw: Watched<R>,
    pub(crate) data: UnsafeCell<T>,
}

// SAFETY: the lock moves with its data; moving both to another thread is moving the data.
unsafe impl<T: ?Sized + Send, R: RawLock + Send> Send for Mutex<T, R> {}
// SAFETY: the raw lock hands the data to one thread at a time (its invariant 1), so sharing the
// lock sends the data.
unsafe impl<T: ?Sized + Send, R: RawLock + Sync> Sync for Mutex<T, R> {}

impl<T> Mutex<T> {
    const_new! {
        /// A free mutex over `value`.
        pub const fn new(value: T) -> Self {
            Self { raw: Watched::new(RawMutex::new(), LockKind::Mutex), data: UnsafeCell::new(value) }
        }
    }
}

impl<T, R: RawLock> Mutex<T, R> {
    /// The data. Nobody can hold the lock: this call owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized, R: RawLock> Mutex<T, R> {
    /// Takes the lock; sleeps until it is free.
    ///
    /// A thread that takes a lock which it holds already waits for ever.
    ///
    /// # Memory ordering
    ///
    /// As for the [type](Self).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> MutexGuard<'_, T, R> {
        self.raw.lock();
        // SAFETY: acquired on the line above; without a deadline there is no other outcome.
        unsafe { MutexGuard::new(self) }
    }

    /// Takes the lock if it is free at this moment.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { MutexGuard::new(self) })
    }

    /// Takes the lock, or gives up after `timeout`. A timeout too long for the clock means for
    /// ever.
    ///
    /// ```
    /// use std::time::Duration;
    /// let lock = sync_core::Mutex::new(());
    /// let held = lock.lock();
    /// assert!(lock.try_lock_for(Duration::from_millis(10)).is_none());
    /// drop(held);
    /// assert!(lock.try_lock_for(Duration::MAX).is_some());
    /// ```
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock_for(timeout).then(|| unsafe { MutexGuard::new(self) })
    }

    /// Takes the lock, or gives up at `deadline`. A deadline in the past still takes a lock that is
    /// free.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock_until(deadline).then(|| unsafe { MutexGuard::new(self) })
    }

    /// Takes the lock of a mutex in an [`Arc`]; the guard keeps the mutex alive and borrows
    /// nothing.
    ///
    /// ```
    /// use std::sync::Arc;
    /// let lock = Arc::new(sync_core::Mutex::new(1));
    /// let mut guard = lock.lock_arc();
    /// drop(lock);
    /// *guard += 1;
    /// ```
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_arc(self: &Arc<Self>) -> ArcMutexGuard<T, R> {
        self.raw.lock();
        // SAFETY: as in `lock`.
        unsafe { ArcMutexGuard::new(Arc::clone(self)) }
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// As [`try_lock_for`](Self::try_lock_for), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_for(self: &Arc<Self>, timeout: Duration) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock_for(timeout).then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// As [`try_lock_until`](Self::try_lock_until), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_until(self: &Arc<Self>, deadline: Instant) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: made only if the lock was acquired.
        self.raw.try_lock_until(deadline).then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// Whether somebody holds the lock. Old news by the time it is returned.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.unwatched().is_locked()
    }

    /// The data, without locking: this call borrows the mutex alone.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard and nobody else.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    /// The lock without the data.
    ///
    /// # Safety
    ///
    /// Releasing it while a guard lives lets two threads at the data; the caller does so only for a
    /// guard that it has forgotten.
    #[inline]
    pub unsafe fn raw(&self) -> &R {
        self.raw.unwatched()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Makes the lock free, whoever held it: for the child of a `fork`, where the holder does not
    /// exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the mutex, no guard of it may still be dropped, and
    /// the data must be usable in whatever state the holder left it.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        self.raw.forget_holder();
        // SAFETY: passed on to the caller.
        unsafe { self.raw.unwatched().reinit_after_fork() }
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Never blocks: a mutex that is held, by this thread or another, shows `<locked>`.
impl<T: ?Sized + fmt::Debug, R: RawLock> fmt::Debug for Mutex<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Mutex");
        match self.try_lock() {
            Some(data) => out.field("state", &format_args!("unlocked")).field("data", &&*data),
            None => {
                out.field("state", &format_args!("locked")).field("data", &format_args!("<locked>"))
            }
        };
        out.finish()
    }
}
