//! Runs the examples: they are part of the documentation, so they have to work. Cargo has built
//! them for this test.

use std::path::PathBuf;
use std::process::Command;

fn run(name: &str) -> String {
    // target/<profile>/deps/examples-... -> target/<profile>/examples/<name>
    let mut path = std::env::current_exe().expect("a test has a path");
    path.pop();
    path.pop();
    let path: PathBuf =
        path.join("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let output =
        Command::new(&path).output().unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

#[test]
fn queues() {
    let text = run("queues");
    for line in [
        "no room for 4",
        "first out: [3, 1, 2]",
        "first out:  [2, 1, 3]",
        "lowest first:        [1, 2, 3]",
        "nothing is left",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn producer_consumer() {
    let text = run("producer_consumer");
    assert!(text.contains("all is done: 52450"), "{text}");
    assert_eq!(text.matches("goes home").count(), 3);
}

#[test]
fn thread_pool() {
    let text = run("thread_pool");
    for line in [
        "worker_0 starts",
        "in order: [0, 1, 4]",
        "4 squared is 16",
        "the job panicked: ",
        "the pool has ended",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

#[test]
fn worker_pool() {
    let text = run("worker_pool");
    assert!(text.contains("the sum of all jobs but one: 4937"), "{text}");
}

#[test]
fn asyncio_queues() {
    let text = run("asyncio_queues");
    for line in [
        "three workers did 20 jobs, and the sum is 210",
        "by priority [1, 2, 3], last first [2, 1, 3]",
        "timed out: true",
        "3 jobs are done, and the sum is 14",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
