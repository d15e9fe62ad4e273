//! A barrier between processes.
//!
//! **Source.** Python's `threading.Barrier` with its three ways out (passed, broken, reset), and Drepper's advice to give every cycle's members an
//! outcome of their own, so that what comes later cannot change it.
//!
//! Memory: lock word u32, generation u32, broken u32, decision u32, cells u32 each (twice as many as parties). All of it changes under the lock
//! ([`raw::lock`](crate::raw::lock)), which is held for a few hundred instructions and never while anybody's code runs.
//!
//! | cell | meaning |
//! |---|---|
//! | 0 | free |
//! | identity | arrived, waits |
//! | PASSED, identity | its cycle was complete; the owner has not seen it yet |
//! | FAILED, identity | its cycle was broken or reset; the owner has not seen it yet |
//!
//! **Invariants**
//!
//! 1. A cycle's outcome is decided by one store to `decision`; whoever takes the lock from one who died after it finishes what the outcome
//!    asks for.
//! 2. The outcome is written into each member's own cell. A later abort or reset touches only cells that still wait.
//! 3. Nobody passes with the dead: who completes a cycle asks for every member whether it lives, and who waits asks again after every bound.
//! 4. The generation changes after every outcome: it is what everybody sleeps on.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::{AtomicU32, Ordering};
use sync_core::primitive::futex::Deadline;

use crate::error::{Error, Result};
use crate::plain;
use crate::raw::{IDENTITY, Patience, Peers, Slept, lock};
use crate::segment::{Block, Segment};

const GENERATION: usize = 4;
const BROKEN: usize = 8;
const DECISION: usize = 12;
const CELLS: usize = 16;

const PASSED: u32 = 1 << 31;
const FAILED: u32 = 1 << 30;

/// Decisions, beside [`PASSED`]: the waiting fail, and the barrier stays broken or starts anew.
const BREAK: u32 = FAILED | 1;
const RESET: u32 = FAILED | 2;

/// The most parties.
const MOST: usize = 4096;

/// A meeting point for a fixed number of parties.
///
/// A party that dies after it arrived, one that runs out of time, and an [`abort`](Self::abort) break the barrier for all who wait and all who come,
/// until a [`reset`](Self::reset). A party that dies before it arrives cannot be told from one that is late: use a timeout.
///
/// ```
/// use sync_ipc::{Barrier, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let barrier = Barrier::create(&segment, "phase", 2)?;
/// std::thread::scope(|scope| {
///     let other = scope.spawn(|| barrier.wait().unwrap().is_leader());
///     let ours = barrier.wait().unwrap().is_leader();
///     assert!(ours ^ other.join().unwrap());
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// What any party wrote before it arrived is visible to every party that passed.
pub struct Barrier {
    block: Block,
    parties: usize,
}

/// What one who passed learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: usize,
    leader: bool,
}

impl BarrierWaitResult {
    /// Whether it was this party that completed the cycle. Exactly one is.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader
    }

    /// How many had arrived before this one.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
}

/// Why a party did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BarrierError {
    /// The barrier is broken: somebody ran out of time, aborted, or died after it arrived; or it was reset while this party waited.
    Broken,
    /// This party ran out of time, and broke the barrier.
    TimedOut,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
}

impl fmt::Display for BarrierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Broken => "the barrier is broken",
            Self::TimedOut => "the time was up before all parties arrived; the barrier is broken now",
            Self::NotAttached => "this forked process could not become a participant of the segment",
        })
    }
}

impl std::error::Error for BarrierError {}

/// What arriving came to.
enum Arrival {
    Waits { cell: usize, index: usize, generation: u32 },
    Completes { cell: usize },
    Later { generation: u32 },
    Broken,
}

impl Barrier {
    /// A barrier for `parties`.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and more than 4096; else as for any object.
    pub fn create(segment: &Segment, name: &str, parties: usize) -> Result<Self> {
        if parties == 0 || parties > MOST {
            return Err(Error::BadSize);
        }
        let block = segment.place(name, plain::kind_of::<()>("barrier"), Self::layout(parties), parties as u64, |_| {})?;
        Ok(Self { block, parties })
    }

    /// The barrier of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, plain::kind_of::<()>("barrier"))?;
        let parties = usize::try_from(block.parameter()).ok().filter(|n| (1..=MOST).contains(n)).ok_or(Error::Corrupted)?;
        Ok(Self { block: block.expect_size(Some(Self::layout(parties)))?, parties })
    }

    fn layout(parties: usize) -> usize {
        CELLS + 2 * parties * 4
    }

    /// How many parties it takes.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.block.u32(BROKEN).load(Ordering::Relaxed) != 0
    }

    /// How many wait at the moment. A snapshot.
    #[must_use]
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.cells().iter().filter(|cell| waits(cell.load(Ordering::Relaxed))).count()
    }

    /// Waits for the others.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_deadline(None, || {})
    }

    /// Waits for the others; whoever completes the cycle runs `action` before anybody passes. If it panics, the barrier breaks.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_deadline(None, action)
    }

    /// Waits at most `timeout`; then breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub fn wait_timeout(&self, timeout: Duration) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_deadline(Deadline::after(timeout), || {})
    }

    /// Waits at most until `deadline`; then breaks the barrier.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub fn wait_deadline(&self, deadline: Instant) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_deadline(Deadline::at(deadline), || {})
    }

    /// Breaks it for all who wait and all who come.
    pub fn abort(&self) {
        // Without the lock there is nobody to abort for: not attached, or scribbled.
        let _ = self.locked(None, || self.decide(BREAK));
    }

    /// Makes it whole again. Those who wait are sent away with [`BarrierError::Broken`].
    pub fn reset(&self) {
        let _ = self.locked(None, || self.decide(RESET));
    }

    fn cells(&self) -> &[AtomicU32] {
        self.block.u32s(CELLS, 2 * self.parties)
    }

    fn wait_until_deadline(&self, deadline: Option<Deadline>, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        let peers = self.block.segment();
        let mut patience = Patience::new();
        loop {
            match self.locked(deadline, || self.arrive())? {
                Arrival::Broken => return Err(BarrierError::Broken),
                Arrival::Completes { cell } => return self.complete(cell, action),
                Arrival::Waits { cell, index, generation } => return self.wait_in(cell, index, generation, deadline),
                // A cycle is being completed, or one of the past has not been collected: it is not our turn yet.
                Arrival::Later { generation } => {
                    if peers.sleep(self.block.u32(GENERATION), generation, patience.next_bound(), deadline) == Slept::Deadline {
                        self.abort();
                        return Err(BarrierError::TimedOut);
                    }
                }
            }
        }
    }

    /// Under the lock.
    fn arrive(&self) -> Arrival {
        let peers = self.block.segment();
        if self.is_broken() {
            return Arrival::Broken;
        }
        // Relaxed, here and below: the lock orders all of it.
        let generation = self.block.u32(GENERATION).load(Ordering::Relaxed);
        let index = self.waiting();
        if index >= self.parties {
            return Arrival::Later { generation };
        }
        let free = |cell: &AtomicU32| {
            let seen = cell.load(Ordering::Relaxed);
            seen == 0 || (!waits(seen) && peers.is_dead(seen & IDENTITY))
        };
        let cells = self.cells();
        let Some(cell) = cells.iter().position(|cell| cell.load(Ordering::Relaxed) == 0).or_else(|| cells.iter().position(free)) else {
            return Arrival::Later { generation };
        };
        cells[cell].store(peers.me(), Ordering::Relaxed);
        if index + 1 == self.parties { Arrival::Completes { cell } } else { Arrival::Waits { cell, index, generation } }
    }

    fn complete(&self, cell: usize, action: impl FnOnce()) -> Result<BarrierWaitResult, BarrierError> {
        /// Breaks the barrier if the action panics.
        struct Bomb<'a>(&'a Barrier);
        impl Drop for Bomb<'_> {
            fn drop(&mut self) {
                self.0.abort();
            }
        }
        let bomb = Bomb(self);
        action();
        core::mem::forget(bomb);
        let me = self.block.segment().me();
        let passed = self.locked(None, || {
            let seen = self.cells()[cell].load(Ordering::Relaxed);
            if seen == me {
                // Invariant 3.
                self.decide(if self.a_waiter_is_dead() { BREAK } else { PASSED });
            }
            let passed = self.cells()[cell].load(Ordering::Relaxed) == me | PASSED;
            self.cells()[cell].store(0, Ordering::Relaxed);
            passed
        })?;
        if passed { Ok(BarrierWaitResult { index: self.parties - 1, leader: true }) } else { Err(BarrierError::Broken) }
    }

    fn wait_in(&self, cell: usize, index: usize, mut generation: u32, deadline: Option<Deadline>) -> Result<BarrierWaitResult, BarrierError> {
        let peers = self.block.segment();
        let me = peers.me();
        let mut patience = Patience::new();
        let mut timed_out = false;
        loop {
            // Acquire: pairs with the Release in `finish`.
            let seen = self.cells()[cell].load(Ordering::Acquire);
            if seen != me {
                // Release: our look comes before the cell's next use.
                self.cells()[cell].store(0, Ordering::Release);
                return match seen == me | PASSED {
                    true => Ok(BarrierWaitResult { index, leader: false }),
                    false if timed_out => Err(BarrierError::TimedOut),
                    false => Err(BarrierError::Broken),
                };
            }
            let why = peers.sleep(self.block.u32(GENERATION), generation, patience.next_bound(), deadline);
            generation = self.block.u32(GENERATION).load(Ordering::Acquire);
            if why == Slept::Woken {
                continue;
            }
            let late = why == Slept::Deadline;
            self.locked(None, || {
                let still = self.cells()[cell].load(Ordering::Relaxed) == me;
                if still && (late || self.a_waiter_is_dead()) {
                    self.decide(BREAK);
                    timed_out = late;
                }
            })?;
        }
    }

    fn a_waiter_is_dead(&self) -> bool {
        let peers = self.block.segment();
        let mut alive = peers.me();
        self.cells().iter().any(|cell| {
            let seen = cell.load(Ordering::Relaxed);
            if !waits(seen) || seen == alive {
                return false;
            }
            alive = seen;
            peers.is_dead(seen)
        })
    }

    /// Under the lock.
    fn decide(&self, decision: u32) {
        // SeqCst: the one commit point (invariant 1); the stores that follow must not be seen without it by whoever takes over after our death.
        self.block.u32(DECISION).store(decision, Ordering::SeqCst);
        self.finish(decision);
    }

    /// Does what the decision asks for; as often as need be.
    fn finish(&self, decision: u32) {
        let outcome = decision & (PASSED | FAILED);
        if outcome != 0 {
            // A broken barrier is so before its waiters learn of it.
            match decision {
                BREAK => self.block.u32(BROKEN).store(1, Ordering::SeqCst),
                RESET => self.block.u32(BROKEN).store(0, Ordering::SeqCst),
                _ => {}
            }
            for cell in self.cells() {
                let seen = cell.load(Ordering::Relaxed);
                if waits(seen) {
                    // Release: pairs with the Acquire in `wait_in`.
                    cell.store(seen | outcome, Ordering::Release);
                }
            }
        }
        // Release: pairs with the Acquire in `wait_in`.
        self.block.u32(GENERATION).fetch_add(1, Ordering::Release);
        self.block.u32(DECISION).store(0, Ordering::SeqCst);
        self.block.segment().wake(self.block.u32(GENERATION), u32::MAX);
    }

    fn locked<R>(&self, deadline: Option<Deadline>, act: impl FnOnce() -> R) -> Result<R, BarrierError> {
        let (word, peers) = (self.block.u32(0), self.block.segment());
        match lock::lock(word, peers, deadline) {
            Ok(lock::Locked::Clean) => {}
            Ok(lock::Locked::OwnerDied) => {
                let decision = self.block.u32(DECISION).load(Ordering::SeqCst);
                if decision != 0 {
                    self.finish(decision);
                }
                lock::mark_consistent(word, peers);
            }
            Err(lock::Refused::TimedOut) => return Err(BarrierError::TimedOut),
            Err(lock::Refused::NotRecoverable) => return Err(BarrierError::Broken),
            Err(lock::Refused::NotAttached) => return Err(BarrierError::NotAttached),
        }
        let done = act();
        lock::unlock(word, peers);
        Ok(done)
    }
}

fn waits(cell: u32) -> bool {
    cell != 0 && cell & (PASSED | FAILED) == 0
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties)
            .field("waiting", &self.waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}
