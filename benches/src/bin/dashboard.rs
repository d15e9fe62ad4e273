//! `cargo dashboard`: measures everything and draws the page.

use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use serde_json::Value;
use sync_benches::compare::runner::{self, Watchdog};
use sync_benches::compare::select::select;
use sync_benches::compare::stats::LEAST_ROUNDS;
use sync_benches::dashboard::record::{self, Record};
use sync_benches::dashboard::{page, project, tables};
use sync_benches::workloads;

/// Measures ours beside every peer and draws one page of it.
///
/// Writes index.html, record.json, github-action.json and bmf.json. Exit status: 0, or 1 if a
/// contestant lost or doubled something or a file could not be written, or 2 for a FILTER that
/// matches nothing.
#[derive(Debug, Parser)]
#[command(name = "cargo dashboard", bin_name = "cargo dashboard")]
struct Arguments {
    /// Only what has this piece in its id, as for `cargo compare`
    filter: Option<String>,
    /// Every workload but the large grids, with few rounds: some minutes (the default)
    #[arg(long, conflicts_with = "full")]
    quick: bool,
    /// The large grids too, with as many rounds as each workload wants
    #[arg(long)]
    full: bool,
    /// Draw this record and measure nothing
    #[arg(long, value_name = "RECORD", conflicts_with_all = ["filter", "quick", "full", "keep"])]
    from: Option<PathBuf>,
    /// Write the latest kept record of each machine to BENCHMARKS.md, and measure nothing
    #[arg(long, conflicts_with_all = ["filter", "quick", "full", "keep", "from", "out"])]
    document: bool,
    /// Keep the record as a dated one of this machine, in benches/record/
    #[arg(long)]
    keep: bool,
    /// The folder to write to
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// The rounds of a quick run: two more than carry an interval, so that one outlier moves nothing.
const QUICK_ROUNDS: usize = LEAST_ROUNDS + 3;

fn main() -> ExitCode {
    workloads::run_if_child();
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> io::Result<ExitCode> {
    if arguments.document {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../BENCHMARKS.md");
        let document = fs::read_to_string(&path)?;
        write(&path, &tables::update(&document, &tables::latest(&record::folder())?)?)?;
        println!("{}", path.display());
        return Ok(ExitCode::SUCCESS);
    }
    let mut failed = false;
    let record = match &arguments.from {
        Some(path) => Record::read(path)?,
        None => {
            let filter = arguments.filter.as_deref();
            let chosen = match select(workloads::all(), filter, arguments.full) {
                Ok(chosen) => chosen,
                Err(complaint) => {
                    eprintln!("error: {complaint}");
                    return Ok(ExitCode::from(2));
                }
            };
            let rounds = (!arguments.full).then_some(QUICK_ROUNDS);
            let (record, failures) = measure(&chosen, rounds);
            failed = failures;
            record
        }
    };
    let folder = record::folder();
    if arguments.keep {
        let path = folder.join(record.machine_key()).join(format!("{}.json", record.date));
        write(&path, &record.to_json())?;
        println!("{}", path.display());
    }
    let history = record::history(&folder, &record.machine_key())?;
    let out = arguments.out.clone().unwrap_or_else(default_folder);
    let json = |value: Value| format!("{value:#}\n");
    let pages = [
        ("index.html", page::draw(&record, &history)),
        ("record.json", record.to_json()),
        ("github-action.json", json(project::github_action(&record))),
        ("bmf.json", json(project::bencher(&record))),
    ];
    for (name, text) in pages {
        write(&out.join(name), &text)?;
    }
    println!("{}", out.join("index.html").display());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs the workloads. Returns the record, and whether a contestant failed its self-check.
fn measure(chosen: &[sync_benches::compare::Workload], rounds: Option<usize>) -> (Record, bool) {
    let (mut record, mut failed) = (Record::here(), false);
    let (watchdog, terminal) = (Watchdog::start(), io::stderr().is_terminal());
    for (at, workload) in chosen.iter().enumerate() {
        let name = format!("{}/{}/{}", workload.primitive, workload.name, workload.threads);
        let (start, end) = if terminal { ("\r\x1b[2K", "") } else { ("", "\n") };
        let _ = write!(io::stderr(), "{start}{} of {}  {name}{end}", at + 1, chosen.len());
        let findings = runner::run(workload, rounds, &watchdog);
        for failure in &findings.failures {
            eprintln!("{start}error: {failure}");
            failed = true;
        }
        findings.groups.iter().for_each(|group| record.add(group));
    }
    if terminal {
        eprint!("\r\x1b[2K");
    }
    (record, failed)
}

/// `target/dashboard` of the workspace.
fn default_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/dashboard")
}

/// Writes a file as a whole or not at all: a reader never sees half of it.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let context = |error: io::Error| {
        io::Error::new(error.kind(), format!("{} cannot be written: {error}", path.display()))
    };
    let parent = path.parent().expect("a file has a folder");
    fs::create_dir_all(parent).map_err(context)?;
    let draft = path.with_extension("part");
    fs::write(&draft, text).and_then(|()| fs::rename(&draft, path)).map_err(context)
}
