//! A test that runs itself once more in a child process, for what ends a process.

use std::process::{Command, Output, Stdio};

const CHILD: &str = "SYNC_CORE_TEST_CHILD";

/// Whether this is the child.
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Runs the test `name` of this binary alone in a child, with `stderr` in the place of its standard
/// error.
pub(crate) fn run(name: &str, stderr: Stdio) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .env("RUST_BACKTRACE", "0")
        .stderr(stderr)
        .stdout(Stdio::piped())
        .output()
        .unwrap()
}
