//! Threads that nest to random depths, wait at them, and time out; a count that tells.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{Condvar, ReentrantMutex};

use crate::watchdog::{note, watch};

fn nest(lock: &ReentrantMutex<Cell<u64>>, depth: u64) {
    let guard = lock.lock();
    guard.set(guard.get() + 1);
    if depth > 1 {
        nest(lock, depth - 1);
    }
}

#[test]
fn every_level_counts_once() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 10_000;
    let _watch = watch();
    let total = ReentrantMutex::new(Cell::new(0_u64));
    let expected = AtomicU64::new(0);
    thread::scope(|scope| {
        for me in 0..THREADS {
            let (total, expected) = (&total, &expected);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    let depth = (turn + me) % 4 + 1;
                    if turn % 5 == 0 {
                        let Some(_outer) = total.try_lock_for(Duration::from_micros(turn % 50))
                        else {
                            continue;
                        };
                        nest(total, depth);
                        assert_eq!(total.depth(), 1);
                    } else {
                        nest(total, depth);
                    }
                    expected.fetch_add(depth, Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(total.lock().get(), expected.into_inner());
}

/// Ping and pong at different depths over one condition variable.
#[test]
fn waits_at_depth() {
    const TURNS: u64 = 2_000;
    let _watch = watch();
    let (turn, changed) = (ReentrantMutex::new(AtomicU64::new(0)), Condvar::new());
    thread::scope(|scope| {
        for me in 0..2 {
            let (turn, changed) = (&turn, &changed);
            scope.spawn(move || {
                for round in 0..TURNS {
                    note(format!("round {round}"));
                    let outer = turn.lock();
                    let levels: Vec<_> = (0..round % 3).map(|_| turn.lock()).collect();
                    let mut inner = turn.lock();
                    while inner.load(Ordering::Relaxed) % 2 != me {
                        changed.wait(&mut inner);
                        assert_eq!(u64::from(turn.depth()), 2 + round % 3);
                    }
                    inner.fetch_add(1, Ordering::Relaxed);
                    changed.notify_one();
                    drop((levels, outer));
                }
            });
        }
    });
    assert_eq!(turn.into_inner().into_inner(), 2 * TURNS);
}
