//! A model checker.

pub mod alloc;
pub mod cell;
mod engine;
pub mod futex;
pub mod future;
pub mod hint;
pub mod lazy_static;
pub mod litmus;
mod macros;
pub mod model;
pub mod sync;
pub mod thread;
pub mod time;

pub use model::{choose, explore, model, skip_branch, stop_exploring};
