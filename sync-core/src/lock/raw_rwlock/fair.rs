//! Fair releases, and pauses of a hold (`bump`): a waiter goes before any newcomer.
//!
//! A fair release sets the reservation (`STARVING`) in the step that frees the lock, if that step
//! wakes a waiter. No newcomer passes a reservation, and the waiters that a release wakes may: a
//! woken writer has slept, and a reader that a writer kept out is entitled (invariant 6). If the
//! waiter that was announced has given up meanwhile, the reservation is stale and costs the next
//! newcomer one `STARVATION_THRESHOLD` (invariant 5).

use super::RawRwLock;
use super::state::{READER, STARVING, UPGRADER, UPGRADING, WAITING, WRITER, WRITERS_WAITING};
use crate::lock::raw_mutex::NotLocked;
use crate::primitive::atomic::Ordering::Relaxed;

impl RawRwLock {
    /// Like [`unlock_read`](Self::unlock_read); if that frees the lock and a thread waits, no
    /// newcomer gets the lock before a waiter.
    ///
    /// # Errors
    ///
    /// Like [`unlock_read`](Self::unlock_read).
    pub fn unlock_read_fair(&self) -> Result<(), NotLocked> {
        self.release_reserving(READER, STARVING)
    }

    /// Like [`unlock_write`](Self::unlock_write); if a thread waits, no newcomer gets the lock
    /// before a waiter.
    ///
    /// # Errors
    ///
    /// Like [`unlock_write`](Self::unlock_write).
    pub fn unlock_write_fair(&self) -> Result<(), NotLocked> {
        self.release_reserving(WRITER, STARVING)
    }

    /// Like [`unlock_upgradable`](Self::unlock_upgradable); if that frees the lock and a thread
    /// waits, no newcomer gets the lock before a waiter.
    ///
    /// # Errors
    ///
    /// Like [`unlock_upgradable`](Self::unlock_upgradable).
    pub fn unlock_upgradable_fair(&self) -> Result<(), NotLocked> {
        self.release_reserving(UPGRADER, STARVING)
    }

    /// Lets a waiting writer in, if there is one, and takes the lock for reading again. One load
    /// if no writer waits.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock for reading; nothing is changed.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read); the lock is not held then.
    #[track_caller]
    pub fn bump_read(&self) -> Result<(), NotLocked> {
        if self.has(WRITERS_WAITING | UPGRADING) {
            self.unlock_read_fair()?;
            self.read();
        }
        Ok(())
    }

    /// Lets the waiters in, if there are any, and takes the lock for writing again. One load if no
    /// thread waits.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock for writing; nothing is changed.
    pub fn bump_write(&self) -> Result<(), NotLocked> {
        if self.has(WAITING) {
            self.unlock_write_fair()?;
            self.write();
        }
        Ok(())
    }

    /// Lets the waiters in, if there are any, and takes the lock as upgradable reader again. One
    /// load if no thread waits.
    ///
    /// # Errors
    ///
    /// [`NotLocked`] if no thread holds the lock as upgradable reader; nothing is changed.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read); the lock is not held then.
    #[track_caller]
    pub fn bump_upgradable(&self) -> Result<(), NotLocked> {
        if self.has(WAITING) {
            self.unlock_upgradable_fair()?;
            self.upgradable_read();
        }
        Ok(())
    }

    fn has(&self, waiting: u32) -> bool {
        // Relaxed: a hint. A waiter that is missed now is seen by the next call, or the release.
        self.state.load(Relaxed) & waiting != 0
    }
}
