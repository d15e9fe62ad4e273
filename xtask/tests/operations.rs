//! Every exported operation that blocks has a model, or a reason why it has none. The list of
//! changes that no model notices names lines that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];
const TIMED: [&str; 4] = ["_timeout", "_deadline", "_for", "_until"];
/// Forms of an operation that are operations of their own: for tasks, and with a token.
const FORMS: [&str; 2] = ["_async", "_or_cancelled"];
/// Parts of paths that hold nothing that users call.
const INTERNAL: [&str; 5] =
    ["/primitive", "/futex", "/deadlock/", "sync-ipc/src/raw/", "sync-queue/src/buffer/"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in a folder of the root")
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The name of the public function that a line declares.
fn declares(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest.strip_prefix("const ").unwrap_or(rest);
    let rest = rest.strip_prefix("unsafe ").unwrap_or(rest);
    let rest = rest.strip_prefix("async ").unwrap_or(rest);
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    Some(&rest[..end])
}

/// `lock` of `try_lock_for`; nothing of a function that is not timed.
fn untimed(name: &str) -> Option<&str> {
    let name = TIMED.iter().find_map(|ending| name.strip_suffix(ending))?;
    Some(name.strip_prefix("try_").unwrap_or(name))
}

/// The names of operations among the arguments of a macro that declares them.
fn declared_by_macro(line: &str) -> impl Iterator<Item = &str> {
    let is_call = (line.contains("!(") || line.ends_with(','))
        && !["//", "fn ", "."].iter().any(|other| line.contains(other));
    let is_name = |name: &&str| {
        FORMS.iter().any(|form| name.ends_with(form))
            && name.chars().all(|c| c == '_' || c.is_ascii_lowercase())
    };
    line.split(['(', ',', ' ']).filter(move |name| is_call && is_name(name))
}

/// Whether the first sentence of a function's documentation says that it waits.
fn says_that_it_waits(documentation: &str) -> bool {
    let sentence = documentation.split(". ").next().unwrap_or_default();
    let inside = ["; sleeps ", " and sleeps ", " and waits ", ", waits "];
    ["Waits ", "Sleeps "].iter().any(|words| sentence.starts_with(words))
        || inside.iter().any(|words| sentence.contains(words))
}

/// The operations of the sources that block: crate and `file::name`. They have a timed form, or are
/// the form of one for tasks or with a token, or say that they wait.
fn exported() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for package in CRATES {
        let mut paths = Vec::new();
        sources(&root().join(package).join("src"), &mut paths);
        for path in paths {
            let inside = path.strip_prefix(root()).expect("below the root").to_string_lossy();
            if INTERNAL.iter().any(|part| inside.contains(part)) {
                continue;
            }
            let named = if path.ends_with("mod.rs") { path.parent() } else { Some(path.as_path()) };
            let stem =
                named.and_then(Path::file_stem).expect("a file has a name").to_string_lossy();
            let text = std::fs::read_to_string(&path).expect("a source is text");
            // A former name that only forwards is hidden, and no operation of its own.
            let mut hidden = false;
            let mut documentation = String::new();
            let mut imports = false;
            for line in text.lines().map(str::trim) {
                imports |= line.starts_with("use ") || line.starts_with("pub use ");
                if imports {
                    imports = !line.ends_with(';');
                    continue;
                }
                if let Some(words) = line.strip_prefix("///") {
                    documentation += words.trim_start();
                    documentation += " ";
                    continue;
                }
                if line.starts_with("#[") {
                    hidden |= line == "#[doc(hidden)]";
                    continue;
                }
                let mut find = |name: &str| {
                    found.insert((package.to_owned(), format!("{stem}::{name}")));
                };
                if let Some(name) = declares(line).filter(|_| !hidden) {
                    if let Some(name) = untimed(name) {
                        find(name);
                    } else if FORMS.iter().any(|form| name.ends_with(form))
                        || says_that_it_waits(&documentation)
                    {
                        find(name);
                    }
                }
                declared_by_macro(line).for_each(&mut find);
                hidden = false;
                documentation.clear();
            }
        }
    }
    found
}

/// The committed list: crate and operation, with the model and the note.
fn listed() -> BTreeMap<(String, String), (String, String)> {
    let text = std::fs::read_to_string(root().join("verify/tests/models/operations.tsv"))
        .expect("the list of operations");
    let mut list = BTreeMap::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.split('\t').map(str::to_owned);
        let mut field = || fields.next().unwrap_or_else(|| panic!("too few fields: {line}"));
        let key = (field(), field());
        let model = field();
        let note = fields.next().unwrap_or_default();
        assert!(list.insert(key, (model, note)).is_none(), "listed twice: {line}");
    }
    list
}

/// Whether a file of the models has a model of this name.
fn has_model(model: &str) -> bool {
    let Some((module, name)) = model.rsplit_once("::") else { return false };
    let path = root().join(format!("verify/tests/models/{}.rs", module.replace("::", "/")));
    std::fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {name}(")))
}

#[test]
fn every_blocking_operation_has_a_model() {
    let (exported, listed) = (exported(), listed());
    // The search itself works.
    for known in ["mutex::lock", "latch::wait_async", "asynchronous::write_arc_async", "once::wait"]
    {
        assert!(exported.contains(&(String::from("sync-core"), String::from(known))), "{known}");
    }
    let mut faults = Vec::new();
    for (package, operation) in &exported {
        match listed.get(&(package.clone(), operation.clone())) {
            None => faults.push(format!("{package} {operation}: not in the list")),
            Some((model, note)) if model == "-" => {
                if note.is_empty() {
                    faults.push(format!("{package} {operation}: neither a model nor a reason"));
                }
            }
            Some((model, _)) if !has_model(model) => {
                faults.push(format!("{package} {operation}: there is no model {model}"));
            }
            Some(_) => {}
        }
    }
    for (package, operation) in listed.keys() {
        if !exported.contains(&(package.clone(), operation.clone())) {
            faults.push(format!("{package} {operation}: listed, but not in the sources"));
        }
    }
    assert!(faults.is_empty(), "verify/tests/models/operations.tsv:\n{}", faults.join("\n"));
}

/// Operations without a form with a token, and the reason.
const WITHOUT_TOKEN: [(&str, &str); 10] = [
    ("barrier::with", "a constructor"),
    ("builder::idle", "a setting"),
    ("block_on::block_on", "`CancelToken::block_on`"),
    ("block_on::park", "what the futures of a thread wait with: hidden"),
    ("pool::scope", "what jobs have borrowed must outlive them"),
    ("token::wait", "it is the wait for the token"),
    ("join_all::join_all", "a future: `CancelToken::until_cancelled`"),
    ("wait_any::wait_any", "a future, and the token may be one of several"),
    ("task::sleep", "a future: `CancelToken::until_cancelled`"),
    ("task::tick", "a future: `CancelToken::until_cancelled`"),
];

/// For a wait of one name that several types have, the file of the form with a token is not the
/// file of the wait: that each of them ends is shown by the behaviour tests of `cancel`.
#[test]
fn every_blocking_operation_has_a_form_that_a_token_ends() {
    let exported = exported();
    let mut faults = Vec::new();
    let mut excused = BTreeSet::new();
    for (package, operation) in exported.iter().filter(|(package, _)| package != "sync-ipc") {
        let (file, name) = operation.split_once("::").expect("file::name");
        if FORMS.iter().any(|form| name.ends_with(form)) {
            continue;
        }
        if WITHOUT_TOKEN.iter().any(|(excused, _)| excused == operation) {
            excused.insert(operation.as_str());
            continue;
        }
        let form = format!("{name}_or_cancelled");
        let mut same = exported.iter().filter(|(other, _)| other == package);
        let has_form = same.any(|(_, other)| {
            let (other, name) = other.split_once("::").expect("file::name");
            // sync-core has its forms in files of their own.
            name == form && (other == file || ["waits", "once", "cancel"].contains(&other))
        });
        if !has_form {
            faults.push(format!("{package} {operation}: there is no {form}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(excused.len(), WITHOUT_TOKEN.len(), "an operation is gone: {excused:?}");
}

/// Waits of tasks that no thread can share, and the reason.
const OF_ONE_OWNER: [(&str, &str); 3] = [
    ("parker::park_async", "a parker has one owner"),
    ("group::join_async", "it takes the group"),
    ("scope::join_async", "the scope is its thread's"),
];

/// A thread and a task contend for the same object in a test of each call that tasks have.
#[test]
fn a_thread_meets_every_wait_of_a_task() {
    let mut faults = Vec::new();
    let mut seen = 0;
    for package in ["sync-core", "sync-queue"] {
        let tests = root().join(package).join("tests/behaviour/together.rs");
        let tests = std::fs::read_to_string(tests).expect("the tests");
        let exported = exported();
        for (_, operation) in exported.iter().filter(|(other, _)| other == package) {
            let (_, name) = operation.split_once("::").expect("file::name");
            if !name.ends_with("_async") || OF_ONE_OWNER.iter().any(|(one, _)| one == operation) {
                continue;
            }
            seen += 1;
            if !tests.contains(&format!("{name}(")) {
                faults.push(format!("{package} {operation}: no thread contends with it"));
            }
        }
    }
    assert!(seen > 30, "the search works");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_listed_survivor_names_a_line_of_the_sources() {
    let text = std::fs::read_to_string(root().join("verify/tests/models/survivors.tsv"))
        .expect("the list of survivors");
    let entries = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for entry in entries {
        let [file, code, number, _change, reason] =
            entry.split('\t').collect::<Vec<_>>().try_into().expect("five fields");
        let number: usize = number.parse().expect("the third field is a number");
        let source = std::fs::read_to_string(root().join(file)).expect("the file exists");
        let found = source.lines().filter(|line| line.trim() == code).count();
        assert!((1..=found).contains(&number), "{file} has {found} lines `{code}`");
        assert!(!reason.trim().is_empty(), "no reason: {entry}");
    }
}
