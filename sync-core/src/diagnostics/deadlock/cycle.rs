//! The reports, and the slot of the hook that receives them.

use core::fmt;
use core::panic::Location;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::sync::Arc;

use crate::diagnostics::callback_slot::CallbackSlot;
use crate::diagnostics::lock_kind::LockKind;

/// A lock in a report. Two are equal if they are the same lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lock {
    pub(super) kind: LockKind,
    pub(super) number: u64,
}

impl Lock {
    /// Returns the kind of the lock.
    #[must_use]
    pub fn kind(self) -> LockKind {
        self.kind
    }

    /// Returns its number, counted from 1 in the order in which locks were first used, and never
    /// used again.
    #[must_use]
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} #{}", self.kind, self.number)
    }
}

/// A thread that held one lock and attempted to take another.
#[derive(Clone, Debug)]
pub struct Step {
    pub(super) thread: Arc<str>,
    pub(super) holds: Lock,
    pub(super) held_since: &'static Location<'static>,
    pub(super) asks_for: Lock,
    pub(super) asked_at: &'static Location<'static>,
    pub(super) backtrace: Arc<Backtrace>,
}

impl Step {
    /// Returns the name of the thread.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// Returns the lock that the thread held.
    #[must_use]
    pub fn holds(&self) -> Lock {
        self.holds
    }

    /// Returns the place where the thread had taken that lock.
    #[must_use]
    pub fn held_since(&self) -> &'static Location<'static> {
        self.held_since
    }

    /// Returns the lock that the thread attempted to take.
    #[must_use]
    pub fn asks_for(&self) -> Lock {
        self.asks_for
    }

    /// Returns the place of that attempt.
    #[must_use]
    pub fn asked_at(&self) -> &'static Location<'static> {
        self.asked_at
    }

    /// Returns the backtrace of that attempt, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` enables
    /// backtraces.
    pub fn backtrace(&self) -> &Backtrace {
        &self.backtrace
    }
}

/// Locks in a cycle: each was held while a thread attempted to take the next lock, and the last
/// while a thread attempted to take the first.
#[derive(Clone, Debug)]
pub struct Cycle {
    pub(super) steps: Vec<Step>,
}

impl Cycle {
    /// Returns the steps. The thread of each step asks for the lock that the next step holds, and
    /// the last step asks for the lock that the first step holds. The first step is the calling
    /// thread's. A single step is a thread that waits for itself.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.steps.len() {
            1 => "a thread waits for a lock that it holds, which deadlocks",
            _ => "locks are taken in different orders, which can deadlock",
        })?;
        for Step { thread, holds, held_since, asks_for, asked_at, backtrace } in &self.steps {
            write!(
                f,
                "\n  thread \"{thread}\" holds {holds}, taken at {held_since},\n    \
                 and asks for {asks_for} at {asked_at}"
            )?;
            if backtrace.status() == BacktraceStatus::Captured {
                write!(f, "\n{backtrace}")?;
            }
        }
        Ok(())
    }
}

type Callback = dyn Fn(&Cycle) + Send + Sync;

pub(super) static HOOK: CallbackSlot<Callback> = CallbackSlot::new();

/// Calls `hook` instead of a panic, in the thread that is about to wait. When it returns the thread
/// waits for the lock.
///
/// Locks that the hook takes are not reported. A panic of the hook continues in the thread, which
/// then does not take the lock; where a panic would do harm (the [module](super) lists the cases)
/// it is caught.
pub fn set_hook(hook: impl Fn(&Cycle) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Removes the hook and returns whether there was one. From then on a cycle panics again.
pub fn take_hook() -> bool {
    HOOK.take()
}
