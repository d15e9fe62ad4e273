#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer;
pub mod channel;
mod pool;
mod queue;
mod spsc;
mod wait;

pub use pool::{
    AsCompleted, BuildError, Builder, InsideWorker, JobError, JobFuture, JobHandle, JobStatus, Map,
    MapAhead, Scope, SubmitError, ThreadPool, Unfinished, Until, Waited, as_completed, wait,
    wait_async, wait_or_cancelled,
};
pub use queue::error::{GetCancelError, GetError, PutCancelError, PutError, ShutDown, TooManyDone};
pub use queue::fifo::Queue;
pub use queue::iter::{Iter, TryIter};
pub use queue::lifo::LifoQueue;
pub use queue::priority::PriorityQueue;
pub use queue::simple::SimpleQueue;
pub use queue::task_guard::TaskGuard;
pub use spsc::{Consumer, Producer, spsc};
