//! Pools of processes that run functions of this test program.
#![cfg(all(target_os = "linux", feature = "process"))]

mod both;
mod executor;
mod life;
mod maps;
mod support;
mod trouble;
mod values;
