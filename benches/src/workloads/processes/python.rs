//! The installed Python's `multiprocessing`: a script that does rounds on request.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use crate::compare::subject::{Contestant, Length, Outcome, Subject};
use crate::workloads::ipc_messages::ops;

const SCRIPT: &str = include_str!("python.py");

/// Whether there is a Python with the module. If not, that is printed once.
static INSTALLED: LazyLock<bool> = LazyLock::new(|| {
    let mut python = Command::new("python3");
    python.args(["-c", "import multiprocessing"]);
    python.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let installed = python.status().is_ok_and(|status| status.success());
    if !installed {
        eprintln!("no python3 with multiprocessing: it is left out of the comparison");
    }
    installed
});

/// A Python program that does one kind of operation.
struct Python {
    /// A file: a child that Python spawns imports its parent's program from its path.
    script: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    /// The operations of a self-check.
    few: u64,
    /// A round has at least this many operations.
    step: u64,
}

/// Python's contestant, if it is installed.
pub(super) fn python(
    peer: &'static str,
    kind: &'static str,
    number: u64,
    few: u64,
    step: u64,
) -> Option<Contestant> {
    INSTALLED.then(|| {
        Contestant::new(peer, move || {
            let name = format!("sync-benches-{}-{peer}-{kind}.py", std::process::id());
            let script = std::env::temp_dir().join(name);
            std::fs::write(&script, SCRIPT).expect("a folder for temporary files");
            let mut child = Command::new("python3")
                .arg(&script)
                .args([kind, &number.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("it was there before");
            let stdin = child.stdin.take();
            let stdout = BufReader::new(child.stdout.take().expect("piped"));
            Python { script, child, stdin, stdout, few, step }
        })
    })
}

impl Subject for Python {
    fn round(&mut self, length: Length) -> Result<Outcome, String> {
        let n = ops(length)?.next_multiple_of(self.step);
        let stdin = self.stdin.as_mut().ok_or("it has ended")?;
        writeln!(stdin, "{n}").map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        let ns = line.trim().parse().map_err(|_| "it did not do its operations".to_owned())?;
        Ok(Outcome::timed(n, Duration::from_nanos(ns)))
    }

    fn check(&mut self) -> Result<(), String> {
        self.round(Length::Ops(self.few)).map(drop)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        // The end of its input ends it.
        drop(self.stdin.take());
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.script);
    }
}
