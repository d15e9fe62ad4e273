//! A value that is made when it is first asked for.
//!
//! The algorithm is in `once.rs`. What it gives this file:
//!
//! 1. The cell is written only by the closure that [`Once`] runs, of which there is one at a time
//!    and none after it has completed.
//! 2. It holds the function while the `Once` is incomplete, the value once it is complete, and
//!    nothing if it is poisoned: the function took part in the panic, and there is no second one.
//!    While the closure runs, the function has been taken out and the value is not there yet; it
//!    ends complete or poisoned.
//! 3. Who has seen it complete sees the value (its Acquire).

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::once::once::Once;
use crate::primitive::{cell::UnsafeCell, const_new};

const POISONED: &str = "the function of this LazyLock has panicked";

union Data<T, F> {
    function: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
}

/// A value that is made by a function when it is first looked at, by whichever thread; the others
/// wait for it.
///
/// It means what [`std::sync::LazyLock`] means. A function that panics poisons it: there is no
/// second one to try.
///
/// # Examples
///
/// ```
/// use sync_core::LazyLock;
///
/// static PRIMES: LazyLock<Vec<u32>> = LazyLock::new(|| (2..100).filter(|n| (2..*n).all(|d| n % d != 0)).collect());
///
/// assert_eq!(PRIMES.len(), 25);
/// ```
///
/// # Panics
///
/// Looking at it panics if the function panicked, then or before.
///
/// # Memory ordering
///
/// Everything that the function did happens before every look that finds the value.
///
/// # Source of the algorithm
///
/// That of [`Once`].
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    data: UnsafeCell<Data<T, F>>,
}

// SAFETY: sharing the lock shares the value, and any thread may run the function and so make a
// value that another drops: hence the bounds. The function itself is never shared.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}
// SAFETY: moving the lock is moving what it holds.
unsafe impl<T: Send, F: Send> Send for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    const_new! {
        /// A value that `function` will make.
        pub const fn new(function: F) -> Self {
            Self { once: Once::new(), data: UnsafeCell::new(Data { function: ManuallyDrop::new(function) }) }
        }
    }

    /// Returns the value, made now if it is not there; if another thread is making it, waits for
    /// that.
    ///
    /// A function that looks at the value it is making waits for itself, forever.
    ///
    /// # Panics
    ///
    /// If the function panics, or has panicked.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        this.once.call_once_or(POISONED, || {
            // SAFETY: invariants 1 and 2: the `Once` was incomplete, so the function is there, and
            // nobody takes it out again.
            let function =
                this.data.with_mut(|data| unsafe { ManuallyDrop::take(&mut (*data).function) });
            let value = ManuallyDrop::new(function());
            // SAFETY: invariant 1. What was there was taken out above.
            this.data.with_mut(|data| unsafe { (*data).value = value });
        });
        // SAFETY: invariants 2 and 3.
        this.data.with(|data| unsafe { &*(*data).value })
    }

    /// Returns the value, made now if it is not there; this call borrows the lock exclusively.
    ///
    /// # Panics
    ///
    /// Like [`force`](Self::force).
    #[inline]
    #[track_caller]
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        // SAFETY: invariant 2; `&mut self`: there is nobody else.
        this.data.with_mut(|data| unsafe { &mut *(*data).value })
    }

    /// Returns the value, or the function if nobody has asked for the value.
    ///
    /// # Errors
    ///
    /// The function.
    ///
    /// # Panics
    ///
    /// If the function has panicked.
    #[track_caller]
    pub fn into_inner(this: Self) -> Result<T, F> {
        let mut this = ManuallyDrop::new(this);
        assert!(!this.once.is_poisoned(), "{POISONED}");
        let complete = this.once.is_completed();
        // SAFETY: invariant 2; the lock is not dropped, so what is taken out here is taken out
        // once.
        this.data.with_mut(|data| unsafe {
            if complete {
                Ok(ManuallyDrop::take(&mut (*data).value))
            } else {
                Err(ManuallyDrop::take(&mut (*data).function))
            }
        })
    }
}

impl<T, F> LazyLock<T, F> {
    /// Returns the value, if it is there already. Never blocks.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        // SAFETY: invariants 2 and 3.
        this.once.is_completed().then(|| this.data.with(|data| unsafe { &*(*data).value }))
    }
}

impl<T, F> Drop for LazyLock<T, F> {
    fn drop(&mut self) {
        if self.once.is_poisoned() {
            return;
        }
        let complete = self.once.is_completed();
        // SAFETY: invariant 2; `&mut self`: nobody is running the function.
        self.data.with_mut(|data| unsafe {
            if complete {
                ManuallyDrop::drop(&mut (*data).value);
            } else {
                ManuallyDrop::drop(&mut (*data).function);
            }
        });
    }
}

impl<T, F: FnOnce() -> T> Deref for LazyLock<T, F> {
    type Target = T;
    #[inline]
    #[track_caller]
    fn deref(&self) -> &T {
        Self::force(self)
    }
}

impl<T, F: FnOnce() -> T> DerefMut for LazyLock<T, F> {
    #[inline]
    #[track_caller]
    fn deref_mut(&mut self) -> &mut T {
        Self::force_mut(self)
    }
}

impl<T: Default> Default for LazyLock<T> {
    fn default() -> Self {
        Self::new(T::default)
    }
}

/// Never blocks and never runs the function: a value that is not there shows `<not yet>`.
impl<T: fmt::Debug, F> fmt::Debug for LazyLock<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_tuple("LazyLock");
        match Self::get(self) {
            Some(value) => out.field(value),
            None => out.field(&format_args!("<not yet>")),
        };
        out.finish()
    }
}
