//! The program as its users run it.

#![cfg(unix)]

use std::collections::HashMap;
use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

const TOUR: &str = env!("CARGO_BIN_EXE_tour");

/// Runs a command; if it hangs, ends it and says what it had printed.
fn finish(command: &mut Command) -> Output {
    let shown = format!("{command:?}");
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let pid = child.id();
    let waiting =
        thread::spawn(move || child.wait_with_output().expect("the program can be waited for"));
    let start = Instant::now();
    while !waiting.is_finished() {
        if start.elapsed() > Duration::from_secs(120) {
            signal(pid, libc::SIGKILL);
            panic!("{shown} hangs: {:?}", waiting.join());
        }
        thread::sleep(Duration::from_millis(5));
    }
    waiting.join().unwrap()
}

fn signal(pid: u32, signal: i32) {
    // SAFETY: `kill` takes no pointers; the process is a child that was not waited for yet, so
    // the number is still its own.
    let sent = unsafe { libc::kill(pid as libc::pid_t, signal) };
    assert_eq!(sent, 0, "the child is there");
}

fn tour(arguments: &[&OsStr]) -> Output {
    finish(Command::new(TOUR).args(arguments))
}

/// The program's report on a path, as JSON, and its standard error.
fn told(path: &Path, more: &[&str]) -> (Value, String) {
    let mut arguments = vec![path.as_os_str(), OsStr::new("--json")];
    arguments.extend(more.iter().map(OsStr::new));
    let output = tour(&arguments);
    assert!(output.status.success(), "{output:?}");
    (
        serde_json::from_slice(&output.stdout).expect("the output is JSON"),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// Without the times, which are never the same.
fn totals(mut value: Value) -> Value {
    let seconds = value.as_object_mut().unwrap().remove("seconds").expect("there are times");
    assert!(seconds["threads"].is_f64() && seconds["single"].is_f64(), "{seconds}");
    value
}

/// The definition, by the plainest code there is.
fn naive(files: &[Vec<u8>], unreadable: u64) -> Value {
    let mut words = 0_u64;
    let mut frequencies: HashMap<String, u64> = HashMap::new();
    for file in files {
        for word in String::from_utf8_lossy(file).split_whitespace() {
            words += 1;
            *frequencies.entry(word.to_owned()).or_default() += 1;
        }
    }
    let mut top: Vec<_> = frequencies.into_iter().collect();
    top.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    top.truncate(10);
    let top: Vec<_> =
        top.into_iter().map(|(word, count)| json!({ "word": word, "count": count })).collect();
    let bytes = files.iter().map(|file| file.len() as u64).sum::<u64>();
    json!({
        "files": files.len(), "bytes": bytes, "words": words, "unreadable": unreadable, "top": top,
    })
}

/// A tree of many files, and their contents.
fn many_files(folder: &Path) -> Vec<Vec<u8>> {
    let mut state = 1_u64;
    let mut next = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let pieces: [&[u8]; 9] = [
        b"lock ",
        b"wait\n",
        b"wake\t",
        b"queue ",
        b"\xff ",
        "\u{2003}".as_bytes(),
        b"x",
        b"a b c d e ",
        "é ".as_bytes(),
    ];
    let mut files = Vec::new();
    for number in 0..2_000 {
        let nested = folder.join(format!("{}/{}", number % 7, number % 31));
        fs::create_dir_all(&nested).unwrap();
        let content: Vec<u8> =
            (0..next(80)).flat_map(|_| pieces[next(9) as usize].to_vec()).collect();
        fs::write(nested.join(format!("file {number}")), &content).unwrap();
        files.push(content);
    }
    // One that is larger than the buffer it is read into, with a word across every border.
    let large = b"longword, ".repeat(300_000);
    fs::write(folder.join("large"), &large).unwrap();
    files.push(large);
    files
}

#[test]
fn totals_are_those_of_the_definition_with_any_number_of_threads() {
    let folder = TempDir::new().unwrap();
    let expected = naive(&many_files(folder.path()), 0);
    for threads in ["1", "2", "16"] {
        assert_eq!(
            totals(told(folder.path(), &["--threads", threads]).0),
            expected,
            "{threads} threads"
        );
    }
}

/// As `totals`, of a run with processes.
#[cfg(target_os = "linux")]
fn totals_of_processes(mut value: Value) -> Value {
    let seconds = value.as_object_mut().unwrap().remove("seconds").expect("there are times");
    assert!(seconds["processes"].is_f64() && seconds["single"].is_f64(), "{seconds}");
    value
}

#[cfg(target_os = "linux")]
#[test]
fn processes_give_the_totals_of_the_definition() {
    let folder = TempDir::new().unwrap();
    let expected = naive(&many_files(folder.path()), 0);
    for processes in ["1", "3"] {
        let (value, stderr) = told(folder.path(), &["--processes", processes]);
        assert_eq!(totals_of_processes(value), expected, "{processes} processes");
        assert_eq!(stderr, "");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn killed_processes_change_nothing_in_the_totals() {
    let folder = TempDir::new().unwrap();
    many_files(folder.path());
    // Work for long enough that several are killed.
    let large = b"some words of a large file, over and over\n".repeat(1 << 15);
    for number in 0..6 {
        fs::write(folder.path().join(format!("larger {number}")), &large).unwrap();
    }
    let plain = totals(told(folder.path(), &[]).0);
    let (value, _) = told(folder.path(), &["--processes", "3", "--chaos"]);
    let mut value = totals_of_processes(value);
    let kills = value.as_object_mut().unwrap().remove("kills").unwrap().as_u64().unwrap();
    println!("{kills} kills");
    assert_eq!(value, plain);
    assert!(kills > 0, "no process was killed");
}

#[cfg(target_os = "linux")]
#[test]
fn paths_of_any_kind_and_unreadable_files_are_counted_by_processes_too() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"no text \xff")), "a b").unwrap();
    symlink(folder.path().join("nowhere"), folder.path().join("link")).unwrap();
    let one = folder.path().join("one");
    fs::write(&one, "c").unwrap();
    let (value, _) = told(folder.path(), &["--processes", "2"]);
    assert_eq!((value["files"].as_u64(), value["words"].as_u64()), (Some(2), Some(3)));
    // The root itself may be a link, and a file.
    let link = folder.path().join("to one");
    symlink(&one, &link).unwrap();
    assert_eq!(told(&link, &["--processes", "2"]).0["words"], 1);
}

#[test]
fn json_has_the_shape_it_should() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("one"), "b a b").unwrap();
    let (value, stderr) = told(folder.path(), &[]);
    let keys = |value: &Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&value), ["bytes", "files", "seconds", "top", "unreadable", "words"]);
    assert_eq!(keys(&value["seconds"]), ["single", "threads"]);
    assert_eq!(value["top"], json!([{ "word": "b", "count": 2 }, { "word": "a", "count": 1 }]));
    assert_eq!(stderr, "", "no bar and no complaint without a terminal");
}

#[test]
fn people_are_told_the_same() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("one"), "b a b").unwrap();
    let output = tour(&[folder.path().as_os_str()]);
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "files                        1",
        "words                        3",
        "2  b",
        "1  a",
        "one thread alone: ",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "no escape sequences outside a terminal");
}

#[test]
fn hidden_empty_and_oddly_named_files_count() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(".hidden"), "one").unwrap();
    fs::write(folder.path().join("empty"), "").unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"\xff\xfe\n")), "two three").unwrap();
    fs::create_dir(folder.path().join(OsStr::from_bytes(b"dir\x80"))).unwrap();
    fs::write(folder.path().join(OsStr::from_bytes(b"dir\x80/four")), "four").unwrap();
    let (value, _) = told(folder.path(), &[]);
    assert_eq!(
        (&value["files"], &value["words"], &value["unreadable"]),
        (&json!(4), &json!(4), &json!(0))
    );
}

#[test]
fn links_are_not_followed_unless_they_are_the_path() {
    let (inside, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    fs::write(outside.path().join("file"), "not counted").unwrap();
    fs::write(inside.path().join("file"), "counted").unwrap();
    symlink(outside.path(), inside.path().join("to-folder")).unwrap();
    symlink(outside.path().join("file"), inside.path().join("to-file")).unwrap();
    symlink(inside.path(), inside.path().join("loop")).unwrap();
    symlink("nowhere", inside.path().join("dangling")).unwrap();
    let (value, stderr) = told(inside.path(), &[]);
    assert_eq!(
        (&value["files"], &value["words"], &value["unreadable"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(stderr, "");
    for link in ["to-folder", "to-file"] {
        let (value, _) = told(&inside.path().join(link), &[]);
        assert_eq!(
            (&value["files"], &value["words"], &value["unreadable"]),
            (&json!(1), &json!(2), &json!(0)),
            "{link}"
        );
    }
}

#[test]
fn pipes_and_sockets_are_not_even_opened() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("file"), "counted").unwrap();
    let pipe = folder.path().join("pipe");
    mkfifo(&pipe);
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("socket")).unwrap();
    let (value, stderr) = told(folder.path(), &[]);
    assert_eq!((&value["files"], &value["unreadable"]), (&json!(1), &json!(0)), "{stderr}");
    let output = tour(&[pipe.as_os_str()]);
    assert_eq!(output.status.code(), Some(2));
}

fn mkfifo(path: &Path) {
    let name = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: the name is a live string that ends with NUL.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
}

/// A file that the walk saw may be something else when it is opened.
#[test]
fn what_has_become_something_else_is_refused_at_once() {
    let folder = TempDir::new().unwrap();
    let tree = sync_benches::tour::tree::Tree::at(folder.path()).unwrap();
    let at = |name: &str| folder.path().join(name);
    mkfifo(&at("pipe"));
    fs::write(at("file"), "").unwrap();
    symlink(at("file"), at("link")).unwrap();
    assert!(tree.open(&at("file")).is_ok());
    for name in ["pipe", "link", "vanished", "."] {
        assert!(tree.open(&at(name)).is_err(), "{name}");
    }
}

#[test]
fn a_file_may_be_the_path() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, "a b\u{a0}c").unwrap();
    assert_eq!(totals(told(&path, &[]).0), naive(&["a b\u{a0}c".into()], 0));
}

#[test]
fn an_empty_folder_has_nothing() {
    let folder = TempDir::new().unwrap();
    assert_eq!(totals(told(folder.path(), &["--threads", "16"]).0), naive(&[], 0));
}

#[test]
fn unreadable_files_are_named_and_counted_and_change_nothing_else() {
    let folder = TempDir::new().unwrap();
    let tree = folder.path().join("tree");
    fs::create_dir_all(tree.join("locked")).unwrap();
    fs::write(tree.join("readable"), "one two").unwrap();
    fs::write(tree.join("secret"), "three").unwrap();
    fs::write(tree.join("locked/unseen"), "four").unwrap();
    let chmod =
        |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    chmod(&tree.join("secret"), 0o000);
    chmod(&tree.join("locked"), 0o000);
    // Root may read everything, so the program, or rather a copy that others may run, runs as
    // another user.
    chmod(folder.path(), 0o755);
    let program: PathBuf = folder.path().join("tour");
    fs::copy(TOUR, &program).unwrap();
    chmod(&program, 0o755);
    let mut command = Command::new(&program);
    command.arg(&tree).arg("--json").current_dir(folder.path());
    // SAFETY: `geteuid` only returns a number.
    if unsafe { libc::geteuid() } == 0 {
        command.uid(65_534).gid(65_534);
    }
    let output = finish(&mut command);
    chmod(&tree.join("locked"), 0o700);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert_eq!(
        totals(serde_json::from_slice(&output.stdout).unwrap()),
        naive(&[b"one two".to_vec()], 2)
    );
    let mut lines: Vec<_> = stderr.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 2, "{stderr}");
    for (line, name) in lines.iter().zip(["locked", "secret"]) {
        assert!(
            line.starts_with("unreadable: ")
                && line.contains(name)
                && line.contains("ermission denied"),
            "{stderr}"
        );
    }
}

#[test]
fn bad_arguments_are_errors() {
    let folder = TempDir::new().unwrap();
    let missing = folder.path().join("missing");
    for (arguments, named) in [
        (vec![missing.as_os_str()], "missing"),
        (vec![missing.as_os_str(), OsStr::new("--json")], "missing"),
        (vec![folder.path().as_os_str(), OsStr::new("--threads"), OsStr::new("0")], "--threads"),
        (vec![folder.path().as_os_str(), OsStr::new("--threads"), OsStr::new("many")], "--threads"),
        (
            vec![folder.path().as_os_str(), OsStr::new("--threads"), OsStr::new("1000000")],
            "--threads",
        ),
        (vec![OsStr::new("")], "error"),
        (vec![OsStr::new("--unknown")], "--unknown"),
    ] {
        let output = tour(&arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.starts_with("error: ") && stderr.contains(named), "{arguments:?}: {stderr}");
    }
}

#[test]
fn the_default_is_this_repository_from_anywhere() {
    let elsewhere = TempDir::new().unwrap();
    let output = finish(Command::new(TOUR).arg("--json").current_dir(elsewhere.path()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(value["files"].as_u64() > Some(50), "{value}");
}

/// Linux says in `/proc` which signals a process catches.
#[cfg(target_os = "linux")]
#[test]
fn ctrl_c_prints_what_was_counted_so_far() {
    let folder = TempDir::new().unwrap();
    // Far more than can be counted before the signal comes, on little disk: one file under many
    // names.
    const NAMES: u64 = 2_000;
    let content = b"one two three four five six seven eight nine ten\n".repeat(40_000);
    let first = folder.path().join("0");
    fs::write(&first, &content).unwrap();
    for name in 1..NAMES {
        fs::hard_link(&first, folder.path().join(name.to_string())).unwrap();
    }
    let mut command = Command::new(TOUR);
    command.arg(folder.path()).args(["--json", "--threads", "3"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = child.id();
    let waiting = thread::spawn(move || child.wait_with_output().unwrap());
    let start = Instant::now();
    let give_up = |what: &str| {
        if start.elapsed() > Duration::from_secs(60) {
            signal(pid, libc::SIGKILL);
            panic!("the program {what}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    while !catches_interrupts(pid) {
        assert!(!waiting.is_finished(), "the program ended by itself: {:?}", waiting.join());
        give_up("does not catch SIGINT");
    }
    thread::sleep(Duration::from_millis(200));
    signal(pid, libc::SIGINT);
    while !waiting.is_finished() {
        give_up("does not end after SIGINT");
    }
    let output = waiting.join().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("interrupted"), "{stderr}");
    let value: Value =
        serde_json::from_slice(&output.stdout).expect("the partial report is whole JSON");
    let files = value["files"].as_u64().unwrap();
    assert!(files < NAMES, "stopped before the end");
    assert_eq!(value["words"], json!(files * 400_000), "whole files only");
    assert_eq!(value["bytes"], json!(files * content.len() as u64));
    assert_eq!(value["seconds"]["single"], Value::Null);
    assert!(value["seconds"]["threads"].is_f64());
}

#[cfg(target_os = "linux")]
fn catches_interrupts(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).map_or("0", str::trim);
    u64::from_str_radix(mask, 16).unwrap_or(0) & 1 << (libc::SIGINT - 1) != 0
}

/// The reader may go away before the report is written.
#[test]
fn no_thread_reading_is_no_panic() {
    let folder = TempDir::new().unwrap();
    let mut child = Command::new(TOUR)
        .arg(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&output.stderr).contains("panic"), "{output:?}");
}
