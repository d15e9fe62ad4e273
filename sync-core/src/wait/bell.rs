//! A word to sleep on, in an object that is taken apart: a type that is dropped cannot be.

use crate::primitive::atomic::AtomicU32;
use crate::primitive::futex;

/// A word that threads and tasks sleep on.
pub(crate) struct Bell(pub(crate) AtomicU32);

impl Drop for Bell {
    fn drop(&mut self) {
        // The future of a task may have been forgotten.
        futex::retire(&raw const self.0);
    }
}
