//! A moment that a task waits for. Public for the sibling crates, and no promise to other users:
//! many timers belong into `sync-timer`, whose scheduler is made for them.
//!
//! # How it works
//!
//! The alarms of a process are in one ordered map, under one lock, and one thread sleeps until the
//! first of them is due. The thread starts with the first alarm and ends when it has had nothing to
//! do for a while.
//!
//! # Invariants
//!
//! 1. **An entry of the map has a thread**: `running` is set under the lock in which the entry is
//!    inserted, and cleared by the thread itself, under the lock, when the map is empty. Where the
//!    system refuses a thread, the entry is not inserted, and the task polls again at once.
//! 2. **No user code runs under the lock**: neither a waker nor its clone nor its drop.
//! 3. **An alarm that is dropped leaves no entry.**
//!
//! The lock and the condition variable are those of `std`: no model covers a clock. In the child of
//! a fork the map is empty; an alarm that the child inherited registers itself at its next poll.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use crate::fork::{self, PerProcess, ProcessMark};
use crate::user_code;

/// The time for which the thread waits for another alarm before it ends.
const LINGER: Duration = Duration::from_secs(1);

/// The place of an alarm in the map; the number tells alarms of one moment apart.
type Key = (Instant, u64);

/// The alarms of a process.
struct Alarms {
    state: Mutex<State>,
    /// Notified when the first alarm has become an earlier one.
    earlier: Condvar,
}

struct State {
    wakers: BTreeMap<Key, Waker>,
    next_number: u64,
    /// The thread runs (invariant 1).
    running: bool,
}

static ALARMS: PerProcess<Alarms> = PerProcess::new();

impl Alarms {
    fn new() -> Self {
        let state = State { wakers: BTreeMap::new(), next_number: 0, running: false };
        Self { state: Mutex::new(state), earlier: Condvar::new() }
    }

    /// No user code runs under it, so poison means nothing.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body of the thread: wakes the tasks whose alarms are due. A waker may fork: the child's
    /// copy of the thread ends, and with it the child.
    fn serve(&self) {
        let process = ProcessMark::current();
        let mut state = self.lock();
        let mut idle_since = None;
        loop {
            let now = Instant::now();
            let mut due = Vec::new();
            while let Some(first) = state.wakers.first_entry() {
                if first.key().0 > now {
                    break;
                }
                due.push(first.remove());
            }
            if !due.is_empty() {
                drop(state);
                // Invariant 2.
                let mut due = due.into_iter();
                while process.is_current() {
                    let Some(waker) = due.next() else { break };
                    user_code::run_and_forget_panic(|| waker.wake());
                }
                if !process.is_current() {
                    // The wakers that are left, and the lock, are the parent's.
                    core::mem::forget(due);
                    return;
                }
                idle_since = None;
                state = self.lock();
                continue;
            }
            let left = match state.wakers.first_key_value() {
                Some(((deadline, _), _)) => {
                    idle_since = None;
                    deadline.saturating_duration_since(now)
                }
                None => {
                    let idle = now.saturating_duration_since(*idle_since.get_or_insert(now));
                    if idle >= LINGER {
                        state.running = false;
                        return;
                    }
                    LINGER - idle
                }
            };
            state =
                self.earlier.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A future that is ready at a moment. It registers itself when it is polled first.
#[must_use = "a future does nothing until it is polled"]
pub struct Alarm {
    deadline: Instant,
    /// The entry, and the process in whose map it is.
    entry: Option<(Key, ProcessMark)>,
}

impl Alarm {
    /// A future that is ready at `moment`.
    pub fn new(moment: Instant) -> Self {
        Self { deadline: moment, entry: None }
    }

    /// The moment at which it is ready.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Returns the entry, if it is in the map of this process.
    fn key(&self) -> Option<Key> {
        self.entry.and_then(|(key, process)| process.is_current().then_some(key))
    }

    fn unregister(&mut self) {
        let Some(key) = self.key() else { return };
        self.entry = None;
        let waker = ALARMS.existing().and_then(|alarms| alarms.lock().wakers.remove(&key));
        user_code::dispose(waker);
    }
}

impl Future for Alarm {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.deadline <= Instant::now() {
            self.unregister();
            return Poll::Ready(());
        }
        let alarms: &'static Alarms = ALARMS.get(|_| Alarms::new());
        // A waker's clone and drop are user code (invariant 2).
        let waker = context.waker().clone();
        let mut state = alarms.lock();
        if let Some(place) = self.key().and_then(|key| state.wakers.get_mut(&key)) {
            let former = core::mem::replace(place, waker);
            drop(state);
            user_code::dispose(former);
            return Poll::Pending;
        }
        if !state.running {
            // The wakers are user code, which needs a stack of the usual size.
            let thread = thread::Builder::new().name("sync-alarm".into());
            // Under the lock: the thread waits for it, and then finds the entry.
            let body = fork::thread_body(move || alarms.serve());
            if thread.spawn(body).is_err() {
                drop(state);
                // Invariant 1: without a thread the task has to look by itself.
                waker.wake();
                return Poll::Pending;
            }
            state.running = true;
        }
        let key = (self.deadline, state.next_number);
        state.next_number += 1;
        let is_first = state.wakers.first_key_value().is_none_or(|(first, _)| key < *first);
        state.wakers.insert(key, waker);
        drop(state);
        self.entry = Some((key, ProcessMark::current()));
        if is_first {
            alarms.earlier.notify_one();
        }
        Poll::Pending
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // Invariant 3.
        self.unregister();
    }
}

impl fmt::Debug for Alarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alarm").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}
