//! A value that is written once, whoever comes first.
//!
//! The algorithm is in `once.rs`. What it gives this file:
//!
//! 1. The cell is written only by the closure that [`Once`] runs, of which there is one at a time
//!    and none after it has completed; or by one that has the lock to itself (`&mut self`).
//! 2. It holds a value exactly if the `Once` is complete.
//! 3. Who has seen it complete sees the value (its Acquire), and may read it until somebody has the
//!    lock to itself.

use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::once::once::Once;
use crate::primitive::{cell::UnsafeCell, const_new};

/// A cell that is written once and then read by all, without a lock: one load.
///
/// It means what [`std::sync::OnceLock`] means. A closure that panics leaves it empty and not
/// poisoned: the next one tries again.
///
/// # Examples
///
/// ```
/// use sync_core::OnceLock;
///
/// static NAME: OnceLock<String> = OnceLock::new();
///
/// assert_eq!(NAME.get(), None);
/// assert_eq!(NAME.get_or_init(|| "first".to_owned()), "first");
/// assert_eq!(NAME.set("second".to_owned()), Err("second".to_owned()));
/// ```
///
/// # Memory ordering
///
/// Everything that the thread which wrote the value did before happens before the return of every
/// call that finds it.
///
/// # Source of the algorithm
///
/// That of [`Once`].
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<MaybeUninit<T>>,
    /// It owns a `T`.
    owns: PhantomData<T>,
}

// SAFETY: sharing the lock shares the value, and lets any thread put one in that another takes out:
// hence both bounds.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: moving the lock is moving the value.
unsafe impl<T: Send> Send for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    const_new! {
        /// An empty cell.
        pub const fn new() -> Self {
            Self { once: Once::new(), value: UnsafeCell::new(MaybeUninit::uninit()), owns: PhantomData }
        }
    }

    /// Returns the value, if there is one. Never blocks.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: invariants 2 and 3.
        self.once.is_completed().then(|| unsafe { self.get_unchecked() })
    }

    /// Returns the value, if there is one; this call borrows the cell alone.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: invariant 2; `&mut self`: there is nobody else.
        self.once
            .is_completed()
            .then(|| self.value.with_mut(|value| unsafe { (*value).assume_init_mut() }))
    }

    /// Waits until another thread has written the value.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn wait(&self) -> &T {
        self.once.wait_force();
        // SAFETY: invariants 2 and 3.
        unsafe { self.get_unchecked() }
    }

    /// Writes the value; if another thread is writing one, waits for that.
    ///
    /// # Errors
    ///
    /// The value given, if there is one already.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn set(&self, value: T) -> Result<(), T> {
        self.try_insert(value).map(|_| ()).map_err(|(_, value)| value)
    }

    /// Writes the value and returns it; if another thread is writing one, waits for that.
    ///
    /// # Errors
    ///
    /// The value that is there already, and the one given.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_insert(&self, value: T) -> Result<&T, (&T, T)> {
        let mut value = Some(value);
        let there = self.get_or_init(|| value.take().expect("called once"));
        match value {
            None => Ok(there),
            Some(value) => Err((there, value)),
        }
    }

    /// Returns the value; if there is none, the one that `f` makes. If another thread is at that,
    /// waits for it instead.
    ///
    /// # Panics
    ///
    /// If `f` panics; the cell stays empty. An `f` that asks the same cell waits for itself,
    /// forever.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
        }
    }

    /// Returns the value; if there is none, the one that `f` makes, if it does.
    ///
    /// # Errors
    ///
    /// That of `f`; the cell stays empty, and the next call tries again.
    ///
    /// # Panics
    ///
    /// Like [`get_or_init`](Self::get_or_init).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn get_or_try_init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        if !self.once.is_completed() {
            self.init(f)?;
        }
        // SAFETY: invariants 2 and 3.
        Ok(unsafe { self.get_unchecked() })
    }

    #[cold]
    fn init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        let mut failed = Ok(());
        self.once.call_once_force(|state| match f() {
            // SAFETY: invariant 1.
            Ok(made) => self.value.with_mut(|value| unsafe {
                (*value).write(made);
            }),
            Err(error) => {
                failed = Err(error);
                state.did_not_happen();
            }
        });
        failed
    }

    /// Returns the value, taken out; the cell is empty again.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_completed() {
            return None;
        }
        self.once = Once::new();
        // SAFETY: it was complete, so there is a value (invariant 2); it is not any more, so nobody
        // reads it twice.
        Some(self.value.with_mut(|value| unsafe { (*value).assume_init_read() }))
    }

    /// Returns the value, if there is one.
    #[inline]
    pub fn into_inner(mut self) -> Option<T> {
        self.take()
    }

    /// # Safety
    ///
    /// The `Once` was seen complete.
    #[inline]
    unsafe fn get_unchecked(&self) -> &T {
        // SAFETY: invariants 2 and 3.
        self.value.with(|value| unsafe { (*value).assume_init_ref() })
    }
}

impl<T> Drop for OnceLock<T> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            drop(self.take());
        }
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> From<T> for OnceLock<T> {
    fn from(value: T) -> Self {
        let cell = Self::new();
        let Ok(()) = cell.set(value) else { unreachable!("nobody else has it") };
        cell
    }
}

impl<T: Clone> Clone for OnceLock<T> {
    fn clone(&self) -> Self {
        self.get().cloned().map_or_else(Self::new, Self::from)
    }
}

impl<T: PartialEq> PartialEq for OnceLock<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for OnceLock<T> {}

/// Never blocks: a cell without a value shows `<empty>`.
impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("OnceLock");
        match self.get() {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<empty>")),
        };
        out.finish()
    }
}
