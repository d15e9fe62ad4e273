//! `cargo compare`: ours beside every peer, quickly and so that one can trust it.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use sync_benches::compare::report::{self, Score};
use sync_benches::compare::runner::{self, Watchdog};
use sync_benches::compare::select::{ids, select};
use sync_benches::compare::stats::LEAST_ROUNDS;
use sync_benches::machine::{self, Machine};
use sync_benches::workloads;

/// Compares ours with every peer, in short alternating rounds in one process.
///
/// Before anything is timed, each contestant must show that it loses nothing and doubles nothing.
/// Exit status: 0, or 1 if a contestant failed that check, or 2 for a FILTER that matches nothing.
#[derive(Debug, Parser)]
#[command(name = "cargo compare", bin_name = "cargo compare")]
struct Arguments {
    /// Only what has this piece in its id, `<primitive>/<workload>/<peer>/<threads>`: `mutex`,
    /// `queue/spsc`, `kanal`
    filter: Option<String>,
    /// One JSON object a line: id, primitive, workload, threads, peer, unit; median with its
    /// interval (low, high) and samples; ours_to_peer with its interval, as in the table: below 1,
    /// ours takes less
    #[arg(long)]
    json: bool,
    /// Rounds of every workload: the more, the narrower the intervals. Without it, as many as fit
    /// into a second or so
    #[arg(long, value_parser = rounds)]
    rounds: Option<usize>,
    /// The large grids too
    #[arg(long)]
    all: bool,
    /// Print the ids and measure nothing
    #[arg(long)]
    list: bool,
}

fn rounds(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(rounds) if rounds < LEAST_ROUNDS => {
            Err(format!("a 95 % interval needs at least {LEAST_ROUNDS} rounds"))
        }
        Ok(rounds) if rounds > 10_000 => Err("more than 10000 rounds".to_owned()),
        Ok(rounds) => Ok(rounds),
        Err(error) => Err(error.to_string()),
    }
}

fn main() -> ExitCode {
    workloads::run_if_child();
    let arguments = Arguments::parse();
    let chosen = match select(
        workloads::all(),
        arguments.filter.as_deref(),
        arguments.all || arguments.list,
    ) {
        Ok(chosen) => chosen,
        Err(complaint) => {
            eprintln!("error: {complaint}");
            return ExitCode::from(2);
        }
    };
    let mut failed = false;
    let mut print = || -> io::Result<()> {
        let mut out = io::stdout().lock();
        if arguments.list {
            for id in ids(&chosen) {
                writeln!(out, "{id}")?;
            }
            return Ok(());
        }
        if !arguments.json {
            write!(out, "{}", report::header(&Machine::here()))?;
        }
        let (cores, watchdog, mut score) = (machine::cores(), Watchdog::start(), Score::default());
        for workload in &chosen {
            let findings = runner::run(workload, arguments.rounds, &watchdog);
            for failure in &findings.failures {
                eprintln!("error: {failure}");
                failed = true;
            }
            for group in &findings.groups {
                score.add(group);
                if arguments.json {
                    for row in &group.rows {
                        writeln!(out, "{}", report::json_line(row))?;
                    }
                } else {
                    write!(out, "{}", report::table(group, cores))?;
                }
            }
            out.flush()?;
        }
        if !arguments.json {
            write!(out, "{}", score.summary())?;
        }
        Ok(())
    };
    match print() {
        // The reader of a pipe may stop reading: `cargo compare | head`.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ if failed => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
