//! A bounded queue for many senders and many receivers, each of which may vanish at any step.
//!
//! **Source.** Our own, after Vyukov's bounded MPMC queue (a ring of cells with lap numbers) and
//! LMAX's sequence barriers. Both stop for good when a participant dies or is stopped between
//! claiming a cell and filling it. So here claiming and ordering are two things. Items lie in
//! **slots**, each tagged with its owner, in no order. The **ring** holds references to slots, and
//! a reference goes in by one compare-and-swap when its item is complete. There is no moment at
//! which the ring waits for a participant.
//!
//! **A slot's word** (u64): `use:32 | state:2 | identity:30`. Every use runs through the states in
//! this order, so `use | state` only grows:
//!
//! | state | meaning |
//! |---|---|
//! | FREE | unowned |
//! | WRITING, sender | being filled; while a cell refers to it, an item that can be received |
//! | READING, receiver | taken, until acknowledged |
//! | READING, 0 | taken and given back: as if its receiver were dead |
//!
//! **A ring cell** (u64): `lap:49 | FULL:1 | slot:14`. Without FULL, the cell waits for the
//! reference of that lap.
//!
//! **A position** (u64), of the head and of the tail: `lap:50 | cell:14`.
//!
//! **Sending**: claim a slot (FREE → WRITING), fill it, put its reference into the cell at the tail
//! (*the commit point*), help the tail on. **Receiving**: look at the cell at the head, take the
//! slot (WRITING → READING, *the commit point*), empty the cell, help the head on; copy the item
//! out; acknowledge (READING → FREE of the next use).
//!
//! **Invariants**
//!
//! 1. A slot leaves a use only when no cell refers to it any more. The receiver empties the cell,
//!    or sees it emptied, before it may acknowledge or give back. A sweep that deals with a dead
//!    receiver's slot empties the cell first (`Ring::empty_behind`). A sender that abandons its
//!    slot never referred to it. So a reference that is in its cell refers to the slot's present
//!    use.
//! 2. The tail passes a cell only after it was filled. The head passes a cell only after its
//!    reference was spent (the slot is not WRITING any more) and the cell was emptied. Both move by
//!    compare-and-swap from the very position, so help that comes late does nothing. Hence a spent
//!    reference is in the cell at the head, or nowhere.
//! 3. A WRITING slot whose sender is dead and to which no cell refers was never sent. Its sender
//!    can refer to it no more, and a reference never moves, so one look at every cell is proof: the
//!    slot is freed.
//! 4. A READING slot whose receiver is dead was taken and not acknowledged: it is redelivered, or
//!    freed, as the queue's maker chose.
//! 5. No participant waits for another: a stopped sender holds its slot, a stopped receiver its
//!    item, and the others go on.
//!
//! **No ABA.** A receiver reads a reference in its cell, then the slot's word, then the cell once
//! more, and exchanges the whole word. If the cell is unchanged, the word that was read belongs to
//! the reference (invariant 1), and not to a later use that looks alike. The second look is ordered
//! after any later use: the thread that freed the slot had seen the cell emptied, and passed that
//! on by its Release to the Acquire of the claim, and by the claim's Release to the Acquire of the
//! look at the word. From there on only the numbers matter: the exchange would have to find a word
//! of the same sender, in the same state, exactly k * 2^32 uses of this slot later, all of them
//! between two instructions of a stopped receiver. At 100 ns a use that is a stop of k * 7 minutes;
//! all other compare-and-swaps need 2^49 laps (20 months) or an identity of a dead participant,
//! which does not come back.
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
//! was read before the new one is written. Claiming is Release too: a thread that sees a slot
//! claimed sees every slot freed that the claimer saw freed. That is for "full" and "idle", and for
//! the paragraph on ABA. Taking, emptying a cell, and moving the head on are Release, and the looks
//! at them Acquire: a thread that sees an item gone sees what its taker had given back before. That
//! is for "empty" in [`channel`](super::channel).

use sync_core::primitive::atomic::{AtomicU64, Ordering};
use sync_core::primitive::hint::spin_loop;

use super::{IDENTITY, Peers};

/// The most slots of a queue.
pub const MAX_SLOTS: usize = 1 << CELL_BITS;

/// The number of times that an operation begins again before it reports that the queue is
/// corrupted. Every new beginning means that another participant succeeded; this many in a row
/// while we looked at one cell do not happen in an honest queue.
pub const ATTEMPTS: u32 = 1 << 16;

const CELL_BITS: u32 = 14;
const CELL: u64 = (1 << CELL_BITS) - 1;

const STATE: u64 = 3 << 30;
const FREE: u64 = 0;
const WRITING: u64 = 1 << 30;
const READING: u64 = 2 << 30;
const ID: u64 = IDENTITY as u64;
const ONE_USE: u64 = 1 << 32;
/// The shift that leaves `use | state`.
const PROGRESS_SHIFT: u32 = 30;

const FULL: u64 = 1 << CELL_BITS;
const LAP_SHIFT: u32 = CELL_BITS + 1;
const LAP: u64 = u64::MAX >> LAP_SHIFT;

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
}

/// The lap of a cell's word.
fn lap_of(cell: u64) -> u64 {
    cell >> LAP_SHIFT
}

/// The slot that a cell refers to, if it is [`FULL`].
fn slot_of(cell: u64) -> usize {
    (cell & CELL) as usize
}

/// The word of a freed slot: FREE, of the next use.
fn freed(word: u64) -> u64 {
    word.wrapping_add(ONE_USE) & !(ONE_USE - 1)
}

/// The word of a slot that `me` has taken.
fn taken(word: u64, me: u64) -> u64 {
    word & !(STATE | ID) | READING | me
}

impl Ring<'_> {
    fn me<P: Peers>(peers: &P) -> Result<u64, RingError> {
        match peers.me() {
            0 => Err(RingError::NotAttached),
            me => Ok(u64::from(me)),
        }
    }

    /// The cell at a position, and the lap that its word has there.
    fn place(&self, position: u64) -> Result<(&AtomicU64, u64), RingError> {
        let cell = self.cells.get((position & CELL) as usize).ok_or(RingError::Corrupted)?;
        Ok((cell, (position >> CELL_BITS) & LAP))
    }

    /// The position after one.
    fn after(&self, position: u64) -> u64 {
        let next = (position & CELL) + 1;
        if next < self.cells.len() as u64 {
            position + 1
        } else {
            (position | CELL).wrapping_add(1)
        }
    }

    /// Claims a free slot to fill.
    ///
    /// # Errors
    ///
    /// [`RingError::Full`]: at one moment of the call no slot was free.
    /// [`RingError::NotAttached`], [`RingError::Corrupted`].
    pub fn claim<P: Peers>(&self, peers: &P) -> Result<Claim, RingError> {
        let me = Self::me(peers)?;
        // Relaxed: a hint where a free slot is likely: slots are freed in the order in which they
        // were filled, more or less.
        let hint = (peers.at(self.tail).load(Ordering::Relaxed) & CELL) as usize;
        let start = hint.min(self.slots.len());
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let mut uses = 0_u64;
            let rows = self.slots[start..].iter().enumerate().map(|(at, word)| (start + at, word));
            for (slot, word) in rows.chain(self.slots[..start].iter().enumerate()) {
                // Acquire: pairs with the Release here and in `acknowledge`, for the second walk.
                let seen = peers.at(word).load(Ordering::Acquire);
                if seen & STATE == FREE {
                    let claimed = seen & !(ONE_USE - 1) | WRITING | me;
                    // Acquire: pairs with the Release in `acknowledge`. Release: see "Orderings".
                    // Acquire on failure: as for the look.
                    let got = peers.at(word).compare_exchange(
                        seen,
                        claimed,
                        Ordering::AcqRel,
                        Ordering::Acquire,
                    );
                    if got.is_ok() {
                        return Ok(Claim { slot, word: claimed });
                    }
                }
                uses = uses.wrapping_add(seen >> 32);
            }
            // A slot that was not free, and is in the same use, was not free in between.
            if before == Some(uses) {
                return Err(RingError::Full);
            }
            before = Some(uses);
        }
        Err(RingError::Corrupted)
    }

    /// Sends a filled slot.
    ///
    /// # Errors
    ///
    /// [`RingError::Corrupted`]; the slot is free again.
    pub fn commit<P: Peers>(&self, peers: &P, claim: Claim) -> Result<(), RingError> {
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `advance`. See "Orderings": a thread that sees our
            // reference sees all before it.
            let tail = peers.at(self.tail).load(Ordering::Acquire);
            let Ok((cell, lap)) = self.place(tail) else { break };
            // Acquire: pairs with the Release below, for `is_spent`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            match (lap_of(seen) == lap, seen & FULL != 0) {
                (true, false) => {
                    let reference = lap << LAP_SHIFT | FULL | claim.slot as u64;
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
                    if lap_of(seen) == lap.wrapping_sub(1) & LAP && self.is_spent(peers, seen) =>
                {
                    self.empty(peers, cell, seen);
                }
                // Filled and emptied again, by a sender that has not helped the tail on.
                (false, _) if lap_of(seen) == (lap + 1) & LAP => {
                    self.advance(peers, self.tail, tail);
                }
                // Our tail is old, or the words are nonsense: read the tail again.
                _ => spin_loop(),
            }
        }
        self.abandon(peers, claim);
        Err(RingError::Corrupted)
    }

    /// Frees a slot that was claimed and not sent.
    pub fn abandon<P: Peers>(&self, peers: &P, claim: Claim) {
        self.free(peers, &self.slots[claim.slot], claim.word);
    }

    fn free<P: Peers>(&self, peers: &P, word: &AtomicU64, seen: u64) -> bool {
        // Release: pairs with the Acquire in `claim`.
        peers
            .at(word)
            .compare_exchange(seen, freed(seen), Ordering::Release, Ordering::Relaxed)
            .is_ok()
    }

    /// Takes the oldest item.
    ///
    /// # Errors
    ///
    /// [`RingError::Empty`]: at one moment of the call every item that was sent had been taken.
    /// [`RingError::Corrupted`], [`RingError::NotAttached`].
    pub fn take<P: Peers>(&self, peers: &P) -> Result<Claim, RingError> {
        let me = Self::me(peers)?;
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `advance`, for "empty" (see "Orderings").
            let head = peers.at(self.head).load(Ordering::Acquire);
            let (cell, lap) = self.place(head)?;
            // Acquire: pairs with the Release in `commit`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            if lap_of(seen) != lap {
                if lap_of(seen) == (lap + 1) & LAP {
                    // Emptied, and the head not yet helped on.
                    self.advance(peers, self.head, head);
                } else {
                    spin_loop();
                }
                continue;
            }
            if seen & FULL == 0 {
                // The cell at the head was never filled in this lap. If the head is still there,
                // nothing has been sent and not taken. Relaxed: only so that the answer is not
                // older than need be. It is true without: see "Orderings".
                if peers.at(self.head).load(Ordering::Relaxed) == head {
                    return Err(RingError::Empty);
                }
                spin_loop();
                continue;
            }
            let slot = slot_of(seen);
            let Some(word) = self.slots.get(slot) else { return Err(RingError::Corrupted) };
            // Acquire: pairs with the Release in `claim`: if this is a later use, the look at the
            // cell below sees the cell emptied. It is no earlier use: the reference was acquired.
            let now = peers.at(word).load(Ordering::Acquire);
            if now & STATE == WRITING {
                // "No ABA" above. Relaxed: ordered by the Acquire before it.
                if peers.at(cell).load(Ordering::Relaxed) != seen {
                    continue;
                }
                let taken = taken(now, me);
                // The commit point. Release: for "empty" (see "Orderings"). The item was acquired
                // with the reference.
                let got = peers.at(word).compare_exchange(
                    now,
                    taken,
                    Ordering::Release,
                    Ordering::Relaxed,
                );
                if got.is_ok() {
                    self.empty(peers, cell, seen);
                    self.advance(peers, self.head, head);
                    return Ok(Claim { slot, word: taken });
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
    pub fn acknowledge<P: Peers>(&self, peers: &P, claim: Claim) -> bool {
        claim.word & ID == u64::from(peers.me())
            && self.free(peers, &self.slots[claim.slot], claim.word)
    }

    /// Gives a taken item back unacknowledged, for a [`sweep`](Self::sweep) to find. One step, so
    /// that it is never unowned and unlisted. Returns `false` as
    /// [`acknowledge`](Self::acknowledge).
    pub fn give_back<P: Peers>(&self, peers: &P, claim: Claim) -> bool {
        // Release: pairs with the Acquire in `sweep`.
        claim.word & ID == u64::from(peers.me())
            && peers
                .at(&self.slots[claim.slot])
                .compare_exchange(
                    claim.word,
                    claim.word & !ID,
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
    pub fn sweep<P: Peers>(
        &self,
        peers: &P,
        orphans: Orphans,
        receives: bool,
    ) -> Result<Sweep, RingError> {
        let me = Self::me(peers)?;
        let mut found = Sweep { freed: 0, taken: None };
        let mut verdicts = Verdicts::new();
        for (batch, slots) in self.slots.chunks(BATCH).enumerate() {
            let first = batch * BATCH;
            // The words of dead senders' slots; 0: none.
            let mut unsent = [0_u64; BATCH];
            for (at, word) in slots.iter().enumerate() {
                // Acquire: pairs with the Release below, for "empty" (see "Orderings").
                let seen = peers.at(word).load(Ordering::Acquire);
                let owner = (seen & ID) as u32;
                let concerned = match seen & STATE {
                    WRITING => true,
                    READING => orphans == Orphans::Drop || receives,
                    _ => false,
                };
                // 0: given back by a receiver that lives.
                if !concerned || (owner != 0 && !verdicts.is_dead(peers, owner)) {
                    continue;
                }
                match seen & STATE {
                    WRITING => unsent[at] = seen,
                    _ => {
                        if owner != 0 {
                            self.empty_behind(peers, first + at);
                        }
                        if orphans == Orphans::Drop {
                            found.freed += usize::from(self.free(peers, word, seen));
                            continue;
                        }
                        let taken = taken(seen, me);
                        // Acquire: pairs with the Release in `give_back`; for a dead owner,
                        // `is_dead` orders. Release, and Acquire on failure: for "empty".
                        let got = peers.at(word).compare_exchange(
                            seen,
                            taken,
                            Ordering::AcqRel,
                            Ordering::Acquire,
                        );
                        if got.is_ok() {
                            found.taken = Some(Claim { slot: first + at, word: taken });
                            break;
                        }
                    }
                }
            }
            if unsent.iter().any(|word| *word != 0) {
                self.keep_unreferenced(peers, first, &mut unsent);
                for (word, seen) in slots.iter().zip(unsent).filter(|(_, seen)| *seen != 0) {
                    found.freed += usize::from(self.free(peers, word, seen));
                }
            }
            if found.taken.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Strikes from `unsent`, which lists slots from `first` on, those to which a cell refers.
    fn keep_unreferenced<P: Peers>(&self, peers: &P, first: usize, unsent: &mut [u64]) {
        for cell in self.cells {
            // Relaxed: `is_dead` returned that the senders are dead, so all their writes are
            // visible. A reference that was spent since does no harm: then the slot's word has
            // changed.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            let listed = slot_of(seen).checked_sub(first).and_then(|at| unsent.get_mut(at));
            if let (true, Some(word)) = (seen & FULL != 0, listed) {
                *word = 0;
            }
        }
    }

    /// Empties the cell that refers to a slot whose receiver died between taking it and emptying
    /// the cell (invariant 1).
    fn empty_behind<P: Peers>(&self, peers: &P, slot: usize) {
        // Acquire, both: pairs with the Release in `advance` and in `commit`. By invariant 2 the
        // cell is the one at the head, or is emptied already. The head is not older than the one
        // that the dead receiver read: `is_dead` orders that read before this one.
        let head = peers.at(self.head).load(Ordering::Acquire);
        let Ok((cell, lap)) = self.place(head) else { return };
        let seen = peers.at(cell).load(Ordering::Acquire);
        let refers = lap_of(seen) == lap && seen & FULL != 0 && slot_of(seen) == slot;
        if refers && self.is_spent(peers, seen) {
            self.empty(peers, cell, seen);
            self.advance(peers, self.head, head);
        }
    }

    /// Returns the number of items that wait to be received. A snapshot.
    pub fn len<P: Peers>(&self, peers: &P) -> usize {
        let waiting = self.cells.iter().filter(|cell| {
            // Acquire: for `is_spent`.
            let seen = peers.at(*cell).load(Ordering::Acquire);
            seen & FULL != 0 && !self.is_spent(peers, seen)
        });
        waiting.count()
    }

    /// Returns the number of slots that are in use in any way. A snapshot.
    pub fn in_use<P: Peers>(&self, peers: &P) -> usize {
        // Relaxed: a snapshot.
        let used = |word: &&AtomicU64| peers.at(*word).load(Ordering::Relaxed) & STATE != FREE;
        self.slots.iter().filter(used).count()
    }

    /// Whether, at one moment of the call, all that was sent had been acknowledged, and nothing was
    /// being sent.
    pub fn is_idle<P: Peers>(&self, peers: &P) -> bool {
        self.all_at_once(peers, |state| state == FREE)
    }

    /// Whether, at one moment of the call, all that was sent had been taken, and nothing was being
    /// sent.
    pub fn is_taken<P: Peers>(&self, peers: &P) -> bool {
        self.all_at_once(peers, |state| state != WRITING)
    }

    /// Whether all slots' states were as `wanted` at one moment of the call.
    fn all_at_once<P: Peers>(&self, peers: &P, wanted: impl Fn(u64) -> bool) -> bool {
        let mut before = None;
        for _ in 0..ATTEMPTS {
            let mut progress = 0_u64;
            for word in self.slots {
                // Acquire: pairs with the Release in `free` and `claim`. A thread that observes
                // that all work is done sees its effects, and the second walk sees the writes that
                // the words of the first walk depended on.
                let seen = peers.at(word).load(Ordering::Acquire);
                if !wanted(seen & STATE) {
                    return false;
                }
                progress = progress.wrapping_add(seen >> PROGRESS_SHIFT);
            }
            if before == Some(progress) {
                return true;
            }
            before = Some(progress);
        }
        false
    }

    fn is_spent<P: Peers>(&self, peers: &P, reference: u64) -> bool {
        // No honest participant writes a reference beyond the slots: it counts as
        // spent, so that it is cleared away.
        let Some(word) = self.slots.get(slot_of(reference)) else { return true };
        // The reference was acquired, so this is the word as it was then or newer. Acquire: pairs
        // with the Release in `take`, for "empty".
        peers.at(word).load(Ordering::Acquire) & STATE != WRITING
    }

    fn empty<P: Peers>(&self, peers: &P, cell: &AtomicU64, seen: u64) {
        let next = (lap_of(seen) + 1) << LAP_SHIFT;
        // Release: for "empty" (see "Orderings"). After this the cell is seen to be emptied,
        // whichever thread emptied it.
        let _ = peers.at(cell).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed);
    }

    fn advance<P: Peers>(&self, peers: &P, end: &AtomicU64, from: u64) {
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

    fn is_dead<P: Peers>(&mut self, peers: &P, identity: u32) -> bool {
        let entry = &mut self.0[identity as usize % 64];
        if *entry & IDENTITY != identity {
            *entry = identity | if peers.is_dead(identity) { Self::DEAD } else { 0 };
        }
        *entry & Self::DEAD != 0
    }
}
