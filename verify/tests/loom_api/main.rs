//! Whatever loom 0.7.2 exports is there: `uses.rs` names every item of it and is compiled with
//! both crates, and a walk through loom's sources finds what `uses.rs` does not name.
#![allow(clippy::type_complexity, reason = "the types are loom's, spelled out")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

macro_rules! with {
    ($lm:ident) => {
        mod $lm {
            use ::$lm as lm;
            #[allow(unused_imports, reason = "for the names of traits")]
            use std::{
                borrow::Borrow,
                fmt::Debug,
                hash::Hash,
                ops::{Deref, DerefMut},
                panic::{RefUnwindSafe, UnwindSafe},
                sync::atomic::Ordering::{self, Relaxed},
            };
            include!("uses.rs");
        }
    };
}

with!(loom);
with!(verify);

#[test]
fn every_use_of_loom_compiles_with_this_crate() {
    loom::uses();
    verify::uses();
}

/// The types that may cross `catch_unwind`: as much as of the types that are replaced.
#[test]
fn unwind_safety_is_that_of_std() {
    use std::panic::{RefUnwindSafe, UnwindSafe};
    fn safe<T: UnwindSafe + RefUnwindSafe + ?Sized>() {}
    macro_rules! like_std {
        ($($krate:ident)*) => {$(
            safe::<$krate::sync::atomic::AtomicUsize>();
            safe::<$krate::sync::atomic::AtomicI8>();
            safe::<$krate::sync::atomic::AtomicBool>();
            safe::<$krate::sync::atomic::AtomicPtr<u32>>();
            safe::<$krate::sync::Mutex<std::cell::Cell<u32>>>();
            safe::<$krate::sync::RwLock<std::cell::Cell<u32>>>();
            safe::<$krate::sync::Condvar>();
            safe::<$krate::sync::Once>();
            safe::<$krate::sync::OnceLock<u32>>();
            safe::<$krate::sync::LazyLock<u32>>();
            safe::<$krate::sync::Barrier>();
            safe::<$krate::sync::mpsc::Sender<u32>>();
            safe::<$krate::sync::mpsc::Receiver<u32>>();
            safe::<$krate::sync::Arc<u32>>();
            safe::<$krate::sync::Weak<u32>>();
            safe::<$krate::thread::Thread>();
        )*};
    }
    mod verify {
        pub(super) use ::verify::{sync, thread};
    }
    like_std!(std verify);
}

/// Where cargo has put loom's sources.
fn sources() -> PathBuf {
    let cargo = |args: &[&str]| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(args);
        cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo is there")
    };
    let version = String::from_utf8_lossy(&cargo(&["-vV"]).stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    // Only what this machine needs: the rest may not have been downloaded.
    let filter = ["--locked", "--offline", "--filter-platform", host];
    let out = cargo(&[&["metadata", "--format-version", "1"][..], &filter].concat());
    let text = String::from_utf8_lossy(&out.stdout);
    let end = "loom-0.7.2/Cargo.toml\"";
    let at = text.find(end).unwrap_or_else(|| {
        panic!("loom is a dependency of the tests: {}", String::from_utf8_lossy(&out.stderr))
    });
    let start = text[..at].rfind('"').expect("a string begins") + 1;
    Path::new(&text[start..at + end.len() - 1]).with_file_name("src")
}

/// A piece of source without generics: `Cell<T>` is `Cell`, `Arc::<u32>::new` is `Arc::new`.
fn plain(text: &str) -> String {
    let (mut depth, mut out) = (0, String::new());
    let mut before = ' ';
    for c in text.chars() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            _ if depth == 0 => out.push(c),
            _ => {}
        }
        before = c;
    }
    out.replace("::::", "::")
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    text[..end.unwrap_or(text.len())].trim_start_matches("r#")
}

/// The last name of a path.
fn last(text: &str) -> &str {
    word(text.trim().rsplit("::").next().unwrap_or(text).trim())
}

/// The exports of a file of loom: `name`, `Type::method`, `Type: Trait`.
fn exports(text: &str, into: &mut BTreeSet<String>) {
    let mut this = String::new();
    let mut derived = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        let line = plain(line);
        if let Some(traits) = line.strip_prefix("#[derive(") {
            let traits = traits.trim_end_matches(")]").split(',');
            derived.extend(traits.map(|t| last(t).to_string()));
        } else if line.starts_with("impl ") || line.starts_with("unsafe impl ") {
            let head = line.split_once("impl ").map_or("", |(_, head)| head);
            let head = head.split(" where").next().unwrap_or(head);
            match head.split_once(" for ") {
                Some((implemented, target)) => {
                    into.insert(format!("{}: {}", last(target), last(implemented)));
                    this.clear();
                }
                None => this = last(head).to_string(),
            }
        } else if line == "}" && !this.is_empty() {
            // The end of a method, or of the block.
        } else if let Some(item) = line.strip_prefix("pub ") {
            let item = item.strip_prefix("unsafe ").unwrap_or(item);
            if let Some(name) = item.strip_prefix("fn ") {
                let name = word(name);
                let method = line.contains("self") || !this.is_empty();
                let owner = if method { format!("{this}::") } else { String::new() };
                into.insert(format!("{owner}{name}"));
            } else if let Some(name) = item.strip_prefix("struct ") {
                let name = word(name).to_string();
                into.extend(derived.drain(..).map(|t| format!("{name}: {t}")));
                into.insert(name);
                this.clear();
            } else if let Some(path) = item.strip_prefix("use ") {
                let path = path.trim_end_matches(';');
                let names = path.split_once('{').map_or(path, |(_, names)| names);
                let names = names.trim_end_matches('}').split(',').map(|n| last(n).to_string());
                into.extend(names.filter(|n| !n.is_empty()));
            } else if let Some(name) = item.strip_prefix("mod ") {
                into.insert(word(name).to_string());
            } else if !this.is_empty() || item.contains(':') {
                // A field.
            }
        }
        if !line.starts_with('#') {
            derived.clear();
        }
    }
}

fn walk(folder: &Path, into: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("loom's sources are there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            // Private: what is exported of it stands in a `pub use`.
            if path.file_name().is_some_and(|name| name != "rt") {
                walk(&path, into);
            }
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a source");
        exports(&text, into);
    }
}

/// The names that `uses.rs` uses, in the same form.
fn named() -> (String, BTreeSet<String>) {
    let text = plain(include_str!("uses.rs"));
    let mut traits = BTreeSet::new();
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("has!(")) {
        let (target, list) = line.split_once(": ").expect("a type and its traits");
        let list = list.trim_end_matches(");").split(", ");
        traits.extend(list.map(|t| format!("{}: {t}", last(target))));
    }
    (text, traits)
}

#[test]
fn nothing_that_loom_exports_is_forgotten() {
    let mut exported = BTreeSet::new();
    walk(&sources(), &mut exported);
    assert!(exported.len() > 200, "the walk finds next to nothing: {exported:?}");
    let (text, traits) = named();
    let names: BTreeSet<&str> =
        text.split(|c: char| !c.is_alphanumeric() && !"_$:".contains(c)).collect();
    let words: BTreeSet<&str> =
        text.split(|c: char| !c.is_alphanumeric() && !"_$".contains(c)).collect();
    // The inner type of the atomics is private, a `Drop` is no promise, and `$N` is what
    // `lazy_static!` makes.
    let private = |item: &str| {
        item.starts_with("Atomic:") || item.starts_with("$N") || item.ends_with(": Drop")
    };
    let missing: Vec<&String> = exported
        .iter()
        .filter(|item| !private(item))
        .filter(|item| match () {
            () if item.contains(": ") => !traits.contains(*item),
            () if item.contains("::") => !names.contains(item.as_str()),
            () => !words.contains(item.as_str()),
        })
        .collect();
    assert!(missing.is_empty(), "not named in uses.rs: {missing:#?}");
}
