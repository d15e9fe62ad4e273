//! Sends and receives of tasks.
//!
//! A task waits as a thread does, and on the same words: in the queue of a channel its selector is
//! in the watch list ([`selector`](crate::wait::selector)), with room for none its waiter is in the
//! list of its side ([`zero`](crate::channel::zero)). It sleeps on the word of the selector or the
//! waiter as a task of the futex does. Nothing is allocated for a wait.
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
//! T3. The waker is registered (or found to be) in the last step before `Pending` is returned, by a
//! comparison with the word: a change before it is found, a change after it calls the waker.

use core::cell::Cell;
use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Channel as FutexChannel;
use sync_core::primitive::futex::task::Waiter as Task;
use sync_core::task::Alarm;

use crate::buffer::fifo::Fifo;
use crate::buffer::{PopError, PushError};
use crate::channel::error::{RecvError, SendError};
use crate::channel::flavor::Flavor;
use crate::channel::tick::Ticks;
use crate::channel::zero::TaskWaiter;
use crate::channel::{Receiver, Sender};
use crate::queue::blocking::Blocking;
use crate::wait::selector::{Ended, Selector};

/// Registers the waker on the word (T3). Returns `false` if there is no reason to wait any more.
/// The word is the wait's own, so a wake that was consumed is for no other waiter.
fn sleep(task: Pin<&Task>, (word, waiting): (&AtomicU32, u32), cx: &Context<'_>) -> bool {
    // Still registered: the waker is renewed.
    task.is_waiting() && task.poll(cx.waker()).is_pending() || {
        task.stop();
        task.start(word, waiting, FutexChannel::ALL, cx.waker())
    }
}

/// The wait of a task for a queue.
struct QueueWait {
    selector: Selector,
    watched: Cell<bool>,
}

impl QueueWait {
    fn new() -> Self {
        Self { selector: Selector::new(), watched: Cell::new(false) }
    }

    /// Tries, and if that fails watches the queue. `None`: the task waits.
    fn poll<T, R>(
        &self,
        queue: &Blocking<Fifo<T>>,
        receive: bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Option<R> {
        loop {
            if self.watched.get() {
                self.selector.ended()?;
                self.leave(queue, receive, false);
            }
            let answer = attempt();
            if answer.is_some() {
                return answer;
            }
            self.selector.reset();
            self.watched.set(if receive {
                queue.watch_get(&self.selector, 0, false)
            } else {
                queue.watch_put(&self.selector, 0, false)
            });
        }
    }

    /// Removes the ticket. If the selector was chosen and its event is not used, passes it on. The
    /// queue has taken the ticket of a chosen selector out (S2 in `selector`).
    fn leave<T>(&self, queue: &Blocking<Fifo<T>>, receive: bool, unused: bool) {
        if !self.watched.get() {
            return;
        }
        self.watched.set(false);
        match (self.selector.abort(), receive) {
            (Ended::Aborted, true) => queue.unwatch_get(&self.selector),
            (Ended::Aborted, false) => queue.unwatch_put(&self.selector),
            (Ended::Chosen(_), true) if unused => queue.pass_on_get(),
            (Ended::Chosen(_), false) if unused => queue.pass_on_put(),
            (Ended::Chosen(_), _) => {}
        }
    }
}

/// The wait of one operation, from the first poll that finds that it has to wait: an operation that
/// need not wait makes none. Used by shared reference only: other threads have the addresses of the
/// selector and the waiter.
struct Wait<T> {
    queue: QueueWait,
    zero: TaskWaiter<T>,
    task: Task,
    /// The alarm of a clock: a box, because few channels are clocks.
    alarm: Cell<Option<Box<Alarm>>>,
}

impl<T> Wait<T> {
    /// `handed`: the item of a send to a channel with room for none.
    fn new(handed: Option<T>) -> Self {
        Self {
            queue: QueueWait::new(),
            zero: TaskWaiter::new(handed),
            task: Task::new(),
            alarm: Cell::new(None),
        }
    }

    /// Ends the wait of the task, before its thread may sleep on the same word: a wake that chose
    /// the task would be lost for the thread.
    fn stop(&self) {
        // SAFETY: a wait is pinned from its first poll on.
        unsafe { Pin::new_unchecked(&self.task) }.stop();
    }

    /// Takes the tick of a clock, or registers the waker for the moment at which it is due (T3). A
    /// clock without a next tick is never due.
    fn poll_tick(&self, ticks: &Ticks<T>, cx: &mut Context<'_>) -> Poll<T> {
        let mut alarm = self.alarm.take();
        loop {
            let due = match ticks.take(Instant::now()) {
                Ok(item) => return Poll::Ready(item),
                Err(None) => return Poll::Pending,
                Err(Some(due)) => due,
            };
            // Another receiver may have taken the tick that this one waited for.
            let mut waits = alarm
                .take_if(|alarm| alarm.deadline() == due)
                .unwrap_or_else(|| Box::new(Alarm::new(due)));
            if Pin::new(&mut *waits).poll(cx).is_pending() {
                self.alarm.set(Some(waits));
                return Poll::Pending;
            }
        }
    }
}

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
        let this = unsafe { self.get_unchecked_mut() };
        let flavor = &this.receiver.channel.flavor;
        if let (Flavor::Queue(queue), None) = (flavor, &this.wait) {
            match queue.try_get() {
                Err(PopError::Empty) => {}
                done => return Poll::Ready(done.map_err(|_| RecvError)),
            }
        }
        let wait = &*this.wait.get_or_insert_with(|| Wait::new(None));
        loop {
            let answer = match flavor {
                Flavor::Queue(queue) => wait.queue.poll(queue, true, || match queue.try_get() {
                    Err(PopError::Empty) => None,
                    done => Some(done),
                }),
                Flavor::Zero(zero) => zero.poll_recv(&wait.zero),
                Flavor::Never => return Poll::Pending,
                Flavor::Ticks(ticks) => return wait.poll_tick(ticks, cx).map(Ok),
            };
            // SAFETY: it is part of the pinned future.
            let task = unsafe { Pin::new_unchecked(&wait.task) };
            if let Some(answer) = answer {
                task.stop();
                return Poll::Ready(answer.map_err(|_| RecvError));
            }
            let word = match flavor {
                Flavor::Queue(_) => wait.queue.selector.word(),
                _ => wait.zero.word(),
            };
            if sleep(task, word, cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Drop for RecvFuture<'_, T> {
    fn drop(&mut self) {
        let Some(wait) = &self.wait else { return };
        match &self.receiver.channel.flavor {
            Flavor::Queue(queue) => wait.queue.leave(queue, true, true),
            Flavor::Zero(zero) => {
                wait.stop();
                zero.leave(&wait.zero, true);
            }
            Flavor::Ticks(_) | Flavor::Never => {}
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
        let Some(wait) = &this.wait else { return this.item.take() };
        match &this.sender.channel.flavor {
            Flavor::Queue(queue) => {
                wait.queue.leave(queue, false, true);
                this.item.take()
            }
            Flavor::Zero(zero) => {
                wait.stop();
                zero.leave(&wait.zero, false);
                // SAFETY: the wait has ended.
                unsafe { wait.zero.take_back() }
            }
            Flavor::Ticks(_) | Flavor::Never => unreachable!("a clock has no sender"),
        }
    }
}

impl<T> Future for SendFuture<'_, T> {
    type Output = Result<(), SendError<T>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // SAFETY: what is pinned (the ticket, the waiter and the task) is not moved. The item is
        // not pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let flavor = &this.sender.channel.flavor;
        if let (Flavor::Zero(_), None) = (flavor, &this.wait) {
            this.wait = Some(Wait::new(this.item.take()));
        }
        let item = &mut this.item;
        let mut attempt = |queue: &Blocking<Fifo<T>>| {
            let Some(held) = item.take() else { panic!("a send that has ended is polled again") };
            match queue.try_put(held) {
                Err(PushError::Full(back)) => {
                    *item = Some(back);
                    None
                }
                done => Some(done),
            }
        };
        if let (Flavor::Queue(queue), None) = (flavor, &this.wait) {
            if let Some(done) = attempt(queue) {
                return Poll::Ready(done.map_err(|refused| SendError(refused.into_inner())));
            }
        }
        let wait = &*this.wait.get_or_insert_with(|| Wait::new(None));
        loop {
            let answer = match flavor {
                Flavor::Queue(queue) => wait.queue.poll(queue, false, || attempt(queue)),
                Flavor::Zero(zero) => zero.poll_send(&wait.zero),
                Flavor::Ticks(_) | Flavor::Never => unreachable!("a clock has no sender"),
            };
            // SAFETY: it is part of the pinned future.
            let task = unsafe { Pin::new_unchecked(&wait.task) };
            if let Some(answer) = answer {
                task.stop();
                return Poll::Ready(answer.map_err(|refused| SendError(refused.into_inner())));
            }
            let word = match flavor {
                Flavor::Queue(_) => wait.queue.selector.word(),
                _ => wait.zero.word(),
            };
            if sleep(task, word, cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<T> Drop for SendFuture<'_, T> {
    fn drop(&mut self) {
        let Some(wait) = &self.wait else { return };
        match &self.sender.channel.flavor {
            Flavor::Queue(queue) => wait.queue.leave(queue, false, true),
            Flavor::Zero(zero) => {
                wait.stop();
                zero.leave(&wait.zero, false);
            }
            Flavor::Ticks(_) | Flavor::Never => {}
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
