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
    /// What kind of lock it is.
    #[must_use]
    pub fn kind(self) -> LockKind {
        self.kind
    }

    /// Its number, counted from 1 in the order in which locks were first used, and never used
    /// again.
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

/// A thread that held one lock and asked for another.
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
    /// The name of the thread.
    #[must_use]
    pub fn thread(&self) -> &str {
        &self.thread
    }

    /// What it held.
    #[must_use]
    pub fn holds(&self) -> Lock {
        self.holds
    }

    /// Where it had taken that.
    #[must_use]
    pub fn held_since(&self) -> &'static Location<'static> {
        self.held_since
    }

    /// What it asked for.
    #[must_use]
    pub fn asks_for(&self) -> Lock {
        self.asks_for
    }

    /// Where it asked.
    #[must_use]
    pub fn asked_at(&self) -> &'static Location<'static> {
        self.asked_at
    }

    /// How it got there, if `RUST_BACKTRACE` or `RUST_LIB_BACKTRACE` asks for backtraces.
    pub fn backtrace(&self) -> &Backtrace {
        &self.backtrace
    }
}

/// Locks of which each was held while the next one was asked for, and the last while the first was.
#[derive(Clone, Debug)]
pub struct Cycle {
    pub(super) steps: Vec<Step>,
}

impl Cycle {
    /// The steps; what one asks for is what the next one holds, and what the last one asks for is
    /// what the first one holds. The first step is the calling thread's; one step alone is a thread
    /// that waits for itself.
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
                "\n  thread \"{thread}\" holds {holds}, taken at {held_since},\n    and asks for {asks_for} at {asked_at}"
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
/// What the hook itself does with locks is not reported. A panic of the hook goes on in the thread,
/// which then does not take the lock; where a panic would do harm (see the [module](super)) it is
/// caught.
pub fn set_hook(hook: impl Fn(&Cycle) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Takes the hook away, if there is one: `true`. From then on a cycle is a panic again.
pub fn take_hook() -> bool {
    HOOK.take()
}
