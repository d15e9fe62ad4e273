//! A raw lock and its [`Instrument`]. Every lock with guards holds one, so each way to take or
//! release a lock is written once, with its reports.
//!
//! Without the features `deadlock` and `stats` this is the raw lock and nothing else.
//! `#[track_caller]` costs an argument where a call is not inlined, so the methods that need it
//! only for the instrument have it only with these features.
//!
//! A method that takes a lock again for a guard that lives must not unwind: the guard would be
//! dropped over a lock that another thread holds. So every such method has an [`AbortOnUnwind`].

use core::time::Duration;
use std::time::Instant;

use crate::diagnostics::instrument::Instrument;
use crate::diagnostics::lock_kind::LockKind;
use crate::lock::raw_lock::RawLock;
use crate::lock::raw_mutex::NotLocked;
use crate::lock::raw_rwlock::RawRwLock;
use crate::primitive::const_new;
use crate::primitive::futex::Deadline;
use crate::user_code::AbortOnUnwind;

/// The message that is written before the process aborts.
pub(crate) const RELOCK: &str = "a panic while a lock was taken again for a guard that lives";

/// A raw lock whose holders are threads.
pub(crate) struct Instrumented<R: ?Sized> {
    instrument: Instrument,
    lock: R,
}

/// The lock that the guards of an [`RwLock`](crate::RwLock) release.
pub(crate) type InstrumentedRwLock = Instrumented<RawRwLock>;

impl<R> Instrumented<R> {
    const_new! {
        pub(crate) const fn new(lock: R, kind: LockKind) -> Self {
            Self { instrument: Instrument::new(kind), lock }
        }
    }

    /// Returns the lock without the instrument.
    #[inline(always)]
    pub(crate) fn raw(&self) -> &R {
        &self.lock
    }

    /// Records that the calling thread does not hold the lock any more, however that came about.
    #[inline(always)]
    pub(crate) fn forget_holder(&self) {
        self.instrument.released_all();
    }
}

impl<R: RawLock> Instrumented<R> {
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn lock(&self) {
        let mut attempt = self.instrument.attempt(|| self.lock.is_locked());
        let _ = attempt.at_once(|| self.lock.acquire_at_once()) || self.lock.acquire(None);
        attempt.ended(true);
    }

    /// Like [`lock`](Self::lock), on behalf of a guard that lives. Does not unwind.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn lock_again(&self) {
        let abort = AbortOnUnwind::new(RELOCK);
        let mut attempt = self.instrument.attempt_again();
        let _ = attempt.at_once(|| self.lock.acquire_at_once()) || self.lock.acquire(None);
        attempt.ended(true);
        abort.disarm();
    }

    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock(&self) -> bool {
        self.instrument.try_attempt().ended(self.lock.try_acquire())
    }

    // The clock is read only after an attempt has failed.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock_for(&self, timeout: Duration) -> bool {
        let mut attempt = self.instrument.try_attempt();
        let got = attempt.at_once(|| self.lock.acquire_at_once())
            || self.lock.try_acquire()
            || self.lock.acquire(Deadline::after(timeout));
        attempt.ended(got)
    }

    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock_until(&self, deadline: Instant) -> bool {
        let mut attempt = self.instrument.try_attempt();
        let got = attempt.at_once(|| self.lock.acquire_at_once())
            || self.lock.try_acquire()
            || self.lock.acquire(Deadline::at(deadline));
        attempt.ended(got)
    }

    /// Takes the lock with `wait` if it is not free. Returns what `wait` returns.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn lock_by(&self, wait: impl FnOnce(&R) -> bool) -> bool {
        let mut attempt = self.instrument.try_attempt();
        let got = attempt.at_once(|| self.lock.acquire_at_once())
            || self.lock.try_acquire()
            || wait(&self.lock);
        attempt.ended(got)
    }

    /// # Safety
    ///
    /// Like [`RawLock::release`].
    #[inline]
    pub(crate) unsafe fn release(&self) {
        self.instrument.released();
        // SAFETY: passed on to the caller.
        unsafe { self.lock.release() }
    }

    /// # Safety
    ///
    /// Like [`RawLock::release`].
    #[inline]
    pub(crate) unsafe fn release_fair(&self) {
        self.instrument.released();
        // SAFETY: passed on to the caller.
        unsafe { self.lock.release_fair() }
    }

    /// Runs `f`, which releases the lock for others and takes it again. Does not unwind.
    ///
    /// # Safety
    ///
    /// The caller holds the lock, and the guard that represents the hold is not used meanwhile.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) unsafe fn let_others_in<T>(&self, f: impl FnOnce(&R) -> T) -> T {
        let abort = AbortOnUnwind::new(RELOCK);
        self.instrument.released();
        let attempt = self.instrument.attempt_again();
        let result = f(&self.lock);
        attempt.ended(true);
        abort.disarm();
        result
    }
}

/// Unwraps the result of an unlock by a guard; a guard proves that the lock is held.
#[inline]
pub(crate) fn expect_held<T>(result: Result<T, NotLocked>) {
    debug_assert!(result.is_ok(), "a guard over a lock that is not held in its mode");
}

/// Writes the methods that take and release a readers-writer lock in one mode.
macro_rules! mode {
    (
        $take:ident, $take_again:ident, $take_by:ident, $try:ident, $try_for:ident,
        $try_until:ident, $at_once:ident
    ) => {
        /// Takes the lock with `wait` if it cannot be taken at once. Returns what `wait` returns.
        #[track_caller]
        pub(crate) fn $take_by(&self, wait: impl FnOnce(&RawRwLock) -> bool) -> bool {
            let mut attempt = self.instrument.try_attempt();
            let got =
                attempt.at_once(|| self.lock.$at_once()) || self.lock.$try() || wait(&self.lock);
            attempt.ended(got)
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $take(&self) {
            let mut attempt = self.instrument.attempt(|| self.lock.is_locked());
            if !attempt.at_once(|| self.lock.$at_once()) {
                self.lock.$take();
            }
            attempt.ended(true);
        }

        /// Takes the lock again on behalf of a guard that lives. Does not unwind: 2^25 readers
        /// abort the process here.
        #[inline]
        #[track_caller]
        pub(crate) fn $take_again(&self) {
            let abort = AbortOnUnwind::new(RELOCK);
            let mut attempt = self.instrument.attempt_again();
            if !attempt.at_once(|| self.lock.$at_once()) {
                self.lock.$take();
            }
            attempt.ended(true);
            abort.disarm();
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try(&self) -> bool {
            self.instrument.try_attempt().ended(self.lock.$try())
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try_for(&self, timeout: Duration) -> bool {
            let mut attempt = self.instrument.try_attempt();
            let got = attempt.at_once(|| self.lock.$at_once()) || self.lock.$try_for(timeout);
            attempt.ended(got)
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try_until(&self, deadline: Instant) -> bool {
            let mut attempt = self.instrument.try_attempt();
            let got = attempt.at_once(|| self.lock.$at_once()) || self.lock.$try_until(deadline);
            attempt.ended(got)
        }
    };
}

impl InstrumentedRwLock {
    mode!(
        read,
        read_again,
        read_or_cancelled,
        try_read,
        try_read_for,
        try_read_until,
        read_at_once
    );
    mode!(
        write,
        write_again,
        write_or_cancelled,
        try_write,
        try_write_for,
        try_write_until,
        write_at_once
    );
    mode!(
        upgradable_read,
        upgradable_read_again,
        upgradable_read_or_cancelled,
        try_upgradable_read,
        try_upgradable_read_for,
        try_upgradable_read_until,
        upgradable_at_once
    );

    /// # Safety
    ///
    /// The calling thread holds the lock for reading, and no guard that lives represents that hold.
    #[inline]
    pub(crate) unsafe fn release_read(&self) {
        self.instrument.released();
        // SAFETY: passed on to the caller.
        expect_held(unsafe { self.lock.unlock_reader() });
    }

    /// # Safety
    ///
    /// Like [`release_read`](Self::release_read), for writing.
    #[inline]
    pub(crate) unsafe fn release_write(&self) {
        self.instrument.released();
        expect_held(self.lock.unlock_write());
    }

    /// # Safety
    ///
    /// Like [`release_read`](Self::release_read), as upgradable reader.
    #[inline]
    pub(crate) unsafe fn release_upgradable(&self) {
        self.instrument.released();
        expect_held(self.lock.unlock_upgradable());
    }

    /// Takes the lock for reading, at once if a thread reads already.
    #[track_caller]
    pub(crate) fn read_recursive(&self) {
        if !self.read_beside_readers() {
            self.read();
        }
    }

    /// Takes the lock for reading if a thread reads already. It waits for no thread, so it is no
    /// attempt that can deadlock.
    #[track_caller]
    pub(crate) fn read_beside_readers(&self) -> bool {
        self.instrument.try_attempt().ended(self.lock.read_beside_readers())
    }

    /// Releases the lock by `unlock`.
    ///
    /// # Safety
    ///
    /// The calling thread holds the lock in the mode that `unlock` releases, and no guard that
    /// lives represents that hold.
    pub(crate) unsafe fn release_by(
        &self,
        unlock: impl FnOnce(&RawRwLock) -> Result<(), NotLocked>,
    ) {
        self.instrument.released();
        expect_held(unlock(&self.lock));
    }

    /// Runs `bump`, which lets others in and takes the lock again. Does not unwind.
    ///
    /// # Safety
    ///
    /// The caller holds the lock in the mode of `bump`, and the guard that represents the hold is
    /// not used meanwhile.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) unsafe fn pause(&self, bump: impl FnOnce(&RawRwLock) -> Result<(), NotLocked>) {
        let abort = AbortOnUnwind::new(RELOCK);
        self.instrument.released();
        let attempt = self.instrument.attempt_again();
        expect_held(bump(&self.lock));
        attempt.ended(true);
        abort.disarm();
    }

    /// Turns the writer into the upgradable reader, on behalf of a guard that lives.
    pub(crate) fn weaken_to_upgradable(&self) {
        expect_held(self.lock.downgrade_to_upgradable());
    }

    /// Turns the upgradable reader into the writer. A panic (of the deadlock report) comes before
    /// any change.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn upgrade(&self) {
        let mut attempt = self.instrument.attempt_upgrade();
        // From here on the mode and the caller's guard may differ.
        let abort = AbortOnUnwind::new(RELOCK);
        if !attempt.at_once(|| self.lock.try_upgrade() == Ok(true)) {
            expect_held(self.lock.upgrade());
        }
        attempt.has(true);
        abort.disarm();
    }

    /// Turns the upgradable reader into the writer, with `wait` if there are other readers. Returns
    /// what `wait` returns, which does not unwind.
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn upgrade_by(&self, wait: impl FnOnce(&RawRwLock) -> bool) -> bool {
        let abort = AbortOnUnwind::new(RELOCK);
        let mut attempt = self.instrument.try_attempt();
        let got = attempt.at_once(|| self.try_upgrade()) || wait(&self.lock);
        attempt.has(got);
        abort.disarm();
        got
    }

    pub(crate) fn try_upgrade(&self) -> bool {
        upgraded(self.lock.try_upgrade())
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_upgrade_for(&self, timeout: Duration) -> bool {
        let abort = AbortOnUnwind::new(RELOCK);
        let mut attempt = self.instrument.try_attempt();
        let got =
            attempt.at_once(|| self.try_upgrade()) || upgraded(self.lock.try_upgrade_for(timeout));
        attempt.has(got);
        abort.disarm();
        got
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_upgrade_until(&self, deadline: Instant) -> bool {
        let abort = AbortOnUnwind::new(RELOCK);
        let mut attempt = self.instrument.try_attempt();
        let got = attempt.at_once(|| self.try_upgrade())
            || upgraded(self.lock.try_upgrade_until(deadline));
        attempt.has(got);
        abort.disarm();
        got
    }
}

fn upgraded(result: Result<bool, NotLocked>) -> bool {
    expect_held(result);
    result == Ok(true)
}
