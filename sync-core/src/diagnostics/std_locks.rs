//! The parts of `std` that the diagnostics use and that take a lock of `std`: stacks and standard
//! error.
//!
//! `std` captures a stack behind one lock of the process, and writes to standard error behind
//! another. Neither is released in the child of a fork if a thread of the parent held it at the
//! fork: a wait that is listed, or a cycle that is reported, would then hang in the child. So a
//! forked child captures no stack, and its reports go to descriptor 2 without a lock. A program
//! that it executes has locks of its own.

use std::backtrace::Backtrace;

use crate::fork;

/// Returns the stack that `capture` finds; none in a forked child.
pub(crate) fn stack(capture: impl FnOnce() -> Backtrace) -> Backtrace {
    // Registers the handler of forks: a fork during the first capture is noticed, too.
    let _ = fork::ProcessMark::current();
    if fork::is_child() { Backtrace::disabled() } else { capture() }
}

/// Writes `text` to standard error. An error of the write is ignored: standard error may be closed
/// or full, and its callers may not unwind.
pub(crate) fn print(text: &str) {
    use std::io::Write;

    #[cfg(unix)]
    if fork::is_child() {
        use core::mem::ManuallyDrop;
        use std::fs::File;
        use std::os::fd::FromRawFd;

        // SAFETY: the descriptor is only written to, and not closed; a closed one is an error.
        let mut stderr = ManuallyDrop::new(unsafe { File::from_raw_fd(2) });
        let _ = stderr.write_all(text.as_bytes());
        return;
    }
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
