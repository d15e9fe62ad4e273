//! A litmus program as a model: closures over real atomics of this crate.

use super::{Exploration, Outcome, Program, RegisterId, Statement, Value};
use crate::engine::runtime;
use crate::model::{Builder, Report};
use crate::sync::atomic::{AtomicU64, fence};
use crate::thread;
use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// The state that the threads of the program share.
struct State {
    program: Program,
    locations: Vec<AtomicU64>,
}

thread_local! {
    /// The registers of the execution that runs on this thread of the system.
    static REGISTERS: RefCell<Vec<Option<u64>>> = const { RefCell::new(Vec::new()) };
}

impl State {
    fn register(&self, id: RegisterId) -> u64 {
        REGISTERS.with_borrow(|registers| {
            registers[id.0].expect("a register is assigned before it is used")
        })
    }

    fn value(&self, value: Value) -> u64 {
        value.evaluate(|id| self.register(id))
    }

    fn set(&self, into: Option<RegisterId>, value: u64) {
        if let Some(id) = into {
            REGISTERS.with_borrow_mut(|registers| registers[id.0] = Some(value));
        }
    }

    fn run(&self, body: &[Statement]) {
        for statement in body {
            match statement {
                Statement::Store { location, value, ordering } => {
                    self.locations[location.0].store(self.value(*value), *ordering);
                }
                Statement::Load { location, ordering, into } => {
                    self.set(*into, self.locations[location.0].load(*ordering));
                }
                Statement::Swap { location, value, ordering, into } => {
                    self.set(*into, self.locations[location.0].swap(self.value(*value), *ordering));
                }
                Statement::FetchAdd { location, value, ordering, into } => {
                    self.set(
                        *into,
                        self.locations[location.0].fetch_add(self.value(*value), *ordering),
                    );
                }
                Statement::CompareExchange { location, expected, new, success, failure, into } => {
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
                Statement::If { condition, then, otherwise } => {
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
    explore_with(program, &Builder { workers: 1, ..Builder::new() }).0
}

/// As [`explore`], with some of the settings of a model: how many workers explore, whether
/// executions are told apart. Gives the report on it as well.
///
/// # Panics
/// As [`explore`].
pub fn explore_with(program: &Program, builder: &Builder) -> (Exploration, Report) {
    let state = Arc::new(State {
        locations: program.locations.iter().map(|l| AtomicU64::new(l.initial)).collect(),
        program: program.clone(),
    });
    let model = {
        let state = state.clone();
        move || {
            REGISTERS.with_borrow_mut(|registers| {
                registers.clear();
                registers.resize(state.program.registers.len(), None);
            });
            for i in 0..state.program.threads.len() {
                let state = state.clone();
                thread::spawn(move || state.run(&state.program.threads[i].body));
            }
        }
    };
    let seen = Mutex::new(HashSet::new());
    let mut builder = builder.clone();
    // Nothing in a litmus program can grow forever: all of it is explored, whatever its size, and
    // no row of equal loads is a loop.
    builder.max_threads = program.threads.len() + 1;
    builder.max_branches = usize::MAX;
    let report =
        builder.run_without_loops(&(Arc::new(model) as Arc<dyn Fn() + Send + Sync>), &|rt| {
            let mut ended = REGISTERS.with_borrow(Clone::clone);
            ended.extend(
                state
                    .locations
                    .iter()
                    .zip(&program.locations)
                    .map(|(l, d)| rt.newest(l.tag()).or(Some(d.initial))),
            );
            seen.lock().unwrap_or_else(|e| e.into_inner()).insert(ended);
        });
    if let Some(failure) = report.failure {
        panic!("{}\nin the litmus program\n{program}", failure.message);
    }
    let seen = seen.into_inner().unwrap_or_else(|e| e.into_inner());
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
    (Exploration { executions: report.executions, blocked: report.blocked, outcomes }, report)
}
