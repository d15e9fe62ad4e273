//! The instrument while both features are off: types without bytes, and functions without code.

use core::marker::PhantomData;

use crate::diagnostics::lock_kind::LockKind;

/// The receiver of a lock's reports.
pub(crate) struct Instrument(());

impl Instrument {
    #[inline(always)]
    pub(crate) const fn new(_: LockKind) -> Self {
        Self(())
    }

    #[inline(always)]
    pub(crate) fn attempt(&self, _: impl FnOnce() -> bool) -> Attempt<'_> {
        Attempt(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn attempt_again(&self) -> Attempt<'_> {
        Attempt(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn attempt_upgrade(&self) -> Attempt<'_> {
        Attempt(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn try_attempt(&self) -> Attempt<'_> {
        Attempt(PhantomData)
    }

    #[inline(always)]
    pub(crate) fn deeper(&self, _: u32) {}

    #[inline(always)]
    pub(crate) fn released(&self) {}

    #[inline(always)]
    pub(crate) fn released_all(&self) {}
}

/// An acquisition that has begun.
pub(crate) struct Attempt<'a>(PhantomData<&'a Instrument>);

impl Attempt<'_> {
    /// Returns `false` without a call: there is one fast path, and it is the lock's own.
    #[inline(always)]
    pub(crate) fn at_once(&mut self, _: impl FnOnce() -> bool) -> bool {
        false
    }

    #[inline(always)]
    pub(crate) fn waits(&mut self) {}

    #[inline(always)]
    pub(crate) fn ended(self, got: bool) -> bool {
        got
    }

    #[inline(always)]
    pub(crate) fn has(self, got: bool) -> bool {
        got
    }
}

/// A wait for a resource that other threads have.
pub(crate) struct Waits(());

impl Waits {
    #[inline(always)]
    pub(crate) fn begin(_: LockKind, _: usize) -> Self {
        Self(())
    }

    #[inline(always)]
    pub(crate) fn ended(self, _: bool) {}
}

const _: () = assert!(
    size_of::<Instrument>() == 0 && size_of::<Attempt<'_>>() == 0 && size_of::<Waits>() == 0
);
