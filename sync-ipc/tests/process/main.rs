//! Processes that run functions of this test program.
#![cfg(all(target_os = "linux", feature = "process"))]

mod handles;
mod life;
mod support;
mod surroundings;
