//! Start, end, exit code, result, panic.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use sync_ipc::{
    Process, ProcessError, SpawnError, active_children, current_process, parent_process, pipe, wait,
};

use crate::support::{LIMIT, exists, sleep_until_killed, until};

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Seen {
    name: String,
    pid: u32,
    daemon: bool,
    parent: Option<(String, u32)>,
    argument: Vec<String>,
}

fn look_around(argument: Vec<String>) -> Seen {
    let current = current_process();
    Seen {
        name: current.name().into(),
        pid: std::process::id(),
        daemon: current.is_daemon(),
        parent: parent_process().map(|parent| (parent.name().into(), parent.pid())),
        argument,
    }
}

fn exit_with(code: i32) {
    std::process::exit(code);
}

fn end_by(signal: i32) {
    // SAFETY: a signal to this very process.
    unsafe { libc::raise(signal) };
}

fn fail(message: String) -> u32 {
    panic!("{message}");
}

fn generic<T: std::ops::Add<Output = T>>(a: T, b: T) -> T {
    a + b
}

fn nothing() {}

fn four(a: u8, b: String, c: Option<char>, d: (i64, bool)) -> String {
    format!("{a} {b} {c:?} {d:?}")
}

fn not_registered() {}

sync_ipc::entry!(look_around, exit_with, end_by, fail, nothing, four);
sync_ipc::entry!(generic::<u64>, generic::<f64>);

#[test]
fn a_child_gets_its_arguments_name_and_pid_and_returns_a_value() {
    let argument = vec!["one".to_owned(), "two".to_owned()];
    let process = Process::builder(look_around).name("looker").spawn(argument.clone()).unwrap();
    let (name, pid) = (process.name().to_owned(), process.pid());
    let seen = process.result().unwrap();
    let parent = Some(("MainProcess".to_owned(), std::process::id()));
    assert_eq!(seen, Seen { name, pid, daemon: false, parent, argument });
    assert_ne!(pid, std::process::id());
}

#[test]
fn functions_of_none_to_four_arguments_and_instances_of_generic_ones() {
    Process::spawn(nothing, ()).unwrap().result().unwrap();
    let text = Process::spawn(four, (1, "b".into(), Some('c'), (-4, true))).unwrap().result();
    assert_eq!(text.unwrap(), "1 b Some('c') (-4, true)");
    assert_eq!(Process::spawn(generic::<u64>, (40, 2)).unwrap().result().unwrap(), 42);
    assert_eq!(Process::spawn(generic::<f64>, (1.5, 1.0)).unwrap().result().unwrap(), 2.5);
}

#[test]
fn exit_codes_are_the_low_byte_and_minus_the_signal() {
    for (code, seen) in [(0, 0), (8, 8), (300, 44), (-1, 255)] {
        assert_eq!(Process::spawn(exit_with, code).unwrap().join().unwrap(), seen);
    }
    for signal in [libc::SIGKILL, libc::SIGABRT, libc::SIGSEGV, libc::SIGTERM] {
        let process = Process::spawn(end_by, signal).unwrap();
        assert_eq!(process.join().unwrap(), -signal);
        match process.result() {
            Err(ProcessError::Died { exitcode }) => assert_eq!(exitcode, -signal),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_panic_arrives_with_message_and_place_and_the_exit_code_is_101() {
    let process =
        Process::builder(fail).name("unlucky").spawn("a child of mine".to_owned()).unwrap();
    assert_eq!(process.join().unwrap(), 101);
    let Err(ProcessError::Panicked(panic)) = process.result() else { panic!("no panic") };
    assert_eq!(panic.message, "a child of mine");
    assert_eq!(panic.process, "unlucky");
    let location = panic.location.expect("a place");
    assert!(location.contains("life.rs:"), "{location}");
}

#[test]
fn a_function_that_is_not_registered_is_refused_by_its_name() {
    let error = Process::spawn(not_registered, ()).unwrap_err();
    assert!(matches!(error, SpawnError::NotRegistered(_)), "{error:?}");
    assert!(error.to_string().contains("not_registered"), "{error}");
}

#[test]
fn a_child_is_alive_and_listed_between_its_start_and_its_end() {
    let process = Process::builder(sleep_until_killed).name("listed").spawn(()).unwrap();
    let listed = || active_children().iter().any(|child| child.pid() == process.pid());
    assert!(process.is_alive() && listed());
    assert_eq!(process.exitcode(), None);
    assert_eq!(process.join_timeout(Duration::from_millis(1)).unwrap(), None);
    assert_eq!(process.join_deadline(Instant::now()).unwrap(), None);
    assert_eq!(wait(&[process.as_fd()], Some(Duration::ZERO)).unwrap(), [] as [usize; 0]);
    process.terminate().unwrap();
    assert_eq!(process.join_timeout(LIMIT).unwrap(), Some(-libc::SIGTERM));
    assert_eq!(wait(&[process.as_fd()], Some(Duration::ZERO)).unwrap(), [0]);
    assert!(!process.is_alive() && !listed());
    // After the end they do nothing.
    process.terminate().unwrap();
    process.kill().unwrap();
    assert_eq!(process.exitcode(), Some(-libc::SIGTERM));
    assert!(process.close().is_ok());
}

fn leave_a_thread_behind() -> (u32, bool) {
    std::thread::spawn(|| std::thread::sleep(LIMIT));
    // The entry point runs in the first thread of the process, whose number is the process's.
    // SAFETY: it has no arguments.
    let thread = unsafe { libc::gettid() };
    (std::process::id(), thread as u32 == std::process::id())
}
sync_ipc::entry!(leave_a_thread_behind);

/// Python waits for threads that are no daemons. Here, as in Rust's own programs, a process ends
/// with its function; join the threads in it.
#[test]
fn a_process_ends_with_its_function_whatever_its_threads_do() {
    let process = Process::spawn(leave_a_thread_behind, ()).unwrap();
    assert_eq!(process.join_timeout(LIMIT).unwrap(), Some(0));
    let pid = process.pid();
    assert_eq!(process.result().unwrap(), (pid, true));
}

#[test]
fn a_running_process_cannot_be_closed() {
    let process = Process::spawn(sleep_until_killed, ()).unwrap();
    let process = process.close().unwrap_err();
    process.kill().unwrap();
    assert_eq!(process.join().unwrap(), -libc::SIGKILL);
}

#[test]
fn a_result_that_is_not_there_in_time_can_be_waited_for_again() {
    let (ours, theirs) = pipe().unwrap();
    let process = Process::spawn(receive_one, theirs).unwrap();
    let process = process.result_timeout(Duration::from_millis(1)).unwrap_err();
    let process = process.result_deadline(Instant::now()).unwrap_err();
    ours.send(&7_u32).unwrap();
    assert_eq!(process.result_timeout(LIMIT).unwrap().unwrap(), 7);
}

fn receive_one(connection: sync_ipc::Connection) -> u32 {
    connection.recv().unwrap()
}
sync_ipc::entry!(receive_one);

#[test]
fn a_forked_child_takes_no_result_of_its_parents_children() {
    let process = Process::spawn(receive_number, 5).unwrap();
    wait(&[process.as_fd()], None).unwrap();
    // SAFETY: the child asks, and ends by `_exit`.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = process.join().is_err() && process.result().is_err();
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(i32::from(!refused)) };
    }
    let mut status = 0;
    // SAFETY: our own child, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(process.result().unwrap(), 5);
}

fn receive_number(number: u32) -> u32 {
    number
}
sync_ipc::entry!(receive_number);

#[test]
fn a_process_lives_on_when_the_thread_that_started_it_ends() {
    for daemon in [false, true] {
        let (ours, theirs) = pipe().unwrap();
        let start = move || Process::builder(receive_one).daemon(daemon).spawn(theirs).unwrap();
        let process = std::thread::spawn(start).join().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert!(process.is_alive());
        ours.send(&3_u32).unwrap();
        assert_eq!(process.result().unwrap(), 3);
    }
}

/// Starts a grandchild, reports it, and waits to be killed.
fn start_another(report: sync_ipc::Connection, daemon: bool) {
    let process = Process::builder(watch_parent).daemon(daemon).spawn(report.clone_for_test());
    drop(process.unwrap());
    sleep_until_killed();
}

fn watch_parent(report: sync_ipc::Connection) {
    let parent = parent_process().expect("a parent");
    report.send(&(std::process::id(), parent.is_alive(), parent.pid())).unwrap();
    let ended = parent.join_deadline(Instant::now() + LIMIT).unwrap();
    report.send(&(ended, parent.is_alive())).unwrap();
    sleep_until_killed();
}
sync_ipc::entry!(start_another, watch_parent);

trait CloneForTest {
    fn clone_for_test(&self) -> sync_ipc::Connection;
}

impl CloneForTest for sync_ipc::Connection {
    fn clone_for_test(&self) -> sync_ipc::Connection {
        sync_ipc::Connection::from_fd(self.as_fd().try_clone_to_owned().unwrap()).unwrap()
    }
}

#[test]
fn a_grandchild_sees_its_parent_alive_and_then_dead() {
    let (ours, theirs) = pipe().unwrap();
    let child = Process::spawn(start_another, (theirs, false)).unwrap();
    let (grandchild, alive, parent): (u32, bool, u32) = ours.recv().unwrap();
    assert!(alive);
    assert_eq!(parent, child.pid());
    child.kill().unwrap();
    assert_eq!(child.join().unwrap(), -libc::SIGKILL);
    assert_eq!(ours.recv_timeout::<(bool, bool)>(LIMIT).unwrap(), (true, false));
    // It is no daemon: it lives on.
    assert!(exists(grandchild));
    // SAFETY: the grandchild, which waits to be killed.
    unsafe { libc::kill(grandchild as i32, libc::SIGKILL) };
}

#[test]
fn a_daemon_ends_with_its_parent_though_that_is_killed() {
    let (ours, theirs) = pipe().unwrap();
    let child = Process::spawn(start_another, (theirs, true)).unwrap();
    let (grandchild, ..): (u32, bool, u32) = ours.recv().unwrap();
    assert!(exists(grandchild));
    child.kill().unwrap();
    until("the daemon ends", || !exists(grandchild));
}

fn daemon_children(report: sync_ipc::Connection) {
    let refused = Process::builder(nothing).daemon(false).spawn(());
    let inherited = Process::spawn(look_around, Vec::new()).unwrap();
    let daemon = inherited.is_daemon();
    let name = inherited.result().unwrap().name;
    report.send(&(matches!(refused, Err(SpawnError::ParentIsDaemon)), daemon, name)).unwrap();
}
sync_ipc::entry!(daemon_children);

#[test]
fn children_of_a_daemon_are_daemons_and_are_numbered_below_it() {
    let (ours, theirs) = pipe().unwrap();
    let child = Process::builder(daemon_children).name("d").daemon(true).spawn(theirs).unwrap();
    assert_eq!(ours.recv::<(bool, bool, String)>().unwrap(), (true, true, "d:1".into()));
    assert_eq!(child.join().unwrap(), 0);
}

/// Children of children, as CPython's `test_recursion` has them.
fn recurse(report: sync_ipc::Connection, path: Vec<u8>) {
    report.send(&path).unwrap();
    if path.len() < 2 {
        for next in 0..2 {
            let mut path = path.clone();
            path.push(next);
            Process::spawn(recurse, (report.clone_for_test(), path)).unwrap().join().unwrap();
        }
    }
}
sync_ipc::entry!(recurse);

#[test]
fn children_create_children_in_order() {
    let (ours, theirs) = pipe().unwrap();
    Process::spawn(recurse, (theirs, Vec::new())).unwrap().join().unwrap();
    let expected: [&[u8]; 7] = [&[], &[0], &[0, 0], &[0, 1], &[1], &[1, 0], &[1, 1]];
    for path in expected {
        assert_eq!(ours.recv::<Vec<u8>>().unwrap(), path);
    }
}

#[test]
fn a_child_that_was_not_joined_is_no_zombie_once_others_are_looked_at() {
    let process = Process::spawn(nothing, ()).unwrap();
    let pid = process.pid();
    wait(&[process.as_fd()], None).unwrap();
    drop(process);
    active_children();
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_signal_that_interrupts_join_changes_nothing() {
    extern "C" fn handler(_: i32) {}
    // SAFETY: the handler does nothing; without SA_RESTART, calls are interrupted.
    unsafe {
        let mut action: libc::sigaction = core::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        libc::sigaction(libc::SIGUSR1, &action, core::ptr::null_mut());
    }
    let (ours, theirs) = pipe().unwrap();
    let process = Process::spawn(receive_one, theirs).unwrap();
    // SAFETY: this thread's own number.
    let thread = unsafe { libc::pthread_self() };
    let code = std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..20 {
                // SAFETY: the thread waits for this one.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(Duration::from_millis(1));
            }
            ours.send(&1_u32).unwrap();
        });
        process.join().unwrap()
    });
    assert_eq!(code, 0);
}

/// Forks. The child returns first.
fn fork_and_return() -> u32 {
    // SAFETY: the process has one thread, so the child finds no lock held.
    match unsafe { libc::fork() } {
        0 => 1,
        child => {
            // SAFETY: a child of this process that no other code waits for.
            assert_eq!(unsafe { libc::waitpid(child, core::ptr::null_mut(), 0) }, child);
            2
        }
    }
}
sync_ipc::entry!(fork_and_return);

#[test]
fn the_result_is_that_of_the_process_and_not_of_a_child_that_it_forked() {
    let process = Process::spawn(fork_and_return, ()).unwrap();
    assert_eq!(process.result().unwrap(), 2);
}
