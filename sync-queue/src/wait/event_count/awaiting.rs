//! The wait of a task: a selector with its waker inside, in the watch list.
//!
//! A task takes the steps of a thread without its spins and yields: its ticket is in the list, then
//! `mark` confirms that the operation is still impossible (W4), and then the poll returns. The
//! notifier that chooses it takes the ticket out of the list and calls the waker. Nothing is
//! allocated for a wait, but for the list itself, which grows to the most waiters that it had.
//!
//! A task that is dropped removes its ticket. If it was chosen already it does not try its
//! operation, whose result would be lost with the task. It chooses another waiter in its place: a
//! thread or task that is not in the lists yet finds what the event stood for by itself, and one
//! that is in the lists was there before, and is chosen now.

use core::cell::Cell;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use sync_core::primitive::MODELLED;

use super::{EventCount, PassOn};
use crate::wait::selector::{Ended, Selector};

/// The wait of a task, from the first poll that finds that it has to wait. Pinned, used by shared
/// reference only (other threads have the address of the selector), and left with
/// [`leave`](Self::leave).
pub(crate) struct TaskWait {
    selector: Selector,
    is_listed: Cell<bool>,
}

impl TaskWait {
    pub(crate) fn new() -> Self {
        Self { selector: Selector::new(), is_listed: Cell::new(false) }
    }

    /// Lists the task, and calls `attempt` where `mark` does not confirm that it would fail. `mark`
    /// and `attempt` are those of [`wait_until`](EventCount::wait_until). `tried`: an attempt has
    /// failed before this wait.
    pub(crate) fn poll<R>(
        &self,
        count: &EventCount,
        cx: &Context<'_>,
        mut tried: bool,
        mark: impl Fn() -> bool,
        mut attempt: impl FnMut() -> Option<R>,
    ) -> Poll<R> {
        let (selector, waker) = (&self.selector, cx.waker());
        loop {
            let mut chosen = false;
            if self.is_listed.get() {
                chosen = match selector.ended() {
                    None if count.watchers.renew(selector, waker) => return Poll::Pending,
                    Some(Ended::Chosen(_)) => {
                        self.is_listed.set(false);
                        true
                    }
                    _ => self.unlist(count),
                };
                tried = false;
            }
            if !core::mem::take(&mut tried) {
                // If the attempt panics, the event goes to another waiter.
                let pass_on = PassOn(chosen.then_some(count));
                let answer = attempt();
                core::mem::forget(pass_on);
                if let Some(answer) = answer {
                    return Poll::Ready(answer);
                }
            }
            // SAFETY: this is the owner, and no ticket is in a list.
            unsafe { selector.set_task(waker) };
            if count.watch(selector, 0, false, &mark) {
                self.is_listed.set(true);
                return Poll::Pending;
            }
        }
    }

    /// Removes the ticket, and returns whether the task was chosen. The list has taken the ticket
    /// of a chosen selector out (S2 in `selector`).
    fn unlist(&self, count: &EventCount) -> bool {
        self.is_listed.set(false);
        match self.selector.abort() {
            Ended::Chosen(_) => true,
            Ended::Aborted => {
                count.unwatch(&self.selector);
                false
            }
        }
    }

    /// Ends the wait. If the task was chosen and has not tried since, another waiter is chosen.
    pub(crate) fn leave(&self, count: &EventCount) {
        // An execution that has failed uses nothing again.
        let abandoned = MODELLED && std::thread::panicking();
        if !abandoned && self.is_listed.get() && self.unlist(count) {
            count.choose(1);
        }
    }
}

impl Drop for TaskWait {
    fn drop(&mut self) {
        // SAFETY: the wait was left, so no ticket is in a list.
        unsafe { self.selector.clear_task() };
    }
}

/// The wait of a task at one event count. Dropping it has no effect but that `attempt` is dropped.
#[must_use = "a future does nothing until it is polled"]
pub(crate) struct Waiting<'a, M, A> {
    count: &'a EventCount,
    wait: TaskWait,
    tried: bool,
    mark: M,
    attempt: A,
    _pinned: core::marker::PhantomPinned,
}

impl EventCount {
    /// The wait of a task: see [`wait_until`](Self::wait_until). `tried`: an attempt has failed
    /// before.
    pub(crate) fn waiting<R, M, A>(&self, tried: bool, mark: M, attempt: A) -> Waiting<'_, M, A>
    where
        M: Fn() -> bool,
        A: FnMut() -> Option<R>,
    {
        let (wait, _pinned) = (TaskWait::new(), core::marker::PhantomPinned);
        Waiting { count: self, wait, tried, mark, attempt, _pinned }
    }
}

impl<R, M, A> Future for Waiting<'_, M, A>
where
    M: Fn() -> bool,
    A: FnMut() -> Option<R>,
{
    type Output = R;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<R> {
        // SAFETY: the wait is not moved. The future is `!Unpin`, so the unique reference does not
        // exclude the threads that reach the selector.
        let this = unsafe { self.get_unchecked_mut() };
        let tried = core::mem::take(&mut this.tried);
        this.wait.poll(this.count, cx, tried, &this.mark, &mut this.attempt)
    }
}

impl<M, A> Drop for Waiting<'_, M, A> {
    fn drop(&mut self) {
        self.wait.leave(self.count);
    }
}
