//! Processes in other namespaces and under other limits than the test's, as containers, sandboxes
//! and daemons are.

use std::fs;

use crate::processes::{Child, fork};

/// The difference in the surroundings of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
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
    /// No descriptor is left.
    NoDescriptors,
}

pub(crate) const ALL: [Surroundings; 7] = [
    Surroundings::OtherPids,
    Surroundings::OtherPidsOldProc,
    Surroundings::NoProc,
    Surroundings::HiddenPids,
    Surroundings::OtherTime,
    Surroundings::OtherUsers,
    Surroundings::NoDescriptors,
];

const NOT_PERMITTED: i32 = 77;

impl Surroundings {
    /// Runs `act` in a process for which this is so, after `before`, which runs in the same process
    /// (or in its parent, where a namespace begins with a child) when it is not yet so. `None` if
    /// the system does not permit it; then it says so.
    pub(crate) fn run(self, before: impl FnOnce(), act: impl FnOnce() -> i32) -> Option<i32> {
        let mut child = fork(|| {
            before();
            if self.enter().is_none() {
                return NOT_PERMITTED;
            }
            if matches!(self, Self::OtherPids | Self::OtherPidsOldProc | Self::OtherTime) {
                // The namespace is that of the children.
                return fork(|| {
                    if self == Self::OtherPids && mount(c"proc", c"/proc", None).is_none() {
                        return NOT_PERMITTED;
                    }
                    act()
                })
                .join();
            }
            act()
        });
        match child.join() {
            NOT_PERMITTED => {
                println!("skipped: this system does not permit {self:?}");
                None
            }
            code => Some(code),
        }
    }

    fn enter(self) -> Option<()> {
        match self {
            Self::OtherPids => {
                unshare(libc::CLONE_NEWPID | libc::CLONE_NEWNS)?;
                private()
            }
            Self::OtherPidsOldProc => unshare(libc::CLONE_NEWPID),
            Self::NoProc => {
                unshare(libc::CLONE_NEWNS)?;
                private()?;
                mount(c"tmpfs", c"/proc", None)
            }
            Self::HiddenPids => {
                unshare(libc::CLONE_NEWNS)?;
                private()?;
                mount(c"proc", c"/proc", Some(c"hidepid=2"))
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
            Self::NoDescriptors => {
                leave_descriptors(0);
                Some(())
            }
        }
    }
}

fn unshare(flags: i32) -> Option<()> {
    // SAFETY: changes the namespaces of a child that was forked for it.
    (unsafe { libc::unshare(flags) } == 0).then_some(())
}

fn private() -> Option<()> {
    // SAFETY: null-terminated strings; changes the mounts of a child's own namespace.
    let done = unsafe {
        libc::mount(
            core::ptr::null(),
            c"/".as_ptr(),
            core::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            core::ptr::null(),
        )
    };
    (done == 0).then_some(())
}

fn mount(
    kind: &core::ffi::CStr,
    at: &core::ffi::CStr,
    options: Option<&core::ffi::CStr>,
) -> Option<()> {
    let options = options.map_or(core::ptr::null(), |options| options.as_ptr().cast());
    // SAFETY: as in `private`.
    let done = unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), 0, options) };
    (done == 0).then_some(())
}

/// Opens descriptors until the process can open `count` more. In a child that ends soon.
pub(crate) fn leave_descriptors(count: usize) {
    limit(libc::RLIMIT_NOFILE, 256);
    let mut kept = Vec::new();
    loop {
        // SAFETY: opens a device.
        match unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) } {
            -1 => break,
            descriptor => kept.push(descriptor),
        }
    }
    for descriptor in kept.iter().rev().take(count) {
        // SAFETY: opened above, and used by no other code.
        unsafe { libc::close(*descriptor) };
    }
}

/// Sets a limit of this process. In a child that ends soon.
pub(crate) fn limit(what: libc::__rlimit_resource_t, value: u64) {
    let limit = libc::rlimit { rlim_cur: value, rlim_max: value };
    // SAFETY: limits this process.
    assert_eq!(unsafe { libc::setrlimit(what, &limit) }, 0);
}

/// A process of another user, if this system permits that.
pub(crate) fn as_another_user(act: impl FnOnce() -> i32) -> Option<Child> {
    // SAFETY: asks for a number.
    if unsafe { libc::getuid() } != 0 {
        println!("skipped: only root may become another user");
        return None;
    }
    Some(fork(|| {
        // SAFETY: gives up this child's rights.
        assert_eq!(unsafe { (libc::setgid(65534), libc::setuid(65534)) }, (0, 0));
        act()
    }))
}
