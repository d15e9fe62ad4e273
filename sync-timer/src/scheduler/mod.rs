//! Millions of timers, one thread.
//!
//! # Source
//!
//! The timers lie in [wheels](crate::wheel), one for each shard; a shard is one lock, and a thread
//! keeps to its own, so that threads which schedule at the same time do not meet. `shard.rs` has
//! the states of a timer and the invariants, `dispatcher.rs` the thread that fires them and why it
//! does not oversleep.

mod core;
mod dispatcher;
mod error;
mod executor;
mod handle;
mod job;
mod shard;

use ::core::fmt;
use ::core::time::Duration;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use sync_core::primitive::thread;

pub use self::core::Failure;
pub use self::error::{EveryError, ShutDown};
pub use self::executor::Executor;
pub use self::handle::{CancelOnDrop, TimerHandle};
pub use self::job::Tick;
pub use self::shard::Cancel;

use self::core::{Core, Hook};
use self::dispatcher::Inner;
use self::job::{Every, Job, Once, Repeat};
use crate::clock::{Clock, Monotonic, nanoseconds};
use crate::missed::Missed;

/// What a shutdown does with the timers that are still waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pending {
    /// One-shot timers still go off, each at its time, and the shutdown waits for the last one.
    /// Periodic ones end, and so do those whose time never comes.
    Fire,
    /// None goes off any more.
    Discard,
}

/// Holds timers, millions if need be, and calls them when their time has come.
///
/// Scheduling and cancelling take time that does not depend on how many timers there are. A timer
/// is 44 to 48 bytes and its closure. It never goes off early, never twice, and never after a
/// [`cancel`](TimerHandle::cancel) that said [`Prevented`](Cancel::Prevented); of timers that are
/// due together the earlier goes first, and of equal ones that the same thread scheduled, the one
/// scheduled first.
///
/// One thread, the dispatcher, sleeps until the earliest deadline and calls what is due. Callbacks
/// should be short, or be run by an [`Executor`], a thread pool say: one that lasts makes later
/// ones late. One that panics is reported to the [hook](SchedulerBuilder::on_failure) and harms
/// nothing else.
///
/// Dropping the scheduler is [`shutdown(Pending::Discard)`](Self::shutdown). Callbacks may
/// schedule, cancel, and shut down.
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
/// What a thread did before it scheduled a timer is visible to the callback. See also
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
}

const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Scheduler>();
    shared::<TimerHandle>();
    shared::<CancelOnDrop>();
};

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

    /// Calls `callback` at `at`, or at once if that is past.
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
        self.schedule_once(core.now(), core.nanoseconds_at(at), callback)
    }

    /// Calls `callback` every `period`, for the first time one period from now, until it is
    /// cancelled. The same timer's callback never overlaps with itself, not even on a pool;
    /// `missed` says what happens to ticks whose time passes meanwhile.
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
        let period = nanoseconds(period);
        if period == 0 {
            return Err(EveryError::ZeroPeriod(callback));
        }
        let now = self.inner.core.now();
        let job = Box::new(Every { callback, repeat: Repeat { period, missed }, missed: 0 });
        self.schedule(now, now.saturating_add(period), job)
            .map_err(|job| EveryError::ShutDown(job.callback))
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
        let shards = &self.inner.shards;
        // A power of two of them; a thread keeps to its own.
        let shard = &shards[thread::id().get() as usize & (shards.len() - 1)];
        let key = shard.insert(now, deadline, job)?;
        Ok(TimerHandle { shard: Arc::clone(shard), key })
    }

    /// How many timers there are: waiting, queued at the executor, or running.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.shards.iter().map(|shard| shard.lock().wheel.len()).sum()
    }

    /// Whether there is no timer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the scheduler holds for its timers, without what their closures take.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        self.inner
            .shards
            .iter()
            .map(|shard| size_of::<shard::Shard>() + shard.lock().wheel.allocated_bytes())
            .sum()
    }

    /// Calls everything that is due, on this thread or the executor, in the order of the deadlines,
    /// until nothing is; says how many.
    ///
    /// This is how a scheduler [without a thread](SchedulerBuilder::build_without_thread) is
    /// driven. Beside a dispatcher, or from several threads at once, it helps: each timer is still
    /// called once.
    pub fn run_due(&self) -> usize {
        self.inner.run_due()
    }

    /// When [`run_due`](Self::run_due) should be called next: not after the earliest deadline, and
    /// usually exactly then. `None`: there is nothing to wait for.
    #[must_use]
    pub fn next_wake(&self) -> Option<Instant> {
        let wakes = self.inner.shards.iter().filter_map(|shard| shard.lock().wheel.next_wake());
        wakes.min().filter(|&wake| wake != u64::MAX).map(|wake| self.inner.core.instant(wake))
    }

    /// Lets nothing new in, fires or discards what is waiting, waits for callbacks that are
    /// running, and ends the dispatcher. Says how many timers were discarded.
    ///
    /// May be called again, and by several threads: who comes with [`Discard`](Pending::Discard)
    /// releases who waits with [`Fire`](Pending::Fire). From within a callback it does not wait for
    /// anything, and what is waiting is discarded even with [`Fire`](Pending::Fire) if there is
    /// nobody else to fire it. A scheduler without a thread fires what is due, and discards the
    /// rest.
    pub fn shutdown(&self, pending: Pending) -> usize {
        let inner = &*self.inner;
        let inside = inner.runs_here();
        let mut discarded = match pending {
            Pending::Discard => 0,
            Pending::Fire => {
                let ends = |job: &dyn Job, deadline| job.repeat().is_none() && deadline != u64::MAX;
                let discarded = inner.shards.iter().map(|shard| shard.close(ends)).sum();
                let dispatching = *inner.dispatching.lock();
                match (dispatching, inside) {
                    (true, false) => inner.shards.iter().for_each(|shard| shard.wait_empty()),
                    (true, true) => return discarded,
                    (false, _) => {
                        inner.run_due();
                    }
                }
                discarded
            }
        };
        discarded += inner.shards.iter().map(|shard| shard.close(|_, _| false)).sum::<usize>();
        inner.stop();
        if !inside {
            inner.shards.iter().for_each(|shard| shard.wait_empty());
            inner.wait_ended();
        }
        discarded
    }

    /// Whether it has been shut down.
    #[must_use]
    pub fn is_shutdown(&self) -> bool {
        self.inner.shards.iter().any(|shard| shard.lock().closed)
    }
}

impl Default for Scheduler {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.shutdown(Pending::Discard);
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

/// Enough that two threads seldom meet; few enough that looking at each of them costs nothing.
fn default_shards() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    (2 * processors).next_power_of_two().min(16)
}

/// How a [`Scheduler`] is to be.
#[must_use = "nothing is built yet"]
pub struct SchedulerBuilder {
    name: String,
    clock: Box<dyn Clock>,
    executor: Option<Box<dyn Executor>>,
    on_failure: Option<Hook>,
    shards: Option<usize>,
}

impl SchedulerBuilder {
    /// The name of the dispatcher's thread; "sync-timer" if nothing is said.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The clock it goes by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Who runs the callbacks, instead of the dispatcher.
    pub fn executor(mut self, executor: impl Executor + 'static) -> Self {
        self.executor = Some(Box::new(executor));
        self
    }

    /// Called, on the thread where it happened, when a callback panicked or was refused. Without
    /// one there is only what the process's own panic hook prints. A panic of this hook is ignored.
    pub fn on_failure(mut self, hook: impl Fn(Failure<'_>) + Send + Sync + 'static) -> Self {
        self.on_failure = Some(Box::new(hook));
        self
    }

    /// How many locks the timers are spread over, rounded up to a power of two; twice the
    /// processors, at most 16, if nothing is said.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards.clamp(1, 1024).next_power_of_two());
        self
    }

    fn inner(self) -> (Arc<Inner>, String) {
        let core = Arc::new(Core::new(self.clock, self.executor, self.on_failure));
        // Asked here and not before: it takes the system a while to say how many processors there
        // are.
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
        *inner.dispatching.lock() = true;
        let dispatcher = Arc::clone(&inner);
        let handle = thread::Builder::new().name(name).spawn(move || dispatcher.dispatch())?;
        *inner.dispatcher.lock() = Some(handle);
        Ok(Scheduler { inner })
    }

    /// Without a thread: callbacks run when [`Scheduler::run_due`] is called, and only then. For
    /// tests, and for an event loop of one's own, which learns from [`Scheduler::next_wake`] how
    /// long it may sleep.
    #[must_use]
    pub fn build_without_thread(self) -> Scheduler {
        Scheduler { inner: self.inner().0 }
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
