//! Debounced and throttled calls.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sync_timer::{Debounced, Executor, ManualClock, Pending, Scheduler, ShutDown, Throttled};

const SECOND: Duration = Duration::from_secs(1);
const TENTH: Duration = Duration::from_millis(100);

struct Bench {
    clock: ManualClock,
    scheduler: Scheduler,
    runs: Arc<AtomicU32>,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    Bench { clock, scheduler, runs: Arc::default() }
}

impl Bench {
    fn debounced(&self) -> Debounced {
        let runs = Arc::clone(&self.runs);
        self.scheduler.debounced(SECOND, move || _ = runs.fetch_add(1, SeqCst)).unwrap()
    }

    fn throttled(&self) -> Throttled {
        let runs = Arc::clone(&self.runs);
        self.scheduler.throttled(SECOND, move || _ = runs.fetch_add(1, SeqCst)).unwrap()
    }

    /// The number of runs that `time` brings.
    fn runs_in(&self, time: Duration) -> u32 {
        let before = self.runs.load(SeqCst);
        self.clock.advance(time);
        self.scheduler.run_due();
        self.runs.load(SeqCst) - before
    }
}

#[test]
fn a_debounced_call_runs_once_after_a_pause() {
    let it = bench();
    let save = it.debounced();
    assert_eq!(it.runs_in(SECOND * 10), 0, "not without a call");
    for _ in 0..20 {
        assert!(save.call());
        assert_eq!(it.runs_in(TENTH), 0);
    }
    assert_eq!((it.runs_in(SECOND - TENTH), it.runs_in(SECOND * 10)), (1, 0));
    save.call();
    assert_eq!(it.runs_in(SECOND), 1, "and again");
}

#[test]
fn a_debounced_call_is_put_off_for_a_limited_time() {
    let it = bench();
    let save = it.debounced().at_most(SECOND * 2);
    let mut runs = 0;
    for _ in 0..40 {
        save.call();
        runs += it.runs_in(TENTH);
    }
    assert_eq!(runs, 2, "each two seconds, although the calls never pause");
}

#[test]
fn a_debounced_call_is_flushed_and_cleared() {
    let it = bench();
    let save = it.debounced();
    assert!(!save.flush() && !save.clear());
    save.call();
    assert!(save.flush());
    assert_eq!(it.runs_in(Duration::ZERO), 1);
    assert!(!save.flush());
    save.call();
    assert!(save.clear());
    assert_eq!(it.runs_in(SECOND * 10), 0);
    save.call();
    drop(save);
    assert_eq!((it.runs_in(SECOND * 10), it.scheduler.len()), (0, 0), "dropped with its timer");
}

#[test]
fn a_call_does_not_put_off_a_flush() {
    let it = bench();
    let save = it.debounced();
    save.call();
    assert!(save.flush() && save.call());
    assert_eq!((it.runs_in(Duration::ZERO), it.runs_in(SECOND * 10)), (1, 0));
    save.call();
    assert_eq!((it.runs_in(SECOND - TENTH), it.runs_in(TENTH)), (0, 1), "it waits again");
    save.call();
    assert!(save.flush() && save.clear());
    save.call();
    assert_eq!((it.runs_in(SECOND - TENTH), it.runs_in(TENTH)), (0, 1), "the flush is forgotten");
}

#[test]
fn never_is_as_long_as_it_gets() {
    let it = bench();
    let runs = Arc::clone(&it.runs);
    let save = it.scheduler.debounced(Duration::MAX, move || _ = runs.fetch_add(1, SeqCst));
    let save = save.unwrap().at_most(Duration::MAX);
    let runs = Arc::clone(&it.runs);
    let draw = it.scheduler.throttled(Duration::MAX, move || _ = runs.fetch_add(1, SeqCst));
    let draw = draw.unwrap();
    assert!(save.call() && draw.call() && save.call());
    assert_eq!(it.runs_in(Duration::ZERO), 1, "the first throttled call");
    assert!(draw.call());
    assert_eq!(it.runs_in(Duration::from_secs(u64::MAX / 2)), 0);
    assert_eq!(it.runs_in(Duration::MAX), 0);
    assert!(save.flush());
    assert_eq!(it.runs_in(Duration::ZERO), 1);
}

#[test]
fn one_that_is_dropped_in_its_own_callback_runs_no_more() {
    let it = bench();
    let (sender, receiver) = channel::<Throttled>();
    let runs = Arc::clone(&it.runs);
    let draw = it.scheduler.throttled(TENTH, move || {
        runs.fetch_add(1, SeqCst);
        let draw = receiver.recv().unwrap();
        assert!(draw.call(), "it is accepted, for the scheduler goes on");
        drop(draw);
    });
    let draw = draw.unwrap();
    draw.call();
    sender.send(draw).unwrap();
    assert_eq!((it.runs_in(Duration::ZERO), it.runs_in(SECOND), it.scheduler.len()), (1, 0, 0));
}

#[test]
fn a_throttled_call_runs_at_once_and_then_once_an_interval() {
    let it = bench();
    let draw = it.throttled();
    assert_eq!(it.runs_in(SECOND * 10), 0, "not without a call");
    assert!(draw.call() && draw.call());
    assert_eq!(it.runs_in(Duration::ZERO), 1);
    assert_eq!(it.runs_in(SECOND), 0, "the second call came before the run");
    draw.call();
    assert_eq!(it.runs_in(Duration::ZERO), 1, "a second is over");
    draw.call();
    assert_eq!((it.runs_in(SECOND - TENTH), it.runs_in(TENTH), it.runs_in(SECOND)), (0, 1, 0));
}

#[test]
fn a_call_during_a_run_is_followed_by_another_run() {
    let it = bench();
    let (sender, receiver) = channel::<Arc<Debounced>>();
    let runs = Arc::clone(&it.runs);
    let mut again = None;
    let save = it.scheduler.debounced(SECOND, move || {
        let save = again.get_or_insert_with(|| receiver.recv().unwrap());
        if runs.fetch_add(1, SeqCst) == 0 {
            save.call();
        }
    });
    let save = Arc::new(save.unwrap());
    sender.send(Arc::clone(&save)).unwrap();
    save.call();
    assert_eq!([it.runs_in(SECOND), it.runs_in(SECOND), it.runs_in(SECOND * 9)], [1, 1, 0]);
}

#[test]
fn a_panic_leaves_them_usable() {
    let it = bench();
    let runs = Arc::clone(&it.runs);
    let draw = it.scheduler.throttled(SECOND, move || {
        runs.fetch_add(1, SeqCst);
        panic!("in a throttled call");
    });
    let draw = draw.unwrap();
    draw.call();
    assert_eq!(it.runs_in(Duration::ZERO), 1);
    draw.call();
    assert_eq!(it.runs_in(SECOND), 1);
}

#[test]
fn after_a_shutdown_a_call_is_refused() {
    let it = bench();
    let (save, draw) = (it.debounced(), it.throttled());
    it.scheduler.shutdown(Pending::Discard);
    assert!(!save.call() && !draw.call() && !save.flush());
    assert!(matches!(it.scheduler.debounced(SECOND, || ()), Err(ShutDown(_))));
    assert!(matches!(it.scheduler.throttled(SECOND, || ()), Err(ShutDown(_))));
}

/// Refuses the first job.
struct Refuses(Mutex<bool>);

impl Executor for Refuses {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) {
        if !std::mem::replace(&mut *self.0.lock().unwrap(), false) {
            job();
        }
    }
}

/// With an executor that refuses its first job.
fn refusing() -> Bench {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder()
        .clock(clock.clone())
        .executor(Refuses(Mutex::new(true)))
        .build_without_thread();
    Bench { clock, scheduler, runs: Arc::default() }
}

#[test]
fn a_refused_run_is_tried_again() {
    let it = refusing();
    let save = it.debounced();
    save.call();
    assert_eq!([it.runs_in(SECOND), it.runs_in(SECOND), it.runs_in(SECOND)], [0, 1, 0]);
}

/// However slow the pace is, a refused run is not lost.
#[test]
fn a_refused_run_of_a_slow_pace_is_tried_again_after_a_second() {
    for interval in [Duration::from_secs(3600), Duration::MAX] {
        let it = refusing();
        let runs = Arc::clone(&it.runs);
        let callback = move || _ = runs.fetch_add(1, SeqCst);
        let throttled = it.scheduler.throttled(interval, callback).unwrap();
        assert!(throttled.call());
        assert_eq!([it.runs_in(Duration::ZERO), it.runs_in(SECOND), it.runs_in(SECOND)], [0, 1, 0]);
    }
}
