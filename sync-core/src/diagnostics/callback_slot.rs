//! A place for one closure of the user's, that anybody may set and take away while others call it.

use std::sync::{Arc, PoisonError, RwLock};

/// The place. A plain lock of `std`: it is held for a copy only, never while the closure runs.
pub(crate) struct Hook<F: ?Sized>(RwLock<Option<Arc<F>>>);

impl<F: ?Sized> Hook<F> {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(None))
    }

    pub(crate) fn set(&self, hook: Arc<F>) {
        let old = self.0.write().unwrap_or_else(PoisonError::into_inner).replace(hook);
        // Dropped after the lock: it is the user's.
        drop(old);
    }

    /// Empties the place: whether there was a hook. A call of it that runs goes on.
    pub(crate) fn take(&self) -> bool {
        let old = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        old.is_some()
    }

    pub(crate) fn get(&self) -> Option<Arc<F>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
