//! How a half of a queue learns that the other end is gone: see `halves.rs`.

use std::os::fd::AsFd;

use crate::membership::byte_lock;
use crate::segment::Segment;

/// Where the locks of the halves begin: behind every participant's byte, and every other.
pub(super) const ENDS_LOCKS: u64 = 1 << 40;

/// The other end of a half: the byte that its holders lock.
#[derive(Clone, Debug)]
pub(super) struct OtherEnd(pub(super) u64);

impl OtherEnd {
    /// Returns whether no process holds it. `false` if that could not be found out.
    pub(super) fn is_gone(&self, segment: &Segment) -> bool {
        // Through the description that has no locks: the description of a half does not see its own
        // locks.
        matches!(byte_lock::is_locked(segment.as_fd(), self.0), Ok(false))
    }
}
