//! That a timer is called once or never, as `cancel` said, and that neither a cancel, a clock nor a
//! stop is slept over.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use sync_core::CancelToken;
use sync_core::primitive::futex::task::model_with_tasks;
use sync_timer::{Clock, Interval, ManualClock, Outcome, Timer};

use crate::support::{Arc, Body, Tracked, body, with};

const SECOND: Duration = Duration::from_secs(1);

/// A timer, its clock, and what its function touches.
struct Stage {
    clock: ManualClock,
    timer: Timer,
    calls: std::sync::Arc<AtomicUsize>,
    data: std::sync::Arc<Tracked>,
}

fn stage(delay: Duration) -> Arc<Stage> {
    let (clock, calls, data) = (
        ManualClock::new(),
        std::sync::Arc::new(AtomicUsize::new(0)),
        std::sync::Arc::new(Tracked::new(0)),
    );
    let (inside, shared) = (calls.clone(), data.clone());
    let callback = move || {
        shared.set(1);
        inside.fetch_add(1, SeqCst);
    };
    Arc::new(Stage {
        timer: Timer::new(delay, callback).with_clock(clock.clone()),
        clock,
        calls,
        data,
    })
}

impl Stage {
    /// Waits for the end, and sees that it fits.
    fn join(&self) -> Outcome {
        let outcome = self.timer.join().expect("it was started");
        let called = usize::from(outcome == Outcome::Ran);
        assert_eq!(self.calls.load(SeqCst), called, "{outcome:?}");
        // The function's writes are visible, and no thread is writing.
        assert_eq!(self.data.get() as usize, called);
        assert_ne!(outcome, Outcome::Panicked);
        outcome
    }
}

fn starts(stage: &Arc<Stage>) -> Body {
    with(stage, |it| it.timer.start().expect("a checker has threads"))
}

fn cancels(stage: &Arc<Stage>) -> Body {
    with(stage, |it| _ = it.timer.cancel())
}

model! {
    /// Start, cancel and the deadline, all at once.
    fn start_against_cancel_against_fire(order) small {
        let it = stage(Duration::ZERO);
        let cancelled = std::sync::Arc::new(AtomicUsize::new(0));
        let cancels = {
            let cancelled = cancelled.clone();
            with(&it, move |it| _ = cancelled.fetch_add(usize::from(it.timer.cancel()), SeqCst))
        };
        order.run([starts(&it), cancels]);
        let outcome = it.join();
        assert_eq!(cancelled.load(SeqCst), usize::from(outcome == Outcome::Cancelled));
    }
}

model! {
    /// A cancel wakes a thread that sleeps forever, and the thread that waits for it.
    fn cancel_against_sleep_and_join(order) small {
        let it = stage(Duration::MAX);
        it.timer.start().expect("a checker has threads");
        let joins = with(&it, |it| assert_eq!(it.join(), Outcome::Cancelled));
        order.run([cancels(&it), joins]);
    }
}

model! {
    /// A clock that is turned on wakes the thread, and it calls.
    fn clock_against_sleep(order) small {
        let it = stage(SECOND);
        it.timer.start().expect("a checker has threads");
        let turns = with(&it, |it| it.clock.advance(SECOND));
        let joins = with(&it, |it| assert_eq!(it.join(), Outcome::Ran));
        order.run([turns, joins]);
    }
}

model! {
    /// Two who cancel agree.
    fn two_cancels(order) small {
        let it = stage(Duration::ZERO);
        it.timer.start().expect("a checker has threads");
        order.run([cancels(&it), cancels(&it)]);
        let prevented = it.timer.cancel();
        assert_eq!(prevented, it.join() == Outcome::Cancelled);
    }
}

model! {
    /// A stop wakes who waits for a tick.
    fn stop_against_tick(order) small {
        let clock = ManualClock::new();
        let mut interval = Interval::with_clock(SECOND, clock.clone());
        let stopper = interval.stopper();
        let data = Arc::new(Tracked::new(0));
        let writes = with(&data, move |data| {
            data.set(1);
            stopper.stop();
        });
        let ticks = with(&data, move |data| {
            assert_eq!(interval.tick(), None);
            assert_eq!(data.get(), 1);
        });
        order.run([writes, ticks]);
    }
}

model! {
    /// The clock, too; the tick is the one that was due.
    fn clock_against_tick(order) small {
        let clock = ManualClock::new();
        let due = clock.now() + SECOND;
        let mut interval = Interval::with_clock(SECOND, clock.clone());
        order.run([
            body(move || clock.advance(SECOND)),
            body(move || assert_eq!(interval.tick(), Some(due))),
        ]);
    }
}

model! {
    /// The same of a tick that a token could end: the clock wakes a thread that sleeps as a task.
    fn clock_against_tick_or_cancelled(order) small {
        model_with_tasks();
        let clock = ManualClock::new();
        let due = clock.now() + SECOND;
        let mut interval = Interval::with_clock(SECOND, clock.clone());
        order.run([
            body(move || clock.advance(SECOND)),
            body(move || {
                assert_eq!(interval.tick_or_cancelled(&CancelToken::new()), Ok(Some(due)));
            }),
        ]);
    }
}

model! {
    /// A thread that sees the time sees what was done before the clock was moved on, also by a
    /// thread that moved it before another one did.
    fn the_time_brings_the_news(order) whole {
        let shared = Arc::new((ManualClock::new(), [Tracked::new(0), Tracked::new(0)]));
        let moves = |at: usize| with(&shared, move |it| {
            it.1[at].set(1);
            it.0.advance(SECOND);
        });
        let looks = with(&shared, |it| {
            if it.0.elapsed() == 2 * SECOND {
                assert_eq!(it.1.iter().map(Tracked::get).sum::<u32>(), 2);
            }
        });
        order.run([moves(0), moves(1), looks]);
    }
}
