//! Threads that lock, try, time out, bump and hand over, and a count that tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{Mutex, MutexGuard};

use crate::watchdog::{note, watch};

#[test]
fn every_way_in_counts_once() {
    const THREADS: u64 = 8;
    const TURNS: u64 = 20_000;
    let _watch = watch();
    let total = Mutex::new(0_u64);
    let given_up = AtomicU64::new(0);
    thread::scope(|scope| {
        for me in 0..THREADS {
            let (total, given_up) = (&total, &given_up);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    let guard = match (turn + me) % 7 {
                        0 => total.try_lock(),
                        1 => total.try_lock_for(Duration::from_micros(turn % 50)),
                        2 => total.try_lock_for(Duration::from_millis(1)),
                        _ => Some(total.lock()),
                    };
                    let Some(mut guard) = guard else {
                        given_up.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    *guard += 1;
                    match (turn + me) % 11 {
                        0 => MutexGuard::unlock_fair(guard),
                        1 => MutexGuard::bump(&mut guard),
                        _ => {}
                    }
                }
            });
        }
    });
    let total = *total.lock();
    assert_eq!(total + given_up.load(Ordering::Relaxed), THREADS * TURNS);
}

/// A thread that holds the lock nearly always, and a later thread that must still get in, again and
/// again.
#[test]
fn a_latecomer_gets_in_beside_a_hog() {
    let _watch = watch();
    let lock = Mutex::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            loop {
                let done = lock.lock();
                if *done {
                    break;
                }
                std::hint::black_box(0..200).for_each(|_| std::hint::spin_loop());
            }
        });
        for entry in 0..200 {
            note(format!("entry {entry}"));
            drop(lock.lock());
        }
        *lock.lock() = true;
    });
}
