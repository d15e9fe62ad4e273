//! A readers-writer lock between processes. The algorithm is in
//! [`raw::rwlock`](crate::raw::rwlock).
//!
//! Memory, by offset: writer's word u32, dirty u32; event counts of the readers and of the writer
//! u32, each on a cache line of its own; readers' cells u32 each, value. The entry's parameter is
//! the number of cells.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::error::{Error, LockError, Result};
use crate::mutex::LetGo;
use crate::plain::{self, Plain};
use crate::raw::Platform;
use crate::raw::mutex::{self, Locked, Refused};
use crate::raw::rwlock::{Read, Words};
use crate::segment::{Block, Segment};

const DIRTY: usize = 4;
const READERS_EVENT: usize = 64;
const WRITER_EVENT: usize = 128;
const CELLS: usize = 192;

/// The number of read guards at a time that [`RwLock::create`] has room for.
const READERS: usize = 64;

/// The most that [`RwLock::with_readers`] takes.
const MAX_READERS: usize = 4096;

/// A readers-writer lock around a value of plain data in a [`Segment`].
///
/// Any holder may be killed at any instruction. A dead reader's hold is cleared away. A dead
/// writer's lock is taken over: if the writer may have changed the value, the next holder, reader
/// or writer, gets [`LockError::OwnerDied`] with a guard for writing, and repairs the value, as
/// with a [`Mutex`](crate::Mutex).
///
/// A writer that waits holds up new readers. So a thread that holds a read guard must not ask for
/// another one: with a writer in between it would wait forever. Writers that follow one another
/// closely can starve readers.
///
/// ```
/// use sync_ipc::{RwLock, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let settings = RwLock::create(&segment, "settings", [1_u32, 2])?;
/// {
///     let (one, two) = (settings.read()?, settings.read()?);
///     assert_eq!((one.get(), two.get()), ([1, 2], [1, 2]));
///     assert!(settings.try_write().is_err());
/// }
/// settings.write()?.set([3, 4]);
/// assert_eq!(settings.read()?.get(), [3, 4]);
/// # Ok::<(), sync_ipc::Error>(())
/// ```
///
/// # Memory ordering
///
/// Writes before a write guard was dropped are visible to every later holder; what was read under
/// a read guard was read before a later writer writes.
#[doc(alias = "SharedMutex")]
pub struct RwLock<T> {
    block: Block,
    readers: usize,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Plain> RwLock<T> {
    fn kind() -> u64 {
        plain::kind_of::<T>("rwlock")
    }

    fn layout(readers: usize) -> usize {
        value_at(readers) + size_of::<T>()
    }

    fn over(block: Block, readers: usize) -> Self {
        Self { block, readers, value: PhantomData }
    }

    /// A new lock under a name that must be new in this segment, for at most 64 read guards at a
    /// time: further readers wait.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        Self::with_readers(segment, name, READERS, value)
    }

    /// As [`create`](Self::create), for at most `readers` read guards at a time. A writer looks at
    /// as many words.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and for more than 4096; else as for any object.
    pub fn with_readers(segment: &Segment, name: &str, readers: usize, value: T) -> Result<Self> {
        if readers == 0 || readers > MAX_READERS {
            return Err(Error::BadSize);
        }
        let layout = Self::layout(readers);
        let block = segment.place(name, Self::kind(), layout, readers as u64, |block| {
            plain::store(block, value_at(readers), &value)
        })?;
        Ok(Self::over(block, readers))
    }

    /// The lock of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, Self::kind())?;
        let readers = usize::try_from(block.parameter())
            .ok()
            .filter(|readers| (1..=MAX_READERS).contains(readers))
            .ok_or(Error::Corrupted)?;
        Ok(Self::over(block.expect_size(Some(Self::layout(readers)))?, readers))
    }

    /// [`open`](Self::open), or [`create`](Self::create) if there is none, also in a race.
    ///
    /// # Errors
    ///
    /// The errors of these two.
    pub fn open_or_create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        crate::open_or_create(|| Self::open(segment, name), || Self::create(segment, name, value))
    }

    /// Locks for reading, waiting for as long as a living writer holds the lock or waits for it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] with a guard for **writing**: a writer died. The value may be half
    /// written. [`LockError::NotRecoverable`]; [`LockError::NotAttached`].
    pub fn read(&self) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.reader(self.words().read(&self.block, None))
    }

    /// Locks for reading if no living writer holds the lock or waits for it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`].
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.reader(self.words().try_read(&self.block))
    }

    /// As [`read`](Self::read), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`].
    #[doc(alias = "read_timeout")]
    pub fn try_read_for(
        &self,
        timeout: Duration,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.reader(self.words().read(&self.block, Deadline::after(timeout)))
    }

    /// The former name of [`try_read_for`](Self::try_read_for), kept until 0.2.
    #[doc(hidden)]
    pub fn read_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.try_read_for(timeout)
    }

    /// As [`read`](Self::read), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), and [`LockError::TimedOut`].
    #[doc(alias = "read_deadline")]
    pub fn try_read_until(
        &self,
        deadline: Instant,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.reader(self.words().read(&self.block, Deadline::at(deadline)))
    }

    /// The former name of [`try_read_until`](Self::try_read_until), kept until 0.2.
    #[doc(hidden)]
    pub fn read_deadline(
        &self,
        deadline: Instant,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.try_read_until(deadline)
    }

    /// Locks for writing, waiting for as long as living processes hold the lock.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] with the guard; [`LockError::NotRecoverable`];
    /// [`LockError::NotAttached`].
    pub fn write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.writer(self.words().write(&self.block, None))
    }

    /// Locks for writing if no living process holds the lock.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`].
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.writer(self.words().try_write(&self.block))
    }

    /// As [`write`](Self::write), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`].
    #[doc(alias = "write_timeout")]
    pub fn try_write_for(
        &self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.writer(self.words().write(&self.block, Deadline::after(timeout)))
    }

    /// The former name of [`try_write_for`](Self::try_write_for), kept until 0.2.
    #[doc(hidden)]
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.try_write_for(timeout)
    }

    /// As [`write`](Self::write), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write), and [`LockError::TimedOut`].
    #[doc(alias = "write_deadline")]
    pub fn try_write_until(
        &self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.writer(self.words().write(&self.block, Deadline::at(deadline)))
    }

    /// The former name of [`try_write_until`](Self::try_write_until), kept until 0.2.
    #[doc(hidden)]
    pub fn write_deadline(
        &self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        self.try_write_until(deadline)
    }

    fn reader(
        &self,
        outcome: Result<Read, Refused>,
    ) -> Result<RwLockReadGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        match outcome {
            Ok(Read::Cell(cell)) => {
                Ok(RwLockReadGuard { lock: self, identity: self.block.me(), cell })
            }
            Ok(Read::OwnerDied) => Err(LockError::OwnerDied(self.write_guard(true))),
            Err(refused) => Err(refused.into()),
        }
    }

    fn writer(
        &self,
        outcome: Result<Locked, Refused>,
    ) -> Result<RwLockWriteGuard<'_, T>, LockError<RwLockWriteGuard<'_, T>>> {
        match outcome {
            Ok(Locked::Clean) => Ok(self.write_guard(false)),
            Ok(Locked::OwnerDied) => Err(LockError::OwnerDied(self.write_guard(true))),
            Err(refused) => Err(refused.into()),
        }
    }

    /// Only where the lock was acquired: a guard's drop unlocks.
    fn write_guard(&self, inconsistent: bool) -> RwLockWriteGuard<'_, T> {
        RwLockWriteGuard { lock: self, identity: self.block.me(), inconsistent }
    }

    fn block(&self) -> &Block {
        &self.block
    }

    fn value_at(&self) -> usize {
        value_at(self.readers)
    }

    fn declare_consistent(&self) {
        self.words().mark_consistent(&self.block);
    }

    fn let_go(&self, how: LetGo) {
        let (words, peers) = (self.words(), &self.block);
        match how {
            LetGo::Clean => words.write_unlock(peers),
            LetGo::Unrecoverable => words.give_up(peers),
            LetGo::AsAcquired => words.abandon(peers),
        }
    }

    fn get(&self) -> T {
        plain::load(&self.block, value_at(self.readers))
    }
}

impl<T> RwLock<T> {
    fn words(&self) -> Words<'_> {
        Words {
            writer: self.block.u32(0),
            dirty: self.block.u32(DIRTY),
            readers_event: self.block.u32(READERS_EVENT),
            writer_event: self.block.u32(WRITER_EVENT),
            cells: self.block.u32s(CELLS, self.readers),
        }
    }
}

fn value_at(readers: usize) -> usize {
    (CELLS + readers * 4).next_multiple_of(8)
}

impl<T> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RwLock")
            .field("has_writer", &(mutex::owner(self.block.u32(0)) != 0))
            .finish_non_exhaustive()
    }
}

/// The right to read what an [`RwLock`] guards, until dropped.
#[must_use = "the lock is let go of at once if the guard is not kept"]
#[derive(Debug)]
pub struct RwLockReadGuard<'a, T: Plain> {
    lock: &'a RwLock<T>,
    identity: u32,
    cell: usize,
}

impl<T: Plain> RwLockReadGuard<'_, T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> T {
        self.lock.get()
    }
}

impl<T: Plain> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        // Not in a forked child: the hold is its parent's.
        if self.lock.block.is_us(self.identity) {
            self.lock.words().read_unlock(&self.lock.block, self.cell);
        }
    }
}

exclusive_guard! {
    /// The right to change what an [`RwLock`] guards, until dropped.
    RwLockWriteGuard of RwLock
}

handle!([T: Plain] RwLock<T>, |this| &this.block, Self::over(this.block.clone(), this.readers));
