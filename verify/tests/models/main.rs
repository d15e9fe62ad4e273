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
mod latch;
mod mutex;
mod parker;
mod queue;
mod reentrant_mutex;
mod scheduler;
mod semaphore;
mod semaphore;
mod thread;
mod timer;
