//! The hook that is called when a panic has ended a thread.

use core::any::Any;
use core::fmt;
use std::sync::Arc;

use super::record::Thread;
use crate::diagnostics::callback_slot::CallbackSlot;
use crate::user_code;

/// A panic that ended a thread.
pub struct PanicReport<'a> {
    pub(super) thread: &'a Thread,
    pub(super) message: &'a Arc<str>,
    pub(super) payload: &'a (dyn Any + Send),
}

impl PanicReport<'_> {
    /// The thread that it ended; the hook runs in it.
    #[must_use]
    pub fn thread(&self) -> &Thread {
        self.thread
    }

    /// The message, if the payload is one, as it is for the panics of the standard macros; else a
    /// fixed sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        self.message
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &(dyn Any + Send) {
        self.payload
    }
}

impl fmt::Debug for PanicReport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PanicReport")
            .field("thread", self.thread)
            .field("message", self.message)
            .finish_non_exhaustive()
    }
}

static HOOK: CallbackSlot<dyn Fn(&PanicReport<'_>) + Send + Sync> = CallbackSlot::new();

/// Calls `hook` whenever a panic ends a thread that was started here: after the unwinding, in that
/// thread, before its joins return.
///
/// The standard panic hook has reported the panic by then, with the thread's name, the place and if
/// wanted a backtrace; without a hook here that is all. A panic of the hook itself is reported by
/// the standard hook and goes no further, and neither does one of its payload's `Drop`.
#[doc(alias = "excepthook")]
pub fn set_panic_hook(hook: impl Fn(&PanicReport<'_>) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Removes the hook and returns whether there was one. A call of the hook that runs goes on.
pub fn take_panic_hook() -> bool {
    HOOK.take()
}

/// Shows the panic to the hook. Does not unwind.
pub(super) fn report(thread: &Thread, message: &Arc<str>, payload: &(dyn Any + Send)) {
    HOOK.with(|hook| {
        user_code::run_and_forget_panic(|| hook(&PanicReport { thread, message, payload }));
    });
}
