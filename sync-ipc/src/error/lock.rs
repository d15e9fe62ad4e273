//! The error of locks and permits.

use core::fmt;

use crate::raw::mutex::Refused;

/// Why a lock was not acquired, or not from an owner that released it.
///
/// With `?`, it becomes a [`sync_ipc::Error`](crate::Error), which borrows nothing, also in a
/// function that returns `Box<dyn Error>`; for any other error, use
/// `map_err(sync_ipc::Error::from)` before it. (With a guard, it is no `std::error::Error` itself:
/// it borrows.)
///
/// If there was a guard, its lock is left as it was: the next owner gets
/// [`OwnerDied`](Self::OwnerDied) again. (A guard that is *dropped* without `mark_consistent` makes
/// the lock [`NotRecoverable`](Self::NotRecoverable); so is a [`ReentrantMutex`] that the thread
/// holds at further levels, when the last of them is dropped.)
///
/// [`ReentrantMutex`]: crate::ReentrantMutex
///
/// ```
/// fn add(total: &sync_ipc::Mutex<u64>, more: u64) -> sync_ipc::Result<u64> {
///     let mut guard = total.lock()?;
///     guard.update(|sum| *sum += more);
///     Ok(guard.get())
/// }
/// # let segment = sync_ipc::Segment::anonymous(4096)?;
/// # assert_eq!(add(&sync_ipc::Mutex::create(&segment, "total", 1)?, 2)?, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError<G> {
    /// The lock was acquired from an owner that died: the guarded value may be half written. Repair
    /// it and call `mark_consistent`.
    OwnerDied(G),
    /// An owner died, and a later owner could not repair the guarded value.
    NotRecoverable,
    /// A living process held it until the deadline, or at the moment of a `try_lock`.
    TimedOut,
    /// This process is a fork of a participant and could not become one itself.
    NotAttached,
    /// This thread holds a reentrant lock as often as can be counted.
    TooManyLevels,
}

impl<G> LockError<G> {
    /// The guard, if there is one.
    pub fn into_guard(self) -> Option<G> {
        match self {
            Self::OwnerDied(guard) => Some(guard),
            _ => None,
        }
    }

    /// Whether the time was up.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// Returns the error without its guard, whose lock is left as it was acquired: after
    /// [`OwnerDied`](Self::OwnerDied), the next owner gets `OwnerDied` again.
    pub(crate) fn without_guard(self) -> LockError<()>
    where
        G: Unrepaired,
    {
        self.map(Unrepaired::abandon)
    }

    pub(crate) fn map<H>(self, convert: impl FnOnce(G) -> H) -> LockError<H> {
        match self {
            Self::OwnerDied(guard) => LockError::OwnerDied(convert(guard)),
            Self::NotRecoverable => LockError::NotRecoverable,
            Self::TimedOut => LockError::TimedOut,
            Self::NotAttached => LockError::NotAttached,
            Self::TooManyLevels => LockError::TooManyLevels,
        }
    }
}

/// The guards that a [`LockError`] may have. Sealed: it is not exported.
pub trait Unrepaired {
    /// Releases the lock as it was acquired.
    fn abandon(self);
}

impl Unrepaired for () {
    fn abandon(self) {}
}

/// A guard with the answer of a timed wait.
impl<G: Unrepaired> Unrepaired for (G, bool) {
    fn abandon(self) {
        self.0.abandon();
    }
}

impl<G> From<Refused> for LockError<G> {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TimedOut => Self::TimedOut,
            Refused::NotRecoverable => Self::NotRecoverable,
            Refused::NotAttached => Self::NotAttached,
        }
    }
}

impl<G> fmt::Display for LockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OwnerDied(_) => "the lock's owner died, its value may be half written",
            Self::NotRecoverable => "the lock's owner died and its value was not repaired",
            Self::TimedOut => "another thread or process holds the lock",
            Self::NotAttached => {
                "this forked process could not become a participant of the segment"
            }
            Self::TooManyLevels => "the lock is held as often as can be counted",
        })
    }
}

// Not with a guard, which is borrowed: `?` in a function that returns `Box<dyn Error>` would keep
// the guard, and so borrow from the function's own locks.
impl std::error::Error for LockError<()> {}

/// Makes a `Box<dyn Error>` of an error with a guard, as of a [`crate::Error`].
macro_rules! boxed {
    ($guard:ident, $($bound:ident)?) => {
        $crate::error::boxed!(@ $guard<'_, T>, $($bound)?);
        $crate::error::boxed!(@ ($guard<'_, T>, bool), $($bound)?);
    };
    (@ $guard:ty, $($bound:ident)?) => {
        impl<T $(: $bound)?> From<LockError<$guard>> for Box<dyn std::error::Error> {
            fn from(error: LockError<$guard>) -> Self {
                crate::Error::from(error).into()
            }
        }

        impl<T $(: $bound)?> From<LockError<$guard>>
            for Box<dyn std::error::Error + Send + Sync>
        {
            fn from(error: LockError<$guard>) -> Self {
                crate::Error::from(error).into()
            }
        }
    };
}
pub(crate) use boxed;
