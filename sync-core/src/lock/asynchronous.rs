//! The locks as tasks take them, and the guard of a lock that a task holds.
//!
//! Threads and tasks wait for the same lock, in one line: the slow path of the raw lock is one
//! algorithm, and a task takes it in steps ([`Waiting`]).
//!
//! The guards of threads are `!Send`. A task may be polled by another thread after each `await`, so
//! it needs a guard that may be sent: [`TaskGuard`], one type for every lock and mode, over a
//! reference or an [`Arc`]. The raw locks may be released by any thread, so it needs no more than
//! the other guards do. The reports of the features `deadlock` and `stats` are about threads, and
//! leave the locks that tasks hold out.
//!
//! A [`ReentrantMutex`](crate::ReentrantMutex) has no such form: it belongs to the thread that took
//! it, and two tasks of one thread would both be its owner.
//!
//! Invariant: a guard represents one hold of its lock in its mode, and there is no other guard of
//! that hold.

use core::fmt;
use core::future::Future;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};
use core::ptr;
use std::sync::Arc;

use crate::lock::fair_mutex::FairMutex;
use crate::lock::instrumented::expect_held;
use crate::lock::mutex::Mutex;
use crate::lock::raw_lock::RawLock;
use crate::lock::raw_rwlock::RawRwLock;
use crate::lock::rwlock::RwLock;
use crate::primitive::steps::Waiting;
use crate::sealed::Sealed;

/// The mode of a guard that is alone.
#[derive(Debug)]
pub struct Exclusive(());

/// The mode of a reader.
#[derive(Debug)]
pub struct Shared(());

/// The mode of the reader that may become the writer.
#[derive(Debug)]
pub struct Upgradable(());

/// A lock that a task can hold in the mode `M`. Sealed: the locks of this crate implement it.
///
/// # Safety
///
/// Between a `take_at_once` that returns `true`, or the end of `wait_as_task`, and
/// `release_as_task` the data may be used as the mode permits.
pub unsafe trait TaskLock<M>: Sealed {
    /// The data that the lock protects.
    type Data: ?Sized;

    #[doc(hidden)]
    fn data(&self) -> *mut Self::Data;

    #[doc(hidden)]
    fn take_at_once(&self) -> bool;

    #[doc(hidden)]
    fn wait_as_task(&self) -> impl Future<Output = ()> + Send;

    /// # Safety
    ///
    /// The lock is held in this mode, and no guard that lives represents that hold.
    #[doc(hidden)]
    unsafe fn release_as_task(&self);
}

impl<T: ?Sized> Sealed for Mutex<T> {}
impl<T: ?Sized> Sealed for FairMutex<T> {}
impl<T: ?Sized> Sealed for RwLock<T> {}

// SAFETY: exclusion by the raw lock.
unsafe impl<T: ?Sized> TaskLock<Exclusive> for Mutex<T> {
    type Data = T;

    #[inline]
    fn data(&self) -> *mut T {
        self.data.with_mut(|data| data)
    }

    #[inline]
    fn take_at_once(&self) -> bool {
        self.raw.raw().acquire_at_once()
    }

    fn wait_as_task(&self) -> impl Future<Output = ()> + Send {
        Waiting::new(self.raw.raw().acquiring())
    }

    #[inline]
    unsafe fn release_as_task(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.raw.raw().release() }
    }
}

// SAFETY: exclusion by the raw lock.
unsafe impl<T: ?Sized> TaskLock<Exclusive> for FairMutex<T> {
    type Data = T;

    #[inline]
    fn data(&self) -> *mut T {
        self.inner.data.with_mut(|data| data)
    }

    #[inline]
    fn take_at_once(&self) -> bool {
        self.inner.raw.raw().acquire_at_once()
    }

    fn wait_as_task(&self) -> impl Future<Output = ()> + Send {
        Waiting::new(self.inner.raw.raw().queueing(true))
    }

    #[inline]
    unsafe fn release_as_task(&self) {
        // SAFETY: passed on to the caller.
        unsafe { self.inner.raw.raw().release() }
    }
}

/// Writes the three modes of a readers-writer lock.
macro_rules! mode {
    ($mode:ident, $at_once:ident, $steps:expr, $unlock:ident) => {
        // SAFETY: the modes of the raw lock exclude each other as the modes of the guards need it.
        unsafe impl<T: ?Sized> TaskLock<$mode> for RwLock<T> {
            type Data = T;

            #[inline]
            fn data(&self) -> *mut T {
                self.data.with_mut(|data| data)
            }

            #[inline]
            fn take_at_once(&self) -> bool {
                self.raw.raw().$at_once()
            }

            fn wait_as_task(&self) -> impl Future<Output = ()> + Send {
                Waiting::new($steps(self.raw.raw()))
            }

            #[inline]
            unsafe fn release_as_task(&self) {
                expect_held(self.raw.raw().$unlock());
            }
        }
    };
}

mode!(Exclusive, write_at_once, RawRwLock::writing, unlock_write);
mode!(Shared, read_at_once, RawRwLock::reading, unlock_read);
mode!(Upgradable, upgradable_at_once, RawRwLock::upgradable_reading, unlock_upgradable);

/// The right of a task to the data of a lock; dropping it releases the lock.
///
/// It may be held across an `await`: it is `Send` if the data is. `P` is a reference to the lock,
/// or an [`Arc`] of it; `M` is the mode.
///
/// While it is held across an `await`, the threads and tasks that want the lock wait, until the
/// executor has polled the task to the end of the guard. A thread that polls this task must not
/// block on the lock: it would wait for itself. [`task`](crate::task) has the rules, and what to do
/// in place of that.
///
/// # Examples
///
/// ```
/// use sync_core::{Mutex, task::block_on};
///
/// static TOTAL: Mutex<u32> = Mutex::new(0);
///
/// block_on(async {
///     let mut total = TOTAL.lock_async().await;
///     *total += 1;
///     async { /* other work, with the lock held */ }.await;
///     *total += 1;
/// });
/// assert_eq!(*TOTAL.lock(), 2);
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct TaskGuard<P: Deref, M>
where
    P::Target: TaskLock<M>,
{
    lock: P,
    mode: PhantomData<*const M>,
}

/// The guard of [`Mutex::lock_async`].
pub type MutexTaskGuard<'a, T> = TaskGuard<&'a Mutex<T>, Exclusive>;
/// The guard of [`FairMutex::lock_async`].
pub type FairMutexTaskGuard<'a, T> = TaskGuard<&'a FairMutex<T>, Exclusive>;
/// The guard of [`RwLock::read_async`].
pub type RwLockReadTaskGuard<'a, T> = TaskGuard<&'a RwLock<T>, Shared>;
/// The guard of [`RwLock::write_async`].
pub type RwLockWriteTaskGuard<'a, T> = TaskGuard<&'a RwLock<T>, Exclusive>;
/// The guard of [`RwLock::upgradable_read_async`].
pub type RwLockUpgradableReadTaskGuard<'a, T> = TaskGuard<&'a RwLock<T>, Upgradable>;

// SAFETY: any thread may release the lock. A pointer to the lock that is `Send` shares the lock, so
// the lock is `Sync`, and so its data may be used in the mode by any thread.
unsafe impl<P: Deref + Send, M> Send for TaskGuard<P, M>
where
    P::Target: TaskLock<M> + Sync,
    <P::Target as TaskLock<M>>::Data: Send,
{
}
// SAFETY: a shared guard gives out `&Data`, and the lock, with which another thread can take the
// data out, now or later. Hence both bounds.
unsafe impl<P: Deref + Sync, M> Sync for TaskGuard<P, M>
where
    P::Target: TaskLock<M> + Sync,
    <P::Target as TaskLock<M>>::Data: Send + Sync,
{
}

impl<P: Deref, M> TaskGuard<P, M>
where
    P::Target: TaskLock<M>,
{
    /// Waits for the lock. Cancel-safe.
    #[inline]
    pub(crate) async fn take(lock: P) -> Self {
        if !lock.take_at_once() {
            lock.wait_as_task().await;
        }
        Self { lock, mode: PhantomData }
    }

    /// Takes the pointer out of the guard; the lock stays held.
    #[inline]
    fn forget(self) -> P {
        let this = ManuallyDrop::new(self);
        // SAFETY: the guard is not used or dropped again.
        unsafe { ptr::read(&this.lock) }
    }

    /// Releases the lock and returns the pointer to it.
    #[inline]
    pub(crate) fn release(self) -> P {
        let lock = self.forget();
        // SAFETY: the guard, which represented the hold, is gone.
        unsafe { lock.release_as_task() };
        lock
    }

    /// Returns the lock of this guard. An associated function, so that it hides no method of the
    /// data.
    #[inline]
    pub fn lock(this: &Self) -> &P {
        &this.lock
    }
}

impl<P: Deref, M> Deref for TaskGuard<P, M>
where
    P::Target: TaskLock<M>,
{
    type Target = <P::Target as TaskLock<M>>::Data;

    #[inline]
    fn deref(&self) -> &Self::Target {
        // SAFETY: the invariant of this file: the lock is held, in a mode in which the data may be
        // read.
        unsafe { &*self.lock.data() }
    }
}

impl<P: Deref> DerefMut for TaskGuard<P, Exclusive>
where
    P::Target: TaskLock<Exclusive>,
{
    #[inline]
    fn deref_mut(&mut self) -> &mut Self::Target {
        // SAFETY: the invariant of this file: the lock is held, and there is no other guard.
        unsafe { &mut *self.lock.data() }
    }
}

impl<P: Deref, M> Drop for TaskGuard<P, M>
where
    P::Target: TaskLock<M>,
{
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the invariant of this file; the guard ends here.
        unsafe { self.lock.release_as_task() }
    }
}

impl<P: Deref, M> fmt::Debug for TaskGuard<P, M>
where
    P::Target: TaskLock<M>,
    <P::Target as TaskLock<M>>::Data: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// Writes the two methods that take a lock in one mode as a task.
macro_rules! take_as_task {
    ($lock:ident, $mode:ident, $take:ident, $take_arc:ident, $thread:literal, $what:literal) => {
        impl<T: ?Sized> $lock<T> {
            #[doc = concat!("Takes the lock ", $what, ", as a task.")]
            ///
            #[doc = concat!("For a thread, there is [`", $thread, "`](Self::", $thread, ").")]
            ///
            /// Threads and tasks wait for the lock together. The guard may be held across an
            /// `await`, and may be sent to another thread.
            ///
            /// Cancel-safe: a wait that is dropped leaves the line, and another waiter goes on. It
            /// loses its place in the line. What a wait that is kept and not polled holds up, and
            /// which threads must not block on the lock, is in the documentation of
            /// [`task`](crate::task).
            #[inline]
            pub fn $take(&self) -> impl Future<Output = TaskGuard<&Self, $mode>> {
                // Not an `async fn` around another: each state machine costs about a nanosecond.
                TaskGuard::take(self)
            }

            #[doc = concat!("Like [`", stringify!($take), "`](Self::", stringify!($take), "),")]
            /// with a guard that keeps the lock alive and borrows nothing.
            #[inline]
            pub async fn $take_arc(self: &Arc<Self>) -> TaskGuard<Arc<Self>, $mode> {
                TaskGuard::take(Arc::clone(self)).await
            }
        }
    };
}

take_as_task!(Mutex, Exclusive, lock_async, lock_arc_async, "lock", "alone");
take_as_task!(FairMutex, Exclusive, lock_async, lock_arc_async, "lock", "alone");
take_as_task!(RwLock, Shared, read_async, read_arc_async, "read", "for reading");
take_as_task!(RwLock, Exclusive, write_async, write_arc_async, "write", "for writing");
take_as_task!(
    RwLock,
    Upgradable,
    upgradable_read_async,
    upgradable_read_arc_async,
    "upgradable_read",
    "for reading with the right to upgrade"
);

impl<T: ?Sized, P: Deref<Target = RwLock<T>>> TaskGuard<P, Upgradable> {
    /// Turns the upgradable reader into the writer; waits until the other readers have left, and
    /// lets no new ones in. No other writer gets in between.
    ///
    /// Cancel-safe: if the wait is dropped, the guard is dropped as well, and the lock is released.
    ///
    /// ```
    /// use sync_core::{RwLock, TaskGuard, task::block_on};
    ///
    /// let number = RwLock::new(1);
    /// block_on(async {
    ///     let reader = number.upgradable_read_async().await;
    ///     if *reader == 1 {
    ///         *TaskGuard::upgrade_async(reader).await = 2;
    ///     }
    /// });
    /// assert_eq!(*number.read(), 2);
    /// ```
    pub async fn upgrade_async(this: Self) -> TaskGuard<P, Exclusive> {
        let upgraded = Waiting::new(this.lock.raw.raw().upgrading()).await;
        expect_held(upgraded);
        TaskGuard { lock: this.forget(), mode: PhantomData }
    }

    /// Turns the upgradable reader into an ordinary one.
    pub fn downgrade(this: Self) -> TaskGuard<P, Shared> {
        let lock = this.forget();
        expect_held(lock.raw.raw().downgrade_upgradable());
        TaskGuard { lock, mode: PhantomData }
    }
}

impl<T: ?Sized, P: Deref<Target = RwLock<T>>> TaskGuard<P, Exclusive> {
    /// Turns the writer into a reader, and lets other readers in. No other writer gets in between.
    pub fn downgrade(this: Self) -> TaskGuard<P, Shared> {
        let lock = this.forget();
        expect_held(lock.raw.raw().downgrade());
        TaskGuard { lock, mode: PhantomData }
    }
}
