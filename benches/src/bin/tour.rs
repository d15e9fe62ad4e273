//! `cargo tour`: the words of every file under a path, counted by threads that meet through the
//! workspace's queue and mutex.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sync_benches::tour::report::Report;
use sync_benches::tour::tree::Tree;
use sync_benches::tour::{Observer, Tour};

/// How a program ends that Ctrl-C stopped: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;

/// Counts the words of every regular file under PATH.
///
/// One thread walks the tree, N threads take paths from a bounded queue and count; or, with
/// --processes, N processes of a pool do. Symbolic links below PATH are not followed; PATH itself may be one, or a file. What cannot be read is counted,
/// named on stderr, and changes nothing else. Ctrl-C prints what was counted so far; a second one
/// ends the program at once.
///
/// Exit status: 0; 2 if PATH does not exist; 130 after Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo tour", bin_name = "cargo tour")]
struct Arguments {
    /// Where to begin; without it, this repository, leaving out cargo's build directory `target`
    path: Option<PathBuf>,
    /// Counting threads; without it, as many as there are processors
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Count with this many processes instead of threads
    #[cfg(target_os = "linux")]
    #[arg(long, conflicts_with = "threads", value_parser = clap::value_parser!(u16).range(1..=256))]
    processes: Option<u16>,
    /// Kill one of the processes now and then: the totals do not change
    #[cfg(target_os = "linux")]
    #[arg(long, requires = "processes")]
    chaos: bool,
    /// Print {"files", "bytes", "words", "unreadable", "top", "seconds": {"threads", "single"}}
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    sync_ipc::init();
    let arguments = Arguments::parse();
    let tree = arguments.path.as_deref().map_or_else(Tree::repository, Tree::at);
    let tree = match tree {
        Ok(tree) => tree,
        Err(error) => {
            eprintln!(
                "error: {}: {error}",
                named(arguments.path.as_deref().unwrap_or(Path::new(".")))
            );
            return ExitCode::from(2);
        }
    };
    let threads = arguments
        .threads
        .map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from);
    let title = format!(
        "{}{}\n",
        named(tree.root()),
        if tree.skips_build() { " (without target)" } else { "" }
    );
    let tour = Arc::new(Tour::new(tree, threads));
    let on_interrupt = Arc::clone(&tour);
    let listening = ctrlc::set_handler(move || {
        if !on_interrupt.stop() {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = listening {
        eprintln!("warning: Ctrl-C will end the program without a report: {error}");
    }
    let watcher = Watcher::new();
    #[cfg(target_os = "linux")]
    let result = match arguments.processes {
        Some(processes) => tour.run_processes(processes.into(), arguments.chaos, &watcher),
        None => tour.run(&watcher),
    };
    #[cfg(not(target_os = "linux"))]
    let result = tour.run(&watcher);
    watcher.bar.finish_and_clear();
    let report = match result {
        Ok(report) => report,
        Err(error) => {
            eprintln!("error: cannot count: {error}");
            return ExitCode::FAILURE;
        }
    };
    if report.changed {
        eprintln!("note: files changed meanwhile; the numbers are those of the first way through");
    }
    if tour.is_stopped() {
        eprintln!("interrupted: this is what was counted so far");
    }
    match print(&report, &title, arguments.json) {
        // The reader of a pipe may stop reading: `cargo tour | head -1`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ if tour.is_stopped() => ExitCode::from(INTERRUPTED),
        _ => ExitCode::SUCCESS,
    }
}

fn print(report: &Report, title: &str, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{}", report.json())?;
    } else {
        write!(out, "{title}\n{}", report.text())?;
    }
    out.flush()
}

/// A path as a terminal may see it: plainly, unless something in it is no text.
fn named(path: &Path) -> String {
    match path.to_str() {
        Some(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => format!("{path:?}"),
    }
}

/// The progress bar, if standard error is a terminal, and the complaints.
struct Watcher {
    bar: ProgressBar,
}

impl Watcher {
    fn new() -> Self {
        if !io::stderr().is_terminal() {
            return Self { bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::new(0);
        let style = ProgressStyle::with_template(
            "{spinner} {human_pos} of {human_len} files found so far {wide_bar} {elapsed}",
        );
        bar.set_style(style.expect("the template is well formed"));
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }
}

impl Observer for Watcher {
    fn found(&self) {
        self.bar.inc_length(1);
    }

    fn counted(&self, _bytes: u64) {
        self.bar.inc(1);
    }

    fn unreadable(&self, path: &Path, error: &io::Error) {
        // The bar must not write into the middle of the line.
        self.bar.suspend(|| eprintln!("unreadable: {}: {error}", named(path)));
    }
}
