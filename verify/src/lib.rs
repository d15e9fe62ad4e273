//! A model checker.

mod engine;
pub mod hint;
pub mod litmus;
pub mod model;
pub mod sync;
pub mod thread;

pub use model::model;
