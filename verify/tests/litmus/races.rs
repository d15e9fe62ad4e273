//! Data races: random programs in which one location is not atomic.
//!
//! The engine never branches at a plain access and finds races by clocks, while it explores; the
//! naive enumerator treats the location as a relaxed one through which nothing synchronises, and
//! looks at every graph for two accesses that happen-before leaves unordered. A race that some
//! execution has must be found, and no other reported.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use verify::cell::UnsafeCell;
use verify::litmus::{LocationId, Program, Statement};
use verify::model::Builder;
use verify::sync::atomic::AtomicU64;
use verify::thread;

use crate::interpret::{self, Instead};
use crate::{generate, naive, random::setting, shrink::shrink};

const GRAPHS: usize = 20_000;

/// The location that is not atomic.
const PLAIN: LocationId = LocationId(1);

/// Makes the accesses to the plain location loads and stores; what `compare_exchange` would do is a
/// load.
fn without_plain_exchanges(body: &mut [Statement]) {
    for statement in body {
        match *statement {
            Statement::Swap { location, value, ordering, into: None } if location == PLAIN => {
                *statement = Statement::Store { location, value, ordering };
            }
            Statement::Swap { location, ordering, into, .. }
            | Statement::FetchAdd { location, ordering, into, .. }
            | Statement::CompareExchange { location, failure: ordering, into, .. }
                if location == PLAIN =>
            {
                *statement = Statement::Load { location, ordering, into };
            }
            Statement::If { ref mut then, ref mut otherwise, .. } => {
                without_plain_exchanges(then);
                without_plain_exchanges(otherwise);
            }
            _ => {}
        }
    }
}

/// Plain accesses have no ordering: they print as relaxed ones, and mean less.
fn relaxed(body: &mut [Statement]) {
    for statement in body {
        match statement {
            Statement::Store { location, ordering, .. }
            | Statement::Load { location, ordering, .. }
                if *location == PLAIN =>
            {
                *ordering = std::sync::atomic::Ordering::Relaxed;
            }
            Statement::If { then, otherwise, .. } => {
                relaxed(then);
                relaxed(otherwise);
            }
            _ => {}
        }
    }
}

fn program(seed: u64) -> Program {
    let mut program = generate::program(seed, 0);
    for thread in &mut program.threads {
        without_plain_exchanges(&mut thread.body);
        relaxed(&mut thread.body);
    }
    program
}

/// The state that the threads of one execution share.
struct Shared {
    program: Arc<Program>,
    atomics: Vec<AtomicU64>,
    plain: UnsafeCell<u64>,
}

// SAFETY: accesses to `plain` are what the checker is asked about.
unsafe impl Send for Shared {}
// SAFETY: accesses to `plain` are what the checker is asked about.
unsafe impl Sync for Shared {}

impl Shared {
    fn run(&self, thread: usize) {
        let mut registers = vec![None; self.program.registers.len()];
        interpret::run(
            &self.program.threads[thread].body,
            &self.atomics,
            &mut registers,
            &mut |statement, register| match statement {
                Statement::Store { location, value, .. } if *location == PLAIN => {
                    let value = value.evaluate(register);
                    // SAFETY: a race is reported before it happens: all threads of a model run on
                    // one.
                    self.plain.with_mut(|plain| unsafe { *plain = value });
                    Some(Instead::Done)
                }
                Statement::Load { location, .. } if *location == PLAIN => {
                    // SAFETY: no thread writes: the cell checks it.
                    Some(Instead::Read(self.plain.with(|plain| unsafe { *plain })))
                }
                _ => None,
            },
        );
    }
}

/// Whether the engine reports a race; any other failure is an error.
fn engine_finds_race(program: &Program) -> Result<bool, String> {
    let program = Arc::new(program.clone());
    let model = move || {
        let locations = &program.locations;
        let shared = Arc::new(Shared {
            program: program.clone(),
            atomics: locations.iter().map(|location| AtomicU64::new(location.initial)).collect(),
            plain: UnsafeCell::new(locations[PLAIN.0].initial),
        });
        for thread in 0..program.threads.len() {
            let shared = shared.clone();
            thread::spawn(move || shared.run(thread));
        }
    };
    match catch_unwind(AssertUnwindSafe(|| Builder::new().explore(model).failure)) {
        Ok(None) => Ok(false),
        Ok(Some(failure)) if failure.message.contains("race") => Ok(true),
        Ok(Some(failure)) => Err(failure.to_string()),
        Err(_) => Err("the checker panicked".to_owned()),
    }
}

fn disagreement(program: &Program) -> Option<String> {
    if program.locations.len() <= PLAIN.0 {
        return None;
    }
    let expected = naive::has_race(program, PLAIN, GRAPHS)?;
    match engine_finds_race(program) {
        Ok(found) if found == expected => None,
        Ok(true) => Some("the engine reports a race that no execution has".to_owned()),
        Ok(false) => Some("the engine misses a race".to_owned()),
        Err(failure) => Some(failure),
    }
}

#[test]
fn the_engine_finds_the_races_that_exist_and_no_others() {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000));
    let (mut racy, mut clean) = (0, 0);
    for seed in seed..seed + count {
        let program = program(seed);
        if let Some(wrong) = disagreement(&program) {
            let small = shrink(program, |program| disagreement(program).is_some());
            panic!("LITMUS_SEED={seed}, `y` is not atomic\n{small}{wrong}");
        }
        match naive::has_race(&program, PLAIN, GRAPHS) {
            Some(true) => racy += 1,
            Some(false) => clean += 1,
            None => {}
        }
    }
    assert!(
        racy * 20 > count && clean * 20 > count,
        "{racy} racy and {clean} clean programs show little"
    );
}

/// The classics of publication, so that the oracle itself is checked by hand.
#[test]
fn races_known_from_the_textbook() {
    let cases = [
        ("thread { y.store(1, Relaxed); } thread { y.load(Relaxed); }", true),
        ("thread { y.load(Relaxed); } thread { y.load(Relaxed); }", false),
        (
            "thread { y.store(1, Relaxed); x.store(1, Release); } thread { r = x.load(Acquire); \
             if (r == 1) { y.load(Relaxed); } }",
            false,
        ),
        (
            "thread { y.store(1, Relaxed); x.store(1, Relaxed); } thread { r = x.load(Acquire); \
             if (r == 1) { y.load(Relaxed); } }",
            true,
        ),
        (
            "thread { y.store(1, Relaxed); x.store(1, Release); } thread { r = x.load(Relaxed); \
             if (r == 1) { y.load(Relaxed); } }",
            true,
        ),
        (
            "thread { y.store(1, Relaxed); x.store(1, Release); } thread { r = x.load(Relaxed); \
             fence(Acquire); if (r == 1) { y.store(2, Relaxed); } }",
            false,
        ),
        (
            "thread { y.store(1, Relaxed); x.store(1, Release); x.store(2, Relaxed); } thread { r \
             = x.load(Acquire); if (r == 2) { y.load(Relaxed); } }",
            true,
        ),
        (
            "thread { y.store(1, Relaxed); x.fetch_add(1, Release); } thread { y.load(Relaxed); \
             x.fetch_add(1, Release); } thread { r = x.load(Acquire); if (r == 2) { y.store(3, \
             Relaxed); } }",
            true,
        ),
        // No synchronisation through the plain location itself.
        (
            "thread { x.store(1, Relaxed); fence(SeqCst); y.store(1, Relaxed); } thread { r = \
             y.load(Relaxed); }",
            true,
        ),
        // A claim by exchange.
        (
            "thread { r1 = x.swap(1, Relaxed); if (r1 == 0) { y.store(1, Relaxed); } } thread { \
             r2 = x.swap(1, Relaxed); if (r2 == 0) { y.store(2, Relaxed); } }",
            false,
        ),
    ];
    for (text, racy) in cases {
        let program: Program = format!("x = 0; y = 0; {text}").parse().expect("a program");
        assert_eq!(naive::has_race(&program, PLAIN, usize::MAX), Some(racy), "naive: {text}");
        assert_eq!(engine_finds_race(&program), Ok(racy), "engine: {text}");
    }
}
