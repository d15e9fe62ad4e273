//! The choice of the instructions to kill at.
//!
//! [`every`] kills at literally every instruction of an operation. A first run steps the child
//! through and notes each instruction; then, for each of them, a fresh child in a fresh world runs
//! to it by a breakpoint, is killed there, and a survivor is checked. Where a child takes another
//! way than the first (how long it spins is a matter of the clock), it is stepped as many
//! instructions as there are before the instruction that it did not reach.
//!
//! [`every_effect`] is for operations that are too long for that: it compares the shared memory
//! after every instruction of the first run, and kills after (and one before) each that changed
//! something, and at as many others picked by a seed, which it prints. A process that is killed
//! leaves shared memory and the kernel's state behind and nothing else, so two instructions between
//! which neither changes are one case.
//!
//! [`every_system_call`] is for operations whose effects are all the kernel's: files, locks and
//! descriptors. It kills at the entry into and at the return from each system call, and at as many
//! other instructions picked by a seed. Between two system calls nothing changes that another
//! process could see.
//!
//! [`two_deaths`] does the same to a participant and to the successor that deals with what the dead
//! participant left.
//!
//! [`pairs`] steps two children through their operations at the same time, in bursts, and kills
//! both somewhere: by a seed.

use std::collections::{BTreeSet, HashMap};
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::pread;
use sync_ipc::Segment;

use crate::processes::{Instruction, Stepped};

/// A small generator, so that a run can be repeated: `SYNC_SEED=<n>`.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(test: &str) -> Self {
        let seed =
            env::var("SYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(|| {
                SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64)
            });
        println!("{test}: SYNC_SEED={seed}");
        Self(seed | 1)
    }

    /// xorshift64*
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % end.max(1)
    }
}

/// One case: a fresh segment with what the test needs in it, what the child does, and what must
/// hold after its death.
pub(crate) trait Case {
    /// The state that the child and the survivor share.
    type World;
    /// Makes a fresh world.
    fn world(&self) -> Self::World;
    /// The segment to watch for effects.
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment;
    /// Runs in the child before it is stepped.
    fn prepare(&self, _: &Self::World) {}
    /// The operation that the child is stepped through.
    fn act(&self, world: &Self::World);
    /// Checks the state that the survivor finds; `finished`: the child was through.
    fn check(&self, world: &Self::World, finished: bool);
}

fn start<C: Case>(case: &C, world: &C::World) -> Stepped {
    Stepped::new(|| case.prepare(world), |()| case.act(world))
}

fn kill_at<C: Case>(case: &C, steps: u64) -> bool {
    kill_on(case, steps, &[])
}

/// Kills after this many steps: by a breakpoint, if it is known which instruction comes then.
fn kill_on<C: Case>(case: &C, steps: u64, run: &[Instruction]) -> bool {
    if let Some(next) = run.get(steps as usize) {
        if kill_before(case, *next) {
            return true;
        }
    }
    let world = case.world();
    let mut child = start(case, &world);
    let alive = child.steps(steps);
    child.child.kill();
    case.check(&world, !alive);
    alive
}

/// The run of a stepped child that most children take. A stepped child takes a thousand times as
/// long, and longer on a busy machine: it may come to its time's end where no other child does.
fn usual_run<C: Case>(case: &C) -> Vec<Instruction> {
    const PROBES: usize = 16;
    let mut usual = (0, Vec::new());
    for _ in 0..6 {
        let run = start(case, &case.world()).trace();
        let probes = (0..PROBES).map(|probe| run[run.len() * probe / PROBES]);
        let reached = probes.filter(|at| kill_before(case, *at)).count();
        if reached >= usual.0 {
            usual = (reached, run);
        }
        if usual.0 > PROBES * 3 / 4 {
            break;
        }
    }
    usual.1
}

/// Kills at every instruction.
pub(crate) fn every<C: Case + Sync>(name: &str, case: &C) {
    let run = usual_run(case);
    assert!(run.len() > 20, "an operation of {} instructions", run.len());
    // The cases have nothing to do with each other, and wait more than they compute.
    let next = AtomicUsize::new(0);
    let missed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(&at) = run.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !kill_before(case, at) {
                        missed.fetch_add(1, Ordering::Relaxed);
                        let steps =
                            run.iter().position(|other| *other == at).expect("it is one of them");
                        kill_at(case, steps as u64);
                    }
                }
            });
        }
    });
    // And one that is killed when it is through.
    assert!(!kill_at(case, u64::MAX));
    let missed = missed.into_inner();
    println!("{name}: killed at each of {} instructions, {missed} of them by counting", run.len());
    assert!(missed < run.len() / 2, "most children went another way than the first");
}

const WORKERS: usize = 3;

/// Kills at the entry into and at the return from every system call, and at `samples` other
/// instructions.
pub(crate) fn every_system_call<C: Case + Sync>(name: &str, case: &C, samples: u64) {
    let mut random = Random::new(name);
    let mut stops = 0_u64;
    {
        let world = case.world();
        let mut child = start(case, &world);
        while child.syscall() {
            stops += 1;
        }
    }
    assert!(stops > 4, "an operation of {stops} entries and returns");
    // One that is through, and some more: a child may need more system calls than the first one.
    let stopped = (0..stops + 8).map(|stop| (stop, 0));
    let others = (0..samples).map(|_| (random.below(stops), 1 + random.below(200)));
    let cases: Vec<(u64, u64)> = stopped.chain(others).collect();
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(&(stops, steps)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let world = case.world();
                    let mut child = start(case, &world);
                    let alive = (0..stops).all(|_| child.syscall()) && child.steps(steps);
                    child.child.kill();
                    case.check(&world, !alive);
                }
            });
        }
    });
    println!("{name}: killed at {stops} entries and returns, and at {samples} other instructions");
}

/// Kills a child before an instruction, and checks the survivor. Returns `false` if the child did
/// not reach the instruction.
fn kill_before<C: Case>(case: &C, at: Instruction) -> bool {
    let world = case.world();
    let mut child = start(case, &world);
    let there = child.run_to(at);
    child.child.kill();
    case.check(&world, !there);
    there
}

/// Two children that do something at the same time, and both are killed.
pub(crate) trait Pair {
    /// The state that the children and the survivor share.
    type World;
    /// Makes a fresh world.
    fn world(&self) -> Self::World;
    /// Runs in both before they are stepped, to make them participants.
    fn prepare(&self, world: &Self::World);
    /// The operations that number 0 and number 1 are stepped through.
    fn act(&self, who: usize, world: &Self::World);
    /// Checks the state that the survivor finds; `finished`: which of the two were through.
    fn check(&self, world: &Self::World, finished: [bool; 2]);
}

/// Kills pairs, as many as `rounds`, after at most `steps` instructions each.
pub(crate) fn pairs<P: Pair>(name: &str, pair: &P, rounds: u64, steps: u64) {
    let mut random = Random::new(name);
    let mut through = [0; 2];
    for _ in 0..rounds {
        let world = pair.world();
        let mut children =
            [0, 1].map(|who| Stepped::new(|| pair.prepare(&world), |()| pair.act(who, &world)));
        let mut left = [0; 2].map(|_: i32| random.below(steps));
        let mut finished = [false; 2];
        while left != [0, 0] {
            let who = if left[0] == 0 {
                1
            } else if left[1] == 0 {
                0
            } else {
                random.below(2) as usize
            };
            // Long and short bursts: which child runs between which two instructions matters.
            let burst = left[who].min(1 << random.below(8));
            left[who] -= burst;
            if !finished[who] && !children[who].steps(burst) {
                finished[who] = true;
                left[who] = 0;
            }
        }
        for (who, child) in children.iter_mut().enumerate() {
            child.child.kill();
            through[who] += u64::from(finished[who]);
        }
        pair.check(&world, finished);
    }
    println!("{name}: {rounds} pairs, of which {} and {} were through", through[0], through[1]);
}

const FIRST_DEATHS: u64 = 16;

/// A case whose dead participant has a successor that is killed too.
pub(crate) trait Succession: Case {
    /// Runs in the successor after the first death.
    fn succeed(&self, world: &Self::World);
}

/// Kills the participant after each of its instructions that has an effect, and before it, and then
/// its successor around each of the successor's; and checks the survivor. Of many pairs, it picks
/// about `pairs` by a seed, with about [`FIRST_DEATHS`] instructions of the first.
pub(crate) fn two_deaths<C: Succession>(name: &str, case: &C, pairs: u64) {
    let mut random = Random::new(name);
    let successor =
        |world: &C::World| Stepped::new(|| case.prepare(world), |()| case.succeed(world));
    let world = case.world();
    let Effects { steps: first, run, .. } = effects(start(case, &world), case.segment(&world));
    // A child that takes another way than the first one is killed when it is through.
    let go = |child: &mut Stepped, steps: u64, run: &[Instruction]| match run.get(steps as usize) {
        Some(next) => child.run_to(*next),
        None => child.steps(steps),
    };
    let mut deaths = 0;
    for steps in &first {
        // The successor's steps depend on the first death, and to find them costs more than a pair.
        if random.below(first.len() as u64) >= FIRST_DEATHS {
            continue;
        }
        let world = case.world();
        let mut child = start(case, &world);
        go(&mut child, *steps, &run);
        child.child.kill();
        let Effects { steps: second, run: after, .. } =
            effects(successor(&world), case.segment(&world));
        let all = first.len().min(FIRST_DEATHS as usize) as u64 * second.len() as u64;
        for second in second {
            if random.below(all) >= pairs {
                continue;
            }
            let world = case.world();
            let mut child = start(case, &world);
            let alive = go(&mut child, *steps, &run);
            child.child.kill();
            let mut child = successor(&world);
            go(&mut child, second, &after);
            child.child.kill();
            case.check(&world, !alive);
            deaths += 1;
        }
    }
    println!("{name}: {deaths} pairs of deaths, at {} instructions of the first", first.len());
}

/// The run of an operation.
struct Effects {
    /// The numbers of instructions after which something in shared memory changed, and one less
    /// each.
    steps: BTreeSet<u64>,
    /// The number of changes.
    changes: usize,
    /// The instructions, in order.
    run: Vec<Instruction>,
}

fn effects(mut child: Stepped, segment: &Segment) -> Effects {
    let mut before = snapshot(segment);
    let mut steps = BTreeSet::from([0]);
    let mut effects = 0;
    let (mut run, mut seen) = (Vec::<Instruction>::new(), HashMap::new());
    loop {
        let address = child.address();
        match run.last() {
            // An instruction that repeats itself (`rep movsb`) has been begun once.
            Some(last) if last.address == address => run.push(*last),
            _ => {
                let count = seen.entry(address).or_insert(0_u32);
                run.push(Instruction { address, before: *count });
                *count += 1;
            }
        }
        if !child.step() {
            break;
        }
        let after = snapshot(segment);
        if after != before {
            effects += 1;
            steps.extend([child.steps - 1, child.steps]);
            before = after;
        }
    }
    // Killed when it is through.
    steps.insert(child.steps + 1_000_000);
    assert!(effects > 0, "an operation without an effect");
    Effects { steps, changes: effects, run }
}

/// Kills around every instruction that has an effect, and at `samples` others.
pub(crate) fn every_effect<C: Case>(name: &str, case: &C, samples: u64) {
    let world = case.world();
    let Effects { steps: mut cases, changes, run } =
        effects(start(case, &world), case.segment(&world));
    drop(world);
    let end = cases.last().copied().unwrap_or(0);
    let total = end - 1_000_000;
    cases.extend(cases.iter().map(|steps| steps + 1).collect::<Vec<_>>());
    let mut random = Random::new(name);
    cases.extend((0..samples).map(|_| random.below(total)));
    for steps in &cases {
        kill_on(case, *steps, &run);
    }
    println!("{name}: {total} instructions, {changes} with an effect; killed at {}", cases.len());
}

fn snapshot(segment: &Segment) -> Vec<u8> {
    // Header, table, directory and the first objects: the cases' segments are small.
    let mut bytes = vec![0; 40960];
    let read = pread(segment, &mut bytes, 0).expect("a segment can be read");
    bytes.truncate(read);
    bytes
}
