//! Threads that queue, yield when asked, yield unasked and give up; a count that tells.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{FairMutex, FairMutexGuard};

use crate::watchdog::{note, watch};

#[test]
fn every_way_in_counts_once() {
    const THREADS: u64 = 6;
    const TURNS: u64 = 3_000;
    let _watch = watch();
    let (total, given_up) =
        (FairMutex::with_interval(0_u64, Duration::from_micros(50)), AtomicU64::new(0));
    thread::scope(|scope| {
        for me in 0..THREADS {
            let (total, given_up) = (&total, &given_up);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    let guard = match (turn + me) % 7 {
                        0 => total.try_lock(),
                        1 => total.try_lock_for(Duration::from_micros(turn % 50)),
                        _ => Some(total.lock()),
                    };
                    let Some(mut guard) = guard else {
                        given_up.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    *guard += 1;
                    if (turn + me) % 11 == 0 || FairMutexGuard::should_yield(&guard) {
                        FairMutexGuard::yield_now(&mut guard);
                    }
                }
            });
        }
    });
    assert_eq!(total.into_inner() + given_up.into_inner(), THREADS * TURNS);
}
