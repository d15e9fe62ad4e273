//! RateLimiter: governor's, which has the same algorithm.
//!
//! * `take`: take a token that is due, in one thread and in several;
//! * `refuse`: try to take one that is not due.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of a limiter.
pub trait Limiter: Sync + Send + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// A limiter with a full bucket.
    fn new(interval: Duration, burst: NonZeroU32) -> Self;

    /// Takes a token if one is due.
    fn take(&self) -> bool;
}

impl Limiter for sync_core::RateLimiter {
    const PEER: &'static str = OURS;

    fn new(interval: Duration, burst: NonZeroU32) -> Self {
        Self::new(1, interval).burst(burst.get())
    }

    #[inline]
    fn take(&self) -> bool {
        self.try_acquire().is_ok()
    }
}

impl Limiter for DefaultDirectRateLimiter {
    const PEER: &'static str = "governor";

    fn new(interval: Duration, burst: NonZeroU32) -> Self {
        let quota = Quota::with_period(interval).expect("not zero");
        Self::direct(quota.allow_burst(burst))
    }

    #[inline]
    fn take(&self) -> bool {
        self.check().is_ok()
    }
}

/// A nanosecond: a token is always due.
const SOON: Duration = Duration::from_nanos(1);
/// A year: after the first one no token is due.
const LATE: Duration = Duration::from_secs(365 * 24 * 3600);

/// All workloads of the limiter.
pub fn workloads() -> Vec<Workload> {
    type Governor = DefaultDirectRateLimiter;
    type Ours = sync_core::RateLimiter;
    let mut all = vec![
        Workload::single("rate_limiter", "take", vec![takes::<Ours>(), takes::<Governor>()]),
        Workload::single("rate_limiter", "refuse", vec![refuses::<Ours>(), refuses::<Governor>()]),
    ];
    for threads in [2, 4] {
        let teams = vec![team::<Ours>(threads), team::<Governor>(threads)];
        all.push(Workload::team("rate_limiter", "take", threads, teams).paced_by_ops());
    }
    all
}

/// Takes in one thread; `due`: whether each take succeeds.
fn alone<L: Limiter>(new: impl Fn() -> L + Send + Sync + 'static, due: bool) -> Contestant {
    shapes::custom(L::PEER, move || {
        let limiter = new();
        move |length: Length| {
            let Length::Ops(n) = length else {
                return Err("a loop is measured in operations".into());
            };
            let limiter = std::hint::black_box(&limiter);
            let started = Instant::now();
            let taken = (0..n).filter(|_| limiter.take()).count() as u64;
            let elapsed = started.elapsed();
            expect(if due { n } else { 0 }, taken)?;
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

fn takes<L: Limiter>() -> Contestant {
    alone(|| L::new(SOON, NonZeroU32::MAX), true)
}

fn refuses<L: Limiter>() -> Contestant {
    let empty = || {
        let limiter = L::new(LATE, NonZeroU32::MIN);
        assert!(limiter.take(), "the bucket was full");
        limiter
    };
    alone(empty, false)
}

fn team<L: Limiter>(threads: usize) -> Contestant {
    shapes::custom(L::PEER, move || {
        let limiter = L::new(SOON, NonZeroU32::MAX);
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let run = run_team(threads, Length::Ops(ops * threads as u64), |_| {
                (0..ops).filter(|_| limiter.take()).count() as u64
            });
            expect(ops * threads as u64, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
