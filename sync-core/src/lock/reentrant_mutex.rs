//! Mutual exclusion that a thread may nest.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_reentrant_mutex.rs`; the
//! guards are made by the macros of `guard_macros.rs`. This file is the API: the names and
//! signatures are those of `parking_lot`, and of `std`'s `ReentrantLock`.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::Deref;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::lock::guard_macros::NotSend;
use crate::lock::instrumented::RELOCK;
use crate::lock::raw_lock::WaitGuard;
use crate::lock::raw_reentrant_mutex::RawReentrantMutex;
use crate::primitive::{cell::UnsafeCell, const_new};
use crate::sealed::Sealed;
use crate::user_code::AbortOnUnwind;

/// A mutual exclusion lock over data that the thread which holds it may take again. It adds 16
/// bytes to the data.
///
/// Because several guards of one thread may live at a time, a guard gives `&T` and not `&mut T`:
/// put the data that changes in a [`Cell`](core::cell::Cell) or [`RefCell`](core::cell::RefCell),
/// which need not be `Sync` here, or in atomics. The lock does not poison.
///
/// A [`Condvar`](crate::Condvar) that waits with a guard releases all levels and restores them. It
/// requires `T: Sync`: guards of the outer levels may have lent the data out, and other threads use
/// the data during the wait. For data that is not `Sync`, wait with a [`Mutex`](crate::Mutex).
///
/// It has no async form: the thread is the owner, so two tasks of one thread would both hold it,
/// and a guard could not follow its task to another thread. Use a [`Mutex`](crate::Mutex) there.
///
/// # Examples
///
/// ```
/// use std::cell::Cell;
/// use sync_core::ReentrantMutex;
///
/// struct Account {
///     balance: Cell<i64>,
/// }
///
/// static ACCOUNT: ReentrantMutex<Account> =
///     ReentrantMutex::new(Account { balance: Cell::new(0) });
///
/// fn deposit(amount: i64) {
///     let account = ACCOUNT.lock();
///     account.balance.set(account.balance.get() + amount);
/// }
///
/// fn deposit_twice(amount: i64) {
///     let _both_or_none = ACCOUNT.lock();
///     deposit(amount); // takes the lock once more
///     deposit(amount);
/// }
///
/// std::thread::scope(|scope| {
///     for _ in 0..4 {
///         scope.spawn(|| deposit_twice(5));
///     }
/// });
/// assert_eq!(ACCOUNT.lock().balance.get(), 40);
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a thread dropped its last guard happens before the return of the
/// next thread's first acquisition.
///
/// # Source of the algorithm
///
/// An owner and a count next to a [`RawMutex`](crate::RawMutex); the state table and the invariants
/// are at the top of `raw_reentrant_mutex.rs`.
#[doc(alias = "RLock")]
#[doc(alias = "ReentrantLock")]
pub struct ReentrantMutex<T: ?Sized> {
    pub(crate) raw: RawReentrantMutex,
    pub(crate) data: UnsafeCell<T>,
}

// SAFETY: the lock moves with its data; to move both to another thread is to move the data.
unsafe impl<T: ?Sized + Send> Send for ReentrantMutex<T> {}
// SAFETY: the raw lock hands the data to one thread at a time (its invariants 1 and 2), and that
// thread shares the data only with itself. So to share the lock is to send the data, and `Send` is
// enough.
unsafe impl<T: ?Sized + Send> Sync for ReentrantMutex<T> {}

// The same as for `std`'s: the data can be read while a panic unwinds through a holder, and changes
// through `&T` only.
impl<T: UnwindSafe + ?Sized> UnwindSafe for ReentrantMutex<T> {}
impl<T: RefUnwindSafe + ?Sized> RefUnwindSafe for ReentrantMutex<T> {}

const_new! {
    /// [`ReentrantMutex::new`] as a function, under `parking_lot`'s name.
    pub const fn const_reentrant_mutex<T>(value: T) -> ReentrantMutex<T> {
        ReentrantMutex::new(value)
    }
}

impl<T> ReentrantMutex<T> {
    const_new! {
        /// Creates a free lock over `value`.
        pub const fn new(value: T) -> Self {
            Self { raw: RawReentrantMutex::new(), data: UnsafeCell::new(value) }
        }
    }

    /// Returns the data. No thread can hold the lock: this call owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> ReentrantMutex<T> {
    /// Takes the lock, once more if this thread holds it; sleeps while another thread does.
    ///
    /// # Panics
    ///
    /// If this thread holds it 2^32 - 1 times already (guards can be forgotten); nothing is
    /// changed.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> ReentrantMutexGuard<'_, T> {
        self.raw.lock();
        // SAFETY: the call above has acquired the lock.
        unsafe { ReentrantMutexGuard::new(self) }
    }

    /// Takes the lock if no other thread holds it at this moment.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Option<ReentrantMutexGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { ReentrantMutexGuard::new(self) })
    }

    /// Takes the lock, or gives up after `timeout`. A timeout too long for the clock means forever.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> Option<ReentrantMutexGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock_for(timeout).then(|| unsafe { ReentrantMutexGuard::new(self) })
    }

    /// Takes the lock, or gives up at `deadline`. A deadline in the past still takes a lock that is
    /// free, or held by this thread.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> Option<ReentrantMutexGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock_until(deadline).then(|| unsafe { ReentrantMutexGuard::new(self) })
    }

    /// Takes the lock of a mutex in an [`Arc`]; the guard keeps the mutex alive and borrows
    /// nothing.
    ///
    /// # Panics
    ///
    /// Like [`lock`](Self::lock).
    #[inline]
    #[track_caller]
    pub fn lock_arc(self: &Arc<Self>) -> ArcReentrantMutexGuard<T> {
        self.raw.lock();
        // SAFETY: the call above has acquired the lock.
        unsafe { ArcReentrantMutexGuard::new(Arc::clone(self)) }
    }

    /// Like [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[inline]
    #[track_caller]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<ArcReentrantMutexGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_lock().then(|| unsafe { ArcReentrantMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_for`](Self::try_lock_for), with a guard that keeps the mutex alive.
    #[inline]
    #[track_caller]
    pub fn try_lock_arc_for(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Option<ArcReentrantMutexGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_lock_for(timeout)
            .then(|| unsafe { ArcReentrantMutexGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_lock_until`](Self::try_lock_until), with a guard that keeps the mutex alive.
    #[inline]
    #[track_caller]
    pub fn try_lock_arc_until(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Option<ArcReentrantMutexGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_lock_until(deadline)
            .then(|| unsafe { ArcReentrantMutexGuard::new(Arc::clone(self)) })
    }

    /// Returns whether any thread holds the lock. A snapshot: it may have changed before the call
    /// returns, unless this thread does.
    #[inline]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        self.raw.is_locked()
    }

    /// Returns whether this thread holds the lock. This is exact.
    #[inline]
    #[doc(alias = "_is_owned")]
    pub fn is_owned_by_current_thread(&self) -> bool {
        self.raw.is_owned_by_current_thread()
    }

    /// Returns the number of times that this thread holds the lock: 0 if it does not. This is
    /// exact.
    #[inline]
    #[doc(alias = "_recursion_count")]
    pub fn depth(&self) -> u32 {
        self.raw.depth()
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
    pub unsafe fn raw(&self) -> &RawReentrantMutex {
        &self.raw
    }

    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where other
    /// holders do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the mutex, no guard of it may still be dropped, and
    /// the data must be usable in whatever state the holder left it.
    #[doc(alias = "_at_fork_reinit")]
    pub unsafe fn reinit_after_fork(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.raw.reinit_after_fork() }
    }
}

impl<T: Default> Default for ReentrantMutex<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for ReentrantMutex<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Never blocks, and takes no level: shows the owner and the count to any thread, and the data if
/// this thread or no thread holds the lock.
impl<T: ?Sized + fmt::Debug> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("ReentrantMutex");
        // The raw lock is shown before this call takes it for a moment.
        out.field("raw", &format_args!("{:?}", self.raw));
        match self.try_lock() {
            Some(data) => out.field("data", &&*data),
            None => out.field("data", &format_args!("<locked>")),
        };
        out.finish()
    }
}

borrowed_guard! {
    /// The right to the data of a [`ReentrantMutex`]; dropping it releases one level.
    ReentrantMutexGuard of ReentrantMutex, releases with release, maps to MappedReentrantMutexGuard
}

mapped_guard! {
    /// The right to a part of the data of a [`ReentrantMutex`], from [`ReentrantMutexGuard::map`];
    /// dropping it releases one level.
    MappedReentrantMutexGuard of RawReentrantMutex, releases with release
}

arc_guard! {
    /// The right to the data of a [`ReentrantMutex`] in an [`Arc`], which it keeps alive; from
    /// [`ReentrantMutex::lock_arc`].
    ArcReentrantMutexGuard of ReentrantMutex, releases with release
}

impl<'a, T: ?Sized> ReentrantMutexGuard<'a, T> {
    /// Calls `f` with this guard's level released, and takes it again before it returns or unwinds.
    /// Other threads get in only if it was the last level.
    #[inline]
    pub fn unlocked<U>(this: &mut Self, f: impl FnOnce() -> U) -> U {
        struct Relock<'a>(&'a RawReentrantMutex);
        impl Drop for Relock<'_> {
            fn drop(&mut self) {
                // One level too many panics, and the unwinding would drop the guard.
                let abort = AbortOnUnwind::new(RELOCK);
                self.0.lock_levels(1);
                abort.disarm();
            }
        }
        // SAFETY: invariant 1 of `guard_macros.rs`; the guard is borrowed mutably until the level
        // is taken again, and `Relock`, which takes it again, does not unwind.
        unsafe { this.lock.raw.release() };
        let _relock = Relock(&this.lock.raw);
        f()
    }

    /// Releases this level; if it was the last level and a thread waits, no newcomer gets the lock
    /// before a waiter.
    #[inline]
    pub fn unlock_fair(this: Self) {
        let raw = &this.lock.raw;
        mem::forget(this);
        let released = raw.unlock_fair();
        debug_assert!(
            released.is_ok(),
            "a guard was dropped over a lock that its thread does not hold"
        );
    }

    /// Lets a waiter in, if there is one and this is the only level, and takes the lock again.
    /// Costs almost nothing otherwise.
    #[inline]
    pub fn bump(this: &mut Self) {
        // SAFETY: invariant 1 of `guard_macros.rs`; the guard is borrowed mutably.
        unsafe { this.lock.raw.bump() }
    }

    /// Returns the lock of this guard.
    #[inline]
    pub fn mutex(this: &Self) -> &'a ReentrantMutex<T> {
        this.lock
    }
}

/// Implements the release and the reacquisition of all levels, for a condition variable. It
/// requires `T: Sync` because guards of other levels may have lent the data out. Not for a mapped
/// guard, whose type does not name `T`.
macro_rules! wait_at_any_depth {
    ($($Guard:ty),*) => {$(
        impl<T: ?Sized> Sealed for $Guard {}

        impl<T: ?Sized + Sync> WaitGuard for $Guard {
            #[inline]
            unsafe fn release_all(&mut self) -> u32 {
                self.lock.raw.unlock_all().expect("a guard is proof of a level")
            }

            #[inline]
            unsafe fn reacquire(&mut self, depth: u32) {
                self.lock.raw.lock_levels(depth);
            }
        }
    )*};
}

wait_at_any_depth!(ReentrantMutexGuard<'_, T>, ArcReentrantMutexGuard<T>);

const _: () = {
    const fn shared<T: Sync>() {}
    const fn sent<T: Send>() {}
    shared::<ReentrantMutex<core::cell::Cell<u32>>>();
    sent::<ReentrantMutex<core::cell::Cell<u32>>>();
};
