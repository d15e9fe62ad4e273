//! The unbounded buffer: a list of blocks of slots.
//!
//! # Source
//!
//! The list channel of crossbeam-channel, with three differences:
//!
//! * Each slot has a word that its writer and then its reader store. So publishing is a plain
//!   Release store, and reading needs no second read-modify-write.
//! * The thread that moves the head on gives blocks back, which needs no handshake with their
//!   readers.
//! * The first block is there from the start, so there is no half-built queue to be dropped
//!   (crossbeam #971, #1084, #1187).
//!
//! # State
//!
//! A position is `block * (SLOTS + 1) + offset`. Offset `SLOTS` names no slot: it stands for the
//! moment in which one thread, which claimed the last slot, links the next block (at the tail) or
//! moves on to it (at the head); the other threads wait for that.
//!
//! | word of a slot | set by | meaning |
//! |---|---|---|
//! | `EMPTY` | `new`, or the thread that recycles the block | nothing inside |
//! | `FULL` | the thread that claimed its position at the tail | an item inside |
//! | `READ` | the thread that claimed its position at the head | the item was moved out, and this reader never touches the block again |
//!
//! # Invariants
//!
//! B1. Only the thread that moved the tail on from a position writes the slot of the position. The
//! head never passes the tail, so no reader is there before.
//!
//! B2. Only the thread that moved the head on from a position takes the item of the position, after
//! it has waited for `FULL`.
//!
//! B3. A thread uses a block only after it has claimed a position in it, and until it has stored
//! the word of that slot. The claim of the last slot at the tail includes linking the next block,
//! before the word. So no thread uses a block all of whose words are `READ`.
//!
//! B4. The thread that claimed the last slot at the head is alone with `retired` until it moves the
//! head past offset `SLOTS`.
//!
//! B5. `head.block` is the block of the head's position. It is changed before the position, which
//! is stored with Release and loaded with Acquire; likewise at the tail. So a thread that reads a
//! position reads its block, or a later block, and then the claim of the position fails.
//!
//! B6. Slots from head to tail hold items, in `drop`, when no thread is in the middle of an
//! operation; the other slots hold none.
//!
//! B7. A thread that claims the last slot at the tail has the next block ready before the claim,
//! which is a Release. Threads reach the next block only through a position that was stored by that
//! claim or after it. So every thread that reaches a block sees its initialisation.
//!
//! B8. A block is linked after the tail was moved on to it, and the head is moved on after the link
//! was found: the tail that a thread sees after it has seen the head is not behind it.
//!
//! # Cost
//!
//! Put: one compare-exchange, one store, two loads. Get: the same, and a load of the tail while
//! both ends are in one block. One block in `SLOTS` puts is taken from, and given back to, the
//! allocator or the one spare block. An emptied queue keeps at most three blocks.

use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use sync_core::primitive::MODELLED;
use sync_core::primitive::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use sync_core::primitive::cell::UnsafeCell;

use crate::buffer::cursor::{CLOSED, Cursor, EXTRA, FLAGS, PARKED, SHIFT, STEP};
use crate::buffer::{Buffer, Closed, PopError, PushError, Wake, drop_each};
use crate::wait::spin::Backoff;

/// Slots of a block. Under a checker blocks are small, so that their ends are reached often.
const SLOTS: usize = if MODELLED { 2 } else { 63 };
const LAP: u64 = SLOTS as u64 + 1;

/// At the head: the head's block is not the tail's, so there is no need to look at the tail.
const HAS_NEXT: u64 = EXTRA;

const EMPTY: u32 = 0;
const FULL: u32 = 1;
const READ: u32 = 2;

struct Slot<T> {
    word: AtomicU32,
    value: UnsafeCell<MaybeUninit<T>>,
}

struct Block<T> {
    next: AtomicPtr<Block<T>>,
    /// The next one in `retired`.
    below: AtomicPtr<Block<T>>,
    slots: [Slot<T>; SLOTS],
}

impl<T> Block<T> {
    /// An empty block. It is built where it stays: a block of large items does not fit on a stack.
    fn new() -> Box<Self> {
        let mut block = Box::<Self>::new_uninit();
        let this = block.as_mut_ptr();
        // SAFETY: the pointers are to fields of a block that is allocated and not yet initialised.
        unsafe {
            (&raw mut (*this).next).write(AtomicPtr::new(ptr::null_mut()));
            (&raw mut (*this).below).write(AtomicPtr::new(ptr::null_mut()));
            for at in 0..SLOTS {
                let slot = &raw mut (*this).slots[at];
                (&raw mut (*slot).word).write(AtomicU32::new(EMPTY));
                // A checker's cell has a state of its own. The real one is the value and nothing
                // else, and an uninitialised value needs no initialisation.
                if MODELLED {
                    (&raw mut (*slot).value).write(UnsafeCell::new(MaybeUninit::uninit()));
                }
            }
        }
        // SAFETY: all fields are initialised, but for cells that are `MaybeUninit` alone.
        unsafe { block.assume_init() }
    }

    /// The block after this one: its predecessor's last writer is linking it.
    fn wait_next(&self) -> NonNull<Self> {
        let mut backoff = Backoff::new();
        loop {
            // Acquire: pairs with the Release in `link`, for the tail's position (B8); the block
            // itself was there to be seen before (B7).
            if let Some(next) = NonNull::new(self.next.load(Ordering::Acquire)) {
                return next;
            }
            backoff.turn();
        }
    }
}

impl<T> Slot<T> {
    /// # Safety
    ///
    /// The caller has claimed the slot's position at the tail (B1).
    unsafe fn fill(&self, item: T) {
        // SAFETY: by B1 no other thread touches the cell.
        self.value.with_mut(|cell| unsafe { (*cell).write(item) });
        // Release: hands the item to the Acquire in `take`, and the block, with its link, to the
        // Acquire in `take`, and on to `sweep`.
        self.word.store(FULL, Ordering::Release);
    }

    /// # Safety
    ///
    /// The caller has claimed the slot's position at the head (B2). The slot is gone afterwards
    /// (B3).
    unsafe fn take(&self) -> T {
        // Acquire: pairs with the Release in `fill`.
        if self.word.load(Ordering::Acquire) != FULL {
            self.wait_full();
        }
        // SAFETY: by B2 an item is inside, and no other thread touches the cell.
        let item = self.value.with_mut(|cell| unsafe { (*cell).assume_init_read() });
        // Release: hands the slot to the Acquire in `sweep`.
        self.word.store(READ, Ordering::Release);
        item
    }

    // A function of its own: the fast path would prepare its state and save registers for it.
    #[cold]
    #[inline(never)]
    fn wait_full(&self) {
        let mut backoff = Backoff::new();
        // Acquire: as in `take`.
        while self.word.load(Ordering::Acquire) != FULL {
            backoff.turn();
        }
    }
}

struct End<T> {
    cursor: Cursor,
    block: AtomicPtr<Block<T>>,
    /// At the head: a position that the tail has reached. It saves getters from taking the tail's
    /// cache line away from the putters for every item.
    seen: AtomicU64,
}

impl<T> End<T> {
    fn new(first: *mut Block<T>) -> Self {
        Self { cursor: Cursor::new(), block: AtomicPtr::new(first), seen: AtomicU64::new(0) }
    }

    /// The block of a position that was loaded with Acquire before, if a claim of that position
    /// then succeeds.
    #[inline]
    fn block(&self) -> *mut Block<T> {
        // Relaxed: the position is what publishes it (B5), and the block behind it (B7).
        self.block.load(Ordering::Relaxed)
    }
}

pub(crate) struct List<T> {
    /// `CLOSED`: no more puts. `PARKED`: getters may sleep.
    tail: End<T>,
    /// `CLOSED`: no more gets.
    head: End<T>,
    /// Blocks that the head has left and whose readers may not have finished, linked by `below`
    /// (B4).
    retired: UnsafeCell<*mut Block<T>>,
    /// One empty block, to be used again.
    spare: AtomicPtr<Block<T>>,
}

// SAFETY: the queue hands items from one thread to another (Send), and no reference to one is ever
// given to two threads (B1, B2).
unsafe impl<T: Send> Send for List<T> {}
// SAFETY: no reference to an item is ever given to two threads (B1, B2).
unsafe impl<T: Send> Sync for List<T> {}

fn offset(word: u64) -> usize {
    ((word >> SHIFT) % LAP) as usize
}

fn number(word: u64) -> u64 {
    (word >> SHIFT) / LAP
}

/// Returns the number of slots before a position.
fn count(word: u64) -> u64 {
    number(word) * SLOTS as u64 + offset(word) as u64
}

impl<T> List<T> {
    pub(crate) fn new() -> Self {
        let first = Box::into_raw(Block::new());
        Self {
            tail: End::new(first),
            head: End::new(first),
            retired: UnsafeCell::new(ptr::null_mut()),
            spare: AtomicPtr::new(ptr::null_mut()),
        }
    }

    #[cold]
    fn new_block(&self) -> Box<Block<T>> {
        // Acquire: pairs with the Release in `recycle`.
        match NonNull::new(self.spare.swap(ptr::null_mut(), Ordering::Acquire)) {
            // SAFETY: what is in `spare` was boxed, and the swap took it out for this thread alone.
            Some(spare) => unsafe { Box::from_raw(spare.as_ptr()) },
            None => Block::new(),
        }
    }

    /// Keeps the block as the spare one, or frees it.
    fn recycle(&self, block: Box<Block<T>>) {
        // Relaxed: published by the Release below.
        block.next.store(ptr::null_mut(), Ordering::Relaxed);
        for slot in &block.slots {
            slot.word.store(EMPTY, Ordering::Relaxed);
        }
        let block = Box::into_raw(block);
        // Release: pairs with the Acquire in `new_block`.
        if self
            .spare
            .compare_exchange(ptr::null_mut(), block, Ordering::Release, Ordering::Relaxed)
            .is_err()
        {
            // SAFETY: it was boxed a few lines above, and was not shared.
            drop(unsafe { Box::from_raw(block) });
        }
    }

    /// Links the next block.
    ///
    /// # Safety
    ///
    /// The caller has claimed the last slot of `block` at the tail, and links once.
    #[cold]
    unsafe fn link(&self, block: &Block<T>, next: Box<Block<T>>) {
        let next = Box::into_raw(next);
        // Relaxed: published by the position, which is Release (B5).
        self.tail.block.store(next, Ordering::Relaxed);
        self.tail.cursor.advance(STEP);
        // Release: pairs with the Acquire in `wait_next` (B8).
        block.next.store(next, Ordering::Release);
    }

    /// Moves the head on to the next block.
    ///
    /// # Safety
    ///
    /// The caller has claimed the last slot of `block` at the head, and has not taken its item yet.
    #[cold]
    unsafe fn retire(&self, block: NonNull<Block<T>>) {
        // SAFETY: the caller has claimed a slot of the block and not read it yet (B3).
        let next = unsafe { block.as_ref() }.wait_next();
        // SAFETY: the list is the caller's alone (B4).
        self.retired.with_mut(|retired| unsafe { self.sweep(&mut *retired, block) });
        // Relaxed: published by the position below, which is Release (B5).
        self.head.block.store(next.as_ptr(), Ordering::Relaxed);
        // SAFETY: no thread can have claimed the head's slots in it yet. Relaxed: only whether the
        // link is null matters here; a thread that follows the link acquires it. A null from an
        // earlier use of the block cannot be read (B7).
        let last = unsafe { next.as_ref() }.next.load(Ordering::Relaxed).is_null();
        // The claim that led here has set HAS_NEXT, since there was a next block.
        self.head.cursor.advance(if last { STEP - HAS_NEXT } else { STEP });
    }

    /// Adds a block to the list, and gives back those of which all items have been read.
    ///
    /// # Safety
    ///
    /// The caller is alone with the list (B4).
    unsafe fn sweep(&self, retired: &mut *mut Block<T>, add: NonNull<Block<T>>) {
        let mut kept = add.as_ptr();
        let mut next = *retired;
        // SAFETY: the caller has claimed a slot of it and not read it yet (B3).
        // Relaxed, for all links: they are private to the thread that is alone with the list.
        unsafe { add.as_ref() }.below.store(ptr::null_mut(), Ordering::Relaxed);
        while let Some(block) = NonNull::new(next) {
            // SAFETY: a block is freed only below, after it was taken out of the list.
            let this = unsafe { block.as_ref() };
            next = this.below.load(Ordering::Relaxed);
            // Acquire: pairs with the Release in `take`: its readers are done with it.
            if this.slots.iter().all(|slot| slot.word.load(Ordering::Acquire) == READ) {
                // SAFETY: it was boxed, and by B3 no thread uses it any more.
                self.recycle(unsafe { Box::from_raw(block.as_ptr()) });
            } else {
                this.below.store(kept, Ordering::Relaxed);
                kept = block.as_ptr();
            }
        }
        *retired = kept;
    }

    /// Returns a number that changes with each push and with the close.
    pub(crate) fn arrivals(&self) -> u64 {
        self.tail.cursor.acquire() & !(PARKED | EXTRA)
    }

    /// As `push`, in the general case.
    #[cold]
    fn push_contended(&self, item: T) -> Result<Wake, PushError<T>> {
        let mut backoff = None;
        let mut next = None;
        let mut tail = self.tail.cursor.acquire();
        loop {
            if tail & CLOSED != 0 {
                return Err(PushError::Closed(item));
            }
            let at = offset(tail);
            if at == SLOTS {
                // Another is linking the next block.
                backoff.get_or_insert_with(Backoff::new).turn();
                tail = self.tail.cursor.acquire();
                continue;
            }
            // Before the claim: it may panic, and the other threads wait for the link.
            if at + 1 == SLOTS && next.is_none() {
                next = Some(self.new_block());
            }
            let block = self.tail.block();
            match self.tail.cursor.claim(tail, tail + STEP) {
                Ok(_) => {
                    // SAFETY: a slot of the block was claimed and not written yet (B3).
                    let block = unsafe { &*block };
                    if at + 1 == SLOTS {
                        match next.take() {
                            // SAFETY: the last slot was claimed just now.
                            Some(next) => unsafe { self.link(block, next) },
                            None => unreachable!("B7: the next block is ready before the claim"),
                        }
                    }
                    // SAFETY: its position was claimed at the tail (B1).
                    unsafe { block.slots[at].fill(item) };
                    if let Some(next) = next {
                        self.recycle(next);
                    }
                    return Ok(Wake(tail & PARKED != 0));
                }
                Err(now) => tail = now,
            }
        }
    }

    /// Returns whether no item is inside and the tail is open: a hint, as that of the array.
    #[inline]
    pub(crate) fn looks_empty(&self) -> bool {
        // Relaxed, both: a hint.
        let head = self.head.cursor.relaxed();
        head & HAS_NEXT == 0 && self.tail.cursor.relaxed() & !PARKED == head & !FLAGS
    }

    /// Returns whether an item of the head's own block is inside. `false` may be wrong.
    #[inline]
    fn is_before_tail(&self, head: u64) -> bool {
        let before = |tail| number(tail) == number(head) && offset(tail) > offset(head);
        // Relaxed, both: the tail never goes back, and the item is handed over by its slot's word.
        // (Models whose blocks have three slots reach the first branch, and fail if it lies.)
        if before(self.head.seen.load(Ordering::Relaxed)) {
            return true;
        }
        let tail = self.tail.cursor.acquire();
        let before = before(tail);
        if before {
            self.head.seen.store(tail, Ordering::Relaxed);
        }
        before
    }

    /// As `pop`, in the general case.
    #[cold]
    fn pop_as(&self, drainer: bool) -> Result<T, PopError> {
        let (block, first, _) = self.claim(1, drainer)?;
        // SAFETY: a slot of the block was claimed and not read yet (B3); the claim found it between
        // head and tail (B2).
        Ok(unsafe { block.as_ref().slots[first].take() })
    }

    /// At least one position, at most `max`, claimed at the head, all in one block: that block, the
    /// first slot, and how many.
    ///
    /// `drainer`: the thread that shut the head, the only one that may pop from then on.
    #[inline]
    fn claim(
        &self,
        max: usize,
        drainer: bool,
    ) -> Result<(NonNull<Block<T>>, usize, usize), PopError> {
        let mut backoff = None;
        let mut head = self.head.cursor.acquire();
        loop {
            if head & CLOSED != 0 && !drainer {
                return Err(PopError::Closed);
            }
            let first = offset(head);
            if first == SLOTS {
                // Another is moving on to the next block.
                backoff.get_or_insert_with(Backoff::new).turn();
                head = self.head.cursor.acquire();
                continue;
            }
            let mut last = SLOTS;
            let mut has_next = head & HAS_NEXT;
            if has_next == 0 {
                let mut tail = self.tail.cursor.acquire();
                if (tail ^ head) & !FLAGS == 0 {
                    tail = self.tail.cursor.settled();
                    if (tail ^ head) & !FLAGS == 0 {
                        // The tail never falls behind the head, and the head was here before:
                        // nothing was inside when the tail was read. In the same word as the
                        // position: after the last put there is no item to be missed.
                        return Err(if tail & CLOSED != 0 {
                            PopError::Closed
                        } else {
                            PopError::Empty
                        });
                    }
                }
                if number(tail) == number(head) {
                    last = offset(tail);
                } else {
                    has_next = HAS_NEXT;
                }
            }
            // A tail that was read after the head may be behind it only if the head is out of date:
            // then the claim fails.
            let length = last.saturating_sub(first).min(max).max(1);
            let has_next = if first + length == SLOTS { HAS_NEXT } else { has_next };
            let block = self.head.block();
            match self.head.cursor.claim(head, (head | has_next) + length as u64 * STEP) {
                Ok(_) => {
                    // SAFETY: `End::block` is never null.
                    let block = unsafe { NonNull::new_unchecked(block) };
                    if first + length == SLOTS {
                        // SAFETY: the last slot was claimed just now.
                        unsafe { self.retire(block) };
                    }
                    return Ok((block, first, length));
                }
                Err(now) => head = now,
            }
        }
    }
}

impl<T> Buffer<T> for List<T> {
    #[inline]
    fn push(&self, item: T) -> Result<Wake, PushError<T>> {
        self.push_fast(item).or_else(|item| self.push_contended(item))
    }

    #[inline]
    fn pop(&self) -> Result<(T, Wake), PopError> {
        // No thread waits for room here.
        let contended = || self.pop_as(false).map(|item| (item, Wake(false)));
        self.pop_fast().map_or_else(contended, Ok)
    }

    const HAS_FAST_PATH: bool = true;

    #[inline(always)]
    fn push_fast(&self, item: T) -> Result<Wake, T> {
        let tail = self.tail.cursor.acquire();
        let at = offset(tail);
        if tail & CLOSED == 0 && at + 1 < SLOTS {
            let block = self.tail.block();
            if self.tail.cursor.claim(tail, tail + STEP).is_ok() {
                // SAFETY: a slot of the block was claimed and not written yet (B3), by this thread
                // at the tail (B1).
                unsafe { (*block).slots[at].fill(item) };
                return Ok(Wake(tail & PARKED != 0));
            }
        }
        Err(item)
    }

    #[inline(always)]
    fn pop_fast(&self) -> Option<(T, Wake)> {
        let head = self.head.cursor.acquire();
        let first = offset(head);
        if head & CLOSED == 0
            && first + 1 < SLOTS
            && (head & HAS_NEXT != 0 || self.is_before_tail(head))
        {
            let block = self.head.block();
            if self.head.cursor.claim(head, head + STEP).is_ok() {
                // SAFETY: as in `pop_as`.
                let item = unsafe { (*block).slots[first].take() };
                return Some((item, Wake(false)));
            }
        }
        None
    }

    fn push_many(&self, items: &mut std::vec::IntoIter<T>) -> Result<(usize, Wake), Closed> {
        let mut backoff = Backoff::new();
        let mut next = None;
        let mut tail = self.tail.cursor.acquire();
        loop {
            if tail & CLOSED != 0 {
                return Err(Closed(()));
            }
            let at = offset(tail);
            if at == SLOTS {
                backoff.turn();
                tail = self.tail.cursor.acquire();
                continue;
            }
            let length = items.len().min(SLOTS - at);
            if at + length == SLOTS && next.is_none() {
                next = Some(self.new_block());
            }
            let block = self.tail.block();
            match self.tail.cursor.claim(tail, tail + length as u64 * STEP) {
                Ok(_) => {
                    // SAFETY: as in `push`.
                    let block = unsafe { &*block };
                    if at + length == SLOTS {
                        match next.take() {
                            // SAFETY: the last slot was claimed just now.
                            Some(next) => unsafe { self.link(block, next) },
                            None => unreachable!("B7: the next block is ready before the claim"),
                        }
                    }
                    // The last slot last: it is what keeps the block (B3).
                    for (slot, item) in block.slots[at..].iter().zip(items.take(length)) {
                        // SAFETY: as in `push`.
                        unsafe { slot.fill(item) };
                    }
                    if let Some(next) = next {
                        self.recycle(next);
                    }
                    return Ok((length, Wake(tail & PARKED != 0)));
                }
                Err(now) => tail = now,
            }
        }
    }

    fn pop_many(&self, out: &mut Vec<T>, max: usize) -> Result<(usize, Wake), PopError> {
        // Before the claim: it may panic.
        out.reserve(max.min(SLOTS));
        let (block, first, length) = self.claim(max, false)?;
        for at in first..first + length {
            // SAFETY: as in `pop_as`: every slot of the run was claimed, and the last one of it
            // keeps the block until it is read.
            out.push(unsafe { block.as_ref().slots[at].take() });
        }
        Ok((length, Wake(false)))
    }

    fn force_push(&self, item: T) -> Result<(Option<T>, Wake), Closed<T>> {
        match self.push(item) {
            Ok(marked) => Ok((None, marked)),
            Err(PushError::Closed(item)) => Err(Closed(item)),
            Err(PushError::Full(_)) => unreachable!("a list is never full"),
        }
    }

    fn set_putters_parked(&self) -> bool {
        false
    }

    fn set_getters_parked(&self) -> bool {
        let tail = self.tail.cursor.acquire();
        let head = self.head.cursor.acquire();
        // If the mark finds the tail unchanged, the head, which never passes it, still is where it
        // is: empty.
        (tail | head) & CLOSED == 0
            && (tail ^ head) & !FLAGS == 0
            && self.tail.cursor.set_parked(tail)
    }

    fn clear_putters_parked(&self) {}

    fn clear_getters_parked(&self) {
        self.tail.cursor.clear_parked();
    }

    fn close(&self) {
        self.tail.cursor.close();
    }

    fn is_closed(&self) -> bool {
        self.tail.cursor.acquire() & CLOSED != 0
    }

    fn close_and_drain(&self, taken: impl FnOnce(usize)) -> Vec<T> {
        self.tail.cursor.close();
        // Before the head is shut: it may panic. The tail moves no more, so this is enough.
        let mut items = Vec::with_capacity(self.len());
        if self.head.cursor.close() & CLOSED == 0 {
            while let Ok(item) = self.pop_as(true) {
                items.push(item);
            }
        }
        taken(items.len());
        items
    }

    fn len(&self) -> usize {
        loop {
            let tail = self.tail.cursor.acquire();
            let head = self.head.cursor.acquire();
            if head & CLOSED != 0 {
                return 0;
            }
            // Unchanged: both were so at one moment.
            if self.tail.cursor.acquire() & !FLAGS == tail & !FLAGS {
                return count(tail).saturating_sub(count(head)) as usize;
            }
        }
    }

    fn capacity(&self) -> Option<usize> {
        None
    }

    fn pushed(&self) -> u64 {
        count(self.tail.cursor.acquire())
    }
}

impl<T> Drop for List<T> {
    fn drop(&mut self) {
        /// Frees the blocks, also if an item panics when it is dropped.
        struct FreeBlocks<'a, T>(&'a List<T>);
        impl<T> Drop for FreeBlocks<'_, T> {
            fn drop(&mut self) {
                // Relaxed, all of them: the thread that drops the queue has it to itself. SAFETY:
                // head and tail are equal, so exactly one block is linked. It and the blocks in
                // `retired` and `spare` were boxed; by B3 no thread uses them any more.
                unsafe {
                    drop(Box::from_raw(self.0.head.block.load(Ordering::Relaxed)));
                    if let Some(spare) = NonNull::new(self.0.spare.load(Ordering::Relaxed)) {
                        drop(Box::from_raw(spare.as_ptr()));
                    }
                    let mut retired = self.0.retired.with_mut(|retired| *retired);
                    while let Some(block) = NonNull::new(retired) {
                        let block = Box::from_raw(block.as_ptr());
                        retired = block.below.load(Ordering::Relaxed);
                    }
                }
            }
        }
        let _free_blocks = FreeBlocks(self);
        drop_each(|| self.pop_as(true).ok());
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List")
            .field("head", &self.head.cursor)
            .field("tail", &self.tail.cursor)
            .finish()
    }
}
