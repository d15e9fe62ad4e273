//! A slot for one closure of the user, which any thread may set or take while other threads call
//! it.

use std::sync::{Arc, PoisonError, RwLock};

use crate::fork::PerProcess;
use crate::user_code;

/// The slot. It is a plain lock of `std`, held only for a copy, never while the closure runs. If a
/// thread of the parent held it at a fork, the slot is empty in the child.
pub(crate) struct CallbackSlot<F: ?Sized>(PerProcess<RwLock<Option<Arc<F>>>>);

impl<F: ?Sized + Send + Sync> CallbackSlot<F> {
    pub(crate) const fn new() -> Self {
        Self(PerProcess::new())
    }

    fn slot(&'static self) -> &'static RwLock<Option<Arc<F>>> {
        self.0.get(|parents| {
            RwLock::new(parents.and_then(|slot| slot.try_read().ok()?.as_ref().map(Arc::clone)))
        })
    }

    /// Replaces the closure. A panic of the old closure's `Drop` reaches the caller, after the lock
    /// was released.
    pub(crate) fn set(&'static self, hook: Arc<F>) {
        let old = self.slot().write().unwrap_or_else(PoisonError::into_inner).replace(hook);
        drop(old);
    }

    /// Empties the slot and returns whether there was a closure. A call of it that runs goes on.
    /// A panic of the closure's `Drop` reaches the caller, after the lock was released.
    pub(crate) fn take(&'static self) -> bool {
        let old = self.slot().write().unwrap_or_else(PoisonError::into_inner).take();
        old.is_some()
    }

    /// Calls `f` with the closure, if there is one, and returns whether there is. A panic of `f`
    /// reaches the caller; a panic of the closure's `Drop`, where this call owns the last
    /// reference, does not.
    pub(crate) fn with(&'static self, f: impl FnOnce(&F)) -> bool {
        /// Disposes of the reference also while `f` unwinds.
        struct Last<F: ?Sized>(Option<Arc<F>>);
        impl<F: ?Sized> Drop for Last<F> {
            fn drop(&mut self) {
                user_code::dispose(self.0.take());
            }
        }
        let copy = Last(self.slot().read().unwrap_or_else(PoisonError::into_inner).clone());
        if let Some(hook) = &copy.0 {
            f(hook);
        }
        copy.0.is_some()
    }

    /// Returns whether there is a closure. A snapshot: it may have changed before the call returns.
    #[cfg(feature = "deadlock")]
    pub(crate) fn is_set(&'static self) -> bool {
        self.slot().read().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}
