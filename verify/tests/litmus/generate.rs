//! Seeded random litmus programs.
//!
//! Small on purpose: the bugs of an explorer show in programs of a handful of events, if there are
//! enough of them. Each program draws its own flavour (how many threads, which operations are
//! frequent, which orderings), since uniform choices all look alike.

use std::sync::atomic::Ordering::{self, AcqRel, Acquire, Relaxed, Release, SeqCst};

use verify::litmus::{
    Condition, Location, LocationId, Program, Register, RegisterId, Statement, Thread, Value,
};

/// SplitMix64 (Steele, Lea and Flood 2014): tiny, and the same on every machine forever, so that a
/// seed in a bug report stays good.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// True `percent` times of a hundred.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Statements in all threads together, by number of threads (2, 3, 4): what the naive enumerator
/// takes in a blink.
const LONGEST: [usize; 3] = [10, 9, 8];

/// The random program of `seed`, with some statements `more` than the naive enumerator likes.
pub(crate) fn program(seed: u64, more: usize) -> Program {
    Generator::new(seed).program(more)
}

struct Generator {
    random: Random,
    program: Program,
    /// The registers of the thread being made that every path to here has assigned.
    usable: Vec<RegisterId>,
    /// Weights of store, load, swap, fetch_add, compare_exchange, fence.
    weights: [usize; 6],
    orderings: &'static [Ordering],
    /// Percent of statements that branch or assume, and of values that are registers.
    control: usize,
    /// Percent of operations that are on the first location whatever else is drawn: contention.
    hot: usize,
}

impl Generator {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let weights = random.pick(&[
            [3, 3, 1, 1, 1, 1],
            [4, 4, 0, 0, 0, 1],
            [3, 3, 0, 0, 0, 3],
            [1, 1, 2, 2, 2, 1],
            [2, 2, 0, 0, 4, 0],
            [2, 3, 1, 2, 0, 2],
        ]);
        let orderings: &[Ordering] = random.pick(&[
            [Relaxed, Acquire, Release, AcqRel, SeqCst].as_slice(),
            &[Relaxed, SeqCst, SeqCst],
            &[Relaxed, Relaxed, AcqRel],
            &[Acquire, Release, AcqRel, SeqCst, SeqCst, SeqCst],
            &[Relaxed],
        ]);
        let control = random.pick(&[0, 0, 10, 25]);
        let hot = random.pick(&[0, 0, 70]);
        Generator {
            random,
            program: Program::default(),
            usable: Vec::new(),
            weights,
            orderings,
            control,
            hot,
        }
    }

    fn program(mut self, more: usize) -> Program {
        let locations = 2 + self.random.below(2);
        for name in ["x", "y", "z"].into_iter().take(locations) {
            let initial = if self.random.chance(90) { 0 } else { 1 };
            self.program.locations.push(Location { name: name.to_owned(), initial });
        }
        let threads = 2 + self.random.below(3);
        let mut lengths = vec![1; threads];
        let total = LONGEST[threads - 2] + more - self.random.below(4);
        while lengths.iter().sum::<usize>() < total {
            let thread = self.random.below(threads);
            lengths[thread] += 1;
        }
        for length in lengths {
            self.usable.clear();
            let body = self.block(length, 0);
            self.program.threads.push(Thread { body });
        }
        self.program
    }

    /// `length` operations, some of them inside branches.
    fn block(&mut self, mut length: usize, depth: usize) -> Vec<Statement> {
        let mut body = Vec::new();
        while length > 0 {
            if !self.usable.is_empty() && self.random.chance(self.control) {
                if depth < 2 && self.random.chance(70) {
                    let inside = 1 + self.random.below(length);
                    let condition = self.condition();
                    let before = self.usable.clone();
                    let then_length = self.random.below(inside + 1);
                    let then = self.block(then_length, depth + 1);
                    self.usable.clone_from(&before);
                    let otherwise = self.block(inside - then_length, depth + 1);
                    self.usable = before;
                    body.push(Statement::If { condition, then, otherwise });
                    length -= inside;
                    continue;
                }
                let condition = self.condition();
                body.push(Statement::Assume(condition));
            }
            body.push(self.operation());
            length -= 1;
        }
        body
    }

    fn operation(&mut self) -> Statement {
        let mut ticket = self.random.below(self.weights.iter().sum());
        let mut kind = 0;
        while ticket >= self.weights[kind] {
            ticket -= self.weights[kind];
            kind += 1;
        }
        let location = match self.random.chance(self.hot) {
            true => LocationId(0),
            false => LocationId(self.random.below(self.program.locations.len())),
        };
        match kind {
            0 => Statement::Store {
                location,
                value: self.value(),
                ordering: self.ordering(&[Relaxed, Release, SeqCst]),
            },
            1 => {
                let ordering = self.ordering(&[Relaxed, Acquire, SeqCst]);
                Statement::Load { location, ordering, into: Some(self.register()) }
            }
            2 => {
                let (value, ordering) = (self.value(), self.any_ordering());
                Statement::Swap { location, value, ordering, into: self.maybe_register() }
            }
            3 => {
                let (value, ordering) = (self.value(), self.any_ordering());
                Statement::FetchAdd { location, value, ordering, into: self.maybe_register() }
            }
            4 => {
                let (expected, new) = (self.small_value(), self.value());
                let (success, failure) =
                    (self.any_ordering(), self.ordering(&[Relaxed, Acquire, SeqCst]));
                Statement::CompareExchange {
                    location,
                    expected,
                    new,
                    success,
                    failure,
                    into: self.maybe_register(),
                }
            }
            _ => Statement::Fence { ordering: self.ordering(&[Acquire, Release, AcqRel, SeqCst]) },
        }
    }

    /// One of this program's flavour that is `allowed` here, or failing that any that is.
    fn ordering(&mut self, allowed: &[Ordering]) -> Ordering {
        let drawn = self.any_ordering();
        if allowed.contains(&drawn) { drawn } else { self.random.pick(allowed) }
    }

    fn any_ordering(&mut self) -> Ordering {
        let orderings = self.orderings;
        self.random.pick(orderings)
    }

    fn value(&mut self) -> Value {
        match self.usable.is_empty() || !self.random.chance(self.control) {
            true => Value::Literal(1 + self.random.below(3) as u64),
            false => Value::Register(self.random.pick(&self.usable.clone())),
        }
    }

    /// One that an exchange has some chance to find.
    fn small_value(&mut self) -> Value {
        match self.random.chance(60) {
            true => Value::Literal(self.random.below(2) as u64),
            false => self.value(),
        }
    }

    fn condition(&mut self) -> Condition {
        let left = Value::Register(self.random.pick(&self.usable.clone()));
        let right = self.small_value();
        if self.random.chance(50) {
            Condition::Equal(left, right)
        } else {
            Condition::NotEqual(left, right)
        }
    }

    fn register(&mut self) -> RegisterId {
        let id = RegisterId(self.program.registers.len());
        self.program
            .registers
            .push(Register { name: format!("r{}", id.0 + 1), thread: self.program.threads.len() });
        self.usable.push(id);
        id
    }

    fn maybe_register(&mut self) -> Option<RegisterId> {
        self.random.chance(80).then(|| self.register())
    }
}
