//! Flavors: the part of a channel between its two ends, and the counts of handles of each end.

use core::time::Duration;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicUsize, Ordering};

use crate::buffer::array::Array;
use crate::buffer::fifo::Fifo;
use crate::buffer::list::List;
use crate::buffer::{Buffer, PopError, PushError, drop_each};
use crate::channel::tick::Ticks;
use crate::channel::zero::Zero;
use crate::queue::blocking::Blocking;
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
            Self::Queue(queue) => queue.put(item, timeout),
            Self::Zero(meeting) => meeting.send(item, timeout),
            Self::Ticks(_) | Self::Never => Err(PushError::Closed(item)),
        }
    }

    #[inline]
    pub(super) fn recv(&self, timeout: Timeout) -> Result<T, PopError> {
        match self {
            Self::Queue(queue) => queue.get(timeout),
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

    pub(super) fn capacity(&self) -> Option<usize> {
        match self {
            Self::Queue(queue) => queue.buffer.capacity(),
            Self::Zero(_) | Self::Never => Some(0),
            Self::Ticks(_) => Some(1),
        }
    }

    fn close(&self) {
        match self {
            Self::Queue(queue) => queue.shut_down(),
            Self::Zero(meeting) => meeting.close(),
            Self::Ticks(_) | Self::Never => {}
        }
    }
}

pub(super) struct Channel<T> {
    pub(super) flavor: Flavor<T>,
    senders: AtomicUsize,
    receivers: AtomicUsize,
}

impl<T> Channel<T> {
    pub(super) fn new(flavor: Flavor<T>, senders: usize) -> Self {
        Self { flavor, senders: AtomicUsize::new(senders), receivers: AtomicUsize::new(1) }
    }

    pub(super) fn is_same(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
            || matches!((&self.flavor, &other.flavor), (Flavor::Never, Flavor::Never))
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
                Flavor::Queue(queue) => {
                    let mut items = queue.shut_down_now::<T>().into_iter();
                    drop_each(|| items.next());
                }
                other => other.close(),
            }
        }
    }
}

impl<T> PushError<T> {
    pub(super) fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}
