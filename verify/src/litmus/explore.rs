//! A litmus program as a model: closures over real atomics of this crate.

use super::{Exploration, Outcome, Program, RegisterId, Statement, Value};
use crate::engine::runtime;
use crate::model::Builder;
use crate::sync::atomic::{AtomicU64, fence};
use crate::thread;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};

/// What the threads of the program share: its locations, and where they leave their registers.
struct State {
    program: Program,
    locations: Vec<AtomicU64>,
    registers: Mutex<Vec<Option<u64>>>,
}

impl State {
    fn registers(&self) -> MutexGuard<'_, Vec<Option<u64>>> {
        self.registers
            .lock()
            .expect("no thread panics with the registers in its hands")
    }

    fn register(&self, id: RegisterId) -> u64 {
        self.registers()[id.0].expect("a register is assigned before it is used")
    }

    fn value(&self, value: Value) -> u64 {
        value.evaluate(|id| self.register(id))
    }

    fn set(&self, into: Option<RegisterId>, value: u64) {
        if let Some(id) = into {
            self.registers()[id.0] = Some(value);
        }
    }

    fn run(&self, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Store {
                    location,
                    value,
                    ordering,
                } => {
                    self.locations[location.0].store(self.value(*value), *ordering);
                }
                Statement::Load {
                    location,
                    ordering,
                    into,
                } => {
                    self.set(*into, self.locations[location.0].load(*ordering));
                }
                Statement::Swap {
                    location,
                    value,
                    ordering,
                    into,
                } => {
                    self.set(
                        *into,
                        self.locations[location.0].swap(self.value(*value), *ordering),
                    );
                }
                Statement::FetchAdd {
                    location,
                    value,
                    ordering,
                    into,
                } => {
                    self.set(
                        *into,
                        self.locations[location.0].fetch_add(self.value(*value), *ordering),
                    );
                }
                Statement::CompareExchange {
                    location,
                    expected,
                    new,
                    success,
                    failure,
                    into,
                } => {
                    let (expected, new) = (self.value(*expected), self.value(*new));
                    let read = self.locations[location.0]
                        .compare_exchange(expected, new, *success, *failure);
                    self.set(*into, read.unwrap_or_else(|v| v));
                }
                Statement::Fence { ordering } => fence(*ordering),
                Statement::Assume(condition) => {
                    if !condition.holds(&|id| self.register(id)) {
                        runtime::block();
                    }
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let holds = condition.holds(&|id| self.register(id));
                    self.run(if holds { then } else { otherwise });
                }
            }
        }
    }
}

/// Explores every execution of a program.
///
/// # Panics
/// When the tree was built by hand and is not well formed (see [`Program`]).
pub fn explore(program: &Program) -> Exploration {
    let state = Arc::new(State {
        locations: program
            .locations
            .iter()
            .map(|l| AtomicU64::new(l.initial))
            .collect(),
        registers: Mutex::new(vec![None; program.registers.len()]),
        program: program.clone(),
    });
    let model = {
        let state = state.clone();
        move || {
            state.registers().fill(None);
            for i in 0..state.program.threads.len() {
                let state = state.clone();
                thread::spawn(move || state.run(&state.program.threads[i].body));
            }
        }
    };
    let mut seen = HashSet::new();
    let mut ended = Vec::new();
    let mut builder = Builder::new();
    // Nothing in a litmus program can grow for ever: all of it is explored, whatever its size, and no row of equal loads is a loop.
    builder.max_threads = program.threads.len() + 1;
    builder.max_branches = usize::MAX;
    // One worker: the threads leave their registers in one place.
    builder.workers = 1;
    let summary = builder.run_without_loops(Arc::new(model), |rt| {
        ended.clear();
        ended.extend(state.registers().iter());
        ended.extend(
            state
                .locations
                .iter()
                .zip(&program.locations)
                .map(|(l, d)| rt.newest(l.tag()).or(Some(d.initial))),
        );
        if !seen.contains(&ended) {
            seen.insert(ended.clone());
        }
    });
    if let Some(failed) = summary.failure {
        panic!("{}\nin the litmus program\n{program}", failed.kind);
    }
    let outcomes = seen
        .into_iter()
        .map(|ended| {
            let (registers, finals) = ended.split_at(program.registers.len());
            Outcome {
                registers: program
                    .registers
                    .iter()
                    .zip(registers)
                    .filter_map(|(r, v)| Some((r.name.clone(), (*v)?)))
                    .collect(),
                final_values: program
                    .locations
                    .iter()
                    .zip(finals)
                    .filter_map(|(l, v)| Some((l.name.clone(), (*v)?)))
                    .collect(),
            }
        })
        .collect();
    Exploration {
        executions: summary.executions,
        blocked: summary.blocked,
        outcomes,
    }
}
