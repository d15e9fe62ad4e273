//! A queue for one producer and one consumer, without read-modify-writes: the fastest queue of this
//! crate, for two threads that never wait.
//!
//! # Source
//!
//! Lamport's ring, with each side keeping a copy of the other's position (as in FastForward,
//! MCRingBuffer, and rtrb): the other side's cache line is read only when the copy leaves nothing
//! to do.
//!
//! # Invariants
//!
//! S1. Only the producer moves the tail, only the consumer the head; `head <= tail <= head +
//! capacity`. Positions count up and never wrap.
//!
//! S2. Slots from head to tail hold items and are the consumer's, the others are the producer's.
//!
//! # Memory orderings
//!
//! Each side stores its position with Release and loads the other's with Acquire: a slot changes
//! hands with everything written in it.
//!
//! "Full" and "empty" are returned only after another look behind a SeqCst fence. Without the fence
//! both sides may be wrong at once: each stores its position and then reads the other's old one
//! (store buffering), the producer "full" and the consumer "empty". A call that succeeds pays
//! nothing.
//!
//! No thread sleeps here: that would cost the fence that this type is there to avoid. To wait, use
//! [`Queue`](crate::Queue).

use core::fmt;
use core::mem::MaybeUninit;
use core::panic::{RefUnwindSafe, UnwindSafe};

use crossbeam_utils::CachePadded;
use sync_core::primitive::MODELLED;
use sync_core::primitive::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use sync_core::primitive::cell::UnsafeCell;
use sync_core::primitive::sync::Arc;

use crate::buffer::{drop_each, with_capacity};

struct Shared<T> {
    head: CachePadded<AtomicU64>,
    tail: CachePadded<AtomicU64>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
    /// A power of two, less one.
    mask: u64,
    capacity: u64,
    /// One side is gone.
    abandoned: AtomicBool,
}

// SAFETY: each slot is touched by one side at a time (S2), and items go from one thread to another.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: each slot is touched by one side at a time (S2), also through a shared reference.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline]
    fn slot(&self, position: u64) -> &UnsafeCell<MaybeUninit<T>> {
        // SAFETY: there are `mask + 1` slots, at least one.
        unsafe { self.slots.get_unchecked((position & self.mask) as usize) }
    }
}

/// The producing end. From [`spsc`].
pub struct Producer<T> {
    shared: Arc<Shared<T>>,
    tail: u64,
    /// At most the true one.
    head: u64,
}

/// The consuming end. From [`spsc`].
pub struct Consumer<T> {
    shared: Arc<Shared<T>>,
    head: u64,
    /// At most the true one.
    tail: u64,
}

/// A queue for one producer and one consumer, with room for `capacity` items: wait-free,
/// linearisable, fair by nature. A put and a get each cost one store and, now and then, one load;
/// one that finds it full (or empty) a fence and two loads.
///
/// # Panics
///
/// If `capacity` is 0, or if there is no memory for that many items, rounded up to a power of two:
/// it is allocated at once.
///
/// ```
/// let (mut producer, mut consumer) = sync_queue::spsc(2);
/// producer.try_put(1).unwrap();
/// producer.try_put(2).unwrap();
/// assert_eq!(producer.try_put(3), Err(3));
/// assert_eq!(consumer.try_get(), Some(1));
/// ```
#[must_use]
#[track_caller]
pub fn spsc<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity > 0, "a bounded queue needs room for at least one item");
    let Some(count) = capacity.checked_next_power_of_two() else {
        panic!("no memory for a queue of {capacity} items")
    };
    let mut slots: Vec<UnsafeCell<MaybeUninit<T>>> = with_capacity(count);
    if MODELLED {
        slots.extend((0..count).map(|_| UnsafeCell::new(MaybeUninit::uninit())));
    } else {
        // SAFETY: there is room for `count` elements, and in a build that is not a checker's an
        // element is the value and nothing else: uninitialised, it needs no initialisation.
        unsafe { slots.set_len(count) };
    }
    let shared = Arc::new(Shared {
        head: CachePadded::new(AtomicU64::new(0)),
        tail: CachePadded::new(AtomicU64::new(0)),
        mask: slots.len() as u64 - 1,
        slots: slots.into_boxed_slice(),
        capacity: capacity as u64,
        abandoned: AtomicBool::new(false),
    });
    (
        Producer { shared: Arc::clone(&shared), tail: 0, head: 0 },
        Consumer { shared, head: 0, tail: 0 },
    )
}

/// The other side's position, for an answer that must be true of a moment within the call.
#[cold]
fn settled(position: &AtomicU64) -> u64 {
    // SeqCst: of two sides that each store a position and then look at the other's, one sees the
    // other's.
    fence(Ordering::SeqCst);
    // Acquire: as in `room` and `inside`.
    position.load(Ordering::Acquire)
}

impl<T> Producer<T> {
    /// Puts an item if there is room.
    ///
    /// # Errors
    ///
    /// The item, if there is none.
    #[inline]
    pub fn try_put(&mut self, item: T) -> Result<(), T> {
        if self.room() == 0 {
            return Err(item);
        }
        // SAFETY: there is room, so the slot is the producer's (S2), which is this thread (`&mut`).
        self.shared.slot(self.tail).with_mut(|slot| unsafe { (*slot).write(item) });
        self.tail += 1;
        // Release: hands the slot over. Pairs with the Acquire in `Consumer::inside`.
        self.shared.tail.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Puts items as long as there is room and `items` returns some, and returns their number. The
    /// consumer sees all of them at once: one store for the whole chunk. No item is taken from
    /// `items` that there is no room for.
    ///
    /// If `items` panics, the items before that are put.
    ///
    /// ```
    /// let (mut producer, mut consumer) = sync_queue::spsc(3);
    /// let mut items = 1..=5;
    /// assert_eq!(producer.try_put_many(&mut items), 3);
    /// assert_eq!(items, 4..=5);
    /// let mut chunk = Vec::new();
    /// assert_eq!(consumer.try_get_many(&mut chunk, 10), 3);
    /// assert_eq!(chunk, [1, 2, 3]);
    /// ```
    #[doc(alias = "write_chunk")]
    pub fn try_put_many(&mut self, items: &mut impl Iterator<Item = T>) -> usize {
        /// Hands the slots over that were filled, by a panic of the iterator too.
        struct Publish<'a, T> {
            producer: &'a mut Producer<T>,
            filled: u64,
        }
        impl<T> Drop for Publish<'_, T> {
            fn drop(&mut self) {
                if self.filled > 0 {
                    self.producer.tail += self.filled;
                    // Release: as in `try_put`, for all the slots.
                    self.producer.shared.tail.store(self.producer.tail, Ordering::Release);
                }
            }
        }
        let room = self.room_for_many();
        let mut publish = Publish { producer: self, filled: 0 };
        while publish.filled < room {
            let Some(item) = items.next() else { break };
            let at = publish.producer.tail + publish.filled;
            // SAFETY: there is room, so the slot is the producer's (S2), which is this thread
            // (`&mut`).
            publish.producer.shared.slot(at).with_mut(|slot| unsafe { (*slot).write(item) });
            publish.filled += 1;
        }
        publish.filled as usize
    }

    /// The room at the moment, not that of the last look.
    fn room_for_many(&mut self) -> u64 {
        // Acquire: as in `room`.
        self.head = self.shared.head.load(Ordering::Acquire);
        self.room()
    }

    /// Returns at least one if there is room at all; loads the head only if the copy leaves no
    /// room.
    #[inline]
    fn room(&mut self) -> u64 {
        if self.tail - self.head == self.shared.capacity {
            // Acquire: takes the slots over that the consumer has emptied.
            self.head = self.shared.head.load(Ordering::Acquire);
            if self.tail - self.head == self.shared.capacity {
                self.head = settled(&self.shared.head);
            }
        }
        self.shared.capacity - (self.tail - self.head)
    }

    /// Returns whether there is no room at the moment.
    #[must_use]
    pub fn is_full(&mut self) -> bool {
        self.room() == 0
    }

    /// Returns whether the consumer is gone.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        // Acquire: pairs with the Release in `drop`: what the consumer did before it went is seen.
        self.shared.abandoned.load(Ordering::Acquire)
    }

    /// Returns the number of items that there is room for in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity as usize
    }
}

impl<T> Consumer<T> {
    /// Gets the next item if there is one.
    #[inline]
    pub fn try_get(&mut self) -> Option<T> {
        if self.inside() == 0 {
            return None;
        }
        // SAFETY: there is an item, so the slot is the consumer's (S2), which is this thread
        // (`&mut`).
        let item =
            self.shared.slot(self.head).with_mut(|slot| unsafe { (*slot).assume_init_read() });
        self.head += 1;
        // Release: hands the slot back. Pairs with the Acquire in `Producer::room`.
        self.shared.head.store(self.head, Ordering::Release);
        Some(item)
    }

    /// Returns the next item without taking it out, if there is one.
    ///
    /// ```
    /// let (mut producer, mut consumer) = sync_queue::spsc(1);
    /// assert_eq!(consumer.peek(), None);
    /// producer.try_put(7).unwrap();
    /// assert_eq!(consumer.peek(), Some(&7));
    /// assert_eq!(consumer.try_get(), Some(7));
    /// ```
    #[inline]
    pub fn peek(&mut self) -> Option<&T> {
        if self.inside() == 0 {
            return None;
        }
        // SAFETY: there is an item, so the slot is the consumer's (S2), which this borrows (`&mut`)
        // as long as the reference lives: the head does not move, and no slot is reused.
        Some(self.shared.slot(self.head).with(|slot| unsafe { (*slot).assume_init_ref() }))
    }

    /// Appends the items that are inside to `out`, at most `max`, and returns their number. One
    /// store for the whole chunk.
    #[doc(alias = "read_chunk")]
    pub fn try_get_many(&mut self, out: &mut Vec<T>, max: usize) -> usize {
        let count = self.len().min(max);
        // Before anything is moved: it may panic.
        out.reserve(count);
        for at in self.head..self.head + count as u64 {
            // SAFETY: the items up to the tail are the consumer's (S2), which is this thread
            // (`&mut`). None is read twice: nothing in this loop panics, for there is room in
            // `out`, and the head moves past all of them behind it.
            out.push(self.shared.slot(at).with_mut(|slot| unsafe { (*slot).assume_init_read() }));
        }
        if count > 0 {
            self.head += count as u64;
            // Release: as in `try_get`, for all the slots.
            self.shared.head.store(self.head, Ordering::Release);
        }
        count
    }

    /// Returns the number of items inside at the moment. It can only grow until the consumer takes
    /// one.
    #[must_use]
    pub fn len(&mut self) -> usize {
        // Acquire: as in `inside`.
        self.tail = self.shared.tail.load(Ordering::Acquire);
        self.inside() as usize
    }

    /// Returns at least one if any item is inside; loads the tail only if the copy leaves no item.
    #[inline]
    fn inside(&mut self) -> u64 {
        if self.tail == self.head {
            // Acquire: takes the slots over that the producer has filled.
            self.tail = self.shared.tail.load(Ordering::Acquire);
            if self.tail == self.head {
                self.tail = settled(&self.shared.tail);
            }
        }
        self.tail - self.head
    }

    /// Returns whether the queue is empty at the moment.
    #[must_use]
    pub fn is_empty(&mut self) -> bool {
        self.inside() == 0
    }

    /// Returns whether the producer is gone. The items that it put are still inside.
    #[must_use]
    pub fn is_abandoned(&self) -> bool {
        // Acquire: pairs with the Release in `drop`: after it, an empty queue stays empty, and what
        // the producer did before is seen.
        self.shared.abandoned.load(Ordering::Acquire)
    }

    /// Returns the number of items that there is room for in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.shared.capacity as usize
    }
}

// A panic leaves an item moved out or not.
impl<T> UnwindSafe for Producer<T> {}
impl<T> RefUnwindSafe for Producer<T> {}
impl<T> UnwindSafe for Consumer<T> {}
impl<T> RefUnwindSafe for Consumer<T> {}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `is_abandoned`.
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `is_abandoned`.
        self.shared.abandoned.store(true, Ordering::Release);
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        // Relaxed: both sides are gone, and the `Arc` ordered what they did before this.
        let (head, tail) = (self.head.load(Ordering::Relaxed), self.tail.load(Ordering::Relaxed));
        let mut inside = head..tail;
        drop_each(|| {
            let slot = self.slot(inside.next()?);
            // SAFETY: slots from head to tail hold items (S2), and both sides are gone.
            Some(slot.with_mut(|slot| unsafe { (*slot).assume_init_read() }))
        });
    }
}

impl<T> fmt::Debug for Producer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("capacity", &self.capacity())
            .field("abandoned", &self.is_abandoned())
            .finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Consumer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("capacity", &self.capacity())
            .field("abandoned", &self.is_abandoned())
            .finish_non_exhaustive()
    }
}
