//! Each object next to a naive one that cannot be wrong, through random operations.
#![cfg(target_os = "linux")]

mod connection;
mod objects;
mod parts;
mod queue;
mod rwlock;
mod segment;
mod semaphore;
mod shared_memory;
mod value;
