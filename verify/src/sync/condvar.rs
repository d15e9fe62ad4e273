use super::mutex::MutexGuard;
use crate::engine::runtime::object::Word;
use std::panic::Location;
use std::sync::LockResult;
use std::time::Duration;

/// Replaces `std::sync::Condvar`.
///
/// `notify_one` may wake any of those that wait, a wait may end spuriously, and a notification
/// gives no happens-before: the mutex does.
#[derive(Debug)]
pub struct Condvar {
    queue: Word,
}

/// Whether a timed wait ended because the time had run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// Returns whether it did.
    pub fn timed_out(&self) -> bool {
        self.0
    }
}

impl Condvar {
    /// Creates a condition variable on which no thread waits.
    pub const fn new() -> Condvar {
        Condvar { queue: Word::new(0) }
    }

    fn sleep<T: ?Sized>(
        &self,
        guard: &MutexGuard<'_, T>,
        timed: bool,
        site: &'static Location<'static>,
    ) -> bool {
        let queue = self.queue.as_queue();
        let ticket = queue.enter(false, site);
        guard.lock.release(site);
        let woken = queue.sleep(ticket, timed, site);
        guard.lock.acquire(site);
        woken
    }

    /// Unlocks, sleeps until a notification (or spuriously), and locks again.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        self.sleep(&guard, false, Location::caller());
        result(guard)
    }

    /// Waits as long as `condition` holds.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut *guard) {
            guard = self.wait(guard)?;
        }
        Ok(guard)
    }

    /// As `wait`, and the time may run out.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        dur: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let site = Location::caller();
        let woken = self.sleep(&guard, true, site);
        if !woken {
            crate::time::ran_out(dur, site);
        }
        let timed_out = WaitTimeoutResult(!woken);
        match result(guard) {
            Ok(guard) => Ok((guard, timed_out)),
            Err(e) => Err(std::sync::PoisonError::new((e.into_inner(), timed_out))),
        }
    }

    /// Waits as long as `condition` holds and the time has not run out.
    ///
    /// # Errors
    /// When a thread panicked with the lock held.
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        dur: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let start = crate::time::Instant::now();
        loop {
            if !condition(&mut *guard) {
                return Ok((guard, WaitTimeoutResult(false)));
            }
            let Some(left) = dur.checked_sub(start.elapsed()).filter(|d| !d.is_zero()) else {
                return Ok((guard, WaitTimeoutResult(true)));
            };
            guard = self.wait_timeout(guard, left)?.0;
        }
    }

    /// Wakes one of those that wait.
    #[track_caller]
    pub fn notify_one(&self) {
        self.queue.as_queue().wake(1, Location::caller());
    }

    /// Wakes all that wait.
    #[track_caller]
    pub fn notify_all(&self) {
        self.queue.as_queue().wake(u64::from(u32::MAX), Location::caller());
    }
}

fn result<T: ?Sized>(guard: MutexGuard<'_, T>) -> LockResult<MutexGuard<'_, T>> {
    guard.lock.poisoned.result(guard)
}

impl Default for Condvar {
    fn default() -> Self {
        Condvar::new()
    }
}
