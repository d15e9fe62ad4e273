//! The behaviour of `Timer`.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use sync_core::OnceLock;
use sync_timer::{JoinError, ManualClock, Outcome, StartError, Timer};

use crate::watchdog;

const SECOND: Duration = Duration::from_secs(1);

fn counter() -> (Arc<AtomicUsize>, impl FnOnce() + Send + 'static) {
    let count = Arc::new(AtomicUsize::new(0));
    let inside = Arc::clone(&count);
    (count, move || _ = inside.fetch_add(1, SeqCst))
}

#[test]
fn fires_once_can_be_joined_and_timers_are_independent() {
    let _watchdog = watchdog::watch();
    let (first_count, first) = counter();
    let (second_count, second) = counter();
    let first = Timer::new(Duration::from_millis(10), first);
    let second = Timer::new(Duration::from_millis(10), second);
    let began = Instant::now();
    first.start().unwrap();
    assert_eq!(first.join(), Ok(Outcome::Ran));
    assert!(began.elapsed() >= Duration::from_millis(10), "never early");
    second.start().unwrap();
    assert_eq!(second.join(), Ok(Outcome::Ran));
    assert_eq!((first_count.load(SeqCst), second_count.load(SeqCst)), (1, 1));
}

#[test]
fn cancel_before_start_and_then_start_never_runs() {
    let _watchdog = watchdog::watch();
    let (count, callback) = counter();
    let timer = Timer::new(Duration::ZERO, callback);
    assert!(timer.cancel());
    assert_eq!(Arc::strong_count(&count), 1, "the closure has been dropped");
    timer.start().unwrap();
    assert!(!timer.is_alive());
    assert_eq!(timer.join(), Ok(Outcome::Cancelled));
    assert!(matches!(timer.start(), Err(StartError::AlreadyStarted)));
    assert_eq!(count.load(SeqCst), 0);
}

#[test]
fn cancel_after_firing_has_no_effect_and_is_idempotent() {
    let _watchdog = watchdog::watch();
    let (count, callback) = counter();
    let timer = Timer::new(Duration::ZERO, callback);
    timer.start().unwrap();
    assert_eq!(timer.join(), Ok(Outcome::Ran));
    assert!(!timer.cancel() && !timer.cancel());
    assert_eq!((timer.outcome(), count.load(SeqCst)), (Some(Outcome::Ran), 1));

    let timer = Timer::new(SECOND * 3600, || ());
    timer.start().unwrap();
    assert!(timer.cancel() && timer.cancel());
    assert_eq!(timer.outcome(), Some(Outcome::Cancelled));
}

#[test]
fn zero_fires_at_once_and_start_twice_is_an_error() {
    let _watchdog = watchdog::watch();
    let (count, callback) = counter();
    let timer = Timer::new(Duration::ZERO, callback);
    timer.start().unwrap();
    assert!(matches!(timer.start(), Err(StartError::AlreadyStarted)));
    timer.join().unwrap();
    assert!(matches!(timer.start(), Err(StartError::AlreadyStarted)));
    assert_eq!(count.load(SeqCst), 1);
    assert_eq!(StartError::AlreadyStarted.to_string(), "the timer has been started before");
}

#[test]
fn a_panic_is_an_outcome_of_its_own() {
    let _watchdog = watchdog::watch();
    let timer = Timer::new(Duration::ZERO, || panic!("as the test wants"));
    timer.start().unwrap();
    assert_eq!(timer.join(), Ok(Outcome::Panicked));
    assert!(!timer.is_alive() && !timer.cancel());
}

#[test]
fn cancel_while_the_function_runs_does_not_stop_it() {
    let _watchdog = watchdog::watch();
    let inside = Arc::new(Barrier::new(2));
    let barrier = Arc::clone(&inside);
    let timer = Timer::new(Duration::ZERO, move || {
        barrier.wait();
        barrier.wait();
    });
    timer.start().unwrap();
    inside.wait();
    assert!(!timer.cancel());
    assert!(timer.is_alive());
    assert_eq!(timer.outcome(), None);
    assert_eq!(timer.join_timeout(Duration::from_millis(1)), Ok(None));
    inside.wait();
    assert_eq!(timer.join(), Ok(Outcome::Ran));
    assert_eq!(timer.join_timeout(Duration::MAX), Ok(Some(Outcome::Ran)));
}

#[test]
fn a_cancel_that_prevented_was_not_followed_by_a_call() {
    let _watchdog = watchdog::watch();
    for _ in 0..50 {
        let (count, callback) = counter();
        let timer = Timer::new(Duration::from_micros(50), callback);
        timer.start().unwrap();
        std::thread::yield_now();
        let prevented = timer.cancel();
        let outcome = timer.join().unwrap();
        assert_eq!(outcome, if prevented { Outcome::Cancelled } else { Outcome::Ran });
        assert_eq!(count.load(SeqCst), usize::from(!prevented));
    }
}

#[test]
fn alive_until_the_function_returned_joinable_and_named() {
    let _watchdog = watchdog::watch();
    let clock = ManualClock::new();
    let (sender, receiver) = channel();
    let timer = Timer::new(SECOND, move || {
        sender.send(std::thread::current().name().map(str::to_owned)).unwrap()
    })
    .with_clock(clock.clone())
    .with_name("tea");
    assert_eq!((timer.name(), timer.delay(), timer.is_alive()), ("tea", SECOND, false));
    assert_eq!(timer.join(), Err(JoinError::NotStarted));
    timer.start().unwrap();
    clock.advance(SECOND / 2);
    assert!(timer.is_alive() && receiver.try_recv().is_err());
    clock.advance(SECOND / 2);
    assert_eq!(timer.join(), Ok(Outcome::Ran));
    assert!(!timer.is_alive());
    assert_eq!(receiver.recv().unwrap().as_deref(), Some("tea"));
    assert!(Timer::new(SECOND, || ()).name().starts_with("timer-"));
}

#[test]
fn many_threads_may_join_one_timer() {
    let _watchdog = watchdog::watch();
    let clock = ManualClock::new();
    let timer = Timer::new(SECOND, || ()).with_clock(clock.clone());
    timer.start().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(timer.join(), Ok(Outcome::Ran)));
        }
        clock.advance(SECOND);
    });
}

#[test]
fn its_own_function_cannot_join_it_and_a_cancel_from_there_is_too_late() {
    let _watchdog = watchdog::watch();
    let own: Arc<OnceLock<Timer>> = Arc::new(OnceLock::new());
    let (sender, receiver) = channel();
    let inside = Arc::clone(&own);
    let timer = Timer::new(Duration::from_millis(1), move || {
        let own = inside.wait();
        sender.send((own.join(), own.join_timeout(SECOND), own.cancel())).unwrap();
    });
    let timer = own.get_or_init(|| timer);
    timer.start().unwrap();
    assert_eq!(receiver.recv(), Ok((Err(JoinError::Current), Err(JoinError::Current), false)));
    assert_eq!(timer.join(), Ok(Outcome::Ran));
}

#[test]
fn dropping_it_detaches_it() {
    let _watchdog = watchdog::watch();
    let (sender, receiver) = channel();
    let timer = Timer::new(Duration::from_millis(1), move || sender.send(()).unwrap());
    timer.start().unwrap();
    drop(timer);
    assert_eq!(receiver.recv(), Ok(()));
    // One that was never started drops its closure.
    let (count, callback) = counter();
    drop(Timer::new(Duration::ZERO, callback));
    assert_eq!((Arc::strong_count(&count), count.load(SeqCst)), (1, 0));
}

#[test]
fn huge_is_never_and_can_be_cancelled() {
    let _watchdog = watchdog::watch();
    let timer = Timer::new(Duration::MAX, || panic!("never"));
    timer.start().unwrap();
    assert_eq!(timer.join_timeout(Duration::from_millis(1)), Ok(None));
    assert!(timer.cancel());
    assert_eq!(timer.join(), Ok(Outcome::Cancelled));
}

#[test]
fn a_thread_that_cannot_be_started_is_an_error_and_nothing_is_lost() {
    let (count, callback) = counter();
    let timer = Timer::new(Duration::ZERO, callback).with_name("zero\0byte");
    for _ in 0..2 {
        assert!(matches!(
            timer.start(),
            Err(StartError::Spawn(error)) if error.kind() == std::io::ErrorKind::InvalidInput
        ));
    }
    assert!(!timer.is_alive());
    assert_eq!(Arc::strong_count(&count), 2, "the closure is still here");
    assert_eq!(timer.join(), Err(JoinError::NotStarted));
}

#[test]
fn debug_says_where_it_is() {
    let timer = Timer::new(SECOND, || ()).with_name("tea");
    assert_eq!(format!("{timer:?}"), r#"Timer { name: "tea", delay: 1s, phase: "new", .. }"#);
    timer.cancel();
    assert!(format!("{timer:?}").contains("over"));
}
