//! The instrument while at least one of the features is on.

use core::panic::Location;

#[cfg(feature = "deadlock")]
use crate::diagnostics::deadlock::{self, Node, Report};
use crate::diagnostics::lock_kind::LockKind;
use crate::diagnostics::quiet::quietly;

/// The receiver of a lock's reports.
pub(crate) struct Instrument {
    kind: LockKind,
    #[cfg(feature = "deadlock")]
    node: Node,
}

impl Instrument {
    pub(crate) const fn new(kind: LockKind) -> Self {
        Self {
            kind,
            #[cfg(feature = "deadlock")]
            node: Node::new(),
        }
    }

    /// Reports that this thread is about to wait for the lock without a time limit. `is_held`
    /// returns whether any thread holds it.
    ///
    /// # Panics
    ///
    /// If the wait can end in a deadlock and no hook is set.
    #[track_caller]
    pub(crate) fn attempt(&self, is_held: impl FnOnce() -> bool) -> Attempt<'_> {
        let attempt = self.try_attempt();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::attempt(self.lock(), attempt.at, Report::MayPanic, is_held));
        #[cfg(not(feature = "deadlock"))]
        let _ = is_held;
        attempt
    }

    /// Like [`attempt`](Self::attempt), on behalf of a guard that exists and that a panic would
    /// drop. So it does not panic.
    #[track_caller]
    pub(crate) fn attempt_again(&self) -> Attempt<'_> {
        let attempt = self.try_attempt();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::attempt(self.lock(), attempt.at, Report::Prints, || true));
        attempt
    }

    /// Reports that this thread holds the lock as upgradable reader and is about to wait until the
    /// other readers have left.
    #[track_caller]
    pub(crate) fn attempt_upgrade(&self) -> Attempt<'_> {
        let attempt = self.try_attempt();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::attempt_upgrade(self.lock(), attempt.at));
        attempt
    }

    /// Reports that this thread is about to try to get the lock, for a limited time or none: such
    /// an attempt deadlocks with no other thread.
    #[track_caller]
    pub(crate) fn try_attempt(&self) -> Attempt<'_> {
        Attempt { instrument: self, at: Location::caller(), waits: None }
    }

    /// Reports that this thread, which holds the lock, has taken it `levels` times more.
    pub(crate) fn deeper(&self, levels: u32) {
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::deeper(&self.node, levels));
        #[cfg(not(feature = "deadlock"))]
        let _ = levels;
    }

    /// Reports that this thread is about to release the lock once.
    pub(crate) fn released(&self) {
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::released(&self.node, 1));
    }

    /// Reports that this thread is about to release all its holds of the lock.
    pub(crate) fn released_all(&self) {
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::released(&self.node, u32::MAX));
    }

    #[cfg(feature = "deadlock")]
    fn lock(&self) -> deadlock::Lock {
        self.node.lock(self.kind)
    }
}

/// An acquisition that has begun.
pub(crate) struct Attempt<'a> {
    instrument: &'a Instrument,
    at: &'static Location<'static>,
    waits: Option<Waits>,
}

impl Attempt<'_> {
    /// Takes the lock with `fast` if that is possible; if not, starts the wait for it.
    pub(crate) fn at_once(&mut self, fast: impl FnOnce() -> bool) -> bool {
        let got = fast();
        if !got {
            self.waits();
        }
        got
    }

    /// Starts the wait for the lock.
    pub(crate) fn waits(&mut self) {
        let Self { instrument, at, .. } = *self;
        self.waits.get_or_insert_with(|| {
            Waits::begin_at(instrument.kind, core::ptr::from_ref(instrument).addr(), at)
        });
    }

    /// Reports that the thread has the lock, or has given up. Returns `got`.
    pub(crate) fn ended(self, got: bool) -> bool {
        #[cfg(feature = "deadlock")]
        if got {
            quietly(|| deadlock::got(self.instrument.lock(), self.at));
        }
        self.has(got)
    }

    /// Like [`ended`](Self::ended), where the thread holds no more locks than before: it has the
    /// resource that it waited for, or has given up. Returns `got`.
    pub(crate) fn has(self, got: bool) -> bool {
        if let Some(waits) = self.waits {
            waits.ended(got);
        }
        got
    }
}

/// A wait for a resource that other threads have.
pub(crate) struct Waits {
    #[cfg(feature = "stats")]
    wait: crate::diagnostics::stats::Wait,
}

impl Waits {
    /// Starts the wait.
    #[track_caller]
    pub(crate) fn begin(kind: LockKind, address: usize) -> Self {
        Self::begin_at(kind, address, Location::caller())
    }

    #[cfg(feature = "stats")]
    fn begin_at(kind: LockKind, address: usize, at: &'static Location<'static>) -> Self {
        Self { wait: crate::diagnostics::stats::Wait::new(kind, address, at) }
    }

    #[cfg(not(feature = "stats"))]
    fn begin_at(_: LockKind, _: usize, _: &'static Location<'static>) -> Self {
        Self {}
    }

    /// Ends the wait. `got` is whether the thread got the resource.
    pub(crate) fn ended(self, got: bool) {
        #[cfg(feature = "stats")]
        quietly(|| self.wait.ended(got));
        #[cfg(not(feature = "stats"))]
        let _ = got;
    }
}
