//! Each object next to a naive one that cannot be wrong, through random operations.

#[cfg(target_os = "linux")]
mod connection;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod rwlock;
#[cfg(target_os = "linux")]
mod segment;
#[cfg(target_os = "linux")]
mod semaphore;
#[cfg(target_os = "linux")]
mod shared_memory;
#[cfg(target_os = "linux")]
mod value;
