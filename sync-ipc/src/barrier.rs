//! A barrier between processes. The algorithm is in [`raw::barrier`](crate::raw::barrier).
//!
//! Memory: lock word u32, state u32, broken u32, unused u32, cells u32 each (twice as many as
//! parties).

use core::fmt;
use core::time::Duration;
use std::panic::resume_unwind;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;
use sync_core::user_code;

use crate::error::{BarrierError, Error, Result};
use crate::plain;
use crate::raw::barrier::{Arrival, BarrierState};
use crate::segment::{Block, Segment};

const STATE: usize = 4;
const BROKEN: usize = 8;
const CELLS: usize = 16;

/// The most parties.
const MOST: usize = 4096;

/// A meeting point for a fixed number of parties.
///
/// A party that dies after it arrived, one that runs out of time, and an [`abort`](Self::abort)
/// break the barrier for all parties that wait or arrive, until a [`reset`](Self::reset). A party
/// that dies before it arrives cannot be told from one that is late: use a timeout.
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
/// Writes of any party before it arrived are visible to every party that passed.
pub struct Barrier {
    block: Block,
    parties: usize,
}

/// The result of a wait that passed the barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarrierWaitResult {
    index: usize,
    leader: bool,
}

impl BarrierWaitResult {
    /// Whether this party completed the cycle. That is true of exactly one party.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.leader
    }

    /// The number of parties that had arrived before this party.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }
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
        let block = segment.place(
            name,
            plain::kind_of::<()>("barrier"),
            Self::layout(parties),
            parties as u64,
            |_| {},
        )?;
        Ok(Self { block, parties })
    }

    /// The barrier of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, plain::kind_of::<()>("barrier"))?;
        let parties = usize::try_from(block.parameter())
            .ok()
            .filter(|n| (1..=MOST).contains(n))
            .ok_or(Error::Corrupted)?;
        Ok(Self { block: block.expect_size(Some(Self::layout(parties)))?, parties })
    }

    fn layout(parties: usize) -> usize {
        CELLS + 2 * parties * 4
    }

    /// The number of parties that complete a cycle.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// Whether it is broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.barrier_state().is_broken(&self.block)
    }

    /// Returns the number of parties that wait at the moment. A snapshot.
    #[must_use]
    #[doc(alias = "n_waiting")]
    pub fn waiting(&self) -> usize {
        self.barrier_state().waiting(&self.block)
    }

    /// Waits until all parties have arrived.
    ///
    /// # Errors
    ///
    /// [`BarrierError`].
    pub fn wait(&self) -> Result<BarrierWaitResult, BarrierError> {
        self.wait_until_deadline(None, || {})
    }

    /// Waits until all parties have arrived. The party that completes the cycle runs `action`
    /// before any party passes. If `action` panics, the barrier breaks, and the panic reaches the
    /// caller.
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

    /// Breaks the barrier for all parties that wait and all that arrive later. Takes at most a
    /// second, whichever process is stopped, and wherever.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Busy`], [`BarrierError::NotAttached`].
    pub fn abort(&self) -> Result<(), BarrierError> {
        Ok(self.barrier_state().abort(&self.block)?)
    }

    /// Repairs the barrier. The parties that wait return with [`BarrierError::Broken`]. Takes at
    /// most a second, whichever process is stopped, and wherever.
    ///
    /// # Errors
    ///
    /// [`BarrierError::Busy`], [`BarrierError::NotAttached`].
    pub fn reset(&self) -> Result<(), BarrierError> {
        Ok(self.barrier_state().reset(&self.block)?)
    }

    fn barrier_state(&self) -> BarrierState<'_> {
        BarrierState {
            lock: self.block.u32(0),
            state: self.block.u32(STATE),
            broken: self.block.u32(BROKEN),
            cells: self.block.u32s(CELLS, 2 * self.parties),
        }
    }

    fn wait_until_deadline(
        &self,
        deadline: Option<Deadline>,
        action: impl FnOnce(),
    ) -> Result<BarrierWaitResult, BarrierError> {
        let gathering = self.barrier_state();
        let (index, leader) = match gathering.arrive(&self.block, deadline)? {
            Arrival::Waits(place) => {
                gathering.wait(&self.block, place, deadline)?;
                (place.index, false)
            }
            Arrival::Completes(place) => {
                if let Err(payload) = user_code::run(action) {
                    // Before the panic goes on: the place is free again, however often this
                    // happens.
                    gathering.fail(&self.block, place);
                    resume_unwind(payload);
                }
                gathering.complete(&self.block, place)?;
                (place.index, true)
            }
        };
        Ok(BarrierWaitResult { index, leader })
    }
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

handle!([] Barrier, |this| &this.block, Self { block: this.block.clone(), parties: this.parties });
