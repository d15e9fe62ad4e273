//! Many readers or one writer over data.
//!
//! The algorithm, its state table, invariants and orderings are in `raw_rwlock/mod.rs`; the guards
//! are made by the macros of `guard_macros.rs`. This file is the API: the names and signatures are
//! those of `std` and `parking_lot`.

use core::fmt;
use core::marker::PhantomData;
use core::mem;
use core::ops::{Deref, DerefMut};
use core::panic::{RefUnwindSafe, UnwindSafe};
use core::ptr::NonNull;
use core::time::Duration;
use std::sync::Arc;
use std::time::Instant;

use crate::diagnostics::lock_kind::LockKind;
use crate::lock::guard_macros::NotSend;
use crate::lock::instrumented::{Instrumented, InstrumentedRwLock, expect_held};
use crate::lock::raw_lock::WaitGuard;
use crate::lock::raw_rwlock::RawRwLock;
use crate::primitive::{cell::UnsafeCell, const_new};
use crate::sealed::Sealed;

/// A lock over data that many threads may hold for reading, or one thread for writing. It adds four
/// bytes to the data. It does not poison.
///
/// Modes that two threads may hold at the same time:
///
/// | | reader | upgradable reader | writer |
/// |---|---|---|---|
/// | **reader** | yes | yes | no |
/// | **upgradable reader** | yes | no | no |
/// | **writer** | no | no | no |
///
/// An upgradable reader becomes the writer without letting another writer in between, once the
/// other readers have left; so at most one thread can wait for that, and two threads can never wait
/// for each other. A writer becomes a reader, or the upgradable one, in the same way.
///
/// Neither side starves. A waiting writer keeps new readers out, and the readers that it kept out
/// go before the next writer. No newcomer overtakes a thread that has waited for a millisecond. For
/// that reason a thread must not take the lock for reading twice: a writer that came in between
/// would wait for the first guard, and the second for the writer.
///
/// A [`Condvar`](crate::Condvar) waits with any of the borrowed guards; a wait with a reader's
/// guard releases only the hold of that guard and takes it again.
///
/// # Examples
///
/// ```
/// use sync_core::{RwLock, RwLockUpgradableReadGuard, RwLockWriteGuard};
///
/// static WORDS: RwLock<Vec<&str>> = RwLock::new(Vec::new());
///
/// fn add(word: &'static str) -> usize {
///     // Other threads may read during the search; no thread writes between it and the push.
///     let words = WORDS.upgradable_read();
///     if let Some(place) = words.iter().position(|known| *known == word) {
///         return place;
///     }
///     let mut words = RwLockUpgradableReadGuard::upgrade(words);
///     words.push(word);
///     let words = RwLockWriteGuard::downgrade(words);
///     words.len() - 1
/// }
///
/// assert_eq!((add("one"), add("two"), add("one")), (0, 1, 0));
/// assert_eq!(*WORDS.read(), ["one", "two"]);
/// ```
///
/// # Memory ordering
///
/// Everything that happened before a writer's guard was dropped or downgraded happens before the
/// return of every acquisition that follows; everything that happened before a reader's guard was
/// dropped happens before the return of every acquisition for writing, and every upgrade, that
/// follows.
///
/// # Source of the algorithm
///
/// `std`'s two-futex lock made phase-fair; the state table and the invariants are at the top of
/// `raw_rwlock/mod.rs`.
pub struct RwLock<T: ?Sized> {
    pub(crate) raw: InstrumentedRwLock,
    pub(crate) data: UnsafeCell<T>,
}

// SAFETY: the lock moves with its data; to move both to another thread is to move the data.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: the raw lock hands the data to one writer (hence `Send`) or to many readers (hence
// `Sync`) at a time.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

// The same as for `std`'s lock, although this lock does not poison: the next holder judges the data
// that a panic left under a lock, with or without a catch in between.
impl<T: ?Sized> UnwindSafe for RwLock<T> {}
impl<T: ?Sized> RefUnwindSafe for RwLock<T> {}

const_new! {
    /// [`RwLock::new`] as a function, under `parking_lot`'s name.
    pub const fn const_rwlock<T>(value: T) -> RwLock<T> {
        RwLock::new(value)
    }
}

impl<T> RwLock<T> {
    const_new! {
        /// Creates a free lock over `value`.
        pub const fn new(value: T) -> Self {
            let raw = Instrumented::new(RawRwLock::new(), LockKind::RwLock);
            Self { raw, data: UnsafeCell::new(value) }
        }
    }

    /// Returns the data. No thread can hold the lock: this call owns it.
    pub fn into_inner(self) -> T {
        self.data.into_inner()
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Takes the lock for reading, together with other readers; sleeps while a writer holds it or
    /// waits for it.
    ///
    /// A thread that reads already and takes the lock again can wait forever, if a writer came in
    /// between.
    ///
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[track_caller]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.raw.read();
        // SAFETY: the call above has acquired the lock.
        unsafe { RwLockReadGuard::new(self) }
    }

    /// Takes the lock for reading if that is possible at this moment.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_read().then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Takes the lock for reading, or gives up after `timeout`. A timeout too long for the clock
    /// means forever.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_for(&self, timeout: Duration) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_read_for(timeout).then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Takes the lock for reading, or gives up at `deadline`. A deadline in the past still takes a
    /// lock that is free.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_until(&self, deadline: Instant) -> Option<RwLockReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_read_until(deadline).then(|| unsafe { RwLockReadGuard::new(self) })
    }

    /// Like [`read`](Self::read), of a lock in an [`Arc`]; the guard keeps the lock alive and
    /// borrows nothing.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn read_arc(self: &Arc<Self>) -> ArcRwLockReadGuard<T> {
        self.raw.read();
        // SAFETY: the call above has acquired the lock.
        unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) }
    }

    /// Like [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_arc(self: &Arc<Self>) -> Option<ArcRwLockReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_read().then(|| unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_read_for`](Self::try_read_for), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_arc_for(self: &Arc<Self>, timeout: Duration) -> Option<ArcRwLockReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_read_for(timeout).then(|| unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_read_until`](Self::try_read_until), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// Like [`read`](Self::read).
    #[inline]
    #[track_caller]
    pub fn try_read_arc_until(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Option<ArcRwLockReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_read_until(deadline)
            .then(|| unsafe { ArcRwLockReadGuard::new(Arc::clone(self)) })
    }

    /// Takes the lock for writing, alone; sleeps while any other thread holds it.
    ///
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.raw.write();
        // SAFETY: the call above has acquired the lock.
        unsafe { RwLockWriteGuard::new(self) }
    }

    /// Takes the lock for writing if that is possible at this moment.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_write().then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Takes the lock for writing, or gives up after `timeout`. A timeout too long for the clock
    /// means forever.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write_for(&self, timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_write_for(timeout).then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Takes the lock for writing, or gives up at `deadline`. A deadline in the past still takes a
    /// lock that is free.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write_until(&self, deadline: Instant) -> Option<RwLockWriteGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_write_until(deadline).then(|| unsafe { RwLockWriteGuard::new(self) })
    }

    /// Like [`write`](Self::write), of a lock in an [`Arc`]; the guard keeps the lock alive and
    /// borrows nothing.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn write_arc(self: &Arc<Self>) -> ArcRwLockWriteGuard<T> {
        self.raw.write();
        // SAFETY: the call above has acquired the lock.
        unsafe { ArcRwLockWriteGuard::new(Arc::clone(self)) }
    }

    /// Like [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write_arc(self: &Arc<Self>) -> Option<ArcRwLockWriteGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_write().then(|| unsafe { ArcRwLockWriteGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_write_for`](Self::try_write_for), with a guard that keeps the lock alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write_arc_for(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Option<ArcRwLockWriteGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_write_for(timeout)
            .then(|| unsafe { ArcRwLockWriteGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_write_until`](Self::try_write_until), with a guard that keeps the lock alive.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_write_arc_until(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Option<ArcRwLockWriteGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_write_until(deadline)
            .then(|| unsafe { ArcRwLockWriteGuard::new(Arc::clone(self)) })
    }

    /// Takes the lock for reading with the right to become the writer: together with other readers,
    /// but only one thread has that right.
    ///
    ///
    /// # Panics
    ///
    /// If there are 2^25 readers; nothing is changed.
    ///
    /// # Memory ordering
    ///
    /// The same as for the [type](Self).
    #[inline]
    #[track_caller]
    pub fn upgradable_read(&self) -> RwLockUpgradableReadGuard<'_, T> {
        self.raw.upgradable_read();
        // SAFETY: the call above has acquired the lock.
        unsafe { RwLockUpgradableReadGuard::new(self) }
    }

    /// Takes the lock for reading with the right to upgrade if that is possible at this moment.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw.try_upgradable_read().then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Takes the lock for reading with the right to upgrade, or gives up after `timeout`. A timeout
    /// too long for the clock means forever.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_for(
        &self,
        timeout: Duration,
    ) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_upgradable_read_for(timeout)
            .then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Takes the lock for reading with the right to upgrade, or gives up at `deadline`. A deadline
    /// in the past still takes a lock that is free.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_until(
        &self,
        deadline: Instant,
    ) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_upgradable_read_until(deadline)
            .then(|| unsafe { RwLockUpgradableReadGuard::new(self) })
    }

    /// Like [`upgradable_read`](Self::upgradable_read), of a lock in an [`Arc`]; the guard keeps
    /// the lock alive and borrows nothing.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn upgradable_read_arc(self: &Arc<Self>) -> ArcRwLockUpgradableReadGuard<T> {
        self.raw.upgradable_read();
        // SAFETY: the call above has acquired the lock.
        unsafe { ArcRwLockUpgradableReadGuard::new(Arc::clone(self)) }
    }

    /// Like [`try_upgradable_read`](Self::try_upgradable_read), with a guard that keeps the lock
    /// alive.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_arc(self: &Arc<Self>) -> Option<ArcRwLockUpgradableReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_upgradable_read()
            .then(|| unsafe { ArcRwLockUpgradableReadGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_upgradable_read_for`](Self::try_upgradable_read_for), with a guard that keeps the
    /// lock alive.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_arc_for(
        self: &Arc<Self>,
        timeout: Duration,
    ) -> Option<ArcRwLockUpgradableReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_upgradable_read_for(timeout)
            .then(|| unsafe { ArcRwLockUpgradableReadGuard::new(Arc::clone(self)) })
    }

    /// Like [`try_upgradable_read_until`](Self::try_upgradable_read_until), with a guard that keeps
    /// the lock alive.
    ///
    /// # Panics
    ///
    /// Like [`upgradable_read`](Self::upgradable_read).
    #[inline]
    #[track_caller]
    pub fn try_upgradable_read_arc_until(
        self: &Arc<Self>,
        deadline: Instant,
    ) -> Option<ArcRwLockUpgradableReadGuard<T>> {
        // SAFETY: the guard is made only if the lock was acquired.
        self.raw
            .try_upgradable_read_until(deadline)
            .then(|| unsafe { ArcRwLockUpgradableReadGuard::new(Arc::clone(self)) })
    }

    /// Returns whether a thread holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_locked(&self) -> bool {
        self.raw.raw().is_locked()
    }

    /// Returns whether a writer holds the lock. A snapshot: it may have changed before the call
    /// returns.
    #[inline]
    pub fn is_locked_exclusive(&self) -> bool {
        self.raw.raw().is_locked_exclusive()
    }

    /// Returns the data, without locking: this call borrows the lock exclusively.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        // SAFETY: `&mut self`: there is no guard and no other user.
        self.data.with_mut(|data| unsafe { &mut *data })
    }

    /// Returns the lock without the data.
    ///
    /// # Safety
    ///
    /// Releasing it while a guard lives gives other threads access to the data; the caller does so
    /// only for a guard that it has forgotten.
    #[inline]
    pub unsafe fn raw(&self) -> &RawRwLock {
        self.raw.raw()
    }

    /// Makes the lock free, whichever thread held it: for the child of a `fork`, where the holders
    /// do not exist any more.
    ///
    /// # Safety
    ///
    /// No other thread of this process may use the lock, no guard of it may still be dropped, and
    /// the data must be usable in whatever state the holders left it.
    pub unsafe fn reinit_after_fork(&self) {
        self.raw.forget_holder();
        // SAFETY: passed on to the caller.
        unsafe { self.raw.raw().reinit_after_fork() }
    }
}

impl<T: Default> Default for RwLock<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T> From<T> for RwLock<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// Never blocks: a lock that a writer holds or waits for shows `<locked>`.
impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("RwLock");
        // The raw lock is shown before this call takes it for a moment.
        out.field("raw", &format_args!("{:?}", self.raw.raw()));
        match self.try_read() {
            Some(data) => out.field("data", &&*data),
            None => out.field("data", &format_args!("<locked>")),
        };
        out.finish()
    }
}

borrowed_guard! {
    /// The right to read the data of an [`RwLock`]; dropping it releases the lock.
    ///
    /// It is invariant in `T`, for it gives out its lock ([`rwlock`](Self::rwlock)), into which
    /// what lives shorter could be written. `std`'s guard is covariant, and so is a mapped guard:
    /// [`map`](Self::map) with `|data| data` makes one.
    RwLockReadGuard of RwLock, releases with release_read, maps to MappedRwLockReadGuard
}

borrowed_guard! {
    /// The right to write the data of an [`RwLock`]; dropping it releases the lock.
    RwLockWriteGuard of RwLock, releases with release_write, maps to MappedRwLockWriteGuard, mut
}

borrowed_guard! {
    /// The right to read the data of an [`RwLock`] and to become its writer; dropping it releases
    /// the lock.
    ///
    /// A mapped guard ([`map`](Self::map)) of a part of the data can read it, but cannot be
    /// upgraded any more.
    RwLockUpgradableReadGuard of RwLock, releases with release_upgradable,
    maps to MappedRwLockUpgradableReadGuard
}

mapped_guard! {
    /// The right to read a part of the data of an [`RwLock`]; dropping it releases the lock.
    MappedRwLockReadGuard of InstrumentedRwLock, releases with release_read
}

mapped_guard! {
    /// The right to write a part of the data of an [`RwLock`]; dropping it releases the lock.
    MappedRwLockWriteGuard of InstrumentedRwLock, releases with release_write, mut
}

mapped_guard! {
    /// The right to read a part of the data of an [`RwLock`], held as its upgradable reader;
    /// dropping it releases the lock.
    MappedRwLockUpgradableReadGuard of InstrumentedRwLock, releases with release_upgradable
}

arc_guard! {
    /// The right to read the data of an [`RwLock`] in an [`Arc`], which it keeps alive.
    ArcRwLockReadGuard of RwLock, releases with release_read
}

arc_guard! {
    /// The right to write the data of an [`RwLock`] in an [`Arc`], which it keeps alive.
    ArcRwLockWriteGuard of RwLock, releases with release_write, mut
}

arc_guard! {
    /// The right to read the data of an [`RwLock`] in an [`Arc`], which it keeps alive, held as its
    /// upgradable reader.
    ArcRwLockUpgradableReadGuard of RwLock, releases with release_upgradable
}

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Returns the lock of this guard.
    #[inline]
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Returns the lock of this guard.
    #[inline]
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }

    /// Turns the writer into a reader, and lets other readers in. No other writer gets in between.
    #[inline]
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let lock = this.lock;
        mem::forget(this);
        expect_held(lock.raw.raw().downgrade());
        // SAFETY: held for reading since the call above, on behalf of the guard that was forgotten.
        unsafe { RwLockReadGuard::new(lock) }
    }

    /// Turns the writer into the upgradable reader, and lets other readers in.
    #[inline]
    pub fn downgrade_to_upgradable(this: Self) -> RwLockUpgradableReadGuard<'a, T> {
        let lock = this.lock;
        mem::forget(this);
        expect_held(lock.raw.raw().downgrade_to_upgradable());
        // SAFETY: held as upgradable reader since the call above, on behalf of the guard that was
        // forgotten.
        unsafe { RwLockUpgradableReadGuard::new(lock) }
    }
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    /// Returns the lock of this guard.
    #[inline]
    pub fn rwlock(this: &Self) -> &'a RwLock<T> {
        this.lock
    }

    /// Becomes the writer; sleeps until the other readers have left, and lets no new readers in. No
    /// other thread writes in between.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn upgrade(this: Self) -> RwLockWriteGuard<'a, T> {
        let lock = this.lock;
        lock.raw.upgrade();
        mem::forget(this);
        // SAFETY: held for writing now, on behalf of the guard that was forgotten.
        unsafe { RwLockWriteGuard::new(lock) }
    }

    /// Becomes the writer if there are no other readers at this moment.
    ///
    /// # Errors
    ///
    /// The guard itself, if there are other readers.
    #[inline]
    pub fn try_upgrade(this: Self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(this.lock.raw.try_upgrade(), this)
    }

    /// Becomes the writer, or gives up after `timeout`.
    ///
    /// # Errors
    ///
    /// The guard itself, if the other readers did not leave in time.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_upgrade_for(this: Self, timeout: Duration) -> Result<RwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(this.lock.raw.try_upgrade_for(timeout), this)
    }

    /// Becomes the writer, or gives up at `deadline`.
    ///
    /// # Errors
    ///
    /// The guard itself, if the other readers did not leave in time.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub fn try_upgrade_until(
        this: Self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'a, T>, Self> {
        Self::upgraded(this.lock.raw.try_upgrade_until(deadline), this)
    }

    fn upgraded(upgraded: bool, this: Self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        if !upgraded {
            return Err(this);
        }
        let lock = this.lock;
        mem::forget(this);
        // SAFETY: held for writing now, on behalf of the guard that was forgotten.
        Ok(unsafe { RwLockWriteGuard::new(lock) })
    }

    /// Gives up the right to upgrade and stays a reader.
    #[inline]
    pub fn downgrade(this: Self) -> RwLockReadGuard<'a, T> {
        let lock = this.lock;
        mem::forget(this);
        expect_held(lock.raw.raw().downgrade_upgradable());
        // SAFETY: held for reading since the call above, on behalf of the guard that was forgotten.
        unsafe { RwLockReadGuard::new(lock) }
    }
}

/// Implements the release and the reacquisition in the same mode, for a condition variable.
macro_rules! wait_in_mode {
    ($($Guard:ident, $release:ident, $acquire:ident);*) => {$(
        impl<T: ?Sized> Sealed for $Guard<'_, T> {}

        impl<T: ?Sized> WaitGuard for $Guard<'_, T> {
            #[inline]
            unsafe fn release_all(&mut self) -> u32 {
                // SAFETY: invariant 1 of `guard_macros.rs`; the caller does not use the guard until
                // it has reacquired.
                unsafe { self.lock.raw.$release() };
                1
            }

            #[inline]
            #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
            unsafe fn reacquire(&mut self, _: u32) {
                self.lock.raw.$acquire();
            }
        }
    )*};
}

wait_in_mode!(
    RwLockReadGuard, release_read, read_again;
    RwLockWriteGuard, release_write, write_again;
    RwLockUpgradableReadGuard, release_upgradable, upgradable_read_again
);

const _: () = {
    const fn shared<T: Sync>() {}
    const fn sent<T: Send>() {}
    shared::<RwLock<u32>>();
    sent::<RwLock<core::cell::Cell<u32>>>();
};
