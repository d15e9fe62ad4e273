use crate::engine::runtime::Tag;
use crate::engine::runtime::race::{self, Ongoing};
use std::panic::Location;

/// A checked version of `std::cell::UnsafeCell`.
///
/// Every access goes through a closure ([`with`](Self::with), [`with_mut`](Self::with_mut)) or a
/// guard ([`get`](Self::get), [`get_mut`](Self::get_mut)), so that the checker knows when it begins
/// and when it ends. Pointers must not be used after that.
///
/// An access by a closure lasts as long as the closure runs. An access by a guard lasts up to the
/// last use of the guard, and at least up to the last event of the model before the guard is
/// dropped: a guard that is a field of a struct is dropped after the body of the struct's `drop`,
/// which may hand the cell to another thread by its last step.
#[derive(Debug)]
pub struct UnsafeCell<T: ?Sized> {
    tag: Tag,
    data: std::cell::UnsafeCell<T>,
}

// As in `std` the cell is `Send` with its value, and not `Sync`.

/// A shared access to an [`UnsafeCell`] that lasts as long as this lives.
#[derive(Debug)]
pub struct ConstPtr<T: ?Sized> {
    access: Option<Ongoing>,
    ptr: *const T,
}

/// An exclusive access to an [`UnsafeCell`] that lasts as long as this lives.
#[derive(Debug)]
pub struct MutPtr<T: ?Sized> {
    access: Option<Ongoing>,
    ptr: *mut T,
}

impl<T> UnsafeCell<T> {
    /// A new cell.
    pub const fn new(data: T) -> UnsafeCell<T> {
        UnsafeCell { tag: Tag::new(), data: std::cell::UnsafeCell::new(data) }
    }

    /// The value.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> UnsafeCell<T> {
    /// Calls `f` with a pointer for reading.
    #[track_caller]
    pub fn with<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*const T) -> R,
    {
        let _closure = Closure(race::begin(&self.tag, false, Location::caller()));
        f(self.data.get())
    }

    /// Calls `f` with a pointer for reading and writing.
    #[track_caller]
    pub fn with_mut<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*mut T) -> R,
    {
        let _closure = Closure(race::begin(&self.tag, true, Location::caller()));
        f(self.data.get())
    }

    /// An access for reading, up to when the guard is dropped.
    #[track_caller]
    pub fn get(&self) -> ConstPtr<T> {
        let access = race::begin(&self.tag, false, Location::caller());
        ConstPtr { access, ptr: self.data.get() }
    }

    /// An access for reading and writing, up to when the guard is dropped.
    #[track_caller]
    pub fn get_mut(&self) -> MutPtr<T> {
        let access = race::begin(&self.tag, true, Location::caller());
        MutPtr { access, ptr: self.data.get() }
    }
}

impl<T: Default> Default for UnsafeCell<T> {
    fn default() -> Self {
        UnsafeCell::new(T::default())
    }
}

impl<T> From<T> for UnsafeCell<T> {
    fn from(v: T) -> Self {
        UnsafeCell::new(v)
    }
}

impl<T: ?Sized> ConstPtr<T> {
    /// A reference to the value.
    ///
    /// # Safety
    /// The cell must be alive, and the reference must not outlive the guard.
    pub unsafe fn deref(&self) -> &T {
        used(self.access);
        // SAFETY: the caller answers for the cell; no thread writes: it is checked.
        unsafe { &*self.ptr }
    }

    /// Calls `f` with the pointer.
    pub fn with<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*const T) -> R,
    {
        used(self.access);
        let result = f(self.ptr);
        used(self.access);
        result
    }
}

impl<T: ?Sized> MutPtr<T> {
    /// A reference to the value.
    ///
    /// # Safety
    /// The cell must be alive, and the reference must not outlive the guard.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn deref(&self) -> &mut T {
        used(self.access);
        // SAFETY: the caller answers for the cell; the access is exclusive: it is checked.
        unsafe { &mut *self.ptr }
    }

    /// Calls `f` with the pointer.
    pub fn with<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*mut T) -> R,
    {
        used(self.access);
        let result = f(self.ptr);
        used(self.access);
        result
    }
}

/// An access that lasts as long as a closure runs, and ends also when the closure panics.
struct Closure(Option<Ongoing>);

impl Drop for Closure {
    fn drop(&mut self) {
        if let Some(access) = self.0 {
            access.end();
        }
    }
}

/// The pointer of a guard is used.
fn used(access: Option<Ongoing>) {
    if let Some(access) = access {
        access.reaches_here();
    }
}

impl<T: ?Sized> Drop for ConstPtr<T> {
    fn drop(&mut self) {
        if let Some(access) = self.access {
            access.end_of_guard();
        }
    }
}

impl<T: ?Sized> Drop for MutPtr<T> {
    fn drop(&mut self) {
        if let Some(access) = self.access {
            access.end_of_guard();
        }
    }
}
