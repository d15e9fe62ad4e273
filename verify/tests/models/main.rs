//! The models of every primitive of the workspace: small programs whose executions a checker explores, all of them.
//!
//! The same source runs under loom and under our own checker:
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p sync-verify --release --test models          (alias: cargo loom-models)
//! RUSTFLAGS="--cfg sync_verify" cargo test -p sync-verify --release --test models   (alias: cargo verify)
//! ```
//!
//! In an ordinary build there is nothing to check and this file is empty. What each model is about stands at its head, and, where another
//! project shipped the bug that it looks for, which one.
#![cfg(any(loom, sync_verify))]

#[macro_use]
mod support;

mod auto_reset_event;
mod barrier;
mod condvar;
mod event;
mod fair_mutex;
#[cfg(target_os = "linux")]
mod ipc_barrier;
#[cfg(target_os = "linux")]
mod ipc_condvar;
#[cfg(target_os = "linux")]
mod ipc_event;
#[cfg(target_os = "linux")]
mod ipc_mutex;
#[cfg(target_os = "linux")]
mod ipc_peers;
#[cfg(target_os = "linux")]
mod ipc_queue;
#[cfg(target_os = "linux")]
mod ipc_semaphore;
mod latch;
mod mutex;
mod once;
mod parker;
mod pool;
mod queue;
mod reentrant_mutex;
mod rwlock;
mod scheduler;
mod semaphore;
mod spsc;
mod thread;
mod timer;
