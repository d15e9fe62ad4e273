//! Python's `threading.Barrier(5, action)`: five threads move through three phases; then one gives
//! up and breaks it, and it is reset.
//!
//! ```python
//! barrier = threading.Barrier(5, action=report)
//! try: place = barrier.wait(timeout)             # barrier.wait_timeout(timeout)
//! except threading.BrokenBarrierError: ...       # Err(BrokenBarrier)
//! ```

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sync_core::Barrier;

static PHASES: AtomicU32 = AtomicU32::new(0);

/// Runs in the last thread to arrive, before any thread goes on.
fn report() {
    println!("phase {} is complete", PHASES.fetch_add(1, Relaxed) + 1);
}

static BARRIER: Barrier<fn()> = Barrier::new(5).with_action(report);

fn main() {
    std::thread::scope(|scope| {
        for thread in 1..=5 {
            scope.spawn(move || {
                for phase in 1..=3 {
                    let place = BARRIER.wait().expect("all go on");
                    // The next phase cannot be complete without this thread.
                    assert_eq!(PHASES.load(Relaxed), phase);
                    if place.is_leader() {
                        println!("thread {thread} was the last to finish phase {phase}");
                    }
                }
                println!("thread {thread} is through");
            });
        }
    });

    // Four threads come, and one of them has a short timeout: the barrier breaks for all four.
    let failed = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let failed = &failed;
            scope.spawn(move || {
                let time = if thread == 1 { Duration::from_millis(20) } else { Duration::MAX };
                let broken = BARRIER.wait_timeout(time).expect_err("the fifth never comes");
                assert!(thread == 1 || !broken.timed_out());
                failed.fetch_add(1, Relaxed);
            });
        }
    });
    println!("{} threads found the barrier broken", failed.load(Relaxed));
    assert!(BARRIER.is_broken() && failed.into_inner() == 4);

    BARRIER.reset();
    println!("reset: {BARRIER:?}");
}
