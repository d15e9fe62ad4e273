#![doc = include_str!("../README.md")]

#[macro_use]
mod methods;

mod blocks;
mod cursor;
mod error;
mod fifo;
mod iter;
mod lifo;
mod locked;
mod priority;
mod queue;
mod ring;
mod shared;
mod simple;
mod store;
mod task;
mod tasks;
mod wait;

pub use error::{GetError, PutError, ShutDown, TooManyDone};
pub use iter::{Iter, TryIter};
pub use lifo::LifoQueue;
pub use priority::PriorityQueue;
pub use queue::Queue;
pub use simple::SimpleQueue;
pub use task::TaskGuard;
