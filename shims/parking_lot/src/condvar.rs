//! A condition variable for the guards of `lock_api` 0.4.

use std::time::{Duration, Instant};

use lock_api_next::{GuardSend, RawCondvar, RawCondvarTimed};

use crate::MutexGuard;

/// The result of a timed wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Returns whether the time was up.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

/// A condition variable.
#[derive(Debug, Default)]
pub struct Condvar(sync_core::Condvar);

impl Condvar {
    /// Creates a condition variable.
    pub const fn new() -> Self {
        Self(sync_core::Condvar::new())
    }

    /// Wakes a waiter, and returns whether there was one, as a hint.
    pub fn notify_one(&self) -> bool {
        self.0.notify_one()
    }

    /// Wakes all waiters, and returns their number, as a hint.
    pub fn notify_all(&self) -> usize {
        self.0.notify_all()
    }

    /// Releases the mutex, waits for a notification, and takes the mutex again.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.wait_by(guard, None);
    }

    /// As [`wait`](Self::wait), until `deadline` at most.
    pub fn wait_until<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult(self.wait_by(guard, Some(deadline)))
    }

    /// As [`wait`](Self::wait), for at most `timeout`.
    pub fn wait_for<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        WaitTimeoutResult(self.wait_by(guard, Instant::now().checked_add(timeout)))
    }

    /// Waits as long as `condition` returns `true`.
    pub fn wait_while<T: ?Sized, F>(&self, guard: &mut MutexGuard<'_, T>, condition: F)
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_while_by(guard, condition, None);
    }

    /// As [`wait_while`](Self::wait_while), until `deadline` at most.
    pub fn wait_while_until<T: ?Sized, F>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: F,
        deadline: Instant,
    ) -> WaitTimeoutResult
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_while_by(guard, condition, Some(deadline))
    }

    /// As [`wait_while`](Self::wait_while), for at most `timeout` in all.
    pub fn wait_while_for<T: ?Sized, F>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: F,
        timeout: Duration,
    ) -> WaitTimeoutResult
    where
        F: FnMut(&mut T) -> bool,
    {
        self.wait_while_by(guard, condition, Instant::now().checked_add(timeout))
    }

    fn wait_while_by<T: ?Sized>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        mut condition: impl FnMut(&mut T) -> bool,
        deadline: Option<Instant>,
    ) -> WaitTimeoutResult {
        let mut timed_out = false;
        while condition(&mut **guard) {
            if timed_out {
                return WaitTimeoutResult(true);
            }
            timed_out = self.wait_by(guard, deadline);
        }
        WaitTimeoutResult(false)
    }

    /// Waits for a notification; returns whether the time was up first.
    fn wait_by<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, deadline: Option<Instant>) -> bool {
        // SAFETY: the wait gives the lock back in the state in which it was.
        let mutex = unsafe { &MutexGuard::mutex(guard).raw().0 };
        let mut hold = GuardSend::new();
        match deadline {
            None => {
                // SAFETY: the guard holds the mutex, and is borrowed until the wait is over.
                unsafe { RawCondvar::wait(&self.0, mutex, &mut hold) };
                false
            }
            Some(at) => {
                // SAFETY: the guard holds the mutex, and is borrowed until the wait is over.
                unsafe { RawCondvarTimed::wait_until(&self.0, mutex, &mut hold, &at) }
            }
        }
    }
}
