//! Cells whose accesses are checked: two of them, one a write, that are not ordered by
//! happens-before are a data race, and fail the model.

#[allow(clippy::module_inception)]
mod cell;
mod unsafe_cell;

pub use cell::Cell;
pub use unsafe_cell::{ConstPtr, MutPtr, UnsafeCell};
