//! `cargo verify`: runs the models of every primitive and reports what was explored.

mod harness;
mod mutants;
mod page;
mod sample;
mod sources;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Parser, ValueEnum};

use harness::{Engine, Harness};
use mutants::Mutants;
use sample::Sample;
use table::Table;

/// The exit status of a program that Ctrl-C stopped: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;

/// Runs the models of every primitive of the workspace.
///
/// Each model is explored within bounds that are counts (executions, preemptions, steps), never
/// times, so that it does the same on every machine. A model that was not explored to the end is
/// reported as such.
///
/// Exit status: 0; 1 if a model failed, or a mutant survived that is not in the committed list; 2
/// if FILTER matches no model or the models cannot be built; 130 after Ctrl-C.
#[derive(Debug, Parser)]
#[command(name = "cargo verify", bin_name = "cargo verify")]
struct Arguments {
    /// Only models whose name contains one of these, for example `mutex::`
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// The checker that explores the models
    #[arg(long, value_enum, default_value_t = Choice::Verify)]
    engine: Choice,
    /// Explore TIMES as many executions of a model (a hundred times if it is left out), and under
    /// loom one preemption more
    #[arg(long, value_name = "TIMES", num_args = 0..=1, require_equals = true,
          default_missing_value = "100", value_parser = at_least_two)]
    deep: Option<usize>,
    /// Print one JSON object a line: {"model", "engine", "executions", "blocked", "events",
    /// "seconds", "verdict", "bounds"}
    #[arg(long)]
    json: bool,
    /// Weaken each ordering a step, leave out each fence and each wake, wake one in place of all,
    /// one change at a time, and list the changes that no model notices
    #[arg(long)]
    mutate: bool,
    /// Only the models whose hash is K modulo N; with --mutate, only such changes
    #[arg(long, value_name = "K/N")]
    sample: Option<Sample>,
    /// Write a report for a browser to PATH (target/verify.html if it is left out)
    #[arg(long, value_name = "PATH", num_args = 0..=1, require_equals = true,
          default_missing_value = "target/verify.html")]
    html: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Choice {
    Verify,
    Loom,
    Both,
}

impl Choice {
    fn engines(self) -> &'static [Engine] {
        match self {
            Choice::Verify => &[Engine::Verify],
            Choice::Loom => &[Engine::Loom],
            Choice::Both => &[Engine::Verify, Engine::Loom],
        }
    }
}

fn at_least_two(text: &str) -> Result<usize, String> {
    let times = text.parse().ok().filter(|&times| times > 1);
    times.ok_or_else(|| String::from("a number above 1"))
}

/// Set by Ctrl-C.
type Stop = Arc<AtomicBool>;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.mutate && arguments.engine != Choice::Verify {
        eprintln!("error: --mutate needs --engine verify: loom cannot change a model");
        return ExitCode::from(2);
    }
    let stop = Stop::default();
    let on_interrupt = Arc::clone(&stop);
    let listening = ctrlc::set_handler(move || {
        // Relaxed: a flag that the main thread polls; no data is published through it.
        if on_interrupt.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
    if let Err(error) = listening {
        eprintln!("warning: Ctrl-C will end the program without a report: {error}");
    }
    match run(&arguments, &stop) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments, stop: &Stop) -> Result<ExitCode, String> {
    let mut table = Table::default();
    let mut failed = false;
    // A run with --mutate explores each model as it is, too, but reports the changes alone. With
    // --html it is run twice, for the page shows both.
    if !arguments.mutate || arguments.html.is_some() {
        for &engine in arguments.engine.engines() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let harness = Harness::build(engine)?;
            let mut environment = Vec::new();
            if let Some(times) = arguments.deep {
                environment.push(("MODEL_DEEP", times.to_string()));
            }
            let filters = match arguments.sample {
                Some(sample) if !arguments.mutate => harness.sample(&arguments.filters, sample)?,
                _ => arguments.filters.clone(),
            };
            failed |= !harness
                .run(&filters, &environment, stop, &mut |event| table.add(engine, event))?;
        }
        if arguments.json {
            print!("{}", table.json());
        } else {
            print!("{table}");
        }
    }
    let mut mutants = None;
    if arguments.mutate && !stop.load(Ordering::Relaxed) {
        let found = Mutants::find(&arguments.filters, arguments.sample, arguments.deep, stop)?;
        if arguments.json {
            print!("{}", found.json());
        } else {
            print!("{found}");
        }
        failed |= found.is_failure();
        mutants = Some(found);
    }
    if let Some(path) = &arguments.html {
        let page = page::page(&table, mutants.as_ref());
        std::fs::write(path, page).map_err(|error| format!("{}: {error}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(if stop.load(Ordering::Relaxed) {
        eprintln!("stopped: what had not finished is not reported as passed");
        ExitCode::from(INTERRUPTED)
    } else if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}
