//! Facts that an exploration learns about the model while it runs, and begins again with.
//!
//! Some things a thread does are events only if they matter, and whether they matter is known when
//! it is too late: that the references to a value are counted, that a row of loads is a loop that
//! waits. The first time that it turns out the exploration is started again, with the knowledge.
//! There are at most as many restarts as there are places in the model.

use std::hash::{Hash, Hasher};
use std::panic::Location;

/// A thing to know from the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    /// A thread looks at the number of references to the values made at a place, while others
    /// have some: to clone and to drop one is an event.
    Counted(u32),
    /// Equal loads in a row at this place come to an end by themselves.
    Ends(&'static Location<'static>),
    /// They do not: it is a loop that waits for another thread.
    Spins(&'static Location<'static>),
    /// The threads spawned at this place are told apart, so none is taken for another.
    Unlike(&'static Location<'static>),
}

/// A short name of a place, the same in every run of the program.
pub(crate) fn name(site: &Location<'_>) -> u32 {
    let mut hasher = std::hash::DefaultHasher::new();
    (site.file(), site.line(), site.column()).hash(&mut hasher);
    hasher.finish() as u32
}
