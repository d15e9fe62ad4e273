//! The errors of barriers, semaphores, arrays and lists.

use core::fmt;

use crate::raw::barrier::Failed;

/// Why a party did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier is broken: another party timed out, aborted, or died after it arrived; or the
    /// barrier was reset while this party waited.
    Broken,
    /// This party timed out, and broke the barrier.
    TimedOut,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
    /// A stopped process keeps the barrier from being aborted or reset: it was about to do
    /// something else to it.
    Busy,
}

impl From<Failed> for BarrierError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Broken => Self::Broken,
            Failed::TimedOut => Self::TimedOut,
            Failed::NotAttached => Self::NotAttached,
            Failed::Busy => Self::Busy,
        }
    }
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "the barrier is broken",
            Self::TimedOut => {
                "the time was up before all parties arrived; the barrier is broken now"
            }
            Self::NotAttached => {
                "this forked process could not become a participant of the segment"
            }
            Self::Busy => "a stopped process holds the barrier's lock",
        })
    }
}

impl std::error::Error for BarrierError {}

/// [`BoundedSemaphore::release`](crate::BoundedSemaphore::release) was called when no permit had been forgotten, or
/// [`Semaphore::add_permits`](crate::Semaphore::add_permits) when there was no room for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyReleases;

impl fmt::Display for TooManyReleases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the semaphore was released more often than it can be")
    }
}

impl std::error::Error for TooManyReleases {}

/// An index or a range that is not inside an array, or a slice of another length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfRange;

impl fmt::Display for OutOfRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("index out of range")
    }
}

impl std::error::Error for OutOfRange {}

/// Why an item of a [`ShareableList`](crate::ShareableList) was not read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListError {
    /// No such item.
    OutOfRange,
    /// The new value needs more bytes than its place has.
    TooLong,
    /// Its writer died in the middle, or a peer scribbled over it. Write it again.
    Torn,
    /// The list's lock could not be acquired within a second: a stopped process holds it.
    Locked,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OutOfRange => "index out of range",
            Self::TooLong => "the value needs more bytes than its place has",
            Self::Torn => "the item is half written",
            Self::Locked => "the list's lock cannot be had",
        })
    }
}

impl std::error::Error for ListError {}
