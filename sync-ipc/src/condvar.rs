//! A condition variable between processes. The algorithm is in
//! [`raw::condvar`](crate::raw::condvar).
//!
//! Memory: next ticket u64, tickets u64 each, slots u32 each; the entry's parameter is the number
//! of waiters that there can be.

use core::fmt;
use core::time::Duration;
use std::time::Instant;

use sync_core::primitive::atomic::AtomicU32;
use sync_core::primitive::futex::Deadline;

use crate::error::{Error, LockError, Result};
use crate::mutex::{Guard, Mutex};
use crate::plain::{self, Plain};
use crate::raw::condvar::Waitlist;
use crate::raw::{FIRST_BOUND, Platform, Slept};
use crate::reentrant::{ReentrantGuard, ReentrantMutex};
use crate::segment::{Block, Segment};

const WAITERS: usize = 128;
const MOST_WAITERS: usize = 4096;
const TICKETS: usize = 8;

/// Waiting for a condition on a value under a lock.
///
/// `notify_one` wakes exactly one waiter, the one that waited longest. No waiter acknowledges a
/// notification, so a waiter that is killed anywhere makes no process hang (in CPython it does,
/// #75158). The notification of a killed waiter goes to another waiter within 32 ms.
///
/// A wait returns the result of locking again: [`LockError::OwnerDied`] if another process died
/// with the lock meanwhile.
///
/// ```
/// use sync_ipc::{Condvar, Mutex, Segment};
///
/// let segment = Segment::anonymous(16384)?;
/// let stock = Mutex::create(&segment, "stock", 0_u64)?;
/// let arrived = Condvar::create(&segment, "arrived")?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         stock.lock().unwrap().set(3);
///         arrived.notify_one();
///     });
///     let guard = arrived.wait_while(stock.lock().unwrap(), |stock| *stock == 0).unwrap();
///     assert_eq!(guard.get(), 3);
/// });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Condition")]
pub struct Condvar {
    block: Block,
    waiters: usize,
}

impl Condvar {
    /// A new condition variable, for up to 128 waiters at a time.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn create(segment: &Segment, name: &str) -> Result<Self> {
        Self::with_waiters(segment, name, WAITERS)
    }

    /// As [`create`](Self::create), for up to `waiters` at a time. One waiter too many is not
    /// notified, but wakes up every millisecond.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and more than 4096; else as for any object.
    pub fn with_waiters(segment: &Segment, name: &str, waiters: usize) -> Result<Self> {
        if waiters == 0 || waiters > MOST_WAITERS {
            return Err(Error::BadSize);
        }
        let block = segment.place(
            name,
            plain::kind_of::<()>("condvar"),
            Self::layout(waiters),
            waiters as u64,
            |_| {},
        )?;
        Ok(Self { block, waiters })
    }

    /// The condition variable of that name.
    ///
    /// # Errors
    ///
    /// As for any object.
    pub fn open(segment: &Segment, name: &str) -> Result<Self> {
        let block = segment.find(name, plain::kind_of::<()>("condvar"))?;
        let waiters = usize::try_from(block.parameter())
            .ok()
            .filter(|n| (1..=MOST_WAITERS).contains(n))
            .ok_or(Error::Corrupted)?;
        Ok(Self { block: block.expect_size(Some(Self::layout(waiters)))?, waiters })
    }

    fn layout(waiters: usize) -> usize {
        TICKETS + waiters * 12
    }

    fn list(&self) -> Waitlist<'_> {
        Waitlist {
            next: self.block.u64(0),
            tickets: self.block.u64s(TICKETS, self.waiters),
            slots: self.block.u32s(TICKETS + self.waiters * 8, self.waiters),
        }
    }

    /// Wakes the waiter that has waited longest.
    pub fn notify_one(&self) {
        self.notify_many(1);
    }

    /// Wakes the `count` waiters that have waited longest. Returns the number of woken waiters.
    #[doc(alias = "notify")]
    pub fn notify_many(&self, count: usize) -> usize {
        self.list().notify(&self.block, count)
    }

    /// The former name of [`notify_many`](Self::notify_many), kept until 0.2.
    #[doc(hidden)]
    pub fn notify(&self, count: usize) -> usize {
        self.notify_many(count)
    }

    /// Wakes all waiters.
    pub fn notify_all(&self) {
        self.notify_many(self.waiters);
    }

    /// Releases the lock, waits for a notification, and locks again.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    pub fn wait<G: Waitable>(&self, guard: G) -> Result<G, LockError<G>> {
        self.wait_by(guard, None)
            .map(|(guard, _)| guard)
            .map_err(|error| error.map(|(guard, _)| guard))
    }

    /// As [`wait`](Self::wait), for at most `timeout`, not counting the time to lock again. Also
    /// returns whether it was notified.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    #[doc(alias = "wait_timeout")]
    pub fn wait_for<G: Waitable>(
        &self,
        guard: G,
        timeout: Duration,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_by(guard, Some(Deadline::after(timeout)))
    }

    /// The former name of [`wait_for`](Self::wait_for), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_timeout<G: Waitable>(
        &self,
        guard: G,
        timeout: Duration,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_for(guard, timeout)
    }

    /// As [`wait_for`](Self::wait_for), until `deadline`.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    #[doc(alias = "wait_deadline")]
    pub fn wait_until<G: Waitable>(
        &self,
        guard: G,
        deadline: Instant,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_by(guard, Some(Deadline::at(deadline)))
    }

    /// The former name of [`wait_until`](Self::wait_until), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_deadline<G: Waitable>(
        &self,
        guard: G,
        deadline: Instant,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_until(guard, deadline)
    }

    /// Waits while `condition` holds for the value.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    pub fn wait_while<G: Waitable>(
        &self,
        mut guard: G,
        mut condition: impl FnMut(&G::Value) -> bool,
    ) -> Result<G, LockError<G>> {
        while condition(&guard.value()) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// Waits while `condition` holds for the value, for at most `timeout`. Also returns
    /// whether it ceased to hold.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    #[doc(alias = "wait_timeout_while")]
    pub fn wait_while_for<G: Waitable>(
        &self,
        guard: G,
        timeout: Duration,
        condition: impl FnMut(&G::Value) -> bool,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_while_by(guard, Deadline::after(timeout), condition)
    }

    /// The former name of [`wait_while_for`](Self::wait_while_for), kept until 0.2.
    #[doc(hidden)]
    pub fn wait_timeout_while<G: Waitable>(
        &self,
        guard: G,
        timeout: Duration,
        condition: impl FnMut(&G::Value) -> bool,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_while_for(guard, timeout, condition)
    }

    /// As [`wait_while_for`](Self::wait_while_for), until `deadline`.
    ///
    /// # Errors
    ///
    /// The errors of locking.
    pub fn wait_while_until<G: Waitable>(
        &self,
        guard: G,
        deadline: Instant,
        condition: impl FnMut(&G::Value) -> bool,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        self.wait_while_by(guard, Deadline::at(deadline), condition)
    }

    fn wait_while_by<G: Waitable>(
        &self,
        mut guard: G,
        deadline: Option<Deadline>,
        mut condition: impl FnMut(&G::Value) -> bool,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        loop {
            if !condition(&guard.value()) {
                return Ok((guard, true));
            }
            let notified;
            (guard, notified) = self.wait_by(guard, Some(deadline))?;
            if !notified {
                let done = !condition(&guard.value());
                return Ok((guard, done));
            }
        }
    }

    fn wait_by<G: Waitable>(
        &self,
        guard: G,
        deadline: Option<Option<Deadline>>,
    ) -> Result<(G, bool), LockError<(G, bool)>> {
        let (list, peers) = (self.list(), &self.block);
        // Enrolled before the lock is released: a notification by the next owner finds this waiter.
        let at = list.enrol(peers);
        let lock = guard.release();
        let lock_again = || G::lock_again(lock);
        let (notified, locked) = match at {
            Some(at) => list.wait(peers, at, deadline.flatten(), lock_again),
            // The list is full: a wake-up without a notification, but not past the deadline.
            None => {
                let unwoken = AtomicU32::new(0);
                let slept = peers.sleep(&unwoken, 0, FIRST_BOUND, deadline.flatten());
                (slept != Slept::Deadline, lock_again())
            }
        };
        match locked {
            Ok(guard) => Ok((guard, notified)),
            Err(error) => Err(error.map(|guard| (guard, notified))),
        }
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

/// A guard that a [`Condvar`] can release for the time of a wait.
pub trait Waitable: Sized + sealed::Sealed {
    /// The type of the guarded value.
    type Value;
    /// The state that is needed to lock again.
    #[doc(hidden)]
    type Lock;
    #[doc(hidden)]
    fn value(&self) -> Self::Value;
    #[doc(hidden)]
    fn release(self) -> Self::Lock;
    #[doc(hidden)]
    fn lock_again(lock: Self::Lock) -> Result<Self, LockError<Self>>;
}

mod sealed {
    pub trait Sealed {}
}

impl<T: Plain> sealed::Sealed for Guard<'_, T> {}
impl<T: Plain> sealed::Sealed for ReentrantGuard<'_, T> {}

impl<'a, T: Plain> Waitable for Guard<'a, T> {
    type Value = T;
    type Lock = &'a Mutex<T>;

    fn value(&self) -> T {
        self.get()
    }

    fn release(self) -> Self::Lock {
        self.mutex()
    }

    fn lock_again(lock: Self::Lock) -> Result<Self, LockError<Self>> {
        lock.lock()
    }
}

/// All levels are let go of and taken again.
impl<'a, T: Plain> Waitable for ReentrantGuard<'a, T> {
    type Value = T;
    type Lock = (&'a ReentrantMutex<T>, u32);

    fn value(&self) -> T {
        self.get()
    }

    fn release(self) -> Self::Lock {
        self.release_all()
    }

    fn lock_again((mutex, count): Self::Lock) -> Result<Self, LockError<Self>> {
        mutex.lock_again(count)
    }
}

handle!([] Condvar, |this| &this.block, Self { block: this.block.clone(), waiters: this.waiters });
