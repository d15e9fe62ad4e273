//! The common part of all queues: blocking, shutting down and counting tasks, over any [`Buffer`].

use core::future::Future;
use core::task::{Context, Poll};

use sync_core::{CancelToken, Cancelled};

use crate::buffer::fifo::{Fifo, Room};
use crate::buffer::{Buffer, Closed, PopError, PushError, Wake};
use crate::queue::error::TooManyDone;
use crate::queue::task_counter::TaskCounter;
use crate::wait::event_count::awaiting::TaskWait;
use crate::wait::event_count::{ALL, EventCount};
use crate::wait::selector::Selector;
use crate::wait::timeout::Timeout;

#[derive(Debug)]
pub(crate) struct Blocking<B> {
    pub(crate) buffer: B,
    getters: EventCount,
    putters: EventCount,
    tasks: TaskCounter,
}

impl<B> Blocking<B> {
    pub(crate) fn new(buffer: B) -> Self {
        Self {
            buffer,
            getters: EventCount::new(),
            putters: EventCount::new(),
            tasks: TaskCounter::new(),
        }
    }

    fn wake_getters<T>(&self, wake: Wake, count: usize)
    where
        B: Buffer<T>,
    {
        if wake.0 {
            self.getters.wake(count, || self.buffer.clear_getters_parked());
        }
    }

    fn wake_putters<T>(&self, wake: Wake, count: usize)
    where
        B: Buffer<T>,
    {
        if wake.0 {
            let count = count.saturating_add(self.buffer.skipped());
            self.putters.wake(count, || self.buffer.clear_putters_parked());
        }
    }

    // Always inline: the attempts of the waits use it too, and with two users the compiler makes a
    // call of it, which costs the fast path of `put` 7 instructions.
    #[inline(always)]
    pub(crate) fn try_put<T>(&self, item: T) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        let wake = self.buffer.push(item)?;
        self.wake_getters(wake, 1);
        Ok(())
    }

    // Always inline: as `try_put`.
    #[inline(always)]
    pub(crate) fn try_get<T>(&self) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        let (item, wake) = self.buffer.pop()?;
        self.wake_putters(wake, 1);
        Ok(item)
    }

    /// Puts the item, waiting for room as long as `timeout` lasts: a closure, for the fast path
    /// would prepare a value.
    #[inline]
    pub(crate) fn put<T>(
        &self,
        item: T,
        timeout: impl FnOnce() -> Timeout,
    ) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        if !B::HAS_FAST_PATH {
            return self.put_in_general(item, timeout());
        }
        match self.buffer.push_fast(item) {
            Ok(wake) => {
                self.wake_getters(wake, 1);
                Ok(())
            }
            Err(item) => self.put_contended(item, timeout()),
        }
    }

    /// Gets an item, waiting for one as long as `timeout` lasts.
    #[inline]
    pub(crate) fn get<T>(&self, timeout: impl FnOnce() -> Timeout) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        if !B::HAS_FAST_PATH {
            return self.get_in_general(timeout());
        }
        match self.buffer.pop_fast() {
            Some((item, wake)) => {
                self.wake_putters(wake, 1);
                Ok(item)
            }
            None => self.get_contended(timeout()),
        }
    }

    #[inline]
    fn put_in_general<T>(&self, item: T, timeout: Timeout) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        match self.try_put(item) {
            Err(PushError::Full(item)) => self.wait_to_put(item, timeout),
            done => done,
        }
    }

    #[inline]
    fn get_in_general<T>(&self, timeout: Timeout) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        match self.try_get() {
            Err(PopError::Empty) => self.wait_to_get(timeout),
            done => done,
        }
    }

    #[cold]
    #[inline(never)]
    fn put_contended<T>(&self, item: T, timeout: Timeout) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        self.put_in_general(item, timeout)
    }

    #[cold]
    #[inline(never)]
    fn get_contended<T>(&self, timeout: Timeout) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        self.get_in_general(timeout)
    }

    /// Lets the other side get ahead, if the caller has caught up with a stream. A short queue
    /// would be emptied or filled by it.
    fn give_lead<T>(&self, waiters: &EventCount)
    where
        B: Buffer<T>,
    {
        const SHORT: usize = 256;
        if self.buffer.capacity().is_none_or(|capacity| capacity >= SHORT) {
            waiters.give_lead(|| self.buffer.pushed());
        }
    }

    #[cold]
    fn wait_to_put<T>(&self, item: T, timeout: Timeout) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        let mut held = Some(item);
        let attempt = || self.attempt_put(&mut held);
        self.give_lead::<T>(&self.putters);
        match self.putters.wait_until(timeout, || self.buffer.set_putters_parked(), attempt) {
            Some(done) => done,
            None => match held {
                Some(item) => Err(PushError::Full(item)),
                None => unreachable!("an attempt that put the item ends the wait"),
            },
        }
    }

    #[cold]
    fn wait_to_get<T>(&self, timeout: Timeout) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        let attempt = || self.attempt_get();
        self.give_lead::<T>(&self.getters);
        self.getters
            .wait_until(timeout, || self.buffer.set_getters_parked(), attempt)
            .unwrap_or(Err(PopError::Empty))
    }

    /// The wait of a task for room, after an attempt that found none.
    pub(crate) fn waiting_to_put<T>(
        &self,
        item: T,
    ) -> impl Future<Output = Result<(), PushError<T>>>
    where
        B: Buffer<T>,
    {
        let mut held = Some(item);
        let attempt = move || self.attempt_put(&mut held);
        self.putters.waiting(true, || self.buffer.set_putters_parked(), attempt)
    }

    /// The wait of a task for an item.
    pub(crate) fn waiting_to_get<T>(&self) -> impl Future<Output = Result<T, PopError>>
    where
        B: Buffer<T>,
    {
        self.getters.waiting(true, || self.buffer.set_getters_parked(), || self.attempt_get())
    }

    /// A poll of a wait for room, `held` being the item. The first one follows an attempt that
    /// found none (`tried`). The wait is of this queue until [`leave_put`](Self::leave_put).
    pub(crate) fn poll_put<T>(
        &self,
        wait: &TaskWait,
        cx: &Context<'_>,
        tried: bool,
        held: &mut Option<T>,
    ) -> Poll<Result<(), PushError<T>>>
    where
        B: Buffer<T>,
    {
        let attempt = || self.attempt_put(held);
        wait.poll(&self.putters, cx, tried, || self.buffer.set_putters_parked(), attempt)
    }

    /// A poll of a wait for an item, as [`poll_put`](Self::poll_put).
    pub(crate) fn poll_get<T>(
        &self,
        wait: &TaskWait,
        cx: &Context<'_>,
        tried: bool,
    ) -> Poll<Result<T, PopError>>
    where
        B: Buffer<T>,
    {
        let attempt = || self.attempt_get();
        wait.poll(&self.getters, cx, tried, || self.buffer.set_getters_parked(), attempt)
    }

    /// Ends a wait for room.
    pub(crate) fn leave_put(&self, wait: &TaskWait) {
        wait.leave(&self.putters);
    }

    /// Ends a wait for an item.
    pub(crate) fn leave_get(&self, wait: &TaskWait) {
        wait.leave(&self.getters);
    }

    /// As [`put`](Self::put), until the token is cancelled: then the item comes back as `Full`.
    pub(crate) fn put_or_cancelled<T>(
        &self,
        item: T,
        token: &CancelToken,
    ) -> Result<(), PushError<T>>
    where
        B: Buffer<T>,
    {
        let mut held = match self.try_put(item) {
            Err(PushError::Full(item)) => Some(item),
            done => return done,
        };
        let attempt = || self.attempt_put(&mut held);
        let waiting = self.putters.waiting(true, || self.buffer.set_putters_parked(), attempt);
        match (token.block_on(waiting), held) {
            (Ok(done), _) => done,
            (Err(Cancelled), Some(item)) => Err(PushError::Full(item)),
            (Err(Cancelled), None) => unreachable!("an attempt that put the item ends the wait"),
        }
    }

    /// As [`get`](Self::get), until the token is cancelled: then the result is `Empty`.
    pub(crate) fn get_or_cancelled<T>(&self, token: &CancelToken) -> Result<T, PopError>
    where
        B: Buffer<T>,
    {
        token.block_on(self.waiting_to_get()).unwrap_or(Err(PopError::Empty))
    }

    /// As [`put_many`](Self::put_many), until the token is cancelled: then the result is `Full`.
    pub(crate) fn put_many_or_cancelled<T>(
        &self,
        items: &mut std::vec::IntoIter<T>,
        token: &CancelToken,
    ) -> Result<(), PushError<()>>
    where
        B: Buffer<T>,
    {
        let attempt = || self.attempt_many(items);
        let waiting = self.putters.waiting(false, || self.buffer.set_putters_parked(), attempt);
        token.block_on(waiting).unwrap_or(Err(PushError::Full(())))
    }

    /// As [`get_many`](Self::get_many), until the token is cancelled: then the result is `Empty`.
    pub(crate) fn get_many_or_cancelled<T>(
        &self,
        out: &mut Vec<T>,
        max: usize,
        token: &CancelToken,
    ) -> Result<usize, PopError>
    where
        B: Buffer<T>,
    {
        if max == 0 {
            return Ok(0);
        }
        let attempt = || self.attempt_get_many(out, max);
        let waiting = self.getters.waiting(false, || self.buffer.set_getters_parked(), attempt);
        token.block_on(waiting).unwrap_or(Err(PopError::Empty))
    }

    /// Puts the item. `None`: there is no room, and `held` has it again.
    #[inline(never)]
    fn attempt_put<T>(&self, held: &mut Option<T>) -> Option<Result<(), PushError<T>>>
    where
        B: Buffer<T>,
    {
        let Some(item) = held.take() else {
            unreachable!("no attempt follows one that put the item")
        };
        match self.try_put(item) {
            Err(PushError::Full(item)) => {
                *held = Some(item);
                None
            }
            done => Some(done),
        }
    }

    /// Gets an item. `None`: there is none.
    #[inline(never)]
    fn attempt_get<T>(&self) -> Option<Result<T, PopError>>
    where
        B: Buffer<T>,
    {
        match self.try_get() {
            Err(PopError::Empty) => None,
            done => Some(done),
        }
    }

    /// Puts as many of `items` as there is room for. `None`: some are left.
    fn attempt_many<T>(
        &self,
        items: &mut std::vec::IntoIter<T>,
    ) -> Option<Result<(), PushError<()>>>
    where
        B: Buffer<T>,
    {
        while items.len() > 0 {
            match self.buffer.push_many(items) {
                Ok((0, _)) => return None,
                Ok((count, wake)) => self.wake_getters(wake, count),
                Err(Closed(())) => return Some(Err(PushError::Closed(()))),
            }
        }
        Some(Ok(()))
    }

    /// Gets at least one item. `None`: there is none.
    fn attempt_get_many<T>(&self, out: &mut Vec<T>, max: usize) -> Option<Result<usize, PopError>>
    where
        B: Buffer<T>,
    {
        match self.buffer.pop_many(out, max) {
            Ok((count, wake)) => {
                self.wake_putters(wake, count);
                Some(Ok(count))
            }
            Err(PopError::Empty) => None,
            Err(PopError::Closed) => Some(Err(PopError::Closed)),
        }
    }

    /// Puts all of `items`, some at a time, waiting for room as long as `timeout` lasts; what is
    /// not put stays in `items`.
    pub(crate) fn put_many<T>(
        &self,
        items: &mut std::vec::IntoIter<T>,
        timeout: Timeout,
    ) -> Result<(), PushError<()>>
    where
        B: Buffer<T>,
    {
        let mut attempt = || self.attempt_many(items);
        attempt()
            .or_else(|| {
                self.give_lead::<T>(&self.putters);
                self.putters.wait_until(timeout, || self.buffer.set_putters_parked(), attempt)
            })
            .unwrap_or(Err(PushError::Full(())))
    }

    /// Gets at least one item and at most `max`.
    pub(crate) fn get_many<T>(
        &self,
        out: &mut Vec<T>,
        max: usize,
        timeout: Timeout,
    ) -> Result<usize, PopError>
    where
        B: Buffer<T>,
    {
        if max == 0 {
            return Ok(0);
        }
        let mut attempt = || self.attempt_get_many(out, max);
        attempt()
            .or_else(|| {
                self.give_lead::<T>(&self.getters);
                self.getters.wait_until(timeout, || self.buffer.set_getters_parked(), attempt)
            })
            .unwrap_or(Err(PopError::Empty))
    }

    pub(crate) fn force_put<T>(&self, item: T) -> Result<Option<T>, Closed<T>>
    where
        B: Buffer<T>,
    {
        let (evicted, wake) = self.buffer.force_push(item)?;
        self.wake_getters(wake, 1);
        if evicted.is_some() {
            self.tasks.count(1, || self.buffer.pushed());
        }
        Ok(evicted)
    }

    pub(crate) fn shut_down<T>(&self)
    where
        B: Buffer<T>,
    {
        self.buffer.close();
        self.wake_getters(Wake(true), ALL);
        self.wake_putters(Wake(true), ALL);
    }

    pub(crate) fn shut_down_now<T>(&self) -> Vec<T>
    where
        B: Buffer<T>,
    {
        self.buffer.close_and_drain(|taken| {
            self.wake_getters(Wake(true), ALL);
            self.wake_putters(Wake(true), ALL);
            self.tasks.count(taken as u64, || self.buffer.pushed());
        })
    }

    #[inline]
    pub(crate) fn task_done<T>(&self) -> Result<(), TooManyDone>
    where
        B: Buffer<T>,
    {
        self.tasks.done(|| self.buffer.pushed())
    }

    pub(crate) fn unfinished<T>(&self) -> u64
    where
        B: Buffer<T>,
    {
        self.tasks.unfinished(|| self.buffer.pushed())
    }

    pub(crate) fn join<T>(&self, timeout: Timeout) -> bool
    where
        B: Buffer<T>,
    {
        self.tasks.join(timeout, || self.buffer.pushed())
    }

    pub(crate) async fn join_async<T>(&self)
    where
        B: Buffer<T>,
    {
        self.tasks.join_async(|| self.buffer.pushed()).await;
    }
}

/// The operations of a select on the queue of a channel.
impl<T> Blocking<Fifo<T>> {
    /// Puts the item into room that was taken with `buffer.reserve`.
    ///
    /// # Safety
    ///
    /// The room is from this queue.
    pub(crate) unsafe fn fill(&self, room: Room, item: T) -> Result<(), PushError<T>> {
        // SAFETY: the caller promises it (`# Safety`).
        let ended = unsafe { self.buffer.fill(room, item) }?;
        if ended.awaited.0 {
            self.wake_getters::<T>(ended.awaited, ALL);
        } else {
            self.wake_getters::<T>(ended.wake, 1);
        }
        Ok(())
    }

    /// Gives the room back.
    ///
    /// # Safety
    ///
    /// The room is from this queue.
    pub(crate) unsafe fn leave_void(&self, room: Room) {
        // SAFETY: the caller promises it (`# Safety`).
        let ended = unsafe { self.buffer.leave_void(room) };
        self.wake_getters::<T>(ended.awaited, ALL);
        self.wake_putters::<T>(ended.wake, ALL);
    }

    /// Adds the selector to the waiters for an item. Returns `false` if there is one.
    pub(crate) fn watch_get(&self, selector: &Selector, case: u32, observe: bool) -> bool {
        self.getters.watch(selector, case, observe, || self.buffer.set_getters_parked())
    }

    /// Adds the selector to the waiters for room. Returns `false` if there is room.
    pub(crate) fn watch_put(&self, selector: &Selector, case: u32, observe: bool) -> bool {
        self.putters.watch(selector, case, observe, || self.buffer.set_putters_parked())
    }

    pub(crate) fn unwatch_get(&self, selector: &Selector) {
        self.getters.unwatch(selector);
    }

    pub(crate) fn unwatch_put(&self, selector: &Selector) {
        self.putters.unwatch(selector);
    }
}
