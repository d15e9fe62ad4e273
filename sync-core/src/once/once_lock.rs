//! A value that is written once, by the first thread that calls.
//!
//! The algorithm is in `once.rs`. Invariants that follow from it:
//!
//! 1. The cell is written only by the closure that [`Once`] runs, of which one runs at a time, and
//!    none after the `Once` has completed; or by a thread that has exclusive access to the lock
//!    (`&mut self`).
//! 2. It holds a value exactly if the `Once` is complete.
//! 3. A thread that has seen the `Once` complete sees the value (by its Acquire), and may read it
//!    until a thread gets exclusive access to the lock.

use core::convert::Infallible;
use core::fmt;
use core::marker::PhantomData;
use core::mem::{self, MaybeUninit};
use core::panic::{RefUnwindSafe, UnwindSafe};

use crate::once::once::{Changed, Once, OnceState};
use crate::primitive::{cell::UnsafeCell, const_new};

/// A cell that is written once and then read by all threads without a lock: one load.
///
/// It behaves like [`std::sync::OnceLock`]. A closure that panics leaves it empty and not poisoned:
/// the next closure tries again.
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
/// Everything that the writing thread did before it wrote the value happens before the return of
/// every call that observes the value.
///
/// # Source of the algorithm
///
/// The algorithm of [`Once`].
pub struct OnceLock<T> {
    once: Once,
    value: UnsafeCell<MaybeUninit<T>>,
    /// Marks that the cell owns a `T`.
    owns: PhantomData<T>,
}

// SAFETY: to share the lock is to share the value, and any thread may put in a value that another
// thread takes out: hence both bounds.
unsafe impl<T: Send + Sync> Sync for OnceLock<T> {}
// SAFETY: to move the lock is to move the value.
unsafe impl<T: Send> Send for OnceLock<T> {}
impl<T: RefUnwindSafe + UnwindSafe> RefUnwindSafe for OnceLock<T> {}
impl<T: UnwindSafe> UnwindSafe for OnceLock<T> {}

impl<T> OnceLock<T> {
    const_new! {
        /// Creates an empty cell.
        pub const fn new() -> Self {
            let value = UnsafeCell::new(MaybeUninit::uninit());
            Self { once: Once::new(), value, owns: PhantomData }
        }
    }

    /// Returns the value, if there is one. Never blocks.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: invariants 2 and 3.
        self.once.is_completed().then(|| unsafe { self.get_unchecked() })
    }

    /// Returns the value, if there is one; this call borrows the cell exclusively.
    #[inline]
    pub fn get_mut(&mut self) -> Option<&mut T> {
        // SAFETY: invariant 2; `&mut self`: there is no other user.
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

    /// Writes the value. If another thread is writing a value, waits for that thread.
    ///
    /// # Errors
    ///
    /// The given value, if the cell has a value already.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn set(&self, value: T) -> Result<(), T> {
        self.try_insert(value).map(|_| ()).map_err(|(_, value)| value)
    }

    /// Writes the value and returns it. If another thread is writing a value, waits for that
    /// thread.
    ///
    /// # Errors
    ///
    /// The value that the cell has already, and the given value.
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

    /// Returns the value, and makes it with `f` if there is none. If another thread is making a
    /// value, waits for that thread instead.
    ///
    /// # Panics
    ///
    /// If `f` panics; the cell stays empty. An `f` that calls this method of the same cell waits
    /// for itself, forever.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn get_or_init(&self, f: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, Infallible>(f())) {
            Ok(value) => value,
        }
    }

    /// Returns the value, and makes it with `f` if there is none, unless `f` fails.
    ///
    /// # Errors
    ///
    /// The error of `f`; the cell stays empty, and the next call tries again.
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

    /// Waits until another thread or task has written the value, as a task.
    ///
    /// Cancel-safe: a wait that is dropped has no effect.
    ///
    /// ```
    /// use sync_core::{OnceLock, task::block_on};
    ///
    /// static ADDRESS: OnceLock<u32> = OnceLock::new();
    /// std::thread::spawn(|| ADDRESS.set(7));
    /// assert_eq!(block_on(ADDRESS.wait_async()), &7);
    /// ```
    pub async fn wait_async(&self) -> &T {
        if !self.once.is_completed() {
            self.once.begin_async(false).await;
        }
        // SAFETY: invariants 2 and 3.
        unsafe { self.get_unchecked() }
    }

    /// Returns the value, and makes it with the future of `f` if there is none. If another thread
    /// or task is making a value, waits for that instead.
    ///
    /// Cancel-safe: if the future is dropped while it makes the value, the cell stays empty, and
    /// another waiter makes one. While a future that makes the value is kept and not polled, all
    /// others wait for it: see [`task`](crate::task).
    ///
    /// ```
    /// use sync_core::{OnceLock, task::block_on};
    ///
    /// static CONFIG: OnceLock<String> = OnceLock::new();
    ///
    /// let config = block_on(CONFIG.get_or_init_async(|| async { String::from("from afar") }));
    /// assert_eq!(config, "from afar");
    /// ```
    ///
    /// # Panics
    ///
    /// If `f` or its future panics; the cell stays empty.
    pub async fn get_or_init_async<F: Future<Output = T>>(&self, f: impl FnOnce() -> F) -> &T {
        let made = self.get_or_try_init_async(|| async { Ok::<T, Infallible>(f().await) }).await;
        match made {
            Ok(value) => value,
        }
    }

    /// Like [`get_or_init_async`](Self::get_or_init_async), unless the future fails.
    ///
    /// # Errors
    ///
    /// The error of the future; the cell stays empty, and the next call tries again.
    ///
    /// # Panics
    ///
    /// Like [`get_or_init_async`](Self::get_or_init_async).
    pub async fn get_or_try_init_async<E, F: Future<Output = Result<T, E>>>(
        &self,
        f: impl FnOnce() -> F,
    ) -> Result<&T, E> {
        if !self.once.is_completed() {
            if let Some(running) = self.once.begin_async(true).await {
                let made = f().await?;
                self.value.with_mut(|value| {
                    // SAFETY: invariant 1: this task runs as the closure of the `Once`.
                    unsafe { (*value).write(made) };
                });
                running.complete();
            }
        }
        // SAFETY: invariants 2 and 3.
        Ok(unsafe { self.get_unchecked() })
    }

    /// Like [`get_or_try_init`](Self::get_or_try_init), with `wait` in the place of the sleep: it
    /// returns the next state of the `Once`, or `None` to give up.
    pub(crate) fn get_or_try_init_by<E>(
        &self,
        f: impl FnOnce() -> Result<T, E>,
        wait: impl Fn(Changed<'_>) -> Option<u32>,
    ) -> Option<Result<&T, E>> {
        let mut failed = Ok(());
        let done = self.once.call_once_force_by(|state| failed = self.make(f, state), wait);
        match failed {
            Err(error) => Some(Err(error)),
            // SAFETY: invariants 2 and 3: the closure has run.
            Ok(()) => done.then(|| Ok(unsafe { self.get_unchecked() })),
        }
    }

    #[cold]
    fn init<E>(&self, f: impl FnOnce() -> Result<T, E>) -> Result<(), E> {
        let mut failed = Ok(());
        self.once.call_once_force(|state| failed = self.make(f, state));
        failed
    }

    /// Makes the value, as the closure of the `Once`.
    #[inline]
    fn make<E>(&self, f: impl FnOnce() -> Result<T, E>, state: &OnceState) -> Result<(), E> {
        match f() {
            Ok(made) => {
                // SAFETY: invariant 1.
                self.value.with_mut(|value| unsafe {
                    (*value).write(made);
                });
                Ok(())
            }
            Err(error) => {
                state.did_not_happen();
                Err(error)
            }
        }
    }

    /// Takes the value out and returns it; the cell is empty again.
    #[inline]
    pub fn take(&mut self) -> Option<T> {
        if !self.once.is_completed() {
            return None;
        }
        self.once = Once::new();
        // SAFETY: it was complete, so there is a value (invariant 2); it is not any more, so the
        // value is not read twice.
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
        let Ok(()) = cell.set(value) else { unreachable!("no other thread has the cell") };
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
