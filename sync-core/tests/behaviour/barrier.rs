//! Barrier.

use std::mem::size_of;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sync_core::{Barrier, BrokenBarrier};

use crate::watchdog::watch;

const SHORT: Duration = Duration::from_millis(20);

/// Waits until `done`: for what other threads bring about.
fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        thread::yield_now();
    }
}

fn in_threads(count: u32, body: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for me in 0..count {
            let body = &body;
            scope.spawn(move || body(me));
        }
    });
}

#[test]
fn a_barrier_is_sixteen_bytes_and_built_in_constants() {
    fn acts() {}
    static BARRIER: Barrier = Barrier::new(1);
    static ACTING: Barrier<fn()> = Barrier::new(1).with_action(acts);
    const { assert!(size_of::<Barrier>() == 16) };
    assert!(BARRIER.wait().is_ok());
    assert!(ACTING.wait().is_ok());
}

#[test]
fn a_barrier_of_no_thread() {
    assert!(catch_unwind(|| Barrier::new(0)).is_err());
    assert!(catch_unwind(|| Barrier::new(u32::MAX)).is_err());
    assert_eq!(Barrier::new(Barrier::MAX_PARTIES).parties(), Barrier::MAX_PARTIES);
}

#[test]
fn lockstep() {
    let _watch = watch();
    let barrier = Barrier::new(5);
    let phases = [const { AtomicU32::new(0) }; 20];
    in_threads(5, |_| {
        for phase in &phases {
            phase.fetch_add(1, Ordering::Relaxed);
            barrier.wait().unwrap();
            assert_eq!(phase.load(Ordering::Relaxed), 5);
        }
    });
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

#[test]
fn the_places_are_a_permutation() {
    let _watch = watch();
    let barrier = Barrier::new(5);
    let places = Mutex::new(Vec::new());
    in_threads(5, |_| {
        let place = barrier.wait().unwrap();
        places.lock().unwrap().push((place.index(), place.is_leader()));
    });
    let mut places = places.into_inner().unwrap();
    places.sort_unstable();
    assert_eq!(places, [(0, false), (1, false), (2, false), (3, false), (4, true)]);
}

#[test]
fn the_action_runs_once_before_any_thread_goes_on() {
    let _watch = watch();
    let runs = AtomicU32::new(0);
    let barrier = Barrier::new(5).with_action(|| {
        runs.fetch_add(1, Ordering::Relaxed);
    });
    in_threads(5, |_| {
        for cycle in 1..10 {
            barrier.wait().unwrap();
            assert_eq!(runs.load(Ordering::Relaxed), cycle);
            barrier.wait().unwrap();
            runs.store(cycle, Ordering::Relaxed);
            barrier.wait().unwrap();
            runs.store(cycle, Ordering::Relaxed);
            barrier.wait().unwrap();
            runs.store(cycle, Ordering::Relaxed);
            // No thread adds until all have stored.
            if barrier.wait().unwrap().is_leader() {
                runs.store(cycle, Ordering::Relaxed);
            }
            // The leader's store comes before its next arrival, and so before the next action.
        }
    });
}

#[test]
fn abort() {
    let _watch = watch();
    let barrier = Barrier::new(5);
    let broken = AtomicU32::new(0);
    in_threads(5, |me| {
        barrier.wait().unwrap();
        if me == 4 {
            until(|| barrier.waiting() == 4);
            barrier.abort();
        } else {
            assert_eq!(barrier.wait().map_err(|broken| broken.timed_out()), Err(false));
            broken.fetch_add(1, Ordering::Relaxed);
        }
    });
    assert_eq!(broken.into_inner(), 4);
    assert!(barrier.is_broken());
    assert!(barrier.wait().is_err());
}

#[test]
fn reset() {
    let _watch = watch();
    let barrier = Barrier::new(5);
    in_threads(5, |me| {
        if me == 4 {
            until(|| barrier.waiting() == 4);
            barrier.reset();
        } else {
            assert!(barrier.wait().is_err());
        }
        barrier.wait().unwrap();
    });
    assert!(!barrier.is_broken());
}

#[test]
fn abort_and_reset() {
    let _watch = watch();
    let (barrier, again) = (Barrier::new(5), Barrier::new(5));
    in_threads(5, |me| {
        if me == 4 {
            until(|| barrier.waiting() == 4);
            barrier.abort();
        } else {
            assert!(barrier.wait().is_err());
        }
        if again.wait().unwrap().is_leader() {
            barrier.reset();
        }
        again.wait().unwrap();
        barrier.wait().unwrap();
    });
    assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
}

#[test]
fn the_time_limit_of_the_barrier() {
    let barrier = Barrier::new(2).with_timeout(SHORT);
    let started = Instant::now();
    assert!(barrier.wait().unwrap_err().timed_out());
    assert!(started.elapsed() >= SHORT);
    assert!(barrier.is_broken());
    let acting = Barrier::new(1).with_action(|| {}).with_timeout(Duration::MAX);
    assert!(acting.wait().is_ok());
}

#[test]
fn a_barrier_of_one() {
    let barrier = Barrier::new(1);
    for _ in 0..3 {
        let place = barrier.wait().unwrap();
        assert_eq!((place.index(), place.is_leader()), (0, true));
    }
}

#[test]
fn debug() {
    let _watch = watch();
    let barrier = Barrier::new(3);
    assert_eq!(format!("{barrier:?}"), "Barrier { waiting: 0, parties: 3 }");
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| barrier.wait().unwrap());
        }
        until(|| barrier.waiting() == 2);
        assert_eq!(format!("{barrier:?}"), "Barrier { waiting: 2, parties: 3 }");
        barrier.wait().unwrap();
    });
    assert_eq!(format!("{barrier:?}"), "Barrier { waiting: 0, parties: 3 }");
    barrier.abort();
    assert_eq!(format!("{barrier:?}"), "Barrier { state: broken, parties: 3 }");
}

#[test]
fn a_barrier_made_of_two_locks() {
    use sync_core::RawMutex;
    const THREADS: u32 = 10;
    let _watch = watch();
    // Each lock is released by another thread than the one that took it: the last in opens the way
    // out, the last out the way in.
    let (way_in, way_out, inside) = (RawMutex::new(), RawMutex::new(), AtomicU32::new(0));
    way_out.lock();
    in_threads(THREADS, |_| {
        for _ in 0..3 {
            way_in.lock();
            if inside.fetch_add(1, Ordering::Relaxed) + 1 == THREADS {
                way_out.unlock().unwrap();
            } else {
                way_in.unlock().unwrap();
            }
            way_out.lock();
            if inside.fetch_sub(1, Ordering::Relaxed) == 1 {
                way_in.unlock().unwrap();
            } else {
                way_out.unlock().unwrap();
            }
        }
    });
}

#[test]
fn the_action_may_call_the_barrier() {
    use std::sync::OnceLock;
    static BARRIER: OnceLock<Barrier<fn()>> = OnceLock::new();
    fn looks() {
        let barrier = BARRIER.get().unwrap();
        assert_eq!((barrier.waiting(), barrier.is_broken(), barrier.parties()), (0, false, 1));
        assert!(!format!("{barrier:?}").is_empty());
    }
    let barrier = BARRIER.get_or_init(|| Barrier::new(1).with_action(looks));
    assert!(barrier.wait().is_ok());
}

#[test]
fn no_time_at_all_breaks_it_but_for_the_last() {
    let _watch = watch();
    let barrier = Barrier::new(2);
    let past = Instant::now() - SHORT;
    assert!(barrier.wait_timeout(Duration::ZERO).unwrap_err().timed_out());
    assert!(barrier.is_broken());
    barrier.reset();
    thread::scope(|scope| {
        scope.spawn(|| barrier.wait().unwrap());
        until(|| barrier.waiting() == 1);
        assert!(barrier.wait_deadline(past).unwrap().is_leader());
    });
}

#[test]
fn one_timeout_breaks_it_for_all_until_reset() {
    let _watch = watch();
    let barrier = Barrier::new(3);
    thread::scope(|scope| {
        let waits = scope.spawn(|| barrier.wait());
        until(|| barrier.waiting() == 1);
        assert!(barrier.wait_timeout(SHORT).unwrap_err().timed_out());
        assert!(!waits.join().unwrap().unwrap_err().timed_out());
    });
    assert!(barrier.wait().is_err());
    barrier.reset();
    in_threads(3, |_| assert!(barrier.wait().is_ok()));
}

#[test]
fn abort_is_idempotent_and_an_idle_reset_does_nothing() {
    let barrier = Barrier::new(1);
    barrier.reset();
    assert!(barrier.wait().is_ok());
    barrier.abort();
    barrier.abort();
    assert!(barrier.wait().is_err());
    barrier.reset();
    barrier.reset();
    assert!(barrier.wait().is_ok());
}

/// The last to arrive does `after` at once; the other has succeeded all the same.
fn completed_whatever_comes(after: fn(&Barrier)) {
    let _watch = watch();
    let barrier = Barrier::new(2);
    for _ in 0..300 {
        thread::scope(|scope| {
            let waits = scope.spawn(|| barrier.wait());
            until(|| barrier.waiting() == 1);
            assert!(barrier.wait().unwrap().is_leader());
            after(&barrier);
            assert!(waits.join().unwrap().is_ok());
        });
        barrier.reset();
    }
}

#[test]
fn reset_after_a_completed_cycle() {
    completed_whatever_comes(Barrier::reset);
}

#[test]
fn abort_after_a_completed_cycle() {
    completed_whatever_comes(Barrier::abort);
}

#[test]
fn arriving_while_the_action_runs_heeds_the_time() {
    let _watch = watch();
    let (entered, go) = (sync_core::Event::new(), sync_core::Event::new());
    let barrier = Barrier::new(1).with_action(|| {
        entered.set();
        go.wait();
    });
    thread::scope(|scope| {
        let acts = scope.spawn(|| barrier.wait());
        entered.wait();
        assert_eq!(barrier.waiting(), 0, "u_ba_10: full is not filling");
        assert!(barrier.wait_timeout(SHORT).unwrap_err().timed_out());
        go.set();
        assert!(acts.join().unwrap().is_ok(), "one that could not arrive breaks nothing");
    });
    assert!(barrier.wait().is_ok());
}

#[test]
fn abort_from_the_action_counts() {
    use std::sync::OnceLock;
    static BARRIER: OnceLock<Barrier<fn()>> = OnceLock::new();
    let barrier =
        BARRIER.get_or_init(|| Barrier::new(2).with_action(|| BARRIER.get().unwrap().abort()));
    in_threads(2, |_| assert!(barrier.wait().is_err()));
    assert!(barrier.is_broken());
}

#[test]
fn a_reset_from_the_action_fails_the_cycle_and_leaves_a_barrier_that_works() {
    use std::sync::OnceLock;
    static BARRIER: OnceLock<Barrier<fn()>> = OnceLock::new();
    static RUNS: AtomicU32 = AtomicU32::new(0);
    fn resets_once() {
        if RUNS.fetch_add(1, Ordering::Relaxed) == 0 {
            BARRIER.get().unwrap().reset();
        }
    }
    let _watch = watch();
    let barrier = BARRIER.get_or_init(|| Barrier::new(2).with_action(resets_once));
    in_threads(2, |_| {
        assert!(barrier.wait().is_err());
        assert!(barrier.wait().is_ok());
    });
}

#[test]
fn a_panic_in_the_action_breaks_the_barrier() {
    let _watch = watch();
    let barrier = Barrier::new(2).with_action(|| panic!("in the action"));
    let (panicked, failed) = (AtomicU32::new(0), AtomicU32::new(0));
    in_threads(2, |_| match catch_unwind(AssertUnwindSafe(|| barrier.wait())) {
        Err(_) => _ = panicked.fetch_add(1, Ordering::Relaxed),
        Ok(Err(BrokenBarrier { .. })) => _ = failed.fetch_add(1, Ordering::Relaxed),
        Ok(Ok(place)) => panic!("passed at {place:?}"),
    });
    assert_eq!((panicked.into_inner(), failed.into_inner()), (1, 1));
    assert!(barrier.is_broken());
    barrier.reset();
    assert!(!barrier.is_broken());
}

#[test]
fn the_longest_duration_means_forever() {
    let _watch = watch();
    let barrier = Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| barrier.wait_timeout(Duration::MAX).unwrap());
        thread::sleep(SHORT);
        barrier.wait().unwrap();
    });
}

#[test]
fn no_thread_waits_in_any_state_but_filling() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    let _watch = watch();
    static SEEN: AtomicUsize = AtomicUsize::new(usize::MAX);
    static BARRIER: std::sync::OnceLock<Barrier<fn()>> = std::sync::OnceLock::new();
    let looks = || SEEN.store(BARRIER.get().unwrap().waiting() as usize, Ordering::SeqCst);
    let barrier = BARRIER.get_or_init(|| Barrier::new(2).with_action(looks));
    assert_eq!(barrier.waiting(), 0, "no thread has come");
    thread::scope(|scope| {
        let first = scope.spawn(|| barrier.wait());
        until(|| barrier.waiting() == 1);
        barrier.wait().unwrap();
        assert_eq!(
            barrier.waiting(),
            0,
            "the cycle is complete, whether or not the other has left"
        );
        first.join().unwrap().unwrap();
    });
    assert_eq!(SEEN.load(Ordering::SeqCst), 0, "while the action runs");
    thread::scope(|scope| {
        let first = scope.spawn(|| barrier.wait());
        until(|| barrier.waiting() == 1);
        barrier.abort();
        assert_eq!(barrier.waiting(), 0, "it is broken");
        assert!(first.join().unwrap().is_err());
    });
    barrier.reset();
    assert_eq!(barrier.waiting(), 0);
}
