//! The unwinding policy of the workspace, in one place. Public for the sibling crates, and no
//! promise to other users.
//!
//! User code is all code that the library calls and does not contain: closures, hooks, callbacks,
//! `Drop`, `Ord`, panic payloads, and the payloads that their destructors throw in turn. Three
//! rules hold wherever it runs:
//!
//! 1. Bookkeeping and wake-ups come first, so that a panic skips none of them.
//! 2. User code runs through [`run`], [`dispose`] or [`dispose_payload`], unless the documentation
//!    of the call says that a panic of it reaches the caller.
//! 3. Between the release of a lock and its re-acquisition for a living guard nothing may unwind:
//!    an [`AbortOnUnwind`] stands there. Unwinding would drop the guard over a lock that another
//!    thread holds.
//!
//! A payload is dropped at most once, inside a catch; the payload that its destructor throws is
//! forgotten. Dropping that one too could throw again without end.

use core::any::Any;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::primitive::MODELLED;

/// The value that a panic carries.
pub type Payload = Box<dyn Any + Send>;

/// Runs user code and returns its panic, if it panics. Nothing unwinds out of the call.
///
/// The caller asserts that this is unwind safe. State that `f` shares with other code is seen as
/// `f` left it.
///
/// # Errors
///
/// The payload of the panic. Pass it on, or give it to [`dispose_payload`]: its destructor is user
/// code too.
#[inline]
pub fn run<R>(f: impl FnOnce() -> R) -> Result<R, Payload> {
    catch_unwind(AssertUnwindSafe(f))
}

/// Runs user code whose panic concerns no caller: the payload is disposed of.
#[inline]
pub fn run_and_forget_panic(f: impl FnOnce()) {
    if let Err(payload) = run(f) {
        dispose_payload(payload);
    }
}

/// Drops a value of the user's. A panic of its destructor ends here.
#[inline]
pub fn dispose<T>(value: T) {
    run_and_forget_panic(|| drop(value));
}

/// Drops a panic payload. If its destructor panics, that second payload is forgotten.
pub fn dispose_payload(payload: Payload) {
    if let Err(second) = run(|| drop(payload)) {
        core::mem::forget(second);
    }
}

/// The text that a panic was called with; `None` for a payload that is not a text.
pub fn text(payload: &(dyn Any + Send)) -> Option<&str> {
    let literal = payload.downcast_ref::<&'static str>().copied();
    literal.or_else(|| payload.downcast_ref::<String>().map(String::as_str))
}

/// The message of a panic: its [`text`], or a fixed sentence for a payload that is not a text.
pub fn message(payload: &(dyn Any + Send)) -> &str {
    text(payload).unwrap_or("a panic whose payload is no text")
}

/// Aborts the process if the scope is left by unwinding. Call [`disarm`](Self::disarm) where the
/// scope ends in good order.
///
/// In the builds of the checkers it does nothing: they end threads by unwinding them, and nothing
/// of such an execution is used again.
#[must_use = "it guards the scope that it lives in"]
#[derive(Debug)]
pub struct AbortOnUnwind {
    sentence: &'static str,
}

impl AbortOnUnwind {
    /// `sentence` is written to standard error before the process aborts.
    #[inline]
    pub const fn new(sentence: &'static str) -> Self {
        Self { sentence }
    }

    /// Ends the guarded scope.
    #[inline]
    pub const fn disarm(self) {
        core::mem::forget(self);
    }
}

impl Drop for AbortOnUnwind {
    #[cold]
    fn drop(&mut self) {
        if MODELLED {
            return;
        }
        // An error of the write is ignored: standard error may be closed or full, and the abort
        // must happen all the same.
        let _ = writeln!(std::io::stderr(), "fatal: {}", self.sentence);
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU32, Ordering};
    use std::sync::Arc;

    use super::*;

    /// A payload whose destructor panics `levels` times, each time with a payload of the next
    /// level.
    struct Bomb {
        levels: u32,
        dropped: Arc<AtomicU32>,
    }

    impl Drop for Bomb {
        fn drop(&mut self) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            if self.levels > 0 {
                std::panic::panic_any(Bomb {
                    levels: self.levels - 1,
                    dropped: Arc::clone(&self.dropped),
                });
            }
        }
    }

    #[test]
    fn a_payload_that_panics_when_dropped_ends_in_the_helper() {
        for levels in 0..4 {
            let dropped = Arc::new(AtomicU32::new(0));
            let bomb = Bomb { levels, dropped: Arc::clone(&dropped) };
            run_and_forget_panic(|| std::panic::panic_any(bomb));
            assert_eq!(
                dropped.load(Ordering::Relaxed),
                1,
                "the first payload is dropped and the second one forgotten"
            );
        }
    }

    #[test]
    fn the_message_of_both_kinds_of_text_and_of_others() {
        assert_eq!(message(&*run(|| panic!("text")).unwrap_err()), "text");
        assert_eq!(message(&*run(|| panic!("number {}", 7)).unwrap_err()), "number 7");
        assert_eq!(
            message(&*run(|| std::panic::panic_any(7)).unwrap_err()),
            "a panic whose payload is no text"
        );
    }

    #[test]
    fn a_disarmed_guard_does_not_abort() {
        AbortOnUnwind::new("not reached").disarm();
    }
}
