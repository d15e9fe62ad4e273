//! Random programs: an explorer must agree with the naive enumerator on every one, in its outcomes
//! and in its count.
//!
//! `LITMUS_SEED` (default 1) is the seed of the first program and `LITMUS_PROGRAMS` how many
//! follow, each with the next seed. A disagreement is shrunk and printed as text, with its seed.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use verify::litmus::{Exploration, Program, Statement, explore_with};
use verify::model::Builder;

use crate::{generate, naive, shrink::shrink};

/// More graphs than this, partial ones included, and a program is passed over; [`PASSED_OVER`]
/// percent may be.
const GRAPHS: usize = 20_000;
const PASSED_OVER: u64 = 2;

pub(crate) fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|error| panic!("{name}={text}: {error}")),
        Err(_) => default,
    }
}

/// Returns what `explore` gets wrong about the program, if anything.
fn disagreement(program: &Program, explore: impl Fn(&Program) -> Exploration) -> Option<String> {
    let expected = naive::enumerate_within(program, GRAPHS)?;
    let found = match catch_unwind(AssertUnwindSafe(|| explore(program))) {
        Ok(found) => found,
        Err(panic) => return Some(format!("panicked: {}", message(&*panic))),
    };
    let mut wrong = Vec::new();
    if found.executions != expected.executions {
        wrong.push(format!(
            "{} executions, {} distinct graphs exist",
            found.executions, expected.executions
        ));
    }
    wrong.extend(
        expected.outcomes.difference(&found.outcomes).map(|missed| format!("missed {missed:?}")),
    );
    wrong.extend(
        found
            .outcomes
            .difference(&expected.outcomes)
            .map(|false_one| format!("forbidden {false_one:?}")),
    );
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}

/// The first disagreement among `count` programs from `seed` on: its seed and the shrunk program
/// with what is wrong about it.
fn search(
    seed: u64,
    count: u64,
    explore: impl Fn(&Program) -> Exploration,
) -> Option<(u64, Program, String)> {
    (seed..seed + count).find_map(|seed| {
        let program = generate::program(seed, 0);
        disagreement(&program, &explore)?;
        let small = shrink(program, |program| disagreement(program, &explore).is_some());
        let wrong = disagreement(&small, &explore).expect("shrinking keeps the failure");
        Some((seed, small, wrong))
    })
}

#[test]
fn generated_programs_are_well_formed_and_varied() {
    let seed = setting("LITMUS_SEED", 1);
    let mut text = String::new();
    for seed in seed..seed + 500 {
        let program = generate::program(seed, 0);
        let parsed = program.to_string().parse::<Program>();
        assert_eq!(parsed.as_ref(), Ok(&program), "LITMUS_SEED={seed}\n{program}");
        assert_eq!(generate::program(seed, 0), program, "the same seed, another program");
        assert!(
            (2..=4).contains(&program.threads.len()) && (2..=3).contains(&program.locations.len())
        );
        text += &program.to_string();
    }
    let operations = [
        "store(",
        "load(",
        "swap(",
        "fetch_add(",
        "compare_exchange(",
        "fence(",
        "if (",
        "assume(",
        "else",
    ];
    for word in operations.into_iter().chain(["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"])
    {
        assert!(text.matches(word).count() > 20, "hardly any `{word}` from seed {seed} on");
    }
}

#[test]
fn pruning_early_loses_nothing() {
    let seed = setting("LITMUS_SEED", 1);
    let mut compared = 0;
    for seed in seed..seed + 200 {
        let program = generate::program(seed, 0);
        if naive::enumerate_within(&program, 150).is_some() {
            assert_eq!(
                naive::enumerate_without_pruning(&program),
                naive::enumerate(&program),
                "LITMUS_SEED={seed}\n{program}"
            );
            compared += 1;
        }
    }
    assert!(compared > 20, "only {compared} programs from seed {seed} on were small enough");
}

/// Loom's treatment: SeqCst accesses are taken for AcqRel. Fences keep their meaning.
fn without_seq_cst(body: &mut [Statement]) {
    let weaken = |ordering: &mut Ordering, to: Ordering| {
        if *ordering == Ordering::SeqCst {
            *ordering = to;
        }
    };
    for statement in body {
        match statement {
            Statement::Store { ordering, .. } => weaken(ordering, Ordering::Release),
            Statement::Load { ordering, .. } => weaken(ordering, Ordering::Acquire),
            Statement::Swap { ordering, .. } | Statement::FetchAdd { ordering, .. } => {
                weaken(ordering, Ordering::AcqRel)
            }
            Statement::CompareExchange { success, failure, .. } => {
                weaken(success, Ordering::AcqRel);
                weaken(failure, Ordering::Acquire);
            }
            Statement::Fence { .. } | Statement::Assume(_) => {}
            Statement::If { then, otherwise, .. } => {
                without_seq_cst(then);
                without_seq_cst(otherwise);
            }
        }
    }
}

/// This test of tests: an explorer with a known bug is found out, and the program shown is as small
/// as a person would write it.
#[test]
fn an_explorer_that_weakens_seq_cst_is_found_out() {
    let (seed, small, wrong) = search(setting("LITMUS_SEED", 1), 1_000, |program| {
        let mut weak = program.clone();
        weak.threads.iter_mut().for_each(|thread| without_seq_cst(&mut thread.body));
        naive::enumerate(&weak)
    })
    .expect("no program of a thousand tells SeqCst from AcqRel");
    // The shortest are store buffering and its kin: two threads, two SeqCst accesses each.
    assert!(small.threads.len() == 2, "seed {seed}\n{small}{wrong}");
    assert!(
        small.threads.iter().map(|thread| thread.body.len()).sum::<usize>() <= 5,
        "seed {seed}\n{small}{wrong}"
    );
}

/// Another: an explorer that stops one execution short.
#[test]
fn an_explorer_that_misses_one_execution_is_found_out() {
    let (seed, small, wrong) = search(setting("LITMUS_SEED", 1), 1_000, |program| {
        let mut found = naive::enumerate(program);
        found.executions -= u64::from(found.executions >= 3);
        found
    })
    .expect("no program of a thousand has three executions");
    assert!(
        small.threads.iter().map(|thread| thread.body.len()).sum::<usize>() <= 3,
        "seed {seed}\n{small}{wrong}"
    );
}

#[test]
fn nearly_all_random_programs_are_small_enough() {
    let seed = setting("LITMUS_SEED", 1);
    let too_large = (seed..seed + 300)
        .filter(|&seed| naive::enumerate_within(&generate::program(seed, 0), GRAPHS).is_none());
    assert!(too_large.count() as u64 <= 3 * PASSED_OVER);
}

/// Explores with `workers` workers, and fails if an execution is explored twice.
pub(crate) fn each_once(program: &Program, workers: usize) -> Exploration {
    let mut builder = Builder::new();
    builder.workers = workers;
    builder.count_distinct = true;
    let (found, report) = explore_with(program, &builder);
    assert_eq!(
        report.distinct,
        Some(found.executions),
        "distinct executions of all that were explored"
    );
    found
}

/// The engine against the definition: the same outcomes, as many executions as there are graphs, no
/// graph twice.
#[test]
fn the_engine_agrees_with_the_naive_enumerator() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000));
    if let Some((seed, small, wrong)) = search(seed, count, |program| each_once(program, 1)) {
        panic!("LITMUS_SEED={seed}\n{small}{wrong}");
    }
}

/// Several workers find what one finds, all of it, each execution once.
#[test]
fn exploring_in_parallel_changes_nothing() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000) / 5);
    for seed in seed..seed + count {
        // Small ones, where the workers are in each other's way, and larger ones.
        let program = generate::program(seed, if seed % 2 == 0 { 0 } else { 3 });
        let serial = each_once(&program, 1);
        for workers in [2, 4] {
            let parallel = each_once(&program, workers);
            let same =
                (parallel.executions, &parallel.outcomes) == (serial.executions, &serial.outcomes);
            assert!(same, "LITMUS_SEED={seed}, {workers} workers\n{program}");
        }
    }
}

/// Where the naive enumerator cannot follow: in larger programs, the order in which threads are
/// spawned must not matter.
#[test]
fn the_order_of_threads_changes_nothing() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000) / 10);
    for seed in seed..seed + count {
        let program = generate::program(seed, 3);
        let mut reversed = program.clone();
        reversed.threads.reverse();
        let reversed: Program = reversed.to_string().parse().expect("still a program");
        let (one, other) = (verify::litmus::explore(&program), verify::litmus::explore(&reversed));
        assert_eq!(one.executions, other.executions, "LITMUS_SEED={seed}\n{program}");
        assert_eq!(one.outcomes, other.outcomes, "LITMUS_SEED={seed}\n{program}");
    }
}
