//! A timer is called once or never, as `cancel` reported; no thread sleeps over an earlier
//! deadline; a shutdown ends.
//!
//! The clock is turned by hand, so time is a matter of scheduling too. A scheduler catches its
//! callbacks' panics, also those by which the checker reports a race: so each model asks at its end
//! whether there was one ([`Seen::check`]).

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex as StdMutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Waker};
use std::time::Duration;

use sync_core::primitive::futex::task::model_with_tasks;
use sync_core::task::block_on;
use sync_core::{Condvar, Mutex};
use sync_timer::{
    Cancel, Executor, ManualClock, Missed, Pending, Scheduler, SchedulerBuilder, TimerHandle,
};

use crate::support::{Arc, Body, Tracked, body, with};

const SECOND: Duration = Duration::from_secs(1);

type Job = Box<dyn FnOnce() + Send>;

/// Records what happened, in plain counters that order nothing; and data that only one thread may
/// touch at a time.
#[derive(Default)]
struct Seen {
    calls: AtomicUsize,
    prevented: AtomicUsize,
    failed: AtomicBool,
    data: Tracked,
}

/// A scheduler and what its callbacks do.
struct Stage {
    clock: ManualClock,
    scheduler: Scheduler,
    seen: std::sync::Arc<Seen>,
}

fn stage(build: impl FnOnce(SchedulerBuilder) -> Scheduler) -> Arc<Stage> {
    let (clock, seen) = (ManualClock::new(), std::sync::Arc::new(Seen::default()));
    let hook = seen.clone();
    let builder = Scheduler::builder()
        .shards(1)
        .clock(clock.clone())
        .on_failure(move |_| hook.failed.store(true, SeqCst));
    Arc::new(Stage { clock, scheduler: build(builder), seen })
}

fn without_thread() -> Arc<Stage> {
    stage(SchedulerBuilder::build_without_thread)
}

fn with_thread(shards: usize) -> Arc<Stage> {
    stage(|builder| builder.shards(shards).build().expect("a checker has threads"))
}

impl Stage {
    /// A callback that counts itself and touches the data.
    fn call(&self) -> impl FnOnce() + Send + 'static {
        let seen = self.seen.clone();
        move || {
            seen.data.set(seen.data.get() + 1);
            seen.calls.fetch_add(1, SeqCst);
        }
    }

    /// A timer that is due.
    fn due(&self) -> TimerHandle {
        self.scheduler.once(Duration::ZERO, self.call()).expect("it has not been shut down")
    }

    fn count(&self, found: Cancel) {
        match found {
            Cancel::Prevented => _ = self.seen.prevented.fetch_add(1, SeqCst),
            // It is over, and the callback's writes are visible.
            Cancel::Done => assert_eq!(self.seen.data.get(), 1),
            Cancel::Running => {}
        }
    }

    fn calls(&self) -> usize {
        self.seen.calls.load(SeqCst)
    }

    /// No callback failed, and as many were called or prevented as there were.
    fn check(&self, timers: usize) {
        assert!(!self.seen.failed.load(SeqCst), "a callback failed");
        assert_eq!(self.calls() + self.seen.prevented.load(SeqCst), timers);
    }
}

fn fires(stage: &Arc<Stage>) -> Body {
    with(stage, |it| _ = it.scheduler.run_due())
}

fn cancels(stage: &Arc<Stage>, handle: &TimerHandle) -> Body {
    let handle = handle.clone();
    with(stage, move |it| it.count(handle.cancel()))
}

model! {
    /// One of them wins, and both know who.
    fn cancel_against_fire(order) small {
        let it = without_thread();
        let timer = it.due();
        order.run([fires(&it), cancels(&it, &timer)]);
        it.check(1);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// A task sleeps and another one gives its sleep up, while a thread fires what is due.
    fn a_sleep_of_a_task_against_fire(order) small whole {
        model_with_tasks();
        let it = without_thread();
        let [sleep, given_up] = [(); 2].map(|()| it.scheduler.sleep(Duration::ZERO));
        let sleeps = body(move || block_on(sleep).unwrap());
        let gives_up = body(move || {
            let mut given_up = given_up;
            let mut context = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut given_up).poll(&mut context);
        });
        order.run([sleeps, gives_up, fires(&it)]);
        it.check(0);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// A timer is scheduled and cancelled while two threads fire what they find.
    fn schedule_and_cancel_against_two_that_fire(order) small {
        let it = without_thread();
        let schedules = with(&it, |it| {
            let timer = it.due();
            it.count(timer.cancel());
        });
        order.run([schedules, fires(&it), fires(&it)]);
        it.scheduler.run_due();
        it.check(1);
    }
}

model! {
    /// Moved, and then called at the new time only; or called, and then not moved.
    fn reschedule_against_fire(order) small {
        let it = without_thread();
        let timer = it.due();
        let moved = std::sync::Arc::new(AtomicBool::new(false));
        let moves = {
            let (timer, moved) = (timer.clone(), moved.clone());
            with(&it, move |_| moved.store(timer.reschedule_after(SECOND), SeqCst))
        };
        order.run([fires(&it), moves]);
        assert_eq!(it.calls(), usize::from(!moved.load(SeqCst)));
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        it.check(1);
    }
}

/// A value that a closure holds: it touches the data when the closure is dropped.
struct Captured(std::sync::Arc<Seen>);

impl Drop for Captured {
    fn drop(&mut self) {
        self.0.data.set(0);
    }
}

model! {
    /// After `cancel_and_wait` no thread is inside the callback, its closure is gone, and what it
    /// did is visible.
    fn cancel_and_wait_against_a_running_callback(order) small {
        let it = without_thread();
        let captured = Captured(it.seen.clone());
        let tick = move |_: &sync_timer::Tick| {
            captured.0.data.set(captured.0.data.get() + 1);
            captured.0.calls.fetch_add(1, SeqCst);
        };
        let timer = it.scheduler.every(SECOND, Missed::Skip, tick).expect("it has not been shut \
            down");
        it.clock.advance(SECOND);
        let waits = with(&it, move |it| {
            assert_ne!(timer.cancel_and_wait(), Cancel::Running);
            // A race here would be a callback that still runs, or a closure that is still being
            // dropped.
            it.seen.data.set(10);
        });
        order.run([fires(&it), waits]);
        assert!(it.scheduler.is_empty());
        assert_eq!(it.seen.data.get(), 10);
        assert!(!it.seen.failed.load(SeqCst));
    }
}

model! {
    /// A shutdown that discards, against one who schedules and one who fires: each timer is called,
    /// discarded, or given back.
    fn shutdown_against_schedule_and_fire(order) small whole {
        let it = without_thread();
        let _first = it.due();
        let schedules = with(&it, |it| {
            if it.scheduler.once(Duration::ZERO, it.call()).is_err() {
                it.seen.prevented.fetch_add(1, SeqCst);
            }
        });
        let shuts = with(&it, |it| {
            let discarded = it.scheduler.shutdown(Pending::Discard);
            it.seen.prevented.fetch_add(discarded, SeqCst);
            // It has waited: no callback is running any more.
            it.seen.data.set(0);
        });
        order.run([fires(&it), schedules, shuts]);
        it.check(2);
        assert!(it.scheduler.is_empty());
    }
}

/// Waits for callbacks of a dispatcher: a lost wake-up of it is a deadlock here.
#[derive(Default)]
struct Count {
    calls: Mutex<usize>,
    changed: Condvar,
}

impl Count {
    fn call(self: &std::sync::Arc<Self>) -> impl FnOnce() + Send + 'static {
        let count = self.clone();
        move || {
            *count.calls.lock() += 1;
            count.changed.notify_all();
        }
    }

    fn wait(&self, calls: usize) {
        self.changed.wait_while(&mut self.calls.lock(), |done| *done < calls);
    }
}

model! {
    /// The dispatcher may be anywhere on its way to sleep when a timer comes that is due before all
    /// others.
    fn an_earlier_deadline_against_the_sleeping_dispatcher(order) small {
        let it = with_thread(1);
        let count = std::sync::Arc::new(Count::default());
        let schedules = {
            let count = count.clone();
            with(&it, move |it| {
                it.scheduler.once(SECOND, || ()).expect("it has not been shut down");
                it.scheduler.once(Duration::ZERO, count.call()).expect("it has not been shut down");
                count.wait(1);
            })
        };
        order.run([schedules]);
        it.scheduler.shutdown(Pending::Discard);
    }
}

model! {
    /// The same with a timer that is moved to the front.
    fn a_reschedule_against_the_sleeping_dispatcher(order) small {
        let it = with_thread(1);
        let count = std::sync::Arc::new(Count::default());
        let timer = it.scheduler.once(SECOND, count.call()).expect("it has not been shut down");
        let moves = with(&it, move |_| {
            assert!(timer.reschedule_after(Duration::ZERO));
            count.wait(1);
        });
        order.run([moves]);
        it.scheduler.shutdown(Pending::Discard);
    }
}

model! {
    /// A clock that is turned on wakes the dispatcher.
    fn a_clock_against_the_sleeping_dispatcher(order) small whole {
        let it = with_thread(1);
        let count = std::sync::Arc::new(Count::default());
        it.scheduler.once(SECOND, count.call()).expect("it has not been shut down");
        let turns = with(&it, move |it| {
            it.clock.advance(SECOND);
            count.wait(1);
        });
        order.run([turns]);
        it.scheduler.shutdown(Pending::Discard);
    }
}

model! {
    /// A shutdown that fires waits until the clock has come so far, and not forever.
    fn a_firing_shutdown_against_the_clock(order) small {
        let it = with_thread(1);
        it.scheduler.once(SECOND, it.call()).expect("it has not been shut down");
        let turns = with(&it, |it| it.clock.advance(SECOND));
        let shuts = with(&it, |it| {
            assert_eq!(it.scheduler.shutdown(Pending::Fire), 0);
            assert_eq!(it.calls(), 1);
        });
        order.run([turns, shuts]);
        it.check(1);
    }
}

model! {
    /// A shutdown that discards releases one that waits for a time that does not come.
    fn a_discarding_shutdown_releases_a_firing_one(order) small {
        let it = with_thread(1);
        it.scheduler.once(SECOND, it.call()).expect("it has not been shut down");
        let shuts = |pending| with(&it, move |it| {
            it.seen.prevented.fetch_add(it.scheduler.shutdown(pending), SeqCst);
        });
        order.run([shuts(Pending::Fire), shuts(Pending::Discard)]);
        it.check(1);
    }
}

/// An executor whose queue a thread of the model works off.
#[derive(Clone, Default)]
struct Queue(std::sync::Arc<StdMutex<Vec<Job>>>);

impl Executor for Queue {
    fn execute(&self, job: Job) {
        self.0.lock().expect("no thread panics with it").push(job);
    }
}

impl Queue {
    fn take(&self) -> Option<Job> {
        self.0.lock().expect("no thread panics with it").pop()
    }
}

fn with_queue() -> (Arc<Stage>, Queue) {
    let queue = Queue::default();
    let executor = queue.clone();
    (stage(|builder| builder.executor(executor).build_without_thread()), queue)
}

model! {
    /// A timer that was handed to the executor is cancelled while it is taken up.
    fn cancel_against_an_executor(order) small {
        let (it, queue) = with_queue();
        let timer = it.due();
        it.scheduler.run_due();
        let job = queue.take().expect("it was due");
        order.run([with(&it, move |_| job()), cancels(&it, &timer)]);
        it.check(1);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// A timer that was handed to the executor is moved, becomes due again, and is handed over
    /// again, while the first job is taken up.
    fn reschedule_against_an_executor(order) small {
        let (it, queue) = with_queue();
        let timer = it.due();
        it.scheduler.run_due();
        let job = queue.take().expect("it was due");
        let moves = {
            let queue = queue.clone();
            with(&it, move |it| {
                timer.reschedule_after(Duration::ZERO);
                it.scheduler.run_due();
                if let Some(job) = queue.take() {
                    job();
                }
            })
        };
        order.run([with(&it, move |_| job()), moves]);
        it.check(1);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// A timer that was handed to the executor is put off while the job is taken up: called at its
    /// new time only, or before it was put off.
    fn put_off_against_an_executor(order) small whole {
        let (it, queue) = with_queue();
        let timer = it.due();
        it.scheduler.run_due();
        let job = queue.take().expect("it was due");
        let moved = std::sync::Arc::new(AtomicBool::new(false));
        let moves = {
            let moved = moved.clone();
            with(&it, move |_| moved.store(timer.reschedule_after(SECOND), SeqCst))
        };
        order.run([with(&it, move |_| job()), moves]);
        assert_eq!(it.calls(), usize::from(!moved.load(SeqCst)));
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        if let Some(job) = queue.take() {
            job();
        }
        it.check(1);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// An executor drops a job, while another thread cancels it and a shutdown waits for the end.
    fn a_refusing_executor_against_cancel_and_shutdown(order) small {
        let (it, queue) = with_queue();
        let timer = it.due();
        it.scheduler.run_due();
        let job = queue.take().expect("it was due");
        let shuts = with(&it, |it| _ = it.scheduler.shutdown(Pending::Discard));
        let cancels = with(&it, move |_| assert_ne!(timer.cancel(), Cancel::Running));
        order.run([with(&it, move |_| drop(job)), cancels, shuts]);
        assert_eq!(it.calls(), 0);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// The executor refuses a tick of a periodic timer while another thread moves it, and a third
    /// one cancels it: the timer ends, and its callback is not called.
    fn a_refused_tick_against_reschedule_and_cancel(order) small {
        let (it, queue) = with_queue();
        let call = it.seen.clone();
        let tick = move |_: &sync_timer::Tick| _ = call.calls.fetch_add(1, SeqCst);
        let timer = it.scheduler.every(SECOND, Missed::Burst, tick).expect("it has not been shut \
            down");
        it.clock.advance(SECOND);
        it.scheduler.run_due();
        let job = queue.take().expect("it was due");
        let moves = {
            let timer = timer.clone();
            with(&it, move |_| _ = timer.reschedule_after(SECOND))
        };
        let cancels = with(&it, move |_| assert_eq!(timer.cancel(), Cancel::Prevented));
        order.run([with(&it, move |_| drop(job)), moves, cancels]);
        assert_eq!(it.calls(), 0);
        assert!(it.scheduler.is_empty());
    }
}

model! {
    /// A periodic timer that moves itself to this moment, so that a round holds it, against a
    /// second round and a cancel: it is in one place at a time, and is not lost.
    fn a_held_timer_against_a_round_and_a_cancel(order) small {
        let it = without_thread();
        let own = std::sync::Arc::new(std::sync::OnceLock::<TimerHandle>::new());
        let (seen, handle) = (it.seen.clone(), own.clone());
        let tick = move |_: &sync_timer::Tick| {
            seen.data.set(seen.data.get() + 1);
            handle
                .get()
                .expect("it is set before the first round")
                .reschedule_after(Duration::ZERO);
        };
        let timer = it.scheduler.every(SECOND, Missed::Skip, tick).expect("it has not been shut \
            down");
        assert!(own.set(timer.clone()).is_ok());
        it.clock.advance(SECOND);
        let cancels = with(&it, move |_| assert_ne!(timer.cancel(), Cancel::Done));
        order.run([fires(&it), fires(&it), cancels]);
        assert!(it.scheduler.is_empty());
        it.check(0);
    }
}

type Served = Box<dyn FnMut() + Send>;

/// A paced callback, and what its runs saw.
struct Paced {
    stage: Arc<Stage>,
    call: Box<dyn Fn() -> bool + Send + Sync>,
    /// The number of calls that were begun.
    asked: std::sync::Arc<AtomicUsize>,
    /// The number of calls that had been begun when the last run began.
    served: std::sync::Arc<AtomicUsize>,
}

impl Paced {
    fn new(
        make: impl FnOnce(&Scheduler, Served) -> Box<dyn Fn() -> bool + Send + Sync>,
    ) -> Arc<Self> {
        let (stage, asked, served) = (
            without_thread(),
            std::sync::Arc::new(AtomicUsize::new(0)),
            std::sync::Arc::new(AtomicUsize::new(0)),
        );
        let call = make(&stage.scheduler, {
            let (asked, served) = (asked.clone(), served.clone());
            Box::new(move || served.store(asked.load(SeqCst), SeqCst))
        });
        Arc::new(Self { stage, call, asked, served })
    }

    /// Two calls and a thread that fires; afterwards the last call has been followed by a run.
    fn check(this: &Arc<Self>, order: crate::support::Order) {
        let calls = || {
            with(this, |it| {
                it.asked.fetch_add(1, SeqCst);
                assert!((it.call)(), "it is not shut down");
            })
        };
        order.run([calls(), calls(), with(this, |it| _ = it.stage.scheduler.run_due())]);
        this.stage.clock.advance(SECOND);
        this.stage.scheduler.run_due();
        assert_eq!(this.served.load(SeqCst), 2);
        assert!(!this.stage.seen.failed.load(SeqCst), "a callback failed");
    }
}

model! {
    /// A throttled call is followed by a run.
    fn a_throttled_call_is_followed_by_a_run(order) small {
        let paced = Paced::new(|scheduler, job| {
            let throttled = scheduler.throttled(SECOND, job).expect("it has not been shut down");
            Box::new(move || throttled.call())
        });
        Paced::check(&paced, order);
    }
}

model! {
    /// A debounced call is followed by a run.
    fn a_debounced_call_is_followed_by_a_run(order) small {
        let paced = Paced::new(|scheduler, job| {
            let debounced = scheduler.debounced(SECOND, job).expect("it has not been shut down");
            Box::new(move || debounced.call())
        });
        Paced::check(&paced, order);
    }
}
