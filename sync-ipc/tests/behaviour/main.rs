//! The behaviour of the crate, also when a process dies.

#[cfg(target_os = "linux")]
#[path = "../support/processes.rs"]
mod processes;

#[cfg(target_os = "linux")]
mod barrier;
#[cfg(target_os = "linux")]
mod byte_queue;
#[cfg(target_os = "linux")]
mod condvar;
#[cfg(target_os = "linux")]
mod connection;
#[cfg(target_os = "linux")]
mod environment;
#[cfg(target_os = "linux")]
mod errors;
#[cfg(target_os = "linux")]
mod event;
#[cfg(target_os = "linux")]
mod in_place;
#[cfg(target_os = "linux")]
mod liveness;
#[cfg(target_os = "linux")]
mod mutex;
#[cfg(target_os = "linux")]
mod names;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod readiness;
#[cfg(target_os = "linux")]
mod reentrant;
#[cfg(target_os = "linux")]
mod rwlock;
#[cfg(target_os = "linux")]
mod segment;
#[cfg(target_os = "linux")]
mod semaphore;
#[cfg(target_os = "linux")]
mod shared_memory;
#[cfg(target_os = "linux")]
mod sources;
#[cfg(target_os = "linux")]
mod surroundings;
#[cfg(target_os = "linux")]
mod value;
