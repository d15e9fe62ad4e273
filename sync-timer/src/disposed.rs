//! Values of the user's that any thread may be the last to own.

use core::ops::Deref;

use sync_core::user_code;

/// A clock, an executor or a hook. A panic of its destructor ends here: it may run on the
/// dispatcher's thread or in the drop of a handle, where no caller could handle it. (A panic that
/// leaves a thread with a payload that panics when it is dropped aborts the process.)
pub(crate) struct Disposed<T>(
    /// `None` only while it is dropped.
    Option<T>,
);

impl<T> Disposed<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T> Deref for Disposed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Disposed<T> {
    fn drop(&mut self) {
        user_code::dispose(self.0.take());
    }
}
