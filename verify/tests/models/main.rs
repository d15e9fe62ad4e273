//! The models of every primitive of the workspace: small programs whose executions a checker
//! explores, all of them.
//!
//! The same source runs under loom and under our own checker:
//!
//! ```text
//! cargo loom-models [FILTER]      is   cargo verify --engine loom [FILTER]
//! cargo verify [FILTER]           is   cargo verify --engine verify [FILTER]
//! ```
//!
//! Both build this program with another cfg (`loom`, `sync_verify`), run it, and make a table of
//! what it reports. By hand: `RUSTFLAGS="--cfg sync_verify" cargo test -p sync-verify --release
//! --test models`.
//!
//! Bugs that others shipped, and the models that look for them here.
//!
//! | bug | models |
//! |---|---|
//! | parking_lot #465: a timed-out writer corrupts the state | `rwlock::a_timed_writer_beside_a_reader` |
//! | parking_lot #344: the ordering of the readers-writer lock | `rwlock::a_writer_and_a_reader`, `rwlock::a_downgrade_brings_the_news` |
//! | parking_lot da16c2c: a count that is written after the release | `reentrant_mutex::two_nest`, `reentrant_mutex::timeout_owns_nothing` |
//! | folly SharedMutex b927c055: a wake lost by a state that comes round, with 3-4 writers | `rwlock::a_queue_of_writers`, `rwlock::four_writers` |
//! | LLVM libc #201937: one that gives up takes the wake along | `mutex::timeout_passes_the_wake_on`, `rwlock::a_timed_writer_passes_the_wake_on`, and every `fx_02_...` |
//! | std-style readers-writer locks, litebox #809: trusting how many a wake woke | all of `wake_counts` |
//! | Windows SRWLOCK, rust #121949: readers let in one by one | `rwlock::readers_meet_after_a_writer` |
//! | glibc 25847: a condition variable's signal is stolen | `condvar::two_waiters_two_notifications`, `condvar::a_timeout_takes_no_notification_along` |
//! | event-listener #139: a notification that looks too early | `condvar::notify_one_without_the_lock`, `event::timeout_beside_a_waiter` |
//! | tokio #1788: a `SeqCst` load is not enough | `event::set_again_beside_clear`, `parker::the_second_unpark_brings_its_news` |
//! | CPython gh-96387: one asks for the lock and is gone | `fair_mutex::the_asker_leaves`, `fair_mutex::the_asker_leaves_after_it_has_asked` |
//!
//! In an ordinary build there is nothing to check and this file is empty. What each model is about
//! stands at its head, and, where another project shipped the bug that it looks for, which one.
#![cfg(any(loom, sync_verify))]

#[macro_use]
mod support;

#[cfg(all(loom, target_os = "linux", target_pointer_width = "64"))]
mod loom_stacks;

mod auto_reset_event;
mod barrier;
mod channel;
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
mod ipc_platform;
#[cfg(target_os = "linux")]
mod ipc_queue;
#[cfg(target_os = "linux")]
mod ipc_rwlock;
#[cfg(target_os = "linux")]
mod ipc_semaphore;
mod latch;
mod lifo;
mod linear;
mod mutex;
mod once;
mod parker;
mod pool;
mod priority;
mod queue;
mod queue_task;
mod rate_limiter;
mod reentrant_mutex;
mod rwlock;
mod scheduler;
mod select;
mod semaphore;
mod spsc;
mod task;
mod thread;
mod timer;
mod wake_counts;
