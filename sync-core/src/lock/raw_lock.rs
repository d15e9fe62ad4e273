//! What guards and condition variables need of a lock. Written once, implemented by every lock of
//! the crate.

use crate::primitive::futex::Deadline;
use crate::sealed::Sealed;

/// A lock without data, as [`Mutex`](crate::Mutex) and its guards use it. Sealed: implemented by
/// the raw locks of this crate.
///
/// # Safety
///
/// Between an acquisition that succeeded and the next `release`, no other acquisition succeeds; and
/// everything that happened before a `release` happens before what follows the next acquisition.
#[doc(hidden)]
pub unsafe trait RawLock: Sealed {
    /// Takes the lock; `false` if the deadline passed first. Never `false` without a deadline.
    fn acquire(&self, deadline: Option<Deadline>) -> bool;

    /// Takes the lock if that is possible at once.
    fn try_acquire(&self) -> bool;

    /// Takes the lock if that is possible at once without overtaking anybody; may fail although it
    /// is.
    fn acquire_at_once(&self) -> bool;

    /// Gives the lock back. The caller holds it.
    fn release(&self);

    /// Gives the lock back, to a waiter if there is one. The caller holds it.
    fn release_fair(&self);

    /// Lets a waiter in, if there is one, and takes the lock again. The caller holds it.
    fn bump(&self);

    /// Whether somebody holds the lock. Old news by the time it is returned.
    fn is_locked(&self) -> bool;
}

/// A guard that [`Condvar`](crate::Condvar) can let go of and take again. Sealed: implemented by
/// the guards of this crate.
pub trait WaitGuard: Sealed {
    /// Releases the lock, however often it is held; returns how often.
    #[doc(hidden)]
    fn release_all(&mut self) -> u32;

    /// Takes the lock again, as often as [`release_all`](Self::release_all) said.
    #[doc(hidden)]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    fn reacquire(&mut self, depth: u32);
}
