//! The buffer of the orders that have one hot place, where a lock is the best there is: LIFO and
//! priority.
//!
//! A [`Mutex`] over a container. That threads sleep is a flag under the lock, so marking, finding
//! nothing and changing are one step by the lock alone. The lock is held for a few instructions, or
//! for the comparisons of one heap operation, and never while an item is dropped.
//!
//! # User code
//!
//! A heap cannot find a place without comparing, so `Ord` runs under the lock: the one exception in
//! this crate. What keeps it harmless:
//!
//! L1. An [`Arrangement`] changes nothing while it compares. `insertion_point`, `choose` and
//! `order` return what is to be done; `insert`, `remove` and `drain` do it without comparing. A
//! panic in `Ord` leaves items, order and counts as they were, and the lock open.
//!
//! L2. An `Ord` that uses the queue whose items it compares panics: otherwise it would wait for its
//! own thread.
//!
//! L3. An item that is given up by a panic, and the payload of a panic that does not go on, are
//! dropped after the lock was released.

use core::fmt;

use sync_core::primitive::atomic::{AtomicU64, Ordering};
use sync_core::primitive::thread;
use sync_core::user_code::{self, Payload};
use sync_core::{Mutex, MutexGuard};

use crate::buffer::{Buffer, Closed, PopError, PushError, Wake};

/// A container and the order in which it hands items out.
pub(crate) trait Arrangement<T>: Default {
    /// Whether `insertion_point`, `choose` and `choose_last` call user code.
    const COMPARES: bool;
    /// The position of an item to insert.
    type InsertionPoint: Copy;
    /// The item to remove or replace.
    type Choice: Copy;

    fn insertion_point(&self, item: &T) -> Self::InsertionPoint;

    fn insert(&mut self, point: Self::InsertionPoint, item: T);

    /// Chooses the next item.
    fn choose(&self) -> Option<Self::Choice>;

    fn remove(&mut self, choice: Self::Choice) -> T;

    /// Chooses, over a full container, the item that `item` replaces: the last in the order, maybe
    /// `item` itself.
    ///
    /// In two steps, as `choose` and `remove` (L1): `replace` then does it without comparing.
    fn choose_last(&self, item: &T) -> Self::Choice;

    fn replace(&mut self, choice: Self::Choice, item: T) -> T;

    /// The order in which all items would be handed out, as `drain` takes it. It may compare.
    fn order(&self) -> Vec<usize>;

    /// Takes all items out in an order that `order` returned. It does not compare.
    fn drain(&mut self, order: Vec<usize>) -> Vec<T>;

    fn len(&self) -> usize;
}

/// The number of items that a container keeps room for in any case.
const KEPT: usize = 64;

/// The room that a container gives back memory down to, if it has far too much.
pub(crate) fn shrunk(len: usize, capacity: usize) -> Option<usize> {
    // A quarter against a half, so that the work of shrinking and growing is amortised.
    (capacity > KEPT && len < capacity / 4).then_some((capacity / 2).max(KEPT))
}

struct Inner<A> {
    items: A,
    pushed: u64,
    closed: bool,
    /// A getter may sleep.
    getters: bool,
    /// A putter may sleep.
    putters: bool,
}

pub(crate) struct Locked<A> {
    inner: Mutex<Inner<A>>,
    /// The thread that is comparing, or 0.
    comparing: AtomicU64,
    capacity: usize,
}

/// The lock, held, with the name of its holder for L2.
struct Held<'a, A> {
    // In this order: the name goes before the lock does.
    _name: Name<'a>,
    inner: MutexGuard<'a, Inner<A>>,
}

struct Name<'a>(Option<&'a AtomicU64>);

impl Drop for Name<'_> {
    fn drop(&mut self) {
        if let Some(comparing) = self.0 {
            // Relaxed: each thread only ever looks for its own name, which it wrote itself.
            comparing.store(0, Ordering::Relaxed);
        }
    }
}

impl<A> Locked<A> {
    pub(crate) fn new<T>(capacity: Option<usize>) -> Self
    where
        A: Arrangement<T>,
    {
        let inner =
            Inner { items: A::default(), pushed: 0, closed: false, getters: false, putters: false };
        Self {
            inner: Mutex::new(inner),
            comparing: AtomicU64::new(0),
            capacity: capacity.unwrap_or(usize::MAX),
        }
    }

    #[inline]
    fn lock<T>(&self) -> Held<'_, A>
    where
        A: Arrangement<T>,
    {
        if !A::COMPARES {
            return Held { inner: self.inner.lock(), _name: Name(None) };
        }
        let me = thread::id().get();
        // Relaxed: as in `Name::drop`.
        assert!(
            self.comparing.load(Ordering::Relaxed) != me,
            "the Ord of an item used the very queue that was comparing the item"
        );
        let inner = self.inner.lock();
        self.comparing.store(me, Ordering::Relaxed);
        Held { inner, _name: Name(Some(&self.comparing)) }
    }
}

/// Calls `f`, which compares. After the first item a panic in `f` only ends the series: the user's
/// next call runs into the same panic at its first item. The payload goes to `spoiled`, to be
/// disposed of when the lock is released.
fn go_on<R>(done: usize, spoiled: &mut Option<Payload>, f: impl FnOnce() -> R) -> Option<R> {
    if done == 0 {
        return Some(f());
    }
    match user_code::run(f) {
        Ok(answer) => Some(answer),
        Err(payload) => {
            *spoiled = Some(payload);
            None
        }
    }
}

fn dispose_of(spoiled: Option<Payload>) {
    if let Some(payload) = spoiled {
        user_code::dispose_payload(payload);
    }
}

impl<T, A: Arrangement<T>> Buffer<T> for Locked<A> {
    #[inline]
    fn push(&self, item: T) -> Result<Wake, PushError<T>> {
        // A local that is dropped before `item`: L3.
        let mut held = self.lock();
        let inner = &mut *held.inner;
        if inner.closed {
            drop(held);
            return Err(PushError::Closed(item));
        }
        if inner.items.len() >= self.capacity {
            drop(held);
            return Err(PushError::Full(item));
        }
        let point = inner.items.insertion_point(&item);
        inner.items.insert(point, item);
        inner.pushed += 1;
        Ok(Wake(inner.getters))
    }

    #[inline]
    fn pop(&self) -> Result<(T, Wake), PopError> {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        match inner.items.choose() {
            Some(choice) => Ok((inner.items.remove(choice), Wake(inner.putters))),
            None if inner.closed => Err(PopError::Closed),
            None => Err(PopError::Empty),
        }
    }

    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Wake), Closed> {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        if inner.closed {
            return Err(Closed(()));
        }
        let mut count = 0;
        let mut spoiled = None;
        while inner.items.len() < self.capacity {
            let Some(item) = items.as_slice().first() else { break };
            let point = go_on(count, &mut spoiled, || inner.items.insertion_point(item));
            let Some(point) = point else { break };
            let Some(item) = items.next() else { unreachable!("it was looked at just now") };
            inner.items.insert(point, item);
            inner.pushed += 1;
            count += 1;
        }
        let wake = Wake(inner.getters);
        drop(held);
        dispose_of(spoiled);
        Ok((count, wake))
    }

    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Wake), PopError> {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        out.reserve(max.min(inner.items.len()));
        let mut count = 0;
        let mut spoiled = None;
        while count < max {
            let choice = go_on(count, &mut spoiled, || inner.items.choose());
            let Some(Some(choice)) = choice else { break };
            out.push(inner.items.remove(choice));
            count += 1;
        }
        let (wake, closed) = (Wake(inner.putters), inner.closed);
        drop(held);
        dispose_of(spoiled);
        match count {
            0 if closed => Err(PopError::Closed),
            0 => Err(PopError::Empty),
            _ => Ok((count, wake)),
        }
    }

    fn force_push(&self, item: T) -> Result<(Option<T>, Wake), Closed<T>> {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        if inner.closed {
            drop(held);
            return Err(Closed(item));
        }
        let evicted = if inner.items.len() >= self.capacity {
            let choice = inner.items.choose_last(&item);
            Some(inner.items.replace(choice, item))
        } else {
            let point = inner.items.insertion_point(&item);
            inner.items.insert(point, item);
            None
        };
        inner.pushed += 1;
        Ok((evicted, Wake(inner.getters)))
    }

    fn set_putters_parked(&self) -> bool {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        let wait = !inner.closed && inner.items.len() >= self.capacity;
        inner.putters |= wait;
        wait
    }

    fn set_getters_parked(&self) -> bool {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        let wait = !inner.closed && inner.items.len() == 0;
        inner.getters |= wait;
        wait
    }

    fn clear_putters_parked(&self) {
        self.lock().inner.putters = false;
    }

    fn clear_getters_parked(&self) {
        self.lock().inner.getters = false;
    }

    fn close(&self) {
        self.lock().inner.closed = true;
    }

    fn is_closed(&self) -> bool {
        self.lock().inner.closed
    }

    fn close_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T> {
        let mut held = self.lock();
        let inner = &mut *held.inner;
        // The only step that compares. If it panics, nothing has changed (L1).
        let order = inner.items.order();
        inner.closed = true;
        let items = inner.items.drain(order);
        drop(held);
        taken(items.len());
        items
    }

    fn len(&self) -> usize {
        self.lock().inner.items.len()
    }

    fn capacity(&self) -> Option<usize> {
        (self.capacity != usize::MAX).then_some(self.capacity)
    }

    fn pushed(&self) -> u64 {
        self.lock().inner.pushed
    }
}

impl<A> fmt::Debug for Locked<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locked").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}
