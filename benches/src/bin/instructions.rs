//! The number of instructions of each uncontended operation: an optional extra, for
//! machines that have valgrind.
//!
//! ```sh
//! cargo run --release -p sync-benches --features peers --bin instructions -- mutex --check
//! ```
//!
//! Unlike time these numbers repeat exactly, on any machine of one architecture and with one
//! compiler, so they may fail a build: `--check` exits with 1 if a fast path takes more
//! instructions than `benches/record/instructions.tsv` allows, or, where std has the same
//! operation, more than std's. `--record` writes that file, for a change that is meant to cost
//! something. Every workload of `cargo compare` that is a loop in one thread is run
//! under callgrind, twice: with N operations and with 2 N. The difference is what N operations
//! take, without the start of the program.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};

use clap::Parser;
use sync_benches::compare::Workload;
use sync_benches::compare::select::select;
use sync_benches::compare::subject::{Contestant, Length, OURS, Pace};
use sync_benches::workloads;

/// Operations of the shorter run.
const OPS: u64 = 10_000;

/// The record of the fast paths: id, tabulator, instructions.
const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/record/instructions.tsv");

/// The workloads that are no fast path: they call the system, or wait, or sort.
const NO_FAST_PATH: [&str; 6] = ["thread/", "select/", "timer/", "ipc_queue/", "pool/", "async/"];

/// Counts the instructions of uncontended operations, by valgrind's callgrind.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only what has this piece in its id, as `cargo compare`
    filter: Option<String>,
    /// Exit with 1 if a fast path of ours takes more instructions than the record allows, or than
    /// std's
    #[arg(long)]
    check: bool,
    /// Write what was counted into the record
    #[arg(long, conflicts_with = "check")]
    record: bool,
    /// Do only this many operations of the contestant with this id: the program that runs under
    /// valgrind
    #[arg(long, hide = true, num_args = 2, value_names = ["ID", "OPS"])]
    perform: Option<Vec<String>>,
}

fn main() -> ExitCode {
    workloads::run_if_child();
    let arguments = Arguments::parse();
    if let Some(perform) = &arguments.perform {
        return run_once(&perform[0], &perform[1]);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("valgrind is not installed; instructions are not counted (an optional extra)");
        return ExitCode::SUCCESS;
    }
    let chosen = match select(workloads::all(), arguments.filter.as_deref(), false) {
        Ok(chosen) => chosen,
        Err(complaint) => {
            eprintln!("error: {complaint}");
            return ExitCode::from(2);
        }
    };
    let mut record = read_record();
    let mut worse = Vec::new();
    for workload in chosen.iter().filter(|workload| is_loop(workload)) {
        println!("{}/{}, instructions an operation", workload.primitive, workload.name);
        let (mut ours, mut std) = (None, None);
        for contestant in &workload.contestants {
            let count = match instructions(&workload.id("", contestant.peer)) {
                Ok(count) => count,
                Err(error) => {
                    eprintln!("error: {error}");
                    return ExitCode::FAILURE;
                }
            };
            println!("    {:<18}{count:>10.2}", contestant.peer);
            match contestant.peer {
                OURS => ours = Some(count),
                "std" => std = Some(count),
                _ => {}
            }
        }
        let id = format!("{}/{}", workload.primitive, workload.name);
        let Some(ours) = ours.filter(|_| is_fast_path(&id)) else { continue };
        match record.get(&id) {
            // Half an instruction: loops that are not straight vary by hundredths.
            Some(&allowed) if ours > allowed + 0.5 && !arguments.record => {
                worse.push(format!("{id}: {ours:.2}, in the record {allowed:.2}"));
            }
            Some(_) => {}
            None if arguments.check => {
                worse.push(format!("{id}: {ours:.2}, not in the record (see --record)"));
            }
            None => {}
        }
        if let Some(std) = std
            && ours > std + 2.0
        {
            worse.push(format!("{id}: {ours:.2}, std {std:.2}"));
        }
        if arguments.record {
            record.insert(id, ours);
        }
    }
    if arguments.record
        && let Err(error) = write_record(&record)
    {
        eprintln!("error: {RECORD}: {error}");
        return ExitCode::FAILURE;
    }
    for line in &worse {
        println!("more than allowed: {line}");
    }
    if arguments.check && !worse.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn is_fast_path(id: &str) -> bool {
    !NO_FAST_PATH.iter().any(|prefix| id.starts_with(prefix))
}

/// The record, which is empty before the first one.
fn read_record() -> BTreeMap<String, f64> {
    let text = std::fs::read_to_string(RECORD).unwrap_or_default();
    let line = |line: &str| {
        let (id, count) = line.split_once('\t')?;
        Some((id.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

fn write_record(record: &BTreeMap<String, f64>) -> std::io::Result<()> {
    let lines: String = record.iter().map(|(id, count)| format!("{id}\t{count:.2}\n")).collect();
    std::fs::write(RECORD, lines)
}

fn is_loop(workload: &Workload) -> bool {
    workload.threads == 1 && workload.pace == Pace::Ops
}

fn run_once(id: &str, ops: &str) -> ExitCode {
    let all = workloads::all();
    let is_meant = |workload: &Workload, contestant: &Contestant| {
        is_loop(workload) && workload.id("", contestant.peer) == id
    };
    let mut found = all.iter().flat_map(|workload| {
        workload.contestants.iter().filter(move |one| is_meant(workload, one))
    });
    let (Some(contestant), Ok(ops)) = (found.next(), ops.parse()) else { return ExitCode::from(2) };
    match contestant.start().round(Length::Ops(ops)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("{id}: {what}");
            ExitCode::FAILURE
        }
    }
}

/// Instructions an operation.
fn instructions(id: &str) -> Result<f64, String> {
    let (once, twice) = (collected(id, OPS)?, collected(id, 2 * OPS)?);
    Ok(twice.saturating_sub(once) as f64 / OPS as f64)
}

/// All instructions of a run.
fn collected(id: &str, ops: u64) -> Result<u64, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(this).args([
        "--perform",
        id,
        &ops.to_string(),
    ]);
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{id} failed under valgrind: {said}"));
    }
    let count = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    count.ok_or_else(|| format!("valgrind does not say what it collected: {said}"))
}
