//! CONTRACT.md of each published crate, compared with the tests of its promises, both ways.

use std::collections::BTreeSet;
use std::path::Path;

use sync_checks::{Complaints, files, read, root};

/// The folders of the published crates.
const CRATES: [&str; 5] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc", "verify"];

/// The suites that need no rows: they show the promises of the behaviour tests again, against an
/// oracle, under load or as an example; `compile_fail.rs` runs the programs of its folder,
/// `outside/` is a package of its own, and `models/` has the models of the other crates.
const WITHOUT_ROWS: [&str; 6] =
    ["property/", "stress/", "examples.rs", "compile_fail.rs", "outside/", "models/"];

/// Each program of this folder is a promise: it must not compile.
const REFUSED: &str = "compile_fail/";

/// Macros that write the test whose name is their first word.
const WRITERS: [&str; 4] = ["awaited", "each_queue", "killed", "succession"];

/// Macros that write a test for each word in front of a colon.
const LISTS: [&str; 1] = ["gaps"];

/// A promise of fewer words is the name of a topic.
const FEWEST_WORDS: usize = 4;

/// The tests of the suites, as `stem::name`, or `folder/stem::name` outside of `behaviour/`.
fn tests(package: &str) -> BTreeSet<String> {
    let folder = format!("{package}/tests");
    let mut found = BTreeSet::new();
    for path in files("rs") {
        let Ok(below) = path.strip_prefix(&folder) else { continue };
        let stem = below.with_extension("").to_string_lossy().into_owned();
        if let Some(program) = stem.strip_prefix(REFUSED) {
            found.insert(format!("compile_fail::{program}"));
            continue;
        }
        if WITHOUT_ROWS.iter().any(|suite| below.to_string_lossy().starts_with(suite)) {
            continue;
        }
        let stem = stem.strip_prefix("behaviour/").unwrap_or(&stem);
        names(&path, |name| _ = found.insert(format!("{stem}::{name}")));
    }
    found
}

/// Calls `found` with the name of each test of a file.
fn names(path: &Path, mut found: impl FnMut(&str)) {
    let syntax = syn::parse_file(&read(path)).expect("a Rust file");
    names_of(syntax.items, &mut found);
}

/// The tests among `items`, and in the modules among them.
fn names_of(items: Vec<syn::Item>, found: &mut impl FnMut(&str)) {
    for item in items {
        match item {
            syn::Item::Mod(module) => {
                names_of(module.content.map_or_else(Vec::new, |(_, items)| items), found);
            }
            syn::Item::Macro(call) if LISTS.iter().any(|of| call.mac.path.is_ident(of)) => {
                let tokens = call.mac.tokens.to_string();
                for entry in tokens.split(';') {
                    let Some((name, _)) = entry.split_once(':') else { continue };
                    found(name.trim());
                }
            }
            syn::Item::Fn(function)
                if function.attrs.iter().any(|attribute| attribute.path().is_ident("test")) =>
            {
                found(&function.sig.ident.to_string());
            }
            syn::Item::Macro(call) if WRITERS.iter().any(|of| call.mac.path.is_ident(of)) => {
                let tokens = call.mac.tokens.to_string();
                let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                found(&tokens[..tokens.find(|c| !is_part(c)).unwrap_or(tokens.len())]);
            }
            _ => {}
        }
    }
}

/// A row of a table: its line, and its cells.
fn rows(package: &str) -> Vec<(usize, Vec<String>)> {
    let text = read(format!("{package}/CONTRACT.md"));
    let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    let cells = |line: &str| {
        let inner = line.trim_matches('|').trim();
        inner.split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    lines.map(|(at, line)| (at + 1, cells(line))).collect()
}

/// The tests that a row names in its second column.
fn named(cells: &[String]) -> Vec<String> {
    let cell = cells.get(1).map_or("", String::as_str);
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn each_promise_has_a_test_and_each_test_of_a_promise_a_row() {
    let mut complaints = Complaints::default();
    for package in CRATES {
        assert!(root().join(package).join("CONTRACT.md").exists(), "{package} has no CONTRACT.md");
        let tests = tests(package);
        let promised: BTreeSet<String> =
            rows(package).iter().flat_map(|(_, cells)| named(cells)).collect();
        assert!(tests.len() > 10, "only {} tests of {package} were found", tests.len());
        for promise in promised.difference(&tests) {
            complaints.add(format!("{package}/CONTRACT.md names {promise}, which is not there"));
        }
        for test in tests.difference(&promised) {
            complaints.add(format!("{package}: {test} has no row in CONTRACT.md"));
        }
    }
    complaints.settle("CONTRACT.md and the suites of the crate belong together.");
}

/// A README names tests as `folder/stem::name`: of the crate's suites, and as `models/stem::name`
/// of the models.
#[test]
fn each_test_that_a_readme_names_is_there() {
    let mut complaints = Complaints::default();
    let mut named = 0;
    for package in CRATES {
        let text = read(format!("{package}/README.md"));
        for test in text.split('`').skip(1).step_by(2) {
            let Some((stem, name)) = test.split_once("::") else { continue };
            let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            let suites = if stem.starts_with("models/") { "verify/tests" } else { package };
            let folder = if suites == package { format!("{package}/tests") } else { suites.into() };
            let path = format!("{folder}/{stem}.rs");
            // Other words with `::` are paths of items.
            if !stem.contains('/') && stem != "programs" {
                continue;
            }
            if !root().join(&path).exists() {
                complaints.add(format!("{package}/README.md names {test}: no such suite"));
                continue;
            }
            named += 1;
            if !read(&path).split(|c| !is_part(c)).any(|word| word == name) {
                complaints.add(format!("{package}/README.md names {test}, which is not there"));
            }
        }
    }
    assert!(named > 200, "only {named} tests were found");
    complaints.settle("The promises of a README name the tests that hold them up.");
}

#[test]
fn each_row_is_a_sentence_and_names_a_test() {
    let mut complaints = Complaints::default();
    for package in CRATES {
        let (mut columns, mut below_head) = (0, false);
        for (line, cells) in rows(package) {
            let place = format!("{package}/CONTRACT.md:{line}");
            if cells[0].starts_with("---") {
                continue;
            }
            if cells[0] == "promise" {
                (columns, below_head) = (cells.len(), true);
                continue;
            }
            if std::mem::take(&mut below_head)
                && !read(format!("{package}/CONTRACT.md"))
                    .lines()
                    .nth(line - 2)
                    .is_some_and(|above| above.starts_with("|---"))
            {
                complaints.add(format!("{place}: a row between the head of a table and its line"));
            }
            if cells.len() != columns {
                complaints.add(format!("{place}: {} cells of {columns}", cells.len()));
            }
            if cells[0].split_whitespace().count() < FEWEST_WORDS {
                complaints.add(format!("{place}: {} is no promise", cells[0]));
            }
            if named(&cells).is_empty() {
                complaints.add(format!("{place}: no test"));
            }
        }
    }
    complaints.settle("A row of CONTRACT.md: a sentence, and the test that shows it.");
}
