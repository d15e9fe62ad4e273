use super::poison::Poison;
use crate::engine::memory_model::event::Rmw;
use crate::engine::runtime::object::Word;
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockError, TryLockResult};

/// Replaces `std::sync::Mutex`.
///
/// Every order in which threads can get it is explored: `n` threads that lock it once are `n!`
/// executions, and one if their closures are equal
/// ([`Builder::symmetry`](crate::model::Builder::symmetry)).
pub struct Mutex<T: ?Sized> {
    /// 1 while it is locked.
    state: Word,
    pub(super) poisoned: Poison,
    data: UnsafeCell<T>,
}

// SAFETY: the lock gives exclusive access. `poisoned` is only touched by the thread that holds it,
// or read by code on the same thread of the system.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: the lock gives exclusive access. `poisoned` is only touched by the thread that holds it,
// or read by code on the same thread of the system.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

/// Unlocks when it is dropped.
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) lock: &'a Mutex<T>,
    panicking: bool,
    site: &'static Location<'static>,
    _not_send: std::marker::PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T> Mutex<T> {
    /// A mutex that is not locked.
    pub const fn new(data: T) -> Mutex<T> {
        Mutex { state: Word::new(0), poisoned: Poison::new(), data: UnsafeCell::new(data) }
    }

    /// The value.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    pub fn into_inner(self) -> LockResult<T> {
        self.poisoned.result(self.data.into_inner())
    }
}

impl<T: ?Sized> Mutex<T> {
    fn guard(&self, site: &'static Location<'static>) -> LockResult<MutexGuard<'_, T>> {
        let guard = MutexGuard {
            lock: self,
            panicking: std::thread::panicking(),
            site,
            _not_send: std::marker::PhantomData,
        };
        self.poisoned.result(guard)
    }

    /// Waits until it is free and locks it.
    ///
    /// # Errors
    /// When a thread panicked with the lock held; the error has the guard.
    #[track_caller]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let site = Location::caller();
        self.acquire(site);
        self.guard(site)
    }

    pub(super) fn acquire(&self, site: &'static Location<'static>) {
        // Acquire: pairs with the Release in `release`.
        self.state.wait(Rmw::Cas, 0, 1, Ordering::Acquire, site);
    }

    pub(super) fn release(&self, site: &'static Location<'static>) {
        // Release: pairs with the Acquire in `acquire`.
        self.state.store(0, Ordering::Release, site);
    }

    /// Locks it if it is free.
    ///
    /// # Errors
    /// When it is locked, or a thread panicked with the lock held.
    #[track_caller]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let site = Location::caller();
        if self.state.attempt(Rmw::Cas, 0, 1, Ordering::Acquire, site).wrote {
            Ok(self.guard(site)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// A reference to the value.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poisoned.result(self.data.get_mut())
    }

    /// Returns whether a thread panicked with the lock held.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.is_set()
    }

    /// Forgets that a thread panicked with the lock held.
    pub fn clear_poison(&self) {
        self.poisoned.clear();
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.poisoned.leave(self.panicking);
        self.lock.release(self.site);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("Mutex");
        if self.state.peek() == 0 {
            // SAFETY: no thread holds the lock, and no other thread runs while this does.
            let data = unsafe { &*self.data.get() };
            d.field("data", &data);
        } else {
            d.field("data", &format_args!("<locked>"));
        }
        d.field("poisoned", &self.poisoned.is_set()).finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for Mutex<T> {
    fn default() -> Self {
        Mutex::new(T::default())
    }
}

impl<T> From<T> for Mutex<T> {
    fn from(v: T) -> Self {
        Mutex::new(v)
    }
}
