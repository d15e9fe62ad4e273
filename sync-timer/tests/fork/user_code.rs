//! Forks in user code that is no callback: clocks, executors, hooks, destructors, wakers and
//! calendars. A child that comes back from it calls nothing of the parent, waits for nothing, and
//! ends with the thread that forked.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::thread::ThreadId;
use std::time::{Duration, Instant, SystemTime};

use sync_timer::{Calendar, Clock, Executor, Missed, Notifier, Outcome, Pending, Scheduler, Timer};

use super::{Children, HOUR, beside, once};

const MOMENT: Duration = Duration::from_millis(2);

/// Forks at one of its calls, those of the test's own thread not counted.
#[derive(Clone)]
struct Forks(Arc<(ThreadId, AtomicU32, Children)>);

impl Forks {
    /// The first `calls` calls do not fork.
    fn after(calls: u32) -> Self {
        let here = std::thread::current().id();
        Self(Arc::new((here, AtomicU32::new(calls + 1), Children::new())))
    }

    fn call(&self) {
        let (here, left, children) = &*self.0;
        if std::thread::current().id() != *here
            && left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)) == Ok(1)
        {
            children.fork();
        }
    }

    fn has_forked(&self) -> bool {
        self.0.1.load(Relaxed) == 0
    }

    /// The end of the child: 0, if it came back from the code that forked it.
    fn status(&self) -> libc::c_int {
        self.0.2.status()
    }
}

/// A callback of the parent, which ends a child that calls it.
fn of_the_parent() -> impl FnMut() + Send + Clone + 'static {
    let parent = std::process::id();
    move || {
        if std::process::id() != parent {
            // SAFETY: ends the child.
            unsafe { libc::_exit(9) };
        }
    }
}

/// The system's clock, or one that stands still until it has forked, and is hours later then.
struct ForkingClock(Forks, Option<Instant>);

impl Clock for ForkingClock {
    fn now(&self) -> Instant {
        self.0.call();
        match self.1 {
            None => Instant::now(),
            Some(still) if self.0.has_forked() => still + 2 * HOUR,
            Some(still) => still,
        }
    }

    fn look_again(&self, deadline: Instant) -> Option<Instant> {
        self.0.call();
        Some(self.1.map_or(deadline, |_| Instant::now() + MOMENT))
    }

    fn subscribe(&self, _: &Arc<Notifier>) {
        self.0.call();
    }
}

#[test]
fn a_clock_that_forks_on_the_thread_of_a_timer() {
    for calls in 0..8 {
        let forks = Forks::after(calls);
        let clock = ForkingClock(forks.clone(), Some(Instant::now()));
        let timer = Timer::new(HOUR, of_the_parent()).with_clock(clock);
        timer.start().unwrap();
        assert_eq!(forks.status(), 0, "after {calls} calls");
        assert_eq!(timer.join(), Ok(Outcome::Ran));
    }
}

#[test]
fn a_clock_that_forks_on_the_dispatchers_thread() {
    // The dispatcher alone calls it: other threads would take the fork for theirs.
    for calls in 0..24 {
        let forks = Forks::after(calls);
        let builder = Scheduler::builder().shards(1).clock(ForkingClock(forks.clone(), None));
        let scheduler = builder.build().unwrap();
        let mut tick = of_the_parent();
        _ = scheduler.every(MOMENT, Missed::Skip, move |_| tick()).unwrap();
        let throttled = scheduler.throttled(Duration::ZERO, of_the_parent()).unwrap();
        assert!(throttled.call());
        scheduler.once(MOMENT, of_the_parent()).unwrap();
        assert_eq!(forks.status(), 0, "after {calls} calls");
        scheduler.shutdown(Pending::Discard);
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// The fate of a job at a forking executor.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Runs,
    Drops,
    Keeps,
}

struct ForkingExecutor {
    children: Children,
    fate: Fate,
    kept: Mutex<Vec<Job>>,
}

impl Executor for ForkingExecutor {
    fn execute(&self, job: Job) {
        self.children.fork();
        match self.fate {
            Fate::Runs => job(),
            Fate::Drops => drop(job),
            Fate::Keeps => self.kept.lock().unwrap().push(job),
        }
    }
}

#[test]
fn an_executor_that_forks() {
    for fate in [Fate::Runs, Fate::Drops, Fate::Keeps] {
        let children = Children::new();
        let executor =
            ForkingExecutor { children: children.clone(), fate, kept: Mutex::new(Vec::new()) };
        let mut hook = of_the_parent();
        hook();
        let hook = Mutex::new(hook);
        let builder = Scheduler::builder().shards(1).executor(executor);
        let builder = builder.on_failure(move |_| hook.lock().unwrap()());
        let scheduler = builder.build().unwrap();
        beside(
            2,
            || once(&scheduler),
            || {
                for _ in 0..40 {
                    scheduler.once(Duration::ZERO, of_the_parent()).unwrap();
                    assert_eq!(children.status(), 0, "{fate:?}");
                }
            },
        );
    }
}

/// The executor of the parent holds jobs; a child that runs or drops them changes nothing.
#[test]
fn the_jobs_that_an_executor_has_at_the_fork_are_the_parents() {
    struct Kept(Arc<Mutex<Vec<Job>>>);
    impl Executor for Kept {
        fn execute(&self, job: Job) {
            self.0.lock().unwrap().push(job);
        }
    }
    let kept = Arc::default();
    let builder = Scheduler::builder().shards(1).executor(Kept(Arc::clone(&kept)));
    let scheduler = builder.build_without_thread();
    let runs = Arc::new(AtomicU32::new(0));
    for _ in 0..2 {
        let (mut ends, counts) = (of_the_parent(), Arc::clone(&runs));
        let callback = move || {
            ends();
            counts.fetch_add(1, Relaxed);
        };
        scheduler.once(Duration::ZERO, callback).unwrap();
    }
    assert_eq!(scheduler.run_due(), 2);
    super::in_child("the jobs of the parent", || {
        let mut jobs = core::mem::take(&mut *kept.lock().unwrap());
        drop(jobs.pop());
        jobs.pop().unwrap()();
    });
    core::mem::take(&mut *kept.lock().unwrap()).into_iter().for_each(|job| job());
    assert_eq!((runs.load(Relaxed), scheduler.len()), (2, 0));
}

/// Forks when it is dropped on another thread than the test's.
struct ForksWhenDropped(Forks);

impl Drop for ForksWhenDropped {
    fn drop(&mut self) {
        self.0.call();
    }
}

#[test]
fn a_hook_and_a_destructor_of_a_closure_that_fork() {
    let slot = Arc::new(Mutex::new(None::<Forks>));
    let hook = Arc::clone(&slot);
    let builder = Scheduler::builder().shards(1);
    let builder = builder.on_failure(move |_| {
        let forks = hook.lock().unwrap().take();
        forks.unwrap().call();
    });
    let scheduler = builder.build().unwrap();
    beside(
        2,
        || once(&scheduler),
        || {
            for _ in 0..40 {
                let forks = Forks::after(0);
                let token = ForksWhenDropped(forks.clone());
                scheduler.once(Duration::ZERO, move || _ = &token).unwrap();
                assert_eq!(forks.status(), 0, "a destructor");
                // A periodic one is dropped after its last call, by the scheduler itself.
                let forks = Forks::after(0);
                let token = ForksWhenDropped(forks.clone());
                let last = move |tick: &sync_timer::Tick| {
                    let _token = &token;
                    tick.stop();
                };
                scheduler.every(MOMENT, Missed::Skip, last).unwrap();
                assert_eq!(forks.status(), 0, "a destructor after the last tick");
                let forks = Forks::after(0);
                *slot.lock().unwrap() = Some(forks.clone());
                let fails = || std::panic::resume_unwind(Box::new("reported"));
                scheduler.once(Duration::ZERO, fails).unwrap();
                assert_eq!(forks.status(), 0, "a hook");
            }
        },
    );
}

/// Ends a child that drops it.
struct OfTheParent(u32);

impl Drop for OfTheParent {
    fn drop(&mut self) {
        if std::process::id() != self.0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(9) };
        }
    }
}

/// The child drops no further closure, closes no further shard, and comes back.
#[test]
fn a_shutdown_that_drops_a_closure_that_forks() {
    for round in 0..40 {
        let builder = Scheduler::builder().shards(4);
        let scheduler = match round % 2 {
            0 => builder.build().unwrap(),
            _ => builder.build_without_thread(),
        };
        let pending = if round % 4 < 2 { Pending::Discard } else { Pending::Fire };
        let (forks, parent) = (Forks::after(0), std::process::id());
        let (first, second) = (ForksWhenDropped(forks.clone()), OfTheParent(parent));
        scheduler.every(HOUR, Missed::Skip, move |_| _ = &first).unwrap();
        scheduler.every(HOUR, Missed::Skip, move |_| _ = &second).unwrap();
        let shuts_down = || {
            scheduler.shutdown(pending);
            if std::process::id() != parent {
                // SAFETY: ends the child, whose other threads are not there.
                unsafe { libc::_exit(0) };
            }
        };
        let test = || {
            std::thread::scope(|scope| {
                scope.spawn(shuts_down);
                assert_eq!(forks.status(), 0, "{pending:?}");
            });
        };
        beside(2, || _ = scheduler.len(), test);
    }
}

impl Wake for Forks {
    fn wake(self: Arc<Self>) {
        self.call();
    }
}

#[test]
fn a_waker_that_forks() {
    let scheduler = Scheduler::builder().shards(1).build().unwrap();
    beside(
        2,
        || once(&scheduler),
        || {
            for _ in 0..40 {
                let forks = Arc::new(Forks::after(0));
                let waker = Waker::from(Arc::clone(&forks));
                let mut sleep = pin!(scheduler.sleep(MOMENT));
                if sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                    assert_eq!(forks.status(), 0);
                }
            }
        },
    );
}

/// The times and the clock of a calendar are user code too. A child that they fork does not call
/// the callback.
#[test]
fn a_calendar_that_forks() {
    for (calls, by_clock) in [(0, true), (1, true), (0, false), (1, false)] {
        let forks = Forks::after(calls);
        let (clock, times) = (forks.clone(), forks.clone());
        let calendar = Calendar::new(move |after| {
            if !by_clock {
                times.call();
            }
            Some(after + MOMENT)
        });
        let calendar = calendar.clock(move || {
            if by_clock {
                clock.call();
            }
            SystemTime::now()
        });
        let scheduler = Scheduler::new();
        let mut callback = of_the_parent();
        _ = scheduler.calendar(calendar, move |_| callback()).unwrap();
        assert_eq!(forks.status(), 0, "after {calls} calls, of the clock: {by_clock}");
    }
}
