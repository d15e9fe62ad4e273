//! Semaphores whose permits come back when their holder dies.
//!
//! The algorithm is in [`raw::semaphore`](crate::raw::semaphore). Memory: event count u32, unused
//! u32, cells u32 each; the entry's parameter is the number of cells.

use core::fmt;
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Deadline;

use crate::error::{Error, LockError, Result, TooManyReleases};
use crate::plain;
use crate::raw::Platform as _;
use crate::raw::event_count::{self, Announced};
use crate::raw::mutex::Refused;
use crate::raw::semaphore::{FREE, Permits};
use crate::readiness::{self, Readiness, Watched};
use crate::segment::{Block, Segment};

/// The most permits that a semaphore can have.
pub const MAX_PERMITS: usize = 32_767;

const CELLS: usize = 8;

/// The cells of a semaphore, of either kind.
struct Cells {
    block: Block,
    count: usize,
    /// The cell that this handle tries first: the cell that it gave back last.
    hint: AtomicUsize,
}

impl Cells {
    fn create(
        segment: &Segment,
        name: &str,
        kind: &str,
        permits: usize,
        cells: usize,
    ) -> Result<Self> {
        if cells == 0 || cells > MAX_PERMITS || permits > cells {
            return Err(Error::BadSize);
        }
        let block = segment.place(
            name,
            plain::kind_of::<()>(kind),
            CELLS + cells * 4,
            cells as u64,
            |block| {
                for cell in 0..permits {
                    // Relaxed: no other participant can find the object yet.
                    block.u32(CELLS + cell * 4).store(FREE, Ordering::Relaxed);
                }
            },
        )?;
        Ok(Self { block, count: cells, hint: AtomicUsize::new(0) })
    }

    fn open(segment: &Segment, name: &str, kind: &str) -> Result<Self> {
        let block = segment.find(name, plain::kind_of::<()>(kind))?;
        let count = usize::try_from(block.parameter())
            .ok()
            .filter(|count| (1..=MAX_PERMITS).contains(count))
            .ok_or(Error::Corrupted)?;
        Ok(Self {
            block: block.expect_size(Some(CELLS + count * 4))?,
            count,
            hint: AtomicUsize::new(0),
        })
    }

    #[inline]
    fn permits(&self) -> Permits<'_> {
        Permits { waiters: self.block.u32(0), cells: self.block.u32s(CELLS, self.count) }
    }

    #[inline]
    fn acquire(&self, deadline: Option<Deadline>) -> Result<Permit<'_>, LockError<()>> {
        // Relaxed: a hint.
        let got = self.permits().acquire(&self.block, self.hint.load(Ordering::Relaxed), deadline);
        self.permit(got)
    }

    fn try_acquire(&self) -> Result<Permit<'_>, LockError<()>> {
        // Relaxed: a hint.
        let got = self.permits().try_acquire(&self.block, self.hint.load(Ordering::Relaxed));
        self.permit(got)
    }

    fn readiness(&self) -> Result<Readiness> {
        Ok(Readiness::new(self.block.segment(), self.watched())?)
    }

    fn watched(&self) -> WatchedCells {
        WatchedCells { cells: self.over(self.block.nameless()), announced: None }
    }

    async fn acquire_async(&self) -> Result<Permit<'_>, LockError<()>> {
        loop {
            match self.try_acquire() {
                Err(LockError::TimedOut) => {}
                done => return done,
            }
            // A permit that was there may be taken already.
            if readiness::once(self.block.segment(), || self.watched()).await.is_err() {
                return Err(LockError::NotAttached);
            }
        }
    }

    #[inline]
    fn permit(&self, got: Result<usize, Refused>) -> Result<Permit<'_>, LockError<()>> {
        Ok(Permit { of: self, cell: got?, identity: self.block.me() })
    }
}

/// The permits as the thread of the tasks waits for them.
struct WatchedCells {
    cells: Cells,
    announced: Option<Announced>,
}

impl Watched for WatchedCells {
    fn word(&self) -> &AtomicU32 {
        self.cells.permits().waiters
    }

    fn watch(&mut self, look: bool) -> core::result::Result<(), u32> {
        let (permits, peers) = (self.cells.permits(), &self.cells.block);
        event_count::watch(permits.waiters, peers, &mut self.announced, look, |look| {
            permits.is_ready(peers, look).then_some(())
        })
    }

    fn unwatch(&mut self) {
        event_count::unwatch(self.cells.permits().waiters, &self.cells.block, &mut self.announced);
    }
}

/// The right to do something, until dropped.
#[must_use = "the permit is given back at once if it is not kept"]
pub struct Permit<'a> {
    of: &'a Cells,
    cell: usize,
    /// The participant that has it: a forked child's copy is not the child's.
    identity: u32,
}

impl Permit<'_> {
    /// Keeps the permit for good: a call of `release` returns it, and the end of this process does
    /// not.
    pub fn forget(self) {
        let this = core::mem::ManuallyDrop::new(self);
        if this.of.block.is_us(this.identity) {
            this.of.permits().forget(&this.of.block, this.cell);
        }
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.of.block.is_us(self.identity) {
            // Relaxed: a hint.
            self.of.hint.store(self.cell, Ordering::Relaxed);
            self.of.permits().release_of(&self.of.block, self.cell, self.identity);
        }
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

macro_rules! semaphore {
    ($name:ident, $create:literal) => {
        impl $name {
            /// The semaphore of that name.
            ///
            /// # Errors
            ///
            /// [`Error::NotFound`], [`Error::WrongType`].
            pub fn open(segment: &Segment, name: &str) -> Result<Self> {
                Ok(Self(Cells::open(segment, name, stringify!($name))?))
            }

            /// Takes a permit, waiting until there is one.
            ///
            /// # Errors
            ///
            /// [`LockError::NotAttached`].
            #[inline]
            pub fn acquire(&self) -> Result<Permit<'_>, LockError<()>> {
                self.0.acquire(None)
            }

            /// Takes a permit, waiting until there is one as a task does: on any executor. One
            /// thread of this process waits for all its tasks, see [`Readiness`].
            ///
            /// Cancel-safe: a wait that is dropped has taken no permit, and a wake that it had
            /// consumed goes to the next waiter. Tasks are not in a line.
            ///
            /// ```
            #[doc = concat!("use sync_ipc::{Segment, ", stringify!($name), "};")]
            /// use sync_core::task::block_on;
            ///
            /// let segment = Segment::anonymous(4096)?;
            #[doc = concat!("let seats = ", stringify!($name), "::create", $create, "?;")]
            /// let permit = block_on(seats.acquire_async()).expect("a permit");
            /// assert_eq!(seats.available_permits(), 0);
            /// # drop(permit);
            /// # Ok::<(), sync_ipc::Error>(())
            /// ```
            ///
            /// # Errors
            ///
            /// [`LockError::NotAttached`], also if the system has no thread.
            pub async fn acquire_async(&self) -> Result<Permit<'_>, LockError<()>> {
                self.0.acquire_async().await
            }

            /// Takes a permit if there is one, or if its holder is dead.
            ///
            /// # Errors
            ///
            /// [`LockError::TimedOut`].
            pub fn try_acquire(&self) -> Result<Permit<'_>, LockError<()>> {
                self.0.try_acquire()
            }

            /// Takes a permit, waiting at most `timeout`.
            ///
            /// # Errors
            ///
            /// [`LockError::TimedOut`].
            #[doc(alias = "acquire_timeout")]
            pub fn try_acquire_for(&self, timeout: Duration) -> Result<Permit<'_>, LockError<()>> {
                self.0.acquire(Deadline::after(timeout))
            }

            /// The former name of [`try_acquire_for`](Self::try_acquire_for), kept until 0.2.
            #[doc(hidden)]
            pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, LockError<()>> {
                self.try_acquire_for(timeout)
            }

            /// Takes a permit, waiting at most until `deadline`.
            ///
            /// # Errors
            ///
            /// [`LockError::TimedOut`].
            #[doc(alias = "acquire_deadline")]
            pub fn try_acquire_until(
                &self,
                deadline: Instant,
            ) -> Result<Permit<'_>, LockError<()>> {
                self.0.acquire(Deadline::at(deadline))
            }

            /// The former name of [`try_acquire_until`](Self::try_acquire_until), kept until 0.2.
            #[doc(hidden)]
            pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>, LockError<()>> {
                self.try_acquire_until(deadline)
            }

            /// Returns the number of permits that are free at the moment. The permits of the dead
            /// are not counted before a participant reclaims them.
            #[must_use]
            pub fn available_permits(&self) -> usize {
                self.0.permits().available()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("available", &self.available_permits())
                    .finish_non_exhaustive()
            }
        }
    };
}

/// A counting semaphore between processes.
///
/// A [`Permit`] belongs to its process: when that process dies, a waiter takes the permit over
/// within 32 ms. A permit that was added by [`try_add_permits`](Self::try_add_permits), or
/// [forgotten](Permit::forget), has no owner, and no death returns or removes it.
///
/// ```
/// use sync_ipc::{Segment, Semaphore};
///
/// let segment = Segment::anonymous(4096)?;
/// let workers = Semaphore::create(&segment, "workers", 2, 8)?;
/// let one = workers.acquire().unwrap();
/// let two = workers.acquire().unwrap();
/// assert!(workers.try_acquire().is_err());
/// drop(one);
/// assert_eq!(workers.available_permits(), 1);
/// # drop(two);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// Writes before a permit was given back are visible to the next holder of that permit.
pub struct Semaphore(Cells);
semaphore!(Semaphore, "(&segment, \"seats\", 1, 1)");

impl Semaphore {
    /// A descriptor that is readable when there may be a permit. For `poll` loops and `async` code.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor or no thread.
    pub fn readiness(&self) -> Result<Readiness> {
        self.0.readiness()
    }

    /// A semaphore that has `permits` now and never more than `max`.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] unless `permits <= max` and `1 <= max <=` [`MAX_PERMITS`]; else as for
    /// any object.
    pub fn create(segment: &Segment, name: &str, permits: usize, max: usize) -> Result<Self> {
        Ok(Self(Cells::create(segment, name, "Semaphore", permits, max)?))
    }

    /// Adds permits that have no owner.
    ///
    /// # Errors
    ///
    /// [`TooManyReleases`] if there is no room for all of them; some may have been added.
    #[doc(alias = "add_permits")]
    #[doc(alias = "release")]
    pub fn try_add_permits(&self, count: usize) -> Result<(), TooManyReleases> {
        for _ in 0..count {
            if !self.0.permits().add(&self.0.block, true) {
                return Err(TooManyReleases);
            }
        }
        Ok(())
    }

    /// The former name of [`try_add_permits`](Self::try_add_permits), kept until 0.2.
    #[doc(hidden)]
    pub fn add_permits(&self, count: usize) -> Result<(), TooManyReleases> {
        self.try_add_permits(count)
    }
}

/// A semaphore that never has more permits than it was created with.
///
/// As [`Semaphore`], but [`release`](Self::release) only gives back what was
/// [forgotten](Permit::forget); one release too many is an error, also when two race.
pub struct BoundedSemaphore(Cells);
semaphore!(BoundedSemaphore, "(&segment, \"seats\", 1)");

impl BoundedSemaphore {
    /// A descriptor that is readable when there may be a permit. For `poll` loops and `async` code.
    ///
    /// # Errors
    ///
    /// If the system has no descriptor or no thread.
    pub fn readiness(&self) -> Result<Readiness> {
        self.0.readiness()
    }

    /// A semaphore of `permits`.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] unless `1 <= permits <=` [`MAX_PERMITS`]; else as for any object.
    pub fn create(segment: &Segment, name: &str, permits: usize) -> Result<Self> {
        Ok(Self(Cells::create(segment, name, "BoundedSemaphore", permits, permits)?))
    }

    /// Gives back a forgotten permit, whichever process forgot it.
    ///
    /// # Errors
    ///
    /// [`TooManyReleases`] if none is missing.
    pub fn release(&self) -> Result<(), TooManyReleases> {
        if self.0.permits().add(&self.0.block, false) { Ok(()) } else { Err(TooManyReleases) }
    }
}

impl Cells {
    /// Another handle to the same cells.
    fn another(&self) -> Self {
        self.over(self.block.clone())
    }

    fn over(&self, block: Block) -> Self {
        Self { block, count: self.count, hint: AtomicUsize::new(0) }
    }
}

handle!([] Semaphore, |this| &this.0.block, Self(this.0.another()));
handle!([] BoundedSemaphore, |this| &this.0.block, Self(this.0.another()));
