//! Whole programs: without `init`, with children at their end, interrupted.
#![cfg(all(target_os = "linux", feature = "process"))]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Cargo builds the examples of the package, and with them these programs, before its tests run.
fn program(name: &str) -> Command {
    let mut path = std::env::current_exe().expect("a path");
    path.pop();
    path.pop();
    let mut program = Command::new(path.join("examples").join(name));
    // A shell starts what it runs in the background with interrupts ignored, and that is inherited.
    let interrupts = || {
        // SAFETY: of this child, before it executes.
        unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
        Ok(())
    };
    // SAFETY: the call is one that a forked child may make.
    unsafe { program.pre_exec(interrupts) };
    program
}

fn exists(pid: u32) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

fn until_gone(pid: u32) {
    let started = Instant::now();
    while exists(pid) {
        assert!(started.elapsed() < Duration::from_secs(60), "process {pid} does not end");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The number in a line `NAME NUMBER`.
fn number(line: &str) -> u32 {
    line.split_whitespace().nth(1).and_then(|word| word.parse().ok()).expect(line)
}

#[test]
fn a_program_without_init_is_told_so_and_starts_nothing() {
    let output = program("uninitialised").output().expect("built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("sync_ipc::init()") && output.status.success(), "{output:?}");
}

#[test]
fn a_variable_that_is_inherited_makes_no_child() {
    let output = program("uninitialised").env("SYNC_IPC_CHILD", "1").output().expect("built");
    assert!(output.status.success(), "{output:?}");
    let output = program("tree").arg("exit").env("SYNC_IPC_CHILD", "1").output().expect("built");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn at_its_end_a_program_waits_for_its_children_and_ends_its_daemons() {
    let output = program("tree").arg("exit").output().expect("built");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("slow child ends").count(), 2, "{text}");
    let daemon = text.lines().find(|line| line.starts_with("daemon")).expect("a line");
    until_gone(number(daemon));
}

#[test]
fn an_interrupt_reaches_each_process_once_and_the_tree_ends_in_order() {
    let mut program = program("tree");
    let mut parent =
        program.arg("interrupt").stdout(Stdio::piped()).process_group(0).spawn().expect("built");
    let mut lines = BufReader::new(parent.stdout.take().expect("piped"));
    let mut sheltered = 0;
    for _ in 0..4 {
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        if line.starts_with("sheltered") {
            sheltered = number(&line);
        }
    }
    // As the terminal does.
    // SAFETY: the group of the program.
    unsafe { libc::kill(-(parent.id() as i32), libc::SIGINT) };
    let mut rest = String::new();
    lines.read_to_string(&mut rest).expect("its end");
    assert!(parent.wait().expect("it ends").success(), "{rest}");
    for name in ["a", "b", "parent"] {
        assert!(rest.contains(&format!("{name} was interrupted 1 times")), "{rest}");
    }
    assert!(rest.ends_with("parent ends\n"), "{rest}");
    until_gone(sheltered);
}

/// With a process, a pool at work, a manager and a name. Twice: the program handles the interrupt,
/// or is ended by it.
#[cfg(feature = "manager")]
#[test]
fn an_interrupted_program_leaves_no_process_no_folder_and_no_name() {
    for how in ["in order", "at once"] {
        let mut program = program("tree");
        program.args(["everything", how]).stdout(Stdio::piped()).process_group(0);
        let mut parent = program.spawn().expect("built");
        let mut lines = BufReader::new(parent.stdout.take().expect("piped")).lines();
        let (mut pids, mut folder, mut name) = (Vec::new(), None, None);
        loop {
            let line = lines.next().expect("not at its end").expect("UTF-8");
            let rest = || line.split_once(' ').expect("two words").1.to_owned();
            match line.split(' ').next() {
                Some("pid") => pids.push(number(&line)),
                Some("folder") => folder = Some(std::path::PathBuf::from(rest())),
                Some("name") => name = Some(rest()),
                Some("parent") => break,
                _ => panic!("{line}"),
            }
        }
        let (folder, name) = (folder.expect("a line"), name.expect("a line"));
        assert!(pids.len() == 4 && folder.exists());
        // As the terminal does.
        // SAFETY: the group of the program.
        unsafe { libc::kill(-(parent.id() as i32), libc::SIGINT) };
        let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
        let ended = parent.wait().expect("it ends");
        if how == "in order" {
            assert!(ended.success(), "{rest:?}");
            assert_eq!(rest, ["parent was interrupted 1 times", "parent ends"]);
        } else {
            assert!(!ended.success());
        }
        // Daemons that are given up end a moment after their parent.
        pids.into_iter().for_each(until_gone);
        assert!(!folder.exists(), "{how}: {folder:?}");
        // SAFETY: takes no arguments and always succeeds.
        let user = unsafe { libc::getuid() };
        let file = std::path::PathBuf::from(format!("/dev/shm/sync-ipc.{user}.{name}"));
        if how == "at once" && file.exists() {
            // Some kB, as after `kill -9`, until names are created.
            let started = Instant::now();
            while file.exists() {
                assert!(started.elapsed() < Duration::from_secs(60), "{file:?} stays");
                drop(sync_ipc::SharedMemory::create_new(100).expect("a name"));
            }
        }
        assert!(!file.exists(), "{how}");
    }
}

#[test]
fn a_program_with_a_pool_in_a_global_ends_and_so_do_the_workers() {
    let output = program("tree").arg("global").output().expect("built");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.lines().count(), 2);
    text.lines().for_each(|line| until_gone(number(line)));
}

#[test]
fn a_killed_program_takes_its_daemons_with_it() {
    let mut parent = program("tree").arg("exit").stdout(Stdio::piped()).spawn().expect("built");
    let mut lines = BufReader::new(parent.stdout.take().expect("piped"));
    let mut line = String::new();
    lines.read_line(&mut line).expect("a line");
    while !line.starts_with("daemon") {
        line.clear();
        lines.read_line(&mut line).expect("a line");
    }
    parent.kill().expect("it runs");
    parent.wait().expect("it ends");
    until_gone(number(&line));
}
