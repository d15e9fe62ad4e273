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
//! nothing.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;

use crate::error::{LockError, Result};
use crate::plain::{self, Plain};
use crate::raw::{Platform, mutex};
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
    #[doc(alias = "acquire")]
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
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Result<Guard<'_, T>, LockError<Guard<'_, T>>> {
        self.guard(mutex::try_lock(self.block.u32(0), &self.block))
    }

    /// Locks, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`mutex`](Self::lock), and [`LockError::TimedOut`].
    #[doc(alias = "lock_timeout")]
    #[doc(alias = "acquire")]
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
    #[doc(alias = "acquire")]
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
        match mutex::lock_at_once(self.block.u32(0), &self.block) {
            Some(identity) => Ok(Guard { lock: self, identity, inconsistent: false }),
            // Its result fits into registers, and so does the guard that is made of it.
            None => self.guard(mutex::lock_contended(self.block.u32(0), &self.block, deadline)),
        }
    }

    /// Whether the lock has an owner, alive or dead, at the moment.
    #[must_use]
    #[doc(alias = "locked")]
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

    #[inline(always)]
    fn let_go(&self, how: LetGo) {
        let (word, peers) = (self.block.u32(0), &self.block);
        match how {
            LetGo::Clean => mutex::unlock(word, peers),
            LetGo::Unrecoverable => mutex::give_up(word, peers),
            LetGo::AsAcquired => mutex::abandon(word, peers),
        }
    }

    // Always inline: a guard that a call returns lies in memory.
    #[inline(always)]
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
    Unowned,
    ThisProcess,
    OtherProcess(#[expect(dead_code, reason = "read by Debug")] u32),
    Dead,
}

impl Owner {
    pub(crate) fn of(block: &Block, identity: u32) -> Self {
        let segment = block.segment();
        if identity == 0 {
            Self::Unowned
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

handle!(
    [T: Plain] Mutex<T>,
    |this| &this.block,
    Self { block: this.block.clone(), value: PhantomData }
);
