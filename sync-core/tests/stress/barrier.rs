//! Barriers that are passed, broken and reset all the time; the members of a cycle must agree on
//! its outcome.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::Barrier;

use crate::watchdog::{note, watch};

#[test]
fn no_thread_runs_ahead() {
    const PARTIES: u32 = 4;
    const CYCLES: u32 = 5_000;
    let _watch = watch();
    let barrier = Barrier::new(PARTIES);
    let arrived = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..PARTIES {
            scope.spawn(|| {
                for cycle in 1..=CYCLES {
                    note(format!("cycle {cycle}"));
                    arrived.fetch_add(1, Ordering::Relaxed);
                    barrier.wait().unwrap();
                    let seen = arrived.load(Ordering::Relaxed);
                    assert!((cycle * PARTIES..(cycle + 1) * PARTIES).contains(&seen));
                }
            });
        }
    });
}

/// Members that time out at random and repair the barrier; threads pass together: successes come in
/// multiples of the parties.
#[test]
fn members_agree() {
    const PARTIES: u32 = 3;
    const TURNS: u32 = 3_000;
    let _watch = watch();
    let passed = AtomicU32::new(0);
    let ran = AtomicU32::new(0);
    let barrier = Barrier::new(PARTIES).with_action(|| _ = ran.fetch_add(1, Ordering::Relaxed));
    thread::scope(|scope| {
        for me in 0..PARTIES {
            let (barrier, passed) = (&barrier, &passed);
            scope.spawn(move || {
                for turn in 0..TURNS {
                    note(format!("turn {turn}"));
                    // Never forever: the others may have made all their turns.
                    let time = Duration::from_micros(u64::from((turn * 7 + me * 13) % 200));
                    match barrier.wait_timeout(time) {
                        Ok(_) => _ = passed.fetch_add(1, Ordering::Relaxed),
                        Err(_) if turn % 5 == 0 => barrier.abort(),
                        Err(_) => barrier.reset(),
                    }
                }
            });
        }
    });
    assert_eq!(passed.load(Ordering::Relaxed) % PARTIES, 0);
    // An action whose cycle was broken while it ran does not count as a passage.
    assert!(passed.into_inner() <= ran.load(Ordering::Relaxed) * PARTIES);
    barrier.reset();
    assert!(!barrier.is_broken());
}
