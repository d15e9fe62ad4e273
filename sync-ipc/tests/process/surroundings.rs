//! Environment, working directory, standard streams, arguments, groups, names.

use std::io::{Read, Write};
use std::process::Stdio;

use sync_ipc::{Connection, Process, Stdin, pipe};

use crate::support::{exists, sleep_until_killed, until};

fn variable(name: String) -> Option<String> {
    std::env::var(name).ok()
}

fn directory() -> String {
    std::env::current_dir().unwrap().display().to_string()
}

fn arguments() -> Vec<String> {
    std::env::args().collect()
}

fn echo() -> String {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    println!("out: {text}");
    eprintln!("err: {text}");
    text
}

fn names() -> (String, String) {
    let comm = std::fs::read_to_string("/proc/self/comm").unwrap();
    let line = std::fs::read_to_string("/proc/self/cmdline").unwrap();
    (comm.trim_end().to_owned(), line)
}

fn descriptors() -> usize {
    // Without the one that reads the directory.
    std::fs::read_dir("/proc/self/fd").unwrap().count() - 1
}

fn print_lines(count: usize) {
    for line in 0..count {
        println!("line {line}");
    }
    print!("a last one");
}

fn panic_now() {
    panic!("on purpose");
}

sync_ipc::entry!(variable, directory, arguments, echo, names, descriptors, print_lines, panic_now);

#[test]
fn variables_directory_and_arguments_are_as_set() {
    let set = Process::builder(variable).env("SYNC_IPC_TEST", "yes").spawn("SYNC_IPC_TEST".into());
    assert_eq!(set.unwrap().result().unwrap().as_deref(), Some("yes"));
    let cleared = Process::builder(variable).env_clear().spawn("PATH".into());
    assert_eq!(cleared.unwrap().result().unwrap(), None);
    let removed = Process::builder(variable).env_remove("PATH").spawn("PATH".into());
    assert_eq!(removed.unwrap().result().unwrap(), None);
    let moved = Process::builder(directory).current_dir("/").spawn(());
    assert_eq!(moved.unwrap().result().unwrap(), "/");
    let given = Process::builder(arguments).argv(["--one", "two"]).spawn(());
    assert_eq!(given.unwrap().result().unwrap()[1..], ["--one", "two"]);
}

#[test]
fn standard_streams_are_as_set() {
    assert_eq!(
        Process::builder(echo)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn(())
            .unwrap()
            .result()
            .unwrap(),
        ""
    );
    let mut process = Process::builder(echo)
        .stdin(Stdin::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn(())
        .unwrap();
    process.take_stdin().unwrap().write_all(b"through the pipe").unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    process.take_stdout().unwrap().read_to_string(&mut out).unwrap();
    process.take_stderr().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!(
        (out.as_str(), err.as_str()),
        ("out: through the pipe\n", "err: through the pipe\n")
    );
    assert_eq!(process.result().unwrap(), "through the pipe");
    let file = std::fs::File::open("/proc/version").unwrap();
    let text =
        Process::builder(echo).stdin(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn(());
    assert!(text.unwrap().result().unwrap().starts_with("Linux"));
}

#[test]
fn the_name_is_in_ps_in_both_forms() {
    let process = Process::builder(names).name("a-very-long-name-indeed").spawn(()).unwrap();
    let (comm, line) = process.result().unwrap();
    assert_eq!(comm, "a-very-long-nam");
    assert!(line.contains(": a-very-long-name-indeed"), "{line}");
}

#[test]
fn the_name_is_in_the_panic_that_standard_error_shows() {
    let mut process =
        Process::builder(panic_now).name("panicky").stderr(Stdio::piped()).spawn(()).unwrap();
    let mut text = String::new();
    process.take_stderr().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("panicky") && text.contains("on purpose"), "{text}");
    assert!(text.contains("surroundings.rs:"), "{text}");
}

#[test]
fn siblings_and_descriptors_of_the_parent_do_not_show_in_a_child() {
    let alone = Process::spawn(descriptors, ()).unwrap().result().unwrap();
    let _pipes: Vec<_> = (0..10).map(|_| pipe().unwrap()).collect();
    let siblings: Vec<_> =
        (0..5).map(|_| Process::spawn(sleep_until_killed, ()).unwrap()).collect();
    assert_eq!(Process::spawn(descriptors, ()).unwrap().result().unwrap(), alone);
    for sibling in siblings {
        sibling.kill().unwrap();
        sibling.join().unwrap();
    }
}

/// Starts a process in its own group, and one below it.
fn have_a_child(report: Connection) {
    let child = Process::spawn(sleep_until_killed, ()).unwrap();
    report.send(&child.pid()).unwrap();
    sleep_until_killed();
}
sync_ipc::entry!(have_a_child);

#[test]
fn a_group_is_killed_as_a_whole() {
    let (ours, theirs) = pipe().unwrap();
    let process = Process::builder(have_a_child).group(true).spawn(theirs).unwrap();
    let grandchild: u32 = ours.recv().unwrap();
    assert!(exists(grandchild));
    process.kill_group().unwrap();
    assert_eq!(process.join().unwrap(), -libc::SIGKILL);
    until("the grandchild ends", || !exists(grandchild));
    assert!(process.kill_group().is_err());
}

/// A process whose children's lines it prefixes; its own output is what the test reads.
fn prefix_lines() {
    let child = Process::builder(print_lines).name("printer").log_prefix(true).spawn(3).unwrap();
    child.join().unwrap();
    // The thread that forwards the lines reads until the end.
    until("the lines are there", || std::fs::read_dir("/proc/self/task").unwrap().count() == 1);
}
sync_ipc::entry!(prefix_lines);

#[test]
fn lines_are_prefixed_on_request() {
    let mut process = Process::builder(prefix_lines).stdout(Stdio::piped()).spawn(()).unwrap();
    let mut text = String::new();
    process.take_stdout().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(
        text,
        "[printer] line 0\n[printer] line 1\n[printer] line 2\n[printer] a last one\n"
    );
}

#[test]
fn names_with_a_zero_byte_are_refused() {
    assert!(Process::builder(directory).name("a\0b").spawn(()).is_err());
    assert!(Process::builder(directory).argv(["a\0b"]).spawn(()).is_err());
    assert!(Process::builder(directory).env("A", "a\0b").spawn(()).is_err());
}
