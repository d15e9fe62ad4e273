//! Mutexes: random programs with critical sections, against the same programs with the mutex spelt
//! out.
//!
//! A lock is an exchange of 0 for 1 that acquires and is assumed to succeed, an unlock a release
//! store of 0. Complete executions of the one are complete executions of the other, so the naive
//! enumerator's count is the engine's with real mutexes, and the registers agree.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex as Plain};

use verify::litmus::{
    Condition, Location, LocationId, Program, Register, RegisterId, Statement, Value,
};
use verify::model::Builder;
use verify::sync::Mutex;
use verify::sync::atomic::AtomicU64;
use verify::thread;

use crate::generate::{self, Random};
use crate::interpret::{self, Instead};
use crate::{naive, random::setting, shrink::shrink};

/// More graphs than this and a program is passed over; locking is spelt out in many that lead
/// nowhere.
const GRAPHS: usize = 3_000;

/// The location that stands for the mutex.
const MUTEX: &str = "m";

fn mutex_of(program: &Program) -> Option<LocationId> {
    program.locations.iter().position(|location| location.name == MUTEX).map(LocationId)
}

pub(crate) fn without_assumptions(body: &mut Vec<Statement>) {
    body.retain(|statement| !matches!(statement, Statement::Assume(_)));
    for statement in body {
        if let Statement::If { then, otherwise, .. } = statement {
            without_assumptions(then);
            without_assumptions(otherwise);
        }
    }
}

/// A random program in which most threads have a critical section.
fn program(seed: u64) -> Program {
    let mut program = generate::program(seed, 0);
    let mut random = Random::new(!seed);
    let mutex = LocationId(program.locations.len());
    program.locations.push(Location { name: MUTEX.to_owned(), initial: 0 });
    for thread in 0..program.threads.len() {
        let body = &mut program.threads[thread].body;
        without_assumptions(body);
        // The lock adds events: keep what the naive enumerator can do.
        body.truncate(3);
        if random.chance(20) {
            continue;
        }
        let start = random.below(body.len() + 1);
        let end = start + random.below(body.len() + 1 - start);
        let held = RegisterId(program.registers.len());
        program.registers.push(Register { name: format!("l{thread}"), thread });
        body.insert(
            end,
            Statement::Store {
                location: mutex,
                value: Value::Literal(0),
                ordering: Ordering::Release,
            },
        );
        body.insert(
            start,
            Statement::Assume(Condition::Equal(Value::Register(held), Value::Literal(0))),
        );
        body.insert(
            start,
            Statement::CompareExchange {
                location: mutex,
                expected: Value::Literal(0),
                new: Value::Literal(1),
                success: Ordering::Acquire,
                failure: Ordering::Relaxed,
                into: Some(held),
            },
        );
    }
    // Through the text: registers whose assignment was cut off go.
    program.to_string().parse().expect("still a program")
}

type Registers = BTreeMap<String, u64>;

/// The state that the threads of one execution share.
struct Shared {
    program: Arc<Program>,
    atomics: Vec<AtomicU64>,
    mutex: Mutex<()>,
    /// How many threads have ended, and what they have read.
    ended: Plain<(usize, Registers)>,
}

impl Shared {
    /// Runs a thread to its end; gives its registers.
    fn run(&self, thread: usize) -> Vec<Option<u64>> {
        let mutex = mutex_of(&self.program);
        let mut registers = vec![None; self.program.registers.len()];
        let mut guard = None;
        interpret::run(
            &self.program.threads[thread].body,
            &self.atomics,
            &mut registers,
            &mut |statement, _| match statement {
                Statement::CompareExchange { location, .. } if Some(*location) == mutex => {
                    guard = Some(self.mutex.lock().expect("no thread panics"));
                    Some(Instead::Read(0))
                }
                Statement::Store { location, .. } if Some(*location) == mutex => {
                    guard = None;
                    Some(Instead::Done)
                }
                // The lock's own.
                Statement::Assume(_) => Some(Instead::Done),
                _ => None,
            },
        );
        registers
    }
}

/// Executions and outcomes with a real mutex, or what went wrong.
fn with_mutex(program: &Program) -> Result<(u64, BTreeSet<Registers>), String> {
    let program = Arc::new(program.clone());
    let outcomes = Arc::new(Plain::new(BTreeSet::new()));
    let model = {
        let outcomes = outcomes.clone();
        move || {
            let locations = &program.locations;
            let shared = Arc::new(Shared {
                program: program.clone(),
                atomics: locations
                    .iter()
                    .map(|location| AtomicU64::new(location.initial))
                    .collect(),
                mutex: Mutex::new(()),
                ended: Plain::default(),
            });
            for thread in 0..program.threads.len() {
                let (shared, outcomes) = (shared.clone(), outcomes.clone());
                thread::spawn(move || {
                    let registers = shared.run(thread);
                    let mut ended = shared.ended.lock().expect("no panic while it is held");
                    let named = shared.program.registers.iter().zip(registers);
                    ended.1.extend(
                        named.filter_map(|(register, value)| Some((register.name.clone(), value?))),
                    );
                    ended.0 += 1;
                    if ended.0 == shared.program.threads.len() {
                        outcomes.lock().expect("no panic while it is held").insert(ended.1.clone());
                    }
                });
            }
        }
    };
    let report = Builder::new().explore(model);
    match report.failure {
        Some(failure) => Err(failure.to_string()),
        None => {
            Ok((report.executions, outcomes.lock().expect("no panic while it is held").clone()))
        }
    }
}

/// None: too large for the naive enumerator.
fn compare(program: &Program) -> Option<Result<(), String>> {
    let expected = naive::enumerate_within(program, GRAPHS)?;
    let outcomes: BTreeSet<Registers> =
        expected.outcomes.into_iter().map(|outcome| outcome.registers).collect();
    Some(match with_mutex(program) {
        Err(failure) => Err(failure),
        Ok((executions, _)) if executions != expected.executions => {
            Err(format!("{executions} executions, {} distinct graphs exist", expected.executions))
        }
        Ok((_, found)) if found != outcomes => {
            let missed: Vec<_> = outcomes.difference(&found).collect();
            let forbidden: Vec<_> = found.difference(&outcomes).collect();
            Err(format!("missed {missed:?}, forbidden {forbidden:?}"))
        }
        Ok(_) => Ok(()),
    })
}

/// Locks and unlocks still come in pairs, lock first, and nothing else touches the mutex.
fn is_well_locked(program: &Program) -> bool {
    let Some(mutex) = mutex_of(program) else {
        return true;
    };
    program.threads.iter().all(|thread| {
        let mut steps =
            thread.body.iter().enumerate().filter_map(|(index, statement)| match statement {
                Statement::CompareExchange {
                    location,
                    success: Ordering::Acquire,
                    expected,
                    new,
                    ..
                } if *location == mutex => {
                    let usual = (*expected, *new) == (Value::Literal(0), Value::Literal(1));
                    let assumed = matches!(thread.body.get(index + 1), Some(Statement::Assume(_)));
                    Some(if usual && assumed { 'l' } else { '?' })
                }
                Statement::Store {
                    location,
                    value: Value::Literal(0),
                    ordering: Ordering::Release,
                } if *location == mutex => Some('u'),
                Statement::Store { location, .. }
                | Statement::Load { location, .. }
                | Statement::Swap { location, .. }
                | Statement::FetchAdd { location, .. }
                | Statement::CompareExchange { location, .. }
                    if *location == mutex =>
                {
                    Some('?')
                }
                _ => None,
            });
        let steps: String = steps.by_ref().collect();
        matches!(steps.as_str(), "" | "lu")
    })
}

#[test]
fn critical_sections_are_counted_as_the_definition_counts_them() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000) / 4);
    let mut compared = 0;
    for seed in seed..seed + count {
        let program = program(seed);
        assert!(is_well_locked(&program), "LITMUS_SEED={seed}\n{program}");
        match compare(&program) {
            None => {}
            Some(Ok(())) => compared += 1,
            Some(Err(wrong)) => {
                let fails = |program: &Program| {
                    is_well_locked(program) && matches!(compare(program), Some(Err(_)))
                };
                let small = shrink(program, fails);
                panic!("LITMUS_SEED={seed}, `m` is a mutex\n{small}before shrinking: {wrong}");
            }
        }
    }
    assert!(2 * compared > count, "only {compared} of {count} were small enough");
}
