//! The thread that fires timers, asleep until there is something to fire.
//!
//! # Sleeping, and why no wake-up is lost
//!
//! The dispatcher sleeps on its bell, a futex word that counts rings, until the earliest wake time
//! of all shards. Who links an earlier deadline must wake it; who links a later one should not, for
//! a system call is dearer than everything else an insert does.
//!
//! | step | dispatcher | step | inserter, under the shard's lock |
//! |---|---|---|---|
//! | D1 | takes the bell's key | I1 | links the timer |
//! | D2 | `wake_at` = the end of time | I2 | if its deadline is before `earliest`: lowers `earliest`, and |
//! | D3 | in each shard, under its lock: `earliest` = its next wake time | I3 | reads `wake_at`; if the deadline is before that: |
//! | D4 | `wake_at` = the least of those | I4 | with the lock released, rings the bell |
//! | D5 | sleeps until then, unless somebody has rung since D1 | | |
//!
//! 1. If the inserter had the shard's lock before D3, the dispatcher sees the timer in D3 and does
//!    not sleep past it.
//! 2. Otherwise D3 came before I1 through the lock. Then either the deadline is not before what D3
//!    found, and the dispatcher wakes in time anyway; or I3 is reached, and reads the value of D2
//!    or a later one: the end of time or D4's. If the deadline is not before D4's value, the
//!    dispatcher wakes in time; else the bell rings after D1, and D5 ends or does not begin.
//! 3. A value that I3 reads from an earlier round costs a needless ring, or belongs to case 1.
//!
//! Both accesses of `wake_at` may be Relaxed: that I3 reads D2 or later follows from the lock, D2
//! being before D3's release of it.
//!
//! An idle scheduler sleeps in D5 without a deadline and makes no system calls; no tick wakes it
//! up.

use std::sync::Arc;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::thread::JoinHandle;
use sync_core::{Condvar, Mutex, MutexGuard};

use super::core::Core;
use super::shard::{Shard, State};
use crate::slack;
use crate::wheel::Key;

/// How many timers are sorted while a lock is held: about 20 us of work.
const BUDGET: usize = 256;

/// The dispatcher goes on.
const OPEN: u32 = 0;
/// The dispatcher ends before the next callback.
const STOPPED: u32 = 1;

pub(super) struct Inner {
    pub(super) shards: Box<[Arc<Shard>]>,
    pub(super) core: Arc<Core>,
    phase: AtomicU32,
    /// The dispatcher's thread, while it runs.
    pub(super) dispatcher: Mutex<Option<JoinHandle<()>>>,
    /// Whether there is a dispatcher that has not ended.
    pub(super) dispatching: Mutex<bool>,
    pub(super) ended: Condvar,
}

/// Says that the dispatcher has ended, also if a user's clock panicked.
struct Ended<'a>(&'a Inner);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        *self.0.dispatching.lock() = false;
        self.0.ended.notify_all();
    }
}

/// Hands a queued timer to the executor, and sees to it that the timer ends if the executor drops
/// it.
struct Queued {
    shard: Arc<Shard>,
    key: Key,
    started: bool,
}

impl Queued {
    fn run(mut self) {
        self.started = true;
        if let Some((job, deadline)) = self.shard.take_queued(self.key) {
            self.shard.run(self.key, deadline, job);
        }
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if !self.started {
            self.shard.refuse_queued(self.key);
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
            dispatching: Mutex::new(false),
            ended: Condvar::new(),
        }
    }

    /// The dispatcher's life.
    pub(super) fn dispatch(&self) {
        let _ended = Ended(self);
        slack::wake_on_time();
        loop {
            self.run_due();
            // D1
            let key = self.core.bell.key();
            if self.is_stopped() {
                break;
            }
            // D2
            self.core.set_wake_at(u64::MAX);
            // D3
            let wake = self.next_wake();
            // D4
            self.core.set_wake_at(wake);
            if wake > self.core.now() {
                // D5
                let until = (wake != u64::MAX).then(|| self.core.instant(wake));
                self.core.bell.wait_by(&*self.core.clock, key, until);
            }
            self.core.set_awake();
        }
    }

    /// The earliest wake time of all shards; `u64::MAX`: none.
    pub(super) fn next_wake(&self) -> u64 {
        let wakes = self.shards.iter().map(|shard| {
            let mut state = shard.lock();
            state.earliest = state.wheel.next_wake().unwrap_or(u64::MAX);
            state.earliest
        });
        wakes.min().unwrap_or(u64::MAX)
    }

    /// Fires everything that is due, also what becomes due meanwhile; says how many.
    pub(super) fn run_due(&self) -> usize {
        let mut fired = 0;
        let mut firsts = vec![None; self.shards.len()];
        while !self.is_stopped() {
            let now = self.core.now();
            for (first, shard) in firsts.iter_mut().zip(&self.shards) {
                *first = shard.lock().wheel.first_due(now);
            }
            let before = fired;
            // The shards' firsts are merged, so that timers go off in the order of their deadlines
            // wherever they are.
            while let Some((least, shard)) = firsts
                .iter_mut()
                .zip(&self.shards)
                .filter(|(first, _)| first.is_some())
                .min_by_key(|(first, _)| **first)
            {
                if self.is_stopped() {
                    break;
                }
                let popped;
                (popped, *least) = self.fire(shard, now, least.unwrap_or_default());
                fired += usize::from(popped);
            }
            if fired == before {
                break;
            }
        }
        fired
    }

    /// Sorts what is due in a shard, letting others at it from time to time.
    fn prepare(shard: &Shard, now: u64) -> MutexGuard<'_, State> {
        loop {
            let mut state = shard.lock();
            if state.wheel.advance(now, BUDGET) {
                return state;
            }
        }
    }

    /// Fires the first timer of a shard, if it is due and its deadline is what was expected, for a
    /// wheel that has not been sorted yet says too early a moment; says whether, and what is first
    /// now.
    fn fire(&self, shard: &Arc<Shard>, now: u64, expected: u64) -> (bool, Option<u64>) {
        let mut state = Self::prepare(shard, now);
        let first = state.wheel.first_sorted(now);
        if first.is_none_or(|first| first > expected) {
            return (false, first);
        }
        let Some((key, deadline)) = state.wheel.detach(now) else { return (false, None) };
        match &self.core.executor {
            None => {
                let job = state.begin(key).expect("a linked timer has its closure");
                drop(state);
                shard.run(key, deadline, job);
            }
            Some(executor) => {
                drop(state);
                let queued = Queued { shard: Arc::clone(shard), key, started: false };
                // User code: it may panic, and must not take the dispatcher with it. The timer ends
                // with `queued`, wherever that is.
                self.core.guard(|| executor.execute(Box::new(move || queued.run())));
            }
        }
        (true, shard.lock().wheel.first_due(now))
    }

    pub(super) fn is_stopped(&self) -> bool {
        // Acquire: pairs with the Release in `stop`, so that the dispatcher's end comes after what
        // the stopper did.
        self.phase.load(Ordering::Acquire) == STOPPED
    }

    /// Ends the dispatcher, after the callback that it may be running.
    pub(super) fn stop(&self) {
        // Release: pairs with the Acquire in `is_stopped`. Before the ring, so that who is woken by
        // it sees it.
        self.phase.store(STOPPED, Ordering::Release);
        self.core.bell.ring();
    }

    /// Waits until there is no dispatcher any more.
    pub(super) fn wait_ended(&self) {
        self.ended.wait_while(&mut self.dispatching.lock(), |dispatching| *dispatching);
        let handle = self.dispatcher.lock().take();
        if let Some(handle) = handle {
            // It has nothing left to do but to end, and does not panic.
            let _ = handle.join();
        }
    }

    /// Whether the calling thread is inside a callback of this scheduler.
    pub(super) fn runs_here(&self) -> bool {
        self.shards.iter().any(|shard| shard.runs_here())
    }
}
