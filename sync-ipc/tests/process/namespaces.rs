//! Processes and pools in other namespaces, and without `/proc`, as in containers.

use std::os::fd::AsFd;

use sync_ipc::{Bytes, Connection, JobError, Mutex, Pool, Process, Segment, pipe, wait};

use crate::namespace::{Namespace, mount_proc};
use crate::support::{LIMIT, exists, sleep_until_killed, until};

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
fn use_all(surroundings: Namespace) {
    if surroundings == Namespace::OtherPids {
        mount_proc(c"proc", None).expect("it is in a namespace of its own");
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
    if surroundings != Namespace::NoProc {
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
fn enter_and_use(surroundings: Namespace) -> bool {
    if surroundings.enter().is_none() {
        return false;
    }
    Process::spawn(use_all, surroundings).unwrap().result().unwrap();
    true
}
sync_ipc::entry!(square, length, add_one, use_all, enter_and_use);

#[test]
fn processes_and_pools_work_in_other_namespaces_and_without_proc() {
    for surroundings in Namespace::ALL {
        let outcome = Process::spawn(enter_and_use, surroundings).unwrap().result();
        if !outcome.unwrap_or_else(|error| panic!("{surroundings:?}: {error}")) {
            println!("skipped: this system does not permit {surroundings:?}");
        }
    }
}

/// Starts a daemon that is the first process of a PID namespace, and reports its number.
fn start_first_process(report: Connection) {
    if Namespace::OtherPidsOldProc.enter().is_none() {
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
