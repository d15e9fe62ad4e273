//! Killed at every instruction, by single steps.

#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
#[path = "../support/processes.rs"]
mod processes;

#[cfg(target_os = "linux")]
mod awaited;
#[cfg(target_os = "linux")]
mod barrier;
#[cfg(target_os = "linux")]
mod condvar;
#[cfg(target_os = "linux")]
mod event;
#[cfg(target_os = "linux")]
mod mutex;
#[cfg(target_os = "linux")]
mod pairs;
#[cfg(target_os = "linux")]
mod queue;
#[cfg(target_os = "linux")]
mod rwlock;
#[cfg(target_os = "linux")]
mod segment;
#[cfg(target_os = "linux")]
mod semaphore;
#[cfg(target_os = "linux")]
mod stopped;
#[cfg(target_os = "linux")]
mod two_deaths;
