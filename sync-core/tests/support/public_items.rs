//! The public types of a crate, read off the declarations of its public modules.

use std::collections::BTreeSet;

/// The declarations of a file: statements that begin with `pub`, each in one line and with the
/// attributes in front of it. Comments are left out.
fn declarations(source: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut statement = String::new();
    for line in source.lines().map(str::trim) {
        if line.starts_with("//") || line.is_empty() {
            continue;
        }
        if statement.is_empty() && !line.starts_with("pub ") && !line.starts_with("#[") {
            continue;
        }
        statement.push_str(line);
        statement.push(' ');
        // A list of exported names goes on to its semicolon.
        let is_over =
            line.ends_with(';') || line.ends_with(['{', '}']) && !statement.contains("pub use ");
        if is_over {
            all.push(std::mem::take(&mut statement));
        }
    }
    all
}

/// The public modules that a file declares, without the hidden ones.
fn modules(source: &str) -> BTreeSet<String> {
    let declared = declarations(source);
    let shown = declared.iter().filter(|statement| !statement.contains("doc(hidden)"));
    shown
        .filter_map(|statement| {
            let (_, name) = statement.split_once("pub mod ")?;
            Some(name.trim_end_matches([' ', ';', '{']).to_owned())
        })
        .collect()
}

/// The names of the public types, and of the public traits, that a file declares or exports.
fn names(source: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in declarations(source) {
        let Some((attributes, item)) = statement.split_once("pub ") else { continue };
        if attributes.contains("doc(hidden)") {
            continue;
        }
        let mut words = item.split(|c: char| !c.is_alphanumeric() && c != '_');
        let first = words.next().unwrap_or_default();
        match first {
            // The name under which it is exported is the last one.
            "use" => {
                let exported = item.trim_start_matches("use ").split(['{', ',', '}', ';']);
                names.extend(exported.filter_map(|path| {
                    let name = path.rsplit([':', ' ']).find(|word| !word.is_empty())?;
                    name.starts_with(char::is_uppercase).then(|| name.to_owned())
                }));
            }
            "struct" | "enum" | "type" | "trait" | "union" => {
                names.extend(words.next().map(str::to_owned));
            }
            _ => {}
        }
    }
    names
}

/// Fails if a public type of the crate is neither in `table`, which has the path of each type in
/// the crate, nor in `others`, the traits and the types that cannot be in it; or if one of `others`
/// is not there any more.
///
/// `sources`: the path of each public module in the crate, and its source; the root first.
#[track_caller]
pub(crate) fn assert_complete(sources: &[(&str, &str)], table: &[&str], others: &[&str]) {
    let declared = modules(sources[0].1);
    let given: BTreeSet<_> = sources[1..].iter().map(|(module, _)| (*module).to_owned()).collect();
    assert_eq!(declared, given, "the public modules of the crate");
    let mut found = BTreeSet::new();
    for (module, source) in sources {
        found.extend(names(source).into_iter().map(|name| match *module {
            "" => name,
            module => format!("{module}::{name}"),
        }));
    }
    let is_known =
        |path: &&String| table.contains(&path.as_str()) || others.contains(&path.as_str());
    let missing: Vec<_> = found.iter().filter(|path| !is_known(path)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:?}");
    let gone: Vec<_> = others.iter().filter(|path| !found.contains(**path)).collect();
    assert!(gone.is_empty(), "not public any more: {gone:?}");
}
