//! This checker and loom on the same programs, in one run: executions, seconds and their ratio.
//!
//! ```text
//! cargo run --release -p sync-verify --example against_loom -- \
//!     [--limit SECONDS] [--join] [--random COUNT | NAME…]
//! ```
//!
//! The programs are the litmus files of this crate's tests, all whose names contain a `NAME`, or
//! all; or `COUNT` random ones, which are only summed up. Loom runs each as a model that interprets
//! the program with loom's threads and atomics; one that it does not finish within the limit (10 s)
//! is left out of the totals, as is one with more threads than loom takes.
//!
//! Threads are not joined unless `--join` says so, though any model that looks at a final state
//! must join them: loom explores joins too, and this is the kindest one can be to it. Executions
//! that an `assume` blocks are counted on both sides. `missed` and `forbidden` are the outcomes
//! (registers only) that loom does not see though RC11 allows them, and sees though RC11 forbids
//! them.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loom::sync::atomic::{AtomicU64, fence};
use verify::litmus::{self, Program, RegisterId, Statement};

#[path = "../tests/litmus/generate.rs"]
mod generate;

/// Loom takes five threads, the main one included.
const LOOM_THREADS: usize = 4;

struct Settings {
    limit: Duration,
    join: bool,
    random: Option<u64>,
    names: Vec<String>,
    /// Short explorations are repeated for this long, so that what is measured is more than the
    /// clock's grain.
    at_least: Duration,
}

fn settings() -> Result<Settings, String> {
    let ten = Duration::from_secs(10);
    let mut settings = Settings {
        limit: ten,
        join: false,
        random: None,
        names: Vec::new(),
        at_least: Duration::ZERO,
    };
    let mut arguments = std::env::args().skip(1);
    let number = |text: Option<String>| -> Result<u64, String> {
        text.and_then(|text| text.parse().ok())
            .ok_or("--limit and --random take a number".to_owned())
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--limit" => settings.limit = Duration::from_secs(number(arguments.next())?),
            "--random" => settings.random = Some(number(arguments.next())?),
            "--join" => settings.join = true,
            option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
            _ => settings.names.push(argument),
        }
    }
    if settings.random.is_none() {
        settings.at_least = Duration::from_millis(20);
    }
    Ok(settings)
}

/// The totals of both checkers, for one program or for all.
#[derive(Default)]
struct Comparison {
    explored: u64,
    iterations: u64,
    ours: Duration,
    looms: Duration,
    missed: usize,
    forbidden: usize,
}

impl Comparison {
    fn print(&self, name: &str) {
        println!(
            "{name:<20} {:>10} {:>10} {:>7.1}   {:>11.9} {:>12.9} {:>8.1}   {:>6} {:>9}",
            self.explored,
            self.iterations,
            self.iterations as f64 / self.explored as f64,
            self.ours.as_secs_f64(),
            self.looms.as_secs_f64(),
            self.looms.as_secs_f64() / self.ours.as_secs_f64(),
            self.missed,
            self.forbidden,
        );
    }
}

fn main() -> Result<(), String> {
    let settings = settings()?;
    println!(
        "{:<20} {:>10} {:>10} {:>7}   {:>11} {:>12} {:>8}   {:>6} {:>9}",
        "program", "executions", "loom", "ratio", "seconds", "loom", "ratio", "missed", "forbidden"
    );
    let programs = match settings.random {
        Some(count) => {
            (1..=count).map(|seed| (format!("seed {seed}"), generate::program(seed, 0))).collect()
        }
        None => programs(&settings.names),
    };
    let mut total = Comparison::default();
    let (mut finished, mut misses, mut forbids, mut more) = (0, 0, 0, Vec::new());
    for (name, program) in &programs {
        let (found, ours) = timed(settings.at_least, || litmus::explore(program));
        let explored = found.executions + found.blocked;
        let loom = match program.threads.len() {
            0..=LOOM_THREADS => under_loom(program, &settings).ok_or("unfinished"),
            _ => Err("too many threads"),
        };
        let (loom, looms) = match loom {
            Ok(loom) => loom,
            Err(why) => {
                if settings.random.is_none() {
                    println!("{name:<20} {explored:>10} {why:>16} {:>15.9}", ours.as_secs_f64());
                }
                continue;
            }
        };
        let allowed: BTreeSet<Registers> =
            found.outcomes.into_iter().map(|outcome| outcome.registers).collect();
        let row = Comparison {
            explored,
            iterations: loom.iterations,
            ours,
            looms,
            missed: allowed.difference(&loom.outcomes).count(),
            forbidden: loom.outcomes.difference(&allowed).count(),
        };
        if settings.random.is_none() {
            row.print(name);
        }
        finished += 1;
        misses += u64::from(row.missed > 0);
        forbids += u64::from(row.forbidden > 0);
        if row.explored > row.iterations {
            more.push(name);
        }
        total.explored += row.explored;
        total.iterations += row.iterations;
        total.ours += row.ours;
        total.looms += row.looms;
        total.missed += row.missed;
        total.forbidden += row.forbidden;
    }
    total.print("all that loom ends");
    println!(
        "\nOf {} programs loom finishes {finished}; of these it misses outcomes in {misses} and \
         reports forbidden ones in {forbids}.",
        programs.len()
    );
    println!("It needs fewer executions in {}: {more:?}", more.len());
    Ok(())
}

fn programs(names: &[String]) -> Vec<(String, Program)> {
    let folder: PathBuf =
        [env!("CARGO_MANIFEST_DIR"), "tests", "litmus", "programs"].iter().collect();
    let files = std::fs::read_dir(&folder).expect("the folder of litmus programs");
    let mut programs: Vec<(String, Program)> = files
        .map(|entry| {
            let path = entry.expect("a file").path();
            let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).expect("a readable file");
            (name, text.parse().expect("a litmus program"))
        })
        .filter(|(name, _)| {
            names.is_empty() || names.iter().any(|wanted| name.contains(wanted.as_str()))
        })
        .collect();
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    programs
}

/// The result and the mean duration.
fn timed<T>(at_least: Duration, run: impl Fn() -> T) -> (T, Duration) {
    let start = Instant::now();
    for times in 1.. {
        let result = run();
        if start.elapsed() >= at_least {
            return (result, start.elapsed() / times);
        }
    }
    unreachable!("the clock stands still")
}

#[derive(Clone)]
struct Loom {
    iterations: u64,
    outcomes: BTreeSet<Registers>,
}

type Registers = BTreeMap<String, u64>;

/// None if loom has not finished within the limit, or has panicked.
fn under_loom(program: &Program, settings: &Settings) -> Option<(Loom, Duration)> {
    let program = Arc::new(program.clone());
    let (limit, join) = (settings.limit, settings.join);
    let run = || {
        let iterations = Arc::new(Counter::new(0));
        let outcomes = Arc::new(Mutex::new(BTreeSet::new()));
        let mut builder = loom::model::Builder::new();
        builder.max_duration = Some(limit);
        // How often loom looks at the clock.
        builder.checkpoint_interval = 256;
        let start = Instant::now();
        builder.check({
            let (program, iterations) = (program.clone(), iterations.clone());
            let outcomes = outcomes.clone();
            let found: Arc<dyn Fn(Registers) + Send + Sync> = Arc::new(move |registers| {
                outcomes.lock().expect("no panic while it is held").insert(registers);
            });
            move || {
                iterations.fetch_add(1, Relaxed);
                model(&program, &found, join);
            }
        });
        let outcomes = outcomes.lock().expect("no panic while it is held").clone();
        (start.elapsed() < limit).then(|| Loom { iterations: iterations.load(Relaxed), outcomes })
    };
    let (result, duration) =
        catch_unwind(AssertUnwindSafe(|| timed(settings.at_least, run))).ok()?;
    Some((result?, duration))
}

/// One iteration of the loom model of a program. The thread that ends last hands the registers to
/// `found`, unless an `assume` failed.
fn model(program: &Arc<Program>, found: &Arc<dyn Fn(Registers) + Send + Sync>, join: bool) {
    // Not loom's Arc: counting references is no part of the program, and loom would explore it.
    let locations: Arc<[AtomicU64]> =
        program.locations.iter().map(|location| AtomicU64::new(location.initial)).collect();
    // Not loom's Mutex either. No loom thread switches while it is held.
    let ended = Arc::new(Mutex::new((0, Some(Registers::new()))));
    let mut threads = Vec::new();
    for thread in 0..program.threads.len() {
        let (program, locations, ended, found) =
            (program.clone(), locations.clone(), ended.clone(), found.clone());
        threads.push(loom::thread::spawn(move || {
            let mut registers = vec![None; program.registers.len()];
            let complete = run(&program.threads[thread].body, &locations, &mut registers);
            let mut ended = ended.lock().expect("no panic while it is held");
            ended.0 += 1;
            match &mut ended.1 {
                Some(all) if complete => {
                    let named = program.registers.iter().zip(registers);
                    all.extend(
                        named.filter_map(|(register, value)| Some((register.name.clone(), value?))),
                    );
                }
                all => *all = None,
            }
            if ended.0 == program.threads.len() {
                ended.1.take().into_iter().for_each(|all| found(all));
            }
        }));
    }
    if join {
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    }
}

/// Runs the statements; false: an `assume` failed, the thread goes no further.
fn run(body: &[Statement], locations: &[AtomicU64], registers: &mut [Option<u64>]) -> bool {
    for statement in body {
        let register = |id: RegisterId| registers[id.0].expect("assigned on every path");
        let (into, read) = match statement {
            Statement::Store { location, value, ordering } => {
                locations[location.0].store(value.evaluate(register), *ordering);
                continue;
            }
            Statement::Load { location, ordering, into } => {
                (into, locations[location.0].load(*ordering))
            }
            Statement::Swap { location, value, ordering, into } => {
                (into, locations[location.0].swap(value.evaluate(register), *ordering))
            }
            Statement::FetchAdd { location, value, ordering, into } => {
                (into, locations[location.0].fetch_add(value.evaluate(register), *ordering))
            }
            Statement::CompareExchange { location, expected, new, success, failure, into } => {
                let (expected, new) = (expected.evaluate(register), new.evaluate(register));
                let (Ok(read) | Err(read)) =
                    locations[location.0].compare_exchange(expected, new, *success, *failure);
                (into, read)
            }
            Statement::Fence { ordering } => {
                fence(*ordering);
                continue;
            }
            Statement::Assume(condition) => {
                if !condition.holds(&register) {
                    return false;
                }
                continue;
            }
            Statement::If { condition, then, otherwise } => {
                let branch = if condition.holds(&register) { then } else { otherwise };
                if !run(branch, locations, registers) {
                    return false;
                }
                continue;
            }
        };
        if let Some(id) = into {
            registers[id.0] = Some(read);
        }
    }
    true
}
