//! The functions of Linux for threads that `std` lacks.

use std::ffi::CString;

/// The longest name that the system keeps, in bytes.
const LONGEST_NAME: usize = 15;

/// The system's number of the calling thread.
pub(super) fn native_id() -> u32 {
    rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs()
}

/// Returns whether the calling thread is the one that runs `main`.
pub(super) fn is_main() -> bool {
    native_id() == std::process::id()
}

/// The system's number of the main thread.
pub(super) fn main_id() -> u32 {
    std::process::id()
}

/// The system's number of the thread that forked this process; `_parents` is the one that it had in
/// the parent.
pub(super) fn first_thread_id(_parents: u32) -> u32 {
    std::process::id()
}

/// Gives the calling thread a name for the system's tools, which may show its beginning only: the
/// system cuts bytes, not letters.
pub(super) fn set_name(name: &str) {
    let bytes = name.bytes().take_while(|&byte| byte != 0).take(LONGEST_NAME).collect::<Vec<_>>();
    if let Ok(name) = CString::new(bytes) {
        // The name is only for display, so an error of the system is ignored.
        let _ = rustix::thread::set_name(&name);
    }
}
