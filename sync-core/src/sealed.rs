//! Keeps the traits of this crate to this crate.

/// A supertrait that other crates cannot name.
pub trait Sealed {}
