//! The thread that fires timers, asleep until there is something to fire.
//!
//! # Sleeping, and why no wake-up is lost
//!
//! The dispatcher sleeps on its notifier, a futex word that counts notifications, until the
//! earliest wake time of all shards. A thread that links an earlier deadline must wake the
//! dispatcher. A thread that links a later deadline should not, for a system call costs more than
//! everything else in an insert.
//!
//! | step | dispatcher | step | inserter, under the shard's lock |
//! |---|---|---|---|
//! | D1 | takes the notifier's key | I1 | links the timer |
//! | D2 | `wake_at` = `u64::MAX` | I2 | if its deadline is before `earliest`: lowers `earliest`, and |
//! | D3 | in each shard, under its lock: `earliest` = its next wake time | I3 | reads `wake_at`; if the deadline is before that: |
//! | D4 | `wake_at` = the least of those | I4 | with the lock released, notifies |
//! | D5 | sleeps until then, unless there was a notification since D1 | | |
//!
//! 1. If the inserter had the shard's lock before D3, the dispatcher sees the timer in D3 and does
//!    not sleep past it.
//! 2. Otherwise D3 came before I1 through the lock. Then either the deadline is not before the time
//!    that D3 found, and the dispatcher wakes in time anyway; or I3 is reached, and reads the value
//!    of D2 or a later one: `u64::MAX` or D4's. If the deadline is not before D4's value, the
//!    dispatcher wakes in time; else the notification comes after D1, and D5 ends or does not
//!    begin.
//! 3. A value that I3 reads from an earlier round costs a needless notification, or belongs to
//!    case 1.
//!
//! Both accesses of `wake_at` may be Relaxed: that I3 reads D2 or later follows from the lock, D2
//! being before D3's release of it.
//!
//! An idle scheduler sleeps in D5 without a deadline and makes no system calls; no tick wakes it
//! up.
//!
//! # Rounds
//!
//! `run_due` fires in rounds. A round reads the time once and fires what was due then; what a
//! callback schedules for that moment is for the next round. A timer that is moved to that moment
//! may still be called by the round, unless the round has called it at that moment already. So a
//! round ends, also on a clock that stands still, whatever callbacks do.
//!
//! No list of due timers is made beforehand, so that several threads can share a round's work. The
//! deadline decides whether a timer belongs to the round:
//!
//! * before the round's time: it does, for no timer is ever linked in the past. `schedule` and
//!   `reschedule` raise a deadline that is past to the time that they read; only `Burst` goes back,
//!   on the grid, which ends.
//! * the round's time: it does if its serial number is below the number that was next when the
//!   round began, and if it is not a periodic timer that the round has called at this very
//!   deadline. Such a periodic timer is held until the round is over. A younger timer comes
//!   after all older ones of its shard, in the order of deadlines and serial numbers: so the shard
//!   is done.
//! * after it: it does not.

use core::num::NonZeroU64;
use core::time::Duration;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::thread::{self, JoinHandle};
use sync_core::{CancelToken, Cancelled, Condvar, Mutex};

use super::core::Core;
use super::shard::{Admission, Shard, Taken};
use crate::slack::Slack;
use crate::wheel::Key;

/// The dispatcher goes on.
const OPEN: u32 = 0;
/// The dispatcher ends before the next callback.
const STOPPED: u32 = 1;

/// The pause of the dispatcher after the clock has panicked, before it reads the clock again.
const CLOCK_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Inner {
    pub(super) shards: Box<[Arc<Shard>]>,
    pub(super) core: Arc<Core>,
    phase: AtomicU32,
    /// The dispatcher's thread, while it runs.
    pub(super) dispatcher: Mutex<Option<JoinHandle<()>>>,
    /// The number of the dispatcher's thread; set by that thread. Not a modelled cell: only that
    /// thread finds its own number in it.
    dispatcher_thread: OnceLock<NonZeroU64>,
    /// Whether there is a dispatcher that has not ended.
    dispatching: Mutex<bool>,
    ended: Condvar,
}

/// Announces that the dispatcher has ended.
struct Ended<'a>(&'a Inner);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        // In the child of a fork the lock may belong to a thread that is not there, and no thread
        // waits for the dispatcher.
        if self.0.core.process.is_current() {
            *self.0.dispatching.lock() = false;
            self.0.ended.notify_all();
        }
    }
}

/// The job that the executor gets for a queued timer. Dropped without being run, it is a refusal.
struct Queued {
    shard: Arc<Shard>,
    key: Key,
    /// Invariant 7 of `shard.rs`.
    ticket: u64,
    /// In the child of a fork, the executor's copy of the job does nothing: it is the parent's.
    process: ProcessMark,
    started: bool,
}

impl Queued {
    fn run(mut self) {
        self.started = true;
        if !self.process.is_current() {
            return;
        }
        if let Some((job, deadline)) = self.shard.take_queued(self.key, self.ticket) {
            self.shard.run(self.key, deadline, job);
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.started && self.process.is_current() {
            self.shard.refuse_queued(self.key, self.ticket);
        }
    }
}

/// One pass over what is due: see "Rounds" above.
struct Round<'a> {
    inner: &'a Inner,
    /// User code may fork: in the child the round ends, and touches no lock any more.
    process: ProcessMark,
    now: u64,
    /// Of each shard: the earliest deadline or a moment before it, if it is due; and the serial
    /// number at which the timers begin that came later than the round.
    shards: Vec<(Option<u64>, NonZeroU64)>,
    /// The periodic timers, by shard and serial number, that were called at the deadline `now`.
    called: BTreeSet<(usize, NonZeroU64)>,
    held: Vec<(usize, Key)>,
}

impl<'a> Round<'a> {
    fn new(inner: &'a Inner, now: u64) -> Self {
        let shards = inner.shards.iter().map(|shard| shard.begin_round(now)).collect();
        let process = ProcessMark::current();
        Self { inner, process, now, shards, called: BTreeSet::new(), held: Vec::new() }
    }

    /// The shard whose first timer is the earliest of all.
    fn earliest(&self) -> Option<(usize, u64)> {
        let firsts = self.shards.iter().enumerate();
        firsts
            .filter_map(|(at, &(first, _))| first.map(|first| (at, first)))
            .min_by_key(|&(_, first)| first)
    }

    /// Fires the first timer of a shard, if its deadline is the expected one; returns whether it
    /// did.
    fn fire(&mut self, at: usize, expected: u64) -> bool {
        let Self { inner, now, ref shards, ref mut called, .. } = *self;
        let (_, younger) = shards[at];
        let shard = &inner.shards[at];
        let taken = shard.take_due(now, expected, |key, deadline, job| {
            if deadline < now {
                Admission::Admit
            } else if key.serial() >= younger {
                Admission::Leave
            } else if !job.repeats() || called.insert((at, key.serial())) {
                Admission::Admit
            } else {
                Admission::Hold
            }
        });
        let fired = match taken {
            Taken::Nothing(first) => {
                self.shards[at].0 = first;
                return false;
            }
            Taken::Held(key) => {
                self.held.push((at, key));
                false
            }
            Taken::Running(key, deadline, job) => {
                shard.run(key, deadline, job);
                true
            }
            Taken::Queued(key, ticket) => {
                let (shard, process) = (Arc::clone(shard), self.process);
                let queued = Queued { shard, key, ticket, process, started: false };
                if let Some(executor) = &inner.core.executor {
                    // User code: it may panic, and must not take the dispatcher with it. What
                    // becomes of the timer is decided by `queued`, wherever that is.
                    inner.core.guard(|| executor.execute(Box::new(move || queued.run())));
                }
                true
            }
        };
        if self.process.is_current() {
            self.shards[at].0 = shard.first_due(now);
        }
        fired
    }
}

impl Drop for Round<'_> {
    fn drop(&mut self) {
        if self.process.is_current() {
            for (at, key) in self.held.drain(..) {
                self.inner.shards[at].release_held(key);
            }
        }
    }
}

impl Inner {
    pub(super) fn new(core: Arc<Core>, shards: usize) -> Self {
        Self {
            shards: (0..shards).map(|_| Arc::new(Shard::new(Arc::clone(&core)))).collect(),
            core,
            phase: AtomicU32::new(OPEN),
            dispatcher: Mutex::new(None),
            dispatcher_thread: OnceLock::new(),
            dispatching: Mutex::new(false),
            ended: Condvar::new(),
        }
    }

    /// The dispatcher's life.
    pub(super) fn dispatch(&self) {
        let _ended = Ended(self);
        // A scheduler has one dispatcher: it is not set yet.
        let _ = self.dispatcher_thread.set(thread::id());
        let slack = Slack::of_this_thread();
        // In the child of a fork that user code made, this thread is no dispatcher: the timers are
        // the parent's.
        let goes_on = || !self.is_stopped() && self.core.process.is_current();
        loop {
            let due = self.core.try_now();
            if let Some(now) = due {
                self.run_round(now, goes_on);
            }
            // D1
            let key = self.core.notifier.key();
            if !goes_on() {
                break;
            }
            if due.is_none() {
                // The dispatcher counts as awake, and is.
                self.core.notifier.wait(key, Instant::now().checked_add(CLOCK_PAUSE));
                continue;
            }
            // D2
            self.core.set_wake_at(u64::MAX);
            // D3
            let wake = self.plan_wake();
            // D4
            self.core.set_wake_at(wake);
            // If the clock panics here, the round that follows deals with it.
            if self.core.try_now().is_some_and(|now| wake > now) {
                // D5
                let until = (wake != u64::MAX).then(|| self.core.instant(wake));
                let until = until.and_then(|until| self.core.look_again(until));
                // The clock may have forked. The child does not sleep: no thread would wake it.
                if !self.core.process.is_current() {
                    break;
                }
                let _on_time = until.map(|_| slack.wake_on_time());
                self.core.notifier.wait(key, until);
            }
            self.core.set_awake();
        }
    }

    /// The earliest wake time of all shards; `u64::MAX`: none.
    fn plan_wake(&self) -> u64 {
        self.shards.iter().map(|shard| shard.plan_wake()).min().unwrap_or(u64::MAX)
    }

    /// Fires what is due at this moment; returns how many. A panic of the clock comes out, and
    /// nothing was fired then.
    pub(super) fn run_due(&self) -> usize {
        self.run_round(self.core.now(), || !self.is_stopped())
    }

    /// Fires what is due at `now`, which was read before.
    pub(super) fn run_due_at(&self, now: u64) {
        self.run_round(now, || !self.is_stopped());
    }

    fn run_round(&self, now: u64, goes_on: impl Fn() -> bool) -> usize {
        if !goes_on() {
            return 0;
        }
        let mut round = Round::new(self, now);
        let mut fired = 0;
        // The shards' firsts are merged, so that timers go off in the order of their deadlines
        // wherever they are.
        while let Some((at, first)) = round.earliest() {
            if !goes_on() || !round.process.is_current() {
                break;
            }
            fired += usize::from(round.fire(at, first));
        }
        fired
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Acquire: pairs with the Release in `stop`, so that the dispatcher's end comes after what
        // the stopper did.
        self.phase.load(Ordering::Acquire) == STOPPED
    }

    /// Ends the dispatcher, after the callback that it may be running.
    pub(super) fn stop(&self) {
        // Release: pairs with the Acquire in `is_stopped`. Before the notification, so that a
        // dispatcher that is woken by it sees it.
        self.phase.store(STOPPED, Ordering::Release);
        self.core.notifier.notify();
    }

    /// Notes that there will be a dispatcher.
    pub(super) fn begin_dispatching(&self) {
        *self.dispatching.lock() = true;
    }

    /// Returns whether there is a dispatcher in this process that has not ended.
    pub(super) fn is_dispatching(&self) -> bool {
        self.core.process.is_current() && *self.dispatching.lock()
    }

    /// Waits until there is no dispatcher any more, in this process; until the token is cancelled
    /// at most.
    pub(super) fn wait_ended(&self, token: Option<&CancelToken>) -> Result<(), Cancelled> {
        if !self.core.process.is_current() {
            return Ok(());
        }
        let mut dispatching = self.dispatching.lock();
        let is_there = |dispatching: &mut bool| *dispatching;
        match token {
            None => self.ended.wait_while(&mut dispatching, is_there),
            Some(token) => self.ended.wait_while_or_cancelled(&mut dispatching, is_there, token)?,
        }
        drop(dispatching);
        let handle = self.dispatcher.lock().take();
        if let Some(handle) = handle {
            // It has nothing left to do but to end, and does not panic.
            let _ = handle.join();
        }
        Ok(())
    }

    /// Returns whether the calling thread is inside a callback of this scheduler, or is the
    /// dispatcher: it would wait for itself. The dispatcher also runs user code outside callbacks:
    /// the executor, the clock and the hook.
    pub(super) fn runs_here(&self) -> bool {
        self.dispatcher_thread.get() == Some(&thread::id())
            || self.shards.iter().any(|shard| shard.runs_here())
    }
}
