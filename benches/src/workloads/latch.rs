//! Latch and WaitGroup: crossbeam's WaitGroup, and std's mutex and condition variable, which is
//! what one writes without either.
//!
//! * `open`: ask a latch that is open, in one thread;
//! * `cycle`: threads that each leave a fresh one and wait for the others.

use std::sync::{Condvar, Mutex};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// A mutex and a condition variable.
#[derive(Debug)]
pub struct Std(Mutex<usize>, Condvar);

/// Operations that a workload needs of a latch.
pub trait Gate: Sync + Send + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A latch that `n` threads have to leave.
    fn closed(count: usize) -> Self;

    /// Counts down by one.
    fn leave(&self);

    /// Waits until it is open.
    fn pass(&self);
}

impl Gate for sync_core::Latch {
    const PEER: &'static str = OURS;

    fn closed(count: usize) -> Self {
        Self::new(count as u32)
    }

    #[inline]
    fn leave(&self) {
        self.count_down(1);
    }

    #[inline]
    fn pass(&self) {
        self.wait();
    }
}

impl Gate for Std {
    const PEER: &'static str = "std";

    fn closed(count: usize) -> Self {
        Self(Mutex::new(count), Condvar::new())
    }

    #[inline]
    fn leave(&self) {
        let mut count = self.0.lock().expect("no thread panics");
        *count -= 1;
        if *count == 0 {
            self.1.notify_all();
        }
    }

    #[inline]
    fn pass(&self) {
        let mut count = self.0.lock().expect("no thread panics");
        while *count != 0 {
            count = self.1.wait(count).expect("no thread panics");
        }
    }
}

/// All workloads of latch and wait group.
pub fn workloads() -> Vec<Workload> {
    let mut all =
        vec![Workload::single("latch", "open", vec![open::<sync_core::Latch>(), open::<Std>()])];
    for threads in [2, 4] {
        let latches = vec![cycle::<sync_core::Latch>(threads), cycle::<Std>(threads)];
        all.push(Workload::team("latch", "cycle", threads, latches).paced_by_ops());
        let groups = vec![
            group(OURS, threads, sync_core::WaitGroup::new, sync_core::WaitGroup::wait),
            group(
                "crossbeam",
                threads,
                crossbeam_utils::sync::WaitGroup::new,
                crossbeam_utils::sync::WaitGroup::wait,
            ),
        ];
        all.push(Workload::team("wait_group", "cycle", threads, groups).paced_by_ops());
    }
    all
}

fn open<G: Gate>() -> Contestant {
    shapes::custom(G::PEER, || {
        let gate = G::closed(1);
        gate.leave();
        move |length: Length| {
            let Length::Ops(n) = length else {
                return Err("a loop is measured in operations".into());
            };
            let gate = std::hint::black_box(&gate);
            let started = std::time::Instant::now();
            for _ in 0..n {
                gate.pass();
            }
            Ok(Outcome::timed(n, started.elapsed()))
        }
    })
}

fn cycle<G: Gate>(threads: usize) -> Contestant {
    shapes::custom(G::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let gates: Vec<G> = (0..ops).map(|_| G::closed(threads)).collect();
            let run = run_team(threads, Length::Ops(ops * threads as u64), |_| {
                for gate in &gates {
                    gate.leave();
                    gate.pass();
                }
                ops
            });
            expect(ops * threads as u64, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}

fn group<G: Clone + Send + 'static>(
    peer: &'static str,
    threads: usize,
    new: fn() -> G,
    wait: fn(G),
) -> Contestant {
    shapes::custom(peer, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let mut members: Vec<_> =
                (0..threads).map(|_| Vec::with_capacity(ops as usize)).collect();
            for _ in 0..ops {
                let group = new();
                members.iter_mut().for_each(|mine| mine.push(group.clone()));
            }
            let members: Vec<_> = members.into_iter().map(|mine| Mutex::new(Some(mine))).collect();
            let run = run_team(threads, Length::Ops(ops * threads as u64), |member| {
                let mine = members[member.index]
                    .lock()
                    .expect("no thread panics")
                    .take()
                    .expect("taken once");
                mine.into_iter().map(wait).count() as u64
            });
            expect(ops * threads as u64, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
