//! The scheduler against a list that is searched from end to end, under a clock that the test
//! moves: the same calls in the same order with the same answers, also from within callbacks.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use sync_timer::{Cancel, ManualClock, Missed, Pending, Scheduler, Tick, TimerHandle};

/// The action of a callback when it is called; `usize` names a timer, modulo the number of timers
/// so far.
#[derive(Clone, Copy, Debug)]
enum Act {
    Nothing,
    Once(u64),
    Cancel(usize),
    Reschedule(usize, u64),
    /// Periodic: makes this tick the last one.
    Stop,
    /// Takes that long.
    Last(u64),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Once(u64, Act),
    Every(u64, Missed, Act),
    Cancel(usize),
    Reschedule(usize, u64),
    Advance(u64),
}

/// The observable events of the scheduler and of its oracle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Called { timer: usize, at: u64, missed: u64 },
    Cancelled(Cancel),
    Rescheduled(bool),
}

/// Never: what `Duration::MAX` comes to.
const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(u64),
    Running { cancelled: bool, again: Option<u64> },
    Done,
}

struct Entry {
    state: State,
    repeat: Option<(u64, Missed)>,
    missed: u64,
    act: Act,
}

/// A list of all timers that ever were.
#[derive(Default)]
struct Naive {
    timers: Vec<Entry>,
    now: u64,
    seen: Vec<Seen>,
}

impl Naive {
    fn add(&mut self, delay: u64, repeat: Option<(u64, Missed)>, act: Act) {
        let state = State::Waiting(self.now.saturating_add(delay));
        self.timers.push(Entry { state, repeat, missed: 0, act });
    }

    fn cancel(&mut self, which: usize) {
        let which = which % self.timers.len();
        let state = &mut self.timers[which].state;
        let found = match state {
            State::Waiting(_) => {
                *state = State::Done;
                Cancel::Prevented
            }
            State::Running { cancelled, .. } => {
                *cancelled = true;
                Cancel::Running
            }
            State::Done => Cancel::Done,
        };
        self.seen.push(Seen::Cancelled(found));
    }

    fn reschedule(&mut self, which: usize, delay: u64) {
        let which = which % self.timers.len();
        let deadline = self.now.saturating_add(delay);
        let timer = &mut self.timers[which];
        let moved = match &mut timer.state {
            State::Waiting(old) => {
                *old = deadline;
                true
            }
            State::Running { cancelled: false, again } if timer.repeat.is_some() => {
                *again = Some(deadline);
                true
            }
            State::Running { .. } | State::Done => false,
        };
        self.seen.push(Seen::Rescheduled(moved));
    }

    /// Calls what was due at the beginning: not what is scheduled meanwhile, nothing that becomes
    /// due because a callback lasted, and no periodic timer twice for this very moment.
    fn run_due(&mut self) -> usize {
        let mut calls = 0;
        let (now, present) = (self.now, self.timers.len());
        let mut called = Vec::new();
        while let Some((which, deadline)) = self
            .due(now)
            .filter(|&(which, _)| which < present)
            .filter(|(which, _)| !called.contains(which))
            .min_by_key(|&(which, deadline)| (deadline, which))
        {
            if deadline == now {
                called.push(which);
            }
            self.call(which, deadline);
            calls += 1;
        }
        calls
    }

    fn due(&self, now: u64) -> impl Iterator<Item = (usize, u64)> {
        self.timers.iter().enumerate().filter_map(move |(which, timer)| match timer.state {
            State::Waiting(deadline) if deadline <= now => Some((which, deadline)),
            _ => None,
        })
    }

    /// The earliest; of equal ones the one scheduled first.
    fn first(&self) -> Option<(usize, u64)> {
        let waiting =
            self.timers.iter().enumerate().filter_map(|(which, timer)| match timer.state {
                State::Waiting(deadline) => Some((which, deadline)),
                State::Running { .. } | State::Done => None,
            });
        waiting.min_by_key(|&(which, deadline)| (deadline, which))
    }

    fn call(&mut self, which: usize, deadline: u64) {
        let timer = &mut self.timers[which];
        timer.state = State::Running { cancelled: false, again: None };
        self.seen.push(Seen::Called { timer: which, at: self.now, missed: timer.missed });
        let repeat = timer.repeat;
        let mut stop = false;
        match timer.act {
            Act::Nothing => {}
            Act::Once(delay) => self.add(delay, None, Act::Nothing),
            Act::Cancel(other) => self.cancel(other),
            Act::Reschedule(other, delay) => self.reschedule(other, delay),
            Act::Stop => stop = true,
            Act::Last(by) => self.now = self.now.saturating_add(by),
        }
        let now = self.now;
        let timer = &mut self.timers[which];
        timer.state = match (timer.state, repeat) {
            (State::Running { cancelled: false, again }, Some((period, missed))) if !stop => {
                let (next, left_out) = again
                    .map_or_else(|| next_tick(deadline, period, missed, now), |again| (again, 0));
                timer.missed = left_out;
                State::Waiting(next)
            }
            _ => State::Done,
        };
    }

    fn len(&self) -> usize {
        self.timers.iter().filter(|timer| timer.state != State::Done).count()
    }
}

/// The next tick and how many are left out, by counting.
fn next_tick(deadline: u64, period: u64, missed: Missed, now: u64) -> (u64, u64) {
    let mut next = deadline.saturating_add(period);
    let mut left_out = 0;
    match missed {
        _ if next > now => {}
        Missed::Burst => {}
        Missed::Delay => next = now.saturating_add(period),
        Missed::Skip => {
            while next <= now {
                next = next.saturating_add(period);
                left_out += 1;
            }
        }
    }
    (next, left_out)
}

/// The state that the callbacks share with the test.
#[derive(Clone)]
struct Stage {
    scheduler: Arc<Scheduler>,
    clock: ManualClock,
    handles: Arc<Mutex<Vec<TimerHandle>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

fn duration(nanoseconds: u64) -> Duration {
    if nanoseconds == NEVER { Duration::MAX } else { Duration::from_nanos(nanoseconds) }
}

impl Stage {
    fn new(shards: usize) -> Self {
        let clock = ManualClock::new();
        let scheduler = Arc::new(
            Scheduler::builder().clock(clock.clone()).shards(shards).build_without_thread(),
        );
        Self { scheduler, clock, handles: Arc::default(), seen: Arc::default() }
    }

    fn now(&self) -> u64 {
        self.clock.elapsed().as_nanos() as u64
    }

    fn called(&self, timer: usize, missed: u64) {
        self.seen.lock().unwrap().push(Seen::Called { timer, at: self.now(), missed });
    }

    fn act(&self, act: Act, tick: Option<&Tick>) {
        match act {
            Act::Nothing => {}
            Act::Once(delay) => self.once(delay, Act::Nothing),
            Act::Cancel(other) => self.cancel(other),
            Act::Reschedule(other, delay) => self.reschedule(other, delay),
            Act::Stop => tick.into_iter().for_each(Tick::stop),
            Act::Last(by) => self.clock.advance(Duration::from_nanos(by)),
        }
    }

    fn once(&self, delay: u64, act: Act) {
        let mut handles = self.handles.lock().unwrap();
        let (timer, stage) = (handles.len(), self.clone());
        let handle = self.scheduler.once(duration(delay), move || {
            stage.called(timer, 0);
            stage.act(act, None);
        });
        handles.push(handle.unwrap_or_else(|_| panic!("it is not shut down")));
    }

    fn every(&self, period: u64, missed: Missed, act: Act) {
        let mut handles = self.handles.lock().unwrap();
        let (timer, stage) = (handles.len(), self.clone());
        let handle = self.scheduler.every(duration(period), missed, move |tick| {
            stage.called(timer, tick.missed());
            stage.act(act, Some(tick));
        });
        handles.push(
            handle.unwrap_or_else(|_| panic!("the period is not zero, and it is not shut down")),
        );
    }

    fn handle(&self, which: usize) -> TimerHandle {
        let handles = self.handles.lock().unwrap();
        handles[which % handles.len()].clone()
    }

    fn cancel(&self, which: usize) {
        let found = self.handle(which).cancel();
        self.seen.lock().unwrap().push(Seen::Cancelled(found));
    }

    fn reschedule(&self, which: usize, delay: u64) {
        let moved = self.handle(which).reschedule_after(duration(delay));
        self.seen.lock().unwrap().push(Seen::Rescheduled(moved));
    }
}

struct Both {
    stage: Stage,
    naive: Naive,
}

impl Both {
    fn new(shards: usize) -> Self {
        Self { stage: Stage::new(shards), naive: Naive::default() }
    }

    fn step(&mut self, step: Step) {
        let Self { stage, naive } = self;
        match step {
            Step::Once(delay, act) => {
                stage.once(delay, act);
                naive.add(delay, None, act);
            }
            Step::Every(period, missed, act) => {
                stage.every(period, missed, act);
                naive.add(period, Some((period, missed)), act);
            }
            Step::Cancel(which) if !naive.timers.is_empty() => {
                stage.cancel(which);
                naive.cancel(which);
            }
            Step::Reschedule(which, delay) if !naive.timers.is_empty() => {
                stage.reschedule(which, delay);
                naive.reschedule(which, delay);
            }
            Step::Cancel(_) | Step::Reschedule(..) => {}
            Step::Advance(by) => {
                stage.clock.advance(Duration::from_nanos(by));
                naive.now += by;
                assert_eq!(stage.scheduler.run_due(), naive.run_due());
            }
        }
        assert_eq!(
            std::mem::take(&mut *stage.seen.lock().unwrap()),
            std::mem::take(&mut naive.seen)
        );
        assert_eq!(stage.scheduler.len(), naive.len());
        let wake = stage.scheduler.next_wake();
        match naive.first() {
            None => assert_eq!(wake, None),
            // A scheduler may report a wake time in the next centuries here, or none.
            Some((which, NEVER)) => assert_eq!(stage.handle(which).deadline(), None),
            Some((which, _)) => {
                assert!(
                    wake.expect("one waits") <= stage.handle(which).deadline().expect("it waits"),
                    "too late for {which}"
                )
            }
        }
    }

    fn end(mut self, pending: Pending) {
        // Timers that keep moving themselves to this moment are due forever.
        for _ in 0..3 {
            self.step(Step::Advance(0));
        }
        for due in self.naive.due(self.naive.now).map(|(which, _)| which).collect::<Vec<_>>() {
            self.step(Step::Cancel(due));
        }
        let waiting = self.naive.len();
        assert_eq!(
            self.stage.scheduler.shutdown(pending),
            waiting,
            "nothing is due, so all are discarded"
        );
        assert!(self.stage.scheduler.is_empty());
        // The handles hold the shards, and the closures, now gone, held the stage.
        assert_eq!(Arc::strong_count(&self.stage.seen), 1);
    }
}

/// A time of up to half a minute, of any magnitude; some are equal to others.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![
        8 => (any::<u64>(), 29u32..64).prop_map(|(bits, shift)| bits >> shift),
        2 => (1u64..8).prop_map(|k| k * 1_000_000),
        1 => Just(0),
        1 => Just(NEVER),
    ]
}

fn finite() -> impl Strategy<Value = u64> {
    span().prop_map(|span| if span == NEVER { 1_000_000_000 } else { span })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => Just(Act::Nothing),
        2 => span().prop_map(Act::Once),
        2 => any::<usize>().prop_map(Act::Cancel),
        // Not to this very moment, over and over.
        2 => (any::<usize>(), span())
            .prop_map(|(which, delay)| Act::Reschedule(which, delay.max(1_000_000))),
        1 => Just(Act::Stop),
        // So short that no periodic timers, however many, take longer than their periods.
        1 => (0u64..1_000_000).prop_map(Act::Last),
    ]
}

fn missed() -> impl Strategy<Value = Missed> {
    prop_oneof![Just(Missed::Skip), Just(Missed::Burst), Just(Missed::Delay)]
}

/// A period that no step of the clock holds too many of.
fn period() -> impl Strategy<Value = u64> {
    finite().prop_map(|period| period.max(100_000_000))
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (span(), act()).prop_map(|(delay, act)| Step::Once(delay, act)),
        1 => (period(), missed(), act())
            .prop_map(|(period, missed, act)| Step::Every(period, missed, act)),
        2 => any::<usize>().prop_map(Step::Cancel),
        2 => (any::<usize>(), span()).prop_map(|(which, delay)| Step::Reschedule(which, delay)),
        4 => finite().prop_map(Step::Advance),
    ]
}

/// In a release build two million steps.
const STORIES: u32 = if cfg!(debug_assertions) { 300 } else { 70_000 };

proptest! {
    #![proptest_config(ProptestConfig {
        cases: STORIES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn scheduler_is_a_sorted_list(
        shards in 1usize..4,
        steps in prop::collection::vec(step(), 1..60),
        fire in any::<bool>(),
    ) {
        let mut both = Both::new(shards);
        for step in steps {
            both.step(step);
        }
        both.end(if fire { Pending::Fire } else { Pending::Discard });
    }
}
