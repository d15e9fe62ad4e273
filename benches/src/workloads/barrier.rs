//! Barriers: `std`'s.
//!
//! * `cycle`: all threads wait for each other, again and again: the time of one cycle.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of a barrier.
pub trait Barrier: Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// For `n` threads.
    fn new(parties: usize) -> Self;
    /// Waits; whether this thread is the one that is told so.
    fn wait(&self) -> bool;
}

impl Barrier for sync_core::Barrier {
    const PEER: &'static str = OURS;

    fn new(parties: usize) -> Self {
        Self::new(parties as u32)
    }

    #[inline]
    fn wait(&self) -> bool {
        self.wait().expect("the barrier is not broken").is_leader()
    }
}

impl Barrier for std::sync::Barrier {
    const PEER: &'static str = "std";

    fn new(parties: usize) -> Self {
        Self::new(parties)
    }

    #[inline]
    fn wait(&self) -> bool {
        self.wait().is_leader()
    }
}

/// All workloads of the barrier.
pub fn workloads() -> Vec<Workload> {
    [2, 4, 8]
        .map(|threads| {
            let contestants =
                vec![cycle::<sync_core::Barrier>(threads), cycle::<std::sync::Barrier>(threads)];
            Workload::team("barrier", "cycle", threads, contestants).paced_by_ops()
        })
        .into()
}

fn cycle<B: Barrier>(threads: usize) -> Contestant {
    shapes::custom(B::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let (barrier, cycles) = (B::new(threads), AtomicU64::new(0));
            let run = run_team(threads, Length::Ops(ops * threads as u64), |_| {
                for _ in 0..ops {
                    if barrier.wait() {
                        cycles.fetch_add(1, Relaxed);
                    }
                }
                ops
            });
            expect(ops, cycles.load(Relaxed))?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
