//! The machine: processors, lines, and the order in which accesses take place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fmt;

/// A cache line. It holds one word; words that share a line are one word here.
pub type Line = usize;

/// The costs of an access, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Costs {
    /// A line moves from one processor to another.
    pub transfer: u64,
    /// A locked instruction, beside the transfer.
    pub locked: u64,
    /// Anything else.
    pub local: u64,
}

impl Default for Costs {
    fn default() -> Self {
        Self { transfer: 60, locked: 6, local: 1 }
    }
}

/// One access to memory, or a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load. The program gets the value.
    Load(Line),
    /// A plain store.
    Store(Line, u64),
    /// A compare-and-swap from the first value to the second. The program gets the value that was
    /// there.
    Swap(Line, u64, u64),
    /// No access for this number of nanoseconds.
    Pause(u64),
}

/// A thread's program: a state machine that is asked for the next access with the value that the
/// last one read.
pub trait Program {
    /// The next access. `operations` counts the finished operations.
    fn next(&mut self, read: u64, operations: &mut u64) -> Access;
}

/// A team: the programs of all threads, and the first values of the lines.
pub struct Team {
    /// One for each thread.
    pub programs: Vec<Box<dyn Program>>,
    /// The value of each line at the start.
    pub lines: Vec<u64>,
}

/// The sums of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Count {
    /// Operations that were finished.
    pub operations: u64,
    /// Transfers of a line between two processors.
    pub moved: u64,
    /// Locked instructions, failed ones included.
    pub locks: u64,
}

impl Count {
    /// Transfers an operation.
    pub fn transfers(&self) -> f64 {
        self.moved as f64 / self.operations as f64
    }

    /// Locked instructions an operation.
    pub fn locked(&self) -> f64 {
        self.locks as f64 / self.operations as f64
    }
}

#[derive(Clone, Default)]
struct State {
    value: u64,
    /// The processors that have the line, one bit each.
    sharers: u128,
    /// When the line has served all accesses so far.
    free_at: u64,
}

/// The work between two operations of a thread: `mean` nanoseconds on the average, between half of
/// that and one and a half. Seeded by the thread, so that every run is the same.
struct Work {
    mean: u64,
    state: u64,
}

impl Work {
    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.mean / 2 + self.state % (self.mean + 1)
    }
}

impl fmt::Debug for Team {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = (self.programs.len(), self.lines.len());
        write!(f, "Team of {} threads over {} lines", counts.0, counts.1)
    }
}

/// Runs a team until its threads have finished `operations` operations each, on the average: a
/// thread that has done its share goes on, so that the others meet the same contention to the end.
/// Between two operations a thread works for `work` nanoseconds without the lines.
pub fn run(mut team: Team, costs: Costs, work: u64, operations: u64) -> Count {
    let threads = team.programs.len();
    assert!(threads <= 128, "a line's sharers are 128 bits");
    let mut lines: Vec<State> =
        team.lines.iter().map(|&value| State { value, ..State::default() }).collect();
    let mut count = Count::default();
    // By time, then by thread: the same order in every run.
    let mut next: BinaryHeap<_> = (0..threads).map(|thread| Reverse((0, thread))).collect();
    let mut read = vec![0; threads];
    let mut works: Vec<_> =
        (1..=threads as u64).map(|state| Work { mean: work, state: state << 17 | 1 }).collect();
    let mut held: Vec<Option<Access>> = vec![None; threads];
    while count.operations < operations * threads as u64 {
        let Some(Reverse((now, thread))) = next.pop() else { break };
        let access = match held[thread].take() {
            Some(access) => access,
            None => {
                let before = count.operations;
                let access = team.programs[thread].next(read[thread], &mut count.operations);
                if work > 0 && count.operations > before {
                    // The access begins the next operation.
                    held[thread] = Some(access);
                    next.push(Reverse((now + works[thread].next(), thread)));
                    continue;
                }
                access
            }
        };
        let (line, writes, locked) = match access {
            Access::Pause(time) => {
                next.push(Reverse((now + time.max(1), thread)));
                continue;
            }
            Access::Load(line) => (line, false, false),
            Access::Store(line, _) => (line, true, false),
            Access::Swap(line, ..) => (line, true, true),
        };
        let (state, me) = (&mut lines[line], 1 << thread);
        let foreign = state.sharers & !me != 0;
        let missing = state.sharers & me == 0;
        // A line that no processor has had comes from memory, which is no transfer.
        let moves = foreign && (missing || writes);
        let mut time = costs.local;
        if moves {
            count.moved += 1;
            time += costs.transfer;
        }
        if locked {
            count.locks += 1;
            time += costs.locked;
        }
        let done = now.max(state.free_at) + time;
        if moves || locked {
            state.free_at = done;
        }
        if writes {
            state.sharers = me;
        } else {
            state.sharers |= me;
        }
        read[thread] = state.value;
        match access {
            Access::Store(_, value) => state.value = value,
            Access::Swap(_, from, to) if state.value == from => state.value = to,
            _ => {}
        }
        next.push(Reverse((done, thread)));
    }
    count
}
