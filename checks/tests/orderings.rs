//! Every atomic access of the published crates says why its ordering is enough.
//!
//! The reason is a comment that names an ordering: on the access's line, above it in the same
//! function, in the documentation of the function, or once for the file, with the words "in the
//! rest of the file".

use std::path::Path;

use sync_checks::{Complaints, files, read};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];
const ORDERINGS: [&str; 5] = ["Relaxed", "Acquire", "Release", "AcqRel", "SeqCst"];

/// Returns whether a word of `text` is an ordering.
fn names_an_ordering(text: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric()).any(|word| ORDERINGS.contains(&word))
}

/// The code of a line, without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().expect("split yields a part")
}

/// Returns whether a line begins a function.
fn begins_a_function(line: &str) -> bool {
    let code = code(line);
    code.contains("fn ") && !code.contains("impl Fn") && !code.contains("(fn ")
}

/// The lines of `text` with an atomic access, and whether each has its reason.
fn accesses(text: &str) -> Vec<(usize, bool)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    // Without such an import, a bare `Acquire` is another enumeration's.
    let is_bare = text.contains("Ordering::{") || text.contains("Ordering::*");
    let mut of_the_file = false;
    let mut import = false;
    for (at, line) in lines.iter().enumerate() {
        // Unit tests stand at the end.
        if line.starts_with("#[cfg(test)]") {
            break;
        }
        let words = line.trim_start();
        of_the_file |= words.starts_with("//") && words.contains("in the rest of the file");
        import |= words.starts_with("use ") || words.starts_with("pub use ");
        if import {
            import = !line.contains(';');
            continue;
        }
        if !names_an_ordering(code(line)) || !(is_bare || line.contains("Ordering::")) {
            continue;
        }
        let mut has_reason = of_the_file || names_an_ordering(&line[code(line).len()..]);
        let mut above = lines[..at].iter().rev();
        for line in above.by_ref() {
            let words = line.trim_start();
            has_reason |= words.starts_with("//") && names_an_ordering(words);
            if has_reason || begins_a_function(line) {
                break;
            }
        }
        // The documentation of the function.
        for line in above.map(|line| line.trim_start()) {
            if has_reason || !(line.starts_with("//") || line.starts_with('#')) {
                break;
            }
            has_reason |= names_an_ordering(line);
        }
        found.push((at + 1, has_reason));
    }
    found
}

/// The files of the facade that choose the types of a build.
const FACADE: [&str; 3] = ["real.rs", "loom.rs", "verify.rs"];

#[test]
fn each_atomic_access_says_why_its_ordering_is_enough() {
    let mut complaints = Complaints::default();
    let mut count = 0;
    for path in files("rs") {
        let is_source = CRATES.iter().any(|package| path.starts_with(format!("{package}/src")));
        // These files have the types of the orderings, and no accesses of their own.
        let has_types_only =
            FACADE.iter().any(|file| path == Path::new("sync-core/src/primitive").join(file));
        if !is_source || has_types_only || path.ends_with("tests.rs") {
            continue;
        }
        for (line, has_reason) in accesses(&read(&path)) {
            count += 1;
            if !has_reason {
                complaints.add(format!("{}:{line}", path.display()));
            }
        }
    }
    assert!(count > 400, "only {count} atomic accesses were found");
    complaints.settle("A comment names the ordering, its partner and the reason.");
}

#[test]
fn a_comment_of_another_function_is_no_reason() {
    let with = "fn f() {\n    // Relaxed: a hint.\n    x.load(Ordering::Relaxed);\n}\n";
    assert_eq!(accesses(with), [(3, true)]);
    let without = format!("{with}fn g() {{\n    x.load(Ordering::Relaxed);\n}}\n");
    assert_eq!(accesses(&without), [(3, true), (6, false)]);
    let documented =
        "/// Acquire: pairs with g.\n#[inline]\nfn f() {\n    x.load(Ordering::Acquire)\n}\n";
    assert_eq!(accesses(documented), [(4, true)]);
    assert_eq!(accesses("use core::sync::atomic::Ordering::Relaxed;\n"), []);
}
