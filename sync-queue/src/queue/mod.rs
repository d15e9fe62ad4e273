//! The blocking queues.

#[macro_use]
mod api;

pub(crate) mod blocking;
pub(crate) mod error;
pub(crate) mod fifo;
pub(crate) mod iter;
pub(crate) mod lifo;
pub(crate) mod priority;
pub(crate) mod simple;
pub(crate) mod task_counter;
pub(crate) mod task_guard;
