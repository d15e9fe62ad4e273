//! CONTRACT.md of each published crate, compared with the behaviour tests, both ways.

use std::collections::BTreeSet;

use sync_checks::{Complaints, files, read, root};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];

/// The tests of `tests/behaviour/`, as `stem::name`.
fn tests(package: &str) -> BTreeSet<String> {
    let folder = format!("{package}/tests/behaviour");
    let mut found = BTreeSet::new();
    for path in files("rs").into_iter().filter(|path| path.starts_with(&folder)) {
        let stem = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        let syntax = syn::parse_file(&read(&path)).expect("a Rust file");
        for item in syntax.items {
            let syn::Item::Fn(function) = item else { continue };
            if function.attrs.iter().any(|attribute| attribute.path().is_ident("test")) {
                found.insert(format!("{stem}::{}", function.sig.ident));
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
fn each_promise_has_a_test_and_each_behaviour_test_a_promise() {
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
    complaints.settle("CONTRACT.md and tests/behaviour/ belong together.");
}
