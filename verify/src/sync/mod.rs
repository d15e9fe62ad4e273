//! Replacements for `std::sync`.

pub mod atomic;
