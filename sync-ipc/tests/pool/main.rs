//! Pools of processes that run functions of this test program.
#![cfg(all(target_os = "linux", feature = "process"))]

#[path = "../support/audit.rs"]
mod audit;
mod both;
mod descriptors;
mod executor;
mod life;
mod maps;
#[path = "../support/signal.rs"]
mod signal;
mod signals;
mod storm;
mod support;
mod trouble;
mod values;
