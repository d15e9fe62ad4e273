//! Flavors: the part of a channel between its two ends, and the counts of handles of each end.

use core::iter;
use core::mem::ManuallyDrop;
use core::time::Duration;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicUsize, Ordering};

use crate::buffer::array::Array;
use crate::buffer::fifo::Fifo;
use crate::buffer::list::List;
use crate::buffer::{Buffer, PopError, PushError, drop_each};
use crate::channel::tick::Ticks;
use crate::channel::token::Token;
use crate::channel::zero::Zero;
use crate::queue::blocking::Blocking;
use crate::wait::selector::Selector;
use crate::wait::stash::Stash;
use crate::wait::timeout::Timeout;

#[expect(clippy::large_enum_variant, reason = "made rarely, and always behind an Arc")]
pub(super) enum Flavor<T> {
    Queue(Blocking<Fifo<T>>),
    /// Room for none.
    Zero(Zero<T>),
    /// The time, now and then.
    Ticks(Ticks<T>),
    Never,
}

impl Flavor<Instant> {
    pub(super) fn ticks(next: Option<Instant>, period: Option<Duration>) -> Self {
        Self::Ticks(Ticks { next: Mutex::new(next), period, item: |now| now })
    }
}

impl<T> Flavor<T> {
    #[track_caller]
    pub(super) fn bounded(capacity: usize) -> Self {
        if capacity == 0 {
            Self::Zero(Zero::new())
        } else {
            Self::Queue(Blocking::new(Fifo::Bounded(Array::new(capacity))))
        }
    }

    pub(super) fn unbounded() -> Self {
        Self::Queue(Blocking::new(Fifo::Unbounded(List::new())))
    }

    #[inline]
    pub(super) fn send(&self, item: T, timeout: Timeout) -> Result<(), PushError<T>> {
        match self {
            Self::Queue(queue) => queue.put(item, || timeout),
            Self::Zero(meeting) => meeting.send(item, timeout),
            Self::Ticks(_) | Self::Never => Err(PushError::Closed(item)),
        }
    }

    #[inline]
    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        match self {
            Self::Queue(queue) => queue.get(|| timeout),
            Self::Zero(meeting) => meeting.recv(timeout),
            Self::Ticks(ticks) => ticks.recv(timeout),
            Self::Never => Ticks {
                next: Mutex::new(None),
                period: None,
                item: |_| unreachable!("it is never due"),
            }
            .recv(timeout),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Queue(queue) => queue.buffer.len(),
            Self::Ticks(ticks) => {
                usize::from(ticks.next.lock().is_some_and(|due| due <= Instant::now()))
            }
            Self::Zero(_) | Self::Never => 0,
        }
    }

    /// Takes out the items that are inside.
    pub(super) fn drain(&self) -> Vec<T> {
        match self {
            // Items that came to a receiver that had gone.
            Self::Zero(zero) => zero.returned().into(),
            _ => {
                let received = || self.recv(Timeout::None).ok();
                iter::from_fn(received).take(self.len()).collect()
            }
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        match self {
            Self::Queue(queue) => queue.buffer.capacity(),
            Self::Zero(_) | Self::Never => Some(0),
            Self::Ticks(_) => Some(1),
        }
    }

    /// No item can be sent after this. What is inside can still be received.
    pub(super) fn close(&self) {
        match self {
            Self::Queue(queue) => queue.shut_down(),
            Self::Zero(meeting) => meeting.close(),
            Self::Ticks(_) | Self::Never => {}
        }
    }
}

/// The operations of a select: see `select::Operation`.
impl<T> Flavor<T> {
    pub(super) fn start_recv(&self) -> Option<Token> {
        let received = match self {
            // Not by `recv`, which prepares to wait.
            Self::Queue(queue) => queue.try_get(),
            _ => self.recv(Timeout::None),
        };
        match received {
            Ok(item) => Some(Token::Item(Stash::new(item))),
            Err(PopError::Empty) => None,
            Err(PopError::Closed) => Some(Token::Closed),
        }
    }

    /// As [`start_recv`](Self::start_recv), for a caller that watches the channel before it sleeps:
    /// it may miss an item that came a moment ago.
    pub(super) fn attempt_recv(&self) -> Option<Token> {
        match self {
            Self::Queue(queue) if queue.buffer.looks_empty() => None,
            _ => self.start_recv(),
        }
    }

    pub(super) fn start_send(&self) -> Option<Token> {
        match self {
            Self::Queue(queue) => match queue.buffer.reserve() {
                Ok(room) => Some(Token::Room(room)),
                Err(PushError::Full(())) => None,
                Err(PushError::Closed(())) => Some(Token::Closed),
            },
            Self::Zero(zero) => zero.start_send(),
            Self::Ticks(_) | Self::Never => Some(Token::Closed),
        }
    }

    /// The receive for which `selector` was chosen: with what a sender handed over, or by an event.
    pub(super) fn accept_recv(&self, selector: &Selector) -> Option<Token> {
        // SAFETY: `wait` calls this in the thread of the selector, after the wait has ended.
        match unsafe { selector.take_handed() } {
            Some(item) => Some(Token::Item(item)),
            None => self.start_recv(),
        }
    }

    /// The send for which `selector` was chosen: with the address of a partner, or by an event.
    pub(super) fn accept_send(&self, selector: &Selector) -> Option<Token> {
        // SAFETY: as in `accept_recv`.
        match (self, unsafe { selector.take_handed() }) {
            // SAFETY: it was handed over for a sending case of this channel.
            (Self::Zero(zero), Some(claim)) => Some(unsafe { zero.accept_send(claim) }),
            _ => self.start_send(),
        }
    }

    /// Completes a send that was begun; without an item, leaves it.
    ///
    /// # Safety
    ///
    /// The token is from this channel.
    pub(super) unsafe fn finish_send(
        &self,
        token: Token,
        item: Option<T>,
    ) -> Result<(), Option<T>> {
        match (self, token, item) {
            (Self::Queue(queue), Token::Room(room), Some(item)) => {
                // SAFETY: the caller promises it (`# Safety`).
                unsafe { queue.fill(room, item) }.map_err(|refused| Some(refused.into_inner()))
            }
            (Self::Queue(queue), Token::Room(room), None) => {
                // SAFETY: the caller promises it (`# Safety`).
                unsafe { queue.leave_void(room) };
                Ok(())
            }
            (Self::Zero(zero), Token::Partner(claim), item) => zero.finish_send(claim, item),
            (_, Token::Closed, item) => Err(item),
            _ => unreachable!("a token is completed at the channel that it is from"),
        }
    }

    pub(super) fn watch(
        &self,
        receive: bool,
        selector: &Selector,
        case: u32,
        observe: bool,
    ) -> bool {
        match self {
            Self::Queue(queue) if receive => queue.watch_get(selector, case, observe),
            Self::Queue(queue) => queue.watch_put(selector, case, observe),
            Self::Zero(zero) => zero.watch(receive, selector, case, observe),
            Self::Ticks(_) => !self.is_ready(receive),
            Self::Never => true,
        }
    }

    pub(super) fn unwatch(&self, receive: bool, selector: &Selector) {
        match self {
            Self::Queue(queue) if receive => queue.unwatch_get(selector),
            Self::Queue(queue) => queue.unwatch_put(selector),
            Self::Zero(zero) => zero.unwatch(receive, selector),
            Self::Ticks(_) | Self::Never => {}
        }
    }

    pub(super) fn is_ready(&self, receive: bool) -> bool {
        match self {
            Self::Queue(queue) => {
                let buffer = &queue.buffer;
                let possible = if receive { buffer.has_item() } else { buffer.has_room() };
                possible || buffer.is_closed()
            }
            Self::Zero(zero) => zero.is_ready(receive),
            Self::Ticks(_) => self.len() > 0,
            Self::Never => false,
        }
    }

    pub(super) fn version(&self, receive: bool) -> u64 {
        match self {
            Self::Queue(queue) if receive => queue.buffer.arrivals(),
            Self::Queue(queue) => queue.buffer.departures(),
            Self::Zero(zero) => zero.version(receive),
            // Due or not: a tick that came and went between two readings was another receiver's.
            Self::Ticks(_) => self.len() as u64,
            Self::Never => 0,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Ticks(ticks) => *ticks.next.lock(),
            _ => None,
        }
    }
}

pub(super) struct Channel<T> {
    pub(super) flavor: Flavor<T>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
    /// An item whose drop panics leaks those behind it, as crossbeam-channel has it.
    leaks: bool,
}

impl<T> Channel<T> {
    pub(super) fn new(flavor: Flavor<T>, senders: usize) -> Self {
        let (senders, receivers) = (AtomicUsize::new(senders), AtomicUsize::new(1));
        Self { flavor, senders, receivers, leaks: false }
    }

    /// The same channel, which leaks the items behind one whose drop panics.
    pub(super) fn leaking(self) -> Self {
        Self { leaks: true, ..self }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
            || matches!((&self.flavor, &other.flavor), (Flavor::Never, Flavor::Never))
    }

    pub(super) fn address(&self) -> *const () {
        core::ptr::from_ref(self).cast()
    }

    /// Returns whether [`Flavor::close`] was called by a handle.
    pub(super) fn is_closed(&self) -> bool {
        match &self.flavor {
            Flavor::Queue(queue) => queue.buffer.is_closed(),
            Flavor::Zero(zero) => zero.is_closed(),
            Flavor::Ticks(_) | Flavor::Never => false,
        }
    }

    /// Adds a sender, unless there is none.
    pub(super) fn try_add_sender(&self) -> bool {
        // Relaxed: as for a clone; the count that is read is above zero, so a sender is there.
        let mut senders = self.senders.load(Ordering::Relaxed);
        while senders > 0 {
            match self.senders.compare_exchange_weak(
                senders,
                senders + 1,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => senders = now,
            }
        }
        false
    }

    /// Returns the number of senders; the clock counts as one.
    pub(super) fn senders(&self) -> usize {
        match self.flavor {
            // Acquire: pairs with the Release in `remove_sender`.
            Flavor::Queue(_) | Flavor::Zero(_) => self.senders.load(Ordering::Acquire),
            Flavor::Ticks(_) | Flavor::Never => 1,
        }
    }

    /// Returns the number of receivers.
    pub(super) fn receivers(&self) -> usize {
        // Acquire: pairs with the Release in `remove_receiver`.
        self.receivers.load(Ordering::Acquire)
    }

    pub(super) fn add_sender(&self) {
        // Relaxed: the handle that is cloned keeps the count above zero.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        // Relaxed: the handle that is cloned keeps the count above zero.
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_sender(&self) {
        // AcqRel: everything that every sender did happens before the last one closes the channel,
        // and so before any thread observes that it is closed.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.flavor.close();
        }
    }

    pub(super) fn remove_receiver(&self) {
        // AcqRel: everything that every receiver did happens before the last one closes the
        // channel.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            match &self.flavor {
                // No thread will ever receive what is inside: it is dropped now, not with the last
                // sender.
                Flavor::Queue(queue) => drop_items(queue.shut_down_now::<T>(), self.leaks),
                Flavor::Zero(zero) => {
                    zero.close();
                    let mut items = zero.returned().into_iter();
                    drop_each(|| items.next());
                }
                Flavor::Ticks(_) | Flavor::Never => {}
            }
        }
    }
}

/// Drops the items of a channel without receivers, also if some panic, or `leaks` those behind one
/// that panics.
fn drop_items<T>(items: Vec<T>, leaks: bool) {
    if leaks {
        let mut rest = ManuallyDrop::new(items.into_iter());
        rest.by_ref().for_each(drop);
        drop(ManuallyDrop::into_inner(rest));
        return;
    }
    let mut items = items.into_iter();
    drop_each(|| items.next());
}

impl<T> PushError<T> {
    pub(super) fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}
