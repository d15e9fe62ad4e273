//! Threads that schedule, cancel and move timers while they go off: each is called exactly once, or
//! never if a cancel said so.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sync_timer::{Cancel, Executor, Missed, Pending, Scheduler};

use crate::watchdog;

const THREADS: u64 = 4;
const TIMERS: u64 = if cfg!(debug_assertions) { 4_000 } else { 40_000 };

/// Splitmix64.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Two threads that run what they are given.
struct Workers(Mutex<Sender<Box<dyn FnOnce() + Send>>>);

impl Workers {
    fn new() -> Self {
        let (sender, jobs) = channel::<Box<dyn FnOnce() + Send>>();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..2 {
            let jobs = Arc::clone(&jobs);
            std::thread::spawn(move || {
                loop {
                    let job = jobs.lock().unwrap().recv();
                    let Ok(job) = job else { break };
                    job();
                }
            });
        }
        Self(Mutex::new(sender))
    }
}

impl Executor for Workers {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        self.0.lock().unwrap().send(job).unwrap();
    }
}

fn each_once_or_prevented(scheduler: &Scheduler) {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let mut numbers = Numbers(seed << 8 | thread);
                let mut timers = Vec::new();
                for _ in 0..TIMERS {
                    let calls = Arc::new(AtomicUsize::new(0));
                    let inside = Arc::clone(&calls);
                    let deadline =
                        Instant::now() + Duration::from_nanos(numbers.next() % 20_000_000);
                    let callback = move || {
                        assert!(Instant::now() >= deadline, "early");
                        inside.fetch_add(1, SeqCst);
                    };
                    timers.push((scheduler.at(deadline, callback).unwrap(), deadline, calls, None));
                    let at = numbers.next() as usize % timers.len();
                    let (handle, deadline, calls, found) = &mut timers[at];
                    match numbers.next() % 8 {
                        0..3 => {
                            let now = handle.cancel();
                            found.get_or_insert(now);
                        }
                        3 => {
                            if handle.cancel_and_wait() == Cancel::Done && found.is_none() {
                                assert_eq!(
                                    calls.load(SeqCst),
                                    1,
                                    "it is over, and was not cancelled before"
                                );
                            }
                            found.get_or_insert_with(|| {
                                if calls.load(SeqCst) == 1 {
                                    Cancel::Done
                                } else {
                                    Cancel::Prevented
                                }
                            });
                        }
                        4 => {
                            _ = handle.reschedule_after(Duration::from_secs(1_000))
                                && handle.reschedule(*deadline)
                        }
                        _ => {}
                    }
                }
                for (handle, _, calls, found) in timers {
                    while handle.is_pending() || handle.is_running() {
                        std::thread::yield_now();
                    }
                    let expected = usize::from(found != Some(Cancel::Prevented));
                    assert_eq!(calls.load(SeqCst), expected, "{found:?}");
                }
            });
        }
    });
    assert!(scheduler.is_empty());
}

#[test]
fn each_once_or_prevented_on_the_dispatcher() {
    let _watchdog = watchdog::watch();
    // A callback that panics is "early"; the stress is void if one did.
    let scheduler = Scheduler::builder().on_failure(|failure| panic!("{failure}")).build().unwrap();
    each_once_or_prevented(&scheduler);
}

#[test]
fn each_once_or_prevented_on_a_pool() {
    let _watchdog = watchdog::watch();
    let scheduler = Scheduler::builder().executor(Workers::new()).build().unwrap();
    each_once_or_prevented(&scheduler);
}

#[test]
fn shutdown_against_everything() {
    let _watchdog = watchdog::watch();
    for round in 0..20 {
        let scheduler = if round % 2 == 0 {
            Scheduler::new()
        } else {
            Scheduler::builder().executor(Workers::new()).build().unwrap()
        };
        let (scheduled, called, prevented, ticks) = (
            AtomicUsize::new(0),
            Arc::new(AtomicUsize::new(0)),
            AtomicUsize::new(0),
            Arc::new(AtomicUsize::new(0)),
        );
        let discarded = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let (scheduler, called, ticks) = (&scheduler, &called, &ticks);
                let (scheduled, prevented) = (&scheduled, &prevented);
                scope.spawn(move || {
                    let mut numbers = Numbers(round << 8 | thread);
                    let inside = Arc::clone(ticks);
                    let beat =
                        scheduler.every(Duration::from_micros(50), Missed::Skip, move |_| {
                            _ = inside.fetch_add(1, SeqCst)
                        });
                    loop {
                        let inside = Arc::clone(called);
                        let delay = Duration::from_nanos(numbers.next() % 300_000);
                        let Ok(handle) =
                            scheduler.once(delay, move || _ = inside.fetch_add(1, SeqCst))
                        else {
                            break;
                        };
                        scheduled.fetch_add(1, SeqCst);
                        if numbers.next() % 4 == 0 && handle.cancel() == Cancel::Prevented {
                            prevented.fetch_add(1, SeqCst);
                        }
                    }
                    if let Ok(beat) = beat {
                        assert_eq!(beat.cancel_and_wait(), Cancel::Done);
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(2));
            let (scheduler, discarded) = (&scheduler, &discarded);
            for pending in [Pending::Fire, Pending::Discard] {
                scope.spawn(move || discarded.fetch_add(scheduler.shutdown(pending), SeqCst));
            }
        });
        assert!(scheduler.is_empty());
        let after = ticks.load(SeqCst);
        // The discarded timers include at most three periodic ones.
        let over = called.load(SeqCst) + prevented.load(SeqCst);
        let scheduled = scheduled.load(SeqCst);
        let discarded = discarded.load(SeqCst);
        assert!(
            (scheduled..=scheduled + 3).contains(&(over + discarded)),
            "{scheduled} scheduled, {over} over, {discarded} discarded"
        );
        std::thread::sleep(Duration::from_micros(200));
        assert_eq!(ticks.load(SeqCst), after, "nothing is called after a shutdown");
    }
}
