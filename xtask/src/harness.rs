//! Builds the program that holds the models, and runs it.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use serde_json::Value;

use crate::Stop;
use crate::sample::Sample;

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the root")
}

/// A checker that explores the models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Engine {
    Verify,
    Loom,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Engine::Verify => "verify",
            Engine::Loom => "loom",
        }
    }

    fn cfg(self) -> &'static str {
        match self {
            Engine::Verify => "sync_verify",
            Engine::Loom => "loom",
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A line of the report file: the end of one exploration of a test.
#[derive(Debug, Deserialize)]
pub(crate) struct Explored {
    pub model: String,
    pub executions: u64,
    pub blocked: u64,
    pub events: Option<u64>,
    pub seconds: f64,
    pub bounds: String,
    pub limit: Option<String>,
    pub failure: Option<String>,
}

/// A line of the report file: one change of a model.
#[derive(Debug, Deserialize)]
pub(crate) struct Mutant {
    pub model: String,
    pub change: String,
    pub caught: Option<String>,
    /// The executions until it was caught, or those of all.
    pub executions: u64,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Line {
    Mutant(Mutant),
    Explored(Explored),
}

/// An event while the models run.
#[derive(Debug)]
pub(crate) enum Event<'a> {
    /// This test is going to run.
    Planned(&'a str),
    /// A line of the report.
    Line(Line),
    /// A test ended.
    Ended { test: &'a str, passed: bool },
}

/// The program that holds the models, built for one checker.
#[derive(Debug)]
pub(crate) struct Harness {
    engine: Engine,
    program: PathBuf,
}

impl Harness {
    /// Builds the program. Each checker has a target directory of its own, because it needs
    /// everything compiled with another cfg.
    pub(crate) fn build(engine: Engine) -> Result<Harness, String> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
        let mut command = Command::new(cargo);
        command.current_dir(root()).args([
            "test",
            "--config",
            &format!("build.rustflags=['--cfg', '{}']", engine.cfg()),
            "--target-dir",
            &format!("target/{engine}"),
            "-p",
            "sync-verify",
            "--release",
            "--test",
            "models",
            "--no-run",
            "--message-format=json-render-diagnostics",
        ]);
        if let Ok(flags) = std::env::var("RUSTFLAGS") {
            // The variable overrides the setting above.
            command.env("RUSTFLAGS", format!("{flags} --cfg {}", engine.cfg()));
        }
        let output = command
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| format!("cargo cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("the models cannot be built for {engine}"));
        }
        let program = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["target"]["name"] == "models")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .ok_or("cargo does not report where it put the models")?;
        Ok(Harness { engine, program })
    }

    fn command(&self, filters: &[String]) -> Command {
        let mut command = Command::new(&self.program);
        // Tests run in the directory of their package.
        command.current_dir(root().join("verify")).args(filters);
        command
    }

    /// The names of the tests that `filters` match. The first filter may be `--exact`.
    fn tests(&self, filters: &[String]) -> Result<Vec<String>, String> {
        let output = self
            .command(filters)
            .args(["--list", "--format", "terse"])
            .output()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        Ok(String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.strip_suffix(": test").map(str::to_owned))
            .collect())
    }

    /// Returns filters that match a part of the models that `filters` match, each with all of its
    /// tests.
    pub(crate) fn sample(&self, filters: &[String], sample: Sample) -> Result<Vec<String>, String> {
        let mut tests = self.tests(filters)?;
        tests.retain(|test| sample.has(test.rsplit_once("::").map_or(test, |(model, _)| model)));
        if tests.is_empty() {
            return Err(String::from("no model is in this sample"));
        }
        tests.insert(0, String::from("--exact"));
        Ok(tests)
    }

    /// Runs the tests that `filters` match, and returns whether all of them passed. `see` sees
    /// each event as it happens.
    pub(crate) fn run(
        &self,
        filters: &[String],
        environment: &[(&str, String)],
        stop: &Stop,
        see: &mut dyn FnMut(Event<'_>),
    ) -> Result<bool, String> {
        let tests = self.tests(filters)?;
        if tests.is_empty() {
            return Err(format!("no model has `{}` in its name", filters.join("` or `")));
        }
        tests.iter().for_each(|test| see(Event::Planned(test)));

        let report =
            root().join(format!("target/{}/report.{}.jsonl", self.engine, std::process::id()));
        let failed = |error: std::io::Error| format!("{}: {error}", report.display());
        File::create(&report).map_err(failed)?;
        let mut reader = Follower::open(&report).map_err(failed)?;
        let mut child = self
            .command(filters)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .env("MODEL_REPORT", &report)
            .env_remove("RUST_BACKTRACE")
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", self.program.display()))?;
        let mut passed = 0;
        let complaints = self.follow(
            &mut child,
            tests.len(),
            stop,
            &mut |event| {
                if let Event::Ended { passed: true, .. } = event {
                    passed += 1;
                }
                see(event);
            },
            &mut reader,
        );
        if stop.load(Ordering::Relaxed) {
            // It may have ended by itself: Ctrl-C reaches it too.
            let _ = child.kill();
        }
        let status = child.wait().map_err(|error| error.to_string())?;
        drop(reader);
        let _ = std::fs::remove_file(&report);
        if !status.success() && !stop.load(Ordering::Relaxed) {
            eprint!("{complaints}");
            eprintln!("{}: {status}", self.engine);
        }
        Ok(status.success() && passed == tests.len())
    }

    /// Reads what the program prints until it ends. Returns what it prints about failures.
    fn follow(
        &self,
        child: &mut Child,
        tests: usize,
        stop: &Stop,
        see: &mut dyn FnMut(Event<'_>),
        report: &mut Follower,
    ) -> String {
        let bar = ProgressBar::with_draw_target(Some(tests as u64), ProgressDrawTarget::stderr());
        bar.set_style(
            ProgressStyle::with_template("{prefix} {pos}/{len} {wide_bar} {elapsed} {msg}")
                .expect("a valid template"),
        );
        bar.set_prefix(self.engine.name());
        let is_terminal = std::io::stderr().is_terminal();

        let stdout = child.stdout.take().expect("stdout is a pipe");
        let (sender, lines) = mpsc::channel();
        // The thread ends with the pipe, that is with the program.
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });

        let mut done = 0;
        let mut executions = 0;
        let mut complaints = None;
        loop {
            let line = match lines.recv_timeout(Duration::from_millis(100)) {
                Ok(line) => Some(line),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            report.lines(&mut |line| {
                if let Line::Explored(explored) = &line {
                    executions += explored.executions;
                }
                see(Event::Line(line));
            });
            // Relaxed: a flag; no data is published through it.
            if stop.load(Ordering::Relaxed) {
                break;
            }
            bar.set_message(format!("{executions} executions"));
            let Some(line) = line else { continue };
            if let Some((test, passed)) = ended(&line) {
                done += 1;
                bar.inc(1);
                see(Event::Ended { test, passed });
                let verdict = if passed { "ok" } else { "FAILED" };
                if !passed || !is_terminal {
                    bar.suspend(|| {
                        eprintln!("{} {done}/{tests} {test} {verdict}", self.engine);
                    });
                }
            } else if line == "failures:" {
                complaints.get_or_insert_with(String::new);
            } else if let Some(text) = &mut complaints {
                *text += &line;
                text.push('\n');
            }
        }
        report.lines(&mut |line| see(Event::Line(line)));
        bar.finish_and_clear();
        complaints.unwrap_or_default()
    }
}

/// The test that ended, and whether it passed, by a line of the test program.
fn ended(line: &str) -> Option<(&str, bool)> {
    let (test, end) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    match end {
        "ok" => Some((test, true)),
        "FAILED" => Some((test, false)),
        _ => None,
    }
}

/// Reads a file that grows.
#[derive(Debug)]
struct Follower {
    file: File,
    /// The beginning of a line whose end is not yet there.
    rest: String,
}

impl Follower {
    fn open(path: &Path) -> std::io::Result<Follower> {
        Ok(Follower { file: File::open(path)?, rest: String::new() })
    }

    /// Passes on the lines that were added.
    fn lines(&mut self, see: &mut dyn FnMut(Line)) {
        if self.file.read_to_string(&mut self.rest).is_err() {
            return;
        }
        while let Some(end) = self.rest.find('\n') {
            let line: String = self.rest.drain(..=end).collect();
            match serde_json::from_str(&line) {
                Ok(line) => see(line),
                Err(error) => eprintln!("warning: a line of the report is not understood: {error}"),
            }
        }
    }
}
