//! Sends and receives of tasks.
//!
//! A task waits in the lists that threads wait in: in the queue of a channel its selector, with its
//! waker inside, is in the watch list ([`selector`](crate::wait::selector)). With room for none its
//! waiter is in the list of its side ([`zero`](crate::channel::zero)), and it sleeps on the word of
//! the waiter as a task of the futex does. Nothing is allocated for a wait.
//! A clock has no other side that could wake a task: a wait for its tick has an alarm, which one
//! thread of the process serves, and a box for it.
//!
//! # Invariants
//!
//! T1. A future that is dropped removes its ticket or waiter before its memory goes.
//!
//! T2. No item is lost with a future that is dropped. A receive from a queue takes an item only
//! while it is polled; an event that it was chosen for is passed on. With room for none, an item
//! that was handed to it goes to the next receiver, or waits in the channel for one. A send that
//! was not completed drops its item.
//!
//! T3. The waker is registered (or found to be) before `Pending` is returned, and the state is
//! compared after that, or in the same step: a change before it is found, a change after it calls
//! the waker.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Channel as FutexChannel;
use sync_core::primitive::futex::task::Waiter as Task;
use sync_core::task::Alarm;

use crate::buffer::{PopError, PushError};
use crate::channel::error::{RecvError, SendError};
use crate::channel::flavor::Flavor;
use crate::channel::tick::Ticks;
use crate::channel::zero::{TaskWaiter, Zero};
use crate::channel::{Receiver, Sender};
use crate::wait::event_count::awaiting::TaskWait;

/// Registers the waker on the word (T3). Returns `false` if there is no reason to wait any more.
/// The word is the wait's own, so a wake that was consumed is for no other waiter.
fn sleep(task: Pin<&Task>, (word, waiting): (&AtomicU32, u32), cx: &Context<'_>) -> bool {
    // Still registered: the waker is renewed.
    task.is_waiting() && task.poll(cx.waker()).is_pending() || {
        task.stop();
        task.start(word, waiting, FutexChannel::ALL, cx.waker())
    }
}

/// The wait of a task for a channel with room for none. Used by shared reference only: other
/// threads have the addresses of the waiter and the task.
struct ZeroWait<T> {
    waiter: TaskWaiter<T>,
    task: Task,
}

impl<T> ZeroWait<T> {
    /// `handed`: the item of a send.
    fn new(handed: Option<T>) -> Self {
        Self { waiter: TaskWaiter::new(handed), task: Task::new() }
    }

    /// Repeats `attempt` until it has an answer or the waker is registered.
    fn poll<R>(&self, cx: &Context<'_>, mut attempt: impl FnMut() -> Option<R>) -> Poll<R> {
        // SAFETY: a wait is pinned from its first poll on.
        let task = unsafe { Pin::new_unchecked(&self.task) };
        loop {
            if let Some(answer) = attempt() {
                task.stop();
                return Poll::Ready(answer);
            }
            if sleep(task, self.waiter.word(), cx) {
                return Poll::Pending;
            }
        }
    }

    fn leave(&self, zero: &Zero<T>, receive: bool) {
        // First the wait of the task: its thread may sleep on the same word next, and a wake that
        // chose the task would be lost for the thread.
        // SAFETY: a wait is pinned from its first poll on.
        unsafe { Pin::new_unchecked(&self.task) }.stop();
        zero.leave(&self.waiter, receive);
    }
}

/// The wait of one operation, by the kind of its channel. An operation that need not wait makes
/// none.
enum Wait<T> {
    Queue(TaskWait),
    Zero(ZeroWait<T>),
    /// The alarm of a clock: a box, because few channels are clocks.
    Tick(Box<Alarm>),
}

/// Takes the tick of a clock, or registers the waker for the moment at which it is due (T3). A
/// clock without a next tick is never due.
fn poll_tick<T>(wait: &mut Option<Wait<T>>, ticks: &Ticks<T>, cx: &mut Context<'_>) -> Poll<T> {
    loop {
        let due = match ticks.take(Instant::now()) {
            Ok(item) => return Poll::Ready(item),
            Err(None) => return Poll::Pending,
            Err(Some(due)) => due,
        };
        // Another receiver may have taken the tick that this one waited for.
        if !matches!(wait, Some(Wait::Tick(alarm)) if alarm.deadline() == due) {
            *wait = Some(Wait::Tick(Box::new(Alarm::new(due))));
        }
        let Some(Wait::Tick(alarm)) = wait else { unreachable!("{MIXED}") };
        if Pin::new(&mut **alarm).poll(cx).is_pending() {
            return Poll::Pending;
        }
    }
}

const MIXED: &str = "a wait is of the kind of its channel";

/// A receive of a task. From [`Receiver::recv_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct RecvFuture<'a, T> {
    receiver: &'a Receiver<T>,
    wait: Option<Wait<T>>,
}

impl<'a, T> RecvFuture<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { receiver, wait: None }
    }
}

impl<T> Future for RecvFuture<'_, T> {
    type Output = Result<T, RecvError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: nothing is moved out of the future: the selector, the waiter and the task stay.
        // The future is `!Unpin`, so the unique reference does not exclude the threads that reach
        // them.
        let RecvFuture { receiver, wait } = unsafe { self.get_unchecked_mut() };
        let answer = match &receiver.channel.flavor {
            Flavor::Queue(queue) => {
                let tried = wait.is_none();
                if tried {
                    match queue.try_get() {
                        Err(PopError::Empty) => {}
                        done => return Poll::Ready(done.map_err(|_| RecvError)),
                    }
                }
                match &*wait.get_or_insert_with(|| Wait::Queue(TaskWait::new())) {
                    Wait::Queue(wait) => queue.poll_get(wait, cx, tried),
                    _ => unreachable!("{MIXED}"),
                }
            }
            Flavor::Zero(zero) => {
                match &*wait.get_or_insert_with(|| Wait::Zero(ZeroWait::new(None))) {
                    Wait::Zero(wait) => wait.poll(cx, || zero.poll_recv(&wait.waiter)),
                    _ => unreachable!("{MIXED}"),
                }
            }
            Flavor::Never => return Poll::Pending,
            Flavor::Ticks(ticks) => return poll_tick(wait, ticks, cx).map(Ok),
        };
        answer.map_err(|_| RecvError)
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        match (&self.wait, &self.receiver.channel.flavor) {
            (Some(Wait::Queue(wait)), Flavor::Queue(queue)) => queue.leave_get(wait),
            (Some(Wait::Zero(wait)), Flavor::Zero(zero)) => wait.leave(zero, true),
            _ => {}
        }
    }
}

/// A send of a task. From [`Sender::send_async`].
#[must_use = "a future does nothing until it is polled"]
pub struct SendFuture<'a, T> {
    sender: &'a Sender<T>,
    /// In `wait` if that has begun and the channel has room for none.
    item: Option<T>,
    wait: Option<Wait<T>>,
}

impl<'a, T> SendFuture<'a, T> {
    pub(super) fn new(sender: &'a Sender<T>, item: T) -> Self {
        Self { sender, item: Some(item), wait: None }
    }
}

impl<T> SendFuture<'_, T> {
    /// Ends the send, and returns the item unless it was sent.
    pub(super) fn give_up(self: Pin<&mut Self>) -> Option<T> {
        // SAFETY: as in `poll`: what is pinned stays. The item is not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        match (&this.wait, &this.sender.channel.flavor) {
            (Some(Wait::Queue(wait)), Flavor::Queue(queue)) => {
                queue.leave_put(wait);
                this.item.take()
            }
            (Some(Wait::Zero(wait)), Flavor::Zero(zero)) => {
                wait.leave(zero, false);
                // SAFETY: the wait has ended.
                unsafe { wait.waiter.take_back() }
            }
            _ => this.item.take(),
        }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: what is pinned (the selector, the waiter and the task) is not moved. The item is
        // not pinned.
        let SendFuture { sender, item, wait } = unsafe { self.get_unchecked_mut() };
        let answer = match &sender.channel.flavor {
            Flavor::Queue(queue) => {
                let tried = wait.is_none();
                let Some(held) = item.take() else {
                    panic!("a send that has ended is polled again")
                };
                if tried {
                    match queue.try_put(held) {
                        Err(PushError::Full(back)) => *item = Some(back),
                        Err(PushError::Closed(item)) => return Poll::Ready(Err(SendError(item))),
                        Ok(()) => return Poll::Ready(Ok(())),
                    }
                } else {
                    *item = Some(held);
                }
                match &*wait.get_or_insert_with(|| Wait::Queue(TaskWait::new())) {
                    Wait::Queue(wait) => queue.poll_put(wait, cx, tried, item),
                    _ => unreachable!("{MIXED}"),
                }
            }
            Flavor::Zero(zero) => {
                match &*wait.get_or_insert_with(|| Wait::Zero(ZeroWait::new(item.take()))) {
                    Wait::Zero(wait) => wait.poll(cx, || zero.poll_send(&wait.waiter)),
                    _ => unreachable!("{MIXED}"),
                }
            }
            Flavor::Ticks(_) | Flavor::Never => unreachable!("a clock has no sender"),
        };
        answer.map_err(|refused| SendError(refused.into_inner()))
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        match (&self.wait, &self.sender.channel.flavor) {
            (Some(Wait::Queue(wait)), Flavor::Queue(queue)) => queue.leave_put(wait),
            (Some(Wait::Zero(wait)), Flavor::Zero(zero)) => wait.leave(zero, false),
            _ => {}
        }
    }
}

/// The items of a channel as a stream. From [`Receiver::stream`].
#[cfg(feature = "futures-core")]
#[must_use = "a stream does nothing until it is polled"]
#[derive(Debug)]
pub struct RecvStream<'a, T> {
    /// Used again for each item: it is as new when it has returned one.
    next: RecvFuture<'a, T>,
    ended: bool,
}

#[cfg(feature = "futures-core")]
impl<'a, T> RecvStream<'a, T> {
    pub(super) fn new(receiver: &'a Receiver<T>) -> Self {
        Self { next: RecvFuture::new(receiver), ended: false }
    }
}

#[cfg(feature = "futures-core")]
impl<T> futures_core::Stream for RecvStream<'_, T> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        // SAFETY: `next` is pinned with the stream and not moved.
        let this = unsafe { self.get_unchecked_mut() };
        if this.ended {
            return Poll::Ready(None);
        }
        // SAFETY: `next` is pinned with the stream and not moved.
        let item = match unsafe { Pin::new_unchecked(&mut this.next) }.poll(cx) {
            Poll::Ready(item) => item.ok(),
            Poll::Pending => return Poll::Pending,
        };
        this.ended = item.is_none();
        Poll::Ready(item)
    }
}

#[cfg(feature = "futures-core")]
impl<T> futures_core::FusedStream for RecvStream<'_, T> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<T> fmt::Debug for RecvFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvFuture").field("receiver", self.receiver).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for SendFuture<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendFuture").field("sender", self.sender).finish_non_exhaustive()
    }
}

// SAFETY: the raw pointers of the wait are to things that threads share under locks; the item
// crosses threads with the future.
unsafe impl<T: Send> Send for Wait<T> {}
