//! Parkers: crossbeam's, and `std::thread::park`.
//!
//! * `token`: give the token and take it, in one thread;
//! * `ping-pong`: two threads wake each other: the way there and back.

use std::fmt;
use std::sync::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use std::thread::Thread;

use crate::compare::shapes::{self, expect, run_team};
use crate::compare::subject::{Contestant, Length, OURS, Outcome, Workload};

/// Operations that a workload needs; the value is made by the thread that parks.
pub trait Parker: Sized + 'static {
    /// The peer's name.
    const PEER: &'static str;
    /// The handle that wakes it.
    type Unparker: Send + Sync + fmt::Debug;
    /// For the calling thread.
    fn new() -> Self;
    /// Waits for the token.
    fn park(&self);
    /// Returns the handle that wakes this thread.
    fn unparker(&self) -> Self::Unparker;
    /// Gives the token.
    fn unpark(unparker: &Self::Unparker);
}

macro_rules! parker {
    ($peer:expr, $($library:ident)::+) => {
        impl Parker for $($library)::+::Parker {
            const PEER: &'static str = $peer;
            type Unparker = $($library)::+::Unparker;

            fn new() -> Self {
                Self::new()
            }

            #[inline]
            fn park(&self) {
                self.park();
            }

            fn unparker(&self) -> Self::Unparker {
                self.unparker().clone()
            }

            #[inline]
            fn unpark(unparker: &Self::Unparker) {
                unparker.unpark();
            }
        }
    };
}

parker!(OURS, sync_core);
parker!("crossbeam", crossbeam_utils::sync);

/// The token that every thread of `std` has.
#[derive(Debug)]
pub struct Std(Thread);

impl Parker for Std {
    const PEER: &'static str = "std";
    type Unparker = Thread;

    fn new() -> Self {
        Self(std::thread::current())
    }

    #[inline]
    fn park(&self) {
        std::thread::park();
    }

    fn unparker(&self) -> Thread {
        self.0.clone()
    }

    #[inline]
    fn unpark(unparker: &Thread) {
        unparker.unpark();
    }
}

/// Calls a function for each, ours first.
macro_rules! each {
    ($function:ident()) => {
        vec![
            $function::<sync_core::Parker>(),
            $function::<Std>(),
            $function::<crossbeam_utils::sync::Parker>(),
        ]
    };
}

/// All workloads of the parker.
pub fn workloads() -> Vec<Workload> {
    vec![
        Workload::single("parker", "token", each!(token())),
        Workload::team("parker", "ping-pong", 2, each!(ping_pong())).paced_by_ops(),
    ]
}

fn token<P: Parker>() -> Contestant {
    let make = || {
        let parker = P::new();
        let unparker = parker.unparker();
        (parker, unparker, AtomicU64::new(0))
    };
    let ops = |(parker, unparker, count): &(P, P::Unparker, AtomicU64), n| {
        for _ in 0..n {
            P::unpark(unparker);
            parker.park();
        }
        count.fetch_add(n, Relaxed);
    };
    shapes::looping(P::PEER, make, ops, |(.., count)| count.load(Relaxed))
}

fn ping_pong<P: Parker>() -> Contestant {
    shapes::custom(P::PEER, || {
        |length: Length| {
            let Length::Ops(ops) = length else { return Err("measured in operations".into()) };
            let unparkers: [std::sync::OnceLock<P::Unparker>; 2] = Default::default();
            let turns = AtomicU64::new(0);
            let run = run_team(2, Length::Ops(ops * 2), |member| {
                let parker = P::new();
                unparkers[member.index].set(parker.unparker()).expect("each sets its own");
                let other = loop {
                    if let Some(other) = unparkers[1 - member.index].get() {
                        break other;
                    }
                    std::thread::yield_now();
                };
                for turn in 0..ops {
                    // A token of `std` may be left over from another use: the turn decides. Even
                    // turns are the first thread's.
                    while turns.load(Acquire) != turn * 2 + member.index as u64 {
                        parker.park();
                    }
                    turns.fetch_add(1, Release);
                    P::unpark(other);
                }
                ops
            });
            expect(ops * 2, turns.load(Relaxed))?;
            Ok(Outcome::timed(ops, run.elapsed))
        }
    })
}
