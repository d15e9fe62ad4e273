use crate::engine::runtime::Tag;
use crate::engine::runtime::race;
use std::panic::Location;

/// A checked version of `std::cell::UnsafeCell`.
///
/// Every access goes through a closure ([`with`](Self::with), [`with_mut`](Self::with_mut)) or a
/// guard ([`get`](Self::get), [`get_mut`](Self::get_mut)), so that the checker knows when it begins
/// and when it ends. Pointers must not be used after that.
#[derive(Debug)]
pub struct UnsafeCell<T: ?Sized> {
    tag: Tag,
    data: std::cell::UnsafeCell<T>,
}

// As in `std` the cell is `Send` with its value, and not `Sync`.

/// A shared access to an [`UnsafeCell`] that lasts as long as this lives.
#[derive(Debug)]
pub struct ConstPtr<T: ?Sized> {
    slot: Option<usize>,
    ptr: *const T,
    site: &'static Location<'static>,
}

/// An exclusive access to an [`UnsafeCell`] that lasts as long as this lives.
#[derive(Debug)]
pub struct MutPtr<T: ?Sized> {
    slot: Option<usize>,
    ptr: *mut T,
    site: &'static Location<'static>,
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
        let access = self.get();
        f(access.ptr)
    }

    /// Calls `f` with a pointer for reading and writing.
    #[track_caller]
    pub fn with_mut<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*mut T) -> R,
    {
        let access = self.get_mut();
        f(access.ptr)
    }

    /// An access for reading, up to when the guard is dropped.
    #[track_caller]
    pub fn get(&self) -> ConstPtr<T> {
        let site = Location::caller();
        let slot = race::begin(&self.tag, false, site);
        ConstPtr { slot, ptr: self.data.get(), site }
    }

    /// An access for reading and writing, up to when the guard is dropped.
    #[track_caller]
    pub fn get_mut(&self) -> MutPtr<T> {
        let site = Location::caller();
        let slot = race::begin(&self.tag, true, site);
        MutPtr { slot, ptr: self.data.get(), site }
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
        // SAFETY: the caller answers for the cell; no thread writes: it is checked.
        unsafe { &*self.ptr }
    }

    /// Calls `f` with the pointer.
    pub fn with<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*const T) -> R,
    {
        f(self.ptr)
    }
}

impl<T: ?Sized> MutPtr<T> {
    /// A reference to the value.
    ///
    /// # Safety
    /// The cell must be alive, and the reference must not outlive the guard.
    #[allow(clippy::mut_from_ref)]
    pub unsafe fn deref(&self) -> &mut T {
        // SAFETY: the caller answers for the cell; the access is exclusive: it is checked.
        unsafe { &mut *self.ptr }
    }

    /// Calls `f` with the pointer.
    pub fn with<F, R>(&self, f: F) -> R
    where
        F: FnOnce(*mut T) -> R,
    {
        f(self.ptr)
    }
}

impl<T: ?Sized> Drop for ConstPtr<T> {
    fn drop(&mut self) {
        race::end(self.slot, false, self.site);
    }
}

impl<T: ?Sized> Drop for MutPtr<T> {
    fn drop(&mut self) {
        race::end(self.slot, true, self.site);
    }
}
