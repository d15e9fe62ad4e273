//! Threads: std's, and scoped ones.
//!
//! * `spawn-join`: start a thread and join it, in one thread.

use crate::compare::shapes;
use crate::compare::subject::{Contestant, OURS, Workload};
use std::sync::atomic::{AtomicU64, Ordering};

/// All workloads of the threads.
pub fn workloads() -> Vec<Workload> {
    let contestants = vec![
        spawns(OURS, || {
            *sync_core::thread::spawn(|| 1)
                .expect("the system has threads")
                .join()
                .expect("it does not panic")
        }),
        spawns("std", || std::thread::spawn(|| 1).join().expect("it does not panic")),
        spawns("std-scoped", || {
            std::thread::scope(|scope| scope.spawn(|| 1).join().expect("it does not panic"))
        }),
    ];
    vec![Workload::single("thread", "spawn-join", contestants)]
}

fn spawns(peer: &'static str, once: fn() -> u64) -> Contestant {
    let ops = move |counter: &AtomicU64, n| {
        for _ in 0..n {
            counter.fetch_add(once(), Ordering::Relaxed);
        }
    };
    shapes::looping(peer, || AtomicU64::new(0), ops, |counter| counter.load(Ordering::Relaxed))
}
