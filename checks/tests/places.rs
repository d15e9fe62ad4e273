//! Every place where code of the user runs, and every place that asks whether it is in the child of
//! a fork, has a test.
//!
//! `places.tsv` has a row for each such place: its kind, file and function, and a test. A place is
//! a call of `sync_core::user_code`, which all code of users runs through, or of
//! `sync_core::fork`, or a static that a child starts with a fresh one of.

use std::collections::{BTreeMap, BTreeSet};

use sync_checks::{Complaints, files, read};

const LIST: &str = "checks/places.tsv";
const CRATES: [&str; 3] = ["sync-core/src", "sync-queue/src", "sync-timer/src"];

/// The files that define the calls.
const DEFINITIONS: [&str; 2] = ["sync-core/src/user_code.rs", "sync-core/src/fork.rs"];

/// The calls that run code of the user. (`dispose(` is one that was imported by its name.)
const RUNS: [&str; 5] = [
    "user_code::run",
    "user_code::dispose",
    "run_and_forget_panic(",
    "dispose_payload(",
    " dispose(",
];

/// The calls that ask for the process, and the type of what a child has its own of.
const ASKS: [&str; 4] = [".is_current()", "is_child()", ": PerProcess<", "(PerProcess<"];

/// The name that follows `word` in a line of code.
fn name_after<'a>(code: &'a str, word: &str) -> Option<&'a str> {
    let at = code.find(word)?;
    let before = code[..at].chars().next_back();
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let name = &code[at + word.len()..];
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(name.len());
    (end > 0).then(|| &name[..end])
}

/// The places of a file: the kind, and the function or static.
fn places(text: &str) -> BTreeSet<(&'static str, String)> {
    let mut found = BTreeSet::new();
    let mut function = "";
    for line in text.lines() {
        // Unit tests stand at the end.
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let code = line.split("//").next().expect("split yields a part");
        function = name_after(code, "fn ").unwrap_or(function);
        let words = code.trim_start();
        if words.starts_with("use ") || words.starts_with("pub use ") {
            continue;
        }
        let has = |calls: &[&str]| calls.iter().any(|call| code.contains(call));
        if has(&RUNS) {
            found.insert(("user code", function.to_owned()));
        }
        if has(&ASKS) {
            let thing = name_after(code, "static ").or_else(|| name_after(code, "struct "));
            found.insert(("fork", thing.unwrap_or(function).to_owned()));
        }
    }
    found
}

#[test]
fn each_place_of_user_code_and_each_question_about_a_fork_has_a_test() {
    let mut complaints = Complaints::default();
    let mut rows = BTreeMap::new();
    for line in read(LIST).lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [kind, file, place, test] = fields[..] else { panic!("{LIST}: {line}") };
        let place = (kind.to_owned(), file.to_owned(), place.to_owned());
        if rows.insert(place, test.to_owned()).is_some() {
            complaints.add(format!("twice: {line}"));
        }
    }
    for file in files("rs") {
        let path = file.display().to_string();
        let is_source = CRATES.iter().any(|source| file.starts_with(source));
        if !is_source || DEFINITIONS.contains(&&*path) || path.ends_with("tests.rs") {
            continue;
        }
        for (kind, place) in places(&read(&file)) {
            let row = (kind.to_owned(), path.clone(), place);
            let Some(test) = rows.remove(&row) else {
                complaints.add(format!("no row: {kind}, {path}, {}", row.2));
                continue;
            };
            let exists = test
                .split_once("::")
                .is_some_and(|(file, name)| read(file).contains(&format!("\nfn {name}(")));
            if !exists {
                complaints.add(format!("no such test: {test}"));
            }
        }
    }
    for (kind, path, place) in rows.into_keys() {
        complaints.add(format!("no such place: {kind}, {path}, {place}"));
    }
    complaints.settle("Each place where code of users runs, or a fork is asked for, has a test");
}

#[test]
fn a_place_is_found_by_its_call() {
    let source = "\
fn first() {
    user_code::run(f);
}
    pub(crate) fn second(&self) -> bool {
        // user_code::run(f) is no call here
        self.process.is_current()
    }
static TABLE: PerProcess<Table> = PerProcess::new();
use crate::user_code::dispose;
fn third() {
    let _ = 1; dispose(job);
}
";
    let found = places(source);
    let found: Vec<_> = found.iter().map(|(kind, name)| (*kind, &**name)).collect();
    let expected = [("fork", "TABLE"), ("fork", "second"), ("user code", "first")];
    assert_eq!(found, [&expected[..], &[("user code", "third")]].concat());
}
