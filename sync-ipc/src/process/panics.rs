//! The report of a panic in a child.

use core::any::Any;
use core::cell::RefCell;
use core::fmt;
use std::io::Write;
use std::panic;

use serde::{Deserialize, Serialize};
use sync_core::user_code;

/// A panic in another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Panic {
    /// The payload of the panic, if it was a text.
    pub message: String,
    /// File, line and column. Unknown if the function replaced the panic hook.
    pub location: Option<String>,
    /// The process's name.
    pub process: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process '{}' panicked", self.process)?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

std::thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Lets the panic hook of this process note where a panic was, and name the process. The hook that
/// was there is called afterwards.
pub(super) fn install_hook(name: &str) {
    let before = panic::take_hook();
    let name = name.to_owned();
    panic::set_hook(Box::new(move |info| {
        // A panic while thread-local values are destroyed has no place to be noted in.
        let _ = LOCATION.try_with(|location| {
            if let Ok(mut location) = location.try_borrow_mut() {
                *location = info.location().map(ToString::to_string);
            }
        });
        // Standard error may be closed.
        let _ = write!(std::io::stderr(), "in process '{name}' ({}):", std::process::id());
        before(info);
    }));
}

/// The report of the panic that this thread has just caught.
pub(super) fn take(payload: &(dyn Any + Send)) -> Panic {
    Panic {
        message: user_code::message(payload).to_owned(),
        location: LOCATION.take(),
        process: super::current_process().name().to_owned(),
    }
}
