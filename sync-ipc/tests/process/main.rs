//! Processes that run functions of this test program.
#![cfg(all(target_os = "linux", feature = "process"))]

mod deaths;
mod handles;
mod life;
#[path = "../support/namespace.rs"]
mod namespace;
mod namespaces;
mod support;
mod surroundings;
