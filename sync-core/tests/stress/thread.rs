//! Threads started, joined by several and timed out on, by the hundred.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sync_core::thread::{self, Group, JoinError};

use crate::watchdog::{note, watch};

#[test]
fn every_joiner_sees_every_result() {
    let _watch = watch();
    for round in 0..100_u32 {
        note(format!("round {round}"));
        let threads: Vec<_> = (0..4).map(|n| thread::spawn(move || round * n).unwrap()).collect();
        std::thread::scope(|scope| {
            for joiner in 0..3 {
                let threads = threads.clone();
                scope.spawn(move || {
                    for (n, thread) in (0..).zip(&threads) {
                        let result = match (joiner + n) % 3 {
                            0 => loop {
                                match thread.join_timeout(Duration::from_micros(10)) {
                                    Err(JoinError::TimedOut) => {}
                                    result => break result,
                                }
                            },
                            _ => thread.join(),
                        };
                        assert_eq!(result, Ok(&(round * n)));
                    }
                });
            }
        });
        for thread in threads {
            assert!(
                matches!(thread.into_result(), Ok(Ok(_))),
                "the last handle of a thread that is over"
            );
        }
    }
}

#[test]
fn a_group_waits_for_a_tree_of_threads() {
    fn branch(group: &thread::GroupHandle, depth: u32, leaves: &Arc<AtomicU32>) {
        if depth == 0 {
            leaves.fetch_add(1, Ordering::Relaxed);
            return;
        }
        for _ in 0..2 {
            let (inside, leaves) = (group.clone(), Arc::clone(leaves));
            group.spawn(move || branch(&inside, depth - 1, &leaves)).unwrap();
        }
    }
    let _watch = watch();
    for round in 0..5 {
        note(format!("round {round}"));
        let (group, leaves) = (Group::new(), Arc::new(AtomicU32::new(0)));
        branch(&group.handle(), 5, &leaves);
        drop(group);
        assert_eq!(leaves.load(Ordering::Relaxed), 32);
    }
}
