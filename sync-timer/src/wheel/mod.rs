//! The data structure under the scheduler, alone: single-threaded, without a clock, without a
//! thread.
//!
//! # Source of the algorithm
//!
//! G. Varghese and A. Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 7, with
//! three changes:
//!
//! * **occupancy bitmaps**: the next bucket is found by two `trailing_zeros`, so that time is
//!   skipped and never ticked through;
//! * **a sorted run and a heap for the present**: what is due within the current tick is ordered by
//!   its nanosecond deadline, so that timers fire in nanosecond order whatever the tick length. A
//!   bucket is sorted at once, which is cheaper than any queue; a 4-ary heap takes timers that come
//!   later, or in too large a number;
//! * **a bucket knows its earliest deadline**, so that a far timer costs one wake-up and not one on
//!   every level it sinks through.
//!
//! # States of an entry
//!
//! | location | linked in | moved on by |
//! |---|---|---|
//! | `Free` | its chunk's free list | `insert` |
//! | `Bucket` | the array of one bucket: its tick is after `position` | `cascade` into a lower bucket or the heap; `remove` |
//! | `Run` | the sorted run, without a link back: its tick is `position` or earlier, or it was due when its bucket was drained | `detach`, `remove` |
//! | `Heap` | the heap: its tick is `position` or earlier | `detach`, `remove` |
//! | `Detached` | nothing; its key is still good | `attach` back into a bucket or the heap, `release` into `Free` |
//!
//! # Invariants
//!
//! Let a tick be `deadline >> 16` (65.5 us), written in base 64, and `position` a tick.
//!
//! 1. An entry whose tick is at most `position` is in the heap or the run. Any other one is in the
//!    bucket (level, digit), where level is the highest at which its tick and `position` differ,
//!    and digit is its tick's digit there. The one exception is the bucket being drained.
//! 2. So the first digit of the lowest level that is occupied is the earliest bucket of all; and
//!    everything in the heap and the run is before it.
//! 3. `position` never goes back, and never passes the start of an occupied bucket without draining
//!    it. Between those, raising it leaves every entry where (1) wants it: the digits above an
//!    entry's level are equal for all positions up to its bucket's start.
//! 4. A bucket's `earliest` is at most the deadline of each of its entries (a cancelled one may
//!    have left it too early, never too late).
//! 5. Moving from a bucket lowers an entry's level, so it moves at most eight times, whatever
//!    happens.
//! 6. While a bucket is being drained, no entry is detached: entries left in the bucket may be
//!    earlier than those of the heap.
//! 7. A run begins when the run before it is used up, and is sorted. A cancelled or moved timer
//!    leaves a stale item in it, whose entry is elsewhere; the last item, which is the next one
//!    due, is never stale.
//!
//! `position` may be ahead of the time: a bucket with many entries is drained shortly before its
//! first one is due, so that the first ones do not pay for the rest. Never early all the same: only
//! `first_sorted` chooses timers to fire, and it compares nanoseconds.

mod bits;
mod heap;
mod slab;

use core::fmt;
use core::num::NonZeroU64;

pub use self::slab::Key;

use sync_core::primitive::hint::prefetch;

use self::heap::{Heap, Item};
use self::slab::{Location, Slab};

/// Nanoseconds of a tick, as a power of two: 65.5 us. Finer ticks mean more levels to sink through,
/// coarser ones a larger heap.
const TICK_BITS: u32 = 16;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
/// Together the levels hold all 64-bit nanoseconds: 584 years.
const LEVELS: usize = (u64::BITS - TICK_BITS).div_ceil(LEVEL_BITS) as usize;

/// The cost of draining one entry, in nanoseconds: a bucket is drained earlier by this for each
/// entry in it.
const DRAIN_COST: u64 = 64;
/// The longest time, in nanoseconds, by which a bucket is drained earlier.
const LONGEST_LEAD: u64 = 4_000_000;

/// A bucket of no more entries than this is sorted instead of being sorted down: 0.2 to 0.4 ms of
/// work.
///
/// Where 100,000 timers fall into 5 ms, a bucket has 1,300. With a limit of 1,024 they went through
/// the heap, and each timer took 1.2 times as long on an EPYC and 1.4 times on a Xeon; the lateness
/// was the same.
const LONGEST_RUN: usize = 8192;

/// The number of entries ahead of which memory is asked for. They lie in the order of their
/// insertion, and are needed in the order of their deadlines.
const AHEAD: usize = 8;

/// Entries by their numbers, in no order: an array and not a list, so that draining it does not
/// wait for one entry's memory after the other.
#[derive(Debug)]
struct Bucket {
    /// Invariant 4. Of no meaning in an empty bucket.
    earliest: u64,
    entries: Vec<u32>,
}

impl Bucket {
    const EMPTY: Self = Self { earliest: u64::MAX, entries: Vec::new() };
    /// As many numbers an empty bucket may keep memory for.
    const KEPT: usize = 16;

    /// When draining should begin so that the first entry is not late for it.
    fn wake(&self) -> u64 {
        self.earliest.saturating_sub((self.entries.len() as u64 * DRAIN_COST).min(LONGEST_LEAD))
    }

    /// After entries have gone.
    #[inline]
    fn give_back(&mut self) {
        if self.entries.capacity() > Self::KEPT && self.entries.len() <= self.entries.capacity() / 4
        {
            self.entries.shrink_to((self.entries.capacity() / 2).max(Self::KEPT));
        }
    }
}

/// Timers in the order of their deadlines: O(1) `insert` and `remove`, and a cost for firing that
/// does not depend on how many others wait.
///
/// Deadlines and times are nanoseconds since a moment of the caller's choice. Equal deadlines come
/// out in the order they were put in. Nothing here knows what time it is: this is the structure to
/// test, to compare, or to drive from an event loop of one's own. With threads, clocks and
/// callbacks around it, it is a [`Scheduler`](crate::Scheduler).
///
/// The source of the algorithm and its invariants are in the [module's documentation](self).
///
/// ```
/// use sync_timer::wheel::TimerWheel;
///
/// let mut wheel = TimerWheel::new();
/// let hour = wheel.insert(3_600_000_000_000, "an hour");
/// wheel.insert(5_000, "five microseconds");
/// wheel.insert(1_000, "one microsecond");
///
/// assert_eq!(wheel.pop(999), None); // never early
/// assert_eq!(wheel.pop(6_000).map(|(_, what)| what), Some("one microsecond"));
/// assert_eq!(wheel.pop(6_000), Some((5_000, "five microseconds")));
/// assert_eq!(wheel.pop(6_000), None);
/// assert_eq!(wheel.remove(hour), Some("an hour"));
/// assert_eq!(wheel.remove(hour), None); // a key is good for one timer only
/// assert!(wheel.is_empty());
/// ```
pub struct TimerWheel<T> {
    slab: Slab<T>,
    heap: Heap,
    /// Latest first. Invariant 7.
    run: Vec<Item>,
    buckets: Box<[[Bucket; SLOTS]; LEVELS]>,
    /// Which slots of a level are occupied.
    occupied: [u64; LEVELS],
    /// Which levels are occupied.
    levels: u8,
    position: u64,
    /// The bucket that `advance` is at work on.
    draining: Option<u32>,
}

impl<T> TimerWheel<T> {
    /// The value of the timer that is `ahead` places behind the first one of the run.
    #[inline]
    pub(crate) fn ahead(&self, ahead: usize) -> Option<&T> {
        let &Item { serial, index, .. } =
            self.run.len().checked_sub(ahead + 1).and_then(|at| self.run.get(at))?;
        self.slab.find(Key { index, serial })?.value.as_ref()
    }

    /// An empty wheel.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slab: Slab::new(),
            heap: Heap::new(),
            run: Vec::new(),
            buckets: Box::new([const { [const { Bucket::EMPTY }; SLOTS] }; LEVELS]),
            occupied: [0; LEVELS],
            levels: 0,
            position: 0,
            draining: None,
        }
    }

    /// Returns the number of timers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slab.len()
    }

    /// Returns whether there is no timer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held, for timers that are there and for some that may come; not what the values
    /// themselves point to.
    #[must_use]
    pub fn allocated_bytes(&self) -> usize {
        size_of::<Self>()
            + size_of_val(&*self.buckets)
            + self
                .buckets
                .as_flattened()
                .iter()
                .map(|bucket| bucket.entries.capacity() * size_of::<u32>())
                .sum::<usize>()
            + self.slab.capacity() * size_of::<slab::Entry<T>>()
            + (self.heap.capacity() + self.run.capacity()) * size_of::<Item>()
    }

    /// Adds a timer. A deadline in the past is due at once.
    pub fn insert(&mut self, deadline: u64, value: T) -> Key {
        let key = self.slab.insert(deadline, value);
        self.link(key.index, deadline);
        key
    }

    /// Takes a timer out; `None` if it is not here any more.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.unlink(key).then(|| self.slab.remove(key.index)).flatten()
    }

    /// Moves a timer to another deadline; `false` if it is not here any more. Among equal deadlines
    /// it keeps the rank of its insertion.
    pub fn reschedule(&mut self, key: Key, deadline: u64) -> bool {
        self.relink(key, deadline)
    }

    /// The deadline of a timer that is here.
    #[must_use]
    pub fn deadline(&self, key: Key) -> Option<u64> {
        self.slab.find(key).map(|entry| entry.deadline)
    }

    /// Takes out the timer with the earliest deadline, and returns it with the deadline, if that is
    /// `now` or earlier.
    pub fn pop(&mut self, now: u64) -> Option<(u64, T)> {
        while !self.advance(now, usize::MAX) {}
        let (key, deadline) = self.first_sorted(now)?;
        self.release(key).map(|value| (deadline, value))
    }

    /// Returns when [`pop`](Self::pop) should be called next: never after the earliest deadline,
    /// and usually exactly then.
    ///
    /// Before it if the timer that was the earliest has been cancelled, or when there is much to
    /// sort first.
    #[must_use]
    pub fn next_wake(&self) -> Option<u64> {
        let present = self.first().map(|item| item.deadline);
        let bucket = match self.draining {
            Some(_) => Some(0),
            None => self.first_bucket().map(|(number, _)| self.bucket(number).wake()),
        };
        // With None as "never": `flatten` keeps what there is.
        [present, bucket].into_iter().flatten().min()
    }

    /// Tells the wheel what time it is, without the work that may be due by now: later inserts then
    /// find their place sooner.
    pub fn observe(&mut self, now: u64) {
        if self.draining.is_some() {
            return;
        }
        let tick = now >> TICK_BITS;
        let limit = self.first_bucket().map_or(u64::MAX, |(_, start)| start - 1);
        // Invariant 3: not past the start of an occupied bucket.
        self.position = self.position.max(tick.min(limit));
    }

    /// Brings `position` up to `now`, or as far as something is due, moving at most about `budget`
    /// entries. `true` once all is done.
    pub(crate) fn advance(&mut self, now: u64, budget: usize) -> bool {
        let tick = now >> TICK_BITS;
        let mut left = budget;
        loop {
            if !self.cascade(&mut left) {
                return false;
            }
            if self.first().is_some_and(|item| item.deadline <= now) {
                // Earlier than all entries of the buckets (invariant 2).
                return true;
            }
            match self.first_bucket() {
                // Drained when its time has come, and also when the position reaches it: the
                // calling thread is awake anyway.
                Some((number, start)) if start <= tick || self.bucket(number).wake() <= now => {
                    self.position = start;
                    let last = start + ((1 << ((number >> LEVEL_BITS) * LEVEL_BITS)) - 1);
                    let present = last <= tick || number < SLOTS as u32;
                    if present
                        && self.run.is_empty()
                        && self.bucket(number).entries.len() <= LONGEST_RUN
                    {
                        // Its whole span: a timer linked from now on among those of the run has to
                        // go to the heap (invariant 2).
                        self.position = last;
                        self.sort(number);
                    } else {
                        self.draining = Some(number);
                    }
                }
                _ => break,
            }
        }
        // Invariant 3: every occupied bucket starts after `tick`.
        self.position = self.position.max(tick);
        true
    }

    /// Moves the entries of the bucket that is being drained, `left` at most, into lower buckets or
    /// the heap. Returns whether none is left.
    #[inline]
    fn cascade(&mut self, left: &mut usize) -> bool {
        let Some(number) = self.draining else { return true };
        while let Some(&index) = self.bucket(number).entries.last() {
            if *left == 0 {
                return false;
            }
            *left -= 1;
            let entries = &self.bucket(number).entries;
            let ahead = entries.len().checked_sub(AHEAD + 1).map(|at| entries[at]);
            if let Some(ahead) = ahead {
                prefetch(self.slab.entry(ahead));
            }
            self.unlink_bucket(index);
            let deadline = self.slab.entry(index).deadline;
            self.link(index, deadline);
        }
        self.draining = None;
        true
    }

    /// Makes a run of a bucket whose entries are all due, or of the current tick.
    fn sort(&mut self, number: u32) {
        let (level, slot) = ((number >> LEVEL_BITS) as usize, number as usize & (SLOTS - 1));
        let mut entries = core::mem::take(&mut self.buckets[level][slot].entries);
        self.emptied(level, slot);
        for at in 0..entries.len() {
            if let Some(&ahead) = entries.get(at + AHEAD) {
                prefetch(self.slab.entry(ahead));
            }
            let index = entries[at];
            let entry = self.slab.entry(index);
            entry.location = Location::Run;
            self.run.push(Item { deadline: entry.deadline, serial: entry.serial, index });
        }
        entries.clear();
        self.run.sort_unstable_by_key(|item| core::cmp::Reverse((item.deadline, item.serial)));
        if entries.capacity() <= Bucket::KEPT {
            self.buckets[level][slot].entries = entries;
        }
    }

    /// Drops stale items off the run's end (invariant 7).
    #[inline]
    fn trim_run(&mut self) {
        while let Some(&Item { serial, index, .. }) = self.run.last() {
            if self
                .slab
                .find(Key { index, serial })
                .is_some_and(|entry| entry.location == Location::Run)
            {
                break;
            }
            self.run.pop();
        }
    }

    /// The earliest of what is in the heap and the run.
    #[inline]
    fn first(&self) -> Option<&Item> {
        match (self.run.last(), self.heap.first()) {
            (Some(run), Some(heap)) => Some(if run.before(heap) { run } else { heap }),
            (run, heap) => run.or(heap),
        }
    }

    /// Unlinks a timer; its key stays good. Not while a bucket is being drained (invariant 6).
    pub(crate) fn detach(&mut self, key: Key) {
        debug_assert!(self.draining.is_none());
        self.unlink(key);
    }

    /// The earliest timer of all, if it is due. Call after `advance` has returned `true`
    /// (invariant 6).
    pub(crate) fn first_sorted(&self, now: u64) -> Option<(Key, u64)> {
        debug_assert!(self.draining.is_none());
        let &Item { deadline, serial, index } = self.first().filter(|item| item.deadline <= now)?;
        Some((Key { index, serial }, deadline))
    }

    /// The serial number that the next timer will have. Those of earlier timers are smaller.
    pub(crate) fn next_serial(&self) -> NonZeroU64 {
        self.slab.next_serial()
    }

    /// The earliest deadline of all, or a moment before it, if that is due.
    pub(crate) fn first_due(&self, now: u64) -> Option<u64> {
        self.next_wake().filter(|&wake| wake <= now)
    }

    /// The value of a timer that is here, linked or detached, and has not been taken; and its
    /// deadline.
    pub(crate) fn peek(&self, key: Key) -> Option<(&T, u64)> {
        let entry = self.slab.find(key)?;
        entry.value.as_ref().map(|value| (value, entry.deadline))
    }

    /// As [`peek`](Self::peek), for changing the value.
    pub(crate) fn peek_mut(&mut self, key: Key) -> Option<&mut T> {
        self.slab.find_mut(key).and_then(|entry| entry.value.as_mut())
    }

    /// Links a timer, linked or detached, that has its value, at another deadline; `false` if there
    /// is none.
    pub(crate) fn relink(&mut self, key: Key, deadline: u64) -> bool {
        let here = self.peek(key).is_some();
        if here {
            self.unlink(key);
            self.slab.entry(key.index).deadline = deadline;
            self.link(key.index, deadline);
        }
        here
    }

    /// Takes the value of a timer that is here, wherever it is linked.
    pub(crate) fn take(&mut self, key: Key) -> Option<T> {
        self.slab.find_mut(key).and_then(|entry| entry.value.take())
    }

    /// Returns whether the timer is here and waits for its deadline.
    pub(crate) fn is_linked(&self, key: Key) -> bool {
        self.slab.find(key).is_some_and(|entry| entry.location != Location::Detached)
    }

    /// Links a detached timer again.
    pub(crate) fn attach(&mut self, key: Key, deadline: u64, value: T) {
        let entry = self.slab.find_mut(key).expect("a detached timer's key is good");
        debug_assert_eq!(entry.location, Location::Detached);
        entry.deadline = deadline;
        entry.value = Some(value);
        self.link(key.index, deadline);
    }

    /// Forgets a timer, linked or detached; gives out its value if it has not been taken.
    pub(crate) fn release(&mut self, key: Key) -> Option<T> {
        self.slab.find(key)?;
        self.unlink(key);
        self.slab.remove(key.index)
    }

    /// The keys of all timers, also of detached ones, in no order.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.slab.keys().collect()
    }

    /// Links a detached entry where invariant 1 wants it.
    #[inline]
    fn link(&mut self, index: u32, deadline: u64) {
        let tick = deadline >> TICK_BITS;
        if tick <= self.position {
            self.heap.push(index, &mut self.slab);
            return;
        }
        let level = (u64::BITS - 1 - (tick ^ self.position).leading_zeros()) / LEVEL_BITS;
        let slot = tick >> (level * LEVEL_BITS) & (SLOTS as u64 - 1);
        let bucket = &mut self.buckets[level as usize][slot as usize];
        bucket.earliest =
            if bucket.entries.is_empty() { deadline } else { bucket.earliest.min(deadline) };
        let at = bucket.entries.len();
        bucket.entries.push(index);
        self.occupied[level as usize] |= 1 << slot;
        self.levels |= 1 << level;
        let entry = self.slab.entry(index);
        entry.location = Location::Bucket;
        entry.bucket = (level << LEVEL_BITS) as u16 | slot as u16;
        entry.at = at as u32;
    }

    /// Unlinks the entry of a good key; `false` if there is none, or it is not linked.
    #[inline]
    fn unlink(&mut self, key: Key) -> bool {
        let Some(entry) = self.slab.find(key) else { return false };
        let at = entry.at;
        match entry.location {
            Location::Bucket => self.unlink_bucket(key.index),
            Location::Heap => self.heap.remove(at as usize, &mut self.slab),
            Location::Run => {
                self.slab.entry(key.index).location = Location::Detached;
                self.trim_run();
            }
            Location::Detached | Location::Free => return false,
        }
        true
    }

    #[inline]
    fn unlink_bucket(&mut self, index: u32) {
        let entry = self.slab.entry(index);
        entry.location = Location::Detached;
        let (number, at) = (entry.bucket, entry.at as usize);
        let (level, slot) = (usize::from(number) >> LEVEL_BITS, usize::from(number) & (SLOTS - 1));
        let bucket = &mut self.buckets[level][slot];
        bucket.entries.swap_remove(at);
        // The last one has taken its place.
        if let Some(&moved) = bucket.entries.get(at) {
            self.slab.entry(moved).at = at as u32;
        }
        bucket.give_back();
        if bucket.entries.is_empty() {
            self.emptied(level, slot);
        }
    }

    #[inline]
    fn emptied(&mut self, level: usize, slot: usize) {
        self.occupied[level] &= !(1 << slot);
        if self.occupied[level] == 0 {
            self.levels &= !(1 << level);
        }
    }

    #[inline]
    fn bucket(&self, number: u32) -> &Bucket {
        &self.buckets[(number >> LEVEL_BITS) as usize][(number as usize) & (SLOTS - 1)]
    }

    /// The earliest bucket and the tick at which it starts (invariant 2). Not while one is being
    /// drained.
    #[inline]
    fn first_bucket(&self) -> Option<(u32, u64)> {
        if self.levels == 0 {
            return None;
        }
        let level = self.levels.trailing_zeros();
        let slot = self.occupied[level as usize].trailing_zeros();
        let shift = level * LEVEL_BITS;
        // The position with this digit, zeros below, and its own digits above. Two shifts: the
        // highest level's is by all 48 bits.
        let above = self.position >> shift >> LEVEL_BITS << LEVEL_BITS;
        Some((level << LEVEL_BITS | slot, (above | u64::from(slot)) << shift))
    }
}

impl<T> Default for TimerWheel<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for TimerWheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TimerWheel")
            .field("len", &self.len())
            .field("next_wake", &self.next_wake())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
