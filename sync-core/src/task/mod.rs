//! Waiting as a task: a small [`block_on`](block_on::block_on), and the waker of a thread.

pub(crate) mod block_on;

#[doc(hidden)]
pub use self::block_on::{ThreadWaker, with_thread_waker};
pub use self::block_on::{block_on, block_on_deadline, block_on_timeout};
