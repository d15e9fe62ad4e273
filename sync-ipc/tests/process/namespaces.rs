//! Processes and pools in other namespaces, and without `/proc`, as in containers.

use std::ffi::CStr;
use std::fs;
use std::os::fd::AsFd;

use serde::{Deserialize, Serialize};
use sync_ipc::{Bytes, Connection, JobError, Mutex, Pool, Process, Segment, pipe, wait};

use crate::support::{LIMIT, exists, sleep_until_killed, until};

/// The difference in the surroundings of a process from those of the test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Surroundings {
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

impl Surroundings {
    const ALL: [Self; 6] = [
        Self::OtherPids,
        Self::OtherPidsOldProc,
        Self::NoProc,
        Self::HiddenPids,
        Self::OtherTime,
        Self::OtherUsers,
    ];

    /// Enters them; of some namespaces only the children are. `None`: the system forbids it.
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
                mount(c"tmpfs", None)
            }
            Self::HiddenPids => {
                unshare(libc::CLONE_NEWNS)?;
                private()?;
                mount(c"proc", Some(c"hidepid=2"))
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

fn mount(kind: &CStr, options: Option<&CStr>) -> Option<()> {
    let options = options.map_or(core::ptr::null(), |options| options.as_ptr().cast());
    let (kind, at) = (kind.as_ptr(), c"/proc".as_ptr());
    // SAFETY: as in `private`.
    (unsafe { libc::mount(kind, at, kind, 0, options) } == 0).then_some(())
}

fn square(n: u64) -> u64 {
    n * n
}

fn length(bytes: Bytes) -> usize {
    bytes.len()
}

fn add_one(mutex: Mutex<u64>) {
    mutex.lock().unwrap().update(|sum| *sum += 1);
}

/// Uses a process and a pool.
fn use_all(surroundings: Surroundings) {
    if surroundings == Surroundings::OtherPids {
        mount(c"proc", None).expect("it is in a namespace of its own");
    }
    assert!(sync_ipc::parent_process().unwrap().is_alive());
    assert_eq!(Process::spawn(square, 12).unwrap().result().unwrap(), 144);
    for daemon in [false, true] {
        let child = Process::builder(sleep_until_killed).daemon(daemon).spawn(()).unwrap();
        assert!(child.is_alive());
        // A child whose result is here may still be ending.
        until("the child is the only active one", || sync_ipc::active_children().len() == 1);
        child.kill().unwrap();
        wait(&[child.as_fd()], Some(LIMIT)).unwrap();
        assert_eq!(child.join().unwrap(), -libc::SIGKILL);
    }
    if surroundings != Surroundings::NoProc {
        let segment = Segment::anonymous(4096).unwrap();
        let mutex = Mutex::create(&segment, "mutex", 0).unwrap();
        Process::spawn(add_one, mutex.clone()).unwrap().result().unwrap();
        assert_eq!(mutex.lock().unwrap().get(), 1);
    }
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(square, 0..1000).unwrap(), (0..1000).map(square).collect::<Vec<_>>());
    assert_eq!(pool.apply(length, Bytes(vec![7; 3 << 20])).unwrap(), 3 << 20);
    for worker in pool.workers() {
        worker.kill().unwrap();
    }
    match pool.apply(square, 3) {
        Ok(9) | Err(JobError::WorkerDied { exitcode: -9, .. }) => {}
        other => panic!("{other:?}"),
    }
    until("the workers are replaced", || {
        pool.workers().len() == 2 && matches!(pool.apply(square, 4), Ok(16))
    });
    pool.close();
    pool.join().unwrap();
    assert!(sync_ipc::active_children().is_empty());
}

/// Enters the surroundings, and uses everything in a child. `false`: the system does not permit it.
fn enter_and_use(surroundings: Surroundings) -> bool {
    if surroundings.enter().is_none() {
        return false;
    }
    Process::spawn(use_all, surroundings).unwrap().result().unwrap();
    true
}
sync_ipc::entry!(square, length, add_one, use_all, enter_and_use);

#[test]
fn processes_and_pools_work_in_other_namespaces_and_without_proc() {
    for surroundings in Surroundings::ALL {
        let outcome = Process::spawn(enter_and_use, surroundings).unwrap().result();
        if !outcome.unwrap_or_else(|error| panic!("{surroundings:?}: {error}")) {
            println!("skipped: this system does not permit {surroundings:?}");
        }
    }
}

/// Starts a daemon that is the first process of a PID namespace, and reports its number.
fn start_first_process(report: Connection) {
    if Surroundings::OtherPidsOldProc.enter().is_none() {
        report.send(&0_u32).unwrap();
        return;
    }
    let daemon = Process::builder(sleep_until_killed).daemon(true).spawn(()).unwrap();
    report.send(&daemon.pid()).unwrap();
    sleep_until_killed();
}
sync_ipc::entry!(start_first_process);

/// The kernel keeps signals without a handler from the first process of a PID namespace, its own
/// SIGKILL too.
#[test]
fn a_daemon_that_is_the_first_process_of_a_namespace_ends_with_its_killed_parent() {
    let (ours, theirs) = pipe().unwrap();
    let parent = Process::spawn(start_first_process, theirs).unwrap();
    let daemon: u32 = ours.recv().unwrap();
    if daemon == 0 {
        println!("skipped: this system does not permit PID namespaces");
        return;
    }
    assert!(exists(daemon));
    parent.kill().unwrap();
    until("the daemon ends", || !exists(daemon));
}
