//! The kinds of locks that the features `deadlock` and `stats` report about.

/// The kind of the lock in a report of the features `deadlock` and `stats`.
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

impl LockKind {
    /// Returns the name of the kind: that of the variant.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mutex => "Mutex",
            Self::FairMutex => "FairMutex",
            Self::ReentrantMutex => "ReentrantMutex",
            Self::RwLock => "RwLock",
            Self::Once => "Once",
            Self::Semaphore => "Semaphore",
        }
    }
}
