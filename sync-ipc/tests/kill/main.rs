//! Killed at every instruction, by single steps.

#[cfg(target_os = "linux")]
mod harness;
#[cfg(target_os = "linux")]
#[path = "../support/processes.rs"]
mod processes;

#[cfg(target_os = "linux")]
mod mutex;
#[cfg(target_os = "linux")]
mod segment;
