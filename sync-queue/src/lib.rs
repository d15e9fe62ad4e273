#![doc = include_str!("../README.md")]

#[macro_use]
mod methods;

mod blocks;
pub mod channel;
mod cursor;
mod error;
mod fifo;
mod iter;
mod lifo;
mod locked;
mod pool;
mod priority;
mod queue;
mod ring;
mod shared;
mod simple;
mod spsc;
mod store;
mod task;
mod tasks;
mod waiting;

pub use error::{GetError, PutError, ShutDown, TooManyDone};
pub use iter::{Iter, TryIter};
pub use lifo::LifoQueue;
pub use pool::{
    AsCompleted, BuildError, Builder, InsideWorker, JobError, JobHandle, JobStatus, Map, Scope,
    SubmitError, ThreadPool, Unfinished, Until, Waited, as_completed, wait,
};
pub use priority::PriorityQueue;
pub use queue::Queue;
pub use simple::SimpleQueue;
pub use spsc::{Consumer, Producer, spsc};
pub use task::TaskGuard;
