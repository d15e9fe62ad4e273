//! At least one of the features is on.

use core::panic::Location;

#[cfg(feature = "deadlock")]
use crate::diagnostics::deadlock::{self, Node, Report};
use crate::diagnostics::lock_kind::LockKind;
use crate::diagnostics::quiet::quietly;

/// What a lock reports to.
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

    /// This thread is about to wait for the lock for as long as it takes. `is_held` returns whether
    /// any thread holds it.
    ///
    /// # Panics
    ///
    /// If that can end in a deadlock and no hook is set.
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
    /// drop: so it does not panic.
    #[track_caller]
    pub(crate) fn attempt_again(&self) -> Attempt<'_> {
        let attempt = self.try_attempt();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::attempt(self.lock(), attempt.at, Report::Prints, || true));
        attempt
    }

    /// This thread holds the lock as upgradable reader and is about to wait until the other readers
    /// have left.
    #[track_caller]
    pub(crate) fn attempt_upgrade(&self) -> Attempt<'_> {
        let attempt = self.try_attempt();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::attempt_upgrade(self.lock(), attempt.at));
        attempt
    }

    /// This thread is about to try to get the lock, for a limited time or none: such an attempt
    /// deadlocks with no other thread.
    #[track_caller]
    pub(crate) fn try_attempt(&self) -> Attempt<'_> {
        Attempt { instrument: self, at: Location::caller(), waits: None }
    }

    /// This thread holds the lock and has taken it `levels` times more.
    pub(crate) fn deeper(&self, levels: u32) {
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::deeper(&self.node, levels));
        #[cfg(not(feature = "deadlock"))]
        let _ = levels;
    }

    /// This thread is about to release the lock once.
    pub(crate) fn released(&self) {
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::released(&self.node, 1));
    }

    /// This thread is about to release the lock as often as it holds it.
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
    /// Takes the lock by `fast` if that is possible; if not, the wait for it begins.
    pub(crate) fn at_once(&mut self, fast: impl FnOnce() -> bool) -> bool {
        let got = fast();
        if !got {
            self.waits();
        }
        got
    }

    /// The wait for the lock begins now.
    pub(crate) fn waits(&mut self) {
        let Self { instrument, at, .. } = *self;
        self.waits.get_or_insert_with(|| {
            Waits::begin_at(instrument.kind, core::ptr::from_ref(instrument).addr(), at)
        });
    }

    /// The thread has the lock, or has given up; returns `got`.
    pub(crate) fn ended(self, got: bool) -> bool {
        #[cfg(feature = "deadlock")]
        if got {
            quietly(|| deadlock::got(self.instrument.lock(), self.at));
        }
        self.has(got)
    }

    /// Like [`ended`](Self::ended), where the thread holds no more locks than before: it has what
    /// it waited for, or has given up; returns `got`.
    pub(crate) fn has(self, got: bool) -> bool {
        if let Some(waits) = self.waits {
            waits.ended(got);
        }
        got
    }
}

/// A wait for something that others have.
pub(crate) struct Waits {
    #[cfg(feature = "stats")]
    wait: crate::diagnostics::stats::Wait,
}

impl Waits {
    /// Begins now.
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

    /// Ends now: whether the thread got it.
    pub(crate) fn ended(self, got: bool) {
        #[cfg(feature = "stats")]
        quietly(|| self.wait.ended(got));
        #[cfg(not(feature = "stats"))]
        let _ = got;
    }
}
