use std::cell::Cell;
use std::sync::{LockResult, PoisonError};

/// Whether a thread panicked while it had a lock for writing.
pub(super) struct Poison(Cell<bool>);

impl Poison {
    pub(super) const fn new() -> Poison {
        Poison(Cell::new(false))
    }

    pub(super) fn is_set(&self) -> bool {
        self.0.get()
    }

    pub(super) fn clear(&self) {
        self.0.set(false);
    }

    /// Returns the guard of the lock, as an error if the lock is poisoned.
    pub(super) fn result<G>(&self, given: G) -> LockResult<G> {
        if self.is_set() { Err(PoisonError::new(given)) } else { Ok(given) }
    }

    /// A guard is dropped. `panicking`: the thread was panicking already when it got the lock.
    pub(super) fn leave(&self, panicking: bool) {
        if !panicking && std::thread::panicking() {
            self.0.set(true);
        }
    }
}
