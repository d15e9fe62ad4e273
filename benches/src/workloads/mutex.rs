//! Mutual exclusion: std, parking_lot, usync, spin.
//!
//! * `uncontended`: lock, count, unlock, in one thread;
//! * `contended`: all threads do that to one lock, and nothing else;
//! * `contended-<hold>-gap<n>x`: they hold it so long and stay away n times as long (after
//!   parking_lot's and matklad's suites);
//! * `spread64`: 64 locks, a random one each time: the case where locks are many and cheap;
//! * `wait`: four threads that hold for 1 us: how long each acquisition takes, each thread's share,
//!   what it costs the processor;
//! * `hog`: one thread takes the lock again as soon as it lets go, another comes now and then: how
//!   long must it wait?
//!
//! A lock guards a plain counter, so two threads inside at once would lose a count, and every round
//! looks.

use std::array;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::compare::shapes::{self, Member, TeamRun, expect, run_team};
use crate::compare::subject::{Contestant, Length, Metric, OURS, Outcome, Workload};
use crate::compare::work::Work;

/// Operations that a workload needs of a lock.
pub trait Lock: Default + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// Does something to the counter under the lock.
    fn with<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R;
}

macro_rules! lock {
    ($peer:expr, $name:ident, $lock:ty) => {
        lock!($peer, $name, $lock, |lock| lock.lock());
    };
    ($peer:expr, $name:ident, $lock:ty, |$this:ident| $guard:expr) => {
        /// One of the peers.
        #[derive(Debug, Default)]
        pub struct $name($lock);

        impl Lock for $name {
            const PEER: &'static str = $peer;

            #[inline]
            fn with<R>(&self, f: impl FnOnce(&mut u64) -> R) -> R {
                let $this = &self.0;
                let mut guard = $guard;
                f(&mut guard)
            }
        }
    };
}

lock!(OURS, Ours, sync_core::Mutex<u64>);
lock!("std", Std, std::sync::Mutex<u64>, |lock| lock.lock().expect("no thread panics"));
lock!("parking_lot", ParkingLot, parking_lot::Mutex<u64>);
lock!("parking_lot-fair", ParkingLotFair, parking_lot::FairMutex<u64>);
lock!("usync", Usync, usync::Mutex<u64>);
lock!("spin", Spin, spin::Mutex<u64>);

/// Calls a function for each lock, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<ParkingLot>($($argument),*),
            $function::<ParkingLotFair>($($argument),*),
            $function::<Usync>($($argument),*),
            $function::<Spin>($($argument),*),
        ]
    };
}

/// The same without those that collapse when there are more threads than processors: fair hand-off
/// pays two context switches an acquisition, and a spinning waiter takes the processor from the one
/// it waits for.
macro_rules! each_that_sleeps {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<ParkingLot>($($argument),*),
            $function::<Usync>($($argument),*),
        ]
    };
}

/// The metrics of `wait`.
pub(super) const WAIT: [&str; 6] = ["", "p99.9", "max", "fairness", "cpu", "switches"];

/// The metrics of `hog`.
pub(super) const HOG: [&str; 4] = ["latecomer-p50", "latecomer-p99.9", "latecomer-max", "hog-ops"];

/// The numbers of threads that are tried.
pub const THREADS: [usize; 5] = [1, 2, 4, 8, 16];

/// All workloads of the mutex.
pub fn workloads() -> Vec<Workload> {
    let mut all = vec![Workload::single("mutex", "uncontended", each!(uncontended()))];
    for threads in THREADS {
        let contestants = each!(contended(threads, Duration::ZERO, 0));
        all.push(Workload::team("mutex", "contended", threads, contestants));
    }
    for threads in THREADS {
        for hold in [Duration::ZERO, Duration::from_micros(1), Duration::from_micros(100)] {
            for gap in [0, 1, 10] {
                if hold.is_zero() && gap == 0 {
                    continue; // is `contended`
                }
                let name = format!("contended-{}us-gap{gap}x", hold.as_micros());
                let contestants = each_that_sleeps!(contended(threads, hold, gap));
                let in_grid = threads != 4 || hold.as_micros() != 1;
                let round = if hold > Duration::from_micros(10) { 25 } else { 10 };
                all.push(
                    Workload::team("mutex", name, threads, contestants)
                        .rounds_of(Duration::from_millis(round))
                        .with_rounds(15)
                        .in_grid(in_grid),
                );
            }
        }
    }
    for threads in [4, 16] {
        all.push(Workload::team("mutex", "spread64", threads, each_that_sleeps!(spread(threads))));
    }
    all.push(
        Workload::team("mutex", "wait", 4, each_that_sleeps!(wait(4)))
            .rounds_of(Duration::from_millis(20))
            .with_rounds(15)
            .reporting(&WAIT),
    );
    all.push(
        Workload::team("mutex", "hog", 2, each_that_sleeps!(hog()))
            .rounds_of(Duration::from_millis(150))
            .with_rounds(9)
            .reporting(&HOG),
    );
    all
}

pub(super) fn uncontended<L: Lock>() -> Contestant {
    let ops = |lock: &L, n| {
        for _ in 0..n {
            lock.with(|count| *count += 1);
        }
    };
    shapes::looping(L::PEER, L::default, ops, |lock| lock.with(|count| *count))
}

pub(super) fn contended<L: Lock>(threads: usize, hold: Duration, gap: u32) -> Contestant {
    // "0 us held" still has a gap to be 10 times as long as: that of the shortest critical section,
    // taken as 100 ns.
    let unit = if hold.is_zero() { Duration::from_nanos(100) } else { hold };
    let make = move || (L::default(), Work::lasting(hold), Work::lasting(unit * gap));
    let op = |(lock, hold, gap): &(L, Work, Work), _| {
        lock.with(|count| {
            hold.perform();
            *count += 1;
        });
        gap.perform();
    };
    shapes::team(L::PEER, threads, make, op, |(lock, ..)| lock.with(|count| *count))
}

fn spread<L: Lock>(threads: usize) -> Contestant {
    shapes::custom(L::PEER, move || {
        let locks: [L; 64] = array::from_fn(|_| L::default());
        let mut before = 0;
        move |length: Length| {
            let run = run_team(threads, length, |member| {
                let mut random = Xorshift::new(member.index);
                let mut done = 0;
                while member.goes_on(done) {
                    locks[(random.next() % 64) as usize].with(|count| *count += 1);
                    done += 1;
                }
                done
            });
            before += run.ops();
            expect(before, locks.iter().map(|lock| lock.with(|count| *count)).sum())?;
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}

/// The histogram of the waits of one round, in nanoseconds.
fn waits() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("the bounds are in order")
}

/// One acquisition that is timed.
fn timed_acquisition<L: Lock>(lock: &L, hold: Work, waits: &mut Histogram<u64>) {
    let asked = Instant::now();
    let waited = lock.with(|count| {
        let waited = asked.elapsed();
        hold.perform();
        *count += 1;
        waited
    });
    waits.saturating_record(waited.as_nanos() as u64);
}

pub(super) fn wait<L: Lock>(threads: usize) -> Contestant {
    shapes::custom(L::PEER, move || {
        let lock = L::default();
        let us = Work::lasting(Duration::from_micros(1));
        let mut before = 0;
        move |length: Length| {
            let met = std::sync::Mutex::new(waits());
            let run = run_team(threads, length, |member| {
                let mut mine = waits();
                let mut done = 0;
                while member.goes_on(done) {
                    timed_acquisition(&lock, us, &mut mine);
                    us.perform();
                    done += 1;
                }
                met.lock().expect("no thread panics").add(mine).expect("the bounds are the same");
                done
            });
            before += run.ops();
            expect(before, lock.with(|count| *count))?;
            let waits = met.into_inner().expect("no thread panics");
            let mut outcome = Outcome::timed(run.ops(), run.elapsed);
            let us = |ns: u64| ns as f64 / 1e3;
            outcome.metrics.extend([
                Metric {
                    suffix: "p99.9",
                    unit: "us waited",
                    value: us(waits.value_at_quantile(0.999)),
                },
                Metric { suffix: "max", unit: "us waited", value: us(waits.max()) },
                Metric { suffix: "fairness", unit: "Jain's index", value: run.jain() },
                run.cpu(),
                run.switches(),
            ]);
            Ok(outcome)
        }
    })
}

pub(super) fn hog<L: Lock>() -> Contestant {
    shapes::custom(L::PEER, move || {
        let lock = L::default();
        let (hold, pause) = (Work::lasting(Duration::from_micros(10)), Duration::from_micros(100));
        let mut before = 0;
        move |length: Length| {
            let met = std::sync::Mutex::new(waits());
            let latecomer = |member: &Member<'_>| {
                let mut mine = waits();
                let mut done = 0;
                while member.goes_on(done) {
                    std::thread::sleep(pause);
                    timed_acquisition(&lock, Work::NONE, &mut mine);
                    done += 1;
                }
                met.lock().expect("no thread panics").add(mine).expect("the bounds are the same");
                done
            };
            let run: TeamRun = run_team(2, length, |member| {
                if member.index == 0 {
                    return latecomer(member);
                }
                let mut done = 0;
                while member.goes_on(done) {
                    lock.with(|count| {
                        hold.perform();
                        *count += 1;
                    });
                    done += 1;
                }
                done
            });
            before += run.ops();
            expect(before, lock.with(|count| *count))?;
            let waits = met.into_inner().expect("no thread panics");
            let us = |ns: u64| ns as f64 / 1e3;
            let metrics = vec![
                Metric {
                    suffix: "latecomer-p50",
                    unit: "us waited",
                    value: us(waits.value_at_quantile(0.5)),
                },
                Metric {
                    suffix: "latecomer-p99.9",
                    unit: "us waited",
                    value: us(waits.value_at_quantile(0.999)),
                },
                Metric { suffix: "latecomer-max", unit: "us waited", value: us(waits.max()) },
                Metric {
                    suffix: "hog-ops",
                    unit: "ns/op",
                    value: run.elapsed.as_secs_f64() * 1e9 / run.done[1].max(1) as f64,
                },
            ];
            Ok(Outcome { ops: run.ops(), elapsed: run.elapsed, metrics })
        }
    })
}

/// A small generator (Marsaglia's xorshift64), one a thread.
struct Xorshift(u64);

impl Xorshift {
    fn new(seed: usize) -> Self {
        Self((seed as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
