//! The changes that no model notices, next to the committed list of those that are known.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::Ordering;

use crate::Stop;
use crate::harness::{Engine, Event, Harness, Line, Mutant, root};
use crate::sample::Sample;
use crate::sources::Place;

/// The committed list: file, line, number of the line among equal ones, change and reason,
/// separated by tabs.
const LIST: &str = "verify/tests/models/survivors.tsv";

/// The executions of a setting of a model with a change in it, at first. Most changes that are
/// noticed are noticed this early, if not by the first model that has them.
const FIRST_EXECUTIONS: u32 = 500;

/// The executions of a setting of a model with a change in it that no model noticed at first. With
/// 2,000, a broadcast that wakes one waiter alone is not noticed.
const EXECUTIONS: u32 = 20_000;

/// A change of a place, in a form that outlives changes elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub place: Place,
    pub what: String,
}

impl Change {
    /// Parses `file:line:column: what`.
    fn parse(text: &str) -> Option<Change> {
        let (place, what) = text.split_once(": ")?;
        Some(Change { place: Place::at(place)?, what: what.to_owned() })
    }
}

/// The models' verdict on a change.
#[derive(Clone, Debug)]
pub(crate) struct Fate {
    /// Where the change is today: `file:line:column`.
    pub at: String,
    /// The model that noticed it.
    pub caught_by: Option<String>,
    /// The executions of that model until then.
    pub executions: Option<u64>,
    /// The explorations that did not.
    pub survived: u64,
    /// The models that did not, as they are named in this run.
    models: BTreeSet<String>,
}

/// The outcome of a run with changes.
#[derive(Debug, Default)]
pub(crate) struct Mutants {
    pub fates: BTreeMap<Change, Fate>,
    /// The committed list: the reason why a change survives.
    pub known: BTreeMap<Change, String>,
    /// Whether every model ran.
    has_all_models: bool,
    /// Whether every change was tried in every model.
    is_whole: bool,
    /// Whether a model failed without a change in it, or the run was stopped.
    is_broken: bool,
}

impl Mutants {
    /// Runs the models that `filters` match with one change at a time: all changes for a few
    /// executions, then those that no model noticed for many.
    ///
    /// A whole run looks for the latter in all models, because an execution that comes late may
    /// have a place that no early one has. A sample looks in the models that are known to have
    /// them, and not for those whose survival is explained.
    pub(crate) fn find(
        filters: &[String],
        sample: Option<Sample>,
        deep: Option<usize>,
        stop: &Stop,
    ) -> Result<Mutants, String> {
        let mut found = Mutants { known: read_list()?, ..Mutants::default() };
        let harness = Harness::build(Engine::Verify)?;
        let sample_only = sample.map(|Sample { k, n }| ("MODEL_SAMPLE", format!("{k}/{n}")));
        let mut environment = vec![
            ("MODEL_MUTATE", String::from("1")),
            ("MODEL_EXECUTIONS", FIRST_EXECUTIONS.to_string()),
        ];
        environment.extend(sample_only.clone());
        let mut passed = found.run(&harness, filters, &environment, stop)?;

        let skipped = root().join(format!("target/verify/skip.{}.txt", std::process::id()));
        let is_left = |(change, fate): &(&Change, &Fate)| {
            fate.caught_by.is_none() && (sample.is_none() || !found.known.contains_key(change))
        };
        let left: Vec<&Fate> = found.fates.iter().filter(is_left).map(|(_, fate)| fate).collect();
        let models: BTreeSet<String> = left.iter().flat_map(|fate| fate.models.clone()).collect();
        // Relaxed: a flag; no data is published through it.
        let is_needed = sample.is_none() || !models.is_empty();
        if passed && is_needed && !stop.load(Ordering::Relaxed) {
            let done = found.fates.iter().filter(|fate| !is_left(fate)).map(|(change, fate)| {
                let Change { what, .. } = change;
                format!("{}: {what}\n", fate.at)
            });
            let failed = |error: std::io::Error| format!("{}: {error}", skipped.display());
            std::fs::write(&skipped, done.collect::<String>()).map_err(failed)?;
            let mut environment = vec![
                ("MODEL_MUTATE", String::from("1")),
                ("MODEL_SKIP", skipped.display().to_string()),
            ];
            if let Some(times) = deep {
                environment.push(("MODEL_DEEP", times.to_string()));
            } else {
                environment.push(("MODEL_EXECUTIONS", EXECUTIONS.to_string()));
            }
            environment.extend(sample_only);
            let exact = || [String::from("--exact")].into_iter().chain(models).collect();
            let filters = if sample.is_some() { exact() } else { filters.to_vec() };
            passed = found.run(&harness, &filters, &environment, stop)?;
            let _ = std::fs::remove_file(&skipped);
        }
        found.is_broken = !passed;
        found.has_all_models = filters.is_empty() && passed;
        found.is_whole = filters.is_empty() && sample.is_none() && passed;
        Ok(found)
    }

    /// Runs models, and adds what they find. Returns whether they pass as they are.
    fn run(
        &mut self,
        harness: &Harness,
        filters: &[String],
        environment: &[(&str, String)],
        stop: &Stop,
    ) -> Result<bool, String> {
        harness.run(filters, environment, stop, &mut |event| {
            if let Event::Line(Line::Mutant(mutant)) = event {
                self.add(mutant);
            }
        })
    }

    fn add(&mut self, mutant: Mutant) {
        let Some(change) = Change::parse(&mutant.change) else {
            eprintln!("warning: no such place: {}", mutant.change);
            return;
        };
        let at = mutant.change.split_once(": ").map_or("", |(at, _)| at).to_owned();
        let fate = self.fates.entry(change).or_insert_with(|| Fate {
            at,
            caught_by: None,
            executions: None,
            survived: 0,
            models: BTreeSet::new(),
        });
        match mutant.caught {
            Some(_) if fate.caught_by.is_some() => {}
            Some(_) => {
                fate.caught_by = Some(mutant.model);
                fate.executions = Some(mutant.executions);
            }
            None => {
                fate.survived += 1;
                fate.models.insert(mutant.model);
            }
        }
    }

    /// The changes that no model noticed.
    pub(crate) fn survivors(&self) -> impl Iterator<Item = (&Change, &Fate)> {
        self.fates.iter().filter(|(_, fate)| fate.caught_by.is_none())
    }

    fn new_survivors(&self) -> impl Iterator<Item = (&Change, &Fate)> {
        self.survivors().filter(|(change, _)| !self.known.contains_key(change))
    }

    /// Entries of the list that a whole run did not see survive.
    fn stale(&self) -> impl Iterator<Item = &Change> {
        self.known.keys().filter(|change| {
            self.is_whole && self.fates.get(change).is_none_or(|fate| fate.caught_by.is_some())
        })
    }

    /// Returns whether a model fails as it is, or a change that is not in the list survived all
    /// models. What survives some of them proves nothing: the others may notice it.
    pub(crate) fn is_failure(&self) -> bool {
        let is_new = self.has_all_models && self.new_survivors().next().is_some();
        self.is_broken || is_new
    }

    /// One JSON object a line.
    pub(crate) fn json(&self) -> String {
        let mut out = String::new();
        for (change, fate) in &self.fates {
            let line = serde_json::json!({
                "at": fate.at,
                "code": change.place.code,
                "change": change.what,
                "caught_by": fate.caught_by,
                "executions": fate.executions,
                "reason": self.known.get(change),
            });
            out += &format!("{line}\n");
        }
        out
    }

    /// One sentence about all changes.
    pub(crate) fn summary(&self) -> String {
        let survivors = self.survivors().count();
        let new = self.new_survivors().count();
        format!(
            "{} changes: {} noticed, {survivors} survived ({} of them explained in {LIST}, {new} \
             not)",
            self.fates.len(),
            self.fates.len() - survivors,
            survivors - new,
        )
    }
}

impl fmt::Display for Mutants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (change, fate) in &self.fates {
            match (&fate.caught_by, self.known.get(change)) {
                (Some(by), _) => writeln!(f, "noticed   {}: {}  by {by}", fate.at, change.what)?,
                (None, Some(reason)) => {
                    writeln!(f, "known     {}: {}  {reason}", fate.at, change.what)?;
                }
                (None, None) => writeln!(
                    f,
                    "SURVIVED  {}: {}  ({} explorations)",
                    fate.at, change.what, fate.survived
                )?,
            }
        }
        let new: Vec<_> = self.new_survivors().collect();
        if !new.is_empty() {
            writeln!(f, "\nlines for {LIST}, each in need of its reason:")?;
            for (change, _) in new {
                let Change { place, what } = change;
                writeln!(f, "{}\t{}\t{}\t{what}\t", place.file, place.code, place.number)?;
            }
        }
        for change in self.stale() {
            writeln!(
                f,
                "STALE     {LIST} lists {}: {}: {}, which no longer survives",
                change.place.file, change.place.code, change.what
            )?;
        }
        writeln!(f, "\n{}", self.summary())
    }
}

fn read_list() -> Result<BTreeMap<Change, String>, String> {
    let text = std::fs::read_to_string(root().join(LIST)).map_err(|e| format!("{LIST}: {e}"))?;
    let mut list = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let parse = || {
            let mut fields = line.split('\t').map(str::to_owned);
            let (file, code) = (fields.next()?, fields.next()?);
            let number = fields.next()?.parse().ok()?;
            let (what, reason) = (fields.next()?, fields.next()?);
            let is_complete = !reason.trim().is_empty() && fields.next().is_none();
            is_complete.then_some((Change { place: Place { file, code, number }, what }, reason))
        };
        let (change, reason) = parse().ok_or_else(|| {
            format!("{LIST}:{}: not file, line, number, change and reason", number + 1)
        })?;
        if list.insert(change, reason).is_some() {
            return Err(format!("{LIST}:{}: listed twice", number + 1));
        }
    }
    Ok(list)
}
