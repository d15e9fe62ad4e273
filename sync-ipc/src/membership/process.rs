//! Whether a process lives, as far as this process can find out.
//!
//! **Three answers.** [`Life::Unknown`] is not [`Life::Dead`]: nothing is removed, taken over or
//! cleared on it. No answer reads `/proc`: `/proc` may be missing, may hide processes, or may be
//! that of another PID namespace.
//!
//! The evidence is a [`Process`], which each process writes down about itself. A pidfd leads to the
//! process that bears the pid in the reader's PID namespace. Since Linux 6.9 the inode number of a
//! pidfd names one process for as long as the machine runs, in all namespaces; so it proves that
//! the process behind the pidfd is the writer, or that it is not. Without that number (older
//! kernels, or the writer had no descriptor left), a pid that was reused looks alive.
//!
//! | the pidfd | number | PID namespaces | answer |
//! |---|---|---|---|
//! | of a process that runs | the writer's | any | alive |
//! | of a process that has exited, a zombie too | the writer's | any | dead |
//! | of another process | another one | the same | dead: the pid was reused |
//! | of another process | another one | not known to be the same | unknown |
//! | no such pid (`ESRCH`) | | the same | dead |
//! | no such pid (`ESRCH`) | | not known to be the same | unknown |
//! | of a process that has exited | not known | the same | dead |
//! | of a process that runs | not known | any | unknown |
//! | not to be had (no descriptor left, not permitted) | | any | unknown |
//!
//! A pidfd is readable when the whole process has exited: a process whose first thread has ended
//! while others run is alive.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};

use crate::procfs;

/// Whether a process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// It has not ended.
    Alive,
    /// It has ended: its locks, permits and items may be taken over.
    Dead,
    /// This process cannot find out.
    Unknown,
}

/// The record that a process writes about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// Its pid in its own PID namespace; 0 if the record is not complete.
    pub(crate) pid: u32,
    /// The inode number of its pidfds, 0 if not known.
    pub(crate) number: u64,
    /// The number of its PID namespace, 0 if not known.
    pub(crate) namespace: u64,
}

impl Process {
    /// Returns the record of this process. A field that cannot be found out is 0.
    pub(crate) fn current() -> Self {
        let pid = getpid();
        let number = pidfd_open(pid, PidfdFlags::empty()).ok().and_then(|pidfd| number_of(&pidfd));
        Self {
            pid: pid.as_raw_nonzero().get().unsigned_abs(),
            number: number.unwrap_or(0),
            namespace: procfs::namespace().unwrap_or(0),
        }
    }

    /// Whether the process lives. `ours` is the number of the caller's PID namespace, 0 if it is
    /// not known.
    pub(crate) fn life(&self, ours: u64) -> Life {
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Life::Unknown;
        };
        let same_namespace = ours != 0 && ours == self.namespace;
        let dead_if = |proven| if proven { Life::Dead } else { Life::Unknown };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Err(Errno::SRCH) => dead_if(same_namespace),
            Err(_) => Life::Unknown,
            Ok(pidfd) => match number_of(&pidfd) {
                Some(number) if self.number == number => {
                    if has_exited(&pidfd) {
                        Life::Dead
                    } else {
                        Life::Alive
                    }
                }
                Some(_) if self.number != 0 => dead_if(same_namespace),
                // The pidfd leads to the writer, or to a process that got the pid after it. If
                // that process has exited, so has the writer.
                _ => dead_if(same_namespace && has_exited(&pidfd)),
            },
        }
    }
}

/// The number that names the process behind a pidfd; `None` if the kernel gives none.
fn number_of(pidfd: &OwnedFd) -> Option<u64> {
    /// Of `linux/magic.h`. Before it was there, all pidfds had one inode.
    const PID_FS_MAGIC: u64 = 0x5049_4446;
    if fstatfs(pidfd).ok()?.f_type as u64 != PID_FS_MAGIC {
        return None;
    }
    fstat(pidfd).ok().map(|about| about.st_ino).filter(|number| *number != 0)
}

/// Whether the process is known to have exited. A zombie has.
fn has_exited(pidfd: &OwnedFd) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let mut fds = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
    // An error (a signal, no memory) is no proof.
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().contains(PollFlags::IN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_alive_until_it_has_exited_and_unknown_where_it_cannot_be_seen() {
        let me = Process::current();
        let ours = me.namespace;
        assert_ne!((me.pid, ours), (0, 0));
        assert_ne!(me.life(ours), Life::Dead);
        // As if read in another PID namespace, or where the namespace cannot be found out.
        assert_ne!(me.life(ours + 1), Life::Dead);
        assert_ne!(me.life(0), Life::Dead);
        let mut child = std::process::Command::new("true").spawn().expect("a program");
        let theirs = Process { pid: child.id(), number: 0, namespace: ours };
        child.wait().expect("a child");
        assert_eq!(theirs.life(ours), Life::Dead, "reaped");
        assert_eq!(theirs.life(ours + 1), Life::Unknown);
        assert_eq!(Process { pid: 0, ..me }.life(ours), Life::Unknown);
        assert_eq!(Process { pid: u32::MAX, ..me }.life(ours), Life::Unknown);
    }

    #[test]
    fn a_reused_pid_is_told_from_the_process_that_had_it() {
        let me = Process::current();
        if me.number == 0 {
            println!("skipped: this kernel gives pidfds no number of their own (before 6.9)");
            return;
        }
        assert_eq!(me.life(me.namespace), Life::Alive);
        assert_eq!(me.life(me.namespace + 1), Life::Alive, "the number is the machine's");
        let predecessor = Process { number: me.number - 1, ..me };
        assert_eq!(predecessor.life(me.namespace), Life::Dead);
        assert_eq!(predecessor.life(me.namespace + 1), Life::Unknown);
    }
}
