//! Namespaces other than those of the test, as containers have them.
#![allow(unreachable_pub, reason = "shared by test targets")]

use std::ffi::CStr;
use std::fs;

use serde::{Deserialize, Serialize};

/// The difference in the namespaces of a process from those of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Namespace {
    /// A PID namespace and a mount namespace of its own, with their own `/proc`.
    OtherPids,
    /// As `OtherPids`, but with the `/proc` of the old namespace.
    OtherPidsOldProc,
    /// Nothing is mounted at `/proc`.
    NoProc,
    /// `/proc` shows to each user its own processes only.
    HiddenPids,
    /// The machine seems to have booted at another time.
    OtherTime,
    /// Another user namespace, in which the user has the same number.
    OtherUsers,
}

impl Namespace {
    pub const ALL: [Self; 6] = [
        Self::OtherPids,
        Self::OtherPidsOldProc,
        Self::NoProc,
        Self::HiddenPids,
        Self::OtherTime,
        Self::OtherUsers,
    ];

    /// Enters them; of some namespaces only the children are. `None`: the system forbids it.
    pub fn enter(self) -> Option<()> {
        match self {
            Self::OtherPids => {
                unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS)?;
                private()
            }
            Self::OtherPidsOldProc => unshare(libc::CLONE_NEWPID),
            Self::NoProc => {
                unshare(libc::CLONE_NEWNS)?;
                private()?;
                mount_proc(c"tmpfs", None)
            }
            Self::HiddenPids => {
                unshare(libc::CLONE_NEWNS)?;
                private()?;
                mount_proc(c"proc", Some(c"hidepid=2"))
            }
            Self::OtherTime => {
                unshare(libc::CLONE_NEWTIME)?;
                fs::write("/proc/self/timens_offsets", "boottime 100000 0\n").ok()
            }
            Self::OtherUsers => {
                // SAFETY: asks for a number.
                let (uid, gid) = unsafe { (libc::getuid(), libc::getgid()) };
                unshare(libc::CLONE_NEWUSER)?;
                fs::write("/proc/self/setgroups", "deny").ok()?;
                fs::write("/proc/self/uid_map", format!("{uid} {uid} 1")).ok()?;
                fs::write("/proc/self/gid_map", format!("{gid} {gid} 1")).ok()
            }
        }
    }
}

fn unshare(flags: i32) -> Option<()> {
    // SAFETY: changes the namespaces of a process that was started for it.
    (unsafe { libc::unshare(flags) } == 0).then_some(())
}

fn private() -> Option<()> {
    let (none, flags) = (core::ptr::null(), libc::MS_REC | libc::MS_PRIVATE);
    // SAFETY: null-terminated strings; changes the mounts of a process's own namespace.
    let done = unsafe { libc::mount(none, c"/".as_ptr(), none, flags, none.cast()) };
    (done == 0).then_some(())
}

/// Mounts a file system of this kind at `/proc`.
pub fn mount_proc(kind: &CStr, options: Option<&CStr>) -> Option<()> {
    let options = options.map_or(core::ptr::null(), |options| options.as_ptr().cast());
    let (kind, at) = (kind.as_ptr(), c"/proc".as_ptr());
    // SAFETY: as in `private`.
    (unsafe { libc::mount(kind, at, kind, 0, options) } == 0).then_some(())
}
