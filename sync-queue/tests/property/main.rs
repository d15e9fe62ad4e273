//! Random programs, run on the queues and on naive oracles: the answers must be the same.

mod orders;
mod queue;
mod select;
mod task;
