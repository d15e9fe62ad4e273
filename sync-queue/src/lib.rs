#![doc = include_str!("../README.md")]

#[macro_use]
mod methods;

mod blocks;
mod cursor;
mod error;
mod fifo;
mod iter;
mod queue;
mod ring;
mod shared;
mod store;
mod task;
mod tasks;
mod wait;

pub use error::{GetError, PutError, ShutDown, TooManyDone};
pub use iter::{Iter, TryIter};
pub use queue::Queue;
pub use task::TaskGuard;
