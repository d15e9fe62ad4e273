//! The workloads: one file a primitive, with the stem that it has everywhere.
//!
//! Each file says what it needs of a peer in one trait, implements that trait for ours and for
//! every peer, and lists its workloads.

pub mod asynchronous;
pub mod barrier;
pub mod condvar;
pub mod event;
pub mod fair_mutex;
#[cfg(all(target_os = "linux", feature = "heavy-peers"))]
mod ipc_iceoryx2;
#[cfg(target_os = "linux")]
mod ipc_messages;
#[cfg(target_os = "linux")]
pub mod ipc_mutex;
#[cfg(target_os = "linux")]
pub mod ipc_queue;
pub mod latch;
pub mod mutex;
pub mod once;
pub mod parker;
pub mod pool;
pub mod priority;
#[cfg(target_os = "linux")]
pub mod processes;
pub mod queue;
pub mod rate_limiter;
pub mod reentrant_mutex;
pub mod rwlock;
pub mod select;
pub mod semaphore;
pub mod spsc;
pub mod thread;
pub mod timer;

use crate::compare::Workload;

/// Every workload there is, by primitive.
pub fn all() -> Vec<Workload> {
    let of_each = [
        mutex::workloads,
        fair_mutex::workloads,
        reentrant_mutex::workloads,
        rwlock::workloads,
        once::workloads,
        latch::workloads,
        thread::workloads,
        condvar::workloads,
        select::workloads,
        asynchronous::workloads,
        semaphore::workloads,
        rate_limiter::workloads,
        event::workloads,
        barrier::workloads,
        parker::workloads,
        queue::workloads,
        priority::workloads,
        spsc::workloads,
        pool::workloads,
        timer::workloads,
        between_processes,
    ];
    of_each.iter().flat_map(|workloads| workloads()).collect()
}

#[cfg(target_os = "linux")]
fn between_processes() -> Vec<Workload> {
    let of_each = [ipc_mutex::workloads(), ipc_queue::workloads(), processes::workloads()];
    of_each.into_iter().flatten().collect()
}

#[cfg(not(target_os = "linux"))]
fn between_processes() -> Vec<Workload> {
    Vec::new()
}

/// Runs the function of a child process and ends it, if this process is one that a workload
/// started. First in the `main` of each program that has the workloads.
pub fn run_if_child() {
    #[cfg(target_os = "linux")]
    {
        sync_ipc::init();
        processes::bare::run_if_child();
        processes::peers::init();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::compare::runner::Watchdog;
    use crate::compare::select::ids;
    use crate::compare::subject::{Length, OURS};

    #[test]
    fn ids_are_unique_and_have_four_parts() {
        let ids = ids(&all());
        for id in &ids {
            assert_eq!(id.split('/').count(), 4, "{id}");
            assert!(!id.contains(char::is_whitespace), "{id}");
        }
        assert_eq!(ids.iter().collect::<HashSet<_>>().len(), ids.len());
    }

    #[test]
    fn ours_comes_first_and_has_a_peer() {
        for workload in all() {
            let peers: Vec<_> =
                workload.contestants.iter().map(|contestant| contestant.peer).collect();
            assert_eq!(peers[0], OURS, "{}", workload.name);
            assert!(peers.len() > 1, "{}", workload.name);
        }
    }

    /// Also, each workload that `cargo bench` has runs once.
    #[test]
    fn no_contestant_loses_or_doubles_anything() {
        let watchdog = Watchdog::start();
        for workload in all().iter().filter(|workload| !workload.grid) {
            let is_timed = workload.metrics.first() == Some(&"");
            for contestant in &workload.contestants {
                let id = workload.id("", contestant.peer);
                let outcome = watchdog.guard(&id, || {
                    let mut subject = contestant.start();
                    subject.check()?;
                    if is_timed {
                        subject.round(Length::Ops(1))?;
                    }
                    Ok::<(), String>(())
                });
                assert_eq!(outcome, Ok(()), "{id}");
            }
        }
    }
}
