//! The table of explored models: a row for each model and checker.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::harness::{Engine, Event, Explored, Line};

/// A model as one checker explored it, in both spawn orders and with every setting.
#[derive(Debug, Default)]
pub(crate) struct Row {
    pub executions: u64,
    pub blocked: u64,
    /// Events of the longest execution, where the checker counts them.
    pub events: Option<u64>,
    pub seconds: f64,
    pub bounds: BTreeSet<String>,
    limits: BTreeSet<String>,
    failure: Option<String>,
    /// Explorations.
    pub settings: u64,
    planned: u64,
    passed: u64,
    failed: u64,
}

/// The verdict on a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Every execution within the bounds was explored.
    Passed,
    /// The test passed, and left no record of an exploration: it checks something about the models
    /// or the checker.
    Unexplored,
    /// No execution failed, but a limit was reached before all were explored.
    Limited(String),
    Failed(String),
    /// The program was stopped, or ended, before the model.
    Unfinished,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Verdict::Passed => write!(f, "passed"),
            Verdict::Unexplored => write!(f, "passed, explores nothing"),
            Verdict::Limited(limit) => write!(f, "passed, not all explored: {limit}"),
            Verdict::Failed(message) => write!(f, "FAILED: {message}"),
            Verdict::Unfinished => write!(f, "not finished"),
        }
    }
}

impl Row {
    pub(crate) fn verdict(&self) -> Verdict {
        if self.failed > 0 || self.failure.is_some() {
            let message = self.failure.as_deref().unwrap_or("the test failed");
            Verdict::Failed(message.lines().next().unwrap_or_default().to_owned())
        } else if self.passed < self.planned {
            Verdict::Unfinished
        } else if self.settings == 0 {
            Verdict::Unexplored
        } else if self.limits.is_empty() {
            Verdict::Passed
        } else {
            let limits: Vec<&str> = self.limits.iter().map(String::as_str).collect();
            Verdict::Limited(limits.join("; "))
        }
    }

    fn add(&mut self, explored: Explored) {
        self.settings += 1;
        self.executions += explored.executions;
        self.blocked += explored.blocked;
        self.events = self.events.max(explored.events);
        self.seconds += explored.seconds;
        self.bounds.insert(explored.bounds);
        self.limits.extend(explored.limit);
        self.failure = self.failure.take().or(explored.failure);
    }
}

/// All that was explored.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub rows: BTreeMap<(String, Engine), Row>,
}

/// The model that a test explores: its name without the spawn order.
pub(crate) fn model_of(test: &str) -> &str {
    test.strip_suffix("::forward").or_else(|| test.strip_suffix("::reversed")).unwrap_or(test)
}

impl Table {
    pub(crate) fn add(&mut self, engine: Engine, event: Event<'_>) {
        match event {
            Event::Planned(test) => self.row(test, engine).planned += 1,
            Event::Line(Line::Explored(explored)) => {
                let test = explored.model.clone();
                self.row(&test, engine).add(explored);
            }
            Event::Line(Line::Mutant(_)) => {}
            Event::Ended { test, passed: true } => self.row(test, engine).passed += 1,
            Event::Ended { test, passed: false } => self.row(test, engine).failed += 1,
        }
    }

    fn row(&mut self, test: &str, engine: Engine) -> &mut Row {
        self.rows.entry((model_of(test).to_owned(), engine)).or_default()
    }

    /// One JSON object a line.
    pub(crate) fn json(&self) -> String {
        let mut out = String::new();
        for ((model, engine), row) in &self.rows {
            let bounds: Vec<&str> = row.bounds.iter().map(String::as_str).collect();
            let line = serde_json::json!({
                "model": model,
                "engine": engine.name(),
                "executions": row.executions,
                "blocked": row.blocked,
                "events": row.events,
                "seconds": row.seconds,
                "verdict": row.verdict().to_string(),
                "bounds": bounds.join(" | "),
            });
            out += &format!("{line}\n");
        }
        out
    }

    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.rows.values().filter(|row| is(&row.verdict())).count()
    }

    /// One sentence about all rows.
    pub(crate) fn summary(&self) -> String {
        format!(
            "{} models, {} executions, {:.0} s of processor time: {} explored to the end within \
             their bounds, {} passed but not explored to the end, {} explore nothing, {} failed, \
             {} not finished",
            self.rows.len(),
            self.rows.values().map(|row| row.executions).sum::<u64>(),
            self.rows.values().map(|row| row.seconds).sum::<f64>(),
            self.count(|verdict| *verdict == Verdict::Passed),
            self.count(|verdict| matches!(verdict, Verdict::Limited(_))),
            self.count(|verdict| *verdict == Verdict::Unexplored),
            self.count(|verdict| matches!(verdict, Verdict::Failed(_))),
            self.count(|verdict| *verdict == Verdict::Unfinished),
        )
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.keys().map(|(model, _)| model.len()).max().unwrap_or(0);
        writeln!(
            f,
            "{:width$}  {:6}  {:>10}  {:>8}  {:>6}  {:>8}  {:>6}  verdict",
            "model", "engine", "executions", "blocked", "events", "seconds", "bounds"
        )?;
        let mut bounds: Vec<&BTreeSet<String>> = Vec::new();
        for ((model, engine), row) in &self.rows {
            let number = bounds.iter().position(|b| **b == row.bounds).unwrap_or_else(|| {
                bounds.push(&row.bounds);
                bounds.len() - 1
            });
            let events = row.events.map_or_else(|| String::from("-"), |events| events.to_string());
            writeln!(
                f,
                "{model:width$}  {engine:6}  {:>10}  {:>8}  {events:>6}  {:>8.3}  {:>6}  {}",
                row.executions,
                row.blocked,
                row.seconds,
                format!("({})", number + 1),
                row.verdict()
            )?;
        }
        writeln!(f)?;
        for (number, bounds) in bounds.iter().enumerate() {
            for text in *bounds {
                writeln!(f, "bounds ({}): {text}", number + 1)?;
            }
        }
        writeln!(f, "\n{}", self.summary())
    }
}
