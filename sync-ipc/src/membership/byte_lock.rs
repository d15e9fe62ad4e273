//! Locks of single bytes of a file, owned by an open file description (`F_OFD_SETLK`, Linux 3.15).
//!
//! The kernel releases such a lock when the last descriptor of its description is closed: at the
//! death of the process by any cause, and at `exec`. POSIX locks would not do: closing any
//! descriptor of the file drops them all.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

fn one_byte(kind: i32, at: u64) -> libc::flock {
    // SAFETY: plain integers; the kernel requires that `l_pid` is zero for locks of this kind.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at as libc::off_t;
    lock.l_len = 1;
    lock
}

/// Locks a byte through this description; `false` if another description has locked it. Never
/// waits.
pub(crate) fn lock(fd: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    change(fd, libc::F_WRLCK, at)
}

/// Shares a byte with other descriptions that share it. Never waits.
pub(crate) fn share(fd: BorrowedFd<'_>, at: u64) -> io::Result<()> {
    if change(fd, libc::F_RDLCK, at)? {
        return Ok(());
    }
    // A peer locked it for itself alone, which none of ours does.
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Releases a byte that this description has locked, also for forked children that share the
/// description.
pub(crate) fn unlock(fd: BorrowedFd<'_>, at: u64) {
    // Unlocking fails only for a descriptor that is not open.
    let _ = change(fd, libc::F_UNLCK, at);
}

fn change(fd: BorrowedFd<'_>, kind: i32, at: u64) -> io::Result<bool> {
    let lock = one_byte(kind, at);
    loop {
        // SAFETY: an open descriptor and a complete `flock`. By `libc`, since rustix has no locks
        // of open file descriptions.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
                return Ok(false);
            }
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// Whether a description other than this one has locked or shares the byte. An error means that
/// this is not known.
pub(crate) fn is_locked(fd: BorrowedFd<'_>, at: u64) -> io::Result<bool> {
    let mut lock = one_byte(libc::F_WRLCK, at);
    // SAFETY: as in `change`; the kernel writes its answer into the `flock`.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } {
        0 => Ok(lock.l_type != libc::F_UNLCK as libc::c_short),
        _ => Err(io::Error::last_os_error()),
    }
}
