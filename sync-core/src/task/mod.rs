//! Waiting as a task without a runtime: [`block_on`](fn@block_on), [`wait_any`](fn@wait_any)
//! and [`join_all`](fn@join_all).

pub(crate) mod block_on;
mod join_all;
mod wait_any;

#[doc(hidden)]
pub use self::block_on::{ThreadWaker, with_thread_waker};
pub use self::block_on::{block_on, block_on_deadline, block_on_timeout};
pub use self::join_all::join_all;
pub use self::wait_any::wait_any;
#[doc(hidden)]
pub use crate::wait::alarm::Alarm;
