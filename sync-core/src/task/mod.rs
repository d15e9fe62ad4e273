//! Waiting as a task without a runtime: [`block_on`](fn@block_on), and [`wait_any`](fn@wait_any).

pub(crate) mod block_on;
mod wait_any;

#[doc(hidden)]
pub use self::block_on::{ThreadWaker, with_thread_waker};
pub use self::block_on::{block_on, block_on_deadline, block_on_timeout};
pub use self::wait_any::wait_any;
