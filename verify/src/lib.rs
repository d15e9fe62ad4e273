//! See the README.

pub mod litmus;
