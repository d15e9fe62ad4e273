//! Latches and groups, made and used up by the thousand, and a token that goes round.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{Latch, Parker, WaitGroup};

use crate::watchdog::{note, watch};

#[test]
fn every_latch_opens() {
    const ROUNDS: usize = 2_000;
    let _watch = watch();
    let latches: Vec<_> = (0..ROUNDS).map(|_| Latch::new(3)).collect();
    let written = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for (round, latch) in latches.iter().enumerate() {
                    note(format!("round {round}"));
                    written.fetch_add(1, Ordering::Relaxed);
                    latch.count_down(1);
                    match round % 3 {
                        0 => while !latch.wait_timeout(Duration::from_micros(20)) {},
                        _ => latch.wait(),
                    }
                    assert!(written.load(Ordering::Relaxed) as usize >= 3 * (round + 1));
                }
            });
        }
    });
}

#[test]
fn every_group_ends() {
    let _watch = watch();
    for round in 0..300 {
        note(format!("round {round}"));
        let (group, done) = (WaitGroup::new(), Arc::new(AtomicU32::new(0)));
        for _ in 0..3 {
            let (group, done) = (group.clone(), Arc::clone(&done));
            thread::spawn(move || {
                done.fetch_add(1, Ordering::Relaxed);
                group.done();
            });
        }
        group.wait();
        assert_eq!(done.load(Ordering::Relaxed), 3);
    }
}

#[test]
fn a_token_goes_round() {
    const THREADS: usize = 4;
    const ROUNDS: u32 = 5_000;
    let _watch = watch();
    let parkers: Vec<_> = (0..THREADS).map(|_| Parker::new()).collect();
    let unparkers: Vec<_> = parkers.iter().map(|parker| parker.unparker().clone()).collect();
    unparkers[0].unpark();
    thread::scope(|scope| {
        for (me, parker) in parkers.into_iter().enumerate() {
            let next = unparkers[(me + 1) % THREADS].clone();
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    note(format!("round {round}"));
                    if (round as usize + me) % 3 == 0 {
                        while !parker.park_timeout(Duration::from_micros(100)) {}
                    } else {
                        parker.park();
                    }
                    next.unpark();
                }
            });
        }
    });
}
