//! One part of the scheduler's timers under one lock, and the life of a timer.
//!
//! # State of a timer
//!
//! A timer is named by its shard and its key. Its state is what the shard's lock protects; there is
//! no other.
//!
//! | state | in the wheel | closure | record in `running` | on to |
//! |---|---|---|---|---|
//! | scheduled | linked | in the wheel | no | queued or running at its time; done by `cancel` or shutdown |
//! | queued | detached | in the wheel | no | running, when the executor gets to it; scheduled by `reschedule`; done by `cancel` or shutdown |
//! | running | detached | with the runner | yes | done; scheduled again, if periodic and neither cancelled nor shut down |
//! | done | no | no | no | |
//!
//! # Invariants
//!
//! 1. A closure is called only by who took it out of the wheel, and who takes it out of a timer
//!    that is scheduled or queued ends that state under the same lock: so "prevented" and "called"
//!    exclude each other, and neither happens twice.
//! 2. A timer is taken for running or queueing only when its deadline is not after the time that
//!    the taker read before: never early.
//! 3. `running` has a record from before the call until after the closure was dropped: whoever
//!    finds none knows that both are over.
//! 4. No user code runs under the lock: closures, hooks and clocks are called and dropped with no
//!    lock held.
//! 5. `earliest` is at most every linked deadline, and changes only under the lock: see
//!    `dispatcher.rs` for why no wake-up is lost.

use core::cell::Cell;
use core::num::NonZeroU64;
use std::sync::Arc;

use sync_core::primitive::thread;
use sync_core::{Condvar, Mutex, MutexGuard};

use super::core::{Core, Failed};
use super::job::{Job, Tick};
use crate::wheel::{Key, TimerWheel};

/// A callback that is being called.
struct Run {
    key: Key,
    thread: NonZeroU64,
    repeats: bool,
    cancelled: bool,
    /// Where `reschedule` has put the next tick.
    again: Option<u64>,
}

pub(super) struct State {
    pub(super) wheel: TimerWheel<Box<dyn Job>>,
    running: Vec<Run>,
    /// Invariant 5.
    pub(super) earliest: u64,
    /// Shut down: nothing new comes in, and nothing repeats.
    pub(super) closed: bool,
}

// Two cache lines, as processors fetch them in pairs: threads that work on different shards do not
// disturb each other.
#[repr(align(128))]
pub(super) struct Shard {
    state: Mutex<State>,
    /// Something came to an end: notified after a timer was done, for who waits for one, or for the
    /// last one.
    settled: Condvar,
    pub(super) core: Arc<Core>,
}

/// What `cancel` found.
///
/// # Memory ordering
///
/// `Done` from [`cancel_and_wait`](super::TimerHandle::cancel_and_wait): everything the callback
/// did is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "it says whether the callback can still be running"]
pub enum Cancel {
    /// The callback will not be called again for this timer, and is not running; its closure has
    /// been dropped. For a one-shot timer: it was never called.
    Prevented,
    /// The callback is running at this moment, and goes on. A periodic timer stops after it.
    Running,
    /// There was nothing left to cancel: it ran, or was cancelled before, or discarded by a
    /// shutdown.
    Done,
}

impl Shard {
    pub(super) fn new(core: Arc<Core>) -> Self {
        let state = State {
            wheel: TimerWheel::new(),
            running: Vec::new(),
            earliest: u64::MAX,
            closed: false,
        };
        Self { state: Mutex::new(state), settled: Condvar::new(), core }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Schedules a job; gives it back if the scheduler has been shut down.
    pub(super) fn insert<J: Job + 'static>(
        &self,
        now: u64,
        deadline: u64,
        job: Box<J>,
    ) -> Result<Key, Box<J>> {
        let mut state = self.lock();
        if state.closed {
            return Err(job);
        }
        state.wheel.observe(now);
        let key = state.wheel.insert(deadline, job);
        let ring = state.earlier(deadline, &self.core);
        drop(state);
        if ring {
            self.core.bell.ring();
        }
        Ok(key)
    }

    pub(super) fn cancel(&self, key: Key) -> Cancel {
        let mut state = self.lock();
        if let Some(job) = state.take(key) {
            drop(state);
            self.settled.notify_all();
            // Invariant 4: the caller's own thread drops it, with the lock released; if that
            // panics, the timer is gone all the same.
            drop(job);
            return Cancel::Prevented;
        }
        match state.running.iter_mut().find(|run| run.key == key) {
            Some(run) => {
                run.cancelled = true;
                Cancel::Running
            }
            None => Cancel::Done,
        }
    }

    /// Waits until the timer is not running, unless it is the caller itself who runs it.
    pub(super) fn wait(&self, key: Key) -> Cancel {
        let me = thread::id();
        let mut state = self.lock();
        loop {
            match state.running.iter().find(|run| run.key == key) {
                None => return Cancel::Done,
                Some(run) if run.thread == me => return Cancel::Running,
                Some(_) => self.settled.wait(&mut state),
            }
        }
    }

    pub(super) fn reschedule(&self, key: Key, now: u64, deadline: u64) -> bool {
        let mut state = self.lock();
        if state.closed {
            return false;
        }
        if let Some(run) = state.running.iter_mut().find(|run| run.key == key) {
            let goes_on = run.repeats && !run.cancelled;
            if goes_on {
                run.again = Some(deadline);
            }
            return goes_on;
        }
        state.wheel.observe(now);
        let moved = state.wheel.relink(key, deadline);
        let ring = moved && state.earlier(deadline, &self.core);
        drop(state);
        if ring {
            self.core.bell.ring();
        }
        moved
    }

    /// Takes a queued timer for running: its closure, and when it was due. `None`: it was cancelled
    /// or moved in the meantime.
    pub(super) fn take_queued(&self, key: Key) -> Option<(Box<dyn Job>, u64)> {
        let mut state = self.lock();
        if state.wheel.is_linked(key) {
            return None;
        }
        let deadline = state.wheel.deadline(key)?;
        state.begin(key).map(|job| (job, deadline))
    }

    /// Forgets a queued timer that the executor will not run.
    pub(super) fn refuse_queued(&self, key: Key) {
        let mut state = self.lock();
        if state.wheel.is_linked(key) {
            return;
        }
        let job = state.take(key);
        drop(state);
        self.settled.notify_all();
        if let Some(job) = job {
            self.core.report(Failed::Refused);
            self.core.guard(|| drop(job));
        }
    }

    /// Calls a job that was taken for running, and says what becomes of its timer. No panic comes
    /// out.
    pub(super) fn run(&self, key: Key, deadline: u64, mut job: Box<dyn Job>) {
        let tick = Tick {
            scheduled: self.core.instant(deadline),
            missed: job.missed(),
            stop: Cell::new(false),
        };
        // The job is not looked into again by us after a panic, and its own state is its author's
        // business: a periodic closure that is called again after it panicked is documented as
        // such.
        self.core.guard(|| job.call(&tick));
        if let Some(repeat) = job.repeat() {
            let next = repeat.missed.next(deadline, repeat.period, self.core.now());
            match self.repeat(key, next, tick.stop.get(), job) {
                None => return,
                Some(ended) => job = ended,
            }
        }
        // From here on nobody can make it go on; whoever waits learns of the end after the closure
        // is gone (invariant 3).
        self.core.guard(|| drop(job));
        let mut state = self.lock();
        let at = state.running_at(key);
        state.running.swap_remove(at);
        let nothing = state.wheel.release(key);
        debug_assert!(nothing.is_none(), "a running timer's closure is with its runner");
        drop(state);
        self.settled.notify_all();
    }

    /// Schedules the next tick of a periodic timer that has been called; gives the job back if
    /// there is none.
    fn repeat(
        &self,
        key: Key,
        on_grid: (u64, u64),
        stop: bool,
        mut job: Box<dyn Job>,
    ) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        let at = state.running_at(key);
        if stop || state.closed || state.running[at].cancelled {
            state.running[at].cancelled = true;
            return Some(job);
        }
        let run = state.running.swap_remove(at);
        let (next, missed) = run.again.map_or(on_grid, |again| (again, 0));
        job.set_missed(missed);
        state.wheel.attach(key, next, job);
        let ring = state.earlier(next, &self.core);
        drop(state);
        if ring {
            self.core.bell.ring();
        }
        self.settled.notify_all();
        None
    }

    /// Lets nothing new in, and discards what does not satisfy `keep`. Says how many were
    /// discarded.
    pub(super) fn close(&self, keep: fn(&dyn Job, u64) -> bool) -> usize {
        let mut state = self.lock();
        state.closed = true;
        let keys = state.wheel.keys();
        let gone: Vec<_> = keys
            .into_iter()
            .filter(|&key| {
                !state.wheel.peek(key).is_none_or(|(job, deadline)| keep(&**job, deadline))
            })
            .collect();
        let gone: Vec<_> = gone.into_iter().filter_map(|key| state.take(key)).collect();
        drop(state);
        self.settled.notify_all();
        let discarded = gone.len();
        for job in gone {
            self.core.guard(|| drop(job));
        }
        discarded
    }

    pub(super) fn is_running(&self, key: Key) -> bool {
        self.lock().running.iter().any(|run| run.key == key)
    }

    /// Whether the calling thread is inside a callback of this shard.
    pub(super) fn runs_here(&self) -> bool {
        let me = thread::id();
        self.lock().running.iter().any(|run| run.thread == me)
    }

    /// Waits until no timer is left in any state.
    pub(super) fn wait_empty(&self) {
        let mut state = self.lock();
        self.settled.wait_while(&mut state, |state| !state.wheel.is_empty());
    }
}

impl State {
    /// Notes a deadline that was linked; whether the dispatcher must be woken for it.
    #[inline]
    #[must_use]
    pub(super) fn earlier(&mut self, deadline: u64, core: &Core) -> bool {
        if deadline >= self.earliest {
            return false;
        }
        self.earliest = deadline;
        core.sleeps_past(deadline)
    }

    /// Ends a timer that is scheduled or queued.
    fn take(&mut self, key: Key) -> Option<Box<dyn Job>> {
        // A running one has no closure in the wheel.
        self.wheel.peek(key)?;
        self.wheel.release(key)
    }

    fn running_at(&self, key: Key) -> usize {
        self.running
            .iter()
            .position(|run| run.key == key)
            .expect("invariant 3: a call has its record")
    }

    /// From detached to running.
    pub(super) fn begin(&mut self, key: Key) -> Option<Box<dyn Job>> {
        let job = self.wheel.take(key)?;
        let repeats = job.repeat().is_some();
        self.running.push(Run {
            key,
            thread: thread::id(),
            repeats,
            cancelled: false,
            again: None,
        });
        Some(job)
    }
}
