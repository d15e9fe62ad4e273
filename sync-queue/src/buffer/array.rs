//! The bounded buffer: an array of slots, used as a ring.
//!
//! # Source
//!
//! Dmitry Vyukov's bounded MPMC queue (1024cores.net), with the positions of crossbeam's
//! `ArrayQueue`: lap and index side by side, so that any capacity works, 1 included. The tail
//! carries `CLOSED`: closing is one step in the order of puts. Both ends carry `PARKED`
//! ([`cursor`](crate::buffer::cursor)).
//!
//! The ring between processes (sync-ipc) is another algorithm: there, a participant that is killed
//! between its claim and its store would stop all others.
//!
//! # State
//!
//! A position is `lap * one_lap + index`, `index < capacity < one_lap`, `one_lap` a power of two.
//! The slot that a position names has a stamp:
//!
//! | stamp | the slot |
//! |---|---|
//! | `p` | is free for the put that claims tail position `p` |
//! | `p`, `RESERVED` | is free, and was claimed by a put whose item comes later |
//! | `p`, `RESERVED`, `AWAITED` | the same, and getters may sleep until the item comes |
//! | `p + 1` | holds the item of position `p`, for the get that claims head position `p` |
//! | `p + one_lap` | was emptied: free for the put of the next lap, which is the first line again |
//! | `p + 1`, `VOID` | was reserved by a put that will never come: a get skips it, or a later put takes it |
//! | `p + 1`, `VOID`, `SKIPPED` | a get is about to move the head on over it |
//!
//! # Invariants
//!
//! R1. Only the thread that moved the tail on from `p` writes the slot of `p`. It does so only
//! after it has read stamp `p`, and ends by storing stamp `p + 1`.
//!
//! R2. Only the thread that moved the head on from `p` takes the item of `p`. It does so only after
//! it has read stamp `p + 1`, and ends by storing stamp `p + one_lap`.
//!
//! R3. So a value is inside the slot of `p` from the store of `p + 1` to the claim of head position
//! `p`; in `drop`, when no thread is in the middle of an operation, exactly the slots from head to
//! tail hold one.
//!
//! R4. `head <= tail <= head + capacity`, except that a `force_push` is one over for as long as it
//! takes to evict the oldest item.
//!
//! R5. A reservation is a claim of the tail whose item comes later: the thread that reserved `p`
//! marks the slot `RESERVED`, and later fills it, or marks it `VOID`. No getter passes over the
//! slot, and none waits for the thread, which runs user code in between: a ring with a reserved
//! slot at its head is empty. A getter that sleeps because of it marks the slot `AWAITED`, and the
//! thread that ends the reservation wakes all getters (items may be behind the slot). If the tail
//! was closed meanwhile, a getter makes the slot `VOID`, by a compare-exchange, and the reservation
//! fails. (It may have been forgotten, or be that of the very thread that drops the ring.) So the
//! thread that reserved takes the slot back by a compare-exchange before it changes anything: the
//! stamp is `p` again, as in the middle of a put. Only channels reserve; `force_push` and
//! `pop_many` find no `VOID` and no `RESERVED`.
//!
//! R6. A void slot belongs to the thread that changes its stamp next, by a compare-exchange. A
//! getter makes it `SKIPPED`, moves the head on over it, which no other thread does, and frees it.
//! A putter that finds the ring full takes a void slot at the end of the ring (nothing but void
//! slots is behind it) as if it had just reserved it. All items behind it were put after that
//! putter began, so it may go before them. A void slot before an item is room again when the items
//! before it are gone.
//!
//! R7. A putter does not sleep while the slot before the tail is void: it marks the head, and then
//! looks at the slot; the thread that leaves a slot void marks the slot, and then looks at the
//! head. A SeqCst fence stands between the two steps of each. In the same way a getter that has
//! marked a slot `AWAITED` looks at the tail, and the thread that closes the tail looks for
//! getters: one sees the other.
//!
//! # Memory orderings
//!
//! The stamp is stored with Release and loaded with Acquire: it hands the slot over, in both
//! directions. The cursors only order claims. "Full" and "empty" are answered after looking at the
//! opposite end behind a SeqCst fence, so that they are true of a moment within the call; a slot
//! whose claim is not finished yet does not count as free or as empty but is waited for.
//!
//! # Cost
//!
//! Put and get each: one compare-exchange, one load and one store of the stamp, one load of the own
//! end. Nothing else, blocking included.

mod reservation;

use core::fmt;
use core::mem::MaybeUninit;

use sync_core::primitive::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use sync_core::primitive::cell::UnsafeCell;

use crate::buffer::cursor::{CLOSED, Cursor, EXTRA, FLAGS, PARKED, SHIFT, STEP, saw_closed};
use crate::buffer::{Buffer, Closed, PopError, PushError, Wake, drop_each, with_capacity};
use crate::wait::spin::Backoff;

/// In a stamp: the slot was claimed, and no item will come (R5). It is no bit of a head that the
/// fast path of `pop` compares with.
const VOID: u64 = EXTRA;

/// In the stamp of a slot that is free: it was reserved (R5).
const RESERVED: u64 = EXTRA;

/// In a stamp, next to `RESERVED`: getters may sleep until the reservation ends (R5).
const AWAITED: u64 = PARKED;

/// In a stamp, next to `VOID`: a getter skips the slot (R6).
const SKIPPED: u64 = PARKED;

/// A position at the tail that was claimed and not filled (R5), and whether the claim found threads
/// parked.
#[must_use = "no getter passes over the place"]
pub(crate) struct Reserved {
    position: u64,
    wake: Wake,
}

/// The threads that the end of a reservation wakes.
#[must_use = "threads that are parked stay asleep unless the caller wakes them"]
pub(crate) struct Ended {
    /// Getters parked at the tail, or putters at the head.
    pub(crate) wake: Wake,
    /// Getters parked at the slot: all of them look again.
    pub(crate) awaited: Wake,
}

struct Slot<T> {
    stamp: AtomicU64,
    value: UnsafeCell<MaybeUninit<T>>,
}

impl<T> Slot<T> {
    /// # Safety
    ///
    /// The caller has claimed the slot's position at the tail and found it free (R1).
    unsafe fn fill(&self, position: u64, item: T) {
        // SAFETY: by R1 no other thread touches the cell.
        self.value.with_mut(|cell| unsafe { (*cell).write(item) });
        // Release: hands the item to the Acquire load of the stamp in `pop`.
        self.stamp.store(position + STEP, Ordering::Release);
    }

    /// # Safety
    ///
    /// The caller has claimed the slot's position at the head and found it filled (R2), and frees
    /// the slot afterwards.
    unsafe fn take(&self) -> T {
        // SAFETY: by R2 and R3 a value is inside, and no other thread touches the cell.
        self.value.with_mut(|cell| unsafe { (*cell).assume_init_read() })
    }

    fn free(&self, next: u64) {
        // Release: hands the empty slot to the Acquire load of the stamp in `push`.
        self.stamp.store(next, Ordering::Release);
    }

    #[inline]
    fn stamp(&self) -> u64 {
        // Acquire: pairs with the Release in `fill` and `free`.
        self.stamp.load(Ordering::Acquire)
    }

    #[cold]
    fn wait_for(&self, stamp: u64) {
        let mut backoff = Backoff::new();
        while self.stamp() != stamp {
            backoff.turn();
        }
    }
}

pub(crate) struct Array<T> {
    /// `CLOSED`: no more puts. `PARKED`: getters may sleep.
    tail: Cursor,
    /// `CLOSED`: no more gets. `PARKED`: putters may sleep.
    head: Cursor,
    slots: Box<[Slot<T>]>,
    /// The number of slots that were left void, and of those of them that were skipped or taken
    /// since, both in steps of a position.
    voids: AtomicU64,
    voids_gone: AtomicU64,
    /// The number of slots that were skipped, and of whose room no putter was told.
    skipped: AtomicUsize,
    /// The number of reservations that have ended, in steps of a position.
    ended: AtomicU64,
    /// In steps of a position.
    one_lap: u64,
    /// The bits of a position that say where in the lap it is, and their value at the last slot.
    in_lap: u64,
    last: u64,
}

// SAFETY: the ring hands items from one thread to another (Send), and no reference to one is ever
// given to two threads (R1, R2).
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: no reference to an item is ever given to two threads (R1, R2).
unsafe impl<T: Send> Sync for Array<T> {}

/// Returns whether the stamp is that of a slot that was reserved at `position`.
fn is_reserved(stamp: u64, position: u64) -> bool {
    stamp & !AWAITED == position + RESERVED
}

/// The reason why a slot is not ready.
enum NotReady {
    /// The ring is full (or empty), and was so at a moment within the call.
    Blocked,
    /// It is being emptied (or filled), or the position was out of date.
    Moved,
}

impl<T> Array<T> {
    /// # Panics
    ///
    /// If `capacity` is 0, or if there is no memory for that many items.
    #[track_caller]
    pub(crate) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a bounded queue needs room for at least one item");
        let mut slots: Vec<Slot<T>> = with_capacity(capacity);
        // It cannot overflow: a slot has 8 bytes, so memory ends long before.
        let one_lap = (capacity as u64 + 1).next_power_of_two() << SHIFT;
        slots.extend((0..capacity as u64).map(|index| Slot {
            stamp: AtomicU64::new(index << SHIFT),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }));
        Self {
            tail: Cursor::new(),
            head: Cursor::new(),
            slots: slots.into_boxed_slice(),
            voids: AtomicU64::new(0),
            voids_gone: AtomicU64::new(0),
            skipped: AtomicUsize::new(0),
            ended: AtomicU64::new(0),
            one_lap,
            in_lap: one_lap - STEP,
            last: (capacity as u64 - 1) << SHIFT,
        }
    }

    #[inline]
    fn index(&self, position: u64) -> usize {
        ((position & self.in_lap) >> SHIFT) as usize
    }

    #[inline]
    fn slot(&self, position: u64) -> &Slot<T> {
        let index = self.index(position);
        debug_assert!(index < self.slots.len());
        // SAFETY: positions come from 0, `next`, `step`, `next_lap`, `nth`, and one lap before one
        // of these; all of them keep the index below the capacity.
        unsafe { self.slots.get_unchecked(index) }
    }

    /// The position after `position`.
    #[inline]
    fn next(&self, position: u64) -> u64 {
        if position & self.in_lap == self.last {
            (position & !(self.one_lap - 1)) + self.one_lap
        } else {
            position + STEP
        }
    }

    /// The position after that of a whole word, flags kept.
    #[inline]
    fn step(&self, word: u64) -> u64 {
        if word & self.in_lap == self.last { self.next_lap(word) } else { word + STEP }
    }

    #[cold]
    fn next_lap(&self, word: u64) -> u64 {
        (word & !(self.one_lap - 1) | word & FLAGS) + self.one_lap
    }

    fn nth(&self, position: u64, n: usize) -> u64 {
        let index = self.index(position) + n;
        let laps = (index / self.slots.len()) as u64;
        (position & !(self.one_lap - 1))
            + laps * self.one_lap
            + (((index % self.slots.len()) as u64) << SHIFT)
    }

    /// The position before `position`, which is not 0.
    fn previous(&self, position: u64) -> u64 {
        if position & self.in_lap == 0 {
            position - self.one_lap + self.last
        } else {
            position - STEP
        }
    }

    /// Returns the number of positions before `position`.
    #[inline]
    fn count(&self, position: u64) -> u64 {
        position / self.one_lap * self.slots.len() as u64 + self.index(position) as u64
    }

    #[inline]
    fn distance(&self, head: u64, tail: u64) -> usize {
        (self.count(tail & !FLAGS).saturating_sub(self.count(head & !FLAGS))) as usize
    }

    /// Called with a tail whose slot is not free. Decides whether the queue is full, the slot is
    /// being emptied, or the tail was out of date.
    #[cold]
    fn full_or_moved(&self, tail: u64) -> NotReady {
        let head = self.head.settled();
        // The head was read after the tail, so at that moment the queue held at least this many.
        if self.distance(head, tail) >= self.slots.len() {
            NotReady::Blocked
        } else {
            NotReady::Moved
        }
    }

    /// Called with a head whose slot holds nothing. Decides whether the queue is empty, the slot is
    /// being filled, or the head was out of date.
    #[cold]
    fn empty_or_moved(&self, head: u64) -> Result<NotReady, PopError> {
        let tail = self.tail.settled();
        // The tail never falls behind the head, and the head was here before. So if they are equal,
        // no item was inside when the tail was read.
        if (tail ^ head) & !FLAGS != 0 {
            return Ok(NotReady::Moved);
        }
        // In the same word as the position: after the last put there is no item to be missed.
        if tail & CLOSED != 0 { Err(PopError::Closed) } else { Ok(NotReady::Blocked) }
    }

    /// Returns the number of slots in a row, from `position` on and at most `max`, that have the
    /// stamp that `ready` gives for their position.
    fn run(&self, position: u64, max: usize, ready: u64) -> u64 {
        let mut at = position;
        let mut length = 0;
        while length < max.min(self.slots.len()) as u64 && self.slot(at).stamp() == at + ready {
            at = self.next(at);
            length += 1;
        }
        length
    }

    /// As `push`, in the general case.
    #[cold]
    fn push_contended(&self, item: T) -> Result<Wake, PushError<T>> {
        match self.claim_tail() {
            Ok(Reserved { position, wake }) => {
                // SAFETY: the position was claimed just now, and its slot was found free (R1).
                unsafe { self.slot(position).fill(position, item) };
                Ok(wake)
            }
            Err(PushError::Full(())) => Err(PushError::Full(item)),
            Err(PushError::Closed(())) => Err(PushError::Closed(item)),
        }
    }

    /// Claims the next position at the tail. The caller fills its slot at once, or marks it as
    /// reserved.
    fn claim_tail(&self) -> Result<Reserved, PushError<()>> {
        let mut backoff = None;
        let mut tail = self.tail.relaxed();
        loop {
            if tail & CLOSED != 0 {
                saw_closed();
                return Err(PushError::Closed(()));
            }
            let position = tail & !FLAGS;
            if self.slot(position).stamp() == position {
                match self.tail.claim(tail, self.next(position) | (tail & FLAGS)) {
                    Ok(_) => return Ok(Reserved { position, wake: Wake(tail & PARKED != 0) }),
                    Err(now) => tail = now,
                }
                continue;
            }
            if let NotReady::Blocked = self.full_or_moved(tail) {
                let now = self.tail.acquire();
                if now & CLOSED != 0 {
                    return Err(PushError::Closed(()));
                }
                match self.take_void(now & !FLAGS) {
                    // Getters that were parked before the slot was claimed first are parked still:
                    // the ring was not empty since.
                    Ok(Some(position)) => {
                        return Ok(Reserved { position, wake: Wake(now & PARKED != 0) });
                    }
                    // Still full: so it was when the last slot was found not to be void.
                    Ok(None) if self.distance(self.head.acquire(), now) >= self.slots.len() => {
                        return Err(PushError::Full(()));
                    }
                    _ => {}
                }
            }
            backoff.get_or_insert_with(Backoff::new).turn();
            tail = self.tail.relaxed();
        }
    }

    /// Returns whether no item is inside and the tail is open: a hint, without the fence of the
    /// answer "empty". A thread that sleeps because of it confirms it by `set_getters_parked`.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // Relaxed, both: a hint. The stamp first: where an item is inside, the tail is not read,
        // whose cache line is the putters'.
        let position = self.head.relaxed() & !FLAGS;
        self.slot(position).stamp() == position && self.tail.relaxed() & !PARKED == position
    }

    /// Returns whether a put would find room.
    pub(crate) fn has_room(&self) -> bool {
        let tail = self.tail.acquire() & !FLAGS;
        self.distance(self.head.acquire(), tail) < self.slots.len() || self.ends_void(tail)
    }

    /// Returns a number that changes with each push, with each reservation and its end, and with
    /// the close. For answers that must be true of one moment for several queues. Positions and
    /// `ended` only grow, so their sum does.
    pub(crate) fn arrivals(&self) -> u64 {
        // Relaxed: the caller's fence orders it.
        let ended = self.ended.load(Ordering::Relaxed);
        let tail = self.tail.acquire();
        (tail & !FLAGS).wrapping_add(ended) | (tail & CLOSED)
    }

    /// Returns whether a get would find an item. It may be wrong where slots were left void.
    pub(crate) fn has_item(&self) -> bool {
        self.len() > 0 && {
            let position = self.head.acquire() & !FLAGS;
            !is_reserved(self.slot(position).stamp(), position)
        }
    }

    /// Returns a number that changes with each pop, with each slot that is left void, and with the
    /// close. Positions and `voids` only grow, so their sum does.
    pub(crate) fn departures(&self) -> u64 {
        // Relaxed: the caller's fence orders it.
        let voids = self.voids.load(Ordering::Relaxed);
        (self.head.acquire() & !FLAGS).wrapping_add(voids) | (self.tail.acquire() & CLOSED)
    }

    /// As `pop`, in the general case. `drainer`: the thread that shut the head, the only one that
    /// may pop from then on.
    #[cold]
    fn pop_as(&self, drainer: bool) -> Result<(T, Wake), PopError> {
        let mut backoff = None;
        let mut head = self.head.relaxed();
        loop {
            if head & CLOSED != 0 && !drainer {
                saw_closed();
                return Err(PopError::Closed);
            }
            let position = head & !FLAGS;
            let slot = self.slot(position);
            let stamp = slot.stamp();
            if stamp == position + STEP {
                match self.head.claim(head, self.next(position) | (head & FLAGS)) {
                    Ok(_) => {
                        // SAFETY: the position was claimed, and its slot was found filled (R2).
                        let item = unsafe { slot.take() };
                        slot.free(position + self.one_lap);
                        return Ok((item, Wake(head & PARKED != 0)));
                    }
                    Err(now) => head = now,
                }
                continue;
            }
            if stamp == position + STEP + VOID && self.skip_void(head) {
                head = self.head.acquire();
                continue;
            }
            if is_reserved(stamp, position) {
                if drainer || self.tail.acquire() & CLOSED != 0 {
                    self.abandon(position);
                    continue;
                }
                // The next item is not sent yet (R5).
                return Err(PopError::Empty);
            }
            if stamp == position && matches!(self.empty_or_moved(head)?, NotReady::Blocked) {
                return Err(PopError::Empty);
            }
            backoff.get_or_insert_with(Backoff::new).turn();
            head = self.head.relaxed();
        }
    }
}

impl<T> Buffer<T> for Array<T> {
    #[inline]
    fn push(&self, item: T) -> Result<Wake, PushError<T>> {
        self.push_fast(item).or_else(|item| self.push_contended(item))
    }

    #[inline]
    fn pop(&self) -> Result<(T, Wake), PopError> {
        self.pop_fast().map_or_else(|| self.pop_as(false), Ok)
    }

    const HAS_FAST_PATH: bool = true;

    #[inline(always)]
    fn push_fast(&self, item: T) -> Result<Wake, T> {
        let tail = self.tail.relaxed();
        let position = tail & !FLAGS;
        // All that is read of the ring itself is read before the stamp, whose Acquire would make
        // the compiler read it again.
        let (slot, next) = (self.slot(position), self.step(tail));
        // Both in one comparison: the slot is free, and the end is not shut, for no stamp has that
        // bit.
        if slot.stamp() == tail & !(FLAGS ^ CLOSED) && self.tail.claim(tail, next).is_ok() {
            // SAFETY: the position was claimed, and its slot was found free (R1).
            unsafe { slot.fill(position, item) };
            return Ok(Wake(tail & PARKED != 0));
        }
        Err(item)
    }

    #[inline(always)]
    fn pop_fast(&self) -> Option<(T, Wake)> {
        let head = self.head.relaxed();
        let position = head & !FLAGS;
        let (slot, next, one_lap) = (self.slot(position), self.step(head), self.one_lap);
        // As in `push`: filled, and not shut.
        if slot.stamp() == (head & !(FLAGS ^ CLOSED)) + STEP && self.head.claim(head, next).is_ok()
        {
            // SAFETY: the position was claimed, and its slot was found filled (R2).
            let item = unsafe { slot.take() };
            slot.free(position + one_lap);
            return Some((item, Wake(head & PARKED != 0)));
        }
        None
    }

    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Wake), Closed> {
        let mut backoff = Backoff::new();
        let mut tail = self.tail.relaxed();
        loop {
            if tail & CLOSED != 0 {
                saw_closed();
                return Err(Closed(()));
            }
            let mut position = tail & !FLAGS;
            let length = self.run(position, items.len(), 0) as usize;
            if length > 0 {
                match self.tail.claim(tail, self.nth(position, length) | (tail & FLAGS)) {
                    Ok(_) => {
                        for item in items.take(length) {
                            // SAFETY: as in `push`. No other thread has claimed a slot of the run
                            // since it was found free: the tail would have moved, and the claim
                            // would have failed.
                            unsafe { self.slot(position).fill(position, item) };
                            position = self.next(position);
                        }
                        return Ok((length, Wake(tail & PARKED != 0)));
                    }
                    Err(now) => tail = now,
                }
                continue;
            }
            if let NotReady::Blocked = self.full_or_moved(tail) {
                let now = self.tail.acquire();
                return if now & CLOSED != 0 { Err(Closed(())) } else { Ok((0, Wake(false))) };
            }
            backoff.turn();
            tail = self.tail.relaxed();
        }
    }

    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Wake), PopError> {
        let mut backoff = Backoff::new();
        let mut head = self.head.relaxed();
        loop {
            if head & CLOSED != 0 {
                saw_closed();
                return Err(PopError::Closed);
            }
            let mut position = head & !FLAGS;
            let length = self.run(position, max, STEP) as usize;
            if length > 0 {
                // Before the claim: it may panic.
                out.reserve(length);
                match self.head.claim(head, self.nth(position, length) | (head & FLAGS)) {
                    Ok(_) => {
                        // `extend` knows the length, and looks at the capacity once.
                        out.extend((0..length).map(|_| {
                            let slot = self.slot(position);
                            // SAFETY: as in `pop_as`; the claim would have failed if another had
                            // taken an item of the run.
                            let item = unsafe { slot.take() };
                            slot.free(position + self.one_lap);
                            position = self.next(position);
                            item
                        }));
                        return Ok((length, Wake(head & PARKED != 0)));
                    }
                    Err(now) => head = now,
                }
                continue;
            }
            if self.slot(position).stamp() == position
                && matches!(self.empty_or_moved(head)?, NotReady::Blocked)
            {
                return Err(PopError::Empty);
            }
            backoff.turn();
            head = self.head.relaxed();
        }
    }

    fn force_push(&self, item: T) -> Result<(Option<T>, Wake), Closed<T>> {
        let mut backoff = Backoff::new();
        loop {
            let tail = self.tail.acquire();
            if tail & CLOSED != 0 {
                return Err(Closed(item));
            }
            let position = tail & !FLAGS;
            let slot = self.slot(position);
            let stamp = slot.stamp();
            let next = self.next(position) | (tail & FLAGS);
            if stamp == position {
                if self.tail.claim(tail, next).is_ok() {
                    // SAFETY: as in `push`.
                    unsafe { slot.fill(position, item) };
                    return Ok((None, Wake(tail & PARKED != 0)));
                }
                continue;
            }
            let oldest = position.wrapping_sub(self.one_lap);
            // Only from exactly full (R4): a `force_push` before this one must have evicted its
            // item first.
            if stamp == oldest.wrapping_add(STEP) && self.head.acquire() & !FLAGS == oldest {
                if self.tail.claim(tail, next).is_ok() {
                    let evicted = self.evict(position, oldest);
                    // SAFETY: the position was claimed; the slot is free, either because its item
                    // was evicted just now, which claimed it at the head too, or because another
                    // took it and freed it, which `evict` has waited for.
                    unsafe { slot.fill(position, item) };
                    return Ok((evicted, Wake(tail & PARKED != 0)));
                }
                continue;
            }
            backoff.turn();
        }
    }

    fn set_putters_parked(&self) -> bool {
        let head = self.head.acquire();
        let tail = self.tail.acquire();
        // If `set_parked` succeeds, the head is unchanged, and the tail, which never goes back, is
        // at least where it was: full.
        tail & CLOSED == 0
            && self.distance(head, tail) >= self.slots.len()
            && self.head.set_parked(head)
            // Once more: `PARKED` is at the head, and closing happens at the tail, then clears
            // `PARKED` at the head. Either the clearing finds this flag, and all are woken; or the
            // flag came after it, and what came before the clearing is seen. The fence in it: R7.
            && {
                let tail = self.tail.settled();
                tail & CLOSED == 0 && !self.ends_void(tail & !FLAGS)
            }
    }

    fn set_getters_parked(&self) -> bool {
        loop {
            let tail = self.tail.acquire();
            let head = self.head.acquire();
            if (tail | head) & CLOSED != 0 {
                return false;
            }
            // If `set_parked` succeeds, the tail is unchanged, and the head, which never passes it,
            // is at the same position: empty.
            if (tail ^ head) & !FLAGS == 0 {
                return self.tail.set_parked(tail);
            }
            let position = head & !FLAGS;
            let stamp = self.slot(position).stamp();
            if is_reserved(stamp, position) {
                return self.set_awaited(position, stamp);
            }
            let is_void = stamp == position + STEP + VOID;
            if !is_void || !self.skip_void(head) {
                return false;
            }
        }
    }

    fn skipped(&self) -> usize {
        // Relaxed: see `skip_void`.
        self.skipped.swap(0, Ordering::Relaxed)
    }

    fn clear_putters_parked(&self) {
        self.head.clear_parked();
    }

    fn clear_getters_parked(&self) {
        self.tail.clear_parked();
    }

    fn close(&self) {
        self.tail.close();
        // See `set_putters_parked`.
        self.head.clear_parked();
        // SeqCst: the caller looks for getters next (R7).
        fence(Ordering::SeqCst);
    }

    fn is_closed(&self) -> bool {
        self.tail.acquire() & CLOSED != 0
    }

    fn close_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T> {
        self.close();
        // Before the head is shut: it may panic. The tail moves no more, so this is enough.
        let mut items = Vec::with_capacity(self.len());
        if self.head.close() & CLOSED == 0 {
            while let Ok((item, _)) = self.pop_as(true) {
                items.push(item);
            }
        }
        taken(items.len());
        items
    }

    fn len(&self) -> usize {
        loop {
            let tail = self.tail.acquire();
            let head = self.head.acquire();
            if head & CLOSED != 0 {
                return 0;
            }
            // Relaxed, both: a snapshot. First those that are gone: there are no more of them.
            let gone = self.voids_gone.load(Ordering::Relaxed);
            let voids = self.voids.load(Ordering::Relaxed).saturating_sub(gone) / STEP;
            // Unchanged: both were so at one moment.
            if self.tail.acquire() & !FLAGS == tail & !FLAGS {
                let places = self.distance(head, tail).min(self.slots.len());
                return places.saturating_sub(voids as usize);
            }
        }
    }

    fn capacity(&self) -> Option<usize> {
        Some(self.slots.len())
    }

    fn pushed(&self) -> u64 {
        self.count(self.tail.acquire() & !FLAGS)
    }
}

impl<T> Array<T> {
    /// After the tail was claimed at `position` over a full ring: takes the oldest item, whose slot
    /// it is, out, unless a getter does.
    fn evict(&self, position: u64, oldest: u64) -> Option<T> {
        let slot = self.slot(position);
        let mut head = self.head.acquire();
        while head & CLOSED == 0 && head & !FLAGS == oldest {
            match self.head.claim(head, self.next(oldest) | (head & FLAGS)) {
                // SAFETY: the head was claimed at `oldest`, whose slot was found filled before the
                // tail was claimed (R2). The stamp stays: the slot goes straight to the new item.
                Ok(_) => return Some(unsafe { slot.take() }),
                Err(now) => head = now,
            }
        }
        slot.wait_for(position);
        None
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        drop_each(|| self.pop_as(true).ok().map(|(item, _)| item));
    }
}

impl<T> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array")
            .field("head", &self.head)
            .field("tail", &self.tail)
            .field("capacity", &self.slots.len())
            .finish()
    }
}
