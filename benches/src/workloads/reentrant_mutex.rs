//! Reentrant mutual exclusion: parking_lot.
//!
//! * `depth1`, `depth3`: lock 1 or 3 times, count, unlock as often, in one thread;
//! * `contended`: all threads do that twice deep to one lock.

use std::cell::Cell;

use crate::compare::shapes;
use crate::compare::subject::{Contestant, OURS, Workload};

/// Operations that a workload needs of a lock.
pub trait Lock: Default + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// Does something to the counter under the lock.
    fn with<R>(&self, f: impl FnOnce(&Cell<u64>) -> R) -> R;
}

/// Ours.
#[derive(Debug, Default)]
pub struct Ours(sync_core::ReentrantMutex<Cell<u64>>);

impl Lock for Ours {
    const PEER: &'static str = OURS;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&Cell<u64>) -> R) -> R {
        f(&self.0.lock())
    }
}

/// parking_lot's.
#[derive(Debug, Default)]
pub struct ParkingLot(parking_lot::ReentrantMutex<Cell<u64>>);

impl Lock for ParkingLot {
    const PEER: &'static str = "parking_lot";

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&Cell<u64>) -> R) -> R {
        f(&self.0.lock())
    }
}

/// All workloads of the reentrant mutex.
pub fn workloads() -> Vec<Workload> {
    let stem = "reentrant_mutex";
    let mut all = vec![
        Workload::single(stem, "depth1", vec![depth1::<Ours>(), depth1::<ParkingLot>()]),
        Workload::single(stem, "depth3", vec![depth3::<Ours>(), depth3::<ParkingLot>()]),
    ];
    for threads in [2, 8] {
        all.push(Workload::team(
            stem,
            "contended",
            threads,
            vec![contended::<Ours>(threads), contended::<ParkingLot>(threads)],
        ));
    }
    all
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

fn depth1<L: Lock>() -> Contestant {
    let ops = |lock: &L, n| {
        for _ in 0..n {
            lock.with(count);
        }
    };
    shapes::looping(L::PEER, L::default, ops, |lock| lock.with(Cell::get))
}

fn depth3<L: Lock>() -> Contestant {
    let ops = |lock: &L, n| {
        for _ in 0..n {
            lock.with(|_| lock.with(|_| lock.with(count)));
        }
    };
    shapes::looping(L::PEER, L::default, ops, |lock| lock.with(Cell::get))
}

fn contended<L: Lock>(threads: usize) -> Contestant {
    shapes::team(
        L::PEER,
        threads,
        L::default,
        |lock: &L, _| lock.with(|_| lock.with(count)),
        |lock| lock.with(Cell::get),
    )
}
