//! Condition variables: std, parking_lot, usync; each with its own library's mutex.
//!
//! * `notify-no-waiter`: `notify_one` while no thread waits;
//! * `ping-pong`: two threads, one counter, each waits for its turn: the way there and back;
//! * `broadcast`: one thread turns a page and wakes eight, which all answer; the time of a whole
//!   cycle.

use std::ops::DerefMut;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// A mutex over a counter with a condition variable.
pub trait Monitor: Default + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// The guard of its mutex.
    type Guard<'a>: DerefMut<Target = u64>
    where
        Self: 'a;

    /// Locks.
    fn lock(&self) -> Self::Guard<'_>;
    /// Waits for a notification, once; on the first condition variable or the second.
    fn wait<'a>(&'a self, which: usize, guard: Self::Guard<'a>) -> Self::Guard<'a>;
    /// Wakes one.
    fn notify_one(&self, which: usize);
    /// Wakes all.
    fn notify_all(&self, which: usize);
}

macro_rules! monitor {
    ($peer:expr, $name:ident, $($library:ident)::+) => {
        /// One of the peers.
        #[derive(Debug, Default)]
        pub struct $name {
            counter: $($library)::+::Mutex<u64>,
            bells: [$($library)::+::Condvar; 2],
        }

        impl Monitor for $name {
            const PEER: &'static str = $peer;
            type Guard<'a> = $($library)::+::MutexGuard<'a, u64>;

            #[inline]
            fn lock(&self) -> Self::Guard<'_> {
                self.counter.lock()
            }

            #[inline]
            fn wait<'a>(&'a self, which: usize, mut guard: Self::Guard<'a>) -> Self::Guard<'a> {
                self.bells[which].wait(&mut guard);
                guard
            }

            #[inline]
            fn notify_one(&self, which: usize) {
                let _ = self.bells[which].notify_one();
            }

            #[inline]
            fn notify_all(&self, which: usize) {
                let _ = self.bells[which].notify_all();
            }
        }
    };
}

monitor!(OURS, Ours, sync_core);
monitor!("parking_lot", ParkingLot, parking_lot);
monitor!("usync", Usync, usync);

/// The standard library's, whose guards may be poisoned.
#[derive(Debug, Default)]
pub struct Std {
    counter: std::sync::Mutex<u64>,
    bells: [std::sync::Condvar; 2],
}

impl Monitor for Std {
    const PEER: &'static str = "std";
    type Guard<'a> = std::sync::MutexGuard<'a, u64>;

    #[inline]
    fn lock(&self) -> Self::Guard<'_> {
        self.counter.lock().expect("no thread panics")
    }

    #[inline]
    fn wait<'a>(&'a self, which: usize, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        self.bells[which].wait(guard).expect("no thread panics")
    }

    #[inline]
    fn notify_one(&self, which: usize) {
        self.bells[which].notify_one();
    }

    #[inline]
    fn notify_all(&self, which: usize) {
        self.bells[which].notify_all();
    }
}

/// Calls a function for each, ours first.
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

/// All workloads of the condition variable.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::single("condvar", "notify-no-waiter", each!(notify_no_waiter())),
        Workload::team("condvar", "ping-pong", 2, each!(ping_pong())).paced_by_ops(),
        Workload::team("condvar", "broadcast", 9, each!(broadcast(8))).paced_by_ops(),
    ]
}

fn notify_no_waiter<M: Monitor>() -> Contestant {
    let ops = |(monitor, rung): &(M, AtomicU64), n| {
        for _ in 0..n {
            monitor.notify_one(0);
        }
        // Relaxed: one thread.
        rung.fetch_add(n, Ordering::Relaxed);
    };
    shapes::looping(M::PEER, Default::default, ops, |(_, rung)| rung.load(Ordering::Relaxed))
}

/// Waits on one of the condition variables until the counter is as it should be.
fn until<'a, M: Monitor>(
    monitor: &'a M,
    which: usize,
    ready: impl Fn(u64) -> bool,
) -> M::Guard<'a> {
    let mut guard = monitor.lock();
    while !ready(*guard) {
        guard = monitor.wait(which, guard);
    }
    guard
}

fn ping_pong<M: Monitor>() -> Contestant {
    shapes::custom(M::PEER, || {
        |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let monitor = M::default();
            // The first thread makes the counter odd, the second even again: one operation is there
            // and back.
            let run = run_team(2, Length::Ops(ops * 2), |member| {
                let turn = member.index as u64;
                for _ in 0..ops {
                    let mut guard = until(&monitor, member.index, |count| count % 2 == turn);
                    *guard += 1;
                    drop(guard);
                    monitor.notify_one(1 - member.index);
                }
                ops
            });
            expect(run.ops(), *monitor.lock())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}

fn broadcast<M: Monitor>(readers: usize) -> Contestant {
    shapes::custom(M::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            // The counter: pages turned, times all; plus the answers to the last page.
            let monitor = M::default();
            let all = readers as u64 + 1;
            let run = run_team(readers + 1, Length::Ops(ops * all), |member| {
                for page in 0..ops {
                    if member.index == 0 {
                        let mut guard = until(&monitor, 0, |count| count == page * all);
                        *guard += 1;
                        drop(guard);
                        monitor.notify_all(1);
                    } else {
                        let mut guard = until(&monitor, 1, |count| count > page * all);
                        *guard += 1;
                        let last = *guard == (page + 1) * all;
                        drop(guard);
                        if last {
                            monitor.notify_one(0);
                        }
                    }
                }
                ops
            });
            expect(run.ops(), *monitor.lock())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
