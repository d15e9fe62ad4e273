//! Barriers: std's.
//!
//! * `cycle`: so many threads meet again and again; the time of one meeting.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// What a workload needs of a barrier.
pub trait Barrier: Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A barrier for so many.
    fn new(parties: usize) -> Self;
    /// Waits for the others; `true` for one of all.
    fn wait(&self) -> bool;
}

impl Barrier for sync_core::Barrier {
    const PEER: &'static str = OURS;

    fn new(parties: usize) -> Self {
        Self::new(parties as u32)
    }

    fn wait(&self) -> bool {
        sync_core::Barrier::wait(self).expect("nobody breaks it").is_leader()
    }
}

impl Barrier for std::sync::Barrier {
    const PEER: &'static str = "std";

    fn new(parties: usize) -> Self {
        Self::new(parties)
    }

    fn wait(&self) -> bool {
        std::sync::Barrier::wait(self).is_leader()
    }
}

/// All workloads of the barrier.
pub fn workloads() -> Vec<Workload> {
    let contestants = |threads| vec![cycle::<sync_core::Barrier>(threads), cycle::<std::sync::Barrier>(threads)];
    [2, 4, 16].map(|threads| Workload::team("barrier", "cycle", threads, contestants(threads)).paced_by_ops()).into()
}

fn cycle<B: Barrier>(threads: usize) -> Contestant {
    shapes::custom(B::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let (barrier, arrived) = (B::new(threads), AtomicU64::new(0));
            let run = run_team(threads, Length::Ops(ops * threads as u64), |_| {
                let mut led = 0;
                for round in 1..=ops {
                    // Relaxed: the barrier is what must order it.
                    arrived.fetch_add(1, Ordering::Relaxed);
                    led += u64::from(barrier.wait());
                    let seen = arrived.load(Ordering::Relaxed);
                    // Everybody has come to this meeting, and nobody can be past the next one.
                    let all = threads as u64;
                    if seen < round * all || seen > (round + 1) * all {
                        led += 1_000_000_000;
                    }
                }
                led
            });
            // One leader a meeting.
            expect(ops, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
