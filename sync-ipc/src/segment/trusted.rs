//! The one promise of trust: a segment whose other participants keep to the protocol.

use super::Segment;

/// A [`Segment`] of which the program has promised that all processes that write to it keep to this
/// crate's protocol. From [`Segment::trusting_peers`]; [`InPlaceQueue`](crate::InPlaceQueue) needs
/// it.
#[derive(Clone, Debug)]
pub struct TrustedSegment(Segment);

impl TrustedSegment {
    /// The segment, for everything that needs no trust.
    #[must_use]
    pub fn segment(&self) -> &Segment {
        &self.0
    }
}

impl Segment {
    /// Promises that the other processes that have this segment can be trusted, so that items are
    /// written and read in place, without copies.
    ///
    /// Everything else in this crate needs no such promise: without it a hostile or broken peer can
    /// spoil data, and nothing more.
    ///
    /// # Safety
    ///
    /// For as long as a handle to the segment, or to an object that was opened through the result,
    /// exists in this process:
    ///
    /// * Every process that has the segment accesses its memory by this crate alone, in the same
    ///   version, and itself breaks no promise of an `unsafe` function.
    /// * No such process is taken for dead while it lives: it closes no descriptor that it does not
    ///   know (`close_range`), and no identity comes back that a stopped process still uses (see
    ///   the README, "Limits").
    /// * A child that this process forks does not use loans and in-place leases that its parent
    ///   held at the fork.
    #[must_use]
    pub unsafe fn trusting_peers(self) -> TrustedSegment {
        TrustedSegment(self)
    }
}
