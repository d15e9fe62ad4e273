//! Which instructions to kill at.
//!
//! A process that is killed leaves shared memory and the kernel's state behind and nothing else. So two instructions between which neither
//! changes are one case, and a first run finds where they change: it steps the child through and compares the shared memory after every
//! instruction. [`every`] kills at literally every instruction; [`every_effect`] after (and one before) each that changed something, and at
//! as many others picked by a seed, which it prints.

use std::collections::BTreeSet;
use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::io::pread;
use sync_ipc::Segment;

use crate::processes::Stepped;

/// A small generator, so that a run can be repeated: `SYNC_SEED=<n>`.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(test: &str) -> Self {
        let seed = env::var("SYNC_SEED")
            .ok()
            .and_then(|seed| seed.parse().ok())
            .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |now| now.as_nanos() as u64));
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

/// One case: a fresh segment with what the test needs in it, what the child does, and what must hold after its death.
pub(crate) trait Case {
    /// What the child and the survivor work with.
    type World;
    /// Makes a fresh one.
    fn world(&self) -> Self::World;
    /// The segment to watch for effects.
    fn segment<'a>(&self, world: &'a Self::World) -> &'a Segment;
    /// What the child does before it is stepped.
    fn prepare(&self, _: &Self::World) {}
    /// What the child is stepped through.
    fn act(&self, world: &Self::World);
    /// What the survivor finds; `finished` says that the child was through.
    fn check(&self, world: &Self::World, finished: bool);
}

fn start<C: Case>(case: &C, world: &C::World) -> Stepped {
    Stepped::new(|| case.prepare(world), |()| case.act(world))
}

fn kill_at<C: Case>(case: &C, steps: u64) -> bool {
    let world = case.world();
    let mut child = start(case, &world);
    let alive = child.steps(steps);
    child.child.kill();
    case.check(&world, !alive);
    alive
}

/// Kills at every instruction.
pub(crate) fn every<C: Case>(name: &str, case: &C) {
    let mut steps = 0;
    while kill_at(case, steps) {
        steps += 1;
    }
    assert!(steps > 20, "an operation of {steps} instructions");
    println!("{name}: killed at each of {steps} instructions");
}

/// Kills around every instruction that has an effect, and at `samples` others.
pub(crate) fn every_effect<C: Case>(name: &str, case: &C, samples: u64) {
    let world = case.world();
    let mut child = start(case, &world);
    let mut before = snapshot(case.segment(&world));
    let mut cases = BTreeSet::from([0]);
    let mut effects = 0;
    while child.step() {
        let after = snapshot(case.segment(&world));
        if after != before {
            effects += 1;
            cases.extend([child.steps - 1, child.steps, child.steps + 1]);
            before = after;
        }
    }
    let total = child.steps;
    drop(child);
    let mut random = Random::new(name);
    cases.extend((0..samples).map(|_| random.below(total)));
    cases.insert(total + 1_000_000);
    assert!(effects > 0, "an operation without an effect");
    for steps in &cases {
        kill_at(case, *steps);
    }
    println!("{name}: {total} instructions, {effects} with an effect; killed at {}", cases.len());
}

fn snapshot(segment: &Segment) -> Vec<u8> {
    // Header, table, directory and the first objects: the cases' segments are small.
    let mut bytes = vec![0; 40960];
    let read = pread(segment, &mut bytes, 0).expect("a segment can be read");
    bytes.truncate(read);
    bytes
}
