//! A value that is made at its first use.
//!
//! The algorithm is in `once.rs`. Invariants that follow from it:
//!
//! 1. The cell is written only by the closure that [`Once`] runs, of which one runs at a time, and
//!    none after the `Once` has completed.
//! 2. The cell holds the function while the `Once` is incomplete, the value when it is complete,
//!    and nothing if it is poisoned: the panicking call consumed the function. While the closure
//!    runs, the function has been taken out and the value is not written yet; the `Once` then
//!    becomes complete or poisoned.
//! 3. A thread that has seen the `Once` complete sees the value (by its Acquire).

use core::fmt;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::once::once::{Changed, Once, OnceStatus};
use crate::primitive::{cell::UnsafeCell, const_new};

const POISONED: &str = "the function of this LazyLock has panicked";

union Data<T, F> {
    function: ManuallyDrop<F>,
    value: ManuallyDrop<T>,
}

/// A value that a function makes at its first use, on whichever thread that is. Other threads wait
/// for it.
///
/// It behaves like [`std::sync::LazyLock`]. A function that panics poisons it, because there is no
/// second function to try.
///
/// # Examples
///
/// ```
/// use sync_core::LazyLock;
///
/// static PRIMES: LazyLock<Vec<u32>> =
///     LazyLock::new(|| (2..100).filter(|n| (2..*n).all(|d| n % d != 0)).collect());
///
/// assert_eq!(PRIMES.len(), 25);
/// ```
///
/// # Panics
///
/// An access panics if the function panics, or has panicked before.
///
/// # Memory ordering
///
/// Everything that the function did happens before every access that returns the value.
///
/// # Source of the algorithm
///
/// The algorithm of [`Once`].
pub struct LazyLock<T, F = fn() -> T> {
    once: Once,
    data: UnsafeCell<Data<T, F>>,
}

// SAFETY: to share the lock is to share the value, and any thread may run the function and so make
// a value that another thread drops: hence the bounds. The function itself is never shared.
unsafe impl<T: Send + Sync, F: Send> Sync for LazyLock<T, F> {}
// SAFETY: to move the lock is to move the function or the value in it.
unsafe impl<T: Send, F: Send> Send for LazyLock<T, F> {}
impl<T: RefUnwindSafe + UnwindSafe, F: UnwindSafe> RefUnwindSafe for LazyLock<T, F> {}
impl<T: UnwindSafe, F: UnwindSafe> UnwindSafe for LazyLock<T, F> {}

impl<T, F: FnOnce() -> T> LazyLock<T, F> {
    const_new! {
        /// Creates a lock whose value `function` makes later.
        pub const fn new(function: F) -> Self {
            let data = Data { function: ManuallyDrop::new(function) };
            Self { once: Once::new(), data: UnsafeCell::new(data) }
        }
    }

    /// Returns the value, and makes it first if it does not exist. If another thread is making it,
    /// waits for that thread.
    ///
    /// A function that uses the value it is making waits for itself, forever.
    ///
    /// # Panics
    ///
    /// If the function panics, or has panicked.
    #[inline]
    #[track_caller]
    pub fn force(this: &Self) -> &T {
        // SAFETY: the closure of the `Once` is this one, here and in `force_by`.
        this.once.call_once_or(POISONED, || unsafe { Self::make(this) });
        // SAFETY: invariants 2 and 3.
        this.data.with(|data| unsafe { &*(*data).value })
    }

    /// Like [`force`](Self::force), with `wait` in the place of the sleep: it returns the next
    /// state of the `Once`, or `None` to give up.
    #[track_caller]
    pub(crate) fn force_by(this: &Self, wait: impl Fn(Changed<'_>) -> Option<u32>) -> Option<&T> {
        // SAFETY: the closure of the `Once` is this one, here and in `force`.
        let done = this.once.call_once_by(Some(POISONED), || unsafe { Self::make(this) }, wait);
        // SAFETY: invariants 2 and 3.
        done.then(|| this.data.with(|data| unsafe { &*(*data).value }))
    }

    /// Makes the value.
    ///
    /// # Safety
    ///
    /// It is the closure of the `Once`.
    #[inline]
    unsafe fn make(this: &Self) {
        // SAFETY: invariants 1 and 2: the `Once` was incomplete, so the function is in the cell,
        // and no other thread takes it out.
        let function =
            this.data.with_mut(|data| unsafe { ManuallyDrop::take(&mut (*data).function) });
        let value = ManuallyDrop::new(function());
        // SAFETY: invariant 1. The function was taken out of the cell before.
        this.data.with_mut(|data| unsafe { (*data).value = value });
    }

    /// Returns the value, and makes it first if it does not exist; this call borrows the lock
    /// exclusively.
    ///
    /// # Panics
    ///
    /// Like [`force`](Self::force).
    #[inline]
    #[track_caller]
    pub fn force_mut(this: &mut Self) -> &mut T {
        Self::force(this);
        // SAFETY: invariant 2; `&mut self`: there is no other user.
        this.data.with_mut(|data| unsafe { &mut *(*data).value })
    }

    /// Returns the value, or the function if the value was never used.
    ///
    /// # Errors
    ///
    /// The function.
    ///
    /// # Panics
    ///
    /// If the function has panicked; in the child of a `fork` also if a thread of the parent was
    /// running it.
    #[track_caller]
    pub fn into_inner(this: Self) -> Result<T, F> {
        let this = ManuallyDrop::new(this);
        let complete = match this.once.state() {
            OnceStatus::Done => true,
            OnceStatus::New => false,
            OnceStatus::Poisoned => panic!("{POISONED}"),
            // As in `drop`: neither a function nor a value is in the cell.
            OnceStatus::InProgress => panic!("the parent of this process runs the function"),
        };
        // SAFETY: invariant 2; the lock is not dropped, so the content is taken out only once.
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
    /// Returns the value, if it exists already. Never blocks.
    #[inline]
    pub fn get(this: &Self) -> Option<&T> {
        // SAFETY: invariants 2 and 3.
        this.once.is_completed().then(|| this.data.with(|data| unsafe { &*(*data).value }))
    }
}

impl<T, F> Drop for LazyLock<T, F> {
    fn drop(&mut self) {
        // SAFETY: invariant 2; `&mut self`: no thread is running the function.
        self.data.with_mut(|data| unsafe {
            match self.once.state() {
                OnceStatus::Done => ManuallyDrop::drop(&mut (*data).value),
                OnceStatus::New => ManuallyDrop::drop(&mut (*data).function),
                // In the child of a fork a thread of the parent has taken the function out, and may
                // be in the middle of the value: what is in the cell is not touched.
                OnceStatus::Poisoned | OnceStatus::InProgress => {}
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

/// Never blocks and never runs the function: a value that does not exist shows `<not yet>`.
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
