//! A readers-writer lock that survives the death of any holder.
//!
//! **Source.** Our own: [`mutex`] for the writers, and a row of cells for the readers, as in the
//! "distributed" readers-writer locks (Hsieh and Weihl, 1992), so that a reader that dies is known
//! by its cell. A count of readers could not be corrected after a death.
//!
//! **The words** (u32): `writer`, the word of [`mutex`]; `dirty`, not 0 while a writer may change
//! the data; two [`event_count`]s, at which readers wait for the writer (`readers_event`) and
//! the writer waits for the readers (`writer_event`); and a row of cells, each of which has the
//! identity of a reader, or 0.
//!
//! | writer | cells | meaning |
//! |---|---|---|
//! | no owner | all 0 | free |
//! | no owner | some | held by these readers |
//! | owner, `dirty` 0 | some | the owner waits for these readers, and holds up new ones |
//! | owner | all 0 | held by the owner |
//!
//! **Invariants**
//!
//! 1. A reader writes its identity into a cell and then looks at `writer`; a writer takes `writer`
//!    and then looks at the cells. Both have a full fence in between. So the reader sees the writer
//!    and takes its identity back, or the writer sees the reader and waits.
//! 2. A cell is emptied by the reader that filled it, or by a thread that has learned of that
//!    reader's death. A dead reader has changed nothing.
//! 3. `dirty` is set before the first change of the data, and is cleared after the last one and
//!    before `writer` is released. So a writer that died while it waited for readers, or after its
//!    last change, has spoiled nothing, and its successor is not told of a death.
//! 4. No thread waits for longer than a bound without a look at who lives.
//!
//! **Fairness.** A writer that waits holds up new readers, so readers cannot starve a writer.
//! Writers that follow one another closely can starve readers.
//!
//! **Orderings.** Emptying a cell is Release and pairs with the Acquire of the writer's look, and
//! of the claim of the cell's next reader, which passes it on: what a reader read was read before
//! the writer writes. Releasing `writer` is Release and pairs with the Acquire of a reader's second
//! look at it. A dead holder's accesses are ordered by the kernel, as in [`mutex`].

use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};
use sync_core::primitive::futex::Deadline;

use super::mutex::{self, INCONSISTENT, Locked, Refused};
use super::{IDENTITY, Platform, event_count};

/// The words of a lock.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    /// The writers' [`mutex`].
    pub writer: &'a AtomicU32,
    /// Not 0: a writer may be changing the data.
    pub dirty: &'a AtomicU32,
    /// Readers wait here.
    pub readers_event: &'a AtomicU32,
    /// The writer waits here.
    pub writer_event: &'a AtomicU32,
    /// The readers.
    pub cells: &'a [AtomicU32],
}

/// How a read was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// By this cell.
    Cell(usize),
    /// A writer died and may have left the data half written: the lock is held for writing.
    OwnerDied,
}

impl Words<'_> {
    /// Takes the lock for reading, sleeping until `deadline` if needed.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    #[inline]
    pub fn read<P: Platform>(
        &self,
        peers: &P,
        deadline: Option<Deadline>,
    ) -> Result<Read, Refused> {
        match self.try_enter(peers, false) {
            Some(Ok(Some(cell))) => Ok(Read::Cell(cell)),
            Some(Err(refused)) => Err(refused),
            _ => self.read_contended(peers, deadline),
        }
    }

    #[cold]
    fn read_contended<P: Platform>(
        &self,
        peers: &P,
        deadline: Option<Deadline>,
    ) -> Result<Read, Refused> {
        loop {
            let entered = event_count::wait_until(self.readers_event, peers, deadline, |look| {
                self.try_enter(peers, look)
            });
            match entered {
                None => return Err(Refused::TimedOut),
                Some(Err(refused)) => return Err(refused),
                Some(Ok(Some(cell))) => return Ok(Read::Cell(cell)),
                // The writer is dead. Its lock is taken over for writing, since the data may have
                // to be repaired.
                Some(Ok(None)) => {
                    let locked = self.inherit(peers, mutex::lock(self.writer, peers, deadline)?);
                    if locked == Locked::OwnerDied {
                        self.wait_for_readers(peers, locked, deadline)?;
                        return Ok(Read::OwnerDied);
                    }
                    // It had changed nothing, or another thread has repaired it. The readers that
                    // it waited for may stay.
                    self.release(peers);
                }
            }
        }
    }

    /// Takes the lock for reading if no living writer holds it or waits for it.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn try_read<P: Platform>(&self, peers: &P) -> Result<Read, Refused> {
        for _ in 0..2 {
            match self.try_enter(peers, true) {
                None => return Err(Refused::TimedOut),
                Some(Err(refused)) => return Err(refused),
                Some(Ok(Some(cell))) => return Ok(Read::Cell(cell)),
                Some(Ok(None)) => {
                    let locked = self.inherit(peers, mutex::try_lock(self.writer, peers)?);
                    if locked == Locked::OwnerDied {
                        self.look_for_readers(peers, locked)?;
                        return Ok(Read::OwnerDied);
                    }
                    self.release(peers);
                }
            }
        }
        Err(Refused::TimedOut)
    }

    /// One attempt to read. `None`: to wait. `Some(Ok(None))`: the writer is dead, which is found
    /// out only with `look`.
    #[inline]
    fn try_enter<P: Platform>(
        &self,
        peers: &P,
        look: bool,
    ) -> Option<Result<Option<usize>, Refused>> {
        let me = peers.me();
        if me == 0 {
            return Some(Err(Refused::NotAttached));
        }
        // Relaxed: a look; the second one below decides.
        let seen = peers.at(self.writer).load(Ordering::Relaxed);
        if seen & IDENTITY != 0 {
            return (look && peers.is_dead(seen & IDENTITY)).then_some(Ok(None));
        }
        if seen & INCONSISTENT != 0 {
            return Some(Err(Refused::NotRecoverable));
        }
        let cell = self.claim(peers, me, look)?;
        // SeqCst: pairs with the fence in `drain` (invariant 1).
        peers.fence_after_change();
        // Acquire: pairs with the Release of `mutex::unlock`.
        let seen = peers.at(self.writer).load(Ordering::Acquire);
        if seen & (IDENTITY | INCONSISTENT) == 0 {
            return Some(Ok(Some(cell)));
        }
        self.leave(peers, cell, me);
        None
    }

    /// Fills an empty cell, with `look` also that of a dead reader.
    #[inline]
    fn claim<P: Platform>(&self, peers: &P, me: u32, look: bool) -> Option<usize> {
        // The slot of the identity: processes begin at different cells.
        let start = me as usize % self.cells.len().max(1);
        let (behind, first) = self.cells.split_at(start.min(self.cells.len()));
        let row = first.iter().enumerate().map(|(at, cell)| (start + at, cell));
        for (at, cell) in row.chain(behind.iter().enumerate()) {
            // Relaxed: a look.
            let seen = peers.at(cell).load(Ordering::Relaxed);
            if seen != 0 && !(look && peers.is_dead(seen)) {
                continue;
            }
            // Acquire: pairs with the Release in `leave`, for the writer that sees this cell empty
            // again.
            let got =
                peers.at(cell).compare_exchange(seen, me, Ordering::Acquire, Ordering::Relaxed);
            if got.is_ok() {
                return Some(at);
            }
        }
        None
    }

    /// Releases the lock for reading. Only for the holder of the cell.
    #[inline]
    pub fn read_unlock<P: Platform>(&self, peers: &P, cell: usize) {
        self.leave(peers, cell, peers.me());
    }

    #[inline]
    fn leave<P: Platform>(&self, peers: &P, cell: usize, me: u32) {
        let Some(cell) = self.cells.get(cell) else { return };
        // Release: pairs with the Acquire in `drain` and in `claim`. An exchange: a cell that was
        // taken for a dead one's may be another reader's by now.
        let _ = peers.at(cell).compare_exchange(me, 0, Ordering::Release, Ordering::Relaxed);
        event_count::notify(self.writer_event, peers, 1);
        // A reader may wait for a cell. Also after a reader that saw a writer and has read nothing:
        // that writer may have woken the waiting readers before they found no cell. The fence in
        // `notify` orders this look too.
        if event_count::is_awaited_fenced(self.readers_event, peers) {
            event_count::wake(self.readers_event, peers, 1);
        }
    }

    /// Takes the lock for writing, sleeping until `deadline` if needed.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn write<P: Platform>(
        &self,
        peers: &P,
        deadline: Option<Deadline>,
    ) -> Result<Locked, Refused> {
        let locked = self.inherit(peers, mutex::lock(self.writer, peers, deadline)?);
        self.wait_for_readers(peers, locked, deadline)
    }

    fn wait_for_readers<P: Platform>(
        &self,
        peers: &P,
        locked: Locked,
        deadline: Option<Deadline>,
    ) -> Result<Locked, Refused> {
        // SeqCst: pairs with the fence in `try_enter` (invariant 1).
        peers.fence_after_change();
        let drained = self.drain(peers, false).is_some()
            || event_count::wait_until(self.writer_event, peers, deadline, |look| {
                self.drain(peers, look)
            })
            .is_some();
        self.begin(peers, locked, drained)
    }

    /// Takes the lock for writing if no living thread holds it.
    ///
    /// # Errors
    ///
    /// [`Refused`].
    pub fn try_write<P: Platform>(&self, peers: &P) -> Result<Locked, Refused> {
        let locked = self.inherit(peers, mutex::try_lock(self.writer, peers)?);
        self.look_for_readers(peers, locked)
    }

    fn look_for_readers<P: Platform>(&self, peers: &P, locked: Locked) -> Result<Locked, Refused> {
        // SeqCst: as in `wait_for_readers`.
        peers.fence_after_change();
        let drained = self.drain(peers, true).is_some();
        self.begin(peers, locked, drained)
    }

    /// Returns how the lock was acquired, once the death of a writer that had changed nothing is
    /// left out (invariant 3).
    fn inherit<P: Platform>(&self, peers: &P, locked: Locked) -> Locked {
        // Relaxed: the dead writer's accesses are ordered by the kernel, a living one's by the
        // mutex.
        if locked == Locked::OwnerDied && peers.at(self.dirty).load(Ordering::Relaxed) == 0 {
            mutex::mark_consistent(self.writer, peers);
            return Locked::Clean;
        }
        locked
    }

    /// Whether no reader is left. With `look`, the dead are cleared away.
    fn drain<P: Platform>(&self, peers: &P, look: bool) -> Option<()> {
        for cell in self.cells {
            // Acquire: pairs with the Release in `leave`.
            let seen = peers.at(cell).load(Ordering::Acquire);
            if seen == 0 {
                continue;
            }
            if !look || !peers.is_dead(seen) {
                return None;
            }
            // Acquire: pairs with the Release in `leave`, if another reader was faster to leave it.
            // On failure a reader that will see this writer has taken the cell, and leaves.
            if peers
                .at(cell)
                .compare_exchange(seen, 0, Ordering::Acquire, Ordering::Relaxed)
                .is_err()
            {
                return None;
            }
        }
        Some(())
    }

    fn begin<P: Platform>(
        &self,
        peers: &P,
        locked: Locked,
        drained: bool,
    ) -> Result<Locked, Refused> {
        if !drained {
            match locked {
                Locked::Clean => self.release(peers),
                Locked::OwnerDied => self.abandon(peers),
            }
            return Err(Refused::TimedOut);
        }
        // Relaxed: read by the successor of a dead writer.
        peers.at(self.dirty).store(1, Ordering::Relaxed);
        // Release: the flag is set before the data changes (invariant 3).
        fence(Ordering::Release);
        Ok(locked)
    }

    fn release<P: Platform>(&self, peers: &P) {
        mutex::unlock(self.writer, peers);
        event_count::notify(self.readers_event, peers, u32::MAX);
    }

    /// Releases the lock for writing. Only for the owner.
    pub fn write_unlock<P: Platform>(&self, peers: &P) {
        // Release: the data was changed before (invariant 3).
        peers.at(self.dirty).store(0, Ordering::Release);
        self.release(peers);
    }

    /// Declares the data consistent, as [`mutex::mark_consistent`].
    pub fn mark_consistent<P: Platform>(&self, peers: &P) {
        mutex::mark_consistent(self.writer, peers);
    }

    /// As [`mutex::give_up`].
    #[cold]
    pub fn give_up<P: Platform>(&self, peers: &P) {
        mutex::give_up(self.writer, peers);
        event_count::notify(self.readers_event, peers, u32::MAX);
    }

    /// As [`mutex::abandon`].
    #[cold]
    pub fn abandon<P: Platform>(&self, peers: &P) {
        mutex::abandon(self.writer, peers);
        event_count::notify(self.readers_event, peers, u32::MAX);
    }
}
