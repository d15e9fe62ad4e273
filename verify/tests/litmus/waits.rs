//! Other things that wait than mutexes: readers and writers, notifications, conditions.
//! Random programs of critical sections against the same programs spelt out in read-modify-writes
//! that are assumed to find what they wait for.
//!
//! They differ from a mutex in that who lets a wait go on is itself a read-modify-write, which may
//! be revisited.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex as Plain};

use verify::hint::wait_until;
use verify::litmus::{
    Condition, Location, LocationId, Program, Register, RegisterId, Statement, Thread, Value,
};
use verify::model::Builder;
use verify::sync::atomic::AtomicU64;
use verify::sync::{Notify, RwLock};
use verify::thread;

use crate::generate::Random;
use crate::naive;
use crate::random::setting;

const GRAPHS: usize = 6_000;

/// The steps of a thread, in and out of its locks.
#[derive(Clone, Copy, Debug)]
enum Step {
    Load(usize),
    Store(usize, u64),
    Read,
    EndRead,
    Write,
    EndWrite,
    Wait(usize),
    Notify(usize),
    Add(usize),
    /// Until a counter has this value or a greater one.
    Until(usize, u64),
    /// Until both counters have.
    UntilBoth(u64),
}

/// While a writer has the lock; below it the number of readers.
const WRITER: u64 = 10;

/// More than a counter is counted up.
const MANY: u64 = 9;

/// The locations: two for data, two for notifications or counters, the lock.
const LOCATIONS: [&str; 5] = ["x", "y", "n", "o", "l"];
const LOCK: LocationId = LocationId(4);

fn literal(n: u64) -> Value {
    Value::Literal(n)
}

/// The program spelt out.
fn spelt_out(threads: &[Vec<Step>]) -> Program {
    let mut program = Program {
        locations: LOCATIONS
            .iter()
            .map(|name| Location { name: (*name).to_owned(), initial: 0 })
            .collect(),
        registers: Vec::new(),
        threads: Vec::new(),
    };
    for (t, steps) in threads.iter().enumerate() {
        let mut body = Vec::new();
        for (i, step) in steps.iter().enumerate() {
            let mut register = || {
                program.registers.push(Register { name: format!("r{t}_{i}"), thread: t });
                RegisterId(program.registers.len() - 1)
            };
            let cas = |location, expected, new, into| Statement::CompareExchange {
                location,
                expected: literal(expected),
                new: literal(new),
                success: Acquire,
                failure: Relaxed,
                into: Some(into),
            };
            match *step {
                Step::Load(x) => {
                    body.push(Statement::Load {
                        location: LocationId(x),
                        ordering: Relaxed,
                        into: Some(register()),
                    });
                }
                Step::Store(x, value) => body.push(Statement::Store {
                    location: LocationId(x),
                    value: literal(value),
                    ordering: Relaxed,
                }),
                Step::Read => {
                    let held = register();
                    body.push(Statement::FetchAdd {
                        location: LOCK,
                        value: literal(1),
                        ordering: Acquire,
                        into: Some(held),
                    });
                    let free = |n| Condition::Equal(Value::Register(held), literal(n));
                    body.push(Statement::Assume(Condition::Any((0..4).map(free).collect())));
                }
                Step::EndRead => {
                    body.push(Statement::FetchAdd {
                        location: LOCK,
                        value: literal(u64::MAX),
                        ordering: Release,
                        into: None,
                    });
                }
                Step::Write => {
                    let held = register();
                    body.push(cas(LOCK, 0, WRITER, held));
                    body.push(Statement::Assume(Condition::Equal(
                        Value::Register(held),
                        literal(0),
                    )));
                }
                Step::EndWrite => body.push(Statement::Store {
                    location: LOCK,
                    value: literal(0),
                    ordering: Release,
                }),
                Step::Wait(n) => {
                    let told = register();
                    body.push(cas(LocationId(2 + n), 1, 0, told));
                    body.push(Statement::Assume(Condition::Equal(
                        Value::Register(told),
                        literal(1),
                    )));
                }
                Step::Notify(n) => {
                    body.push(Statement::Swap {
                        location: LocationId(2 + n),
                        value: literal(1),
                        ordering: Release,
                        into: None,
                    });
                }
                Step::Add(n) => {
                    body.push(Statement::FetchAdd {
                        location: LocationId(2 + n),
                        value: literal(1),
                        ordering: Release,
                        into: None,
                    });
                }
                Step::Until(_, least) | Step::UntilBoth(least) => {
                    let first = if let Step::Until(n, _) = *step { n } else { 0 };
                    let last = if let Step::Until(n, _) = *step { n } else { 1 };
                    for n in first..=last {
                        let name = format!("r{t}_{i}_{n}");
                        program.registers.push(Register { name, thread: t });
                        let seen = RegisterId(program.registers.len() - 1);
                        body.push(Statement::Load {
                            location: LocationId(2 + n),
                            ordering: Acquire,
                            into: Some(seen),
                        });
                        let is = |n| Condition::Equal(Value::Register(seen), literal(n));
                        body.push(Statement::Assume(Condition::Any(
                            (least..MANY).map(is).collect(),
                        )));
                    }
                }
            }
        }
        program.threads.push(Thread { body });
    }
    program
}

type Registers = BTreeMap<String, u64>;

/// The state that the threads of one execution share.
#[derive(Default)]
struct Shared {
    data: [AtomicU64; 2],
    told: [Notify; 2],
    counters: [AtomicU64; 2],
    lock: RwLock<()>,
    /// How many threads have ended, and what they have read.
    ended: Plain<(usize, Registers)>,
}

fn run(shared: &Shared, t: usize, steps: &[Step]) -> Registers {
    let (mut reader, mut writer, mut registers) = (None, None, Registers::new());
    for (i, step) in steps.iter().enumerate() {
        match *step {
            Step::Load(x) => {
                registers.insert(format!("r{t}_{i}"), shared.data[x].load(Relaxed));
            }
            Step::Store(x, value) => shared.data[x].store(value, Relaxed),
            Step::Read => reader = Some(shared.lock.read().unwrap()),
            Step::EndRead => drop(reader.take()),
            Step::Write => writer = Some(shared.lock.write().unwrap()),
            Step::EndWrite => drop(writer.take()),
            Step::Wait(n) => shared.told[n].wait(),
            Step::Notify(n) => shared.told[n].notify(),
            Step::Add(n) => {
                shared.counters[n].fetch_add(1, Release);
            }
            Step::Until(n, least) => wait_until(|| shared.counters[n].load(Acquire) >= least),
            Step::UntilBoth(least) => {
                wait_until(|| shared.counters.iter().all(|n| n.load(Acquire) >= least));
            }
        }
    }
    registers
}

fn explore(threads: &[Vec<Step>]) -> Result<(u64, BTreeSet<Registers>), String> {
    let outcomes = Arc::new(Plain::new(BTreeSet::new()));
    let (threads, seen) = (Arc::new(threads.to_vec()), outcomes.clone());
    let mut builder = Builder::new();
    builder.spurious_wakeups = 0;
    let report = builder.explore(move || {
        let shared = Arc::new(Shared::default());
        for t in 0..threads.len() {
            let (threads, shared, seen) = (threads.clone(), shared.clone(), seen.clone());
            thread::spawn(move || {
                let mine = run(&shared, t, &threads[t]);
                let mut ended = shared.ended.lock().unwrap();
                ended.1.extend(mine);
                ended.0 += 1;
                if ended.0 == threads.len() {
                    seen.lock().unwrap().insert(ended.1.clone());
                }
            });
        }
    });
    match report.failure {
        Some(failure) => Err(failure.to_string()),
        None => Ok((report.executions, outcomes.lock().unwrap().clone())),
    }
}

/// None: too large for the naive enumerator.
fn compare(threads: &[Vec<Step>]) -> Option<Result<(), String>> {
    let expected = naive::enumerate_within(&spelt_out(threads), GRAPHS)?;
    // The reads of the locks have no register in the other version.
    let data = |name: &String| {
        let (t, i) = name[1..].split_once('_').expect("thread and step");
        let i = i.split('_').next().expect("a step");
        matches!(threads[t.parse::<usize>().unwrap()][i.parse::<usize>().unwrap()], Step::Load(_))
    };
    let wanted: BTreeSet<Registers> = expected
        .outcomes
        .into_iter()
        .map(|o| o.registers.into_iter().filter(|(name, _)| data(name)).collect())
        .collect();
    Some(match explore(threads) {
        Err(failure) => Err(failure),
        Ok((executions, _)) if executions != expected.executions => {
            Err(format!("{executions} executions, {} distinct graphs exist", expected.executions))
        }
        Ok((_, found)) if found != wanted => Err(format!("found {found:?}, should be {wanted:?}")),
        Ok(_) => Ok(()),
    })
}

/// Leaves out what does not matter for the disagreement.
fn shrink(
    mut threads: Vec<Vec<Step>>,
    well_formed: impl Fn(&[Vec<Step>]) -> bool,
) -> Vec<Vec<Step>> {
    let fails =
        |threads: &[Vec<Step>]| well_formed(threads) && matches!(compare(threads), Some(Err(_)));
    'again: loop {
        for t in 0..threads.len() {
            for len in [threads[t].len(), 3, 2, 1] {
                for i in 0..(threads[t].len() + 1).saturating_sub(len.max(1)) {
                    let mut smaller = threads.clone();
                    smaller[t].drain(i..i + len);
                    if smaller[t].is_empty() {
                        smaller.remove(t);
                    }
                    if fails(&smaller) {
                        threads = smaller;
                        continue 'again;
                    }
                }
            }
        }
        return threads;
    }
}

fn check(make: fn(&mut Random) -> Vec<Vec<Step>>, well_formed: fn(&[Vec<Step>]) -> bool) {
    let (seed, count) = (setting("LITMUS_SEED", 1), setting("LITMUS_PROGRAMS", 2_000) / 4);
    let mut compared = 0;
    for seed in seed..seed + count {
        let threads = make(&mut Random::new(seed));
        assert!(well_formed(&threads), "{threads:?}");
        match compare(&threads) {
            None => {}
            Some(Ok(())) => compared += 1,
            Some(Err(wrong)) => {
                let small = shrink(threads, well_formed);
                let again = compare(&small);
                panic!(
                    "LITMUS_SEED={seed}\n{}\n{small:?}: {again:?}\nbefore shrinking: {wrong}",
                    spelt_out(&small)
                );
            }
        }
    }
    assert!(2 * compared > count, "only {compared} of {count} were small enough");
}

/// Sections of readers load, those of writers load and store; nothing is done outside, because the
/// readers of the lock that is spelt out happen before each other.
fn sections(random: &mut Random) -> Vec<Vec<Step>> {
    let threads = 2 + random.below(2);
    let part = |random: &mut Random| {
        let mut steps = Vec::new();
        for _ in 0..1 + random.below(if threads == 2 { 2 } else { 1 }) {
            let writes = random.chance(50);
            steps.push(if writes { Step::Write } else { Step::Read });
            for _ in 0..random.below(2) {
                let x = random.below(2);
                steps.push(if writes && random.chance(60) {
                    Step::Store(x, 1 + random.below(2) as u64)
                } else {
                    Step::Load(x)
                });
            }
            steps.push(if writes { Step::EndWrite } else { Step::EndRead });
        }
        steps
    };
    (0..threads).map(|_| part(random)).collect()
}

fn well_sectioned(threads: &[Vec<Step>]) -> bool {
    threads.iter().all(|steps| {
        let mut open = ' ';
        steps.iter().all(|step| {
            let (from, to) = match step {
                Step::Read => (' ', 'r'),
                Step::EndRead => ('r', ' '),
                Step::Write => (' ', 'w'),
                Step::EndWrite => ('w', ' '),
                Step::Store(..) => ('w', 'w'),
                _ => (open, open),
            };
            let fits = open == from && open != '?';
            open = if matches!(step, Step::Load(_)) && open == ' ' { '?' } else { to };
            fits && open != '?'
        }) && open == ' '
    })
}

#[test]
fn readers_and_writers_are_counted_as_the_definition_counts_them() {
    check(sections, well_sectioned);
}

/// The first thread waits for one notification, the second, if it waits, for the other, and
/// notifies the first before that; all others notify both as often as they like. So no thread waits
/// forever.
fn notifications(random: &mut Random) -> Vec<Vec<Step>> {
    let mut threads =
        vec![vec![Step::Wait(0)], vec![Step::Notify(0), Step::Wait(1)], vec![Step::Notify(1)]];
    for _ in 0..1 + random.below(5) {
        let t = random.below(3);
        let step = match random.below(4) {
            0 if t != 1 => Step::Notify(1),
            1 if t != 0 => Step::Notify(0),
            n => {
                if n < 2 || random.chance(50) {
                    Step::Load(random.below(2))
                } else {
                    Step::Store(random.below(2), 1 + random.below(2) as u64)
                }
            }
        };
        let at = random.below(threads[t].len() + 1);
        threads[t].insert(at, step);
    }
    threads
}

fn all_threads_is_told(threads: &[Vec<Step>]) -> bool {
    // A waiting thread is notified by a thread that does not wait first; each place has one that
    // waits, once.
    let waits = |n: usize| {
        threads
            .iter()
            .filter(move |steps| steps.iter().any(|s| matches!(s, Step::Wait(m) if *m == n)))
    };
    let told = |n: usize| {
        threads.iter().any(|steps| {
            let first_wait =
                steps.iter().position(|s| matches!(s, Step::Wait(_))).unwrap_or(steps.len());
            steps[..first_wait].iter().any(|s| matches!(s, Step::Notify(m) if *m == n))
        })
    };
    let own = |n: usize| {
        threads.iter().any(|s| {
            s.iter().any(|s| matches!(s, Step::Wait(m) if *m == n))
                && s.iter().any(|s| matches!(s, Step::Notify(m) if *m == n))
        })
    };
    (0..2).all(|n| waits(n).count() == 0 || (waits(n).count() == 1 && told(n) && !own(n)))
}

#[test]
fn notifications_are_counted_as_the_definition_counts_them() {
    check(notifications, all_threads_is_told);
}

/// Two or three threads count up, two of them wait. What a thread waits for is counted by steps
/// that no wait precedes, so no thread waits forever.
fn conditions(random: &mut Random) -> Vec<Vec<Step>> {
    let count = 2 + random.below(2);
    let mut threads: Vec<Vec<Step>> = (0..count)
        .map(|_| (0..random.below(3)).map(|_| Step::Add(random.below(2))).collect())
        .collect();
    let counted = |n: usize, threads: &[Vec<Step>]| {
        threads.iter().flatten().filter(|step| matches!(step, Step::Add(m) if *m == n)).count()
    };
    let counted = [counted(0, &threads), counted(1, &threads)];
    for steps in threads.iter_mut().take(2) {
        let n = random.below(2);
        let both = counted[0].min(counted[1]);
        if both > 0 && random.chance(25) {
            steps.push(Step::UntilBoth(1 + random.below(both) as u64));
        } else if counted[n] > 0 {
            steps.push(Step::Until(n, 1 + random.below(counted[n]) as u64));
        }
        if random.chance(30) {
            // No thread depends on it.
            steps.push(Step::Add(random.below(2)));
        }
    }
    for _ in 0..1 + random.below(3) {
        let t = random.below(count);
        let step = if random.chance(50) {
            Step::Load(random.below(2))
        } else {
            Step::Store(random.below(2), 1 + random.below(2) as u64)
        };
        let at = random.below(threads[t].len() + 1);
        threads[t].insert(at, step);
    }
    threads
}

fn all_conditions_come_true(threads: &[Vec<Step>]) -> bool {
    let waits = |step: &Step| matches!(step, Step::Until(..) | Step::UntilBoth(_));
    let counted = |n: usize| {
        let free = |steps: &'_ Vec<Step>| steps.iter().position(waits).unwrap_or(steps.len());
        let before = threads.iter().flat_map(|steps| &steps[..free(steps)]);
        before.filter(|step| matches!(step, Step::Add(m) if *m == n)).count() as u64
    };
    threads.iter().flatten().all(|step| match *step {
        Step::Until(n, least) => counted(n) >= least,
        Step::UntilBoth(least) => counted(0).min(counted(1)) >= least,
        _ => true,
    })
}

#[test]
fn waits_for_conditions_are_counted_as_the_definition_counts_them() {
    check(conditions, all_conditions_come_true);
}
