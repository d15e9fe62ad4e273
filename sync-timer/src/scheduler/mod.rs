//! Millions of timers, one thread.
//!
//! # Source
//!
//! The timers lie in [wheels](crate::wheel), one for each shard. A shard is one lock, and a thread
//! keeps to its own shard, so that threads that schedule at the same time do not contend.
//! `shard.rs` has the states of a timer and the invariants, `dispatcher.rs` the thread that fires
//! the timers and the reason why it does not oversleep.
//!
//! # Fork
//!
//! In the child of a `fork` the dispatcher is not there. A scheduler that was copied into the child
//! counts as one without a thread; what may be done with it is documented at [`Scheduler`].

mod calendar;
mod core;
#[cfg(feature = "cron")]
mod cron;
mod dispatcher;
mod error;
mod executor;
mod handle;
mod job;
mod paced;
mod shard;
mod task;

use ::core::fmt;
use ::core::panic::{RefUnwindSafe, UnwindSafe};
use ::core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use sync_core::fork::{self, ProcessMark};
use sync_core::primitive::thread;
use sync_core::{CancelToken, Cancelled};

pub use self::calendar::Calendar;
pub use self::core::Failure;
#[cfg(feature = "cron")]
pub use self::cron::CronError;
pub use self::error::{EveryError, ShutDown};
pub use self::executor::Executor;
pub use self::handle::{CancelOnDrop, TimerHandle};
pub use self::job::{Periodic, Tick};
pub use self::paced::{Debounced, Throttled};
pub use self::shard::Cancel;
pub use self::task::{Sleep, Ticks, TimeoutError};

use self::core::{Core, Hook};
use self::dispatcher::Inner;
use self::job::{Job, Once};
use self::shard::Shard;
use crate::clock::{Clock, Monotonic, nanoseconds};
use crate::missed::Missed;

/// The choice of a shutdown for the timers that are still waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// One-shot timers still go off, each at its time, and the shutdown waits for the last one.
    /// Periodic ones end, and so do those whose time never comes.
    Fire,
    /// No timer goes off any more.
    Discard,
}

/// Holds timers, millions if need be, and calls them when their time has come.
///
/// Scheduling and cancelling take time that does not depend on the number of timers. A timer is 44
/// to 48 bytes and its closure. It never goes off early, never twice, and never after a
/// [`cancel`](TimerHandle::cancel) that returned [`Prevented`](Cancel::Prevented). Of timers that
/// are due together, the timer with the earlier deadline goes first; of timers with equal deadlines
/// that one thread scheduled, the timer scheduled first.
///
/// One thread, the dispatcher, sleeps until the earliest deadline and calls the callbacks that are
/// due. Callbacks should be short, or be run by an [`Executor`], for example a thread pool: a long
/// callback makes later callbacks late. A callback that panics is reported to the
/// [hook](SchedulerBuilder::on_failure) and harms nothing else.
///
/// Dropping the scheduler is [`shutdown(Pending::Discard)`](Self::shutdown). Callbacks may
/// schedule, cancel, and shut down.
///
/// # Fork
///
/// The child of a `fork` has a copy of the scheduler without the dispatcher. No timer goes off in
/// the child, unless the child calls [`run_due`](Self::run_due). [`shutdown`](Self::shutdown) and
/// drop return at once there and leave the parent's timers alone, and no call waits for a callback
/// that runs in the parent. Other calls work, if no thread of the parent was in the middle of one
/// at the moment of the fork: such a call may have left a lock behind. Destructors of what the
/// scheduler gave out, such as [`CancelOnDrop`], and a shutdown find that out after a tenth of a
/// second and leave the timers to the parent. A child that goes on for longer makes a scheduler of
/// its own.
///
/// A callback may fork, and so may the clock, the executor, the hook, a waker and the drop of a
/// closure. A child that returns from it calls no callback: the copy of the dispatcher's thread
/// ends, and with it the child, with the code 0; on an executor the call ends, and
/// [`run_due`](Self::run_due) and [`shutdown`](Self::shutdown) return. In the child's copy the
/// timer of that callback stays as one that runs in the parent. Jobs that the executor has at the
/// fork are the parent's: the copies in the child do nothing.
///
/// ```
/// use std::sync::mpsc::channel;
/// use std::time::Duration;
/// use sync_timer::{Cancel, Scheduler};
///
/// let scheduler = Scheduler::new();
/// let (sender, receiver) = channel();
/// let late = scheduler.once(Duration::from_secs(60), || println!("too late"))?;
/// scheduler.once(Duration::from_millis(5), move || sender.send("hello").unwrap())?;
///
/// assert_eq!(receiver.recv(), Ok("hello"));
/// assert_eq!(late.cancel(), Cancel::Prevented);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// Everything that a thread did before it scheduled a timer is visible to the callback. See also
/// [`TimerHandle`].
///
/// # Source of the algorithm
///
/// Varghese and Lauck's hierarchical timing wheels with bitmaps and a heap:
/// [`wheel`](crate::wheel).
#[doc(alias = "sched")]
#[doc(alias = "ScheduledThreadPool")]
pub struct Scheduler {
    inner: Arc<Inner>,
    /// Whether it was built with a thread.
    has_dispatcher: bool,
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Scheduler>();
    shared::<TimerHandle>();
    shared::<CancelOnDrop>();
};

// No user code runs under a lock of the scheduler's, so a panic leaves it whole.
impl UnwindSafe for Scheduler {}
impl RefUnwindSafe for Scheduler {}

impl Scheduler {
    /// A scheduler by the monotonic clock that calls on its dispatcher.
    ///
    /// # Panics
    ///
    /// If the system refuses a thread; [`SchedulerBuilder::build`] returns that as an error.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        match Self::builder().build() {
            Ok(scheduler) => scheduler,
            Err(error) => panic!("the scheduler's thread could not be started: {error}"),
        }
    }

    /// A scheduler with a clock, an executor, a hook or a name of its own.
    pub fn builder() -> SchedulerBuilder {
        SchedulerBuilder {
            name: "sync-timer".to_owned(),
            clock: Box::new(Monotonic),
            executor: None,
            on_failure: None,
            shards: None,
        }
    }

    /// Calls `callback` after `delay`: zero is at once (on the dispatcher, not here),
    /// `Duration::MAX` is never.
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    #[doc(alias = "enter")]
    pub fn once<F: FnOnce() + Send + 'static>(
        &self,
        delay: Duration,
        callback: F,
    ) -> Result<TimerHandle, ShutDown<F>> {
        let now = self.inner.core.now();
        self.schedule_once(now, now.saturating_add(nanoseconds(delay)), callback)
    }

    /// Calls `callback` at `at`, or at once if that is past: the past counts as the moment of this
    /// call.
    ///
    /// # Errors
    ///
    /// [`ShutDown`], which gives `callback` back.
    #[doc(alias = "enterabs")]
    pub fn at<F: FnOnce() + Send + 'static>(
        &self,
        at: Instant,
        callback: F,
    ) -> Result<TimerHandle, ShutDown<F>> {
        let core = &self.inner.core;
        let now = core.now();
        self.schedule_once(now, core.nanoseconds_at(at).max(now), callback)
    }

    /// Calls `callback` every `period`, for the first time one period from now, until it is
    /// cancelled. The same timer's callback never overlaps with itself, not even on a pool;
    /// `missed` decides what happens to ticks whose time passes meanwhile, and to ticks that the
    /// [`Executor`] refuses. For another first tick, or a jitter, see
    /// [`periodic`](Self::periodic).
    ///
    /// A callback that panics is called again at the next tick; let it stop its timer, by
    /// [`Tick::stop`], where that is not right.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{ManualClock, Missed, Scheduler};
    ///
    /// let clock = ManualClock::new();
    /// let scheduler = Scheduler::builder().clock(clock.clone()).build_without_thread();
    /// let mut beats = 0;
    /// scheduler.every(Duration::from_secs(1), Missed::Skip, move |tick| {
    ///     beats += 1;
    ///     if beats == 3 {
    ///         tick.stop();
    ///     }
    /// })?;
    /// for _ in 0..5 {
    ///     clock.advance(Duration::from_secs(1));
    ///     scheduler.run_due();
    /// }
    /// assert!(scheduler.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`EveryError::ShutDown`], and [`EveryError::ZeroPeriod`], for a period of zero would never
    /// let anything else happen. Both give `callback` back.
    pub fn every<F>(
        &self,
        period: Duration,
        missed: Missed,
        callback: F,
    ) -> Result<TimerHandle, EveryError<F>>
    where
        F: FnMut(&Tick) + Send + 'static,
    {
        self.periodic(Periodic::new(period).missed(missed), callback)
    }

    /// As [`every`](Self::every), in a rhythm that can begin now, after a delay or at a time, and
    /// can have a jitter.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{Periodic, Scheduler};
    ///
    /// let scheduler = Scheduler::new();
    /// let (sender, receiver) = std::sync::mpsc::channel();
    /// let rhythm = Periodic::new(Duration::from_secs(60)).first_now();
    /// let refresh = scheduler.periodic(rhythm, move |_| sender.send("refresh").unwrap())?;
    /// assert_eq!(receiver.recv(), Ok("refresh")); // and not a minute later
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`every`](Self::every).
    pub fn periodic<F>(&self, rhythm: Periodic, callback: F) -> Result<TimerHandle, EveryError<F>>
    where
        F: FnMut(&Tick) + Send + 'static,
    {
        if rhythm.is_zero() {
            return Err(EveryError::ZeroPeriod(callback));
        }
        let now = self.inner.core.now();
        let (job, deadline) = rhythm.job(&self.inner.core, now, callback);
        self.schedule(now, deadline, job).map_err(|job| EveryError::ShutDown(job.callback))
    }

    fn schedule_once<F: FnOnce() + Send + 'static>(
        &self,
        now: u64,
        deadline: u64,
        callback: F,
    ) -> Result<TimerHandle, ShutDown<F>> {
        self.schedule(now, deadline, Box::new(Once(Some(callback))))
            .map_err(|job| ShutDown(job.0.expect("a job that was not scheduled was not called")))
    }

    fn schedule<J: Job + 'static>(
        &self,
        now: u64,
        deadline: u64,
        job: Box<J>,
    ) -> Result<TimerHandle, Box<J>> {
        let shard = self.shard();
        let key = shard.insert(now, deadline, job)?;
        Ok(TimerHandle { shard: Arc::clone(shard), key })
    }

    /// Returns the shard of the calling thread.
    fn shard(&self) -> &Arc<Shard> {
        let shards = &self.inner.shards;
        // A power of two of them; a thread keeps to its own.
        &shards[thread::id().get() as usize & (shards.len() - 1)]
    }

    /// Returns how many timers there are: waiting, queued at the executor, or running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.len()).sum()
    }

    /// Returns whether there is no timer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes that the scheduler holds for its timers, without what their closures take.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.allocated_bytes()).sum()
    }

    /// Calls everything that is due, on this thread or the executor, in the order of the deadlines;
    /// returns how many timers that were.
    ///
    /// Due is what was due when the call began. What a callback schedules is left to the next call,
    /// even if it is due at once; [`next_wake`](Self::next_wake) then returns a time that is past.
    /// A timer that a callback moves to the present moment may still be called by this call, unless
    /// this call has called it at that moment already. So this returns, whatever callbacks do.
    ///
    /// This is how a scheduler [without a thread](SchedulerBuilder::build_without_thread) is
    /// driven. Next to a dispatcher, or from several threads at once, it helps: each timer is still
    /// called once.
    pub fn run_due(&self) -> usize {
        self.inner.run_due()
    }

    /// Returns when [`run_due`](Self::run_due) should be called next: not after the earliest
    /// deadline, and usually exactly then. `None`: there is nothing to wait for.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let wakes = self.inner.shards.iter().map(|shard| shard.next_wake());
        wakes.min().filter(|&wake| wake != u64::MAX).map(|wake| self.inner.core.instant(wake))
    }

    /// Lets nothing new in, fires or discards what is waiting, waits for callbacks that are
    /// running, and ends the dispatcher. Returns how many timers were discarded.
    ///
    /// May be called again, and by several threads: a call with [`Discard`](Pending::Discard)
    /// releases one that waits with [`Fire`](Pending::Fire). From within a callback, and anywhere
    /// on the dispatcher's thread (in the executor, the clock or the hook), it does not wait for
    /// anything, and what is waiting is discarded even with [`Fire`](Pending::Fire) if no
    /// dispatcher is there to fire it. A scheduler without a thread fires what is due, and discards
    /// the rest. In the child of a fork it does not wait for the parent's threads; see
    /// [Fork](Self#fork).
    pub fn shutdown(&self, pending: Pending) -> usize {
        match self.shutdown_by(pending, None) {
            Ok(discarded) => discarded,
            Err(Cancelled) => unreachable!("there is no token"),
        }
    }

    /// As [`shutdown`](Self::shutdown), waiting until the token is cancelled at most: for timers
    /// that are to fire, and for callbacks that are running.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] if the token was cancelled while the call waited. Nothing new gets in all the
    /// same, and what is waiting fires in its time. Another call waits again, or discards it.
    pub fn shutdown_or_cancelled(
        &self,
        pending: Pending,
        token: &CancelToken,
    ) -> Result<usize, Cancelled> {
        self.shutdown_by(pending, Some(token))
    }

    fn shutdown_by(
        &self,
        pending: Pending,
        token: Option<&CancelToken>,
    ) -> Result<usize, Cancelled> {
        let inner = &*self.inner;
        if self.is_copy_without_dispatcher()
            || !inner.shards.iter().all(|shard| shard.is_within_reach())
        {
            inner.stop();
            inner.shards.iter().for_each(|shard| shard.close_copy());
            return Ok(0);
        }
        let process = ProcessMark::current();
        // A destructor or a callback may fork: the child closes no other shard.
        let close = |keep: fn(&dyn Job, u64) -> bool| -> usize {
            let shards = inner.shards.iter().take_while(|_| process.is_current());
            shards.map(|shard| shard.close(keep)).sum()
        };
        let wait_empty = || inner.shards.iter().try_for_each(|shard| shard.wait_empty(token));
        let inside = inner.runs_here();
        // The clock may panic: before anything is changed.
        let fires_here = pending == Pending::Fire && !inner.is_dispatching();
        let now = if fires_here { Some(inner.core.now()) } else { None };
        let mut discarded = match pending {
            Pending::Discard => 0,
            Pending::Fire => {
                let discarded = close(|job, deadline| !job.repeats() && deadline != u64::MAX);
                if !process.is_current() {
                    inner.stop();
                    return Ok(discarded);
                }
                match (now, inside) {
                    (None, false) => wait_empty()?,
                    (None, true) => return Ok(discarded),
                    (Some(now), _) => inner.run_due_at(now),
                }
                discarded
            }
        };
        discarded += close(|_, _| false);
        inner.stop();
        if !inside && process.is_current() {
            wait_empty()?;
            inner.wait_ended(token)?;
        }
        Ok(discarded)
    }

    /// Returns whether this is the copy that a fork made of a scheduler with a dispatcher.
    fn is_copy_without_dispatcher(&self) -> bool {
        self.has_dispatcher && !self.inner.core.process.is_current()
    }

    /// Returns whether it has been shut down.
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.inner.is_stopped() || self.inner.shards.iter().any(|shard| shard.is_closed())
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // A copy in the child of a fork has nothing to give back: the timers are the parent's.
        if !self.is_copy_without_dispatcher() {
            self.shutdown(Pending::Discard);
        }
    }
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing that would need a lock.
        f.debug_struct("Scheduler")
            .field("shards", &self.inner.shards.len())
            .field("stopped", &self.inner.is_stopped())
            .finish_non_exhaustive()
    }
}

/// Enough shards that two threads seldom contend; few enough that looking at each costs nothing.
fn default_shards() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (2 * processors).next_power_of_two().min(16)
}

/// Configures and builds a [`Scheduler`].
#[must_use = "nothing is built yet"]
pub struct SchedulerBuilder {
    name: String,
    clock: Box<dyn Clock>,
    executor: Option<Box<dyn Executor>>,
    on_failure: Option<Hook>,
    shards: Option<usize>,
}

impl SchedulerBuilder {
    /// Sets the name of the dispatcher's thread; "sync-timer" by default.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the clock that it goes by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Sets what runs the callbacks, instead of the dispatcher.
    pub fn executor(mut self, executor: impl Executor + 'static) -> Self {
        self.executor = Some(Box::new(executor));
        self
    }

    /// Sets a hook that is called, on the thread where it happened, when a callback panicked or was
    /// refused. Without one there is only what the process's own panic hook prints. A panic of this
    /// hook is ignored.
    pub fn on_failure(mut self, hook: impl Fn(Failure<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Box::new(hook));
        self
    }

    /// Sets how many locks the timers are spread over, rounded up to a power of two; twice the
    /// processors, at most 16, by default.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards.clamp(1, 1024).next_power_of_two());
        self
    }

    fn inner(self) -> (Arc<Inner>, String) {
        let core = Arc::new(Core::new(self.clock, self.executor, self.on_failure));
        // Here and not earlier: the system takes a while to return the number of processors.
        let shards = self.shards.unwrap_or_else(default_shards);
        (Arc::new(Inner::new(core, shards)), self.name)
    }

    /// Starts its thread.
    ///
    /// # Errors
    ///
    /// The system's, if it refuses the thread, or the name has a zero byte in it.
    pub fn build(self) -> io::Result<Scheduler> {
        let (inner, name) = self.inner();
        if name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a thread's name may not contain a zero byte",
            ));
        }
        inner.begin_dispatching();
        let dispatcher = Arc::clone(&inner);
        let body = fork::thread_body(move || dispatcher.dispatch());
        let handle = thread::Builder::new().name(name).spawn(body)?;
        *inner.dispatcher.lock() = Some(handle);
        Ok(Scheduler { inner, has_dispatcher: true })
    }

    /// Builds a scheduler without a thread: callbacks run when [`Scheduler::run_due`] is called,
    /// and only then. For tests, and for an event loop of one's own, which learns from
    /// [`Scheduler::next_wake`] how long it may sleep.
    #[must_use]
    pub fn build_without_thread(self) -> Scheduler {
        Scheduler { inner: self.inner().0, has_dispatcher: false }
    }
}

impl fmt::Debug for SchedulerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchedulerBuilder")
            .field("name", &self.name)
            .field("shards", &self.shards)
            .finish_non_exhaustive()
    }
}
