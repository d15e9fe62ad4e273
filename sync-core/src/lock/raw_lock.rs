//! The traits through which guards and condition variables use a lock. Every lock of the crate
//! implements them.

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
    /// Takes the lock. Returns `false` if the deadline passed first; never without a deadline.
    fn acquire(&self, deadline: Option<Deadline>) -> bool;

    /// Takes the lock if that is possible at once.
    fn try_acquire(&self) -> bool;

    /// Takes the lock if that is possible at once without overtaking a waiter. May fail although
    /// the lock is free.
    fn acquire_at_once(&self) -> bool;

    /// Releases the lock.
    ///
    /// # Safety
    ///
    /// The lock is held, and the caller owns that hold: no guard that lives represents it.
    unsafe fn release(&self);

    /// Releases the lock, to a waiter if there is one.
    ///
    /// # Safety
    ///
    /// Like [`release`](Self::release).
    unsafe fn release_fair(&self);

    /// Lets a waiter in, if there is one, and takes the lock again.
    ///
    /// # Safety
    ///
    /// As [`release`](Self::release); a guard that represents the hold is not used meanwhile.
    unsafe fn bump(&self);

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    fn is_locked(&self) -> bool;
}

/// A guard that a [`Condvar`](crate::Condvar) can release and take again. Sealed: implemented by
/// the guards of this crate that read the place of the data again after the wait. So no mapped
/// guard implements it: it points into data that other threads may replace during the wait.
///
/// Its methods are not for users: they are unsafe, because they release a lock under a guard that
/// lives.
pub trait WaitGuard: Sealed {
    /// Releases all holds of the lock and returns their number.
    ///
    /// # Safety
    ///
    /// The guard is neither used nor dropped before [`reacquire`](Self::reacquire) has returned,
    /// and nothing unwinds in between.
    #[doc(hidden)]
    unsafe fn release_all(&mut self) -> u32;

    /// Takes the lock again, `depth` times: the number that [`release_all`](Self::release_all)
    /// returned.
    ///
    /// # Safety
    ///
    /// `depth` comes from the last `release_all` of this guard, which this call ends.
    #[doc(hidden)]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    unsafe fn reacquire(&mut self, depth: u32);
}
