//! Greedy shrinking: a failing program made smaller for as long as it still fails.

use std::sync::atomic::Ordering;

use verify::litmus::{Program, Statement, Value};

/// A program that `fails` and that no single simplification makes both smaller and still failing.
pub(crate) fn shrink(mut program: Program, fails: impl Fn(&Program) -> bool) -> Program {
    'again: loop {
        for candidate in simpler(&program) {
            // Through the text: names what became unused away, and refuses what lost the assignment
            // it needs.
            if let Ok(candidate) = candidate.to_string().parse::<Program>()
                && fails(&candidate)
            {
                program = candidate;
                continue 'again;
            }
        }
        return program;
    }
}

/// Every simplification by one step, the boldest first. Each makes the program smaller by one
/// measure and larger by none, so that shrinking ends.
fn simpler(program: &Program) -> Vec<Program> {
    let mut all = Vec::new();
    for thread in 0..program.threads.len() {
        let mut fewer = program.clone();
        fewer.threads.remove(thread);
        all.push(fewer);
    }
    for thread in 0..program.threads.len() {
        for body in simpler_blocks(&program.threads[thread].body) {
            let mut simple = program.clone();
            simple.threads[thread].body = body;
            all.push(simple);
        }
    }
    for location in 0..program.locations.len() {
        if program.locations[location].initial != 0 {
            let mut simple = program.clone();
            simple.locations[location].initial = 0;
            all.push(simple);
        }
        let used = program.threads.iter().any(|thread| uses(&thread.body, location));
        if !used && location + 1 == program.locations.len() {
            let mut fewer = program.clone();
            fewer.locations.pop();
            all.push(fewer);
        }
    }
    all
}

fn uses(body: &[Statement], index: usize) -> bool {
    body.iter().any(|statement| match statement {
        Statement::Store { location, .. }
        | Statement::Load { location, .. }
        | Statement::Swap { location, .. }
        | Statement::FetchAdd { location, .. }
        | Statement::CompareExchange { location, .. } => location.0 == index,
        Statement::Fence { .. } | Statement::Assume(_) => false,
        Statement::If { then, otherwise, .. } => uses(then, index) || uses(otherwise, index),
    })
}

fn simpler_blocks(body: &[Statement]) -> Vec<Vec<Statement>> {
    let mut all = Vec::new();
    let replace = |index: usize, with: Vec<Statement>| {
        let mut block = body.to_vec();
        block.splice(index..=index, with);
        block
    };
    for index in 0..body.len() {
        all.push(replace(index, Vec::new()));
    }
    for (index, statement) in body.iter().enumerate() {
        if let Statement::If { condition, then, otherwise } = statement {
            all.push(replace(index, then.clone()));
            all.push(replace(index, otherwise.clone()));
            let rebuilt = |then: Vec<Statement>, otherwise: Vec<Statement>| {
                vec![Statement::If { condition: condition.clone(), then, otherwise }]
            };
            for simple in simpler_blocks(then) {
                all.push(replace(index, rebuilt(simple, otherwise.clone())));
            }
            for simple in simpler_blocks(otherwise) {
                all.push(replace(index, rebuilt(then.clone(), simple)));
            }
        }
        all.extend(
            simpler_operations(statement).into_iter().map(|simple| replace(index, vec![simple])),
        );
    }
    all
}

/// An ordering that is allowed wherever the given one is, and weaker.
fn weaker(ordering: Ordering, fence: bool) -> Vec<Ordering> {
    let below: &[Ordering] = match ordering {
        Ordering::SeqCst | Ordering::AcqRel => {
            &[Ordering::Relaxed, Ordering::Release, Ordering::Acquire, Ordering::AcqRel]
        }
        Ordering::Relaxed => &[],
        _ => &[Ordering::Relaxed],
    };
    below
        .iter()
        .copied()
        .filter(|&weak| weak != ordering && !(fence && weak == Ordering::Relaxed))
        .collect()
}

fn smaller(value: Value) -> Vec<Value> {
    match value {
        Value::Literal(number) if number > 1 => vec![Value::Literal(1), Value::Literal(number - 1)],
        Value::Literal(_) => Vec::new(),
        Value::Register(_) => vec![Value::Literal(1)],
    }
}

fn simpler_operations(statement: &Statement) -> Vec<Statement> {
    let mut all = Vec::new();
    match *statement {
        Statement::Store { location, value, ordering } => {
            all.extend(weaker(ordering, false).into_iter().map(|ordering| Statement::Store {
                location,
                value,
                ordering,
            }));
            all.extend(smaller(value).into_iter().map(|value| Statement::Store {
                location,
                value,
                ordering,
            }));
        }
        Statement::Load { location, ordering, into } => {
            all.extend(weaker(ordering, false).into_iter().map(|ordering| Statement::Load {
                location,
                ordering,
                into,
            }));
        }
        Statement::Swap { location, value, ordering, into } => {
            all.push(Statement::Store { location, value, ordering });
            all.push(Statement::Load { location, ordering, into });
            all.extend(weaker(ordering, false).into_iter().map(|ordering| Statement::Swap {
                location,
                value,
                ordering,
                into,
            }));
            all.extend(smaller(value).into_iter().map(|value| Statement::Swap {
                location,
                value,
                ordering,
                into,
            }));
        }
        Statement::FetchAdd { location, value, ordering, into } => {
            all.push(Statement::Swap { location, value, ordering, into });
            all.extend(weaker(ordering, false).into_iter().map(|ordering| Statement::FetchAdd {
                location,
                value,
                ordering,
                into,
            }));
            all.extend(smaller(value).into_iter().map(|value| Statement::FetchAdd {
                location,
                value,
                ordering,
                into,
            }));
        }
        Statement::CompareExchange { location, expected, new, success, failure, into } => {
            all.push(Statement::Swap { location, value: new, ordering: success, into });
            all.push(Statement::Load { location, ordering: failure, into });
            let made = |expected, new, success, failure| Statement::CompareExchange {
                location,
                expected,
                new,
                success,
                failure,
                into,
            };
            all.extend(
                weaker(success, false)
                    .into_iter()
                    .map(|success| made(expected, new, success, failure)),
            );
            all.extend(
                weaker(failure, false)
                    .into_iter()
                    .map(|failure| made(expected, new, success, failure)),
            );
            all.extend(smaller(new).into_iter().map(|new| made(expected, new, success, failure)));
            all.extend(
                smaller(expected).into_iter().map(|expected| made(expected, new, success, failure)),
            );
        }
        Statement::Fence { ordering } => {
            all.extend(
                weaker(ordering, true).into_iter().map(|ordering| Statement::Fence { ordering }),
            );
        }
        Statement::Assume(_) | Statement::If { .. } => {}
    }
    all
}
