//! A bounded queue for many senders and many receivers, each of which may vanish at any step.
//!
//! **Source.** Our own, after Vyukov's bounded MPMC queue (a ring of cells with lap numbers) and
//! LMAX's sequence barriers. Both stop for good when a participant dies or is stopped between
//! claiming a cell and filling it. So here claiming and ordering are two things. Items lie in
//! **slots**, each tagged with its owner, in no order. The **ring** holds references to slots, and
//! a reference goes in by one compare-and-swap when its item is complete. There is no moment at
//! which the ring waits for a participant. (`sync_queue`'s array is Vyukov's queue: threads do not
//! die alone, and a cell is one level of words.)
//!
//! **A slot's word** (u64): `use, low:32 | state:2 | owner:30`. The uses of a slot are counted in
//! 62 bits. In the two states without an owner, the upper 30 bits of the count are in the owner's
//! place. Every use runs through the states in this order, so `use | state` only grows:
//!
//! | state | owner:30 | meaning |
//! |---|---|---|
//! | FREE | use, high | unowned |
//! | WRITING | sender | being filled |
//! | READY | use, high | complete; while a cell refers to it, an item that can be received |
//! | READING | receiver | taken, until acknowledged |
//! | READING | 0 | taken and given back: as if its receiver were dead |
//!
//! **A slot's origin** (u64): `use / 2^28:34 | sender:30`, written by the sender right after its
//! claim: the sender while the slot is READY, and the upper part of the use in every state.
//!
//! **A ring cell** (u64): `lap | FULL:1 | slot`, the slot in as many bits as the number of slots
//! needs (0 to 14), the lap in the other 63 to 49. Without FULL, the cell waits for the reference
//! of that lap.
//!
//! **A position** (u64), of the head and of the tail: `lap | cell`, the cell in as many bits.
//!
//! **Sending**: claim a slot (FREE → WRITING), fill it, declare it complete (WRITING → READY), put
//! its reference into the cell at the tail (*the commit point*), help the tail on. **Receiving**:
//! look at the cell at the head, take the slot (READY → READING, *the commit point*), empty the
//! cell, help the head on; copy the item out; acknowledge (READING → FREE of the next use).
//!
//! **Invariants**
//!
//! 1. A slot leaves a use only when no cell refers to it any more. The receiver empties the cell,
//!    or sees it emptied, before it may acknowledge or give back. A sweep that deals with a dead
//!    receiver's slot empties the cell first (`Ring::empty_behind`). A sender that abandons its
//!    slot never referred to it. So a reference that is in its cell refers to the slot's present
//!    use.
//! 2. The tail passes a cell only after it was filled. The head passes a cell only after its
//!    reference was spent (the slot is not READY any more) and the cell was emptied. Both move by
//!    compare-and-swap from the very position, so help that comes late does nothing. Hence a spent
//!    reference is in the cell at the head, or nowhere.
//! 3. A WRITING slot whose sender is dead was never sent: no cell refers to it. Nor was a READY
//!    slot whose sender is dead and to which no cell refers: its sender can refer to it no more,
//!    and a reference never moves, so one look at every cell is proof. The slot is freed.
//! 4. A READING slot whose receiver is dead was taken and not acknowledged: it is redelivered, or
//!    freed, as the queue's maker chose.
//! 5. No participant waits for another: a stopped sender holds its slot, a stopped receiver its
//!    item, and the others go on.
//!
//! **No ABA.** A receiver reads a reference in its cell, then the slot's word, then the cell once
//! more, and exchanges the whole word. If the cell is unchanged, the word that was read belongs to
//! the reference (invariant 1), and not to a later use. The second look is ordered after any later
//! use: the thread that freed the slot had seen the cell emptied, and passed that on by its Release
//! to the Acquire of the claim, and by its Release to the Acquire of the look at the word.
//!
//! From there on each compare-and-swap of a thread that was stopped before it fails if anything
//! happened meanwhile, because the word that it expects does not come back:
//!
//! | expected | comes back after |
//! |---|---|
//! | FREE, READY | 2^62 uses of the slot |
//! | WRITING or READING of this thread's own | never meanwhile: only the owner, or a thread that has learned of its death, changes the word |
//! | WRITING or READING of a dead participant | never: a dead identity claims and takes nothing (the limit of identities is in `membership`) |
//! | READING, 0 | may come back, and is the same: an item that was given back, for any receiver. All that depends on the use is read after the exchange. |
//! | a cell, FULL or not | 2^49 laps or more: 2^62 items or more |
//! | a position | 2^50 laps or more: 2^63 items or more |
//!
//! A use is at least three locked instructions and an item at least six, on one line of the cache.
//! At 20 ns, 2^62 of them take 2,900 years.
//!
//! **Full, idle, and settled are moments.** A walk over the slots sees each at another time, and
//! work may move from a slot not yet seen to one already seen. So there are two walks. `use |
//! state` does not return within a call, so if its sum over all slots is the same in both walks, no
//! slot changed between its two looks, and what both walks saw was true of all slots at once,
//! between the walks.
//!
//! **Order.** First in, first out, by the order of the commits. A redelivered item comes late.
//!
//! **Hostile contents.** Slot numbers are compared with the number of slots. Every loop is bounded
//! by it and by [`ATTEMPTS`], and ends in [`RingError::Corrupted`].
//!
//! **Orderings.** The reference's compare-and-swap is Release and pairs with the Acquire of the
//! looks at the cell: the item is complete. A thread that helps the tail past a cell has seen it
//! filled, and hands that on with the tail (Release in `advance`, Acquire in `commit`) to the next
//! sender, which hands it on with its reference. So a thread that has seen any reference cannot
//! find an older cell empty, and "empty" is never returned to a thread that knows of an item that
//! is still there. Acknowledging is Release and pairs with the Acquire of claiming: the old item
//! was read before the new one is written. Claiming and declaring complete are Release too: a
//! thread that sees a slot in use sees every slot freed that its sender saw freed. That is for
//! "full" and "idle", and for the paragraph on ABA. Taking, emptying a cell, and moving the head on
//! are Release, and the looks at them Acquire: a thread that sees an item gone sees what its taker
//! had given back before. That is for "empty" in [`channel`](super::channel).

use sync_core::primitive::atomic::{AtomicU64, Ordering};
use sync_core::primitive::hint::spin_loop;

use super::{IDENTITY, Platform};

/// The most slots of a queue.
pub const MAX_SLOTS: usize = 1 << MAX_CELL_BITS;

/// The number of times that an operation begins again before it reports that the queue is
/// corrupted. Every new beginning means that another participant succeeded; this many in a row
/// while we looked at one cell do not happen in an honest queue.
pub const ATTEMPTS: u32 = 1 << 16;

const MAX_CELL_BITS: u32 = 14;

const STATE: u64 = 3 << 30;
const FREE: u64 = 0;
const WRITING: u64 = 1 << 30;
const READY: u64 = 2 << 30;
const READING: u64 = 3 << 30;
/// The owner, or the upper half of the use.
const OWNER: u64 = IDENTITY as u64;
/// The lower half of the use.
const LOW: u64 = u64::MAX << 32;
/// The bits of a use.
const USE: u64 = u64::MAX >> 2;
/// The number of low bits of the use that an origin leaves out. A word has more of them, so that
/// the two together are the use, also if senders died before they wrote an origin.
const ORIGIN_SHIFT: u32 = 28;

/// The number of slots that [`Ring::claim_lowest`] looks at first.
const LOWEST: usize = 64;

/// The number of slots that a sweep compares with the cells at a time.
const BATCH: usize = 512;

/// Why no slot was claimed and no item taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RingError {
    /// No slot is free.
    Full,
    /// No item is there.
    Empty,
    /// The queue is closed, and nothing can come any more.
    Closed,
    /// No participant holds the other end, and nothing can come any more.
    Disconnected,
    /// The words contradict each other.
    Corrupted,
    /// This process could not become a participant.
    NotAttached,
}

/// The treatment of an item whose receiver died before it acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// Another receiver gets it.
    Redeliver,
    /// No receiver gets it.
    Drop,
}

/// A slot that is ours, in this use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The number of the slot.
    pub slot: usize,
    /// Its word while it is ours.
    word: u64,
    /// The number of this use.
    turn: u64,
}

/// The queue's words: as many cells as slots.
#[derive(Clone, Copy, Debug)]
pub struct Ring<'a> {
    /// The position of the next reference to be received.
    pub head: &'a AtomicU64,
    /// The position of the next reference to be sent.
    pub tail: &'a AtomicU64,
    /// The ring.
    pub cells: &'a [AtomicU64],
    /// The slots.
    pub slots: &'a [AtomicU64],
    /// The origin of each slot.
    pub origins: &'a [AtomicU64],
}

/// The word of a slot without an owner.
fn unowned(turn: u64, state: u64) -> u64 {
    turn << 32 | state | (turn & USE) >> 32
}

/// The use of a slot without an owner.
fn turn_of(word: u64) -> u64 {
    word >> 32 | (word & OWNER) << 32
}

/// The word of a slot that `me` has claimed or taken.
fn owned(word: u64, state: u64, me: u64) -> u64 {
    word & LOW | state | me
}

fn origin(turn: u64, me: u64) -> u64 {
    turn >> ORIGIN_SHIFT << 30 | me
}

/// The use of a slot in any state.
fn turn_with(word: u64, origin: u64) -> u64 {
    if matches!(word & STATE, FREE | READY) {
        return turn_of(word);
    }
    // The first use from the origin's on that has the word's lower half.
    let from = origin >> 30 << ORIGIN_SHIFT;
    let ahead = (word >> 32).wrapping_sub(from) & (LOW >> 32);
    from.wrapping_add(ahead) & USE
}

impl Ring<'_> {
    /// The number of bits of a cell's number.
    #[inline]
    fn bits(&self) -> u32 {
        usize::BITS - self.cells.len().saturating_sub(1).leading_zeros()
    }

    /// The bits of a slot in a cell, and of a cell in a position.
    #[inline]
    fn number(&self) -> u64 {
        (1 << self.bits()) - 1
    }

    /// In a cell: a reference is in it.
    #[inline]
    fn full(&self) -> u64 {
        1 << self.bits()
    }

    /// The lap of a cell's word.
    #[inline]
    fn lap_of(&self, cell: u64) -> u64 {
        cell >> (self.bits() + 1)
    }

    /// The bits of a lap.
    #[inline]
    fn lap(&self) -> u64 {
        u64::MAX >> (self.bits() + 1)
    }

    /// The slot that a cell refers to, if it is full.
    #[inline]
    fn slot_of(&self, cell: u64) -> usize {
        (cell & self.number()) as usize
    }

    fn me<P: Platform>(peers: &P) -> Result<u64, RingError> {
        match peers.me() {
            0 => Err(RingError::NotAttached),
            me => Ok(u64::from(me)),
        }
    }

    /// The cell at a position, and the lap that its word has there.
    fn place(&self, position: u64) -> Result<(&AtomicU64, u64), RingError> {
        let at = (position & self.number()) as usize;
        let cell = self.cells.get(at).ok_or(RingError::Corrupted)?;
        Ok((cell, (position >> self.bits()) & self.lap()))
    }

    /// The position after one.
    fn after(&self, position: u64) -> u64 {
        let next = (position & self.number()) + 1;
        if next < self.cells.len() as u64 {
            position + 1
        } else {
            (position | self.number()).wrapping_add(1)
        }
    }

    /// Claims a free slot to fill.
    ///
    /// # Errors
    ///
    /// [`RingError::Full`]: at one moment of the call no slot was free.
    /// [`RingError::NotAttached`], [`RingError::Corrupted`].
    pub fn claim<P: Platform>(&self, peers: &P) -> Result<Claim, RingError> {
        self.claim_from(peers, self.likely(peers))
    }

    /// Claims a free slot, the lowest one if it is among the first [`LOWEST`]. For large items: a
    /// slot that was just freed is in the processor's cache, where a slot that was not used for a
    /// lap is not; and a queue that is never full does not touch the memory of its other slots.
    ///
    /// # Errors
    ///
    /// As [`claim`](Self::claim).
    pub fn claim_lowest<P: Platform>(&self, peers: &P) -> Result<Claim, RingError> {
        // Relaxed: a hint, as in `likely`.
        let lowest = self.slots.iter().take(LOWEST).position(|word| {
            let seen = peers.at(word).load(Ordering::Relaxed);
            seen & STATE == FREE
        });
        self.claim_from(peers, lowest.unwrap_or_else(|| self.likely(peers)))
    }

    /// Where a free slot is likely: slots are freed in the order in which they were filled, more or
    /// less.
    #[inline]
    fn likely<P: Platform>(&self, peers: &P) -> usize {
        // Relaxed: a hint.
        let hint = (peers.at(self.tail).load(Ordering::Relaxed) & self.number()) as usize;
        hint.min(self.slots.len())
    }

    /// Claims a free slot, looking from `start` on, which is at most the number of slots.
    #[inline]
    fn claim_from<P: Platform>(&self, peers: &P, start: usize) -> Result<Claim, RingError> {
        let me = Self::me(peers)?;
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let mut uses = 0_u64;
            let rows = self.slots[start..].iter().enumerate().map(|(at, word)| (start + at, word));
            for (slot, word) in rows.chain(self.slots[..start].iter().enumerate()) {
                // Acquire: pairs with the Release here and in `acknowledge`, for the second walk.
                let seen = peers.at(word).load(Ordering::Acquire);
                if seen & STATE == FREE {
                    let claimed = owned(seen, WRITING, me);
                    // Acquire: pairs with the Release in `acknowledge`. Release: see "Orderings".
                    // Acquire on failure: as for the look.
                    let got = peers.at(word).compare_exchange(
                        seen,
                        claimed,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                    if got.is_ok() {
                        let turn = turn_of(seen);
                        let place = self.origins.get(slot).ok_or(RingError::Corrupted)?;
                        let origin = origin(turn, me);
                        // Most often this thread's participant was the slot's last sender too.
                        // Relaxed: the senders of all earlier uses wrote it before they sent or
                        // gave up, and the Acquire above, or `is_dead`, ordered that before this.
                        if peers.at(place).load(Ordering::Relaxed) != origin {
                            // Release: pairs with the Acquire in `turn_at` and `sweep`: a thread
                            // that sees this origin sees that the slot has left its earlier uses.
                            peers.at(place).store(origin, Ordering::Release);
                        }
                        return Ok(Claim { slot, word: claimed, turn });
                    }
                }
                uses = uses.wrapping_add(self.turn_at(peers, slot, seen));
            }
            // A slot that was not free, and is in the same use, was not free in between.
            if before == Some(uses) {
                return Err(RingError::Full);
            }
            before = Some(uses);
        }
        Err(RingError::Corrupted)
    }

    /// The use that a slot is in, if `word` is its word.
    fn turn_at<P: Platform>(&self, peers: &P, slot: usize, word: u64) -> u64 {
        if matches!(word & STATE, FREE | READY) {
            return turn_of(word);
        }
        let Some(origin) = self.origins.get(slot) else { return 0 };
        // Acquire: pairs with the Release in `claim`.
        turn_with(word, peers.at(origin).load(Ordering::Acquire))
    }

    /// Sends a filled slot.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupted`]; the slot is free again. [`RingError::NotAttached`]: this process is
    /// a forked child, and the slot is its parent's.
    pub fn commit<P: Platform>(&self, peers: &P, claim: Claim) -> Result<(), RingError> {
        if claim.word & OWNER != u64::from(peers.me()) {
            return Err(RingError::NotAttached);
        }
        let ready = unowned(claim.turn, READY);
        // Release: pairs with the Acquire in `take`: the item is complete. No exchange: the slot is
        // ours.
        peers.at(&self.slots[claim.slot]).store(ready, Ordering::Release);
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `advance`. See "Orderings": a thread that sees our
            // reference sees all before it.
            let tail = peers.at(self.tail).load(Ordering::Acquire);
            let Ok((cell, lap)) = self.place(tail) else { break };
            // Acquire: pairs with the Release below, for `is_spent`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            let seen_lap = self.lap_of(seen);
            match (seen_lap == lap, seen & self.full() != 0) {
                (true, false) => {
                    let reference = lap << (self.bits() + 1) | self.full() | claim.slot as u64;
                    // Release: pairs with the Acquire in `take`. The commit point.
                    let sent = peers.at(cell).compare_exchange(
                        seen,
                        reference,
                        Ordering::Release,
                        Ordering::Relaxed,
                    );
                    if sent.is_ok() {
                        self.advance(peers, self.tail, tail);
                        return Ok(());
                    }
                }
                (true, true) => self.advance(peers, self.tail, tail),
                // The last lap's reference: it is spent, for with our slot there are more slots
                // than references, and the oldest is spent first. Help it out.
                (false, true)
                    if seen_lap == lap.wrapping_sub(1) & self.lap()
                        && self.is_spent(peers, seen) =>
                {
                    self.empty(peers, cell, seen);
                }
                // Filled and emptied again, by a sender that has not helped the tail on.
                (false, _) if seen_lap == (lap + 1) & self.lap() => {
                    self.advance(peers, self.tail, tail);
                }
                // Our tail is old, or the words are nonsense: read the tail again.
                _ => spin_loop(),
            }
        }
        self.free(peers, &self.slots[claim.slot], ready, claim.turn);
        Err(RingError::Corrupted)
    }

    /// Frees a slot that was claimed and not sent. Returns `false` as
    /// [`acknowledge`](Self::acknowledge).
    pub fn abandon<P: Platform>(&self, peers: &P, claim: Claim) -> bool {
        self.acknowledge(peers, claim)
    }

    fn free<P: Platform>(&self, peers: &P, word: &AtomicU64, seen: u64, turn: u64) -> bool {
        // Release: pairs with the Acquire in `claim`.
        peers
            .at(word)
            .compare_exchange(
                seen,
                unowned(turn.wrapping_add(1), FREE),
                Ordering::Release,
                Ordering::Relaxed,
            )
            .is_ok()
    }

    /// Takes the oldest item.
    ///
    /// # Errors
    ///
    /// [`RingError::Empty`]: at one moment of the call every item that was sent had been taken.
    /// [`RingError::Corrupted`], [`RingError::NotAttached`].
    pub fn take<P: Platform>(&self, peers: &P) -> Result<Claim, RingError> {
        let me = Self::me(peers)?;
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `advance`, for "empty" (see "Orderings").
            let head = peers.at(self.head).load(Ordering::Acquire);
            let (cell, lap) = self.place(head)?;
            // Acquire: pairs with the Release in `commit`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            if self.lap_of(seen) != lap {
                if self.lap_of(seen) == (lap + 1) & self.lap() {
                    // Emptied, and the head not yet helped on.
                    self.advance(peers, self.head, head);
                } else {
                    spin_loop();
                }
                continue;
            }
            if seen & self.full() == 0 {
                // The cell at the head was never filled in this lap. If the head is still there,
                // nothing has been sent and not taken. Relaxed: only so that the answer is not
                // older than need be. It is true without: see "Orderings".
                if peers.at(self.head).load(Ordering::Relaxed) == head {
                    return Err(RingError::Empty);
                }
                spin_loop();
                continue;
            }
            let slot = self.slot_of(seen);
            let Some(word) = self.slots.get(slot) else { return Err(RingError::Corrupted) };
            // Acquire: pairs with the Release of READY in `commit`: if this is a later use, the
            // look at the cell below sees the cell emptied. It is no earlier use: the reference was
            // acquired.
            let now = peers.at(word).load(Ordering::Acquire);
            if now & STATE == READY {
                // "No ABA" above. Relaxed: ordered by the Acquire before it.
                if peers.at(cell).load(Ordering::Relaxed) != seen {
                    continue;
                }
                let taken = owned(now, READING, me);
                // The commit point. Release: for "empty" (see "Orderings"). The item was acquired
                // with the word.
                let got = peers.at(word).compare_exchange(
                    now,
                    taken,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                if got.is_ok() {
                    self.empty(peers, cell, seen);
                    self.advance(peers, self.head, head);
                    return Ok(Claim { slot, word: taken, turn: turn_of(now) });
                }
            }
            // Another receiver took it: help, and look again.
            if self.is_spent(peers, seen) {
                self.empty(peers, cell, seen);
                self.advance(peers, self.head, head);
            }
        }
        Err(RingError::Corrupted)
    }

    /// Acknowledges a taken item. Returns `false` if this participant does not own it any more: a
    /// forked child does not own its copy of a claim.
    pub fn acknowledge<P: Platform>(&self, peers: &P, claim: Claim) -> bool {
        claim.word & OWNER == u64::from(peers.me())
            && self.free(peers, &self.slots[claim.slot], claim.word, claim.turn)
    }

    /// Gives a taken item back unacknowledged, for a [`sweep`](Self::sweep) to find. One step, so
    /// that it is never unowned and unlisted. Returns `false` as
    /// [`acknowledge`](Self::acknowledge).
    pub fn give_back<P: Platform>(&self, peers: &P, claim: Claim) -> bool {
        // Release: pairs with the Acquire in `sweep`.
        claim.word & OWNER == u64::from(peers.me())
            && peers
                .at(&self.slots[claim.slot])
                .compare_exchange(
                    claim.word,
                    claim.word & !OWNER,
                    Ordering::Release,
                    Ordering::Relaxed,
                )
                .is_ok()
    }

    /// Frees the slots that dead senders left unsent, and handles the items that dead receivers
    /// left unacknowledged: with [`Orphans::Redeliver`], the caller takes the first such item.
    ///
    /// Queries each participant once, and walks the cells once for every `BATCH` slots.
    ///
    /// # Errors
    ///
    /// [`RingError::NotAttached`].
    pub fn sweep<P: Platform>(
        &self,
        peers: &P,
        orphans: Orphans,
        receives: bool,
    ) -> Result<Sweep, RingError> {
        let me = Self::me(peers)?;
        let mut found = Sweep { freed: 0, taken: None };
        let mut verdicts = Verdicts::new();
        let rows = self.slots.chunks(BATCH).zip(self.origins.chunks(BATCH));
        for (batch, (slots, origins)) in rows.enumerate() {
            let first = batch * BATCH;
            // The words of dead senders' complete slots; 0: none.
            let mut unsent = [0_u64; BATCH];
            for (at, (word, origin)) in slots.iter().zip(origins).enumerate() {
                // Acquire: pairs with the Release below, for "empty" (see "Orderings").
                let seen = peers.at(word).load(Ordering::Acquire);
                let (owner, concerned) = match seen & STATE {
                    WRITING => (seen & OWNER, true),
                    // Acquire: pairs with the Release in `claim`: if this is the origin of a later
                    // use, the exchange of the word fails.
                    READY => (peers.at(origin).load(Ordering::Acquire) & OWNER, true),
                    READING => (seen & OWNER, orphans == Orphans::Drop || receives),
                    _ => continue,
                };
                let owner = owner as u32;
                // 0: given back by a receiver that lives.
                if !concerned || (owner != 0 && !verdicts.is_dead(peers, owner)) {
                    continue;
                }
                match seen & STATE {
                    WRITING => {
                        let turn = self.turn_at(peers, first + at, seen);
                        found.freed += usize::from(self.free(peers, word, seen, turn));
                    }
                    READY => unsent[at] = seen,
                    _ => {
                        if owner != 0 {
                            self.empty_behind(peers, first + at);
                        }
                        let taken = owned(seen, READING, me);
                        // Acquire: pairs with the Release in `give_back`; for a dead owner,
                        // `is_dead` orders. Release, and Acquire on failure: for "empty".
                        let got = peers.at(word).compare_exchange(
                            seen,
                            taken,
                            Ordering::AcqRel,
                            Ordering::Acquire,
                        );
                        if got.is_ok() {
                            // After the exchange: only now is the use this participant's.
                            let turn = self.turn_at(peers, first + at, taken);
                            let claim = Claim { slot: first + at, word: taken, turn };
                            if orphans == Orphans::Drop {
                                found.freed += usize::from(self.acknowledge(peers, claim));
                            } else {
                                found.taken = Some(claim);
                                break;
                            }
                        }
                    }
                }
            }
            if unsent.iter().any(|word| *word != 0) {
                self.keep_unreferenced(peers, first, &mut unsent);
                for (word, seen) in slots.iter().zip(unsent).filter(|(_, seen)| *seen != 0) {
                    found.freed += usize::from(self.free(peers, word, seen, turn_of(seen)));
                }
            }
            if found.taken.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Strikes from `unsent`, which lists slots from `first` on, those to which a cell refers.
    fn keep_unreferenced<P: Platform>(&self, peers: &P, first: usize, unsent: &mut [u64]) {
        for cell in self.cells {
            // Relaxed: `is_dead` returned that the senders are dead, so all their writes are
            // visible. A reference that was spent since does no harm: then the slot's word has
            // changed.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            let listed = self.slot_of(seen).checked_sub(first).and_then(|at| unsent.get_mut(at));
            if let (true, Some(word)) = (seen & self.full() != 0, listed) {
                *word = 0;
            }
        }
    }

    /// Empties the cell that refers to a slot whose receiver died between taking it and emptying
    /// the cell (invariant 1).
    fn empty_behind<P: Platform>(&self, peers: &P, slot: usize) {
        // Acquire, both: pairs with the Release in `advance` and in `commit`. By invariant 2 the
        // cell is the one at the head, or is emptied already. The head is not older than the one
        // that the dead receiver read: `is_dead` orders that read before this one.
        let head = peers.at(self.head).load(Ordering::Acquire);
        let Ok((cell, lap)) = self.place(head) else { return };
        let seen = peers.at(cell).load(Ordering::Acquire);
        let full = self.lap_of(seen) == lap && seen & self.full() != 0;
        let refers = full && self.slot_of(seen) == slot;
        if refers && self.is_spent(peers, seen) {
            self.empty(peers, cell, seen);
            self.advance(peers, self.head, head);
        }
    }

    /// Returns the number of items that wait to be received. A snapshot.
    pub fn len<P: Platform>(&self, peers: &P) -> usize {
        let waiting = self.cells.iter().filter(|cell| {
            // Acquire: for `is_spent`.
            let seen = peers.at(*cell).load(Ordering::Acquire);
            seen & self.full() != 0 && !self.is_spent(peers, seen)
        });
        waiting.count()
    }

    /// Returns the number of slots that are in use in any way. A snapshot.
    pub fn in_use<P: Platform>(&self, peers: &P) -> usize {
        // Relaxed: a snapshot.
        let used = |word: &&AtomicU64| peers.at(*word).load(Ordering::Relaxed) & STATE != FREE;
        self.slots.iter().filter(used).count()
    }

    /// Whether, at one moment of the call, all that was sent had been acknowledged, and nothing was
    /// being sent.
    pub fn is_idle<P: Platform>(&self, peers: &P) -> bool {
        self.all_at_once(peers, |state| state == FREE)
    }

    /// Whether, at one moment of the call, all that was sent had been taken, and nothing was being
    /// sent.
    pub fn is_taken<P: Platform>(&self, peers: &P) -> bool {
        self.all_at_once(peers, |state| matches!(state, FREE | READING))
    }

    /// Whether all slots' states were as `wanted` at one moment of the call.
    fn all_at_once<P: Platform>(&self, peers: &P, wanted: impl Fn(u64) -> bool) -> bool {
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let mut progress = 0_u64;
            for (slot, word) in self.slots.iter().enumerate() {
                // Acquire: pairs with the Release in `free` and `claim`. A thread that observes
                // that all work is done sees its effects, and the second walk sees the writes that
                // the words of the first walk depended on.
                let seen = peers.at(word).load(Ordering::Acquire);
                if !wanted(seen & STATE) {
                    return false;
                }
                let turn = self.turn_at(peers, slot, seen);
                progress = progress.wrapping_add(turn << 2 | (seen & STATE) >> 30);
            }
            if before == Some(progress) {
                return true;
            }
            before = Some(progress);
        }
        false
    }

    fn is_spent<P: Platform>(&self, peers: &P, reference: u64) -> bool {
        // No honest participant writes a reference beyond the slots: it counts as
        // spent, so that it is cleared away.
        let Some(word) = self.slots.get(self.slot_of(reference)) else { return true };
        // The reference was acquired, so this is the word as it was then or newer. Acquire: pairs
        // with the Release in `take`, for "empty".
        peers.at(word).load(Ordering::Acquire) & STATE != READY
    }

    fn empty<P: Platform>(&self, peers: &P, cell: &AtomicU64, seen: u64) {
        let next = (self.lap_of(seen) + 1) << (self.bits() + 1);
        // Release: for "empty" (see "Orderings"). After this the cell is seen to be emptied,
        // whichever thread emptied it.
        let _ = peers.at(cell).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed);
    }

    fn advance<P: Platform>(&self, peers: &P, end: &AtomicU64, from: u64) {
        // Release: of the tail, for `commit`: this thread has seen the cell filled, and all before
        // it. Of the head, for `empty_behind`, and for "empty".
        let _ = peers.at(end).compare_exchange(
            from,
            self.after(from),
            Ordering::Release,
            Ordering::Relaxed,
        );
    }
}

/// The result of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Slots that are free now.
    pub freed: usize,
    /// An item for the caller.
    pub taken: Option<Claim>,
}

/// The dead participants, each queried once within a sweep.
struct Verdicts([u32; 64]);

impl Verdicts {
    const DEAD: u32 = 1 << 31;

    fn new() -> Self {
        Self([0; 64])
    }

    fn is_dead<P: Platform>(&mut self, peers: &P, identity: u32) -> bool {
        let entry = &mut self.0[identity as usize % 64];
        if *entry & IDENTITY != identity {
            *entry = identity | if peers.is_dead(identity) { Self::DEAD } else { 0 };
        }
        *entry & Self::DEAD != 0
    }
}
