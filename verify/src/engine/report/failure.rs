//! The failures of a model.

use crate::engine::memory_model::fact::Fact;
use crate::engine::memory_model::graph::Graph;
use std::panic::Location;

/// An execution that goes wrong.
#[derive(Debug)]
pub(crate) struct Failed {
    pub kind: Kind,
    pub graph: Graph,
    /// A name for each thread.
    pub names: Vec<String>,
    /// The facts that were known about the model.
    pub facts: Vec<Fact>,
}

/// A failure, and its place.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// A thread panicked.
    Panic { message: String, at: String },
    /// Threads sleep and no thread can wake them.
    Deadlock(Vec<String>),
    /// Two accesses, one of them a write, at least one not atomic, unordered by happens-before.
    Race {
        what: String,
        first: &'static Location<'static>,
        second: &'static Location<'static>,
        threads: (u32, u32),
    },
    /// An object in memory that was freed: which thread freed it after which of its steps, and the
    /// access.
    Freed { freed: (u32, &'static Location<'static>), access: (u32, &'static Location<'static>) },
    /// The model did something else when it was run again.
    Nondeterminism(String),
    /// A thread goes on and on.
    Endless(String),
    /// Something was allocated and never freed.
    Leak(String),
    /// A limit was passed.
    Limit(String),
    /// The model used the checker against its rules.
    Misuse(String),
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Panic { message, at } => write!(f, "{message} (panicked at {at})"),
            Kind::Deadlock(threads) => {
                write!(f, "deadlock: every thread left is asleep and no thread can wake it")?;
                for t in threads {
                    write!(f, "\n  {t}")?;
                }
                Ok(())
            }
            Kind::Race { what, first, second, threads } => write!(
                f,
                "Causality violation: data race: {what}\n  thread {} at {first}\n  thread {} at \
                 {second}\n  neither happens before the other",
                threads.0, threads.1
            ),
            Kind::Freed { freed, access } => write!(
                f,
                "use after free: an access of memory that was freed\n  thread {} at {}\n  thread \
                 {} freed it after its step at {}",
                access.0, access.1, freed.0, freed.1
            ),
            Kind::Nondeterminism(s) => write!(f, "the model is not deterministic: {s}"),
            Kind::Endless(s) => write!(f, "non-termination: {s}"),
            Kind::Leak(s) => write!(f, "{s}"),
            Kind::Limit(s) => write!(f, "{s}"),
            Kind::Misuse(s) => write!(f, "{s}"),
        }
    }
}
