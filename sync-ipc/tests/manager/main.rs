//! Managers: server processes with shared objects, and their clients.
#![cfg(all(target_os = "linux", feature = "manager"))]

mod deaths;
mod fuzz;
mod life;
mod locks;
mod objects;
mod remote;
mod support;
