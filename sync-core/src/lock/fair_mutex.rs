//! Mutual exclusion over data, first come, first served.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_fair_mutex.rs`; the guard
//! is that of `mutex.rs`.

use core::fmt;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnostics::lock_kind::LockKind;
use crate::lock::guard_macros::NotSend;
use crate::lock::instrumented::Instrumented;
use crate::lock::mutex::Mutex;
use crate::lock::mutex::MutexGuard;
use crate::lock::raw_fair_mutex::RawFairMutex;
use crate::lock::raw_lock::WaitGuard;
use crate::primitive::{cell::UnsafeCell, const_new};
use crate::sealed::Sealed;

/// A mutual exclusion lock over data. Threads get it in the order in which they join its queue,
/// which they do after a spin of about 4 us of running time. A waiter can request that the holder
/// yields: CPython's interpreter lock with its switch interval, without its lost requests.
///
/// It is for locks that are held for long: an interpreter, a device, a scheduler. A release hands
/// the lock to the first waiter, which costs a context switch; a [`Mutex`](crate::Mutex) has
/// several times the throughput when holds are short, and bounds the wait as well.
///
/// A thread that has waited for an interval (5 ms by default) without a change of holder raises a
/// flag. A holder that computes for long reads the flag with
/// [`should_yield`](MutexGuard::should_yield), one relaxed load, and then calls
/// [`yield_now`](MutexGuard::yield_now). A holder that is about to block releases the lock with
/// [`MutexGuard::unlocked`].
///
/// # Examples
///
/// ```
/// use sync_core::{FairMutex, MutexGuard};
///
/// static INTERPRETER: FairMutex<u64> = FairMutex::new(0);
///
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(|| {
///             let mut steps = INTERPRETER.lock();
///             for _ in 0..1000 {
///                 *steps += 1;
///                 if MutexGuard::should_yield(&steps) {
///                     MutexGuard::yield_now(&mut steps);
///                 }
///             }
///             MutexGuard::unlocked(&mut steps, || println!("input and output go here"));
///         });
///     }
/// });
/// assert_eq!(*INTERPRETER.lock(), 2000);
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a guard was dropped, yielded or unlocked happens before the
/// return of the next acquisition.
///
/// # Source of the algorithm
///
/// A queue of stack nodes with hand-over, and CPython's switch interval; the state table and the
/// invariants are at the top of `raw_fair_mutex.rs`.
pub struct FairMutex<T: ?Sized> {
    pub(crate) inner: Mutex<T, RawFairMutex>,
}

/// The right to the data of a [`FairMutex`]; dropping it hands the lock to the first waiter.
pub type FairMutexGuard<'a, T> = MutexGuard<'a, T, RawFairMutex>;

const_new! {
    /// [`FairMutex::new`] as a function, under `parking_lot`'s name.
    pub const fn const_fair_mutex<T>(value: T) -> FairMutex<T> {
        FairMutex::new(value)
    }
}

/// The right to the data of a [`FairMutex`] in an [`Arc`], which it keeps alive; from
/// [`FairMutex::lock_arc`].
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct ArcFairMutexGuard<T: ?Sized> {
    mutex: Arc<FairMutex<T>>,
    not_send: NotSend,
}

// SAFETY: a shared guard gives out `&T` and `&Arc` only; the mutex may then be sent and shared,
// hence both bounds.
unsafe impl<T: ?Sized + Send + Sync> Sync for ArcFairMutexGuard<T> {}

impl<T: ?Sized> ArcFairMutexGuard<T> {
    /// # Safety
    ///
    /// The lock is held, and no other guard represents this hold (invariant 1 of `mutex.rs`).
    #[inline]
    pub(crate) unsafe fn new(mutex: Arc<FairMutex<T>>) -> Self {
        Self { mutex, not_send: PhantomData }
    }

    /// Returns the mutex of this guard.
    #[inline]
    pub fn mutex(this: &Self) -> &Arc<FairMutex<T>> {
        &this.mutex
    }

    /// Like [`FairMutexGuard::should_yield`](MutexGuard::should_yield).
    #[inline]
    pub fn should_yield(this: &Self) -> bool {
        this.mutex.inner.raw.raw().should_yield()
    }

    /// Like [`FairMutexGuard::yield_now`](MutexGuard::yield_now).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn yield_now(this: &mut Self) -> bool {
        // SAFETY: invariant 1 of `mutex.rs`: the guard holds the lock; it is borrowed mutably.
        unsafe { this.mutex.inner.raw.let_others_in(RawFairMutex::yield_now) }
    }
}

impl<T: ?Sized> Deref for ArcFairMutexGuard<T> {
    type Target = T;
    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: invariant 1 of `mutex.rs`.
        self.mutex.inner.data.with(|data| unsafe { &*data })
    }
}

impl<T: ?Sized> DerefMut for ArcFairMutexGuard<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: invariant 1 of `mutex.rs`.
        self.mutex.inner.data.with_mut(|data| unsafe { &mut *data })
    }
}

impl<T: ?Sized> Drop for ArcFairMutexGuard<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: invariant 1 of `mutex.rs`; this guard ends here.
        unsafe { self.mutex.inner.raw.release() }
    }
}

impl<T: ?Sized> Sealed for ArcFairMutexGuard<T> {}

impl<T: ?Sized> WaitGuard for ArcFairMutexGuard<T> {
    #[inline]
    unsafe fn release_all(&mut self) -> u32 {
        // SAFETY: invariant 1 of `mutex.rs`; the caller does not use the guard until it has
        // reacquired.
        unsafe { self.mutex.inner.raw.release() };
        1
    }

    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    unsafe fn reacquire(&mut self, _: u32) {
        self.mutex.inner.raw.lock_again();
    }
}

show_the_data!([T] ArcFairMutexGuard<T>);

impl<T> FairMutex<T> {
    const_new! {
        /// Creates a free lock over `value`, with an interval of 5 ms.
        pub const fn new(value: T) -> Self {
            Self::with_interval(value, RawFairMutex::INTERVAL)
        }
    }

    const_new! {
        /// Creates a free lock over `value`. A thread that has waited for `interval` without a
        /// change of holder requests that the holder yields. With an interval too long for the
        /// clock, no thread requests it.
        #[doc(alias = "setswitchinterval")]
        pub const fn with_interval(value: T, interval: Duration) -> Self {
            let raw = RawFairMutex::with_interval(interval);
            let raw = Instrumented::new(raw, LockKind::FairMutex);
            Self { inner: Mutex { raw, data: UnsafeCell::new(value) } }
        }
    }

    /// Returns the data. No thread can hold the lock: this call owns it.
    pub fn into_inner(self) -> T {
        self.inner.into_inner()
    }
}

impl<T: ?Sized> FairMutex<T> {
    /// Takes the lock; sleeps until it is this thread's turn.
    ///
    /// A thread that takes a lock which it holds already waits forever.
    #[doc(alias = "acquire")]
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock(&self) -> FairMutexGuard<'_, T> {
        self.inner.lock()
    }

    /// Takes the lock if it is free at this moment. No thread waits for a free lock.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Option<FairMutexGuard<'_, T>> {
        self.inner.try_lock()
    }

    /// Takes the lock, or leaves the queue after `timeout`. A timeout too long for the clock means
    /// forever.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<FairMutexGuard<'_, T>> {
        self.inner.try_lock_for(timeout)
    }

    /// Takes the lock, or leaves the queue at `deadline`. A deadline in the past still takes a lock
    /// that is free.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> Option<FairMutexGuard<'_, T>> {
        self.inner.try_lock_until(deadline)
    }

    /// Takes the lock of a mutex in an [`Arc`]; the guard keeps the mutex alive and borrows
    /// nothing.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn lock_arc(self: &Arc<Self>) -> ArcFairMutexGuard<T> {
        self.inner.raw.lock();
        // SAFETY: `lock` has acquired it.
        unsafe { ArcFairMutexGuard::new(Arc::clone(self)) }
    }

    /// Like [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcFairMutexGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.inner.raw.try_lock().then(|| unsafe { ArcFairMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_for`](Self::try_lock_for), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_for(self: &Arc<Self>, timeout: Duration) -> Option<ArcFairMutexGuard<T>> {
        let taken = self.inner.raw.try_lock_for(timeout);
        // SAFETY: the guard is made only if the lock was acquired.
        taken.then(|| unsafe { ArcFairMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_until`](Self::try_lock_until), with a guard that keeps the mutex alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_lock_arc_until(self: &Arc<Self>, deadline: Instant) -> Option<ArcFairMutexGuard<T>> {
        let taken = self.inner.raw.try_lock_until(deadline);
        // SAFETY: the guard is made only if the lock was acquired.
        taken.then(|| unsafe { ArcFairMutexGuard::new(Arc::clone(self)) })
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    /// Returns the time that a thread waits before it requests that the holder yields.
    #[inline]
    #[doc(alias = "getswitchinterval")]
    pub fn interval(&self) -> Duration {
        self.inner.raw.raw().interval()
    }

    /// Returns the data, without locking: this call borrows the mutex exclusively.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.inner.get_mut()
    }

    /// Returns the lock without the data.
    ///
    /// # Safety
    ///
    /// Releasing it while a guard lives gives two threads access to the data; the caller does so
    /// only for a guard that it has forgotten.
    #[inline]
    pub unsafe fn raw(&self) -> &RawFairMutex {
        self.inner.raw.raw()
    }

    /// Makes the lock free, whichever threads held it or waited: for the child of a `fork`, where
    /// they do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the mutex, no guard of it may still be dropped, and
    /// the data must be usable in whatever state the holder left it.
    pub unsafe fn reinit_after_fork(&self) {
        self.inner.raw.forget_holder();
        // SAFETY: passed on to the caller.
        unsafe { self.inner.raw.raw().reinit_after_fork() }
    }
}

impl<T: ?Sized> FairMutexGuard<'_, T> {
    /// Returns whether a thread has waited for the lock for an interval: one relaxed load.
    #[inline]
    pub fn should_yield(this: &Self) -> bool {
        Self::mutex(this).raw.raw().should_yield()
    }

    /// Lets every thread in that waits now, and takes the lock again behind them. Returns whether a
    /// thread waited.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn yield_now(this: &mut Self) -> bool {
        // SAFETY: invariant 1 of `mutex.rs`: the guard holds the lock; it is borrowed mutably.
        unsafe { Self::mutex(this).raw.let_others_in(RawFairMutex::yield_now) }
    }
}

impl<T: Default> Default for FairMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for FairMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Never blocks: a lock that is held, by this thread or another, shows `<locked>`.
impl<T: ?Sized + fmt::Debug> fmt::Debug for FairMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("FairMutex");
        match self.try_lock() {
            Some(data) => out.field("state", &format_args!("unlocked")).field("data", &&*data),
            None => {
                out.field("state", &format_args!("locked")).field("data", &format_args!("<locked>"))
            }
        };
        out.finish()
    }
}
