//! The behaviour of the crate, also when a process dies.
#![cfg(target_os = "linux")]

#[path = "../support/namespace.rs"]
mod namespace;
#[path = "../support/processes.rs"]
mod processes;

mod barrier;
mod byte_queue;
mod condvar;
mod connection;
mod environment;
mod errors;
mod event;
mod in_place;
mod liveness;
mod mutex;
mod names;
mod queue;
mod readiness;
mod reentrant;
mod rwlock;
mod segment;
mod semaphore;
mod shared_memory;
mod signals;
mod sources;
mod steps;
mod surroundings;
mod types;
mod value;
