//! What the features `deadlock` and `stats` see of the locks.
//!
//! A lock with guards has a [`Watch`] beside its raw lock and tells it three things: that this
//! thread [asks](Watch::asks), how that [ended](Asks::ended), and that it has
//! [released](Watch::released). Without the features a `Watch` and an [`Asks`] have no bytes, and
//! what is told is nothing: the code is the same instruction for instruction.
//!
//! The raw locks that any thread may release have no watch: they belong to nobody, so there is no
//! order in which a thread holds them.
//!
//! What is done here is no part of any algorithm: it uses `std` and `core` and not the facade, and
//! the models are made without it.

cfg_select! {
    any(feature = "deadlock", feature = "stats") => {
        mod on;
        use self::on as build;
    }
    _ => {
        mod off;
        use self::off as build;
    }
}

#[cfg(feature = "deadlock")]
pub(crate) use self::build::unwatched;
pub(crate) use self::build::{Asks, Waits, Watch};

/// What kind of lock a report of the features `deadlock` and `stats` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LockKind {
    /// A [`Mutex`](crate::Mutex).
    Mutex,
    /// A [`FairMutex`](crate::FairMutex).
    FairMutex,
    /// A [`ReentrantMutex`](crate::ReentrantMutex) or
    /// [`RawReentrantMutex`](crate::RawReentrantMutex).
    ReentrantMutex,
    /// An [`RwLock`](crate::RwLock).
    RwLock,
    /// A [`Once`](crate::Once), [`OnceLock`](crate::OnceLock) or [`LazyLock`](crate::LazyLock):
    /// held while its closure runs.
    Once,
    /// A [`Semaphore`](crate::Semaphore), [`BoundedSemaphore`](crate::BoundedSemaphore) or
    /// [`RawSemaphore`](crate::RawSemaphore).
    Semaphore,
}
