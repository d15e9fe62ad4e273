//! Timers for tasks: a future is a timer of the scheduler whose callback wakes the task.
//!
//! They need no runtime: any executor polls them, and the scheduler's dispatcher (or a call of
//! [`run_due`](Scheduler::run_due)) wakes them.
//!
//! # Invariants
//!
//! 1. The state is changed, and the waker taken, under one lock; the waker is called and dropped
//!    after it. So a task that saw `Waiting` has its waker in place for the end.
//! 2. A timer that is dropped instead of being called (a shutdown) ends the wait: its closure's
//!    `Drop` does what the call would have done.
//! 3. A future that is dropped cancels its timer.

use core::fmt;
use core::future::{Future, poll_fn};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use sync_core::{Mutex, user_code};

use super::handle::TimerHandle;
use super::job::{Job, Once, Periodic, Repeating, Tick};
use super::shard::Shard;
use super::{Scheduler, ShutDown};
use crate::clock::nanoseconds;
use crate::timer::COPY_PATIENCE;

/// A future that is ready at a moment: [`Scheduler::sleep`], [`Scheduler::sleep_until`].
///
/// It counts from the call that made it, not from its first poll. Dropping it cancels its timer.
/// The call allocates the timer; a poll allocates nothing.
/// The result is an error if the scheduler is shut down first.
#[must_use = "a future does nothing unless it is polled"]
pub struct Sleep {
    /// `None`: the scheduler had been shut down.
    timer: Option<TimerHandle>,
    shared: Arc<Mutex<SleepState>>,
}

struct SleepState {
    phase: Phase,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting,
    Fired,
    Lost,
}

/// Ends the wait: with `Fired` if it is called, with `Lost` if it is dropped (invariant 2).
struct Fire(Arc<Mutex<SleepState>>);

impl Fire {
    fn end(&self, phase: Phase) {
        let mut state = self.0.lock();
        if state.phase != Phase::Waiting {
            return;
        }
        state.phase = phase;
        let waker = state.waker.take();
        // Invariant 1.
        drop(state);
        if let Some(waker) = waker {
            user_code::run_and_forget_panic(|| waker.wake());
        }
    }
}

impl Drop for Fire {
    fn drop(&mut self) {
        self.end(Phase::Lost);
    }
}

impl Sleep {
    fn at(shard: &Arc<Shard>, now: u64, deadline: u64) -> Self {
        let state = SleepState { phase: Phase::Waiting, waker: None };
        let shared = Arc::new(Mutex::new(state));
        let fire = Fire(Arc::clone(&shared));
        let job = Box::new(Once(Some(move || fire.end(Phase::Fired))));
        let timer = match shard.insert(now, deadline, job) {
            Ok(key) => Some(TimerHandle { shard: Arc::clone(shard), key }),
            // The job, and with it `fire`, is dropped: the wait is lost.
            Err(_) => None,
        };
        Self { timer, shared }
    }

    /// Returns whether it is ready.
    #[must_use]
    pub fn is_elapsed(&self) -> bool {
        self.shared.lock().phase == Phase::Fired
    }

    /// Returns the moment at which it is ready; `None` if it is ready, never ready, or lost.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.timer.as_ref().and_then(TimerHandle::deadline)
    }
}

impl Future for Sleep {
    type Output = Result<(), ShutDown<()>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A waker's clone and drop are the executor's code: not under the lock.
        let mut waker = Some(context.waker().clone());
        let mut state = self.shared.lock();
        let polled = match state.phase {
            Phase::Fired => Poll::Ready(Ok(())),
            Phase::Lost => Poll::Ready(Err(ShutDown(()))),
            Phase::Waiting => {
                core::mem::swap(&mut state.waker, &mut waker);
                Poll::Pending
            }
        };
        drop(state);
        user_code::dispose(waker);
        polled
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        let Some(timer) = &self.timer else { return };
        // In the child of a fork a thread of the parent may be in the middle of the wake.
        let shared = if timer.shard.core.process.is_current() {
            Some(self.shared.lock())
        } else {
            self.shared.try_lock_for(COPY_PATIENCE)
        };
        let Some(mut state) = shared else { return };
        // Invariant 3. The waker first, so that the closure's drop wakes no task.
        let waker = state.waker.take();
        drop(state);
        timer.shard.cancel_in_drop(timer.key, drop);
        user_code::dispose(waker);
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline()).finish_non_exhaustive()
    }
}

/// The ticks of a rhythm, for a task: [`Scheduler::ticks`].
pub struct Ticks {
    shard: Arc<Shard>,
    rhythm: Box<Repeating<fn(&Tick)>>,
    deadline: u64,
    sleep: Sleep,
    missed: u64,
}

impl Ticks {
    /// Waits for the next tick, and returns when it was due; at once if it is due already. The
    /// future may be dropped, in a `select` for example: the tick is not lost.
    ///
    /// # Errors
    ///
    /// [`ShutDown`] if the scheduler has been shut down.
    pub async fn tick(&mut self) -> Result<Instant, ShutDown<()>> {
        poll_fn(|context| self.poll_tick(context)).await
    }

    /// As [`tick`](Self::tick), for a future or stream that is written by hand.
    pub fn poll_tick(&mut self, context: &mut Context<'_>) -> Poll<Result<Instant, ShutDown<()>>> {
        match Pin::new(&mut self.sleep).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => {}
        }
        let core = &self.shard.core;
        let scheduled = core.instant(self.rhythm.scheduled(self.deadline));
        let now = core.now();
        self.missed = self.rhythm.missed();
        self.deadline = self.rhythm.next(self.deadline, now);
        self.sleep = Sleep::at(&self.shard, now, self.deadline);
        Poll::Ready(Ok(scheduled))
    }

    /// Returns how many ticks were left out before the last one that was returned; always 0 unless
    /// the policy is [`Missed::Skip`](crate::Missed::Skip).
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }
}

/// The moments at which the ticks were due; the end is that of the scheduler.
#[cfg(feature = "futures-core")]
#[cfg_attr(docsrs, doc(cfg(feature = "futures-core")))]
impl futures_core::Stream for Ticks {
    type Item = Instant;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.get_mut().poll_tick(context).map(Result::ok)
    }
}

#[cfg(feature = "futures-core")]
#[cfg_attr(docsrs, doc(cfg(feature = "futures-core")))]
impl futures_core::FusedStream for Ticks {
    fn is_terminated(&self) -> bool {
        // A sleep that is lost stays in its place, and is lost at every later poll.
        self.sleep.shared.lock().phase == Phase::Lost
    }
}

// As for `TimerHandle`.
impl UnwindSafe for Ticks {}
impl RefUnwindSafe for Ticks {}

impl fmt::Debug for Ticks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticks").field("sleep", &self.sleep).finish_non_exhaustive()
    }
}

/// Why a future under [`Scheduler::timeout`] has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimeoutError {
    /// The time was up first.
    Elapsed,
    /// The scheduler was shut down first.
    ShutDown,
}

impl fmt::Display for TimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Elapsed => "the time was up before the future was ready",
            Self::ShutDown => "the scheduler was shut down before the future was ready",
        })
    }
}

impl Error for TimeoutError {}

impl Scheduler {
    /// Returns a future that is ready `delay` from now; `Duration::MAX` is never.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::Scheduler;
    ///
    /// async fn blink(scheduler: &Scheduler) -> Result<(), Box<dyn std::error::Error>> {
    ///     scheduler.sleep(Duration::from_millis(1)).await?;
    ///     println!("a millisecond later");
    ///     Ok(())
    /// }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(blink(&Scheduler::new())).unwrap();
    /// ```
    pub fn sleep(&self, delay: Duration) -> Sleep {
        let now = self.inner.core.now();
        Sleep::at(self.shard(), now, now.saturating_add(nanoseconds(delay)))
    }

    /// Returns a future that is ready at `deadline`, or at once if that is past.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        let core = &self.inner.core;
        let now = core.now();
        Sleep::at(self.shard(), now, core.nanoseconds_at(deadline).max(now))
    }

    /// Returns the ticks of a rhythm, for a task; [`Missed`](crate::Missed) decides what happens to
    /// ticks that pass between two waits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{Missed, Periodic, Scheduler};
    ///
    /// async fn beats(scheduler: &Scheduler) {
    ///     let rhythm = Periodic::new(Duration::from_millis(1)).missed(Missed::Delay);
    ///     let mut ticks = scheduler.ticks(rhythm);
    ///     for _ in 0..3 {
    ///         ticks.tick().await.unwrap();
    ///     }
    /// }
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(beats(&Scheduler::new()));
    /// ```
    ///
    /// # Panics
    ///
    /// If the period is zero.
    #[doc(alias = "interval")]
    #[track_caller]
    pub fn ticks(&self, rhythm: Periodic) -> Ticks {
        assert!(!rhythm.is_zero(), "an interval needs a period greater than zero");
        let now = self.inner.core.now();
        let nothing: fn(&Tick) = |_| ();
        let (rhythm, deadline) = rhythm.job(&self.inner.core, now, nothing);
        let shard = Arc::clone(self.shard());
        let sleep = Sleep::at(&shard, now, deadline);
        Ticks { shard, rhythm, deadline, sleep, missed: 0 }
    }

    /// Returns a future that is ready with the result of `future`, or with an error when `limit` is
    /// over. The time counts from this call. A future that is ready in time wins over a time that
    /// is up.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sync_timer::{Scheduler, TimeoutError};
    ///
    /// # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    /// # runtime.block_on(async {
    /// let scheduler = Scheduler::new();
    /// let slow = std::future::pending::<()>();
    /// let result = scheduler.timeout(Duration::from_millis(1), slow).await;
    /// assert_eq!(result, Err(TimeoutError::Elapsed));
    /// # });
    /// ```
    ///
    /// # Errors
    ///
    /// [`TimeoutError`]; `future` is dropped then.
    pub fn timeout<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> impl Future<Output = Result<F::Output, TimeoutError>> + use<F> {
        let mut sleep = self.sleep(limit);
        async move {
            let mut future = pin!(future);
            poll_fn(|context| {
                if let Poll::Ready(result) = future.as_mut().poll(context) {
                    return Poll::Ready(Ok(result));
                }
                Pin::new(&mut sleep).poll(context).map(|over| match over {
                    Ok(()) => Err(TimeoutError::Elapsed),
                    Err(_) => Err(TimeoutError::ShutDown),
                })
            })
            .await
        }
    }
}
