//! Managers: server processes with shared objects, and their clients.
#![cfg(all(target_os = "linux", feature = "manager"))]

#[path = "../support/audit.rs"]
mod audit;
mod deaths;
mod fuzz;
mod life;
mod locks;
mod objects;
#[path = "../support/processes.rs"]
mod processes;
mod remote;
#[path = "../support/signal.rs"]
mod signal;
mod signals;
mod starts;
mod storm;
mod support;
