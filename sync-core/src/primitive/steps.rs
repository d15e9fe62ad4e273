//! Waits as steps, so that an algorithm is written once for threads and for tasks.
//!
//! The slow path of a primitive is a [`Steps`]: it runs until it is done or has to sleep, and
//! returns which. [`run`] is the wait of a thread: it sleeps where the steps say so. [`Waiting`] is
//! the wait of a task: a future that registers a [`Waiter`] there and returns `Pending`.
//!
//! A future that is dropped does what a thread does when its time is up: it passes a wake on that
//! it had consumed, calls [`Steps::leave`], and undoes what that got by luck.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use crate::primitive::atomic::AtomicU32;
use crate::primitive::futex::task::Waiter;
use crate::primitive::futex::{self, Channel, Deadline};

/// A sleep that an algorithm asks for: while `*word == expected`.
#[derive(Debug)]
pub struct Sleep<'a> {
    /// The word, in which the waiter is announced.
    pub word: &'a AtomicU32,
    /// Its value after the announcement.
    pub expected: u32,
    /// The channel of the sleep.
    pub channel: Channel,
    /// A sleep that ends by itself: when, for a thread. A task has no clock: it lets the other
    /// tasks of its executor run once instead, and then its time counts as up.
    pub limit: Option<Deadline>,
}

/// The end of a step.
#[derive(Debug)]
pub enum Step<'a, T> {
    /// The wait is over.
    Done(T),
    /// Sleep, then take the next step.
    Sleep(Sleep<'a>),
}

/// A wait of one thread or task. After the first step it does not move until it ends.
pub trait Steps<'a> {
    /// The result of the wait.
    type Output;

    /// The wait is that of a task: called once, before the first step. A task does not spin: the
    /// task that it waits for may need the same thread, and so may others that have work to do.
    fn as_task(&mut self) {}

    /// Runs until the wait is done or has to sleep. `limit_passed`: the sleep before this step had
    /// a limit of its own, which has passed.
    fn step(&mut self, limit_passed: bool) -> Step<'a, Self::Output>;

    /// Ends the wait without its result: the time is up, or the future is dropped. No wake has been
    /// consumed since the last step. May get the result after all.
    fn leave(&mut self) -> Option<Self::Output>;

    /// Gives back what [`leave`](Self::leave) got for a future that is dropped.
    fn undo(&mut self, output: Self::Output);
}

/// Waits as a thread, at most until `deadline`.
#[inline]
#[cfg_attr(any(loom, sync_verify), track_caller)]
pub fn run<'a, S: Steps<'a>>(mut steps: S, deadline: Option<Deadline>) -> Option<S::Output> {
    let mut limit_passed = false;
    loop {
        let sleep = match steps.step(limit_passed) {
            Step::Done(output) => return Some(output),
            Step::Sleep(sleep) => sleep,
        };
        let until = sleep.limit.into_iter().chain(deadline).min();
        let in_time = if sleep.channel == Channel::ALL {
            futex::wait_maybe(sleep.word, sleep.expected, until)
        } else {
            futex::wait_channel(sleep.word, sleep.expected, until, sleep.channel)
        };
        limit_passed = !in_time;
        if !in_time && (sleep.limit.is_none() || until == deadline) {
            return steps.leave();
        }
    }
}

/// The wait of a task.
///
/// It is cancel-safe: a wait that is dropped at any time loses no wake and no place of another
/// waiter, and has no effect but those that the steps document.
#[must_use = "a future does nothing until it is polled"]
pub struct Waiting<'a, S: Steps<'a>> {
    steps: S,
    stage: Stage,
    waiter: Waiter,
    lifetime: core::marker::PhantomData<&'a ()>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    New,
    /// It is registered, or was.
    Waits,
    /// It lets other tasks run.
    Yields,
    Done,
}

impl<'a, S: Steps<'a>> Waiting<'a, S> {
    /// A wait that has not begun.
    pub fn new(mut steps: S) -> Self {
        steps.as_task();
        let lifetime = core::marker::PhantomData;
        Self { steps, stage: Stage::New, waiter: Waiter::new(), lifetime }
    }
}

impl<'a, S: Steps<'a>> Future for Waiting<'a, S> {
    type Output = S::Output;

    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<S::Output> {
        // SAFETY: the steps and the waiter are not moved.
        let this = unsafe { self.get_unchecked_mut() };
        // SAFETY: it is a part of a pinned value, and is never moved out.
        let waiter = unsafe { Pin::new_unchecked(&this.waiter) };
        if waiter.poll(context.waker()).is_pending() {
            return Poll::Pending;
        }
        let mut limit_passed = this.stage == Stage::Yields;
        loop {
            // Also if the step panics: there is nothing to leave then.
            this.stage = Stage::Done;
            let sleep = match this.steps.step(limit_passed) {
                Step::Done(output) => return Poll::Ready(output),
                Step::Sleep(sleep) => sleep,
            };
            this.stage = Stage::Waits;
            if sleep.limit.is_some() {
                this.stage = Stage::Yields;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            if waiter.start(sleep.word, sleep.expected, sleep.channel, context.waker()) {
                return Poll::Pending;
            }
            limit_passed = false;
        }
    }
}

impl<'a, S: Steps<'a>> Drop for Waiting<'a, S> {
    #[cfg_attr(any(loom, sync_verify), track_caller)]
    fn drop(&mut self) {
        let abandoned = crate::primitive::MODELLED && std::thread::panicking();
        if matches!(self.stage, Stage::New | Stage::Done) || abandoned {
            return;
        }
        // SAFETY: it was polled, so it is pinned, and a dropped value does not move again.
        unsafe { Pin::new_unchecked(&self.waiter) }.cancel();
        if let Some(output) = self.steps.leave() {
            self.steps.undo(output);
        }
    }
}

impl<'a, S: Steps<'a>> fmt::Debug for Waiting<'a, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("stage", &self.stage).finish()
    }
}
