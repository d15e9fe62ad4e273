//! Killed at every instruction, by single steps.
#![cfg(target_os = "linux")]

mod harness;
#[path = "../support/processes.rs"]
mod processes;

mod awaited;
mod barrier;
mod condvar;
mod event;
mod in_place;
mod mutex;
mod operations;
mod pairs;
mod queue;
mod readiness;
mod rwlock;
mod segment;
mod semaphore;
mod stopped;
mod two_deaths;
