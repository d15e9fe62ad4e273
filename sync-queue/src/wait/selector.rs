//! One wait for the first of several events.
//!
//! # Source
//!
//! The contexts of crossbeam-channel: a waiter that stands in several lists at once has one word,
//! and the first thread that changes it has chosen the waiter, for every list.
//!
//! # State
//!
//! | word of a selector | meaning |
//! |---|---|
//! | `WAITING` | in the lists of its cases; any thread may choose it |
//! | `CLAIMED` | a partner has chosen it and will hand something over: it waits for that |
//! | `ABORTED` | its own thread gave up, or the partner left without handing anything over |
//! | `CHOSEN + n` | case `n` was chosen |
//!
//! # Invariants
//!
//! S1. A selector leaves `WAITING` once, by one compare-exchange. Exactly one thread chooses it, or
//! its own thread aborts it: one event wakes one waiter, and a waiter uses up one event.
//!
//! S2. A selector stays in place while a ticket of it is in a list, and while it is `CLAIMED`. Its
//! owner removes its tickets under the lock of each list before it leaves, but for a ticket that
//! it was chosen by: a list takes a ticket out before it chooses the selector. A thread changes the
//! word of a selector only under the lock of the list in which it found the ticket, or, if it has
//! claimed the selector, by the store that ends the claim. After that, only the address is used.
//!
//! S3. `handed` belongs to the thread that claimed the selector until it stores the end of the
//! claim, and to the owner after that.
//!
//! S4. An owner that was chosen by an event tries that case first, so the event is used, or there
//! was nothing left to use it on. An owner that leaves without trying (a future that is dropped)
//! passes the event on.
//!
//! S5. A task's selector has its waker inside and is in one list at most, and is never claimed: a
//! task waits for one event at a time. While its ticket is in the list, the waker is used under the
//! lock of the list; else it is the owner's. The thread that chooses the selector takes the waker
//! out before it changes the word, and calls it after all locks are released. So the wait of a task
//! needs no place in the table of the futex. A thread's selector has none, and no thread writes
//! there.
//!
//! S6. The selector of a task of the parent, in the child of a fork, is not chosen: its executor is
//! not there. It becomes `ABORTED`, so that a task that the child goes on with tries again.
//!
//! # Memory orderings
//!
//! The word is changed with AcqRel and read with Acquire: what the thread that chose did before
//! (above all `handed`) is seen by the owner. An event carries no data; the case is tried with the
//! orderings of its own operations.

use core::mem::replace;
use core::ptr::{self, NonNull};
use core::task::Waker;
use std::collections::VecDeque;
use std::time::Instant;

use sync_core::fork::ProcessMark;
use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::futex::{self, Channel, Deadline};
use sync_core::primitive::steps::{Sleep, Step, Steps, Waiting};
use sync_core::task::{block_on, block_on_deadline};
use sync_core::{CancelToken, Mutex, user_code};

use crate::wait::stash::Stash;

const WAITING: u32 = 0;
const CLAIMED: u32 = 1;
const ABORTED: u32 = 2;
const CHOSEN: u32 = 3;

/// One wait for several events, by a thread or by a task.
pub(crate) struct Selector {
    word: AtomicU32,
    /// The value that a partner handed over (S3).
    handed: UnsafeCell<Option<Stash>>,
    /// The task that waits (S5).
    task: UnsafeCell<Option<Task>>,
}

/// A task that waits, and the process that it is of.
struct Task {
    waker: Waker,
    process: ProcessMark,
}

// SAFETY: `handed` is one thread's at a time (S3). What is inside was put there by a thread that
// may send it to the owner, which both ends of the channel require.
unsafe impl Send for Selector {}
// SAFETY: threads share the words, which are atomics; `handed` is one thread's at a time (S3), and
// `task` is used under one lock, or by the owner, or read only (S5).
unsafe impl Sync for Selector {}

/// The end of the sleep of a chosen selector. Used after all locks are released.
#[must_use = "the waiter that was chosen stays asleep"]
pub(crate) enum Wakeup {
    /// The address is all that is used of the word (S2).
    Thread(*const AtomicU32),
    Task(Waker),
}

impl Wakeup {
    pub(crate) fn go(self) {
        match self {
            Self::Thread(word) => futex::wake_one(word),
            Self::Task(waker) => user_code::run_and_forget_panic(|| waker.wake()),
        }
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// No thread chose the selector, or its partner left.
    Aborted,
    /// The case with this number was chosen.
    Chosen(u32),
}

impl Ended {
    fn of(word: u32) -> Option<Self> {
        match word {
            WAITING | CLAIMED => None,
            ABORTED => Some(Self::Aborted),
            _ => Some(Self::Chosen(word - CHOSEN)),
        }
    }
}

/// Changes the word of a selector that is `WAITING` (S1). Returns whether it was.
fn change(word: &AtomicU32, to: u32) -> bool {
    // Acquire and Release: see "Memory orderings". Relaxed on failure: nothing is read then.
    word.compare_exchange(WAITING, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

impl Selector {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU32::new(WAITING),
            handed: UnsafeCell::new(None),
            task: UnsafeCell::new(None),
        }
    }

    fn change(&self, to: u32) -> bool {
        change(&self.word, to)
    }

    fn wakeup(&self) -> Wakeup {
        Wakeup::Thread(&raw const self.word)
    }

    /// Returns whether any thread may still choose it.
    fn is_waiting(&self) -> bool {
        // Relaxed: a hint. A claim decides.
        self.word.load(Ordering::Relaxed) == WAITING
    }

    /// Returns how the wait ended, if it has.
    pub(crate) fn ended(&self) -> Option<Ended> {
        // Acquire: see "Memory orderings".
        Ended::of(self.word.load(Ordering::Acquire))
    }

    /// Makes the selector as it was when it was new, for the next wait of a task.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and no ticket is in any list.
    pub(crate) unsafe fn set_task(&self, waker: &Waker) {
        // User code: before anything is changed.
        let task = Task { waker: waker.clone(), process: ProcessMark::current() };
        // Relaxed: no ticket is in any list; the locks of the lists publish it.
        self.word.store(WAITING, Ordering::Relaxed);
        // SAFETY: no ticket is in any list (S5).
        let known = self.task.with_mut(|known| unsafe { (*known).replace(task) });
        if known.is_some() {
            user_code::dispose(known);
        }
    }

    /// Drops the waker of a task.
    ///
    /// # Safety
    ///
    /// As for [`set_task`](Self::set_task).
    pub(crate) unsafe fn clear_task(&self) {
        // SAFETY: no ticket is in any list (S5).
        let known = self.task.with_mut(|known| unsafe { (*known).take() });
        if known.is_some() {
            user_code::dispose(known);
        }
    }

    /// Ends the wait of the owner. If another thread has chosen the selector, its choice counts.
    pub(crate) fn abort(&self) -> Ended {
        if self.change(ABORTED) { Ended::Aborted } else { self.wait(None) }
    }

    /// Sleeps until chosen, at most until `deadline`; then aborts.
    pub(crate) fn wait(&self, deadline: Option<Deadline>) -> Ended {
        loop {
            // Acquire: see "Memory orderings".
            let word = self.word.load(Ordering::Acquire);
            if let Some(ended) = Ended::of(word) {
                return ended;
            }
            // A partner that has claimed the selector ends the claim in any case.
            let deadline = if word == CLAIMED { None } else { deadline };
            if !futex::wait_maybe(&self.word, word, deadline) && self.change(ABORTED) {
                return Ended::Aborted;
            }
        }
    }

    /// As [`wait`](Self::wait), until the token is cancelled at most.
    pub(crate) fn wait_or_cancelled(&self, until: Option<Instant>, token: &CancelToken) -> Ended {
        loop {
            // Acquire: see "Memory orderings".
            match self.word.load(Ordering::Acquire) {
                WAITING => {}
                // A partner that has claimed the selector ends the claim in any case.
                CLAIMED => return self.wait(None),
                word => return Ended::of(word).unwrap_or(Ended::Aborted),
            }
            let changed = token.until_cancelled(Waiting::new(Chosen(&self.word)));
            let in_time = match until {
                None => block_on(changed).is_ok(),
                Some(until) => matches!(block_on_deadline(changed, until), Some(Ok(()))),
            };
            if !in_time && self.change(ABORTED) {
                return Ended::Aborted;
            }
        }
    }

    /// Takes what a partner handed over.
    ///
    /// # Safety
    ///
    /// The caller is the owner, and the wait has ended (S3).
    pub(crate) unsafe fn take_handed(&self) -> Option<Stash> {
        // SAFETY: the caller promises it (`# Safety`).
        self.handed.with_mut(|handed| unsafe { (*handed).take() })
    }
}

/// A wait until the word of a selector is no longer `WAITING`.
struct Chosen<'a>(&'a AtomicU32);

impl<'a> Steps<'a> for Chosen<'a> {
    type Output = ();

    fn step(&mut self, _: bool) -> Step<'a, ()> {
        // Relaxed: the owner reads the word again.
        if self.0.load(Ordering::Relaxed) != WAITING {
            return Step::Done(());
        }
        let (word, expected, channel) = (self.0, WAITING, Channel::ALL);
        Step::Sleep(Sleep { word, expected, channel, limit: None })
    }

    fn leave(&mut self) -> Option<()> {
        None
    }

    fn undo(&mut self, (): ()) {}
}

/// A selector in a list, with the number of the case that the list stands for.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    selector: NonNull<Selector>,
    case: u32,
}

// SAFETY: a selector is `Sync`, and stays in place while a ticket of it is in a list (S2).
unsafe impl Send for Ticket {}
// SAFETY: a ticket is read only, and its selector is `Sync` (S2).
unsafe impl Sync for Ticket {}

impl Ticket {
    pub(crate) fn new(selector: &Selector, case: u32) -> Self {
        Self { selector: NonNull::from(selector), case }
    }

    pub(crate) fn is_of(self, selector: &Selector) -> bool {
        ptr::eq(self.selector.as_ptr(), selector)
    }

    /// Returns whether the selector may still be chosen.
    ///
    /// # Safety
    ///
    /// The ticket is in a list whose lock the caller holds.
    pub(crate) unsafe fn is_waiting(self) -> bool {
        // SAFETY: the selector is in place (S2).
        unsafe { self.selector.as_ref() }.is_waiting()
    }

    /// Chooses the selector: an event of the case has happened. `None`: it was chosen before, or it
    /// is a task's of another process.
    ///
    /// # Safety
    ///
    /// The ticket is, or was until now, in a list whose lock the caller holds.
    pub(crate) unsafe fn choose(self) -> Option<Wakeup> {
        let selector = self.selector.as_ptr();
        // SAFETY: the selector is in place until the exchange succeeds (S2). Only the address of
        // the word is used after that, so no reference to more of the selector is made.
        let (word, task) = unsafe { (&raw const (*selector).word, &(*selector).task) };
        // SAFETY: the selector is in place until the exchange succeeds (S2).
        let change = |to| change(unsafe { &*word }, to);
        // SAFETY: no thread writes there without the lock (S5).
        let process = task.with(|task| unsafe { (*task).as_ref().map(|task| task.process) });
        let Some(process) = process else {
            return change(CHOSEN + self.case).then_some(Wakeup::Thread(word));
        };
        if !process.is_current() {
            change(ABORTED);
            return None;
        }
        // SAFETY: the selector is a task's, and the lock of its list is held (S5).
        let taken = task.with_mut(|task| unsafe { (*task).take() })?;
        if change(CHOSEN + self.case) {
            return Some(Wakeup::Task(taken.waker));
        }
        // SAFETY: the owner gave up, and needs the lock to leave.
        task.with_mut(|task| unsafe { *task = Some(taken) });
        None
    }

    /// Claims the selector. `None`: it was chosen before.
    ///
    /// # Safety
    ///
    /// As for [`choose`](Self::choose).
    pub(crate) unsafe fn claim(self) -> Option<Claimed> {
        // SAFETY: the selector is in place (S2): its owner needs the lock to leave.
        unsafe { self.selector.as_ref() }.change(CLAIMED).then_some(Claimed(self))
    }
}

/// A selector that this thread has claimed and has to release.
#[must_use = "the owner waits for the end of the claim"]
pub(crate) struct Claimed(Ticket);

impl Claimed {
    /// Hands something over: the case was chosen.
    pub(crate) fn hand(self, stash: Stash) -> Wakeup {
        // SAFETY: the selector is in place while it is claimed (S2).
        let selector = unsafe { self.0.selector.as_ref() };
        // SAFETY: the claim makes `handed` this thread's (S3).
        selector.handed.with_mut(|handed| unsafe { *handed = Some(stash) });
        self.end(CHOSEN + self.0.case)
    }

    /// Leaves without handing anything over: the owner tries all of its cases again.
    pub(crate) fn leave(self) -> Wakeup {
        self.end(ABORTED)
    }

    fn end(&self, word: u32) -> Wakeup {
        // SAFETY: the selector is in place while it is claimed (S2).
        let selector = unsafe { self.0.selector.as_ref() };
        let wakeup = selector.wakeup();
        // Release: pairs with the Acquire of the owner. The selector may be gone afterwards.
        selector.word.store(word, Ordering::Release);
        wakeup
    }
}

/// The selectors that wait for one event.
#[derive(Default)]
pub(crate) struct WatchList {
    /// The number of tickets, for a notifier that holds no lock.
    len: AtomicU32,
    tickets: Mutex<Tickets>,
}

#[derive(Default)]
struct Tickets {
    /// Selectors that use the event up.
    takers: VecDeque<Ticket>,
    /// Selectors that only want to know of it: each event wakes all of them.
    observers: Vec<Ticket>,
    /// Whether the threads that sleep outside the list are next to be chosen.
    sleepers_next: bool,
}

impl Tickets {
    /// Chooses the selector that has waited longest, of the first `left`, and counts those down.
    /// The caller holds the lock of the list.
    fn choose_taker(&mut self, left: &mut usize) -> Option<Wakeup> {
        while *left > 0 {
            *left -= 1;
            let ticket = self.takers.pop_front()?;
            // SAFETY: the ticket was in this list, whose lock is held.
            if let Some(wakeup) = unsafe { ticket.choose() } {
                return Some(wakeup);
            }
        }
        None
    }
}

/// The result of [`WatchList::wake_first`].
pub(crate) struct First {
    /// Whether there were observers.
    pub(crate) observers: bool,
    /// The number of takers that were chosen.
    pub(crate) chosen: usize,
    /// Whether the threads that sleep outside the list are next.
    pub(crate) sleepers_first: bool,
}

impl WatchList {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Changes the list and the number of its tickets.
    fn change<R>(&self, f: impl FnOnce(&mut Tickets) -> R) -> R {
        let mut tickets = self.tickets.lock();
        let result = f(&mut tickets);
        let len = tickets.takers.len() + tickets.observers.len();
        // Relaxed: published by the flag that the owner sets next (W4 in `event_count`), or by the
        // lock.
        self.len.store(u32::try_from(len).unwrap_or(u32::MAX), Ordering::Relaxed);
        result
    }

    /// Returns whether there are no tickets. The caller has observed the flag of every ticket that
    /// it must not miss.
    pub(crate) fn is_empty(&self) -> bool {
        // Relaxed: see `change`.
        self.len.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn add(&self, ticket: Ticket, observe: bool) {
        self.change(|tickets| {
            if observe {
                tickets.observers.push(ticket);
            } else {
                tickets.takers.push_back(ticket);
            }
        });
    }

    /// Makes `waker` the one that is called when the selector of a task is chosen. Returns `false`
    /// if it was chosen already, or if the task is one of another process.
    pub(crate) fn renew(&self, selector: &Selector, waker: &Waker) -> bool {
        let mut fresh: Option<Waker> = None;
        loop {
            let tickets = self.tickets.lock();
            // Under the lock no thread but the owner changes the word.
            let known = selector.is_waiting().then(|| {
                // SAFETY: the lock of the list is held (S5).
                selector.task.with_mut(|task| unsafe { (*task).as_mut() })
            });
            let Some(known) = known.flatten().filter(|task| task.process.is_current()) else {
                drop(tickets);
                user_code::dispose(fresh);
                return false;
            };
            if let Some(fresh) = fresh {
                let old = replace(&mut known.waker, fresh);
                drop(tickets);
                user_code::dispose(old);
                return true;
            }
            // `will_wake` is no user code.
            if known.waker.will_wake(waker) {
                return true;
            }
            // The clone and the drop of a waker are, so no lock is held.
            drop(tickets);
            fresh = Some(waker.clone());
        }
    }

    /// Removes all tickets of the selector.
    pub(crate) fn remove(&self, selector: &Selector) {
        self.change(|tickets| {
            tickets.takers.retain(|ticket| !ticket.is_of(selector));
            tickets.observers.retain(|ticket| !ticket.is_of(selector));
        });
    }

    /// Wakes all observers. Wakes the first taker too, unless sleepers outside the list (`asleep`)
    /// are next.
    pub(crate) fn wake_first(&self, asleep: bool) -> First {
        let (observers, taker, sleepers_first) = self.change(|tickets| {
            let mut observers = Vec::new();
            if !tickets.observers.is_empty() {
                // SAFETY: the tickets were in this list, whose lock is held.
                let choose = |ticket: Ticket| unsafe { ticket.choose() };
                observers.extend(tickets.observers.drain(..).filter_map(choose));
            }
            tickets.sleepers_next = !tickets.sleepers_next;
            let sleepers_first = asleep && tickets.sleepers_next;
            let taker =
                if sleepers_first { None } else { tickets.choose_taker(&mut { usize::MAX }) };
            (observers, taker, sleepers_first)
        });
        let first = First {
            observers: !observers.is_empty(),
            chosen: usize::from(taker.is_some()),
            sleepers_first,
        };
        if first.observers {
            observers.into_iter().for_each(Wakeup::go);
        }
        if let Some(taker) = taker {
            taker.go();
        }
        first
    }

    /// Chooses up to `count` selectors, those that have waited longest first, and returns their
    /// number.
    pub(crate) fn wake(&self, count: usize) -> usize {
        let mut chosen = 0;
        // Tickets that come while this thread wakes others belong to later events.
        let mut left = usize::MAX;
        while chosen < count && left > 0 {
            if self.is_empty() {
                break;
            }
            let wakeup = self.change(|tickets| {
                left = left.min(tickets.takers.len());
                tickets.choose_taker(&mut left)
            });
            match wakeup {
                Some(wakeup) => {
                    chosen += 1;
                    wakeup.go();
                }
                None => break,
            }
        }
        chosen
    }
}

impl core::fmt::Debug for WatchList {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // Relaxed: a snapshot; no data is read because of it.
        f.debug_tuple("WatchList").field(&self.len.load(Ordering::Relaxed)).finish()
    }
}
