//! `Subject`, `Contestant` and `Workload`: the things that can be measured.

use std::fmt;
use std::time::Duration;

/// The unit of everything that is simply timed.
pub const NS_PER_OP: &str = "ns/op";

/// The name that ours has among the peers.
pub const OURS: &str = "ours";

/// How long a round is.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// At least this many operations, over all threads.
    Ops(u64),
    /// About this long.
    Time(Duration),
}

/// One number that a round measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The text after the workload's name in the id: `"max-wait"` makes `mutex/hog-max-wait/std/2`.
    /// Empty for the main number.
    pub suffix: &'static str,
    /// The unit: `"ns/op"`, `"us"`.
    pub unit: &'static str,
    /// The number.
    pub value: f64,
}

/// The result of a round.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Operations done.
    pub ops: u64,
    /// From the first thread's start to the last one's end.
    pub elapsed: Duration,
    /// The numbers. Every round of a subject has the same ones in the same order.
    pub metrics: Vec<Metric>,
}

impl Outcome {
    /// The usual outcome: nanoseconds an operation.
    pub fn timed(ops: u64, elapsed: Duration) -> Self {
        let value = elapsed.as_secs_f64() * 1e9 / ops.max(1) as f64;
        Self { ops, elapsed, metrics: vec![Metric { suffix: "", unit: NS_PER_OP, value }] }
    }
}

/// Something that can do operations again and again.
pub trait Subject {
    /// Does a round, and checks that it did what it should: nothing lost, nothing doubled.
    ///
    /// # Errors
    ///
    /// A description of the operations that were lost or doubled.
    fn round(&mut self, length: Length) -> Result<Outcome, String>;

    /// A short round whose result is checked as thoroughly as it can be. Runs before anything is
    /// timed.
    ///
    /// # Errors
    ///
    /// A description of the operations that were lost or doubled.
    fn check(&mut self) -> Result<(), String> {
        self.round(Length::Ops(1_000)).map(drop)
    }
}

impl<F: FnMut(Length) -> Result<Outcome, String>> Subject for F {
    fn round(&mut self, length: Length) -> Result<Outcome, String> {
        self(length)
    }
}

/// One of the implementations that a workload compares.
pub struct Contestant {
    /// [`OURS`], `"std"`, `"parking_lot"`, ...
    pub peer: &'static str,
    start: Box<dyn Fn() -> Box<dyn Subject>>,
}

impl Contestant {
    /// A contestant whose subject `start` makes: only when it is needed, for it may hold threads.
    pub fn new<S: Subject + 'static>(peer: &'static str, start: impl Fn() -> S + 'static) -> Self {
        Self { peer, start: Box::new(move || Box::new(start())) }
    }

    /// Makes the subject.
    pub fn start(&self) -> Box<dyn Subject> {
        (self.start)()
    }
}

impl fmt::Debug for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contestant").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// How a workload's rounds are measured out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// By operations, as many as fill the time of a round: for loops in one thread and whatever has
    /// its own end.
    Ops,
    /// By time: every thread goes on until the round is over, so that an unfair lock shows itself.
    Time,
}

/// The same job for all contestants.
#[derive(Debug)]
pub struct Workload {
    /// The primitive's stem: `"mutex"`.
    pub primitive: &'static str,
    /// The name of the job, without a slash: `"uncontended"`.
    pub name: String,
    /// How many threads do it.
    pub threads: usize,
    /// How rounds are measured out.
    pub pace: Pace,
    /// How long a round takes, about.
    pub round: Duration,
    /// How many rounds, unless the command line says: fewer where rounds are long, so that a
    /// workload takes a second or two.
    pub rounds: usize,
    /// Part of the large grid: runs only with `--all`, or when FILTER names the workload.
    pub grid: bool,
    /// The suffixes of the metrics that its rounds report; only `""` for most.
    pub metrics: &'static [&'static str],
    /// Ours and the peers, ours first.
    pub contestants: Vec<Contestant>,
}

impl Workload {
    /// A workload of one thread, measured in operations.
    pub fn single(
        primitive: &'static str,
        name: impl Into<String>,
        contestants: Vec<Contestant>,
    ) -> Self {
        Self {
            primitive,
            name: name.into(),
            threads: 1,
            pace: Pace::Ops,
            // Shorter than a time slice: on a busy machine most rounds are then undisturbed, and
            // the median is of those.
            round: Duration::from_micros(500),
            rounds: 61,
            grid: false,
            metrics: &[""],
            contestants,
        }
    }

    /// A workload of several threads, measured in time.
    pub fn team(
        primitive: &'static str,
        name: impl Into<String>,
        threads: usize,
        contestants: Vec<Contestant>,
    ) -> Self {
        Self {
            threads,
            pace: Pace::Time,
            round: Duration::from_millis(5),
            rounds: 25,
            ..Self::single(primitive, name, contestants)
        }
    }

    /// With rounds of another length.
    #[must_use]
    pub fn rounds_of(self, round: Duration) -> Self {
        Self { round, ..self }
    }

    /// With this many rounds.
    #[must_use]
    pub fn with_rounds(self, rounds: usize) -> Self {
        Self { rounds, ..self }
    }

    /// Measured in operations, though several threads take part.
    #[must_use]
    pub fn paced_by_ops(self) -> Self {
        Self { pace: Pace::Ops, ..self }
    }

    /// A part of the large grid.
    #[must_use]
    pub fn in_grid(self, grid: bool) -> Self {
        Self { grid, ..self }
    }

    /// With these metrics instead of the time of an operation.
    #[must_use]
    pub fn reporting(self, metrics: &'static [&'static str]) -> Self {
        Self { metrics, ..self }
    }

    /// The workload's name as a metric's rows have it.
    pub fn row_name(&self, suffix: &str) -> String {
        if suffix.is_empty() { self.name.clone() } else { format!("{}-{suffix}", self.name) }
    }

    /// `<primitive>/<workload>/<peer>/<threads>`.
    pub fn id(&self, suffix: &str, peer: &str) -> String {
        format!("{}/{}/{peer}/{}", self.primitive, self.row_name(suffix), self.threads)
    }
}
