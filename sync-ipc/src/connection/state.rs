//! The state of a connection, in each process that uses it.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::{Mutex, MutexGuard};

use crate::error::ConnectionError;

/// The part of a message that has arrived.
#[derive(Default)]
pub(super) struct Incoming {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<OwnedFd>,
    /// There were more descriptors than the caller asked for, or than this process has room for.
    pub(super) lost: bool,
    /// After a message that was too long.
    pub(super) ended: bool,
}

/// The state of one direction of a connection, behind a lock, in each process that uses it.
///
/// A thread of the parent that was inside at a fork is not in the child, and would hold the lock of
/// the child's copy without end; and the state may be half changed. So a child begins with a new
/// state, and never looks at the old one again.
pub(super) struct PerProcess<T> {
    /// Never null. Freed in the process that made it only.
    current: AtomicPtr<Owned<T>>,
}

struct Owned<T> {
    process: ProcessMark,
    state: Mutex<T>,
}

impl<T: Default> PerProcess<T> {
    pub(super) fn new() -> Self {
        Self { current: AtomicPtr::new(Self::fresh()) }
    }

    fn fresh() -> *mut Owned<T> {
        let owned = Owned { process: ProcessMark::current(), state: Mutex::new(T::default()) };
        Box::into_raw(Box::new(owned))
    }

    fn state(&self) -> &Mutex<T> {
        // Acquire: pairs with the Release of the exchange.
        let mut current = self.current.load(Ordering::Acquire);
        // SAFETY: not null, and freed in `drop` only.
        while !unsafe { &(*current).process }.is_current() {
            let fresh = Self::fresh();
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.current.compare_exchange(current, fresh, order.0, order.1) {
                // The old one is the parent's, in whatever state it was: it is never touched again.
                Ok(_) => current = fresh,
                Err(other) => {
                    // SAFETY: made above, and seen by no other thread.
                    drop(unsafe { Box::from_raw(fresh) });
                    current = other;
                }
            }
        }
        // SAFETY: a stored state is never freed; a state of this process is replaced in its
        // children only.
        unsafe { &(*current).state }
    }

    /// Locks the state, waiting for other threads until `deadline`.
    pub(super) fn lock(
        &self,
        deadline: Option<Instant>,
    ) -> Result<MutexGuard<'_, T>, ConnectionError> {
        match deadline {
            None => Ok(self.state().lock()),
            Some(deadline) => {
                self.state().try_lock_until(deadline).ok_or(ConnectionError::TimedOut)
            }
        }
    }
}

impl<T> Drop for PerProcess<T> {
    fn drop(&mut self) {
        let current = *self.current.get_mut();
        // SAFETY: not null, and not yet freed.
        if unsafe { &(*current).process }.is_current() {
            // SAFETY: made by `Box::into_raw` in this process, and no longer borrowed. No part of
            // another process's state may be dropped: it may have been copied half changed.
            drop(unsafe { Box::from_raw(current) });
        }
    }
}
