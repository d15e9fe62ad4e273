//! Linearisability: is a history of calls and returns one that a sequential object could have had?
//!
//! Source: Wing and Gong, "Testing and Verifying Concurrent Objects", JPDC 1993, with the
//! memoisation of Lowe, "Testing for Linearizability", 2017: a search for an order of the calls
//! that agrees with the sequential specification and keeps every call after those that had
//! returned before it began; a set of done calls with the state they led to is tried once.
//!
//! A call that never returned (its thread sleeps, or its process vanished) may have happened or
//! not.
//!
//! ```
//! use verify::linear::{History, Spec};
//!
//! #[derive(Clone, PartialEq, Eq, Hash)]
//! struct Queue(Vec<u32>);
//!
//! #[derive(Clone, Debug)]
//! enum Call { Push(u32), Pop }
//!
//! impl Spec for Queue {
//!     type Call = Call;
//!     type Return = Option<u32>;
//!     fn apply(&mut self, call: &Call) -> Option<u32> {
//!         match call {
//!             Call::Push(v) => { self.0.push(*v); None }
//!             Call::Pop => (!self.0.is_empty()).then(|| self.0.remove(0)),
//!         }
//!     }
//! }
//!
//! let history = History::new();
//! let push = history.call(Call::Push(1));
//! history.returned(push, None);
//! let pop = history.call(Call::Pop);
//! history.returned(pop, Some(1));
//! history.check(Queue(Vec::new()));
//! ```
//!
//! In a model the history belongs to the execution: make it in the closure, share it by `Arc`,
//! and check it when the threads have been joined. To note a call is no event of the model, so it
//! gives no happens-before and no additional executions: one call is before another only if it
//! happens before it, or its thread was the same. That is sound: the order in which the checker
//! happens to run two threads says nothing.

use crate::engine::runtime;
use std::collections::HashSet;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::Mutex;

/// A sequential object.
pub trait Spec: Clone + Eq + Hash {
    /// The calls of the object.
    type Call: Debug + Clone;
    /// The results of the calls.
    type Return: Debug + Clone + PartialEq;
    /// Does a call and gives what it returns.
    fn apply(&mut self, call: &Self::Call) -> Self::Return;
    /// Returns whether the object may answer `answer` where `apply` gives `expected`: equality,
    /// unless the specification leaves a choice.
    fn allows(expected: &Self::Return, answer: &Self::Return) -> bool {
        expected == answer
    }
}

/// A point of an execution: a thread and a stretch between two of its events, and the calls that
/// had returned as far as that point can know.
struct Entry<C, R> {
    thread: u32,
    call: C,
    answer: Option<R>,
    /// The calls that had returned when this began.
    after: Vec<usize>,
    /// Where it returned.
    end: Option<(u32, u32)>,
}

/// The calls and returns of an execution.
pub struct History<C, R> {
    entries: Mutex<Vec<Entry<C, R>>>,
}

impl<C: Debug, R: Debug> Debug for History<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, e) in self.entries.lock().unwrap_or_else(|e| e.into_inner()).iter().enumerate() {
            let answer =
                e.answer.as_ref().map_or_else(|| "no return".to_string(), |a| format!("{a:?}"));
            writeln!(
                f,
                "  {i}: thread {}: {:?} -> {answer}, after {:?}",
                e.thread, e.call, e.after
            )?;
        }
        Ok(())
    }
}

/// A call that has begun.
#[derive(Debug)]
#[must_use = "tell the history when the call has returned"]
pub struct Pending(usize);

impl<C, R> Default for History<C, R> {
    fn default() -> Self {
        History::new()
    }
}

impl<C, R> History<C, R> {
    /// Nothing has happened.
    pub fn new() -> Self {
        History { entries: Mutex::new(Vec::new()) }
    }

    /// A call begins.
    pub fn call(&self, call: C) -> Pending {
        let mut entries = self.entries.lock().unwrap_or_else(|e| e.into_inner());
        let before = |end: &Option<(u32, u32)>| {
            end.is_some_and(|(tid, epoch)| {
                runtime::current().is_none() || runtime::with(|rt| rt.ordered(tid, epoch))
            })
        };
        let after =
            entries.iter().enumerate().filter(|(_, e)| before(&e.end)).map(|(i, _)| i).collect();
        let thread = if runtime::current().is_some() { runtime::with(|rt| rt.cur()) } else { 0 };
        entries.push(Entry { thread, call, answer: None, after, end: None });
        Pending(entries.len() - 1)
    }

    /// A call has returned.
    pub fn returned(&self, pending: Pending, answer: R) {
        let end = if runtime::current().is_some() {
            runtime::with(|rt| (rt.cur(), rt.epoch()))
        } else {
            (0, 0)
        };
        let entry = &mut self.entries.lock().unwrap_or_else(|e| e.into_inner())[pending.0];
        entry.answer = Some(answer);
        entry.end = Some(end);
    }

    /// Does `f` as a call that returns what `f` gives.
    pub fn run(&self, call: C, f: impl FnOnce() -> R) -> R
    where
        R: Clone,
    {
        let pending = self.call(call);
        let answer = f();
        self.returned(pending, answer.clone());
        answer
    }

    /// Returns whether some order of the calls is one that `spec`, from its present state on, could
    /// do.
    pub fn is_linearisable<S: Spec<Call = C, Return = R>>(&self, spec: S) -> bool {
        let entries = self.entries.lock().unwrap_or_else(|e| e.into_inner());
        assert!(entries.len() <= 64, "a history of {} calls is too long to check", entries.len());
        search(&entries, 0, &spec, &mut HashSet::new())
    }

    /// Checks that some order of the calls is one that `spec` could do.
    ///
    /// # Panics
    /// When none is.
    #[track_caller]
    pub fn check<S: Spec<Call = C, Return = R>>(&self, spec: S)
    where
        C: Debug,
        R: Debug,
    {
        assert!(self.is_linearisable(spec), "the history is not linearisable:\n{self:?}");
    }
}

fn search<S: Spec>(
    entries: &[Entry<S::Call, S::Return>],
    done: u64,
    state: &S,
    seen: &mut HashSet<(u64, S)>,
) -> bool {
    let left = |i: usize| done >> i & 1 == 0;
    if (0..entries.len()).all(|i| !left(i) || entries[i].answer.is_none()) {
        return true;
    }
    if !seen.insert((done, state.clone())) {
        return false;
    }
    for (i, e) in entries.iter().enumerate() {
        // A call that never returned is before nothing, so it blocks nothing.
        if !left(i) || e.after.iter().any(|&p| left(p)) {
            continue;
        }
        let mut next = state.clone();
        let expected = next.apply(&e.call);
        let fits = e.answer.as_ref().is_none_or(|answer| S::allows(&expected, answer));
        if fits && search(entries, done | 1 << i, &next, seen) {
            return true;
        }
    }
    false
}
