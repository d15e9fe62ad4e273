//! Allocation that is looked after: what is not freed at the end of an execution fails the model.

use crate::engine::runtime;
use std::panic::Location;
use std::sync::Mutex;

#[doc(no_inline)]
pub use std::alloc::Layout;

/// Allocations of the executions at hand: address, number in the execution's list.
static LIVE: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn live() -> std::sync::MutexGuard<'static, Vec<(usize, usize)>> {
    LIVE.lock().unwrap_or_else(|e| e.into_inner())
}

fn note(ptr: *mut u8, site: &'static Location<'static>) {
    if runtime::current().is_some() && !ptr.is_null() {
        let number = runtime::with(|rt| rt.allocated("Allocation", site));
        live().push((ptr.addr(), number));
    }
}

/// Allocates memory.
///
/// # Safety
/// As `std::alloc::alloc`.
#[track_caller]
pub unsafe fn alloc(layout: Layout) -> *mut u8 {
    // SAFETY: as the caller says.
    let ptr = unsafe { std::alloc::alloc(layout) };
    note(ptr, Location::caller());
    ptr
}

/// Allocates memory that is all zeros.
///
/// # Safety
/// As `std::alloc::alloc_zeroed`.
#[track_caller]
pub unsafe fn alloc_zeroed(layout: Layout) -> *mut u8 {
    // SAFETY: as the caller says.
    let ptr = unsafe { std::alloc::alloc_zeroed(layout) };
    note(ptr, Location::caller());
    ptr
}

/// Frees memory.
///
/// # Safety
/// As `std::alloc::dealloc`.
#[track_caller]
pub unsafe fn dealloc(ptr: *mut u8, layout: Layout) {
    if runtime::current().is_some() {
        let found = {
            let mut live = live();
            let at = live.iter().rposition(|l| l.0 == ptr.addr());
            at.map(|at| live.swap_remove(at).1)
        };
        if let Some(number) = found {
            runtime::with(|rt| rt.freed(number));
        }
    }
    // SAFETY: as the caller says.
    unsafe { std::alloc::dealloc(ptr, layout) };
}

/// A value that fails the model when it is not dropped.
#[derive(Debug)]
pub struct Track<T> {
    value: T,
    /// Tells when it is dropped.
    _number: Number,
}

#[derive(Debug)]
struct Number(Option<usize>);

impl Drop for Number {
    fn drop(&mut self) {
        if let (Some(number), Some(_)) = (self.0, runtime::current()) {
            runtime::with(|rt| rt.freed(number));
        }
    }
}

impl<T> Track<T> {
    /// Looks after a value.
    #[track_caller]
    pub fn new(value: T) -> Track<T> {
        let site = Location::caller();
        let number =
            runtime::current().map(|_| runtime::with(|rt| rt.allocated("Tracked object", site)));
        Track { value, _number: Number(number) }
    }

    /// The value.
    pub fn get_ref(&self) -> &T {
        &self.value
    }

    /// The value.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.value
    }

    /// The value; it is not looked after any more.
    pub fn into_inner(self) -> T {
        self.value
    }
}
