//! The accesses of the algorithms, in the order of their sources.

use super::machine::{Access, Line, Program, Team};

/// One operation under contention.
#[derive(Debug)]
pub struct Subject {
    /// The name in the table.
    pub name: &'static str,
    /// Makes a team of this number of threads.
    pub team: fn(usize) -> Team,
}

/// All subjects.
pub const SUBJECTS: &[Subject] = &[
    Subject { name: "Mutex", team: |n| mutexes(n, 250) },
    Subject { name: "a mutex whose waiters look without a pause", team: |n| mutexes(n, 1) },
    Subject { name: "RwLock, read", team: |n| counters(n, |n| n + 1, |n| n - 1) },
    Subject { name: "Semaphore, free permits", team: |n| counters(n, |n| n - 1, |n| n + 1) },
    Subject { name: "Queue of 1024, put and get", team: queue },
    Subject { name: "Scheduler, insert", team: scheduler },
];

fn team(lines: Vec<u64>, programs: impl Iterator<Item = Box<dyn Program>>) -> Team {
    Team { programs: programs.collect(), lines }
}

/// A lock of `raw_mutex.rs` on a line: a compare-and-swap to take it and one to release it; a
/// waiter looks once in each interval, and tries when it has seen the lock free.
struct Lock {
    word: Line,
    interval: u64,
    at: At,
}

#[derive(Clone, Copy)]
enum At {
    Start,
    Tried,
    Paused,
    Looked,
}

impl Lock {
    fn new(word: Line, interval: u64) -> Self {
        Self { word, interval, at: At::Start }
    }

    /// The next access of the acquisition; `None` once the lock is held.
    fn acquire(&mut self, read: u64) -> Option<Access> {
        let (at, access) = match self.at {
            At::Start => (At::Tried, Access::Swap(self.word, 0, 1)),
            At::Tried if read == 0 => {
                self.at = At::Start;
                return None;
            }
            At::Looked if read == 0 => (At::Tried, Access::Swap(self.word, 0, 1)),
            At::Tried | At::Looked => (At::Paused, Access::Pause(self.interval)),
            At::Paused => (At::Looked, Access::Load(self.word)),
        };
        self.at = at;
        Some(access)
    }

    fn release(&self) -> Access {
        Access::Swap(self.word, 1, 0)
    }
}

/// Takes the lock, writes to the lines that it protects, releases it.
struct Section {
    lock: Lock,
    protects: Vec<Line>,
    /// The next line to write, while the lock is held.
    written: Option<usize>,
    released: bool,
}

impl Program for Section {
    fn next(&mut self, read: u64, operations: &mut u64) -> Access {
        if self.released {
            self.released = false;
            *operations += 1;
        }
        if self.written.is_none() {
            if let Some(access) = self.lock.acquire(read) {
                return access;
            }
            self.written = Some(0);
        }
        let at = self.written.unwrap_or(0);
        match self.protects.get(at) {
            Some(&line) => {
                self.written = Some(at + 1);
                Access::Store(line, 0)
            }
            None => {
                self.written = None;
                self.released = true;
                self.lock.release()
            }
        }
    }
}

fn section(word: Line, protects: Vec<Line>, interval: u64) -> Box<dyn Program> {
    Box::new(Section { lock: Lock::new(word, interval), protects, written: None, released: false })
}

fn mutexes(threads: usize, interval: u64) -> Team {
    team(vec![0], (0..threads).map(|_| section(0, Vec::new(), interval)))
}

/// `scheduler/mod.rs` and `shard.rs`: a thread keeps to its shard, of which there are at most two a
/// processor and sixteen in all. An insertion takes the shard's lock and writes the bucket and the
/// timer's entry.
fn scheduler(threads: usize) -> Team {
    let shards = (2 * threads).next_power_of_two().min(16);
    let programs = (0..threads).map(|thread| {
        let word = 3 * (thread % shards);
        section(word, vec![word + 1, word + 2], 250)
    });
    team(vec![0; 3 * shards], programs)
}

/// A pair of changes of one counter: load, compare-and-swap, again with the value that was there
/// until it succeeds. The fast paths of `raw_rwlock/mod.rs` (a reader comes and goes) and of
/// `raw_semaphore.rs` (a permit is taken and given back).
struct Counter {
    change: [fn(u64) -> u64; 2],
    leaving: bool,
    at: CounterAt,
}

enum CounterAt {
    Begin,
    Loaded,
    Swapped(u64),
}

impl Program for Counter {
    fn next(&mut self, read: u64, operations: &mut u64) -> Access {
        let from = match self.at {
            CounterAt::Swapped(from) if from == read => {
                *operations += u64::from(self.leaving);
                self.leaving = !self.leaving;
                None
            }
            CounterAt::Begin => None,
            CounterAt::Loaded | CounterAt::Swapped(_) => Some(read),
        };
        match from {
            None => {
                self.at = CounterAt::Loaded;
                Access::Load(0)
            }
            Some(from) => {
                self.at = CounterAt::Swapped(from);
                Access::Swap(0, from, (self.change[usize::from(self.leaving)])(from))
            }
        }
    }
}

/// The counter of a semaphore starts with more permits than there are threads.
const PERMITS: u64 = 1000;

fn counters(threads: usize, come: fn(u64) -> u64, go: fn(u64) -> u64) -> Team {
    team(
        vec![PERMITS],
        (0..threads).map(|_| {
            let counter = Counter { change: [come, go], leaving: false, at: CounterAt::Begin };
            Box::new(counter) as Box<dyn Program>
        }),
    )
}

const TAIL: Line = 0;
const HEAD: Line = 1;
const SLOTS: Line = 2;
const CAPACITY: u64 = 1024;
/// Slots of 16 bytes, a stamp and a word, on lines of 64.
const SLOTS_IN_A_LINE: u64 = 4;

/// `buffer/array.rs`: load the end, load the slot's stamp, compare-and-swap the end, store the
/// stamp. The queue is half full, so that no thread waits for an item or for room.
struct Queue {
    end: Line,
    at: QueueAt,
}

enum QueueAt {
    Begin,
    LoadedEnd,
    LoadedStamp(u64),
    Claimed(u64),
    Stored,
}

impl Program for Queue {
    fn next(&mut self, read: u64, operations: &mut u64) -> Access {
        let slot = |position: u64| SLOTS + (position % CAPACITY / SLOTS_IN_A_LINE) as usize;
        if let QueueAt::Stored = self.at {
            // A put is followed by a get, and both are one operation.
            *operations += u64::from(self.end == HEAD);
            self.end = if self.end == HEAD { TAIL } else { HEAD };
            self.at = QueueAt::Begin;
        }
        let (at, access) = match self.at {
            QueueAt::Begin | QueueAt::Stored => (QueueAt::LoadedEnd, Access::Load(self.end)),
            QueueAt::LoadedEnd => (QueueAt::LoadedStamp(read), Access::Load(slot(read))),
            QueueAt::LoadedStamp(position) => {
                (QueueAt::Claimed(position), Access::Swap(self.end, position, position + 1))
            }
            QueueAt::Claimed(position) if read == position => {
                (QueueAt::Stored, Access::Store(slot(position), 0))
            }
            // The claim failed and has read the present position.
            QueueAt::Claimed(_) => (QueueAt::LoadedStamp(read), Access::Load(slot(read))),
        };
        self.at = at;
        access
    }
}

fn queue(threads: usize) -> Team {
    let mut lines = vec![0; SLOTS + (CAPACITY / SLOTS_IN_A_LINE) as usize];
    lines[TAIL] = CAPACITY / 2;
    team(
        lines,
        (0..threads).map(|_| Box::new(Queue { end: TAIL, at: QueueAt::Begin }) as Box<dyn Program>),
    )
}
