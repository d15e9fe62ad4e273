//! A shard: a part of the scheduler's timers under one lock; and the life of a timer.
//!
//! # State of a timer
//!
//! A timer is named by its shard and its key. Its whole state is protected by the shard's lock.
//!
//! | state | in the wheel | closure | record in `running` | on to |
//! |---|---|---|---|---|
//! | scheduled | linked | in the wheel | no | queued, running or held at its time; done by `cancel` or shutdown |
//! | queued | detached | in the wheel | no | running, when the executor gets to it; scheduled by `reschedule`, or if it is periodic and the executor refuses it; done by `cancel`, a refusal or shutdown |
//! | held | detached | in the wheel | no | scheduled, when the round of `run_due` that holds it ends, or by `reschedule`; done by `cancel` or shutdown |
//! | running | detached | with the runner | yes | done; scheduled again, if periodic and neither cancelled nor shut down |
//! | done | no | no | no | |
//!
//! # Invariants
//!
//! 1. A closure is called only by the thread that took it out of the wheel, and a thread that takes
//!    it out of a timer that is scheduled, queued or held ends that state under the same lock: so
//!    "prevented" and "called" exclude each other, and neither happens twice.
//! 2. A timer is taken for running or queueing only when its deadline is not after the time that
//!    the taker read before: never early.
//! 3. `running` has a record from before the call until after the closure was dropped: a thread
//!    that finds none knows that both are over.
//! 4. No user code runs under the lock: closures, hooks and clocks are called and dropped with no
//!    lock held.
//! 5. `earliest` is at most every linked deadline, and changes only under the lock: see
//!    `dispatcher.rs` for why no wake-up is lost.
//! 6. A wait counts only records of this process: in the child of a fork the threads of the other
//!    records are not there.
//! 7. `queued` has the ticket of every timer that is queued, and of no other. The job at the
//!    executor has the same ticket. A timer that is moved and queued again has a new ticket, so the
//!    job of the earlier queueing, which may still be at the executor, neither runs nor ends it.
//! 8. User code may fork. In the child, a function that called it here touches no lock any more,
//!    for a thread that is not there may hold it, and calls and drops nothing of the parent's.

use core::cell::Cell;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::collections::BTreeMap;
use std::sync::Arc;

use sync_core::fork::ProcessMark;
use sync_core::primitive::hint::prefetch;
use sync_core::primitive::thread;
use sync_core::{CancelToken, Cancelled, Condvar, Mutex, MutexGuard};

use super::core::{Core, Failed};
use super::job::{Job, Tick};
use crate::timer::COPY_PATIENCE;
use crate::wheel::{Key, TimerWheel};

/// The number of timers that are sorted while a lock is held: about 20 us of work.
const BUDGET: usize = 256;

/// A callback that is being called.
struct Run {
    key: Key,
    thread: NonZeroU64,
    /// Invariant 6.
    process: ProcessMark,
    repeats: bool,
    cancelled: bool,
    /// Where `reschedule` has put the next tick.
    again: Option<u64>,
}

struct ShardState {
    wheel: TimerWheel<Box<dyn Job>>,
    running: Vec<Run>,
    /// By serial number. Invariant 7.
    queued: BTreeMap<NonZeroU64, u64>,
    /// The number of tickets that were given out.
    tickets: u64,
    /// Invariant 5.
    earliest: u64,
    /// Shut down: nothing new comes in, and nothing repeats.
    closed: bool,
}

// Two cache lines, as processors fetch them in pairs: threads that work on different shards do not
// disturb each other.
#[repr(align(128))]
pub(super) struct Shard {
    state: Mutex<ShardState>,
    /// In the child of a fork: a thread of the parent holds the lock, forever. Not a modelled
    /// atomic: no model forks.
    left_behind: AtomicBool,
    /// Notified after a timer was done, for threads that wait for one, or for the last one.
    settled: Condvar,
    pub(super) core: Arc<Core>,
}

/// The decision about the first timer of a shard that is due.
pub(super) enum Admission {
    /// Run it, or queue it at the executor.
    Admit,
    /// Hold it back until the round is over.
    Hold,
    /// Leave it and all after it to the next round.
    Leave,
}

/// The first timer of a shard.
pub(super) enum Taken {
    /// None was taken. `Some`: the first one's deadline, which is due but not the earliest of all
    /// shards.
    Nothing(Option<u64>),
    /// To be run by the caller, with [`Shard::run`].
    Running(Key, u64, Box<dyn Job>),
    /// To be queued at the executor, with its ticket.
    Queued(Key, u64),
    /// To be given back by [`Shard::release_held`].
    Held(Key),
}

/// The result of a cancellation.
///
/// # Memory ordering
///
/// `Done` from [`cancel_and_wait`](super::TimerHandle::cancel_and_wait): everything the callback
/// did is visible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "the callback may still be running"]
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
        let state = ShardState {
            wheel: TimerWheel::new(),
            running: Vec::new(),
            queued: BTreeMap::new(),
            tickets: 0,
            earliest: u64::MAX,
            closed: false,
        };
        let left_behind = AtomicBool::new(false);
        Self { state: Mutex::new(state), left_behind, settled: Condvar::new(), core }
    }

    fn lock(&self) -> MutexGuard<'_, ShardState> {
        self.state.lock()
    }

    /// Returns whether the lock can be had. Asked by a destructor, and by a shutdown, before it
    /// takes the lock: in the child of a fork a thread of the parent may hold it. Only the first
    /// call that finds this waits.
    pub(super) fn is_within_reach(&self) -> bool {
        if self.core.process.is_current() {
            return true;
        }
        // Relaxed: a flag that stands for itself, and is never cleared.
        if self.left_behind.load(Relaxed) {
            return false;
        }
        let reached = self.state.try_lock_for(COPY_PATIENCE).is_some();
        if !reached {
            self.left_behind.store(true, Relaxed);
        }
        reached
    }

    /// Wakes the dispatcher if a deadline that was linked is before what it sleeps until, and
    /// releases the lock.
    fn unlock_after_link(&self, mut state: MutexGuard<'_, ShardState>, deadline: u64) {
        // I2 and I3 of `dispatcher.rs`; I4 is outside of the lock.
        let wake = state.earlier(deadline, &self.core);
        drop(state);
        if wake {
            self.core.notifier.notify();
        }
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
        self.unlock_after_link(state, deadline);
        Ok(key)
    }

    /// Cancels a timer. `dispose` drops the closure, with the lock released (invariant 4); if it
    /// panics, the timer is gone all the same.
    pub(super) fn cancel(&self, key: Key, dispose: impl FnOnce(Box<dyn Job>)) -> Cancel {
        let mut state = self.lock();
        if let Some(job) = state.take(key) {
            drop(state);
            self.settled.notify_all();
            dispose(job);
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

    /// As [`cancel`](Self::cancel), for a destructor: in the child of a fork, a timer that is out
    /// of reach stays as it is. No call of the child runs it.
    pub(super) fn cancel_in_drop(&self, key: Key, dispose: impl FnOnce(Box<dyn Job>)) {
        if self.is_within_reach() {
            let _ = self.cancel(key, dispose);
        }
    }

    /// Waits until the timer is not running, unless the caller itself runs it, or a thread that
    /// stayed behind in the parent of a fork.
    pub(super) fn wait(&self, key: Key) -> Cancel {
        let mut state = self.lock();
        loop {
            match state.over(key) {
                Some(over) => return over,
                None => self.settled.wait(&mut state),
            }
        }
    }

    /// As [`wait`](Self::wait), until the token is cancelled at most.
    pub(super) fn wait_or_cancelled(
        &self,
        key: Key,
        token: &CancelToken,
    ) -> Result<Cancel, Cancelled> {
        let mut state = self.lock();
        let mut in_time = Ok(());
        loop {
            match state.over(key) {
                Some(over) => return Ok(over),
                None => in_time?,
            }
            in_time = self.settled.wait_or_cancelled(&mut state, token);
        }
    }

    pub(super) fn reschedule(&self, key: Key, now: u64, deadline: u64) -> bool {
        // The past is now: a timer that is moved there waits its turn behind those that were due
        // before.
        let deadline = deadline.max(now);
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
        let Some(job) = state.wheel.peek_mut(key) else { return false };
        job.moved(job.missed());
        state.queued.remove(&key.serial());
        state.wheel.relink(key, deadline);
        self.unlock_after_link(state, deadline);
        true
    }

    /// Takes a queued timer for running: its closure, and when it was due. `None`: it was cancelled
    /// or moved in the meantime.
    pub(super) fn take_queued(&self, key: Key, ticket: u64) -> Option<(Box<dyn Job>, u64)> {
        let mut state = self.lock();
        if !state.redeem(key, ticket) {
            return None;
        }
        let deadline = state.wheel.deadline(key)?;
        state.begin(key).map(|job| (job, deadline))
    }

    /// The executor will not run a queued timer: a one-shot one ends, a periodic one passes to its
    /// next tick. No panic comes out.
    pub(super) fn refuse_queued(&self, key: Key, ticket: u64) {
        // Before the lock, by invariant 4. Without a time the tick counts as refused when it was
        // due.
        let process = ProcessMark::current();
        let now = self.core.try_now().unwrap_or(0);
        // Invariant 8.
        if !process.is_current() {
            return;
        }
        let mut state = self.lock();
        if !state.redeem(key, ticket) {
            return;
        }
        let Some(deadline) = state.wheel.deadline(key) else { return };
        let closed = state.closed;
        // A running one has no closure in the wheel, and is not queued.
        let Some(job) = state.wheel.peek_mut(key) else { return };
        let next = if closed { None } else { job.refused(deadline, now) };
        if let Some(next) = next {
            state.wheel.relink(key, next);
            self.unlock_after_link(state, next);
            self.core.report(Failed::Refused);
            return;
        }
        let job = state.take(key);
        drop(state);
        self.settled.notify_all();
        self.core.report(Failed::Refused);
        if !process.is_current() {
            core::mem::forget(job);
            return;
        }
        self.core.guard(|| drop(job));
    }

    /// Calls a job that was taken for running, and decides what becomes of its timer. No panic
    /// comes out. In the child of a fork that it made, its timer stays as the parent has it
    /// (invariant 8).
    pub(super) fn run(&self, key: Key, deadline: u64, mut job: Box<dyn Job>) {
        let process = ProcessMark::current();
        let tick = Tick {
            scheduled: self.core.instant(job.scheduled(deadline)),
            missed: job.missed(),
            stop: Cell::new(false),
        };
        // We do not look into the job again after a panic, and its own state is its author's
        // business: a periodic closure that is called again after it panicked is documented as
        // such.
        self.core.guard(|| job.call(&tick));
        if !process.is_current() {
            core::mem::forget(job);
            return;
        }
        if job.repeats() {
            // Without a time the tick was not late.
            let now = self.core.try_now().unwrap_or(deadline);
            if !process.is_current() {
                core::mem::forget(job);
                return;
            }
            let next = job.next(deadline, now);
            match self.repeat(key, next, tick.stop.get(), job) {
                None => return,
                Some(ended) => job = ended,
            }
        }
        // From here on nothing can make it go on; waiting threads learn of the end after the
        // closure is gone (invariant 3).
        self.core.guard(|| drop(job));
        if !process.is_current() {
            return;
        }
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
        next: u64,
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
        let next = match run.again {
            Some(again) => {
                job.moved(0);
                again
            }
            None => next,
        };
        state.wheel.attach(key, next, job);
        self.unlock_after_link(state, next);
        self.settled.notify_all();
        None
    }

    /// Lets nothing new in, and discards the timers that do not satisfy `keep`. Returns how many
    /// were discarded.
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
        let (discarded, process) = (gone.len(), ProcessMark::current());
        let mut gone = gone.into_iter();
        while process.is_current() {
            let Some(job) = gone.next() else { return discarded };
            self.core.guard(|| drop(job));
        }
        // Invariant 8.
        core::mem::forget(gone);
        discarded
    }

    /// Lets nothing new into the copy of a shard that the child of a fork has. The timers are the
    /// parent's, and stay. Does not wait: the lock may belong to a thread that is not there.
    pub(super) fn close_copy(&self) {
        if let Some(mut state) = self.state.try_lock() {
            state.closed = true;
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Returns whether the timer waits for its time, is queued or held.
    pub(super) fn is_pending(&self, key: Key) -> bool {
        self.lock().wheel.peek(key).is_some()
    }

    pub(super) fn is_running(&self, key: Key) -> bool {
        self.lock().running.iter().any(|run| run.key == key)
    }

    /// Returns the deadline of a pending timer.
    pub(super) fn deadline(&self, key: Key) -> Option<u64> {
        self.lock().wheel.peek(key).map(|(_, deadline)| deadline)
    }

    /// Returns whether the calling thread is inside a callback of this shard.
    pub(super) fn runs_here(&self) -> bool {
        let me = thread::id();
        self.lock().running.iter().any(|run| run.thread == me)
    }

    /// Returns how many timers there are in any state.
    pub(super) fn len(&self) -> usize {
        self.lock().wheel.len()
    }

    pub(super) fn allocated_bytes(&self) -> usize {
        size_of::<Self>() + self.lock().wheel.allocated_bytes()
    }

    /// Waits until no timer is left in any state, but for those that run in the parent of a fork;
    /// until the token is cancelled at most.
    pub(super) fn wait_empty(&self, token: Option<&CancelToken>) -> Result<(), Cancelled> {
        let mut state = self.lock();
        let is_used = |state: &mut ShardState| {
            let elsewhere = state.running.iter().filter(|run| !run.process.is_current()).count();
            state.wheel.len() > elsewhere
        };
        match token {
            None => self.settled.wait_while(&mut state, is_used),
            Some(token) => self.settled.wait_while_or_cancelled(&mut state, is_used, token)?,
        }
        Ok(())
    }

    /// Returns the time at which to look at the shard again; `u64::MAX`: never.
    pub(super) fn next_wake(&self) -> u64 {
        self.lock().wheel.next_wake().unwrap_or(u64::MAX)
    }

    /// As [`next_wake`](Self::next_wake), for the dispatcher, which is about to sleep until then
    /// (D3 of `dispatcher.rs`).
    pub(super) fn plan_wake(&self) -> u64 {
        let mut state = self.lock();
        state.earliest = state.wheel.next_wake().unwrap_or(u64::MAX);
        state.earliest
    }

    /// Returns the earliest deadline or a moment before it, if that is due; and the serial number
    /// that the next timer will have.
    pub(super) fn begin_round(&self, now: u64) -> (Option<u64>, NonZeroU64) {
        let state = self.lock();
        (state.wheel.first_due(now), state.wheel.next_serial())
    }

    /// Returns the earliest deadline or a moment before it, if that is due.
    pub(super) fn first_due(&self, now: u64) -> Option<u64> {
        self.lock().wheel.first_due(now)
    }

    /// Takes the first timer, if it is due, its deadline is at most `expected` (a wheel that has
    /// not been sorted yet returns too early a moment), and `admit` lets it through.
    pub(super) fn take_due(
        &self,
        now: u64,
        expected: u64,
        admit: impl FnOnce(Key, u64, &dyn Job) -> Admission,
    ) -> Taken {
        let mut state = self.sorted(now);
        let Some((key, deadline)) = state.wheel.first_sorted(now) else {
            return Taken::Nothing(None);
        };
        if deadline > expected {
            return Taken::Nothing(Some(deadline));
        }
        let (job, _) = state.wheel.peek(key).expect("a linked timer has its closure");
        let admission = admit(key, deadline, &**job);
        if let Admission::Leave = admission {
            return Taken::Nothing(None);
        }
        state.wheel.detach(key);
        match admission {
            Admission::Leave | Admission::Hold => Taken::Held(key),
            Admission::Admit if self.core.executor.is_some() => {
                state.tickets += 1;
                let ticket = state.tickets;
                state.queued.insert(key.serial(), ticket);
                Taken::Queued(key, ticket)
            }
            Admission::Admit => {
                let job = state.begin(key).expect("a linked timer has its closure");
                Taken::Running(key, deadline, job)
            }
        }
    }

    /// Sorts what is due, and lets other threads at the shard from time to time.
    fn sorted(&self, now: u64) -> MutexGuard<'_, ShardState> {
        loop {
            let mut state = self.lock();
            if state.wheel.advance(now, BUDGET) {
                return state;
            }
        }
    }

    /// Links a timer that was held, unless it was cancelled, moved or run since.
    pub(super) fn release_held(&self, key: Key) {
        let mut state = self.lock();
        if state.wheel.is_linked(key) {
            return;
        }
        let Some((_, deadline)) = state.wheel.peek(key) else { return };
        state.wheel.relink(key, deadline);
        self.unlock_after_link(state, deadline);
    }
}

impl ShardState {
    /// Returns the result of a wait for the end of a run; `None` while there is a reason to wait.
    fn over(&self, key: Key) -> Option<Cancel> {
        match self.running.iter().find(|run| run.key == key) {
            None => Some(Cancel::Done),
            Some(run) if run.thread == thread::id() || !run.process.is_current() => {
                Some(Cancel::Running)
            }
            Some(_) => None,
        }
    }

    /// Notes a deadline that was linked; returns whether the dispatcher must be woken for it.
    #[inline]
    #[must_use]
    fn earlier(&mut self, deadline: u64, core: &Core) -> bool {
        if deadline >= self.earliest {
            return false;
        }
        self.earliest = deadline;
        core.sleeps_past(deadline)
    }

    /// Ends a timer that is scheduled, queued or held.
    fn take(&mut self, key: Key) -> Option<Box<dyn Job>> {
        // A running one has no closure in the wheel.
        self.wheel.peek(key)?;
        self.queued.remove(&key.serial());
        self.wheel.release(key)
    }

    /// Ends the state "queued" if `ticket` is that of the timer's last queueing (invariant 7).
    fn redeem(&mut self, key: Key, ticket: u64) -> bool {
        let valid = self.queued.get(&key.serial()) == Some(&ticket);
        if valid {
            self.queued.remove(&key.serial());
        }
        valid
    }

    fn running_at(&self, key: Key) -> usize {
        self.running
            .iter()
            .position(|run| run.key == key)
            .expect("invariant 3: a call has its record")
    }

    /// From detached to running.
    fn begin(&mut self, key: Key) -> Option<Box<dyn Job>> {
        let job = self.wheel.take(key)?;
        // The closure's memory takes longer to arrive than four timers take to run.
        if let Some(next) = self.wheel.ahead(4) {
            prefetch(&raw const **next);
        }
        let repeats = job.repeats();
        self.running.push(Run {
            key,
            thread: thread::id(),
            process: ProcessMark::current(),
            repeats,
            cancelled: false,
            again: None,
        });
        Some(job)
    }
}
