//! A build without procspawn and mitosis.

use crate::compare::subject::Contestant;

/// There is no program to start.
pub fn init() {}

pub(super) fn procspawn_spawn() -> Option<Contestant> {
    None
}

pub(super) fn mitosis_spawn() -> Option<Contestant> {
    None
}

pub(super) fn procspawn_apply() -> Option<Contestant> {
    None
}
