//! First come, first served: parking_lot's fair mutex and its `unlock_fair`, and std as what
//! fairness is paid for.
//!
//! * `uncontended`, `contended`, `wait`, `hog`: those of the mutex, see `mutex.rs`.

use std::time::Duration;

use super::mutex::{HOG, Lock, ParkingLotFair, Std, WAIT, contended, hog, uncontended, wait};
use crate::compare::subject::{Contestant, OURS, Workload};

/// Ours.
#[derive(Debug, Default)]
pub struct Ours(sync_core::FairMutex<u64>);

impl Lock for Ours {
    const PEER: &'static str = OURS;

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R {
        f(&mut self.0.lock())
    }
}

/// Our unfair mutex, released fairly.
#[derive(Debug, Default)]
pub struct OursUnlockFair(sync_core::Mutex<u64>);

impl Lock for OursUnlockFair {
    const PEER: &'static str = "ours-unlock_fair";

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R {
        let mut guard = self.0.lock();
        let result = f(&mut guard);
        sync_core::MutexGuard::unlock_fair(guard);
        result
    }
}

/// parking_lot's unfair mutex, released fairly.
#[derive(Debug, Default)]
pub struct ParkingLotUnlockFair(parking_lot::Mutex<u64>);

impl Lock for ParkingLotUnlockFair {
    const PEER: &'static str = "parking_lot-unlock_fair";

    #[inline]
    fn with<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R {
        let mut guard = self.0.lock();
        let result = f(&mut guard);
        parking_lot::MutexGuard::unlock_fair(guard);
        result
    }
}

/// Calls a function for each lock, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<OursUnlockFair>($($argument),*),
            $function::<ParkingLotFair>($($argument),*),
            $function::<ParkingLotUnlockFair>($($argument),*),
            $function::<Std>($($argument),*),
        ]
    };
}

/// All workloads of the fair mutex.
pub fn workloads() -> Vec<Workload> {
    let stem = "fair_mutex";
    let mut all = vec![Workload::single(stem, "uncontended", each!(uncontended()))];
    for threads in [2, 4, 16] {
        let contestants: Vec<Contestant> = each!(contended(threads, Duration::ZERO, 0));
        all.push(Workload::team(stem, "contended", threads, contestants));
    }
    all.push(
        Workload::team(stem, "wait", 4, each!(wait(4)))
            .rounds_of(Duration::from_millis(20))
            .with_rounds(11)
            .reporting(&WAIT),
    );
    all.push(
        Workload::team(stem, "hog", 2, each!(hog()))
            .rounds_of(Duration::from_millis(100))
            .with_rounds(7)
            .reporting(&HOG),
    );
    all
}
