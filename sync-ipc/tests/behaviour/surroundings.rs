//! Processes in other namespaces and under other limits than the test's, as containers, sandboxes
//! and daemons are.

use crate::namespace::{Namespace, mount_proc};
use crate::processes::{Child, fork};

/// The difference in the surroundings of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    Other(Namespace),
    /// No descriptor is left.
    NoDescriptors,
}

/// All surroundings.
pub(crate) fn all() -> impl Iterator<Item = Surroundings> {
    Namespace::ALL.map(Surroundings::Other).into_iter().chain([Surroundings::NoDescriptors])
}

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
            if let Self::Other(
                namespace @ (Namespace::OtherPids
                | Namespace::OtherPidsOldProc
                | Namespace::OtherTime),
            ) = self
            {
                // The namespace is that of the children.
                return fork(|| {
                    if namespace == Namespace::OtherPids && mount_proc(c"proc", None).is_none() {
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
            Self::Other(namespace) => namespace.enter(),
            Self::NoDescriptors => {
                leave_descriptors(0);
                Some(())
            }
        }
    }
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
