//! A raw lock and its [`Watch`]: what the locks with guards hold, so that each way to take or
//! release one is written once, watched.
//!
//! Without the features `deadlock` and `stats` this is the raw lock and nothing else.
//! `#[track_caller]` costs an argument where a call is not inlined, so those methods that need it
//! for the watch only have it only then.

use core::time::Duration;
use std::time::Instant;

use crate::diagnostics::instrument::Watch;
use crate::diagnostics::lock_kind::LockKind;
use crate::lock::raw_lock::RawLock;
use crate::lock::raw_mutex::NotLocked;
use crate::lock::raw_rwlock::RawRwLock;
use crate::primitive::const_new;
use crate::primitive::futex::Deadline;

/// A raw lock whose holders are threads.
pub(crate) struct Watched<R: ?Sized> {
    watch: Watch,
    lock: R,
}

/// What the guards of an [`RwLock`](crate::RwLock) hold.
pub(crate) type WatchedRwLock = Watched<RawRwLock>;

impl<R> Watched<R> {
    const_new! {
        pub(crate) const fn new(lock: R, kind: LockKind) -> Self {
            Self { watch: Watch::new(kind), lock }
        }
    }

    /// The lock itself, without anybody watching.
    #[inline(always)]
    pub(crate) fn unwatched(&self) -> &R {
        &self.lock
    }

    /// The calling thread holds it no more, whatever happened.
    #[inline(always)]
    pub(crate) fn forget_holder(&self) {
        self.watch.released_all();
    }
}

impl<R: RawLock> Watched<R> {
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn lock(&self) {
        let mut asks = self.watch.asks(|| self.lock.is_locked());
        let _ = asks.at_once(|| self.lock.acquire_at_once()) || self.lock.acquire(None);
        asks.ended(true);
    }

    /// As [`lock`](Self::lock), on behalf of a guard that is there.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn lock_again(&self) {
        let mut asks = self.watch.asks_again();
        let _ = asks.at_once(|| self.lock.acquire_at_once()) || self.lock.acquire(None);
        asks.ended(true);
    }

    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock(&self) -> bool {
        self.watch.tries().ended(self.lock.try_acquire())
    }

    // The clock is read only once the lock turned out not to be free.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock_for(&self, timeout: Duration) -> bool {
        let mut asks = self.watch.tries();
        let got = asks.at_once(|| self.lock.acquire_at_once())
            || self.lock.try_acquire()
            || self.lock.acquire(Deadline::after(timeout));
        asks.ended(got)
    }

    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_lock_until(&self, deadline: Instant) -> bool {
        let mut asks = self.watch.tries();
        let got = asks.at_once(|| self.lock.acquire_at_once())
            || self.lock.try_acquire()
            || self.lock.acquire(Deadline::at(deadline));
        asks.ended(got)
    }

    #[inline]
    pub(crate) fn release(&self) {
        self.watch.released();
        self.lock.release();
    }

    #[inline]
    pub(crate) fn release_fair(&self) {
        self.watch.released();
        self.lock.release_fair();
    }

    /// Runs `f`, which releases the lock for others and takes it again.
    #[inline]
    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn let_others_in<T>(&self, f: impl FnOnce(&R) -> T) -> T {
        self.watch.released();
        let asks = self.watch.asks_again();
        let result = f(&self.lock);
        asks.ended(true);
        result
    }
}

/// What a guard is proof of.
#[inline]
pub(crate) fn was_held<T>(result: Result<T, NotLocked>) {
    debug_assert!(result.is_ok(), "a guard over a lock that is not held in its mode");
}

/// The ways to take and release a readers-writer lock in one mode.
macro_rules! mode {
    ($take:ident, $take_again:ident, $try:ident, $try_for:ident, $try_until:ident, $at_once:ident, $unlock:ident, $release:ident) => {
        #[inline]
        #[track_caller]
        pub(crate) fn $take(&self) {
            let mut asks = self.watch.asks(|| self.lock.is_locked());
            if !asks.at_once(|| self.lock.$at_once()) {
                self.lock.$take();
            }
            asks.ended(true);
        }

        /// On behalf of a guard that is there.
        #[inline]
        #[track_caller]
        pub(crate) fn $take_again(&self) {
            let mut asks = self.watch.asks_again();
            if !asks.at_once(|| self.lock.$at_once()) {
                self.lock.$take();
            }
            asks.ended(true);
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try(&self) -> bool {
            self.watch.tries().ended(self.lock.$try())
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try_for(&self, timeout: Duration) -> bool {
            let mut asks = self.watch.tries();
            let got = asks.at_once(|| self.lock.$at_once()) || self.lock.$try_for(timeout);
            asks.ended(got)
        }

        #[inline]
        #[track_caller]
        pub(crate) fn $try_until(&self, deadline: Instant) -> bool {
            let mut asks = self.watch.tries();
            let got = asks.at_once(|| self.lock.$at_once()) || self.lock.$try_until(deadline);
            asks.ended(got)
        }

        #[inline]
        pub(crate) fn $release(&self) {
            self.watch.released();
            was_held(self.lock.$unlock());
        }
    };
}

impl WatchedRwLock {
    mode!(
        read,
        read_again,
        try_read,
        try_read_for,
        try_read_until,
        read_at_once,
        unlock_reader,
        release_read
    );
    mode!(
        write,
        write_again,
        try_write,
        try_write_for,
        try_write_until,
        write_at_once,
        unlock_write,
        release_write
    );
    mode!(
        upgradable_read,
        upgradable_read_again,
        try_upgradable_read,
        try_upgradable_read_for,
        try_upgradable_read_until,
        upgradable_at_once,
        unlock_upgradable,
        release_upgradable
    );

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn upgrade(&self) {
        let mut asks = self.watch.asks_more();
        if !asks.at_once(|| self.lock.try_upgrade() == Ok(true)) {
            was_held(self.lock.upgrade());
        }
        asks.has(true);
    }

    pub(crate) fn try_upgrade(&self) -> bool {
        upgraded(self.lock.try_upgrade())
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_upgrade_for(&self, timeout: Duration) -> bool {
        let mut asks = self.watch.tries();
        let got =
            asks.at_once(|| self.try_upgrade()) || upgraded(self.lock.try_upgrade_for(timeout));
        asks.has(got)
    }

    #[cfg_attr(any(feature = "deadlock", feature = "stats"), track_caller)]
    pub(crate) fn try_upgrade_until(&self, deadline: Instant) -> bool {
        let mut asks = self.watch.tries();
        let got =
            asks.at_once(|| self.try_upgrade()) || upgraded(self.lock.try_upgrade_until(deadline));
        asks.has(got)
    }
}

fn upgraded(result: Result<bool, NotLocked>) -> bool {
    was_held(result);
    result == Ok(true)
}
