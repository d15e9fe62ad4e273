//! Readers and writers: std, parking_lot, usync.
//!
//! * `read`, `write`: lock, look or count, unlock, in one thread;
//! * `reads<n>`: all threads do so to one lock, `n` of a hundred times for reading;
//! * `reads<n>-1us`: the same with the lock held for 1 us.
//!
//! A writer counts up two numbers and a reader compares them, so a reader that is let in beside a
//! writer would see it.

use std::time::Duration;

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};
use crate::compare::work::Work;

/// The guarded data: always equal, but for the moment between the two steps of a writer.
#[derive(Debug, Default)]
pub struct Pair(u64, u64);

impl Pair {
    fn count(&mut self) {
        self.0 += 1;
        self.1 += 1;
    }

    fn look(&self) -> u64 {
        assert_eq!(self.0, self.1, "a reader beside a writer");
        self.0
    }
}

/// Operations that a workload needs of a lock.
pub trait Lock: Default + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;

    /// Reads under the lock.
    fn read<R>(&self, f: impl FnOnce(&Pair) -> R) -> R;

    /// Writes under the lock.
    fn write<R>(&self, f: impl FnOnce(&mut Pair) -> R) -> R;
}

macro_rules! lock {
    ($peer:expr, $name:ident, $lock:ty $(, $unwrap:ident)?) => {
        /// One of the peers.
        #[derive(Debug, Default)]
        pub struct $name($lock);

        impl Lock for $name {
            const PEER: &'static str = $peer;

            #[inline]
            fn read<R>(&self, f: impl FnOnce(&Pair) -> R) -> R {
                f(&self.0.read()$(.$unwrap())?)
            }

            #[inline]
            fn write<R>(&self, f: impl FnOnce(&mut Pair) -> R) -> R {
                f(&mut self.0.write()$(.$unwrap())?)
            }
        }
    };
}

lock!(OURS, Ours, sync_core::RwLock<Pair>);
lock!("std", Std, std::sync::RwLock<Pair>, unwrap);
lock!("parking_lot", ParkingLot, parking_lot::RwLock<Pair>);
lock!("usync", Usync, usync::RwLock<Pair>);

/// Calls a function for each lock, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<Ours>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<ParkingLot>($($argument),*),
            $function::<Usync>($($argument),*),
        ]
    };
}

/// All workloads of the readers-writer lock.
pub fn workloads() -> Vec<Workload> {
    let stem = "rwlock";
    let mut all = vec![
        Workload::single(stem, "read", each!(read())),
        Workload::single(stem, "write", each!(write())),
    ];
    for threads in [2, 4, 16] {
        for reads in [0, 50, 90, 99, 100] {
            let in_grid = threads != 4;
            let at_once = each!(mixed(threads, reads, Duration::ZERO));
            all.push(
                Workload::team(stem, format!("reads{reads}"), threads, at_once).in_grid(in_grid),
            );
            let held = each!(mixed(threads, reads, Duration::from_micros(1)));
            all.push(
                Workload::team(stem, format!("reads{reads}-1us"), threads, held)
                    .in_grid(in_grid || reads == 99),
            );
        }
    }
    all
}

fn read<L: Lock>() -> Contestant {
    shapes::custom(L::PEER, || {
        let lock = L::default();
        move |length: Length| {
            let Length::Ops(n) = length else {
                return Err("a loop is measured in operations".into());
            };
            let lock = std::hint::black_box(&lock);
            let started = std::time::Instant::now();
            for _ in 0..n {
                lock.read(|pair| std::hint::black_box(pair.0));
            }
            let elapsed = started.elapsed();
            expect(0, lock.read(Pair::look))?;
            Ok(Outcome::timed(n, elapsed))
        }
    })
}

fn write<L: Lock>() -> Contestant {
    let ops = |lock: &L, n| {
        for _ in 0..n {
            lock.write(|pair| pair.0 += 1);
        }
    };
    shapes::looping(L::PEER, L::default, ops, |lock| lock.write(|pair| pair.0))
}

fn mixed<L: Lock>(threads: usize, reads: u64, hold: Duration) -> Contestant {
    shapes::custom(L::PEER, move || {
        let (lock, hold) = (L::default(), Work::lasting(hold));
        let mut before = 0;
        move |length: Length| {
            let written = std::sync::atomic::AtomicU64::new(0);
            let run = run_team(threads, length, |member| {
                // Evenly mixed, and not all threads in step.
                let mut turn = member.index as u64 * 37;
                let (mut done, mut writes) = (0, 0);
                while member.goes_on(done) {
                    turn = (turn + 61) % 100;
                    if turn < reads {
                        lock.read(|pair| {
                            hold.perform();
                            pair.look()
                        });
                    } else {
                        lock.write(|pair| {
                            hold.perform();
                            pair.count();
                        });
                        writes += 1;
                    }
                    done += 1;
                }
                written.fetch_add(writes, std::sync::atomic::Ordering::Relaxed);
                done
            });
            before += written.into_inner();
            expect(before, lock.read(Pair::look))?;
            Ok(Outcome::timed(run.ops(), run.elapsed))
        }
    })
}
