//! Threads that run the same closure: random programs, against the naive enumerator.
//!
//! Two or three threads of a program are copies of one. Of outcomes that differ only in which copy
//! is which the engine has to find one, and no forbidden one: outcomes are compared after the
//! copies are sorted by what they read. Of `k` copies `k!` executions are equal at most, so that
//! is the most by which the count may fall.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex as Plain};

use verify::litmus::Program;
use verify::model::Builder;
use verify::sync::atomic::{AtomicU64, Ordering};
use verify::thread;

use crate::generate::{self, Random};
use crate::interpret;
use crate::locks::without_assumptions;
use crate::{naive, random::setting};

/// More graphs than this and a program is passed over.
const GRAPHS: usize = 20_000;

type Registers = BTreeMap<String, u64>;

/// An outcome without the names of the copies: what each has read, what the others have read, and
/// the final values.
type Outcome = (Vec<Registers>, Registers, Vec<u64>);

/// A random program whose first `copies` threads are copies.
fn program(seed: u64) -> (Program, usize) {
    let mut random = Random::new(!seed);
    let mut program = generate::program(seed, 0);
    for thread in &mut program.threads {
        without_assumptions(&mut thread.body);
    }
    let copies = 2 + random.below(2);
    program.threads[0].body.truncate(if copies == 2 { 4 } else { 2 });
    program.threads.truncate(1 + random.below(2));
    if let Some(other) = program.threads.get_mut(1) {
        other.body.truncate(if copies == 2 { 3 } else { 2 });
    }
    let text = program.to_string();
    let (head, threads) = text.split_at(text.find("thread").expect("it has threads"));
    let (first, others) = match threads[1..].find("thread") {
        Some(at) => threads.split_at(at + 1),
        None => (threads, ""),
    };
    let copy = |copy: usize| -> String {
        let mut text = String::new();
        let mut name = false;
        for c in first.chars() {
            if name && !c.is_ascii_digit() {
                text += &format!("c{copy}");
                name = false;
            }
            name |= c.is_ascii_digit() && text.ends_with('r');
            text.push(c);
        }
        text
    };
    let text = format!("{head}{}{others}", (0..copies).map(copy).collect::<String>());
    (text.parse().unwrap_or_else(|error| panic!("{error:?}\n{text}")), copies)
}

/// Separates the registers of the copies.
fn sorted(registers: &Registers, copies: usize, last: Vec<u64>) -> Outcome {
    let mut equal = vec![Registers::new(); copies];
    let mut others = Registers::new();
    for (name, &value) in registers {
        match name.split_once('c') {
            Some((name, copy)) => {
                let copy: usize = copy.parse().expect("the number of a copy");
                equal[copy].insert(name.to_owned(), value);
            }
            None => {
                others.insert(name.clone(), value);
            }
        }
    }
    equal.sort();
    (equal, others, last)
}

/// The state that the threads of one execution share.
struct Shared {
    program: Arc<Program>,
    atomics: Vec<AtomicU64>,
    /// The values that the copies and the others have read.
    read: Plain<(Vec<Registers>, Registers)>,
}

impl Shared {
    fn run(&self, thread: usize) -> Registers {
        let mut registers = vec![None; self.program.registers.len()];
        let body = &self.program.threads[thread].body;
        interpret::run(body, &self.atomics, &mut registers, &mut |_, _| None);
        let named = self.program.registers.iter().zip(registers);
        named.filter_map(|(register, value)| Some((register.name.clone(), value?))).collect()
    }
}

/// Executions, and outcomes by the engine.
fn explored(program: &Program, copies: usize, symmetry: bool) -> (u64, BTreeSet<Outcome>) {
    let program = Arc::new(program.clone());
    let outcomes = Arc::new(Plain::new(BTreeSet::new()));
    let model = {
        let outcomes = outcomes.clone();
        move || {
            let locations = &program.locations;
            let shared = Arc::new(Shared {
                program: program.clone(),
                atomics: locations.iter().map(|l| AtomicU64::new(l.initial)).collect(),
                read: Plain::default(),
            });
            let mut threads = Vec::new();
            for _ in 0..copies {
                let shared = shared.clone();
                threads.push(thread::spawn(move || {
                    let named = |(name, value): (String, u64)| {
                        (name.split('c').next().expect("a name").to_owned(), value)
                    };
                    let read = shared.run(0).into_iter().map(named).collect();
                    shared.read.lock().expect("no panic while it is held").0.push(read);
                }));
            }
            for other in copies..program.threads.len() {
                let shared = shared.clone();
                threads.push(thread::spawn(move || {
                    let read = shared.run(other);
                    shared.read.lock().expect("no panic while it is held").1.extend(read);
                }));
            }
            for thread in threads {
                thread.join().expect("no thread panics");
            }
            let last = shared.atomics.iter().map(|a| a.load(Ordering::Relaxed)).collect();
            let (mut equal, others) =
                shared.read.lock().expect("no panic while it is held").clone();
            equal.sort();
            outcomes.lock().expect("no panic while it is held").insert((equal, others, last));
        }
    };
    let mut builder = Builder::new();
    builder.symmetry = symmetry;
    builder.count_distinct = true;
    let report = builder.explore(model);
    assert!(report.failure.is_none(), "{:?}", report.failure);
    assert_eq!(report.distinct, Some(report.executions), "an execution was explored twice");
    let outcomes = outcomes.lock().expect("no panic while it is held").clone();
    (report.executions, outcomes)
}

#[test]
fn of_outcomes_that_differ_in_which_copy_is_which_one_is_found() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000) / 2);
    let (mut compared, mut saved) = (0, 0);
    let (mut all, mut explored_ones) = (0, 0);
    for seed in seed..seed + count {
        let (program, copies) = program(seed);
        let Some(expected) = naive::enumerate_within(&program, GRAPHS) else { continue };
        let outcomes: BTreeSet<Outcome> = expected
            .outcomes
            .iter()
            .map(|outcome| {
                let last = program.locations.iter().map(|l| outcome.final_values[&l.name]);
                sorted(&outcome.registers, copies, last.collect())
            })
            .collect();
        let (executions, found) = explored(&program, copies, true);
        let shown = format!("LITMUS_SEED={seed}, {copies} copies\n{program}");
        assert_eq!(found, outcomes, "{shown}");
        let most = if copies == 2 { 2 } else { 6 };
        assert!(
            executions <= expected.executions && executions * most >= expected.executions,
            "{executions} of {} executions\n{shown}",
            expected.executions
        );
        compared += 1;
        saved += u64::from(executions < expected.executions);
        (all, explored_ones) = (all + expected.executions, explored_ones + executions);
    }
    assert!(2 * compared > count, "only {compared} of {count} were small enough");
    assert!(4 * saved > compared, "only {saved} of {compared} have fewer executions");
    println!("{compared} programs: {explored_ones} of {all} executions");
}

#[test]
fn without_symmetry_every_execution_is_explored() {
    for seed in 1..50 {
        let (program, copies) = program(seed);
        if let Some(expected) = naive::enumerate_within(&program, GRAPHS) {
            let (executions, _) = explored(&program, copies, false);
            assert_eq!(executions, expected.executions, "LITMUS_SEED={seed}\n{program}");
        }
    }
}
