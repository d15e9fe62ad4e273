//! Checks in advance for what the system would otherwise answer with a signal.

use std::io;

use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};

/// An error if a file must not become this long: the system would send SIGXFSZ, whose default is to
/// end the process. Memory files count as files.
pub(crate) fn file_size(len: u64) -> io::Result<()> {
    // A limit that another thread lowers between this look and the call is not noticed.
    match getrlimit(Resource::Fsize).current {
        Some(limit) if len > limit => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}
