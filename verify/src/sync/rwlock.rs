use super::poison::Poison;
use crate::engine::memory_model::event::Rmw;
use crate::engine::runtime::object::Word;
use std::cell::UnsafeCell;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{LockResult, TryLockError, TryLockResult};

/// The state while it is locked for writing; below it, the number of readers.
const WRITER: u64 = 1 << 32;

/// Replaces `std::sync::RwLock`.
pub struct RwLock<T: ?Sized> {
    state: Word,
    poisoned: Poison,
    data: UnsafeCell<T>,
}

// SAFETY: the lock gives exclusive or shared access.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the lock gives exclusive or shared access.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

/// Unlocks a reader when it is dropped.
pub struct RwLockReadGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    site: &'static Location<'static>,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Unlocks the writer when it is dropped.
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    lock: &'a RwLock<T>,
    panicking: bool,
    site: &'static Location<'static>,
    _not_send: std::marker::PhantomData<*const ()>,
}

// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: a shared guard gives `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T> RwLock<T> {
    /// Creates an unlocked lock.
    pub const fn new(data: T) -> RwLock<T> {
        RwLock { state: Word::new(0), poisoned: Poison::new(), data: UnsafeCell::new(data) }
    }

    /// The value.
    ///
    /// # Errors
    /// When a writer panicked.
    pub fn into_inner(self) -> LockResult<T> {
        self.poisoned.result(self.data.into_inner())
    }
}

impl<T: ?Sized> RwLock<T> {
    fn reader(&self, site: &'static Location<'static>) -> LockResult<RwLockReadGuard<'_, T>> {
        let guard = RwLockReadGuard { lock: self, site, _not_send: std::marker::PhantomData };
        self.poisoned.result(guard)
    }

    fn writer(&self, site: &'static Location<'static>) -> LockResult<RwLockWriteGuard<'_, T>> {
        let panicking = std::thread::panicking();
        let guard =
            RwLockWriteGuard { lock: self, panicking, site, _not_send: std::marker::PhantomData };
        self.poisoned.result(guard)
    }

    /// Waits until no writer has it and locks it for reading.
    ///
    /// # Errors
    /// When a writer panicked.
    #[track_caller]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        let site = Location::caller();
        self.state.wait(Rmw::AddIfBelow, WRITER, 1, Ordering::Acquire, site);
        self.reader(site)
    }

    /// Locks it for reading if no writer has it.
    ///
    /// # Errors
    /// When a writer has it, or panicked.
    #[track_caller]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let site = Location::caller();
        if self.state.attempt(Rmw::AddIfBelow, WRITER, 1, Ordering::Acquire, site).wrote {
            Ok(self.reader(site)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// Waits until no thread holds the lock and locks it for writing.
    ///
    /// # Errors
    /// When a writer panicked.
    #[track_caller]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        let site = Location::caller();
        self.state.wait(Rmw::Enters, 0, WRITER, Ordering::Acquire, site);
        self.writer(site)
    }

    /// Locks it for writing if no thread holds it.
    ///
    /// # Errors
    /// When another thread holds it, or a writer panicked.
    #[track_caller]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let site = Location::caller();
        if self.state.attempt(Rmw::Enters, 0, WRITER, Ordering::Acquire, site).wrote {
            Ok(self.writer(site)?)
        } else {
            Err(TryLockError::WouldBlock)
        }
    }

    /// A reference to the value.
    ///
    /// # Errors
    /// When a writer panicked.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        self.poisoned.result(self.data.get_mut())
    }

    /// Returns whether a writer panicked.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned.is_set()
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for reading.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the lock is held for writing.
        unsafe { &*self.lock.data.get() }
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held for writing.
        unsafe { &mut *self.lock.data.get() }
    }
}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // Relaxed: goes on with the writer's release sequence. That the next writer comes after
        // this is what `Leaves` and `Enters` mean; other readers do not.
        self.lock.state.attempt(Rmw::Leaves, 1, 0, Ordering::Relaxed, self.site);
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        self.lock.poisoned.leave(self.panicking);
        self.lock.state.store(0, Ordering::Release, self.site);
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut d = f.debug_struct("RwLock");
        if self.state.peek() < WRITER {
            // SAFETY: no thread writes, and no other thread runs while this does.
            let data = unsafe { &*self.data.get() };
            d.field("data", &data);
        } else {
            d.field("data", &format_args!("<locked>"));
        }
        d.finish_non_exhaustive()
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        RwLock::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(v: T) -> Self {
        RwLock::new(v)
    }
}
