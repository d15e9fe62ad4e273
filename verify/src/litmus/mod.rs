//! Litmus programs: a few threads, a few atomic operations, and the question "what may happen?".
//!
//! A litmus program answers, by exhaustion, what the memory model of Rust allows: [`Program`] is
//! the text parsed, [`explore`] runs the model checker over it and [`Exploration`] says how many
//! distinct complete executions exist and which [`Outcome`]s they have. The `litmus` binary of this
//! crate is the same on the command line; `LITMUS.md` next to this crate's README is a tour of it.
//!
//! ```
//! use verify::litmus::{Program, explore};
//!
//! let program: Program = "
//!     x = 0; y = 0;
//!     thread { x.store(1, Release); r1 = y.load(Acquire); }
//!     thread { y.store(1, Release); r2 = x.load(Acquire); }
//! "
//! .parse()?;
//! let found = explore(&program);
//! assert_eq!(found.executions, 4);
//! // Both threads may miss the other's store: release and acquire do not forbid store buffering,
//! // only `SeqCst` does.
//! assert!(found.outcomes.iter().any(|outcome| {
//!     outcome.registers["r1"] == 0 && outcome.registers["r2"] == 0
//! }));
//! # Ok::<(), verify::litmus::ParseError>(())
//! ```
//!
//! # The language
//!
//! ```text
//! program   = location* thread+
//! location  = NAME "=" INTEGER ";"
//! thread    = "thread" "{" statement+ "}"
//! statement = NAME "." "store" "(" value "," ORDERING ")" ";"
//!           | [NAME "="] NAME "." "load" "(" ORDERING ")" ";"
//!           | [NAME "="] NAME "." "swap" "(" value "," ORDERING ")" ";"
//!           | [NAME "="] NAME "." "fetch_add" "(" value "," ORDERING ")" ";"
//!           | [NAME "="] NAME "." "compare_exchange" "(" value "," value "," ORDERING "," ORDERING ")" ";"
//!           | "fence" "(" ORDERING ")" ";"
//!           | "assume" "(" condition ")" ";"
//!           | "if" "(" condition ")" "{" statement* "}" ["else" "{" statement* "}"]
//! value     = INTEGER | NAME
//! condition = conjunct ("||" conjunct)*
//! conjunct  = term ("&&" term)*
//! term      = "(" condition ")" | value ("==" | "!=") value
//! ```
//!
//! White space separates and is otherwise free. A comment runs from `//` or `#` to the end of its
//! line. `NAME` is an ASCII letter or `_`, then letters, digits and `_`; `thread`, `fence`,
//! `assume`, `if` and `else` are reserved. `INTEGER` is unsigned, 64 bits wide, decimal or `0x`
//! hexadecimal, with `_` between digits where you like.
//!
//! * A **location** is an `AtomicU64` that every thread sees. All are declared, with their initial
//!   values, before the first thread.
//! * A **register** is any name that is no location. It belongs to the one thread that assigns it:
//!   outcomes print registers by name alone, so the same name in two threads is an error. Assigned
//!   twice, it keeps the last value; never assigned (an untaken `if`), it is left out of the
//!   outcome. A value or a condition may name a register only where every path has assigned it.
//! * **Operations** have the names, orderings and results of `std::sync::atomic`; `fetch_add`
//!   wraps. `compare_exchange` yields the value it read, whether it succeeded or not. An ordering
//!   that `std` would panic on (a `Release` load, an `AcqRel` failure ordering, a `Relaxed` fence)
//!   is a parse error.
//! * **`assume(c)`** keeps only the executions in which `c` holds. One in which it fails is
//!   *blocked*: it is counted apart and has no outcome. It stands for a loop that waits for `c`,
//!   without its idle iterations.
//!
//! # The model
//!
//! RC11 (Lahav, Vafeiadis, Kang, Hur and Dreyer, "Repairing sequential consistency in C/C++11",
//! PLDI 2017) with the release sequences of C++20: coherence, atomicity, `psc` acyclic, and program
//! order with reads-from acyclic, so that no execution needs a value out of thin air. An
//! *execution* is a graph: the reads-from relation, and the order of the stores to each
//! location. Two interleavings with the same graph are one execution.

pub mod ast;
mod explore;
pub mod parse;
mod report;

use std::collections::{BTreeMap, BTreeSet};

pub use ast::{
    Condition, Location, LocationId, Program, Register, RegisterId, Statement, Thread, Value,
};
pub use explore::{explore, explore_with};
pub use parse::ParseError;

/// The end of one complete execution of a [`Program`].
///
/// Ordered by its registers first (by name, then by value), so that a set of outcomes always prints
/// in the same order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Outcome {
    /// The last value of each register that was assigned.
    pub registers: BTreeMap<String, u64>,
    /// The value of each location's last store in modification order.
    pub final_values: BTreeMap<String, u64>,
}

/// Everything that a [`Program`] can do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exploration {
    /// Complete executions: distinct consistent execution graphs in which every thread ran to its
    /// end.
    pub executions: u64,
    /// Executions that a failed `assume` cut short. They are counted once each as the explorer
    /// meets them; their number, unlike [`executions`](Self::executions), depends on the way of
    /// exploring.
    pub blocked: u64,
    /// The distinct outcomes of the complete executions.
    pub outcomes: BTreeSet<Outcome>,
}
