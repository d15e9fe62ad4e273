//! The blocking layer: how a thread that finds nothing to do goes to sleep, and how the thread that
//! changes that wakes it.
//!
//! # Source
//!
//! A counted eventcount in one futex word. It is joined to the queues by a flag in the very word
//! that the other side has to change to make progress
//! ([`Cursor`](crate::buffer::cursor::Cursor)). The mutexes of nsync and of Rust's std have a
//! "threads wait" bit next to the lock bit in the same way. So the hazard of all blocking queues,
//! store buffering between "publish, look for sleepers" and "announce oneself, look for items", is
//! settled by the coherence of one location: the fast path pays neither a fence nor a load for it.
//!
//! The event count between processes (sync-ipc) is another algorithm. Here a waiter takes its
//! signal itself (W1, W2), and a waiter that is killed would stay counted for good. There, a
//! notifier takes the waiters off the count, and changes a number of 20 bits on which they sleep.
//! A waiter that is stopped for exactly 2^20 wakes sleeps on, there to the end of its bound, here
//! without end.
//!
//! # State
//!
//! | bits | meaning |
//! |---|---|
//! | 0-15 | sleepers: threads that have called [`enter`](EventCount::enter) and were not chosen yet |
//! | 16-31 | signals: sleepers that were chosen and have not noticed yet |
//!
//! # Invariants
//!
//! W1. `sleepers + signals` is the number of threads between `enter` and the end of `wait` or
//! `leave`. Which of them is which is not recorded: a signal belongs to the thread that takes it
//! first.
//!
//! W2. `signals > 0` implies that a thread inside is awake and looks at the word again before it
//! sleeps. So a thread that may have been woken leaves with a signal if there is one, even if its
//! time is up: left behind, the signal would be for a thread that sleeps on. And a thread that has
//! not slept leaves as a sleeper if there is one: it was not woken, and the signal may be the only
//! one that is ever sent to the thread that was woken for it (a shutdown sends one to each).
//!
//! W3. A thread that took a signal tries its operation again, even if its time is up: the wake is
//! used or there was nothing to use it on.
//!
//! W4. A sleeper's `PARKED` is in the other side's word before the sleeper sleeps. The flag may be
//! set when no thread sleeps, but must not be missing when a thread sleeps to which no signal has
//! been sent. A thread that consumed the flag and finds no sleeper clears the flag, then looks
//! again, and signals all sleepers that came in between.
//!
//! W5. Next to the counted sleepers stand the selectors of the watch list: threads that wait here
//! and elsewhere, and tasks. A notifier that found `PARKED` chooses among both, each kind first in
//! turn, so that neither starves the other. W4 holds for a selector as for a sleeper: its flag is
//! set after its ticket is in the list. The list is looked at only by a notifier that found
//! `PARKED`.
//!
//! The word holds a state, not a sequence number, so there is no number of notifications after
//! which a late sleeper is fooled.
//!
//! # Memory orderings
//!
//! The word is Relaxed throughout: it only counts sleepers and signals; no data is published
//! through it. `enter` is published by the flag that follows it, which is set with Release, and
//! found by a claim or cleared with Acquire. A woken thread looks for itself, with the orderings of
//! the operation that it tries again. If it looks too early and reads the old state, it cannot fall
//! asleep over that, since setting the flag compares with the newest value of the other side's
//! word.

pub(crate) mod awaiting;

use core::time::Duration;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::{self, Deadline};
use sync_core::primitive::{MODELLED, hint, thread};

use crate::wait::selector::{Selector, Ticket, WatchList};
use crate::wait::spin::{AdaptiveSpin, StreamLead};
use crate::wait::timeout::Timeout;

const SLEEPER: u32 = 1;
const SIGNAL: u32 = 1 << 16;
const SLEEPERS: u32 = SIGNAL - 1;
/// Both counts together stay within one field, so that neither runs into the other.
const MOST: u32 = SLEEPERS;

/// The number of times that a waiter yields before it sleeps. On a machine with more threads than
/// processors, yields fill (or empty) a queue by more than one item at a time, and save two system
/// calls and two switches an item. On an idle machine they cost a microsecond or two.
const YIELDS: u32 = if MODELLED { 0 } else { 16 };

/// All sleepers.
pub(crate) const ALL: usize = usize::MAX;

#[derive(Debug, Default)]
pub(crate) struct EventCount {
    word: AtomicU32,
    adaptive_spin: AdaptiveSpin,
    stream_lead: StreamLead,
    watchers: WatchList,
}

impl EventCount {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(0),
            adaptive_spin: AdaptiveSpin::new(),
            stream_lead: StreamLead::new(),
            watchers: WatchList::new(),
        }
    }

    /// Counts the caller as a sleeper: it sets its mark next, and then calls `wait`, or `leave`.
    /// `false`: too many are inside (65,535).
    fn enter(&self) -> bool {
        // Relaxed, here and in the rest of the file: see "Memory orderings".
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            if (word & SLEEPERS) + word / SIGNAL >= MOST {
                return false;
            }
            match self.word.compare_exchange_weak(
                word,
                word + SLEEPER,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
    }

    /// Sleeps until chosen. `false`: the time was up first.
    fn wait(&self, deadline: Option<Deadline>) -> bool {
        loop {
            // The futex compares with the newest value itself.
            let word = self.word.load(Ordering::Relaxed);
            if word >= SIGNAL {
                if self
                    .word
                    .compare_exchange(word, word - SIGNAL, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    return true;
                }
            } else if !futex::wait_maybe(&self.word, word, deadline) {
                return self.leave(true);
            }
        }
    }

    /// Removes the thread from the counts. Returns `true` if it leaves with a signal. `slept`
    /// decides between signal and sleeper if there is a choice (W2).
    fn leave(&self, slept: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let signalled = if slept { word >= SIGNAL } else { word & SLEEPERS == 0 };
            let less = if signalled { SIGNAL } else { SLEEPER };
            match self.word.compare_exchange_weak(
                word,
                word - less,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return signalled,
                Err(now) => word = now,
            }
        }
    }

    /// Chooses up to `count` sleepers, wakes as many, and returns their number.
    fn signal(&self, count: usize) -> usize {
        // Relaxed, also below: a claim that found the flag, and a close, are Acquire, so that the
        // sleepers behind the flag are seen here. A sleeper that sets it later finds the end
        // closed.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let sleepers = word & SLEEPERS;
            if sleepers == 0 {
                return 0;
            }
            let chosen = u32::try_from(count).unwrap_or(u32::MAX).min(sleepers);
            match self.word.compare_exchange_weak(
                word,
                word - chosen * SLEEPER + chosen * SIGNAL,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) if chosen == 1 => futex::wake_one(&raw const self.word),
                Ok(_) => {
                    futex::wake(&raw const self.word, chosen);
                }
                Err(now) => {
                    word = now;
                    continue;
                }
            }
            return chosen as usize;
        }
    }

    /// Chooses up to `count` sleepers and selectors, and all observers. Returns `false` if there
    /// was none.
    fn choose(&self, count: usize) -> bool {
        // A claim that found the flag, and a close, are Acquire: the tickets behind the flag are
        // seen here. A selector that marks later finds the end closed.
        if self.watchers.is_empty() {
            return self.signal(count) > 0;
        }
        // Relaxed: the claim or the close before this was Acquire, so that the sleepers behind its
        // flag are seen.
        let asleep = self.word.load(Ordering::Relaxed) & SLEEPERS != 0;
        let first = self.watchers.wake_first(asleep);
        let mut chosen = first.chosen;
        if first.sleepers_first {
            chosen += self.signal(count);
        }
        if chosen < count {
            chosen += self.watchers.wake(count - chosen);
        }
        if !first.sleepers_first && chosen < count {
            chosen += self.signal(count - chosen);
        }
        first.observers || chosen > 0
    }

    /// Adds a ticket to the watch list, if `mark`, as in [`sleep`](Self::sleep), confirms that the
    /// operation is impossible. Returns `false` if it is possible; the ticket is then not there.
    pub(crate) fn watch(
        &self,
        selector: &Selector,
        case: u32,
        observe: bool,
        mark: impl FnOnce() -> bool,
    ) -> bool {
        self.watchers.add(Ticket::new(selector, case), observe);
        let marked = mark();
        if !marked {
            self.watchers.remove(selector);
        }
        marked
    }

    /// Removes the tickets of the selector from the watch list.
    pub(crate) fn unwatch(&self, selector: &Selector) {
        self.watchers.remove(selector);
    }

    /// Sleeps until chosen, if `mark` returns `true`. `mark` sets the flag in the other side's word
    /// and confirms, in the same step, that the caller's operation is still impossible.
    ///
    /// Returns `false` if the time is up. Otherwise the caller tries its operation again.
    fn sleep(&self, deadline: Option<Deadline>, mark: impl FnOnce() -> bool) -> bool {
        if !self.enter() {
            // 65,535 threads sleep here already. This thread polls a thousand times a second.
            let tick = Duration::from_millis(1);
            if let Some(deadline) = deadline {
                return Deadline::after(tick).is_some_and(|soon| soon < deadline) && {
                    thread::sleep(tick);
                    true
                };
            }
            thread::sleep(tick);
            return true;
        }
        if mark() {
            return self.wait(deadline);
        }
        self.leave(false);
        true
    }

    /// Wakes up to `count` sleepers. Called by the thread that consumed `PARKED`.
    ///
    /// If there is no sleeper, the flag was stale and `unmark` clears it (W4).
    #[cold]
    pub(crate) fn wake(&self, count: usize, unmark: impl FnOnce()) {
        if !self.choose(count) {
            unmark();
            // A sleeper whose flag was just cleared is seen here, because clearing was an Acquire.
            // Sleepers that mark later find a word without the flag and set it. The number of items
            // that they slept through is not known: all of them look again.
            self.choose(ALL);
        }
    }
}

/// Chooses another waiter when it is dropped, which is by unwinding only. A choice too many is
/// harmless: its thread or task looks and waits again.
struct PassOn<'a>(Option<&'a EventCount>);

impl Drop for PassOn<'_> {
    fn drop(&mut self) {
        // A checker ends threads by unwinding them, and uses nothing of such an execution again.
        if MODELLED {
            return;
        }
        if let Some(count) = self.0 {
            count.choose(1);
        }
    }
}

impl EventCount {
    /// Called before [`wait_until`](Self::wait_until) with the number of items that went by: a
    /// waiter that has caught up with a stream gives it a lead.
    pub(crate) fn give_lead(&self, position: impl FnOnce() -> u64) {
        self.stream_lead.give(position);
    }

    /// Repeats `attempt` until it succeeds or the time is up. Spins for a moment if that
    /// has paid recently, lets others run, then sleeps: `mark` as in [`sleep`](Self::sleep).
    ///
    /// The first attempt is the caller's fast path: here, `attempt` is called again in any case, at
    /// the end too (W3).
    #[cold]
    pub(crate) fn wait_until<R>(
        &self,
        timeout: Timeout,
        mark: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        let deadline = timeout.deadline().ok()?;
        let mut in_time = true;
        let mut woken = false;
        let mut spin = self.adaptive_spin.tries().then(hint::Spin::new);
        let mut yields = 0;
        loop {
            // If the attempt panics, the signal goes to another sleeper: the item or the room
            // is left.
            let pass_on = PassOn(woken.then_some(self));
            let answer = attempt();
            core::mem::forget(pass_on);
            woken = false;
            if answer.is_some() || !in_time {
                if spin.is_some() {
                    self.adaptive_spin.had(true);
                }
                return answer;
            }
            if let Some(spinning) = &mut spin {
                if spinning.turn() {
                    continue;
                }
                self.adaptive_spin.had(false);
                spin = None;
            }
            if yields < YIELDS {
                yields += 1;
                thread::yield_now();
                continue;
            }
            in_time = self.sleep(deadline, &mark);
            woken = in_time;
            yields = 0;
        }
    }
}
