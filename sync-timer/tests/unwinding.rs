//! Every place where user code runs, and a panic in it: one with a text, one whose payload panics
//! when it is dropped, and one whose payload's payload does. After each, other timers are called,
//! nothing waits forever, and nothing is left.

use std::panic::{AssertUnwindSafe, catch_unwind, panic_any};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use sync_timer::{
    Calendar, Cancel, Clock, Executor, Interval, ManualClock, Missed, Monotonic, Notifier, Outcome,
    Pending, Periodic, Scheduler, SchedulerBuilder, Timer,
};

#[path = "../../sync-core/tests/support/bomb.rs"]
mod bomb;
#[path = "../../sync-core/tests/support/evil_waker.rs"]
mod evil_waker;
#[path = "../../sync-core/tests/support/watchdog.rs"]
#[allow(dead_code, reason = "not every test leaves notes")]
mod watchdog;

const SECOND: Duration = Duration::from_secs(1);

/// A payload whose destructor panics with a payload of the next level, until there is none left.
struct Bomb(u32);

impl Drop for Bomb {
    fn drop(&mut self) {
        if self.0 > 0 {
            panic_any(Bomb(self.0 - 1));
        }
    }
}

/// Panics: level 0 with a text, level N with a payload that panics N times in a row when dropped.
fn explode(level: u32) {
    match level {
        0 => panic!("text"),
        level => panic_any(Bomb(level)),
    }
}

/// Panics when it is dropped.
struct Grenade(u32);

impl Drop for Grenade {
    fn drop(&mut self) {
        explode(self.0);
    }
}

/// Runs a test with each kind of panic.
fn each_kind(test: impl Fn(u32)) {
    let _watchdog = watchdog::watch();
    for level in 0..3 {
        test(level);
    }
}

/// The result of code whose panic is expected to reach its caller.
#[track_caller]
fn reaches_the_caller<R>(code: impl FnOnce() -> R) {
    match catch_unwind(AssertUnwindSafe(code)) {
        Ok(_) => panic!("the panic did not come out"),
        // The test's own business: a payload that panics when it is dropped.
        Err(payload) => std::mem::forget(payload),
    }
}

/// A scheduler that the test drives, and how often its hook was called.
struct Driven {
    clock: ManualClock,
    scheduler: Scheduler,
    failures: Arc<AtomicUsize>,
    others: Arc<AtomicUsize>,
}

fn driven(build: impl FnOnce(SchedulerBuilder) -> SchedulerBuilder) -> Driven {
    let (clock, failures) = (ManualClock::new(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&failures);
    let builder = Scheduler::builder()
        .clock(clock.clone())
        .on_failure(move |_| _ = count.fetch_add(1, SeqCst));
    let scheduler = build(builder).build_without_thread();
    Driven { clock, scheduler, failures, others: Arc::default() }
}

impl Driven {
    /// Another timer, due in a second.
    fn other(&self) {
        let others = Arc::clone(&self.others);
        self.scheduler.once(SECOND, move || _ = others.fetch_add(1, SeqCst)).unwrap();
    }

    /// After a second all are called, and the others not the less for it.
    fn check(self, failures: usize, others: usize) {
        self.clock.advance(SECOND);
        self.scheduler.run_due();
        assert_eq!(self.failures.load(SeqCst), failures, "failures that were reported");
        assert_eq!(self.others.load(SeqCst), others, "calls of other timers");
        self.scheduler.shutdown(Pending::Fire);
        assert!(self.scheduler.is_empty());
    }
}

#[test]
fn a_callback() {
    each_kind(|level| {
        let it = driven(|builder| builder);
        it.other();
        let once = it.scheduler.once(SECOND, move || explode(level)).unwrap();
        let every = it.scheduler.every(SECOND, Missed::Skip, move |_| explode(level)).unwrap();
        it.other();
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        assert_eq!(once.cancel_and_wait(), Cancel::Done);
        assert!(every.is_pending(), "it is called again");
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        assert_eq!(every.cancel_and_wait(), Cancel::Prevented);
        it.check(3, 2);
    });
}

#[test]
fn the_drop_of_a_closure_after_its_last_call() {
    each_kind(|level| {
        let it = driven(|builder| builder);
        it.other();
        let grenade = Grenade(level);
        let callback = move |tick: &sync_timer::Tick| {
            let _ = &grenade;
            tick.stop();
        };
        let handle = it.scheduler.every(SECOND, Missed::Skip, callback).unwrap();
        it.other();
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        assert_eq!(handle.cancel_and_wait(), Cancel::Done);
        it.check(1, 2);
    });
}

#[test]
fn the_drop_of_a_cancelled_closure() {
    each_kind(|level| {
        let it = driven(|builder| builder);
        let grenade = Grenade(level);
        let handle = it.scheduler.once(SECOND, move || _ = &grenade).unwrap();
        it.other();
        // Documented: it is the canceller's.
        reaches_the_caller(|| handle.cancel());
        assert_eq!(handle.cancel_and_wait(), Cancel::Done);
        it.check(0, 1);
    });
}

#[test]
fn the_drop_of_a_closure_that_is_cancelled_by_a_guard_also_during_unwinding() {
    each_kind(|level| {
        let it = driven(|builder| builder);
        let grenade = Grenade(level);
        let guard = it.scheduler.once(SECOND, move || _ = &grenade).unwrap().cancel_on_drop();
        it.other();
        reaches_the_caller(move || {
            let _guard = guard;
            panic!("a panic of the user's");
        });
        it.check(1, 1);
    });
}

#[test]
fn the_drop_of_a_closure_that_a_shutdown_discards() {
    each_kind(|level| {
        for pending in [Pending::Discard, Pending::Fire] {
            let it = driven(|builder| builder);
            let tokens: Vec<_> = (0..5).map(|_| Arc::new(())).collect();
            for token in &tokens {
                let (grenade, held) = (Grenade(level), Arc::clone(token));
                let callback = move || _ = (&grenade, &held);
                it.scheduler.once(SECOND, callback).unwrap();
            }
            assert_eq!(it.scheduler.shutdown(pending), 5);
            assert!(tokens.iter().all(|token| Arc::strong_count(token) == 1), "all are dropped");
            it.check(5, 0);
        }
    });
}

/// Drops what it is given, runs it, or panics with it.
struct Executes(Mutex<Box<dyn FnMut(Job) + Send>>);

type Job = Box<dyn FnOnce() + Send>;

impl Executor for Executes {
    fn execute(&self, job: Job) {
        (self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))(job);
    }
}

fn executes(execute: impl FnMut(Job) + Send + 'static) -> Executes {
    Executes(Mutex::new(Box::new(execute)))
}

#[test]
fn an_executor() {
    each_kind(|level| {
        let executor = executes(move |_job| explode(level));
        let it = driven(|builder| builder.executor(executor));
        let once = it.scheduler.once(SECOND, || ()).unwrap();
        let every = it.scheduler.every(SECOND, Missed::Skip, |_| ()).unwrap();
        it.clock.advance(SECOND);
        assert_eq!(it.scheduler.run_due(), 2);
        assert_eq!(once.cancel_and_wait(), Cancel::Done);
        assert_eq!(every.cancel_and_wait(), Cancel::Prevented);
        // Each was refused, and each was a panic.
        it.check(4, 0);
    });
}

#[test]
fn the_drop_of_a_refused_closure() {
    each_kind(|level| {
        let mut refuses = true;
        let executor = executes(move |job| {
            if std::mem::take(&mut refuses) {
                drop(job);
            } else {
                job();
            }
        });
        let it = driven(|builder| builder.executor(executor));
        let grenade = Grenade(level);
        let handle = it.scheduler.once(SECOND, move || _ = &grenade).unwrap();
        it.other();
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        assert_eq!(handle.cancel_and_wait(), Cancel::Done);
        it.check(2, 1);
    });
}

#[test]
fn the_failure_hook() {
    each_kind(|level| {
        let it = driven(|builder| builder.on_failure(move |_| explode(level)));
        it.scheduler.once(SECOND, || panic!("for the hook")).unwrap();
        it.other();
        it.check(0, 1);
    });
}

/// A clock that panics in one method while it is armed.
#[derive(Clone)]
struct Moody {
    clock: ManualClock,
    level: u32,
    now: Arc<AtomicBool>,
    look_again: Arc<AtomicBool>,
    subscribe: Arc<AtomicBool>,
}

impl Moody {
    fn new(level: u32) -> Self {
        let (now, look_again, subscribe) = (Arc::default(), Arc::default(), Arc::default());
        Self { clock: ManualClock::new(), level, now, look_again, subscribe }
    }
}

impl Clock for Moody {
    fn now(&self) -> Instant {
        if self.now.load(SeqCst) {
            explode(self.level);
        }
        self.clock.now()
    }

    fn look_again(&self, deadline: Instant) -> Option<Instant> {
        if self.look_again.load(SeqCst) {
            explode(self.level);
        }
        self.clock.look_again(deadline)
    }

    fn subscribe(&self, notifier: &Arc<Notifier>) {
        if self.subscribe.load(SeqCst) {
            explode(self.level);
        }
        self.clock.subscribe(notifier);
    }
}

#[test]
fn a_clock_that_a_caller_needs() {
    each_kind(|level| {
        let clock = Moody::new(level);
        clock.subscribe.store(true, SeqCst);
        reaches_the_caller(|| Scheduler::builder().clock(clock.clone()).build_without_thread());
        reaches_the_caller(|| Interval::with_clock(SECOND, clock.clone()));
        clock.subscribe.store(false, SeqCst);
        let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
        let mut interval = Interval::with_clock(SECOND, clock.clone());
        let timer = Timer::new(SECOND, || ()).with_clock(clock.clone());
        let handle = scheduler.once(SECOND, || ()).unwrap();
        clock.now.store(true, SeqCst);
        reaches_the_caller(|| scheduler.once(SECOND, || ()));
        reaches_the_caller(|| scheduler.run_due());
        reaches_the_caller(|| scheduler.shutdown(Pending::Fire));
        reaches_the_caller(|| handle.reschedule_after(SECOND * 2));
        reaches_the_caller(|| interval.tick_timeout(SECOND));
        reaches_the_caller(|| timer.start());
        clock.now.store(false, SeqCst);
        // Nothing was changed.
        assert!(!scheduler.is_shutdown());
        clock.clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 1);
        assert!(interval.tick().is_some());
        timer.start().unwrap();
        clock.clock.advance(SECOND);
        assert_eq!(timer.join(), Ok(Outcome::Ran));
    });
}

#[test]
fn a_clock_that_is_asked_for_the_next_tick() {
    each_kind(|level| {
        let clock = Moody::new(level);
        let failures = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&failures);
        let scheduler = Scheduler::builder()
            .clock(clock.clone())
            .on_failure(move |_| _ = count.fetch_add(1, SeqCst))
            .build_without_thread();
        let armed = Arc::clone(&clock.now);
        let callback = move |_: &sync_timer::Tick| armed.store(true, SeqCst);
        let handle = scheduler.every(SECOND, Missed::Skip, callback).unwrap();
        clock.clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 1);
        clock.now.store(false, SeqCst);
        assert_eq!(failures.load(SeqCst), 1);
        assert_eq!(handle.deadline(), Some(clock.now() + SECOND), "it keeps its grid");
        assert_eq!(handle.cancel_and_wait(), Cancel::Prevented);
    });
}

#[test]
fn a_clock_that_is_asked_when_a_tick_is_refused() {
    each_kind(|level| {
        let clock = Moody::new(level);
        let armed = Arc::clone(&clock.now);
        let executor = executes(move |job| {
            armed.store(true, SeqCst);
            drop(job);
        });
        let scheduler =
            Scheduler::builder().clock(clock.clone()).executor(executor).build_without_thread();
        let once = scheduler.once(SECOND, || ()).unwrap();
        let every = scheduler.every(SECOND, Missed::Burst, |_| ()).unwrap();
        clock.clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 2);
        clock.now.store(false, SeqCst);
        assert_eq!(once.cancel_and_wait(), Cancel::Done);
        assert_eq!(every.deadline(), Some(clock.now() + SECOND), "it keeps its grid");
        assert_eq!(every.cancel_and_wait(), Cancel::Prevented);
    });
}

#[test]
fn a_clock_that_the_dispatcher_asks() {
    each_kind(|level| {
        let clock = Moody::new(level);
        let (sender, failures) = channel();
        let sender = Mutex::new(sender);
        let scheduler = Scheduler::builder()
            .clock(clock.clone())
            .on_failure(move |failure| _ = sender.lock().unwrap().send(format!("{failure:?}")))
            .build()
            .unwrap();
        clock.look_again.store(true, SeqCst);
        let (sender, receiver) = channel();
        scheduler.once(SECOND, move || sender.send(()).unwrap()).unwrap();
        failures.recv().unwrap();
        clock.look_again.store(false, SeqCst);
        clock.now.store(true, SeqCst);
        clock.clock.advance(SECOND);
        failures.recv().unwrap();
        clock.now.store(false, SeqCst);
        // The dispatcher lives, and calls.
        receiver.recv().unwrap();
        clock.now.store(true, SeqCst);
        clock.clock.advance(SECOND);
        scheduler.shutdown(Pending::Fire);
        assert!(scheduler.is_empty());
    });
}

#[test]
fn the_function_of_a_timer() {
    each_kind(|level| {
        let timer = Timer::new(Duration::ZERO, move || explode(level));
        timer.start().unwrap();
        assert_eq!(timer.join(), Ok(Outcome::Panicked));
        assert!(!timer.is_alive());
    });
}

#[test]
fn the_drop_of_the_closure_of_a_cancelled_timer() {
    each_kind(|level| {
        let grenade = Grenade(level);
        let timer = Timer::new(SECOND * 3600, move || _ = &grenade);
        timer.start().unwrap();
        // Documented: it is the canceller's.
        reaches_the_caller(|| timer.cancel());
        assert_eq!(timer.join(), Ok(Outcome::Cancelled));
    });
}

#[test]
fn the_clock_of_a_timer() {
    each_kind(|level| {
        for which in 0..3 {
            let clock = Moody::new(level);
            let grenade = Grenade(level);
            let timer = Timer::new(SECOND, move || {
                let _ = &grenade;
                panic!("it is not called");
            })
            .with_clock(clock.clone());
            match which {
                0 => clock.subscribe.store(true, SeqCst),
                1 => clock.look_again.store(true, SeqCst),
                _ => {}
            }
            timer.start().unwrap();
            if which == 2 {
                clock.now.store(true, SeqCst);
                clock.clock.advance(SECOND / 2);
            }
            assert_eq!(timer.join(), Ok(Outcome::Panicked));
            assert!(!timer.cancel());
        }
    });
}

/// The real clock, with a destructor that panics.
struct Trapped(#[expect(dead_code, reason = "its drop counts")] Grenade);

impl Clock for Trapped {
    fn now(&self) -> Instant {
        Monotonic.now()
    }
}

#[test]
fn the_drop_of_a_clock_an_executor_or_a_hook() {
    each_kind(|level| {
        let timer = Timer::new(Duration::ZERO, || ()).with_clock(Trapped(Grenade(level)));
        timer.start().unwrap();
        assert_eq!(timer.join(), Ok(Outcome::Ran));
        // The timer's thread drops the clock, or this one.
        drop(timer);

        let executor = || {
            let grenade = Grenade(level);
            executes(move |job| {
                let _ = &grenade;
                job();
            })
        };
        let token = Arc::new(());
        let hook = || {
            let grenade = (Grenade(level), Arc::clone(&token));
            move |_: sync_timer::Failure<'_>| _ = &grenade
        };
        let builder = || {
            Scheduler::builder()
                .clock(Trapped(Grenade(level)))
                .executor(executor())
                .on_failure(hook())
        };
        // This thread drops them with the last handle.
        let scheduler = builder().build_without_thread();
        let handle = scheduler.once(SECOND, || ()).unwrap();
        drop(scheduler);
        drop(handle);
        // The dispatcher does, for its scheduler is dropped by a callback.
        let scheduler = Arc::new(Mutex::new(None));
        let (sender, receiver) = channel();
        let own = Arc::clone(&scheduler);
        *scheduler.lock().unwrap() = Some(builder().build().unwrap());
        let dropping = move || {
            let scheduler = own.lock().unwrap().take();
            drop(scheduler);
            sender.send(()).unwrap();
        };
        let dropping = scheduler.lock().unwrap().as_ref().unwrap().once(Duration::ZERO, dropping);
        drop(dropping);
        receiver.recv().unwrap();
        while Arc::strong_count(&token) > 1 {
            std::thread::yield_now();
        }
    });
}

#[test]
fn the_clock_and_the_function_of_a_calendar() {
    each_kind(|level| {
        for which in ["the clock", "the clock after the call", "the function"] {
            let it = driven(|builder| builder);
            let wall = Arc::new(Mutex::new(SystemTime::UNIX_EPOCH));
            let (armed, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
            let (clock, fails) = (Arc::clone(&wall), Arc::clone(&armed));
            let function = Arc::clone(&armed);
            let calendar = Calendar::new(move |after: SystemTime| {
                if which == "the function" && function.load(SeqCst) {
                    explode(level);
                }
                Some(after + SECOND)
            });
            let calendar = calendar.clock(move || {
                if which != "the function" && fails.load(SeqCst) {
                    explode(level);
                }
                *clock.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            });
            let (count, arms) = (Arc::clone(&calls), Arc::clone(&armed));
            let callback = move |_: &sync_timer::Tick| {
                let first = count.fetch_add(1, SeqCst) == 0;
                arms.store(first && which == "the clock after the call", SeqCst);
            };
            let timer = it.scheduler.calendar(calendar, callback).unwrap();
            it.other();
            armed.store(which != "the clock after the call", SeqCst);
            *wall.lock().unwrap() += SECOND;
            it.clock.advance(SECOND);
            it.scheduler.run_due();
            let called = usize::from(which == "the clock after the call");
            assert_eq!(calls.load(SeqCst), called, "{which}");
            assert_eq!(it.failures.load(SeqCst), 1, "{which} is reported once");
            // It is not tried again at once.
            it.scheduler.run_due();
            assert_eq!(it.failures.load(SeqCst), 1, "{which}");
            armed.store(false, SeqCst);
            let later = SECOND * 60;
            *wall.lock().unwrap() += later;
            it.clock.advance(later);
            it.scheduler.run_due();
            if which == "the function" {
                assert_eq!(timer.cancel_and_wait(), Cancel::Done, "documented: its timer ends");
                assert_eq!(calls.load(SeqCst), 0);
            } else {
                assert_eq!(calls.load(SeqCst), called + 1, "{which}");
                assert_eq!(timer.cancel_and_wait(), Cancel::Prevented, "{which}");
            }
            it.check(1, 1);
        }
    });
}

#[test]
fn a_debounced_and_a_throttled_callback() {
    each_kind(|level| {
        let it = driven(|builder| builder);
        it.other();
        let debounced = it.scheduler.debounced(SECOND, move || explode(level)).unwrap();
        let throttled = it.scheduler.throttled(SECOND, move || explode(level)).unwrap();
        for round in 1..=2 {
            assert!(debounced.call() && throttled.call());
            it.clock.advance(SECOND);
            it.scheduler.run_due();
            assert_eq!(it.failures.load(SeqCst), 2 * round, "each ran, and is of use");
        }
        drop((debounced, throttled));
        it.check(4, 1);

        // The closures panic when they are dropped: by their owner, and by a shutdown.
        let it = driven(|builder| builder);
        it.other();
        let (grenade, other) = (Grenade(level), Grenade(level));
        let debounced = it.scheduler.debounced(SECOND, move || _ = &grenade).unwrap();
        let throttled = it.scheduler.throttled(SECOND, move || _ = &other).unwrap();
        assert!(debounced.call());
        drop(debounced);
        assert_eq!(it.failures.load(SeqCst), 1);
        assert_eq!(it.scheduler.shutdown(Pending::Discard), 2);
        assert_eq!(it.failures.load(SeqCst), 2);
        assert!(!throttled.call());
    });
}

#[test]
fn a_clock_of_a_debounced_call_and_of_ticks() {
    each_kind(|level| {
        let clock = Moody::new(level);
        let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let debounced =
            scheduler.debounced(SECOND, move || _ = count.fetch_add(1, SeqCst)).unwrap();
        let mut ticks = scheduler.ticks(Periodic::new(SECOND));
        clock.now.store(true, SeqCst);
        reaches_the_caller(|| debounced.call());
        reaches_the_caller(|| debounced.flush());
        reaches_the_caller(|| debounced.clear());
        reaches_the_caller(|| drop(scheduler.sleep(SECOND)));
        reaches_the_caller(|| drop(scheduler.debounced(SECOND, || ())));
        clock.now.store(false, SeqCst);
        assert!(debounced.call());
        clock.clock.advance(SECOND);
        assert_eq!(scheduler.run_due(), 2);
        assert_eq!(calls.load(SeqCst), 1);
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        clock.now.store(true, SeqCst);
        reaches_the_caller(|| ticks.poll_tick(&mut context).is_ready());
        clock.now.store(false, SeqCst);
        assert!(ticks.poll_tick(&mut context).is_ready(), "the tick is not lost");
        assert!(ticks.poll_tick(&mut context).is_pending());
    });
}

#[test]
fn the_waker_of_a_task() {
    let _watchdog = watchdog::watch();
    let clock = ManualClock::new();
    let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    let release = || {
        clock.advance(SECOND);
        scheduler.run_due();
    };
    evil_waker::survives(
        "a sleep",
        &|| {
            let sleep = scheduler.sleep(SECOND);
            Box::pin(async { sleep.await.unwrap() })
        },
        &release,
    );
    evil_waker::survives(
        "a timeout",
        &|| {
            let timeout = scheduler.timeout(SECOND, std::future::pending::<()>());
            Box::pin(async {
                timeout.await.unwrap_err();
            })
        },
        &release,
    );
    evil_waker::survives(
        "a tick",
        &|| {
            let mut ticks = scheduler.ticks(Periodic::new(SECOND));
            Box::pin(async move { _ = ticks.tick().await.unwrap() })
        },
        &release,
    );
    assert!(scheduler.is_empty(), "a sleep that was dropped has left its timer");
}
