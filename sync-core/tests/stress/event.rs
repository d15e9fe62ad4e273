//! Events under a timetable: a waiter that is forgotten hangs.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use sync_core::{AutoResetEvent, Event};

use crate::watchdog::{note, watch};

/// The loop that store buffering would break: work, set; wait, clear, look for work.
#[test]
fn no_work_is_overlooked() {
    const ITEMS: u32 = 100_000;
    let _watch = watch();
    let (event, work) = (Event::new(), AtomicU32::new(0));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                for _ in 0..ITEMS {
                    work.fetch_add(1, Ordering::Relaxed);
                    event.set();
                }
            });
        }
        let mut done = 0;
        while done < 2 * ITEMS {
            note(format!("{done} done"));
            event.wait();
            event.clear();
            done += work.swap(0, Ordering::Relaxed);
        }
    });
}

#[test]
fn set_and_clear_release_every_waiter() {
    const ROUNDS: u32 = 3_000;
    let _watch = watch();
    let (event, gone) = (Event::new(), AtomicU32::new(0));
    thread::scope(|scope| {
        for me in 0..4 {
            let (event, gone) = (&event, &gone);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    note(format!("round {round}"));
                    match (round + me) % 4 {
                        0 => while !event.wait_timeout(Duration::from_micros(50)) {},
                        _ => event.wait(),
                    }
                }
                gone.fetch_add(1, Ordering::Relaxed);
            });
        }
        while gone.load(Ordering::Relaxed) < 4 {
            event.set();
            event.clear();
        }
    });
}

#[test]
fn an_auto_reset_event_goes_round() {
    const THREADS: usize = 4;
    const ROUNDS: u32 = 5_000;
    let _watch = watch();
    let ring = [const { AutoResetEvent::new() }; THREADS];
    ring[0].set();
    thread::scope(|scope| {
        for me in 0..THREADS {
            let ring = &ring;
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    note(format!("round {round}"));
                    while !ring[me].wait_timeout(Duration::from_micros(200)) {}
                    ring[(me + 1) % THREADS].set();
                }
            });
        }
    });
    assert!(ring[0].is_set());
}
