//! Somebody watches.

use core::cell::Cell;
use core::panic::Location;

#[cfg(feature = "deadlock")]
use crate::diagnostics::deadlock::{self, Node, Report};
use crate::diagnostics::lock_kind::LockKind;
use crate::diagnostics::quiet::quietly;

/// What a lock tells.
pub(crate) struct Watch {
    kind: LockKind,
    #[cfg(feature = "deadlock")]
    node: Node,
}

impl Watch {
    pub(crate) const fn new(kind: LockKind) -> Self {
        Self {
            kind,
            #[cfg(feature = "deadlock")]
            node: Node::new(),
        }
    }

    /// This thread is about to wait for the lock for as long as it takes. `is_held` says whether
    /// anybody holds it.
    ///
    /// # Panics
    ///
    /// If that can end in a deadlock and no hook is set.
    #[track_caller]
    pub(crate) fn asks(&self, is_held: impl FnOnce() -> bool) -> Asks<'_> {
        let asks = self.tries();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::asks(self.lock(), asks.at, Report::MayPanic, is_held));
        #[cfg(not(feature = "deadlock"))]
        let _ = is_held;
        asks
    }

    /// As [`asks`](Self::asks), on behalf of a guard that is there and would be dropped by a panic:
    /// so there is none.
    #[track_caller]
    pub(crate) fn asks_again(&self) -> Asks<'_> {
        let asks = self.tries();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::asks(self.lock(), asks.at, Report::Prints, || true));
        asks
    }

    /// This thread holds the lock as upgradable reader and is about to wait until the others have
    /// left.
    #[track_caller]
    pub(crate) fn asks_more(&self) -> Asks<'_> {
        let asks = self.tries();
        #[cfg(feature = "deadlock")]
        quietly(|| deadlock::asks_more(self.lock(), asks.at));
        asks
    }

    /// This thread is about to try to get the lock, for a limited time or none: that deadlocks with
    /// nobody.
    #[track_caller]
    pub(crate) fn tries(&self) -> Asks<'_> {
        Asks { watch: self, at: Location::caller(), waits: None }
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
pub(crate) struct Asks<'a> {
    watch: &'a Watch,
    at: &'static Location<'static>,
    waits: Option<Waits>,
}

impl Asks<'_> {
    /// Takes the lock by `fast` if that is possible; if not, it has to be waited for from now on.
    pub(crate) fn at_once(&mut self, fast: impl FnOnce() -> bool) -> bool {
        let got = fast();
        if !got {
            self.waits();
        }
        got
    }

    /// The lock has to be waited for from now on.
    pub(crate) fn waits(&mut self) {
        let Self { watch, at, .. } = *self;
        self.waits.get_or_insert_with(|| {
            Waits::begin_at(watch.kind, core::ptr::from_ref(watch).addr(), at)
        });
    }

    /// The thread has got the lock, or given up; returns which.
    pub(crate) fn ended(self, got: bool) -> bool {
        #[cfg(feature = "deadlock")]
        if got {
            quietly(|| deadlock::got(self.watch.lock(), self.at));
        }
        self.has(got)
    }

    /// The same where the thread holds no more than before: it has got what it waited for, or given
    /// up; returns which.
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
    asked: crate::diagnostics::stats::Asked,
}

impl Waits {
    /// Begins now.
    #[track_caller]
    pub(crate) fn begin(kind: LockKind, address: usize) -> Self {
        Self::begin_at(kind, address, Location::caller())
    }

    #[cfg(feature = "stats")]
    fn begin_at(kind: LockKind, address: usize, at: &'static Location<'static>) -> Self {
        Self { asked: crate::diagnostics::stats::Asked::new(kind, address, at) }
    }

    #[cfg(not(feature = "stats"))]
    fn begin_at(_: LockKind, _: usize, _: &'static Location<'static>) -> Self {
        Self {}
    }

    /// Ends now: whether the thread got it.
    pub(crate) fn ended(self, got: bool) {
        #[cfg(feature = "stats")]
        quietly(|| self.asked.answered(got));
        #[cfg(not(feature = "stats"))]
        let _ = got;
    }
}
