//! The published counts: how many complete executions RC11 gives to the programs that every model
//! checker is measured by.
//!
//! They are the counts of GenMC's test suite, derived again by the naive enumerator. One file of
//! `programs/` each.

use std::collections::BTreeSet;
use std::path::PathBuf;

use verify::litmus::{Exploration, Program};

use crate::naive;
use crate::random::each_once;

/// File and complete executions.
const COUNTS: &[(&str, u64)] = &[
    ("2+2w-rel", 4),
    ("2+2w-sc", 3),
    ("cas-2", 2),
    ("cas-3", 3),
    ("cas-4", 4),
    ("cas-chain-2", 2),
    ("cas-chain-3", 5),
    ("cas-chain-4", 14),
    ("cas-chain-5", 43),
    ("cas-chain-6", 144),
    ("cas-chain-7", 523),
    ("corr", 6),
    ("corr1", 36),
    ("corw", 3),
    ("cowr", 3),
    ("dekker-sc-fences", 3),
    ("faa-2", 2),
    ("faa-3", 6),
    ("faa-4", 24),
    ("faa-faa-2", 4),
    ("faa-faa-3", 36),
    ("faa-faa-4", 576),
    ("faa-mix", 600),
    ("iriw-acq-sc", 16),
    ("iriw-sc", 15),
    ("isa2", 7),
    ("lb", 3),
    ("load-store-2", 4),
    ("load-store-3", 36),
    ("load-store-4", 576),
    ("mp", 3),
    ("peterson-sc", 4),
    ("readers-2", 4),
    ("readers-3", 8),
    ("readers-4", 16),
    ("readers-6", 64),
    ("s", 4),
    ("sb-rel-acq", 4),
    ("sb-sc", 3),
    // Store buffering next to a writer that is in no order: a revisit may close the cycle.
    ("sb-sc-beside", 9),
    ("sb-sc-fence-mixed", 3),
    ("sb-sc-fences", 3),
    ("z6+acq", 7),
    // Textbook psc; the stronger one of GenMC gives 22.
    ("z6.u", 24),
];

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "litmus", "programs"].iter().collect()
}

fn read(name: &str) -> Program {
    let path = folder().join(format!("{name}.litmus"));
    let text = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All disagreements at once: a wrong engine is wrong in a pattern.
fn compare(count: impl Fn(&Program) -> Exploration) {
    let mut wrong = Vec::new();
    for &(name, expected) in COUNTS {
        let found = count(&read(name));
        if found.executions != expected {
            wrong.push(format!(
                "{name}: {} executions, published {expected}, {} blocked",
                found.executions, found.blocked
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_program_is_counted() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let files: BTreeSet<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let counted: BTreeSet<String> = COUNTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files, counted);
}

#[test]
fn the_naive_enumerator_meets_the_published_counts() {
    compare(naive::enumerate);
}

#[test]
fn the_engine_meets_the_published_counts() {
    compare(verify::litmus::explore);
}

#[test]
fn no_execution_is_explored_twice() {
    compare(|program| each_once(program, 1));
}

#[test]
fn several_workers_meet_the_published_counts() {
    compare(|program| each_once(program, 4));
}

/// A litmus program has no loops, however often a thread repeats itself.
#[test]
fn rows_of_equal_operations_are_no_spin_loops() {
    for (operation, length) in
        [("x.load(Relaxed); ", 40), ("x.compare_exchange(7, 8, SeqCst, Relaxed); ", 40)]
    {
        let text = format!(
            "x = 0; thread {{ x.store(1, Relaxed); }} thread {{ {} }}",
            operation.repeat(length)
        );
        let found = verify::litmus::explore(&text.parse().expect("a program"));
        // The store is seen from one of the operations on, or never.
        assert_eq!((found.executions, found.blocked), (length as u64 + 1, 0), "{operation}");
    }
}

#[test]
fn many_threads_and_many_statements() {
    let threads = format!("x = 0; {}", "thread { x.load(Relaxed); }\n".repeat(200));
    assert_eq!(verify::litmus::explore(&threads.parse().expect("a program")).executions, 1);
    let statements = format!("x = 0; thread {{ {} }}", "x.fetch_add(1, SeqCst);\n".repeat(20_000));
    assert_eq!(verify::litmus::explore(&statements.parse().expect("a program")).executions, 1);
}
