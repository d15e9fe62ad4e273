//! Events: a flag under std's mutex with a condition variable.
//!
//! * `wait-when-set`: wait for what has happened already;
//! * `set-clear`: set and clear while nobody waits;
//! * `ping-pong`: two threads, two events: there and back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// What a workload needs of an event.
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

/// Ours.
#[derive(Debug, Default)]
pub struct Ours(sync_core::Event);

impl Event for Ours {
    const PEER: &'static str = OURS;

    #[inline]
    fn set(&self) {
        self.0.set();
    }

    #[inline]
    fn clear(&self) {
        self.0.clear();
    }

    #[inline]
    fn wait(&self) {
        self.0.wait();
    }
}

macro_rules! flag {
    ($peer:expr, $name:ident, $mutex:ty, $condvar:ty, |$flag:ident| $lock:expr, |$bell:ident, $guard:ident| $wait:expr) => {
        /// A flag under a mutex with a condition variable.
        #[derive(Debug, Default)]
        pub struct $name {
            flag: $mutex,
            bell: $condvar,
        }

        impl Event for $name {
            const PEER: &'static str = $peer;

            #[inline]
            fn set(&self) {
                let $flag = &self.flag;
                *$lock = true;
                self.bell.notify_all();
            }

            #[inline]
            fn clear(&self) {
                let $flag = &self.flag;
                *$lock = false;
            }

            #[inline]
            fn wait(&self) {
                let ($flag, $bell) = (&self.flag, &self.bell);
                let mut $guard = $lock;
                while !*$guard {
                    $wait;
                }
            }
        }
    };
}

flag!("std", Std, Mutex<bool>, Condvar, |flag| flag.lock().expect("nobody panics"), |bell, guard| guard =
    bell.wait(guard).expect("nobody panics"));
flag!("parking_lot", ParkingLot, parking_lot::Mutex<bool>, parking_lot::Condvar, |flag| flag.lock(), |bell, guard| bell.wait(&mut guard));

/// Calls a function for each, ours first.
macro_rules! each {
    ($function:ident) => {
        vec![$function::<Ours>(), $function::<Std>(), $function::<ParkingLot>()]
    };
}

/// All workloads of the event.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::single("event", "wait-when-set", each!(wait_when_set)),
        Workload::single("event", "set-clear", each!(set_clear)),
        Workload::team("event", "ping-pong", 2, each!(ping_pong)).paced_by_ops(),
    ]
}

fn wait_when_set<E: Event>() -> Contestant {
    let make = || {
        let event = E::default();
        event.set();
        (event, AtomicU64::new(0))
    };
    let ops = |(event, done): &(E, AtomicU64), n| {
        for _ in 0..n {
            event.wait();
        }
        // Relaxed: one thread.
        done.fetch_add(n, Ordering::Relaxed);
    };
    shapes::looping(E::PEER, make, ops, |(_, done)| done.load(Ordering::Relaxed))
}

fn set_clear<E: Event>() -> Contestant {
    let ops = |(event, done): &(E, AtomicU64), n| {
        for _ in 0..n {
            event.set();
            event.clear();
        }
        // Relaxed: one thread.
        done.fetch_add(n, Ordering::Relaxed);
    };
    shapes::looping(E::PEER, Default::default, ops, |(_, done)| done.load(Ordering::Relaxed))
}

fn ping_pong<E: Event>() -> Contestant {
    shapes::custom(E::PEER, || {
        |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let events = [E::default(), E::default()];
            // Plain in all but name: whoever's turn it is writes, and the events order it.
            let turns = AtomicU64::new(0);
            let run = run_team(2, Length::Ops(ops * 2), |member| {
                let (mine, other) = (&events[member.index], &events[1 - member.index]);
                let mut right = 0;
                for round in 0..ops {
                    if member.index == 1 || round > 0 {
                        mine.wait();
                        mine.clear();
                    }
                    // Relaxed: the event is what must order it.
                    let turn = turns.load(Ordering::Relaxed);
                    right += u64::from(turn == round * 2 + member.index as u64);
                    turns.store(turn + 1, Ordering::Relaxed);
                    other.set();
                }
                right
            });
            expect(ops * 2, run.ops())?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
