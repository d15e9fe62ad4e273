//! Threads that take one, several and all permits, in every way; none is lost and never too many
//! are out.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{RawSemaphore, Semaphore};

use crate::watchdog::{note, watch};

#[test]
fn permits_are_neither_lost_nor_made() {
    const PERMITS: u32 = 4;
    const THREADS: u32 = 8;
    const TURNS: u32 = 8_000;
    let _watch = watch();
    let semaphore = Semaphore::new(PERMITS);
    let out = AtomicU32::new(0);
    thread::scope(|scope| {
        for me in 0..THREADS {
            let (semaphore, out) = (&semaphore, &out);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    let n = match (turn + me) % 16 {
                        0 => PERMITS,
                        1 => 3,
                        2 | 3 => 2,
                        _ => 1,
                    };
                    let permit = match (turn * 3 + me) % 5 {
                        0 => semaphore.try_acquire_many(n).ok(),
                        1 => semaphore
                            .try_acquire_many_for(n, Duration::from_micros(u64::from(turn % 60)))
                            .ok(),
                        _ => Some(semaphore.acquire_many(n).unwrap()),
                    };
                    let Some(permit) = permit else { continue };
                    assert!(out.fetch_add(n, Ordering::Relaxed) + n <= PERMITS);
                    if turn % 64 == 0 {
                        thread::yield_now();
                    }
                    out.fetch_sub(n, Ordering::Relaxed);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!(semaphore.available_permits(), PERMITS);
    assert_eq!(
        semaphore.try_acquire_many(PERMITS).unwrap().count(),
        PERMITS,
        "no head is left over"
    );
}

/// One thread gives permits one by one and in bunches, the others take them until the last is gone:
/// a wake that is lost hangs.
#[test]
fn every_permit_finds_its_taker() {
    const TAKERS: u32 = 6;
    const EACH: u32 = 4_000;
    let _watch = watch();
    let semaphore = RawSemaphore::new(0);
    thread::scope(|scope| {
        for me in 0..TAKERS {
            let semaphore = &semaphore;
            scope.spawn(move || {
                let mut left = EACH;
                while left != 0 {
                    note(format!("{left} left to take"));
                    let n = if (left + me) % 7 == 0 { left.min(3) } else { 1 };
                    let got = match left % 3 {
                        0 => semaphore.try_acquire_for(n, Duration::from_micros(30)).is_ok(),
                        _ => semaphore.acquire(n).is_ok(),
                    };
                    if got {
                        left -= n;
                    }
                }
            });
        }
        let mut left = TAKERS * EACH;
        while left != 0 {
            note(format!("{left} left to give"));
            let n = left.min(left % 5 + 1);
            semaphore.release(n).unwrap();
            left -= n;
        }
    });
    assert_eq!(semaphore.available_permits(), 0);
}
