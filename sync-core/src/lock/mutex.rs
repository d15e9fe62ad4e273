//! Mutual exclusion over data, and the guards of every exclusive lock of the crate, generic over
//! [`RawLock`].
//!
//! The algorithm, its state table, invariants and orderings are in `raw_mutex.rs`. The names and
//! signatures are those of `std` and `parking_lot`.
//!
//! Invariants, cited by the SAFETY comments here:
//!
//! 1. A guard exists only while its lock is held on its behalf: `new` is unsafe and requires it,
//!    `drop` ends it, and a function that releases the lock in between ([`MutexGuard::unlocked`],
//!    [`Condvar`](crate::Condvar)) holds the guard mutably borrowed until it has the lock again.
//! 2. A mapped guard's pointer came from the reference that the guard that was mapped would have
//!    given out; it points into the data of the lock, which outlives the guard, and no other thread
//!    has the data while the guard lives: nothing releases the lock under a mapped guard.
//!
//! Guards are not `Send`: where another thread than the owner releases a lock, use the raw lock.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnostics::lock_kind::LockKind;
use crate::lock::guard_macros::NotSend;
use crate::lock::instrumented::Instrumented;
use crate::lock::raw_lock::{RawLock, WaitGuard};
use crate::lock::raw_mutex::RawMutex;
use crate::primitive::{cell::UnsafeCell, const_new};
use crate::sealed::Sealed;

/// A mutual exclusion lock over data. It adds four bytes to the data.
///
/// It does not poison: a panic while the guard is held releases it, and the next holder finds the
/// data as the panic left it. Threads may overtake a waiter for a millisecond, which makes the lock
/// fast. A thread that has waited longer is the next holder, whichever threads arrive.
///
/// This is Python's `threading.Lock`; where one thread takes it and another releases it, use
/// [`RawMutex`](crate::RawMutex).
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
/// Drepper's "Futexes Are Tricky" with the starvation bit of Go's `sync.Mutex`; the state table and
/// the invariants are at the top of `raw_mutex.rs`.
#[doc(alias = "Lock")]
pub struct Mutex<T: ?Sized, R: RawLock = RawMutex> {
    pub(crate) raw: Instrumented<R>,
    pub(crate) data: UnsafeCell<T>,
}

// SAFETY: the lock moves with its data; to move both to another thread is to move the data.
unsafe impl<T: ?Sized + Send, R: RawLock + Send> Send for Mutex<T, R> {}
// SAFETY: the raw lock hands the data to one thread at a time (its invariant 1), so sharing the
// lock sends the data.
unsafe impl<T: ?Sized + Send, R: RawLock + Sync> Sync for Mutex<T, R> {}

// The same as for `std`'s mutex, although this mutex does not poison: the next holder judges the
// data that a panic left under a lock, with or without a catch in between.
impl<T: ?Sized, R: RawLock> UnwindSafe for Mutex<T, R> {}
impl<T: ?Sized, R: RawLock> RefUnwindSafe for Mutex<T, R> {}

const_new! {
    /// [`Mutex::new`] as a function, under `parking_lot`'s name.
    pub const fn const_mutex<T>(value: T) -> Mutex<T> {
        Mutex::new(value)
    }
}

impl<T> Mutex<T> {
    const_new! {
        /// Creates a free mutex over `value`.
        pub const fn new(value: T) -> Self {
            let raw = Instrumented::new(RawMutex::new(), LockKind::Mutex);
            Self { raw, data: UnsafeCell::new(value) }
        }
    }
}

impl<T, R: RawLock> Mutex<T, R> {
    /// Returns the data. No thread can hold the lock: this call owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized, R: RawLock> Mutex<T, R> {
    /// Takes the lock; sleeps until it is free.
    ///
    /// A thread that takes a lock which it holds already waits forever.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> MutexGuard<'_, T, R> {
        self.raw.lock();
        // SAFETY: the call above has acquired the lock; without a deadline there is no other
        // outcome.
        unsafe { MutexGuard::new(self) }
    }

    /// Takes the lock if it is free at this moment.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { MutexGuard::new(self) })
    }

    /// Takes the lock, or gives up after `timeout`. A timeout too long for the clock means forever.
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
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock_for(timeout).then(|| unsafe { MutexGuard::new(self) })
    }

    /// Takes the lock, or gives up at `deadline`. A deadline in the past still takes a lock that is
    /// free.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> Option<MutexGuard<'_, T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
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

    /// Like [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_for`](Self::try_lock_for), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_for(self: &Arc<Self>, timeout: Duration) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock_for(timeout).then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_until`](Self::try_lock_until), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_until(self: &Arc<Self>, deadline: Instant) -> Option<ArcMutexGuard<T, R>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock_until(deadline).then(|| unsafe { ArcMutexGuard::new(Arc::clone(self)) })
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.raw().is_locked()
    }

    /// Returns the data, without locking: this call borrows the mutex exclusively.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard and no other user.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    /// Returns the lock without the data.
    ///
    /// # Safety
    ///
    /// Releasing it while a guard lives gives two threads access to the data; the caller does so
    /// only for a guard that it has forgotten.
    #[inline]
    pub unsafe fn raw(&self) -> &R {
        self.raw.raw()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where the holder
    /// does not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the mutex, no guard of it may still be dropped, and
    /// the data must be usable in whatever state the holder left it.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        self.raw.forget_holder();
        // SAFETY: passed on to the caller.
        unsafe { self.raw.raw().reinit_after_fork() }
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

/// The right to the data of a [`Mutex`]; dropping it releases the lock.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct MutexGuard<'a, T: ?Sized, R: RawLock = RawMutex> {
    mutex: &'a Mutex<T, R>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` and the mutex, with which another thread can take the data
// out, now or later. Hence both bounds.
unsafe impl<T: ?Sized + Send + Sync, R: RawLock + Sync> Sync for MutexGuard<'_, T, R> {}

impl<'a, T: ?Sized, R: RawLock> MutexGuard<'a, T, R> {
    /// # Safety
    ///
    /// The lock is held, and no other guard represents this hold (invariant 1).
    #[inline]
    pub(crate) unsafe fn new(mutex: &'a Mutex<T, R>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    map_methods! {
        ///
        /// This and the other functions here are associated functions, so that they hide no method
        /// of the data.
        ///
        /// ```
        /// use sync_core::{Mutex, MutexGuard};
        /// let pair = Mutex::new((1, 2));
        /// let mut second = MutexGuard::map(pair.lock(), |pair| &mut pair.1);
        /// *second += 1;
        /// drop(second);
        /// assert_eq!(pair.into_inner(), (1, 3));
        /// ```
        "the data", this => &this.mutex.raw, MappedMutexGuard<'a, R>, mut
    }

    /// Calls `f` with the lock released, and takes it again before it returns or unwinds.
    #[inline]
    pub fn unlocked<U>(this: &mut Self, f: impl FnOnce() -> U) -> U {
        struct Relock<'a, R: RawLock>(&'a Instrumented<R>);
        impl<R: RawLock> Drop for Relock<'_, R> {
            fn drop(&mut self) {
                self.0.lock_again();
            }
        }
        // SAFETY: invariant 1; the guard is borrowed mutably until the lock is taken again, and
        // `Relock`, which takes it again, does not unwind.
        unsafe { this.mutex.raw.release() };
        let _relock = Relock(&this.mutex.raw);
        f()
    }

    /// Releases the lock; if a thread waits for it, no newcomer gets it before a waiter.
    #[inline]
    pub fn unlock_fair(this: Self) {
        let mutex = this.mutex;
        mem::forget(this);
        // SAFETY: invariant 1; the guard was forgotten.
        unsafe { mutex.raw.release_fair() }
    }

    /// Lets a waiter in, if there is one, and takes the lock again. Costs almost nothing if there
    /// is none.
    ///
    /// Use it in a long computation under a lock, at the points where other threads may see the
    /// data.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn bump(this: &mut Self) {
        // SAFETY: invariant 1, for both promises; the guard is borrowed mutably.
        unsafe { this.mutex.raw.let_others_in(|raw| raw.bump()) }
    }

    /// Returns the mutex of this guard.
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
        // SAFETY: invariant 1; this guard ends here.
        unsafe { self.mutex.raw.release() }
    }
}

/// The right to a part of the data of a [`Mutex`], from [`MutexGuard::map`]; dropping it releases
/// the lock.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct MappedMutexGuard<'a, T: ?Sized, R: RawLock = RawMutex> {
    raw: &'a Instrumented<R>,
    data: NonNull<T>,
    /// Makes the guard invariant in `T`, like the `&mut T` that it replaces.
    part: PhantomData<&'a mut T>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` only, and not the mutex.
unsafe impl<T: ?Sized + Sync, R: RawLock + Sync> Sync for MappedMutexGuard<'_, T, R> {}

impl<'a, T: ?Sized, R: RawLock> MappedMutexGuard<'a, T, R> {
    map_methods! { "the part", this => this.raw, MappedMutexGuard<'a, R>, mut }

    /// Releases the lock; if a thread waits for it, no newcomer gets it before a waiter.
    #[inline]
    pub fn unlock_fair(this: Self) {
        let raw = this.raw;
        mem::forget(this);
        // SAFETY: invariant 1; the guard was forgotten.
        unsafe { raw.release_fair() }
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
        // SAFETY: invariant 1; this guard ends here.
        unsafe { self.raw.release() }
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
    /// Like [`MutexGuard::new`].
    #[inline]
    pub(crate) unsafe fn new(mutex: Arc<Mutex<T, R>>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    /// Returns the mutex of this guard.
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
        // SAFETY: invariant 1; this guard ends here.
        unsafe { self.mutex.raw.release() }
    }
}

show_the_data!([T, R: RawLock] MutexGuard<'_, T, R>);
show_the_data!([T, R: RawLock] MappedMutexGuard<'_, T, R>);
show_the_data!([T, R: RawLock] ArcMutexGuard<T, R>);

/// Implements the release and the reacquisition of a lock that is held once, for a condition
/// variable. Not for a mapped guard: other threads may replace the value that it points to during
/// the wait, which would break invariant 2.
macro_rules! wait_once_held {
    ($($guard:ty),*) => {$(
        impl<T: ?Sized, R: RawLock> Sealed for $guard {}

        impl<T: ?Sized, R: RawLock> WaitGuard for $guard {
            #[inline]
            unsafe fn release_all(&mut self) -> u32 {
                // SAFETY: invariant 1; the caller does not use the guard until it has reacquired.
                unsafe { self.mutex.raw.release() };
                1
            }

            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            unsafe fn reacquire(&mut self, _: u32) {
                self.mutex.raw.lock_again();
            }
        }
    )*};
}

wait_once_held!(MutexGuard<'_, T, R>, ArcMutexGuard<T, R>);
