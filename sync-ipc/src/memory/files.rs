//! Memory files: what the system would answer with a signal is checked in advance, and their memory
//! is allocated whatever signals arrive.

use core::ops::Range;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

/// The bytes that one call allocates. Until Linux 6.17 a signal whose handler runs meanwhile makes
/// the call give back what it has, and fail: it is repeated, and short enough to end between two
/// signals of a profiler.
const STEP: u64 = 256 << 10;

/// An error if a file must not become this long: the system would send SIGXFSZ, whose default is to
/// end the process. Memory files count as files.
pub(crate) fn check_size(len: u64) -> io::Result<()> {
    // A limit that another thread lowers between this look and the call is not noticed.
    match getrlimit(Resource::Fsize).current {
        Some(limit) if len > limit => Err(Errno::FBIG.into()),
        _ => Ok(()),
    }
}

/// Allocates the memory of a part of a file, which becomes as long as that: access to a mapping
/// without it would end the process.
pub(crate) fn allocate(file: impl AsFd, part: Range<u64>) -> io::Result<()> {
    check_size(part.end)?;
    let mut at = part.start;
    while at < part.end {
        let step = STEP.min(part.end - at);
        retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), at, step))?;
        at += step;
    }
    Ok(())
}
