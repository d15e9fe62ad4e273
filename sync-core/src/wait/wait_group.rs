//! A count of threads, one for each clone, and a wait until all clones are gone.
//!
//! # Source
//!
//! Go's `sync.WaitGroup` with the ownership of crossbeam's: each [`WaitGroup`] counts exactly once,
//! for as long as it exists. It contains a [`Latch`] whose count may also go up.
//!
//! # Invariants
//!
//! 1. The count is the number of the `WaitGroup`s that exist, minus those that wait. It goes up
//!    only through a `WaitGroup` that exists, so never from zero, and the latch's own invariants
//!    hold.
//! 2. A wait that times out is counted again and returns the group to its caller. If the count has
//!    reached zero by then, it is not counted: the wait has succeeded.
//!
//! # Orderings
//!
//! The orderings are those of [`Latch`]: what happened before a clone was dropped happens before
//! the return of every wait.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::primitive::futex::Deadline;
use crate::wait::latch::Latch;

/// A group of threads, each with a clone of it. [`wait`](Self::wait) returns when all other threads
/// are done.
///
/// # Examples
///
/// ```
/// use sync_core::WaitGroup;
///
/// let group = WaitGroup::new();
/// for _ in 0..3 {
///     let group = group.clone();
///     std::thread::spawn(move || {
///         // ... work ...
///         group.done();
///     });
/// }
/// group.wait();
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a clone was dropped happens before the return of every wait.
///
/// # Source of the algorithm
///
/// A [`Latch`] that counts the clones; the invariants are at the top of `wait_group.rs`.
pub struct WaitGroup {
    others: Arc<Latch>,
}

impl WaitGroup {
    /// Creates a group of one member.
    #[must_use]
    pub fn new() -> Self {
        Self { others: Arc::new(Latch::new(1)) }
    }

    /// Leaves the group: the same as dropping it.
    pub fn done(self) {}

    /// Leaves the group and sleeps until every other member has left it or waits.
    pub fn wait(self) {
        let others = Arc::clone(&self.others);
        drop(self);
        others.wait();
    }

    /// Like [`wait`](Self::wait), as a task.
    ///
    /// Cancel-safe: the group is left at the first poll, or by the drop of a future that was not
    /// polled.
    ///
    /// ```
    /// use sync_core::{WaitGroup, task::block_on};
    ///
    /// let group = WaitGroup::new();
    /// let member = group.clone();
    /// std::thread::spawn(move || drop(member));
    /// block_on(group.wait_async());
    /// ```
    pub async fn wait_async(self) {
        let others = Arc::clone(&self.others);
        drop(self);
        others.wait_async().await;
    }

    /// Like [`wait`](Self::wait), for at most `timeout`. A timeout too long for the clock means
    /// forever.
    ///
    /// # Errors
    ///
    /// The group itself, as it was, if the time was up first.
    #[doc(alias = "wait_for")]
    pub fn wait_timeout(self, timeout: Duration) -> Result<(), Self> {
        self.wait_by(Deadline::after(timeout))
    }

    /// The former name of [`wait_timeout`](Self::wait_timeout), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_for(self, timeout: Duration) -> Result<(), Self> {
        self.wait_timeout(timeout)
    }

    /// Like [`wait_timeout`](Self::wait_timeout), until `deadline` at most.
    ///
    /// # Errors
    ///
    /// Like [`wait_timeout`](Self::wait_timeout).
    #[doc(alias = "wait_until")]
    pub fn wait_deadline(self, deadline: Instant) -> Result<(), Self> {
        self.wait_by(Deadline::at(deadline))
    }

    /// The former name of [`wait_deadline`](Self::wait_deadline), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_until(self, deadline: Instant) -> Result<(), Self> {
        self.wait_deadline(deadline)
    }

    /// Returns the number of members that are not done and do not wait. A snapshot: it may have
    /// changed before the call returns.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.others.count()
    }

    fn wait_by(self, deadline: Option<Deadline>) -> Result<(), Self> {
        let others = Arc::clone(&self.others);
        drop(self);
        // Invariant 2: a wait that timed out is counted again.
        if !others.wait_by(deadline) && others.try_count_up() {
            Err(Self { others })
        } else {
            Ok(())
        }
    }
}

impl Clone for WaitGroup {
    /// Adds one member to the group.
    ///
    /// # Panics
    ///
    /// If there are 2^31 - 1 members already.
    fn clone(&self) -> Self {
        let counted = self.others.try_count_up();
        debug_assert!(counted, "this one is counted, so the count is not zero");
        Self { others: Arc::clone(&self.others) }
    }
}

impl Drop for WaitGroup {
    fn drop(&mut self) {
        self.others.count_down(1);
    }
}

impl Default for WaitGroup {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for WaitGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WaitGroup").field("count", &self.count()).finish()
    }
}
