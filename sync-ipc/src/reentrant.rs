//! A lock that its owner thread may take again: [`raw::mutex`](crate::raw::mutex), the number of
//! the owner's thread, and a count of its locks.
//!
//! Memory: lock word u32, count u32, thread u64, value.
//!
//! **Invariants**
//!
//! 1. `thread` and `count` are written by the holder of the lock word only.
//! 2. A thread that finds its own process's identity in the word and its own number in `thread`
//!    wrote that number itself, while it held the lock, and has not released the lock since: a
//!    release writes 0 first. Thread numbers belong to one process and are never used again in it
//!    (before 2^34 threads). The identity is in `thread` too and distinguishes the processes; a
//!    forked child has another identity.
//! 3. A new owner of the lock, also after a dead owner, starts the count again.

use core::fmt;
use core::marker::PhantomData;
use core::sync::atomic::Ordering;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::futex::Deadline;
use sync_core::primitive::thread;

use crate::error::{LockError, Result, Unrepaired};
use crate::mutex::Owner;
use crate::plain::{self, Plain};
use crate::raw::{Platform, mutex};
use crate::segment::{Block, Placement, Segment};

const COUNT: usize = 4;
const THREAD: usize = 8;
const VALUE: usize = 16;

/// A reentrant lock around a value of plain data in a [`Segment`], with the guarantees of
/// [`Mutex`](crate::Mutex) when its owner dies.
///
/// ```
/// use sync_ipc::{ReentrantMutex, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let total = ReentrantMutex::create(&segment, "total", 1_u64)?;
/// let outer = total.lock().unwrap();
/// let inner = total.lock().unwrap();
/// inner.set(2);
/// assert_eq!((outer.get(), outer.depth()), (2, 2));
/// # drop((inner, outer));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "RLock")]
pub struct ReentrantMutex<T> {
    block: Block,
    value: PhantomData<fn(T) -> T>,
}

type Locked<'a, T> = Result<ReentrantGuard<'a, T>, LockError<ReentrantGuard<'a, T>>>;

impl<T: Plain> ReentrantMutex<T> {
    pub(crate) fn kind() -> u64 {
        plain::kind_of::<T>("reentrant")
    }

    fn layout() -> usize {
        VALUE + size_of::<T>()
    }

    pub(crate) fn placement(name: &str) -> Placement<'_> {
        Placement { name, kind: Self::kind(), size: Self::layout(), parameter: 0 }
    }

    pub(crate) fn over(block: Block) -> Self {
        Self { block, value: PhantomData }
    }

    /// A new lock under a name that must be new in this segment.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str, value: T) -> Result<Self> {
        let initialise = |[block]: &[Block; 1]| plain::store(block, VALUE, &value);
        let [block] = segment.place_all([Self::placement(name)], initialise)?;
        Ok(Self::over(block))
    }

    /// The lock of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        Self::checked(segment.find(name, Self::kind())?)
    }

    /// Over a block that another process placed.
    pub(crate) fn checked(block: Block) -> Result<Self> {
        Ok(Self::over(block.expect_size(Some(Self::layout()))?))
    }

    /// Locks, at once if this thread holds it already.
    ///
    /// # Errors
    ///
    /// As [`Mutex::lock`](crate::Mutex::lock), and [`LockError::TooManyLevels`].
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Locked<'_, T> {
        self.lock_with(|word, peers| mutex::lock(word, peers, None))
    }

    /// Locks if the lock is free, or if its owner is this thread or dead.
    ///
    /// # Errors
    ///
    /// As [`Mutex::try_lock`](crate::Mutex::try_lock).
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Locked<'_, T> {
        self.lock_with(mutex::try_lock)
    }

    /// Locks, waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::try_lock_for`](crate::Mutex::try_lock_for).
    #[doc(alias = "lock_timeout")]
    #[doc(alias = "acquire")]
    pub fn try_lock_for(&self, timeout: Duration) -> Locked<'_, T> {
        self.lock_with(|word, peers| mutex::lock(word, peers, Deadline::after(timeout)))
    }

    /// The former name of [`try_lock_for`](Self::try_lock_for), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_timeout(&self, timeout: Duration) -> Locked<'_, T> {
        self.try_lock_for(timeout)
    }

    /// Locks, waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`Mutex::try_lock_until`](crate::Mutex::try_lock_until).
    #[doc(alias = "lock_deadline")]
    #[doc(alias = "acquire")]
    pub fn try_lock_until(&self, deadline: Instant) -> Locked<'_, T> {
        self.lock_with(|word, peers| mutex::lock(word, peers, Deadline::at(deadline)))
    }

    /// The former name of [`try_lock_until`](Self::try_lock_until), kept until 0.2.
    #[doc(hidden)]
    pub fn lock_deadline(&self, deadline: Instant) -> Locked<'_, T> {
        self.try_lock_until(deadline)
    }

    /// Whether the lock has an owner at the moment.
    #[must_use]
    #[doc(alias = "locked")]
    pub fn is_locked(&self) -> bool {
        mutex::owner(self.block.u32(0)) != 0
    }

    /// Whether the calling thread holds it.
    #[must_use]
    pub fn is_locked_by_us(&self) -> bool {
        // Relaxed: invariant 2; what we wrote ourselves, we read.
        let (word, thread) =
            (mutex::owner(self.block.u32(0)), self.block.u64(THREAD).load(Ordering::Relaxed));
        word != 0 && word == self.block.me() && thread == self.tag()
    }

    /// Returns the word that the calling thread writes as owner: its process's identity and its own
    /// number. The number alone is not enough: between the step that takes a dead owner's lock and
    /// the write of `thread`, another thread of the new owner's process, with the dead thread's
    /// number, would take itself for the owner.
    fn tag(&self) -> u64 {
        const NUMBER_BITS: u32 = 34;
        u64::from(self.block.me()) << NUMBER_BITS | thread::id().get() & ((1 << NUMBER_BITS) - 1)
    }

    fn lock_with(
        &self,
        take: impl FnOnce(
            &sync_core::primitive::atomic::AtomicU32,
            &Block,
        ) -> Result<mutex::Locked, mutex::Refused>,
    ) -> Locked<'_, T> {
        let guard = |inconsistent| ReentrantGuard {
            mutex: self,
            identity: self.block.me(),
            inconsistent,
            not_send: PhantomData,
        };
        if self.is_locked_by_us() {
            // A peer may write any count. Relaxed, here and in the rest of the file: the count and
            // the thread are the holder's, and the lock word orders one holder after another
            // (invariants 1 and 2).
            let count = self.block.u32(COUNT).load(Ordering::Relaxed);
            let count = count.checked_add(1).ok_or(LockError::TooManyLevels)?;
            self.block.u32(COUNT).store(count, Ordering::Relaxed);
            return Ok(guard(false));
        }
        let locked = take(self.block.u32(0), &self.block)?;
        // Relaxed: only the holder relies on them (invariants 1 and 2).
        self.block.u32(COUNT).store(1, Ordering::Relaxed);
        self.block.u64(THREAD).store(self.tag(), Ordering::Relaxed);
        match locked {
            mutex::Locked::Clean => Ok(guard(false)),
            mutex::Locked::OwnerDied => Err(LockError::OwnerDied(guard(true))),
        }
    }

    /// Locks again as often as before a wait.
    pub(crate) fn lock_again(&self, count: u32) -> Locked<'_, T> {
        let locked = self.lock();
        if matches!(locked, Ok(_) | Err(LockError::OwnerDied(_))) {
            self.block.u32(COUNT).store(count, Ordering::Relaxed);
        }
        locked
    }
}

impl<T> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let owner = Owner::of(&self.block, mutex::owner(self.block.u32(0)));
        let count = if matches!(owner, Owner::Unowned) {
            0
        } else {
            self.block.u32(COUNT).load(Ordering::Relaxed)
        };
        f.debug_struct("ReentrantMutex")
            .field("owner", &owner)
            .field("count", &count)
            .finish_non_exhaustive()
    }
}

/// The right to use what a [`ReentrantMutex`] guards, until dropped. Stays with its thread.
#[must_use = "the lock is let go of at once if the guard is not kept"]
#[derive(Debug)]
pub struct ReentrantGuard<'a, T: Plain> {
    mutex: &'a ReentrantMutex<T>,
    identity: u32,
    inconsistent: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a, T: Plain> ReentrantGuard<'a, T> {
    /// The value.
    #[must_use]
    pub fn get(&self) -> T {
        plain::load(&self.mutex.block, VALUE)
    }

    /// Replaces the value. By `&self`, as with a `Cell`: several guards of one thread see one
    /// value.
    pub fn set(&self, value: T) {
        if self.is_ours() {
            plain::store(&self.mutex.block, VALUE, &value);
        }
    }

    /// Copies the value out, lets `change` change it, and copies it back in.
    pub fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.get();
        let result = change(&mut value);
        self.set(value);
        result
    }

    /// Returns the number of levels at which this thread holds the lock.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.mutex.block.u32(COUNT).load(Ordering::Relaxed)
    }

    /// As [`Guard::mark_consistent`](crate::Guard::mark_consistent).
    pub fn mark_consistent(&mut self) {
        if self.inconsistent && self.is_ours() {
            mutex::mark_consistent(self.mutex.block.u32(0), &self.mutex.block);
            self.inconsistent = false;
        }
    }

    /// Whether this process locked it: a forked child's copy of the guard is not the child's.
    pub(crate) fn is_ours(&self) -> bool {
        self.mutex.block.is_us(self.identity)
    }

    /// Releases one level. If the lock came from a dead owner and was not marked consistent, the
    /// next owner gets `OwnerDied` again.
    pub(crate) fn abandon(self) {
        let last = self.depth() <= 1;
        if self.inconsistent && last && self.is_ours() {
            let this = core::mem::ManuallyDrop::new(self);
            let (word, peers) = (this.mutex.block.u32(0), &this.mutex.block);
            // As in `drop`.
            this.mutex.block.u32(COUNT).store(0, Ordering::Relaxed);
            this.mutex.block.u64(THREAD).store(0, Ordering::Relaxed);
            mutex::abandon(word, peers);
        }
    }

    /// Releases all levels, and returns their number. A forked child's copy of a guard has none:
    /// the depth is another owner's, and the child locks once.
    pub(crate) fn release_all(self) -> (&'a ReentrantMutex<T>, u32) {
        let mutex = self.mutex;
        let mut count = 1;
        if self.is_ours() {
            count = self.depth();
            mutex.block.u32(COUNT).store(1, Ordering::Relaxed);
        }
        drop(self);
        (mutex, count)
    }
}

crate::error::boxed!(ReentrantGuard, Plain);

impl<T: Plain> Unrepaired for ReentrantGuard<'_, T> {
    fn abandon(self) {
        ReentrantGuard::abandon(self);
    }
}

impl<T: Plain> Drop for ReentrantGuard<'_, T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        let (word, peers) = (self.mutex.block.u32(0), &self.mutex.block);
        let count = self.depth().saturating_sub(1);
        self.mutex.block.u32(COUNT).store(count, Ordering::Relaxed);
        if count > 0 {
            // The guard that came from a dead owner decides about consistency; if it is dropped out
            // of turn, the last guard decides.
            return;
        }
        // Before the unlock, whose Release publishes it (invariant 2).
        self.mutex.block.u64(THREAD).store(0, Ordering::Relaxed);
        if word.load(Ordering::Relaxed) & mutex::INCONSISTENT != 0 {
            mutex::give_up(word, peers);
        } else {
            mutex::unlock(word, peers);
        }
    }
}

impl<T> ReentrantMutex<T> {
    /// The object's memory.
    #[cfg(feature = "process")]
    pub(crate) fn block(&self) -> &Block {
        &self.block
    }
}

handle!(
    [T: Plain] ReentrantMutex<T>,
    |this| &this.block,
    Self { block: this.block.clone(), value: PhantomData }
);
