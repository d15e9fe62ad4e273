//! `Interval`, by a clock that is turned by hand, and by the real one where sleeping is the point.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sync_core::{CancelToken, Cancelled, Event};
use sync_timer::{
    Cancel, Clock, Interval, ManualClock, Missed, Outcome, Scheduler, Tick, TickError, Timer,
};

use crate::watchdog;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn ticks_are_on_the_grid_and_never_early() {
    let _watchdog = watchdog::watch();
    let period = Duration::from_millis(3);
    let began = Instant::now();
    let interval = Interval::new(period);
    let mut previous: Option<Instant> = None;
    for scheduled in interval.take(5) {
        assert!(Instant::now() >= scheduled && scheduled >= began + period);
        if let Some(previous) = previous {
            assert_eq!(scheduled.duration_since(previous).as_nanos() % period.as_nanos(), 0);
        }
        previous = Some(scheduled);
    }
}

#[test]
fn missed_ticks_skip_burst_delay() {
    for (policy, expected) in [
        (Missed::Skip, [(1000, 0), (2000, 0), (5000, 2)]),
        (Missed::Burst, [(1000, 0), (2000, 0), (3000, 0)]),
        (Missed::Delay, [(1000, 0), (2000, 0), (5500, 0)]),
    ] {
        let clock = ManualClock::new();
        let origin = clock.now();
        let mut interval = Interval::with_clock(SECOND, clock.clone()).with_missed(policy);
        let mut seen = Vec::new();
        let mut tick = |interval: &mut Interval| {
            let scheduled = interval.tick().unwrap();
            seen.push((scheduled.duration_since(origin).as_millis(), interval.missed()));
        };
        clock.advance(SECOND);
        tick(&mut interval);
        // The second is taken three and a half periods late at most: at 4.5 s.
        clock.advance(Duration::from_millis(3500));
        tick(&mut interval);
        clock.advance(SECOND);
        tick(&mut interval);
        assert_eq!(seen, expected, "{policy:?}");
    }
}

/// Also of a period so short that the timer never catches up: what it owes from before another
/// timer's deadline comes before that, and no more.
#[test]
fn a_burst_that_cannot_catch_up_goes_before_other_timers_by_the_deadlines_only() {
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    let period = Duration::from_millis(1);
    let ticks = Arc::new(AtomicUsize::new(0));
    let (count, turn) = (Arc::clone(&ticks), clock.clone());
    // Each tick takes as long as three periods.
    let burst = move |_: &Tick| {
        count.fetch_add(1, SeqCst);
        turn.advance(period * 3);
    };
    scheduler.every(period, Missed::Burst, burst).unwrap();
    let (count, seen) = (Arc::clone(&ticks), Arc::new(Mutex::new(None)));
    let other = Arc::clone(&seen);
    let after = period * 20 + period / 2;
    scheduler.once(after, move || *other.lock().unwrap() = Some(count.load(SeqCst))).unwrap();
    clock.advance(period);
    while seen.lock().unwrap().is_none() {
        scheduler.run_due();
        assert!(ticks.load(SeqCst) < 1000, "the other timer never comes");
    }
    assert_eq!(*seen.lock().unwrap(), Some(20), "the ticks of the 20 periods before it");
}

#[test]
fn a_timed_wait_loses_no_tick() {
    let clock = ManualClock::new();
    let origin = clock.now();
    let mut interval = Interval::with_clock(SECOND, clock.clone());
    assert_eq!(interval.tick_timeout(Duration::ZERO), Err(TickError::Timeout));
    assert_eq!(interval.tick_deadline(origin), Err(TickError::Timeout));
    clock.advance(SECOND);
    assert_eq!(
        interval.tick_timeout(Duration::ZERO),
        Ok(origin + SECOND),
        "due already: given out whatever the timeout"
    );
    interval.stopper().stop();
    assert_eq!(interval.tick_timeout(SECOND), Err(TickError::Stopped));
}

#[test]
fn stop_wakes_the_waiter() {
    let _watchdog = watchdog::watch();
    let mut interval = Interval::new(SECOND * 3600);
    let stopper = interval.stopper();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || (interval.tick(), interval.next()));
        stopper.stop();
        assert_eq!(waiting.join().unwrap(), (None, None));
    });
    stopper.stop();
    assert!(stopper.is_stopped());
}

#[test]
fn reset_begins_a_new_grid() {
    let clock = ManualClock::new();
    let origin = clock.now();
    let mut interval = Interval::with_clock(SECOND, clock.clone());
    clock.advance(SECOND / 4);
    interval.reset();
    clock.advance(SECOND);
    assert_eq!(interval.tick(), Some(origin + SECOND * 5 / 4));
}

#[test]
fn a_period_of_zero_panics_and_a_huge_one_never_ticks() {
    let panic = catch_unwind(|| Interval::new(Duration::ZERO)).unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"an interval needs a period greater than zero"));
    let mut interval = Interval::new(Duration::MAX);
    assert_eq!(interval.tick_timeout(Duration::from_millis(1)), Err(TickError::Timeout));
    assert!(format!("{interval:?}").starts_with("Interval"));
}

#[test]
fn the_first_tick_can_be_now_after_a_delay_or_at_a_time() {
    let clock = ManualClock::new();
    let begin = clock.now();
    let interval = || Interval::with_clock(SECOND * 60, clock.clone());
    let mut now = interval().with_first_after(Duration::ZERO);
    let mut after = interval().with_first_after(SECOND);
    let mut at = interval().with_first_at(begin + SECOND * 2);
    let mut past = interval().with_first_at(begin.checked_sub(SECOND).unwrap_or(begin));
    let mut never = interval().with_first_after(Duration::MAX);
    assert_eq!((now.tick(), past.tick()), (Some(begin), Some(begin)));
    assert_eq!(after.tick_timeout(Duration::ZERO), Err(TickError::Timeout));
    clock.advance(SECOND);
    assert_eq!(after.tick(), Some(begin + SECOND));
    assert_eq!(at.tick_timeout(Duration::ZERO), Err(TickError::Timeout));
    clock.advance(SECOND);
    assert_eq!(at.tick(), Some(begin + SECOND * 2));
    clock.advance(SECOND * 60);
    assert_eq!(now.tick(), Some(begin + SECOND * 60));
    assert_eq!(after.tick(), Some(begin + SECOND * 61));
    clock.advance(Duration::MAX);
    assert_eq!(never.tick_timeout(Duration::ZERO), Err(TickError::Timeout));
}

/// Every blocking call of this crate ends by a token.
#[test]
fn a_token_ends_every_wait() {
    let _watchdog = crate::watchdog::watch();
    let ends = |call: &mut (dyn FnMut(&CancelToken) -> bool + Send)| {
        let token = CancelToken::new();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| call(&token));
            std::thread::sleep(Duration::from_millis(2));
            assert!(!waits.is_finished(), "it did not wait");
            token.cancel();
            waits.join().unwrap()
        })
    };
    let mut interval = Interval::new(Duration::from_secs(100));
    assert!(ends(&mut |token| interval.tick_or_cancelled(token) == Err(Cancelled)));
    interval.stopper().stop();
    assert_eq!(interval.tick_or_cancelled(&CancelToken::new()), Ok(None));
    let mut quick = Interval::new(Duration::from_millis(1));
    assert!(quick.tick_or_cancelled(&CancelToken::new()).unwrap().is_some());
    let mut by_hand = Interval::with_clock(Duration::from_secs(1), ManualClock::new());
    assert!(ends(&mut |token| by_hand.tick_or_cancelled(token) == Err(Cancelled)));

    let timer = Timer::new(Duration::from_secs(100), || ());
    timer.start().unwrap();
    assert!(ends(&mut |token| timer.join_or_cancelled(token) == Err(Cancelled)));
    assert!(timer.cancel());
    let token = CancelToken::new();
    token.cancel();
    assert_eq!(timer.join_or_cancelled(&token), Ok(Ok(Outcome::Cancelled)));

    let gate = std::sync::Arc::new(Event::new());
    let (inside, began) = (gate.clone(), std::sync::Arc::new(Event::new()));
    let begins = began.clone();
    let scheduler = Scheduler::new();
    let handle = scheduler.once(Duration::ZERO, move || {
        begins.set();
        inside.wait();
    });
    let handle = handle.unwrap();
    began.wait();
    assert!(ends(&mut |token| handle.cancel_and_wait_or_cancelled(token) == Err(Cancelled)));
    gate.set();
    let over = handle.cancel_and_wait_or_cancelled(&CancelToken::new());
    assert_eq!(over, Ok(Cancel::Done));
}
