//! Python's `Timer`: a thread that waits, and then calls one function, unless it is cancelled
//! first.
//!
//! # Source
//!
//! `threading.Timer`. Its race between `cancel` and the deadline ("not after a cancel that came
//! before the check") is decided here under a lock, and `cancel` says how.
//!
//! # States
//!
//! | phase | closure | on to |
//! |---|---|---|
//! | `New` | here | `Waiting` by `start`; `Over(Cancelled)` by `cancel`, which a later `start` finds |
//! | `Waiting` | here | `Running` by the thread at the deadline; `Over(Cancelled)` by `cancel` |
//! | `Running` | with the thread | `Over(Ran)` or `Over(Panicked)` |
//! | `Over` | dropped | |
//!
//! # Invariants
//!
//! 1. Who takes the closure leaves `New` or `Waiting` under the same lock: it is called or dropped,
//!    once, and `cancel` says which.
//! 2. Only the thread goes from `Waiting` to `Running`, after it has read a time that is not before
//!    the deadline: never early.
//! 3. `cancel` rings the bell after it has changed the phase, and the thread takes the bell's key
//!    before it looks at the phase: so a thread that did not see the change does not fall asleep
//!    over it.
//! 4. No lock is held while user code runs: the closure, its drop, the clock.

use core::fmt;
use core::num::NonZeroU64;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::error::Error;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::thread;
use sync_core::{Condvar, Mutex};

use crate::clock::{Bell, Clock, Monotonic};
use crate::slack;

type Callback = Box<dyn FnOnce() + Send>;

/// Calls a function once, after a while, on a thread of its own, unless it is cancelled first.
///
/// The thread is what it costs; for timers by the thousand there is the
/// [`Scheduler`](crate::Scheduler). In return a callback may take its time: it delays nobody.
///
/// A timer is for one use, as Python's is: its function can be called once, so a second
/// [`start`](Self::start) is an error, and there is no restart. What is to be put off again and
/// again is a [`TimerHandle::reschedule`](crate::TimerHandle::reschedule); what is to happen again
/// and again, [`Scheduler::every`](crate::Scheduler::every) or an [`Interval`](crate::Interval).
///
/// Dropping a timer detaches it: it goes off all the same. As with every thread in Rust, the end of
/// `main` ends it; [`join`](Self::join) it where the program should wait, as Python does of itself.
///
/// ```
/// use std::time::Duration;
/// use sync_timer::{Outcome, Timer};
///
/// let hello = Timer::new(Duration::from_millis(5), || println!("hello, world"));
/// let late = Timer::new(Duration::from_secs(60), || println!("too late"));
/// hello.start()?;
/// late.start()?;
/// assert!(late.cancel());
/// assert_eq!(hello.join()?, Outcome::Ran);
/// assert_eq!(late.join()?, Outcome::Cancelled);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// What was done before `start` is visible to the function; what the function did is visible after
/// `join` returned, and to whoever learns from another method that it is over.
///
/// # Source of the algorithm
///
/// Python's `threading.Timer`; the states and invariants stand at the top of `timer.rs`.
#[doc(alias = "threading.Timer")]
pub struct Timer {
    delay: Duration,
    name: String,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Timer>();
};

struct Shared {
    state: Mutex<State>,
    /// Notified when the phase has become `Over`.
    over: Condvar,
    /// Wakes the thread.
    bell: Arc<Bell>,
}

struct State {
    phase: Phase,
    started: bool,
    callback: Option<Callback>,
    /// Who runs the callback.
    thread: Option<NonZeroU64>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    New,
    Waiting,
    Running,
    Over(Outcome),
}

/// How a [`Timer`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The function was called and has returned.
    Ran,
    /// It was called and panicked; the process's panic hook has said so.
    Panicked,
    /// It was not called, and will not be.
    Cancelled,
}

/// Why a [`Timer`] was not started. It is as it was before.
#[derive(Debug)]
pub enum StartError {
    /// It has been started before.
    AlreadyStarted,
    /// The system refused a thread, or the name has a zero byte in it.
    Spawn(io::Error),
}

/// Why a [`Timer`] cannot be joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JoinError {
    /// It has not been started: there is nothing that would come to an end.
    NotStarted,
    /// It is the timer's own function that asks: it would wait for itself.
    Current,
}

impl Timer {
    /// A timer that will call `callback` when `delay` has passed since [`start`](Self::start). Zero
    /// is at once; one that is past the end of the clock, like `Duration::MAX`, is never.
    #[must_use = "it does nothing before it is started"]
    pub fn new<F: FnOnce() + Send + 'static>(delay: Duration, callback: F) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only distinctness is asked for.
        let name = format!("timer-{}", COUNT.fetch_add(1, Relaxed));
        let state = State {
            phase: Phase::New,
            started: false,
            callback: Some(Box::new(callback)),
            thread: None,
        };
        let shared =
            Shared { state: Mutex::new(state), over: Condvar::new(), bell: Arc::new(Bell::new()) };
        Self { delay, name, clock: Arc::new(Monotonic), shared: Arc::new(shared) }
    }

    /// The same with a name for its thread; "timer-N" if nothing is said.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same by another clock. Before it is started.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Its thread's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it waits.
    #[doc(alias = "interval")]
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Starts the wait. If it has been cancelled before, nothing will happen, and that is no error.
    ///
    /// # Errors
    ///
    /// [`StartError`]: it has been started before, or there is no thread to be had; the latter may be tried again.
    pub fn start(&self) -> Result<(), StartError> {
        let deadline = self.clock.now().checked_add(self.delay);
        let mut state = self.shared.state.lock();
        if state.started {
            return Err(StartError::AlreadyStarted);
        }
        if state.phase == Phase::New {
            self.spawn(deadline).map_err(StartError::Spawn)?;
            state.phase = Phase::Waiting;
        }
        state.started = true;
        Ok(())
    }

    /// The new thread finds the lock held until `start` is through.
    fn spawn(&self, deadline: Option<Instant>) -> io::Result<()> {
        if self.name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a thread's name may not contain a zero byte",
            ));
        }
        let (shared, clock) = (Arc::clone(&self.shared), Arc::clone(&self.clock));
        let body = move || {
            slack::wake_on_time();
            clock.subscribe(&shared.bell);
            shared.wait_and_call(&*clock, deadline);
        };
        thread::Builder::new().name(self.name.clone()).spawn(body).map(drop)
    }

    /// Cancels it. `true`: the function was not called and will never be; its closure has been
    /// dropped. `false`: it is running, or has run.
    ///
    /// May be called before `start`, again, and from anywhere. A function that is running goes on;
    /// [`join`](Self::join) waits for it.
    pub fn cancel(&self) -> bool {
        let mut state = self.shared.state.lock();
        match state.phase {
            Phase::New | Phase::Waiting => {}
            phase => return phase == Phase::Over(Outcome::Cancelled),
        }
        state.phase = Phase::Over(Outcome::Cancelled);
        let callback = state.callback.take();
        drop(state);
        self.shared.over.notify_all();
        self.shared.bell.ring();
        // Invariant 4.
        drop(callback);
        true
    }

    /// Waits until it is over, and says how it ended. Any number of threads may, any number of
    /// times.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: it was not started, or it is its own function that asks.
    pub fn join(&self) -> Result<Outcome, JoinError> {
        let mut state = self.shared.state.lock();
        loop {
            match state.joined()? {
                Some(outcome) => return Ok(outcome),
                None => self.shared.over.wait(&mut state),
            }
        }
    }

    /// As [`join`](Self::join), for at most `timeout`. `None`: it was not over by then.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<Option<Outcome>, JoinError> {
        match Instant::now().checked_add(timeout) {
            Some(deadline) => self.join_deadline(deadline),
            None => self.join().map(Some),
        }
    }

    /// As [`join`](Self::join), until `deadline` at most, by the system's monotonic clock.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_deadline(&self, deadline: Instant) -> Result<Option<Outcome>, JoinError> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(outcome) = state.joined()? {
                return Ok(Some(outcome));
            }
            if self.shared.over.wait_until(&mut state, deadline).timed_out() {
                return state.joined();
            }
        }
    }

    /// Whether it has been started and is not over: it waits, or its function is running.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        matches!(self.shared.state.lock().phase, Phase::Waiting | Phase::Running)
    }

    /// How it ended, if it is over.
    #[doc(alias = "finished")]
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.shared.state.lock().phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }
}

impl Shared {
    /// The thread's life.
    fn wait_and_call(&self, clock: &dyn Clock, deadline: Option<Instant>) {
        loop {
            // Invariant 3: the key first, then the phase and the time.
            let key = self.bell.key();
            if self.state.lock().phase != Phase::Waiting {
                return;
            }
            if deadline.is_some_and(|deadline| clock.now() >= deadline) {
                break;
            }
            self.bell.wait_by(clock, key, deadline);
        }
        let mut state = self.state.lock();
        if state.phase != Phase::Waiting {
            return;
        }
        state.phase = Phase::Running;
        state.thread = Some(thread::id());
        let callback = state.callback.take();
        drop(state);

        let outcome = match catch_unwind(AssertUnwindSafe(|| callback.map(|callback| callback()))) {
            Ok(_) => Outcome::Ran,
            Err(payload) => {
                // A payload may panic while it is dropped; with what that panics is not dropped any
                // more.
                if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
                    core::mem::forget(again);
                }
                Outcome::Panicked
            }
        };
        self.state.lock().phase = Phase::Over(outcome);
        self.over.notify_all();
    }
}

impl State {
    fn joined(&self) -> Result<Option<Outcome>, JoinError> {
        match self.phase {
            _ if !self.started => Err(JoinError::NotStarted),
            Phase::Over(outcome) => Ok(Some(outcome)),
            _ if self.thread == Some(thread::id()) => Err(JoinError::Current),
            _ => Ok(None),
        }
    }
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = match self.shared.state.try_lock().map(|state| state.phase) {
            None => "<locked>",
            Some(Phase::New) => "new",
            Some(Phase::Waiting) => "waiting",
            Some(Phase::Running) => "running",
            Some(Phase::Over(_)) => "over",
        };
        f.debug_struct("Timer")
            .field("name", &self.name)
            .field("delay", &self.delay)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyStarted => f.write_str("the timer has been started before"),
            Self::Spawn(error) => write!(f, "the timer's thread could not be started: {error}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::AlreadyStarted => None,
            Self::Spawn(error) => Some(error),
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotStarted => "a timer that was not started cannot be joined",
            Self::Current => "a timer's function cannot join its own timer",
        })
    }
}

impl Error for JoinError {}
