//! What lies between the two ends, and how many handles each end has.

use core::time::Duration;
use std::time::Instant;

use sync_core::Mutex;
use sync_core::primitive::atomic::{AtomicUsize, Ordering};
use sync_core::primitive::thread;

use crate::blocks::Blocks;
use crate::channel::meeting::Meeting;
use crate::fifo::Fifo;
use crate::ring::Ring;
use crate::shared::Shared;
use crate::store::{Nothing, Refused, Store};
use crate::waiting::Patience;

#[expect(clippy::large_enum_variant, reason = "made rarely, and always behind an Arc")]
pub(super) enum Flavor<T> {
    Queue(Shared<Fifo<T>>),
    /// Room for none.
    Meeting(Meeting<T>),
    /// The time, now and then.
    Ticks(Ticks<T>),
    Never,
}

/// `bounded(0)` and the clock know nothing of each other's items, so the clock turns an `Instant`
/// into a `T` by a function that only `Flavor::<Instant>::ticks` can give it.
pub(super) struct Ticks<T> {
    next: Mutex<Option<Instant>>,
    period: Option<Duration>,
    item: fn(Instant) -> T,
}

impl Flavor<Instant> {
    pub(super) fn ticks(next: Option<Instant>, period: Option<Duration>) -> Self {
        Self::Ticks(Ticks { next: Mutex::new(next), period, item: |now| now })
    }
}

impl<T> Ticks<T> {
    /// The next tick, if it is due at `now`; else when it is due, if ever.
    fn take(&self, now: Instant) -> Result<T, Option<Instant>> {
        let mut next = self.next.lock();
        match *next {
            Some(due) if due <= now => {
                // The period after this one, or after now if that is past: missed ticks are missed.
                *next = self.period.and_then(|period| {
                    due.checked_add(period)
                        .map(|after| if after < now { now + period } else { after })
                });
                Ok((self.item)(due))
            }
            due => Err(due),
        }
    }

    fn recv(&self, patience: Patience) -> Result<T, Nothing> {
        let end = match patience {
            Patience::None => Some(Instant::now()),
            Patience::Forever => None,
            Patience::For(timeout) => Instant::now().checked_add(timeout),
            Patience::Until(deadline) => Some(deadline),
        };
        loop {
            let now = Instant::now();
            let due = match self.take(now) {
                Ok(item) => return Ok(item),
                Err(due) => due,
            };
            if end.is_some_and(|end| end <= now) {
                return Err(Nothing::Empty);
            }
            match due.into_iter().chain(end).min() {
                Some(when) => thread::sleep(when.saturating_duration_since(now)),
                None => thread::sleep(Duration::MAX),
            }
        }
    }
}

impl<T> Flavor<T> {
    pub(super) fn bounded(capacity: usize) -> Self {
        if capacity == 0 {
            Self::Meeting(Meeting::new())
        } else {
            Self::Queue(Shared::new(Fifo::Bounded(Ring::new(capacity))))
        }
    }

    pub(super) fn unbounded() -> Self {
        Self::Queue(Shared::new(Fifo::Unbounded(Blocks::new())))
    }

    #[inline]
    pub(super) fn send(&self, item: T, patience: Patience) -> Result<(), Refused<T>> {
        match self {
            Self::Queue(queue) => queue.put(item, patience),
            Self::Meeting(meeting) => meeting.send(item, patience),
            Self::Ticks(_) | Self::Never => Err(Refused::Shut(item)),
        }
    }

    #[inline]
    pub(super) fn recv(&self, patience: Patience) -> Result<T, Nothing> {
        match self {
            Self::Queue(queue) => queue.get(patience),
            Self::Meeting(meeting) => meeting.recv(patience),
            Self::Ticks(ticks) => ticks.recv(patience),
            Self::Never => Ticks {
                next: Mutex::new(None),
                period: None,
                item: |_| unreachable!("it is never due"),
            }
            .recv(patience),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Queue(queue) => queue.store.len(),
            Self::Ticks(ticks) => {
                usize::from(ticks.next.lock().is_some_and(|due| due <= Instant::now()))
            }
            Self::Meeting(_) | Self::Never => 0,
        }
    }

    pub(super) fn capacity(&self) -> Option<usize> {
        match self {
            Self::Queue(queue) => queue.store.capacity(),
            Self::Meeting(_) | Self::Never => Some(0),
            Self::Ticks(_) => Some(1),
        }
    }

    fn shut(&self) {
        match self {
            Self::Queue(queue) => queue.shut_down(),
            Self::Meeting(meeting) => meeting.shut(),
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

    pub(super) fn add_sender(&self) {
        // Relaxed: the handle that is cloned keeps the count above zero.
        self.senders.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add_receiver(&self) {
        // Relaxed: as above.
        self.receivers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn remove_sender(&self) {
        // AcqRel: what every sender did happens before the channel is shut by the last, and so
        // before anybody learns of it.
        if self.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.flavor.shut();
        }
    }

    pub(super) fn remove_receiver(&self) {
        // AcqRel: as above.
        if self.receivers.fetch_sub(1, Ordering::AcqRel) == 1 {
            match &self.flavor {
                // Nobody will ever receive what is inside: it is dropped now, not with the last
                // sender.
                Flavor::Queue(queue) => drop(queue.shut_down_now()),
                other => other.shut(),
            }
        }
    }
}

impl<T> Refused<T> {
    pub(super) fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Shut(item) => item,
        }
    }
}
