//! Who is told when a panic ended a thread.

use core::any::Any;
use core::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::record::Thread;
use crate::diagnostics::callback_slot::Hook;

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

    /// The message, if the payload is one, as it is for the panics of the standard macros.
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

static HOOK: Hook<dyn Fn(&PanicReport<'_>) + Send + Sync> = Hook::new();

/// Calls `hook` whenever a panic ends a thread that was started here: after the unwinding, in that
/// thread, before its joins return.
///
/// The standard panic hook has reported the panic by then, with the thread's name, the place and if
/// wanted a backtrace; without a hook here that is all. A panic of the hook itself is reported by
/// the standard hook and goes no further.
#[doc(alias = "excepthook")]
pub fn set_panic_hook(hook: impl Fn(&PanicReport<'_>) + Send + Sync + 'static) {
    HOOK.set(Arc::new(hook));
}

/// Takes the hook away, if there is one: `true`. A call of it that runs goes on.
pub fn take_panic_hook() -> bool {
    HOOK.take()
}

pub(super) fn report(thread: &Thread, message: &Arc<str>, payload: &(dyn Any + Send)) {
    if let Some(hook) = HOOK.get() {
        // Asserted: nothing of ours is in the hook's hands but shared references.
        let _ = catch_unwind(AssertUnwindSafe(|| hook(&PanicReport { thread, message, payload })));
    }
}

/// The message in a payload.
pub(super) fn message(payload: &(dyn Any + Send)) -> Arc<str> {
    match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).into(),
        (None, Some(text)) => text.as_str().into(),
        (None, None) => "a value that is not a message".into(),
    }
}
