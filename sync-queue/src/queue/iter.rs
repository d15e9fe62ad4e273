//! Iterators over what a queue hands out.

/// The items of a queue, waiting for each; ends when the queue has been shut down and nothing is
/// left.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct Iter<'a, Q> {
    pub(crate) queue: &'a Q,
}

/// The items of a queue, until there is none at the moment.
#[derive(Debug)]
#[must_use = "an iterator does nothing until it is asked"]
pub struct TryIter<'a, Q> {
    pub(crate) queue: &'a Q,
}
