//! Wait queues: locations all of whose events are read-modify-writes of the queue.

use super::event::Id;
use super::graph::Graph;

/// Computes what a queue event gets out of the queue.
pub(super) fn evaluate(_g: &mut Graph, _id: Id) {}

/// How many ways there are for a queue event to choose its tickets.
pub(super) fn choices(_g: &Graph, _id: Id) -> u32 {
    1
}

/// The lowest place that the comparison of a futex wait may read from.
pub(super) fn compare_floor(_g: &Graph, _id: Id) -> u32 {
    0
}
