//! Lowest first.

use core::fmt;
use core::iter::FusedIterator;
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::time::Duration;
use std::time::Instant;

use sync_core::{CancelToken, Cancelled, user_code};

use crate::buffer::drop_each;
use crate::buffer::locked::{Arrangement, Locked, shrunk};
use crate::buffer::{Buffer, Closed, PushError};
use crate::queue::blocking::Blocking;
use crate::queue::error::{
    GetCancelError, GetError, PutCancelError, PutError, ShutDown, TooManyDone,
};
use crate::queue::iter::{Iter, TryIter};
use crate::queue::task_counter::Done;
use crate::queue::task_guard::TaskGuard;
use crate::wait::timeout::Timeout;

/// A priority queue for any number of producers and consumers: the lowest item first, and among
/// equals the item that came first.
///
/// Python's `queue.PriorityQueue`, with all that [`Queue`](crate::Queue) has; unlike Python's it is
/// stable. A lock over a 4-ary heap with sequence numbers: linearisable; blocking; threads are not
/// served fairly. A put and a get each cost the lock's two read-modify-writes and two stores (the
/// name of the comparing thread), and up to `log4(len)` or `4 * log4(len)` comparisons under the
/// lock.
///
/// For the highest first, put [`Reverse`](core::cmp::Reverse).
///
/// # Panics
///
/// If `Ord` panics, the panic comes out of the call that compared; the queue is as it was before
/// that call, with the item of a put dropped. An `Ord` that uses the very queue it is called by
/// panics: it would wait for itself.
///
/// ```
/// use sync_queue::PriorityQueue;
///
/// let queue = PriorityQueue::unbounded();
/// queue.put_many(vec![(2, "write"), (1, "read"), (3, "rest")]).unwrap();
/// assert!(queue.try_iter().eq([(1, "read"), (2, "write"), (3, "rest")]));
/// ```
#[doc(alias = "queue.PriorityQueue")]
#[doc(alias = "heap")]
pub struct PriorityQueue<T> {
    shared: Blocking<Locked<Heap<T>>>,
}

impl<T: Ord> PriorityQueue<T> {
    /// Returns the number of items that were put so far.
    pub(crate) fn pushed(&self) -> u64 {
        self.shared.buffer.pushed()
    }

    fn buffer(capacity: Option<usize>) -> Locked<Heap<T>> {
        Locked::new(capacity)
    }
}

queue_methods!(
    PriorityQueue: Ord,
    "The item that would have come last makes room: the highest, maybe `item` itself. Finding it \
     compares a good half of the items.",
    ""
);

/// A 4-ary heap: half the levels of a binary one, and the children of a node side by side in
/// memory.
///
/// Each entry has a number that grows with every insertion, so that no two are equal: the order is
/// total, and stable.
struct Heap<T> {
    entries: Vec<(T, u64)>,
    next: u64,
}

const ARITY: usize = 4;
/// Two bits select one of four children.
const BITS: u32 = ARITY.trailing_zeros();

/// The steps of a removal or a replacement, chosen before anything is changed.
#[derive(Clone, Copy)]
enum Plan {
    /// Takes the root out; the last entry goes down from there. Each pair of bits of `turns`
    /// selects a child.
    Down { turns: u64, levels: u32 },
    /// Takes out the entry `from`; the new one goes up from there to `to`.
    Up { from: usize, to: usize },
    /// Changes nothing.
    Bounce,
}

impl<T> Default for Heap<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), next: 0 }
    }
}

impl<T: Ord> Heap<T> {
    fn less(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.entries[a], &self.entries[b]);
        a.0.cmp(&b.0).then(a.1.cmp(&b.1)).is_lt()
    }

    /// Returns the place to which a new item rises from `at`. The item is younger than all others,
    /// so it stays below its equals.
    fn climb(&self, mut at: usize, item: &T) -> usize {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if item.cmp(&self.entries[parent].0).is_ge() {
                break;
            }
            at = parent;
        }
        at
    }

    fn raise(&mut self, mut from: usize, to: usize) {
        while from > to {
            let parent = (from - 1) / ARITY;
            self.entries.swap(from, parent);
            from = parent;
        }
    }
}

impl<T: Ord> Arrangement<T> for Heap<T> {
    const COMPARES: bool = true;
    type InsertionPoint = usize;
    type Choice = Plan;

    #[inline]
    fn insertion_point(&self, item: &T) -> usize {
        self.climb(self.entries.len(), item)
    }

    #[inline]
    fn insert(&mut self, point: usize, item: T) {
        self.entries.push((item, self.next));
        self.next += 1;
        self.raise(self.entries.len() - 1, point);
    }

    fn choose(&self) -> Option<Plan> {
        let last = self.entries.len().checked_sub(1)?;
        let (mut at, mut turns, mut levels) = (0, 0, 0);
        loop {
            let first = at * ARITY + 1;
            // Without the last: it is the one that goes down.
            let children = first..last.min(first + ARITY);
            let Some(least) = children.reduce(|a, b| if self.less(b, a) { b } else { a }) else {
                break;
            };
            if self.less(last, least) {
                break;
            }
            turns |= ((least - first) as u64) << (levels * BITS);
            levels += 1;
            at = least;
        }
        Some(Plan::Down { turns, levels })
    }

    fn remove(&mut self, plan: Plan) -> T {
        let (item, _) = self.entries.swap_remove(0);
        if let Some(capacity) = shrunk(self.entries.len(), self.entries.capacity()) {
            self.entries.shrink_to(capacity);
        }
        if let Plan::Down { turns, levels } = plan {
            let mut at = 0;
            for level in 0..levels {
                let child = at * ARITY + 1 + (turns >> (level * BITS)) as usize % ARITY;
                self.entries.swap(at, child);
                at = child;
            }
        }
        item
    }

    fn choose_last(&self, item: &T) -> Plan {
        // The highest is a leaf.
        let leaves = self.entries.len().saturating_sub(2) / ARITY..self.entries.len();
        match leaves.reduce(|a, b| if self.less(a, b) { b } else { a }) {
            Some(highest) if item.cmp(&self.entries[highest].0).is_lt() => {
                Plan::Up { from: highest, to: self.climb(highest, item) }
            }
            _ => Plan::Bounce,
        }
    }

    fn replace(&mut self, plan: Plan, item: T) -> T {
        let Plan::Up { from, to } = plan else { return item };
        let (evicted, _) = core::mem::replace(&mut self.entries[from], (item, self.next));
        self.next += 1;
        self.raise(from, to);
        evicted
    }

    fn order(&self) -> Vec<usize> {
        let mut order: Vec<_> = (0..self.entries.len()).collect();
        order.sort_unstable_by(|&a, &b| {
            let (a, b) = (&self.entries[a], &self.entries[b]);
            a.0.cmp(&b.0).then(a.1.cmp(&b.1))
        });
        order
    }

    fn drain(&mut self, order: Vec<usize>) -> Vec<T> {
        let entries = core::mem::take(&mut self.entries);
        let mut items: Vec<_> = entries.into_iter().map(|(item, _)| Some(item)).collect();
        let mut taken = Vec::with_capacity(order.len());
        for at in order {
            match items[at].take() {
                Some(item) => taken.push(item),
                None => unreachable!("an order names every entry once"),
            }
        }
        taken
    }

    #[inline]
    fn len(&self) -> usize {
        self.entries.len()
    }
}

impl<T> Drop for Heap<T> {
    fn drop(&mut self) {
        drop_each(|| self.entries.pop());
    }
}
