//! A bounded queue for many senders and many receivers, any of whom may vanish.
//!
//! **Source.** Our own, after Vyukov's bounded MPMC queue (a ring of cells with lap numbers) and
//! LMAX's sequence barriers; both stop for good when somebody dies or is stopped between claiming a
//! cell and filling it. So here claiming and ordering are two things: items lie in **slots**, each
//! tagged with its owner, in no order; the **ring** holds references to slots, and a reference goes
//! in by one compare-and-swap when its item is complete. There is no moment at which the ring waits
//! for anybody.
//!
//! **A slot's word** (u64): `use:32 | state:2 | identity:30`.
//!
//! | state | meaning |
//! |---|---|
//! | FREE | nobody's |
//! | WRITING, sender | being filled; or, once the ring refers to this use of it, an item that waits to be received |
//! | READING, receiver | taken, until acknowledged |
//! | READING, 0 | taken and given back: as if its receiver were dead |
//!
//! **A ring cell** (u64): `lap:32 | FULL:1 | use:15 | slot:16`; without FULL, the cell waits for
//! the reference of that lap.
//!
//! **A position** (u64), of the head and of the tail: `lap:32 | cell:32`.
//!
//! **Sending**: claim a slot (FREE → WRITING), fill it, put its reference into the cell at the tail
//! (*the commit point*), help the tail on. **Receiving**: look at the cell at the head, take the
//! slot (WRITING → READING, *the commit point*), empty the cell, help the head on; copy the item
//! out; acknowledge (READING → FREE of the next use).
//!
//! **Invariants**
//!
//! 1. A reference names a slot and its use. It is spent when the slot's word is no longer WRITING
//!    in that use; anybody may then empty the cell and help the head past it. At most [`MAX_SLOTS`]
//!    references live, so 15 bits of the use tell them apart.
//! 2. The tail passes a cell only after it was filled, the head only after its reference was spent;
//!    both by compare-and-swap from the very position: help that comes late does nothing.
//! 3. A WRITING slot whose sender is dead and that no cell refers to was never sent: it is a
//!    tombstone, and is freed. Its sender can refer to it no more, and a reference never moves, so
//!    one look at every cell is proof.
//! 4. A READING slot whose receiver is dead was taken and not acknowledged: it is redelivered, or
//!    freed, as the queue's maker chose.
//! 5. Nobody waits for anybody: a stopped sender holds its slot, a stopped receiver its item, and
//!    the others go on.
//!
//! **Order.** First in, first out, by the order of the commits. What is redelivered comes late.
//!
//! **Hostile contents.** Slot numbers are compared with the number of slots; every loop is bounded
//! by it and by [`ATTEMPTS`], and ends in [`Trouble::Corrupted`].
//!
//! **Orderings.** The reference's compare-and-swap is Release and pairs with the Acquire of the
//! receiver's look at the cell: the item is complete. The positions are hints, but for one thing:
//! who helps the tail past a cell has seen it filled, and hands that on with the tail (Release in
//! `advance`, Acquire in `commit`) to the next sender, who hands it on with its reference. So who
//! has seen any reference cannot find an older cell empty, and "empty" is never said to somebody
//! who knows of an item that is still there. Acknowledging is Release and pairs with the Acquire of
//! claiming: the old item was read before the new one is written.

use sync_core::primitive::atomic::{AtomicU64, Ordering};
use sync_core::primitive::hint::spin_loop;

use super::{IDENTITY, Peers};

/// The most slots of a queue: so that 15 bits of a slot's use are enough (invariant 1).
pub const MAX_SLOTS: usize = 1 << 14;

/// How often an operation begins anew before it says that the queue is corrupted. Every new
/// beginning means that somebody else succeeded; this many in a row while we looked at one cell do
/// not happen to an honest queue.
pub const ATTEMPTS: u32 = 1 << 16;

const STATE: u64 = 3 << 30;
const FREE: u64 = 0;
const WRITING: u64 = 1 << 30;
const READING: u64 = 2 << 30;
const ID: u64 = IDENTITY as u64;
const ONE_USE: u64 = 1 << 32;

const FULL: u64 = 1 << 31;
const USE_BITS: u64 = 0x7fff;
const ONE_LAP: u64 = 1 << 32;

/// Why nothing was claimed or taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No slot is free.
    Full,
    /// No item is there.
    Empty,
    /// The words contradict each other.
    Corrupted,
    /// This process could not become a participant.
    NotAttached,
}

/// What becomes of an item whose receiver died before it acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orphans {
    /// Another receiver gets it.
    Redeliver,
    /// Nobody gets it.
    Drop,
}

/// A slot that is ours, in this use of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which slot.
    pub slot: usize,
    /// Its word while it is ours.
    word: u64,
}

impl Claim {
    /// The identity of the participant whose slot it is.
    #[must_use]
    pub fn owner(&self) -> u32 {
        (self.word & ID) as u32
    }
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

fn reference(lap: u64, claim: Claim) -> u64 {
    lap << 32 | FULL | ((claim.word >> 32) & USE_BITS) << 16 | claim.slot as u64
}

impl Ring<'_> {
    fn me<P: Peers>(peers: &P) -> Result<u64, Trouble> {
        match peers.me() {
            0 => Err(Trouble::NotAttached),
            me => Ok(u64::from(me)),
        }
    }

    /// The cell at a position, and the position's lap.
    fn place(&self, position: u64) -> Result<(&AtomicU64, u64), Trouble> {
        let cell = self.cells.get((position & u64::from(u32::MAX)) as usize).ok_or(Trouble::Corrupted)?;
        Ok((cell, position >> 32))
    }

    /// The position after one.
    fn after(&self, position: u64) -> u64 {
        let next = position.wrapping_add(1);
        if next & u64::from(u32::MAX) < self.cells.len() as u64 { next } else { (position >> 32).wrapping_add(1) << 32 }
    }

    /// Claims a free slot to fill.
    ///
    /// # Errors
    ///
    /// [`Trouble::Full`], [`Trouble::NotAttached`].
    pub fn claim<P: Peers>(&self, peers: &P) -> Result<Claim, Trouble> {
        let me = Self::me(peers)?;
        // Relaxed: a hint where a free slot is likely: slots are freed in the order in which they
        // were filled, more or less.
        let start = ((peers.at(self.tail).load(Ordering::Relaxed) & u64::from(u32::MAX)) as usize).min(self.slots.len());
        let rows = self.slots[start..].iter().enumerate().map(|(at, word)| (start + at, word));
        for (slot, word) in rows.chain(self.slots[..start].iter().enumerate()) {
            // Relaxed: a look.
            let seen = peers.at(word).load(Ordering::Relaxed);
            if seen & STATE == FREE {
                let claimed = seen & !(ONE_USE - 1) | WRITING | me;
                // Acquire: pairs with the Release in `acknowledge`.
                if peers.at(word).compare_exchange(seen, claimed, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                    return Ok(Claim { slot, word: claimed });
                }
            }
        }
        Err(Trouble::Full)
    }

    /// Sends what was filled in.
    ///
    /// # Errors
    ///
    /// [`Trouble::Corrupted`]; the slot is free again.
    pub fn commit<P: Peers>(&self, peers: &P, claim: Claim) -> Result<(), Trouble> {
        for _ in 0..ATTEMPTS {
            // Acquire: pairs with the Release in `advance`. See "Orderings" above: who sees our
            // reference sees all before it.
            let tail = peers.at(self.tail).load(Ordering::Acquire);
            let Ok((cell, lap)) = self.place(tail) else { break };
            // Relaxed: that we saw it filled is enough to pass on. Nothing behind it is touched.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            match (seen >> 32 == lap, seen & FULL != 0) {
                (true, false) => {
                    // Release: pairs with the Acquire in `take`. The commit point.
                    let sent = peers.at(cell).compare_exchange(seen, reference(lap, claim), Ordering::Release, Ordering::Relaxed);
                    if sent.is_ok() {
                        self.advance(peers, self.tail, tail);
                        return Ok(());
                    }
                }
                (true, true) => self.advance(peers, self.tail, tail),
                // The last lap's reference: it is spent, for with our slot there are more slots
                // than references, and the oldest is spent first. Help it out.
                (false, true) if seen >> 32 == lap.wrapping_sub(1) & u64::from(u32::MAX) && self.is_spent(peers, seen) => {
                    self.clear(peers, cell, seen);
                }
                // Filled and emptied again, by a sender that has not helped the tail on.
                (false, _) if seen >> 32 == (lap + 1) & u64::from(u32::MAX) => self.advance(peers, self.tail, tail),
                // Our tail is old, or the words are nonsense: see what the tail is now.
                _ => spin_loop(),
            }
        }
        self.abandon(peers, claim);
        Err(Trouble::Corrupted)
    }

    /// Frees a slot that was claimed and not sent.
    pub fn abandon<P: Peers>(&self, peers: &P, claim: Claim) {
        let next = claim.word.wrapping_add(ONE_USE) & !(ONE_USE - 1);
        // Release: pairs with the Acquire in `claim`.
        let _ = peers.at(&self.slots[claim.slot]).compare_exchange(claim.word, next, Ordering::Release, Ordering::Relaxed);
    }

    /// Takes the oldest item.
    ///
    /// # Errors
    ///
    /// [`Trouble::Empty`], [`Trouble::Corrupted`], [`Trouble::NotAttached`].
    pub fn take<P: Peers>(&self, peers: &P) -> Result<Claim, Trouble> {
        let me = Self::me(peers)?;
        for _ in 0..ATTEMPTS {
            // Relaxed: a position, which the cell confirms.
            let head = peers.at(self.head).load(Ordering::Relaxed);
            let (cell, lap) = self.place(head)?;
            // Acquire: pairs with the Release in `commit`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            if seen >> 32 != lap {
                if seen >> 32 == (lap + 1) & u64::from(u32::MAX) {
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
                // older than need be. It is true without: see "Orderings" above.
                if peers.at(self.head).load(Ordering::Relaxed) == head {
                    return Err(Trouble::Empty);
                }
                spin_loop();
                continue;
            }
            let slot = (seen & 0xffff) as usize;
            let Some(word) = self.slots.get(slot) else { return Err(Trouble::Corrupted) };
            // Relaxed, here and below: the reference was acquired, and with it the item and the
            // slot's word as it was then or newer.
            let now = peers.at(word).load(Ordering::Relaxed);
            if is_use(now, seen) && now & STATE == WRITING {
                let taken = now & !(STATE | ID) | READING | me;
                // The commit point.
                if peers.at(word).compare_exchange(now, taken, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                    self.clear(peers, cell, seen);
                    self.advance(peers, self.head, head);
                    return Ok(Claim { slot, word: taken });
                }
            }
            // Somebody else took it: help, and look again.
            if self.is_spent(peers, seen) {
                self.clear(peers, cell, seen);
                self.advance(peers, self.head, head);
            }
        }
        Err(Trouble::Corrupted)
    }

    /// Says that a taken item has been dealt with. `false`: it was not ours any more.
    pub fn acknowledge<P: Peers>(&self, peers: &P, claim: Claim) -> bool {
        let next = claim.word.wrapping_add(ONE_USE) & !(ONE_USE - 1);
        // Release: pairs with the Acquire in `claim`.
        peers.at(&self.slots[claim.slot]).compare_exchange(claim.word, next, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Gives a taken item back unacknowledged, for a [`sweep`](Self::sweep) to find. One step, so
    /// that it is never nobody's.
    pub fn give_back<P: Peers>(&self, peers: &P, claim: Claim) -> bool {
        // Release: pairs with the Acquire in `sweep`.
        peers.at(&self.slots[claim.slot]).compare_exchange(claim.word, claim.word & !ID, Ordering::Release, Ordering::Relaxed).is_ok()
    }

    /// Frees what dead senders left unsent, and deals with what dead receivers left unacknowledged:
    /// with [`Orphans::Redeliver`], the first such item is taken by the caller.
    ///
    /// # Errors
    ///
    /// [`Trouble::NotAttached`].
    pub fn sweep<P: Peers>(&self, peers: &P, orphans: Orphans, receives: bool) -> Result<Sweep, Trouble> {
        let me = Self::me(peers)?;
        let mut found = Sweep { freed: 0, taken: None };
        // Neighbours are often one participant's: ask once.
        let mut alive = me;
        for (slot, word) in self.slots.iter().enumerate() {
            // Relaxed: a look; the compare-and-swap decides.
            let seen = peers.at(word).load(Ordering::Relaxed);
            let owner = seen & ID;
            if seen & STATE == FREE || owner == alive {
                continue;
            }
            // 0: given back by a receiver that lives.
            if owner != 0 && !peers.is_dead(owner as u32) {
                alive = owner;
                continue;
            }
            let next = seen.wrapping_add(ONE_USE) & !(ONE_USE - 1);
            match seen & STATE {
                WRITING if !self.is_referred_to(peers, slot, seen) => {
                    // Relaxed on failure: somebody else swept it. Release: as in `abandon`.
                    found.freed += usize::from(peers.at(word).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed).is_ok());
                }
                READING if orphans == Orphans::Drop => {
                    found.freed += usize::from(peers.at(word).compare_exchange(seen, next, Ordering::Release, Ordering::Relaxed).is_ok());
                }
                READING if receives => {
                    let taken = seen & !(STATE | ID) | READING | me;
                    // Acquire: pairs with the Release in `give_back`; of the dead, `is_dead` has
                    // told.
                    if peers.at(word).compare_exchange(seen, taken, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                        found.taken = Some(Claim { slot, word: taken });
                        return Ok(found);
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// How many items wait to be received, and how many slots are in use in any way. Snapshots.
    pub fn count<P: Peers>(&self, peers: &P) -> (usize, usize) {
        let waiting = self.cells.iter().filter(|cell| {
            // Relaxed: a snapshot.
            let seen = peers.at(*cell).load(Ordering::Relaxed);
            seen & FULL != 0 && !self.is_spent(peers, seen)
        });
        // Acquire: pairs with the Release in `acknowledge`: who finds that all is dealt with sees
        // how.
        let in_use = |word: &&AtomicU64| word.load(Ordering::Acquire) & STATE != FREE;
        (waiting.count(), self.slots.iter().filter(in_use).count())
    }

    fn is_spent<P: Peers>(&self, peers: &P, reference: u64) -> bool {
        // A reference outside was never honest: let it be cleared away.
        let Some(word) = self.slots.get((reference & 0xffff) as usize) else { return true };
        // Relaxed: in `take` the reference was acquired, so this is the word as it was then or
        // newer; in `commit` the answer is yes, sooner or later; in `count` it is a snapshot.
        let now = peers.at(word).load(Ordering::Relaxed);
        !(is_use(now, reference) && now & STATE == WRITING)
    }

    fn is_referred_to<P: Peers>(&self, peers: &P, slot: usize, word: u64) -> bool {
        self.cells.iter().any(|cell| {
            // Relaxed: the sender is dead, as `is_dead` has told, and all that it wrote is here.
            // What it referred to is there, or was spent since: then the slot's word is another
            // one.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            seen & FULL != 0 && (seen & 0xffff) as usize == slot && is_use(word, seen)
        })
    }

    fn clear<P: Peers>(&self, peers: &P, cell: &AtomicU64, seen: u64) {
        let next = (seen & !(ONE_LAP - 1)).wrapping_add(ONE_LAP);
        // Relaxed: an empty cell says nothing about anything else. Whether the item may be
        // overwritten, its slot says.
        let _ = peers.at(cell).compare_exchange(seen, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    fn advance<P: Peers>(&self, peers: &P, end: &AtomicU64, from: u64) {
        // Release: of the tail, for `commit`: that we have seen the cell filled, and all before it.
        // (Of the head, nobody needs it.)
        let _ = peers.at(end).compare_exchange(from, self.after(from), Ordering::Release, Ordering::Relaxed);
    }
}

fn is_use(word: u64, reference: u64) -> bool {
    (word >> 32) & USE_BITS == (reference >> 16) & USE_BITS
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Slots that are free now.
    pub freed: usize,
    /// An item for the caller.
    pub taken: Option<Claim>,
}
