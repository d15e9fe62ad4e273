//! Processes that run functions of this test program.
#![cfg(all(target_os = "linux", feature = "process"))]

mod deaths;
mod handles;
mod life;
mod namespaces;
mod support;
mod surroundings;
