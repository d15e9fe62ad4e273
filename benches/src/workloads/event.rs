//! Events: a flag under the mutex of `std` or parking_lot with a condition variable, as one would
//! write it without ours.
//!
//! * `wait-when-set`: the flag is set, no thread sleeps;
//! * `set-no-waiter`: set and clear while no thread waits;
//! * `broadcast`: one thread sets, four wait and answer: the time of a whole cycle.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs of an event.
pub trait Event: Default + Sync + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// Sets it.
    fn set(&self);
    /// Clears it.
    fn clear(&self);
    /// Waits until it is set.
    fn wait(&self);
}

impl Event for sync_core::Event {
    const PEER: &'static str = OURS;

    #[inline]
    fn set(&self) {
        self.set();
    }

    #[inline]
    fn clear(&self) {
        self.clear();
    }

    #[inline]
    fn wait(&self) {
        self.wait();
    }
}

/// A flag under `std`'s mutex.
#[derive(Debug, Default)]
pub struct Std(std::sync::Mutex<bool>, std::sync::Condvar);

impl Event for Std {
    const PEER: &'static str = "std";

    #[inline]
    fn set(&self) {
        *self.0.lock().expect("no thread panics") = true;
        self.1.notify_all();
    }

    #[inline]
    fn clear(&self) {
        *self.0.lock().expect("no thread panics") = false;
    }

    #[inline]
    fn wait(&self) {
        drop(
            self.1
                .wait_while(self.0.lock().expect("no thread panics"), |set| !*set)
                .expect("no thread panics"),
        );
    }
}

/// A flag under parking_lot's mutex.
#[derive(Debug, Default)]
pub struct ParkingLot(parking_lot::Mutex<bool>, parking_lot::Condvar);

impl Event for ParkingLot {
    const PEER: &'static str = "parking_lot";

    #[inline]
    fn set(&self) {
        *self.0.lock() = true;
        self.1.notify_all();
    }

    #[inline]
    fn clear(&self) {
        *self.0.lock() = false;
    }

    #[inline]
    fn wait(&self) {
        self.1.wait_while(&mut self.0.lock(), |set| !*set);
    }
}

/// Calls a function for each, ours first.
macro_rules! each {
    ($function:ident($($argument:expr),*)) => {
        vec![
            $function::<sync_core::Event>($($argument),*),
            $function::<Std>($($argument),*),
            $function::<ParkingLot>($($argument),*),
        ]
    };
}

/// All workloads of the event.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::single("event", "wait-when-set", each!(wait_when_set())),
        Workload::single("event", "set-no-waiter", each!(set_no_waiter())),
        Workload::team("event", "broadcast", 5, each!(broadcast(4))).paced_by_ops(),
    ]
}

fn wait_when_set<E: Event>() -> Contestant {
    let make = || {
        let event = E::default();
        event.set();
        (event, AtomicU64::new(0))
    };
    let ops = |(event, count): &(E, AtomicU64), n| {
        for _ in 0..n {
            event.wait();
        }
        count.fetch_add(n, Relaxed);
    };
    shapes::looping(E::PEER, make, ops, |(_, count)| count.load(Relaxed))
}

fn set_no_waiter<E: Event>() -> Contestant {
    let ops = |(event, count): &(E, AtomicU64), n| {
        for _ in 0..n {
            event.set();
            event.clear();
        }
        count.fetch_add(n, Relaxed);
    };
    shapes::looping(E::PEER, Default::default, ops, |(_, count)| count.load(Relaxed))
}

/// Two events in turn, so that the event of the next cycle is clear before any thread can wait for
/// it.
fn broadcast<E: Event>(waiters: u64) -> Contestant {
    shapes::custom(E::PEER, move || {
        move |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let (opens, answered, answers) =
                ([E::default(), E::default()], E::default(), AtomicU64::new(0));
            let run = run_team(waiters as usize + 1, Length::Ops(ops * (waiters + 1)), |member| {
                for cycle in 0..ops {
                    let open = &opens[(cycle % 2) as usize];
                    if member.index == 0 {
                        opens[((cycle + 1) % 2) as usize].clear();
                        open.set();
                        answered.wait();
                        answered.clear();
                    } else {
                        open.wait();
                        // AcqRel by the events themselves: the last one sets after all have added.
                        if answers.fetch_add(1, Relaxed) + 1 == (cycle + 1) * waiters {
                            answered.set();
                        }
                    }
                }
                ops
            });
            expect(ops * waiters, answers.load(Relaxed))?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
