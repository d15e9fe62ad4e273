//! Python's `Timer`: a thread that waits, and then calls one function, unless it is cancelled
//! first.
//!
//! # Source
//!
//! `threading.Timer`. Its race between `cancel` and the deadline ("not after a cancel that came
//! before the check") is decided here under a lock, and `cancel` returns how.
//!
//! # States
//!
//! | phase | closure | on to |
//! |---|---|---|
//! | `New` | here | `Waiting` by `start`; `Over(Cancelled)` by `cancel`, after which `start` does nothing |
//! | `Waiting` | here | `Running` by the thread at the deadline; `Over(Cancelled)` by `cancel`; `Over(Panicked)` if the clock panics |
//! | `Running` | with the thread | `Over(Ran)` or `Over(Panicked)` |
//! | `Over` | dropped | |
//!
//! # Invariants
//!
//! 1. A thread that takes the closure leaves `New` or `Waiting` under the same lock: the closure is
//!    called or dropped, once, and `cancel` returns which.
//! 2. Only the timer's thread goes from `Waiting` to `Running`, after it has read a time that is
//!    not before the deadline: never early.
//! 3. `cancel` notifies after it has changed the phase, and the thread takes the notifier's key
//!    before it looks at the phase: so a thread that did not see the change does not fall asleep
//!    over it.
//! 4. No lock is held while user code runs: the closure, its drop, the clock.
//! 5. The thread does not end before the phase is `Over`, whatever panics.
//! 6. In the child of a fork the thread is not there. Its locks may have been held at the moment of
//!    the fork, by it or by a thread that was in a call: the child tries them, for a moment where
//!    the timer may still be started, and never waits for a thread of the parent. If the function
//!    or the clock forks, the copy of the thread ends, and touches no lock any more.

use core::fmt;
use core::num::NonZeroU64;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use core::time::Duration;
use std::error::Error;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use sync_core::fork::{self, ProcessMark};
use sync_core::primitive::thread;
use sync_core::user_code::{self, Payload};
use sync_core::{CancelToken, Cancelled, Condvar, Mutex, MutexGuard};

use crate::clock::{Clock, Monotonic, Notifier};
use crate::disposed::Disposed;
use crate::slack::Slack;

type Callback = Box<dyn FnOnce() + Send>;

/// Calls a function once, after a while, on a thread of its own, unless it is cancelled first.
///
/// A timer costs a thread; for timers by the thousand there is the
/// [`Scheduler`](crate::Scheduler). In return a callback may take its time: it delays no other
/// timer.
///
/// A timer is for one use, as Python's is: its function can be called once, so a second
/// [`start`](Self::start) is an error, and there is no restart. To put a call off again and again,
/// use [`TimerHandle::reschedule`](crate::TimerHandle::reschedule); to make it again and again,
/// [`Scheduler::every`](crate::Scheduler::every) or an [`Interval`](crate::Interval).
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
/// Everything before `start` is visible to the function. Everything that the function did is
/// visible after `join` returned, and to a thread that learns from another method that the timer is
/// over.
///
/// # Fork
///
/// In the child of a `fork`, the thread of a timer that was started before is not there: the timer
/// is not alive, does not go off, and [`join`](Self::join) is an error at once, unless it was over
/// at the fork. [`cancel`](Self::cancel) cancels the copy. A timer that was not started can be
/// started in the child. If a thread of the parent was in the middle of a call of it at the moment
/// of the fork, the copy is unusable, and the first call in the child finds that out after a
/// tenth of a second: it cannot be started ([`StartError::AlreadyStarted`]), cancelled or joined.
/// The function may fork, and so may the clock: a child that returns from it ends, with the code 0,
/// as the copy of the timer's thread does, and does not call the function.
///
/// # Source of the algorithm
///
/// Python's `threading.Timer`; the states and invariants stand at the top of `timer.rs`.
#[doc(alias = "threading.Timer")]
pub struct Timer {
    delay: Duration,
    name: String,
    clock: Arc<Disposed<Box<dyn Clock>>>,
    shared: Arc<TimerShared>,
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Timer>();
};

// No user code runs under the lock, so a panic leaves the state whole.
impl UnwindSafe for Timer {}
impl RefUnwindSafe for Timer {}

struct TimerShared {
    state: Mutex<TimerState>,
    /// Notified when the phase has become `Over`.
    over: Condvar,
    /// Wakes the thread.
    notifier: Arc<Notifier>,
    /// The process that has the thread; set under the lock once the thread has been started. Not in
    /// the state, because a child of a fork looks at it before it touches the lock (invariant 6).
    /// Not a modelled cell: no model forks.
    process: OnceLock<ProcessMark>,
    /// The process that made the timer. In a child of it the lock may be held by a thread that is
    /// not there, also if the timer was not started.
    made: ProcessMark,
}

/// The time after which a child that waits for the lock of a copy takes it for held by a thread of
/// the parent. A thread of the child holds it for microseconds, or while a thread is started.
pub(crate) const COPY_PATIENCE: Duration = Duration::from_millis(100);

struct TimerState {
    phase: Phase,
    started: bool,
    callback: Option<Callback>,
    /// The thread that runs the callback.
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
    /// The function was called and panicked, or the timer's clock panicked before that; the panic
    /// hook of the process has reported it.
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
    /// The caller is the timer's own function: it would wait for itself.
    Current,
    /// The timer was started in the parent of this process: its thread is not here.
    Forked,
}

impl Timer {
    /// A timer that will call `callback` when `delay` has passed since [`start`](Self::start). Zero
    /// is at once; one that is past the end of the clock, like `Duration::MAX`, is never.
    #[must_use = "it does nothing before it is started"]
    pub fn new<F: FnOnce() + Send + 'static>(delay: Duration, callback: F) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Relaxed: only distinctness is asked for.
        let name = format!("timer-{}", COUNT.fetch_add(1, Relaxed));
        let state = TimerState {
            phase: Phase::New,
            started: false,
            callback: Some(Box::new(callback)),
            thread: None,
        };
        let shared = TimerShared {
            state: Mutex::new(state),
            over: Condvar::new(),
            notifier: Arc::new(Notifier::new()),
            process: OnceLock::new(),
            made: ProcessMark::current(),
        };
        Self { delay, name, clock: owned(Monotonic), shared: Arc::new(shared) }
    }

    /// Sets the name of its thread; "timer-N" by default.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the clock that it goes by. Call it before `start`.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = owned(clock);
        self
    }

    /// Returns its thread's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how long it waits.
    #[doc(alias = "interval")]
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Starts the wait. If it has been cancelled before, nothing will happen, and that is no error.
    ///
    /// # Errors
    ///
    /// [`StartError`]: it has been started before, or the system refused a thread; after a refusal
    /// it may be tried again.
    pub fn start(&self) -> Result<(), StartError> {
        let deadline = self.clock.now().checked_add(self.delay);
        let Some(mut state) = self.shared.lock() else { return Err(StartError::AlreadyStarted) };
        if state.started {
            return Err(StartError::AlreadyStarted);
        }
        if state.phase == Phase::New {
            self.spawn(deadline).map_err(StartError::Spawn)?;
            // No thread but this one sets it: a timer is started once.
            let _ = self.shared.process.set(ProcessMark::current());
            state.phase = Phase::Waiting;
        }
        state.started = true;
        Ok(())
    }

    /// Spawns the thread. The new thread finds the lock held until `start` is through.
    fn spawn(&self, deadline: Option<Instant>) -> io::Result<()> {
        if self.name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a thread's name may not contain a zero byte",
            ));
        }
        let (shared, clock) = (Arc::clone(&self.shared), Arc::clone(&self.clock));
        let body = fork::thread_body(move || {
            let process = ProcessMark::current();
            shared.live(&***clock, deadline, process);
            if !process.is_current() {
                // They are the parent's, and are not dropped here.
                core::mem::forget((shared, clock));
            }
        });
        thread::Builder::new().name(self.name.clone()).spawn(body).map(drop)
    }

    /// Cancels the timer. Returns `true` if the function was not called and will never be: its
    /// closure has been dropped. Returns `false` if it is running, or has run.
    ///
    /// May be called before `start`, again, and from anywhere. A function that is running goes on;
    /// [`join`](Self::join) waits for it.
    ///
    /// # Panics
    ///
    /// If the drop of the closure does. The timer is cancelled all the same.
    pub fn cancel(&self) -> bool {
        // In the child of a fork, a state that a thread of the parent holds stays as it is.
        let Some(mut state) = self.shared.lock() else { return false };
        match state.phase {
            Phase::New | Phase::Waiting => {}
            phase => return phase == Phase::Over(Outcome::Cancelled),
        }
        state.phase = Phase::Over(Outcome::Cancelled);
        let callback = state.callback.take();
        drop(state);
        self.shared.over.notify_all();
        self.shared.notifier.notify();
        // Invariant 4.
        drop(callback);
        true
    }

    /// Waits until it is over, and returns how it ended. Any number of threads may, any number of
    /// times.
    ///
    /// # Errors
    ///
    /// [`JoinError`]: it was not started, the caller is its own function, or its thread stayed
    /// behind in the parent of a fork.
    pub fn join(&self) -> Result<Outcome, JoinError> {
        let Some(mut state) = self.shared.lock() else { return Err(JoinError::Forked) };
        loop {
            match self.shared.joined(&state)? {
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
        let Some(mut state) = self.shared.lock() else { return Err(JoinError::Forked) };
        loop {
            if let Some(outcome) = self.shared.joined(&state)? {
                return Ok(Some(outcome));
            }
            if self.shared.over.wait_until(&mut state, deadline).timed_out() {
                return self.shared.joined(&state);
            }
        }
    }

    /// As [`join`](Self::join), until the token is cancelled at most.
    ///
    /// # Errors
    ///
    /// The outer error is [`Cancelled`], if the token was cancelled before it was over; the inner
    /// one is that of [`join`](Self::join).
    pub fn join_or_cancelled(
        &self,
        token: &CancelToken,
    ) -> Result<Result<Outcome, JoinError>, Cancelled> {
        let Some(mut state) = self.shared.lock() else { return Ok(Err(JoinError::Forked)) };
        let mut in_time = Ok(());
        loop {
            match self.shared.joined(&state) {
                Err(error) => return Ok(Err(error)),
                Ok(Some(outcome)) => return Ok(Ok(outcome)),
                Ok(None) => in_time?,
            }
            in_time = self.shared.over.wait_or_cancelled(&mut state, token);
        }
    }

    /// Returns whether it has been started and is not over: it waits, or its function is running.
    /// In the child of a fork: `false`, for a timer that was started in the parent.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.shared.is_copy()
            && self
                .shared
                .lock()
                .is_some_and(|state| matches!(state.phase, Phase::Waiting | Phase::Running))
    }

    /// Returns how it ended, if it is over.
    #[doc(alias = "finished")]
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.shared.lock()?.phase {
            Phase::Over(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// A clock that the timer and its thread own.
fn owned(clock: impl Clock) -> Arc<Disposed<Box<dyn Clock>>> {
    Arc::new(Disposed::new(Box::new(clock)))
}

impl TimerShared {
    /// Returns whether the thread stayed behind in the parent of a fork.
    fn is_copy(&self) -> bool {
        self.process.get().is_some_and(|process| !process.is_current())
    }

    /// Locks the state. `None`: this is the copy of a child, and a thread of the parent holds the
    /// lock (invariant 6).
    fn lock(&self) -> Option<MutexGuard<'_, TimerState>> {
        if self.is_copy() {
            self.state.try_lock()
        } else if self.made.is_current() {
            Some(self.state.lock())
        } else {
            let state = self.state.try_lock_for(COPY_PATIENCE);
            if state.is_none() {
                // From now on the timer counts as started in the parent, and no call waits again.
                let _ = self.process.set(self.made);
            }
            state
        }
    }

    fn joined(&self, state: &TimerState) -> Result<Option<Outcome>, JoinError> {
        match state.phase {
            _ if !state.started => Err(JoinError::NotStarted),
            Phase::Over(outcome) => Ok(Some(outcome)),
            _ if self.is_copy() => Err(JoinError::Forked),
            _ if state.thread == Some(thread::id()) => Err(JoinError::Current),
            _ => Ok(None),
        }
    }

    /// The thread's life, in the process that it was started in.
    fn live(&self, clock: &dyn Clock, deadline: Option<Instant>, process: ProcessMark) {
        let outcome = match self.wait(clock, deadline, process) {
            // Cancelled, or the clock has forked, and this is the child.
            Ok(None) => return,
            Ok(Some(callback)) => match user_code::run(callback) {
                Ok(()) => Outcome::Ran,
                Err(payload) => {
                    user_code::dispose_payload(payload);
                    Outcome::Panicked
                }
            },
            // The clock panicked. Without it there is no deadline.
            Err(payload) => {
                user_code::dispose_payload(payload);
                Outcome::Panicked
            }
        };
        // User code has forked, and this is the child (invariant 6).
        if !process.is_current() {
            return;
        }
        let mut state = self.state.lock();
        if let Phase::Over(_) = state.phase {
            // The clock panicked, and the timer was cancelled before.
            return;
        }
        state.phase = Phase::Over(outcome);
        // Still here if the clock panicked.
        let callback = state.callback.take();
        drop(state);
        self.over.notify_all();
        user_code::dispose(callback);
    }

    /// Waits for the deadline, and takes the closure. `None`: the timer was cancelled, or a call of
    /// the clock has forked, and this is the child. An error is the panic of the clock.
    fn wait(
        &self,
        clock: &dyn Clock,
        deadline: Option<Instant>,
        process: ProcessMark,
    ) -> Result<Option<Callback>, Payload> {
        user_code::run(|| clock.subscribe(&self.notifier))?;
        let slack = Slack::of_this_thread();
        loop {
            // Invariant 3: the key first, then the phase and the time.
            let key = self.notifier.key();
            // Invariant 6: after each call of the clock, before the lock and before the sleep.
            if !process.is_current() {
                return Ok(None);
            }
            if self.state.lock().phase != Phase::Waiting {
                return Ok(None);
            }
            let mut until = None;
            if let Some(deadline) = deadline {
                if user_code::run(|| clock.now())? >= deadline {
                    break;
                }
                until = user_code::run(|| clock.look_again(deadline))?;
            }
            if !process.is_current() {
                return Ok(None);
            }
            let _on_time = until.map(|_| slack.wake_on_time());
            self.notifier.wait(key, until);
        }
        if !process.is_current() {
            return Ok(None);
        }
        let mut state = self.state.lock();
        if state.phase != Phase::Waiting {
            return Ok(None);
        }
        state.phase = Phase::Running;
        state.thread = Some(thread::id());
        Ok(state.callback.take())
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
            Self::Forked => "the timer's thread is in the parent of this process",
        })
    }
}

impl Error for JoinError {}
