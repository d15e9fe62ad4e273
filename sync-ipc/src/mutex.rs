//! A mutual exclusion lock between processes that survives the death of its owner.
//!
//! The algorithm, its states, invariants and orderings are in [`raw::mutex`](crate::raw::mutex).
//! Here is what a program sees of it: a value behind the lock, which is copied out and in and never
//! borrowed, and a guard.
//!
//! Memory: lock word u32, unused u32, value.
//!
//! **Fork.** A guard remembers by which identity it was taken. In a child that was forked
//! meanwhile, the identity is another one: the child's copy of the guard unlocks nothing and writes
//! nothing (row U-ML-02).

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::error::Result;
use crate::plain::{self, Plain};
use crate::raw::{Peers, mutex};
use crate::segment::{Block, Segment};

const VALUE: usize = 8;

/// A lock around a value of plain data in a [`Segment`].
///
/// Any participant may be killed at any instruction, and no other participant hangs: a waiter
/// checks at least every 32 ms whether the owner lives, and takes a dead owner's lock over. It then
/// gets [`LockError::OwnerDied`], because the value may be half written.
///
/// The owner is a process, not a thread: a guard may be sent to another thread. A thread that locks
/// twice waits forever, as with any lock that is not reentrant; see
/// [`ReentrantMutex`](crate::ReentrantMutex).
///
/// ```
/// use sync_ipc::{LockError, Mutex, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let total = Mutex::create(&segment, "total", 40_u64)?;
/// total.lock().unwrap().update(|n| *n += 2);
/// assert_eq!(total.lock().unwrap().get(), 42);
///
/// // How to go on after an owner died:
/// let guard = match total.lock() {
///     Ok(guard) => guard,
///     Err(LockError::OwnerDied(mut guard)) => {
///         guard.set(0); // make the value whole again
///         guard.mark_consistent();
///         guard
///     }
///     Err(other) => panic!("{other}"),
/// };
/// # drop(guard);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Memory ordering
///
/// Writes before a guard was dropped, to the value or elsewhere in shared memory, are visible to
/// the next owner.
#[doc(alias = "Lock")]
pub struct Mutex<T> {
    block: Block,
    value: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Mutex<T> {
    fn kind() -> u64 {
        plain::kind_of::<T>("mutex")
    }

    fn layout() -> usize {
        VALUE + size_of::<T>()
    }

    /// A new lock under a name that must be new in this segment.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists), [`Error::Full`](crate::Error::Full),
    /// [`Error::BadName`](crate::Error::BadName).
    pub fn create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        let block = segment.place(name, Self::kind(), Self::layout(), 0, |block| {
            plain::store(block, VALUE, &value)
        })?;
        Ok(Self { block, value: PhantomData })
    }

    /// The lock of that name.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`](crate::Error::NotFound), [`Error::WrongType`](crate::Error::WrongType).
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, Self::kind())?.expect_size(Some(Self::layout()))?;
        Ok(Self { block, value: PhantomData })
    }

    /// [`open`](Self::open), or [`create`](Self::create) if there is none, also in a race.
    ///
    /// # Errors
    ///
    /// The errors of these two.
    pub fn open_or_create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        crate::open_or_create(|| Self::open(segment, name), || Self::create(segment, name, value))
    }

    /// Locks, waiting for as long as its living owner holds it.
    ///
    /// # Errors
    ///
    /// [`LockError::OwnerDied`] with the guard; [`LockError::NotRecoverable`];
    /// [`LockError::NotAttached`].
    #[inline]
    pub fn lock(&self) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.lock_until_deadline(None)
    }

    /// Locks if the lock is free or its owner is dead.
    ///
    /// # Errors
    ///
    /// As [`mutex`](Self::lock), and [`LockError::TimedOut`].
    #[inline]
    pub fn try_lock(&self) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.guard(mutex::try_lock(self.block.u32(0), &self.block))
    }

    /// Locks, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`mutex`](Self::lock), and [`LockError::TimedOut`].
    #[doc(alias = "lock_timeout")]
    pub fn try_lock_for(&self, timeout: Duration) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.lock_until_deadline(Deadline::after(timeout))
    }

    /// The former name of [`try_lock_for`](Self::try_lock_for), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_timeout(&self, timeout: Duration) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.try_lock_for(timeout)
    }

    /// Locks, waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`mutex`](Self::lock), and [`LockError::TimedOut`].
    #[doc(alias = "lock_deadline")]
    pub fn try_lock_until(
        &self,
        deadline: Instant,
    ) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.lock_until_deadline(Deadline::at(deadline))
    }

    /// The former name of [`try_lock_until`](Self::try_lock_until), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_deadline(
        &self,
        deadline: Instant,
    ) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.try_lock_until(deadline)
    }

    #[inline]
    pub(crate) fn lock_until_deadline(
        &self,
        deadline: Option<Deadline>,
    ) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.guard(mutex::lock(self.block.u32(0), &self.block, deadline))
    }

    /// Whether the lock has an owner, alive or dead, at the moment.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        mutex::owner(self.block.u32(0)) != 0
    }

    /// Whether this process holds it at the moment.
    #[must_use]
    pub fn is_locked_by_us(&self) -> bool {
        mutex::owner(self.block.u32(0)) == self.block.me()
    }

    #[inline]
    fn block(&self) -> &Block {
        &self.block
    }

    #[inline]
    fn value_at(&self) -> usize {
        VALUE
    }

    fn declare_consistent(&self) {
        mutex::mark_consistent(self.block.u32(0), &self.block);
    }

    #[inline]
    fn let_go(&self, how: LetGo) {
        let (word, peers) = (self.block.u32(0), &self.block);
        match how {
            LetGo::Clean => mutex::unlock(word, peers),
            LetGo::Unrecoverable => mutex::give_up(word, peers),
            LetGo::AsAcquired => mutex::abandon(word, peers),
        }
    }

    #[inline]
    fn guard(
        &self,
        outcome: Result<mutex::Locked, mutex::Refused>,
    ) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        // Built only where the lock was acquired: a guard's drop unlocks.
        let guard = |died| Guard { lock: self, identity: self.block.me(), inconsistent: died };
        match outcome {
            Ok(mutex::Locked::Clean) => Ok(guard(false)),
            Ok(mutex::Locked::OwnerDied) => Err(LockError::OwnerDied(guard(true))),
            Err(refused) => Err(refused.into()),
        }
    }
}

impl<T> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.block.u32(0);
        f.debug_struct("Mutex")
            .field("owner", &Owner::of(&self.block, mutex::owner(word)))
            .finish_non_exhaustive()
    }
}

/// The owner of a lock, for `Debug`.
#[derive(Debug)]
pub(crate) enum Owner {
    Nobody,
    ThisProcess,
    OtherProcess(#[expect(dead_code, reason = "read by Debug")] u32),
    Dead,
}

impl Owner {
    pub(crate) fn of(block: &Block, identity: u32) -> Self {
        let segment = block.segment();
        if identity == 0 {
            Self::Nobody
        } else if identity == segment.me() {
            Self::ThisProcess
        } else {
            segment.pid_of(identity).map_or(Self::Dead, Self::OtherProcess)
        }
    }
}

exclusive_guard! {
    /// The right to use what a [`Mutex`] guards, until dropped.
    ///
    /// The value is copied out by [`get`](Self::get) and in by [`set`](Self::set): a peer that does
    /// not play by the rules may write at any time, and a reference would make that undefined
    /// behaviour.
    Guard of Mutex
}

impl<'a, T: Plain> Guard<'a, T> {
    /// The lock that this guards.
    pub(crate) fn mutex(&self) -> &'a Mutex<T> {
        self.lock
    }
}

/// How a guard lets go of its lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LetGo {
    /// The value is whole.
    Clean,
    /// The value was not repaired, and never will be.
    Unrecoverable,
    /// The value was not repaired: the next owner gets `OwnerDied` again.
    AsAcquired,
}

/// Why a lock was not acquired, or not from an owner that released it.
///
/// With `?`, it becomes a [`sync_ipc::Error`](crate::Error), which borrows nothing. If there was a
/// guard, its lock is left as it was: the next owner gets [`OwnerDied`](Self::OwnerDied) again. (A
/// guard that is *dropped* without `mark_consistent` makes the lock
/// [`NotRecoverable`](Self::NotRecoverable).)
///
/// ```
/// fn add(total: &sync_ipc::Mutex<u64>, more: u64) -> sync_ipc::Result<u64> {
///     let mut guard = total.lock()?;
///     guard.update(|sum| *sum += more);
///     Ok(guard.get())
/// }
/// # let segment = sync_ipc::Segment::anonymous(4096)?;
/// # assert_eq!(add(&sync_ipc::Mutex::create(&segment, "total", 1)?, 2)?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock was acquired from an owner that died: the guarded value may be half written. Repair
    /// it and call `mark_consistent`.
    OwnerDied(G),
    /// An owner died, and a later owner could not repair the guarded value.
    NotRecoverable,
    /// A living process held it until the deadline, or at the moment of a `try_lock`.
    TimedOut,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
    /// This thread holds a reentrant lock as often as can be counted.
    TooManyLevels,
}

impl<G> LockError<G> {
    /// The guard, if there is one.
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) => Some(guard),
            _ => None,
        }
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// Returns the error without its guard, whose lock is left as it was acquired: after
    /// [`OwnerDied`](Self::OwnerDied), the next owner gets `OwnerDied` again.
    pub(crate) fn without_guard(self) -> LockError<()>
    where
        G: Unrepaired,
    {
        self.map(Unrepaired::abandon)
    }

    pub(crate) fn map<H>(self, convert: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(guard) => LockError::OwnerDied(convert(guard)),
            Self::NotRecoverable => LockError::NotRecoverable,
            Self::TimedOut => LockError::TimedOut,
            Self::NotAttached => LockError::NotAttached,
            Self::TooManyLevels => LockError::TooManyLevels,
        }
    }
}

/// The guards that a [`LockError`] may have. Sealed: it is not exported.
pub trait Unrepaired {
    /// Releases the lock as it was acquired.
    fn abandon(self);
}

impl Unrepaired for () {
    fn abandon(self) {}
}

impl<G> From<mutex::Refused> for LockError<G> {
    fn from(refused: mutex::Refused) -> Self {
        match refused {
            mutex::Refused::TimedOut => Self::TimedOut,
            mutex::Refused::NotRecoverable => Self::NotRecoverable,
            mutex::Refused::NotAttached => Self::NotAttached,
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "the lock's owner died, its value may be half written",
            Self::NotRecoverable => "the lock's owner died and its value was not repaired",
            Self::TimedOut => "another thread or process holds the lock",
            Self::NotAttached => {
                "this forked process could not become a participant of the segment"
            }
            Self::TooManyLevels => "the lock is held as often as can be counted",
        })
    }
}

impl<G: fmt::Debug> std::error::Error for LockError<G> {}

handle!(
    [T: Plain] Mutex<T>,
    |this| &this.block,
    Self { block: this.block.clone(), value: PhantomData }
);
