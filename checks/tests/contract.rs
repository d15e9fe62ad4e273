//! CONTRACT.md of each published crate, compared with the tests of its behaviour and of its seams,
//! both ways.

use std::collections::BTreeSet;

use sync_checks::{Complaints, files, read, root};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];

/// The suites whose tests are promises, and the prefix of their names. The tests of a file of a
/// folder are `stem::name`, with the folder's prefix before the stem.
const SUITES: [(&str, &str); 19] = [
    ("behaviour/", ""),
    ("process/", "process/"),
    ("pool/", "pool/"),
    ("manager/", "manager/"),
    ("auth.rs", ""),
    ("programs.rs", ""),
    ("aborts.rs", ""),
    ("auto_traits.rs", ""),
    ("feature_", ""),
    ("fork.rs", ""),
    ("fork/", "fork/"),
    ("idle.rs", ""),
    ("memory.rs", ""),
    ("no_system_calls.rs", ""),
    ("slack.rs", ""),
    ("task_allocations.rs", ""),
    ("types.rs", ""),
    ("under_the_allocator.rs", ""),
    ("unwinding.rs", ""),
];

/// Each program of this folder is a promise: it must not compile.
const REFUSED: &str = "compile_fail/";

/// The tests of the suites, as `stem::name`.
fn tests(package: &str) -> BTreeSet<String> {
    let folder = format!("{package}/tests");
    let mut found = BTreeSet::new();
    for path in files("rs") {
        let Ok(below) = path.strip_prefix(&folder) else { continue };
        let below = below.to_string_lossy();
        if let Some(program) = below.strip_prefix(REFUSED).and_then(|name| name.strip_suffix(".rs"))
        {
            found.insert(format!("compile_fail::{program}"));
            continue;
        }
        let Some((_, prefix)) = SUITES.iter().find(|(suite, _)| below.starts_with(suite)) else {
            continue;
        };
        let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let syntax = syn::parse_file(&read(&path)).expect("a Rust file");
        for item in syntax.items {
            // A macro such as `each_queue!(name, ...)` writes the test of that name.
            if let syn::Item::Macro(call) = &item {
                let of = call.mac.path.get_ident().map(ToString::to_string);
                if !of.is_some_and(|of| of.starts_with("each_")) {
                    continue;
                }
                let tokens = call.mac.tokens.to_string();
                let name = tokens.split_once(" ,").or(tokens.split_once(',')).map(|(name, _)| name);
                let is_name =
                    |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if let Some(name) = name.filter(is_name) {
                    found.insert(format!("{prefix}{stem}::{name}"));
                }
            }
            let syn::Item::Fn(function) = item else { continue };
            if function.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
                found.insert(format!("{prefix}{stem}::{}", function.sig.ident));
            }
        }
    }
    found
}

/// The tests that the rows of CONTRACT.md name in their second column.
fn promised(package: &str) -> BTreeSet<String> {
    let text = read(format!("{package}/CONTRACT.md"));
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let cells = rows.filter_map(|row| row.split(" | ").nth(1));
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    spans.map(str::to_owned).collect()
}

#[test]
fn each_promise_has_a_test_and_each_test_of_a_promise_a_row() {
    let mut complaints = Complaints::default();
    for package in CRATES {
        assert!(root().join(package).join("CONTRACT.md").exists(), "{package} has no CONTRACT.md");
        let (tests, promised) = (tests(package), promised(package));
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
