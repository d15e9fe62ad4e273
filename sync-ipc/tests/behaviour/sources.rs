//! Checks of things that the sources must not contain.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The crate's code, without tests and comments, line by line: file, number, text.
fn code() -> Vec<(String, usize, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 20, "{files:?}");
    let mut lines = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("UTF-8");
        let name = file.strip_prefix(&root).expect("inside").to_string_lossy().into_owned();
        let code = text.split("#[cfg(test)]").next().expect("one part at least");
        for (number, line) in code.lines().enumerate() {
            let line = line.trim();
            if !line.starts_with("//") {
                lines.push((name.clone(), number + 1, line.to_owned()));
            }
        }
    }
    lines
}

/// A peer may write anything into shared memory, so no word of it may reach a panic. The places
/// below panic on values that are the crate's own.
#[test]
fn no_panic_is_reachable_from_shared_memory() {
    let allowed = [
        // Offsets and lengths come from the layouts in the sources, and object sizes are compared
        // with them when an object is opened.
        ("memory/mod.rs", "assert!("),
        ("memory/mod.rs", "panic!(\"{bytes} bytes at {offset} of {len}\")"),
        // State of this process alone: the identity in a guard.
        ("segment/mod.rs", "debug_assert_ne!(identity, 0"),
        // A constant.
        ("queue/in_place.rs", "assert!(align_of::<T>()"),
        // The variants of errors that an operation does not have.
        ("error/queue.rs", "unreachable!(\"a send needs no item\")"),
        ("error/queue.rs", "unreachable!(\"a receive needs no room\")"),
        // State of this process alone, which no peer writes.
        ("process/message.rs", "unreachable!(\"made beside\")"),
        ("process/body.rs", "unreachable!(\"made above\")"),
        ("process/body.rs", "unreachable!(\"written to above\")"),
        ("process/body.rs", "assert!(at + bytes.len() <= self.used, \"written before\")"),
        ("process/body.rs", "unreachable!(\"nothing is filed without a file\")"),
        ("process/body.rs", "assert!(bytes.len() <= file.mapped.length, \"taken for as many\")"),
        ("process/body.rs", "assert!(file.mapped.length >= output.used"),
        ("process/body.rs", "unreachable!(\"flushed above, into memory of its own\")"),
        ("process/body.rs", "unreachable!(\"called for a heap\")"),
        ("process/body.rs", "debug_assert!(length <= file.length)"),
        ("readiness.rs", "unreachable!(\"`among` made it with a descriptor\")"),
        ("pool/dispatch.rs", "unreachable!(\"checked above\")"),
        ("manager/server/store.rs", "unreachable!(\"taken by drop only\")"),
        ("auth/mod.rs", "unreachable!(\"HMAC takes keys of every length\")"),
    ];
    let panics = [
        ".expect(",
        ".unwrap()",
        ".unwrap_err()",
        ".expect_err(",
        "panic!(",
        "unreachable!(",
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        "assert!(",
        "assert_eq!(",
        "assert_ne!(",
    ];
    let mut found = Vec::new();
    for (file, number, line) in code() {
        let panics = panics.iter().any(|word| line.contains(word));
        if panics && !allowed.iter().any(|(at, what)| file == *at && line.contains(what)) {
            found.push(format!("{file}:{number}: {line}"));
        }
    }
    assert!(found.is_empty(), "not argued to be out of a peer's reach:\n{}", found.join("\n"));
}

/// The language defines concurrent atomic accesses to the same bytes only if they have the same
/// size. Values are copied by accesses that it does not see, or byte by byte; so no atomic of one
/// or two bytes is anywhere but in the copying of other processors.
#[test]
fn values_are_not_copied_by_atomics_of_different_sizes() {
    let small = ["AtomicU8", "AtomicI8", "AtomicBool", "AtomicU16", "AtomicI16"];
    // Words of this process alone, which no peer maps.
    let own = ["process/", "pool/", "manager/", "membership/page.rs"];
    let mut found = Vec::new();
    for (file, number, line) in code() {
        let of_process = own.iter().any(|place| file.starts_with(place));
        if !of_process && small.iter().any(|name| line.contains(name)) {
            found.push((file, number));
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let copying = fs::read_to_string(root.join("memory/copy.rs")).expect("UTF-8");
    // The access of processors without instructions of our own for it: bytes alone.
    let lines: Vec<&str> = copying.lines().collect();
    let others = r#"#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]"#;
    let begin = lines.iter().position(|line| *line == others).expect("the module");
    let end = begin + lines[begin..].iter().position(|line| *line == "}").expect("its end");
    found.retain(|(file, number)| file != "memory/copy.rs" || !(begin..=end).contains(number));
    assert!(found.is_empty(), "next to the atomics of 4 and 8 bytes: {found:?}");
    assert!(!lines[begin..=end].iter().any(|line| line.contains("AtomicU64")));
}

/// Each test that the README names next to a promise exists. (The models are a sibling package's,
/// and not in this one's archive.)
#[test]
fn every_promise_has_its_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("UTF-8");
    let promises = readme.split("## Promises").nth(1).expect("the section");
    let promises = promises.split("\n## ").next().expect("its text");
    let mut named = 0;
    for row in promises.lines().filter(|line| line.starts_with("| ")).skip(1) {
        let tests = row.trim_end_matches(" |").rsplit(" | ").next().expect("a column");
        for test in tests.split(", ") {
            let test = test.trim_matches('`');
            let (file, name) = test.split_once("::").unwrap_or_else(|| panic!("{row}"));
            let path = match file.strip_prefix("models/") {
                Some(stem) => root.join("../verify/tests/models").join(stem),
                None => root.join("tests").join(file),
            };
            let path = path.with_extension("rs");
            if file.starts_with("models/") && !path.exists() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{test}: {error}"));
            let there = [format!("fn {name}("), format!("({name}:")];
            assert!(there.iter().any(|form| text.contains(form)), "{test} is not there");
            named += 1;
        }
    }
    assert!(named >= 20, "{named} tests are named");
}
