//! `cargo new-primitive`: writes the skeleton of a primitive, in every place that it needs.
//!
//! The places of its suites are those of `checks/primitives.tsv`, to which it adds a row. What it
//! writes compiles and passes: a flag of four bytes, to be replaced piece by piece.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use sync_checks::primitives::{LIST, Primitive, SUITES, place};

/// Writes the skeleton of a new primitive: its source, behaviour, property and stress tests, model,
/// benchmark, and the lines that register them.
///
/// Exit status: 0; 1 if the name is taken or a file cannot be written.
#[derive(Debug, Parser)]
#[command(name = "cargo new-primitive", bin_name = "cargo new-primitive")]
struct Arguments {
    /// The stem of its files, for example `counted_event`
    #[arg(value_name = "STEM", value_parser = stem)]
    stem: String,
    /// The crate it becomes part of. (A primitive of sync-ipc is an algorithm in `raw/` and a
    /// handle, and starts from one that exists.)
    #[arg(long = "crate", value_enum, default_value_t = Package::Core)]
    package: Package,
    /// The folder below `src/`; the default for sync-core is `wait`, for the others `src/` itself
    #[arg(long, value_name = "FOLDER")]
    folder: Option<String>,
    /// The root folder of the workspace to write to
    #[arg(long, value_name = "PATH", default_value_os_t = sync_checks::root(), hide = true)]
    root: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Package {
    #[value(name = "sync-core")]
    Core,
    #[value(name = "sync-queue")]
    Queue,
    #[value(name = "sync-timer")]
    Timer,
}

impl Package {
    fn name(self) -> &'static str {
        match self {
            Self::Core => "sync-core",
            Self::Queue => "sync-queue",
            Self::Timer => "sync-timer",
        }
    }
}

fn stem(text: &str) -> Result<String, String> {
    let is_snake = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_snake { Ok(text.into()) } else { Err("in snake case: `counted_event`".into()) }
}

/// `CountedEvent` of `counted_event`.
fn type_of(stem: &str) -> String {
    let words = stem.split('_').filter(|word| !word.is_empty());
    words.map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}

/// A file to write, or a line to add to one.
#[derive(Debug)]
enum Change {
    New(PathBuf, String),
    /// A line before the first line that begins like it and comes after it in the alphabet.
    Sorted(PathBuf, &'static str, String),
    /// A text after the last line that is equal to this one.
    After(PathBuf, &'static str, String),
    /// A text at the end.
    Append(PathBuf, String),
}

impl Change {
    fn path(&self) -> &Path {
        match self {
            Self::New(path, _)
            | Self::Sorted(path, ..)
            | Self::After(path, ..)
            | Self::Append(path, _) => path,
        }
    }

    /// Returns the text of the file after the change.
    fn apply(&self, old: Option<&str>) -> Result<String, String> {
        match (self, old) {
            (Self::New(_, text), None) => Ok(text.clone()),
            (Self::New(..), Some(_)) => Err("is there already".into()),
            (_, None) => Err("is not there".into()),
            (Self::Sorted(_, start, line), Some(old)) => {
                let mut lines: Vec<&str> = old.lines().collect();
                // A line below an attribute belongs to it: nothing goes in between.
                let mut alike = lines.iter().enumerate().filter(|(at, old)| {
                    old.starts_with(start) && !(*at > 0 && lines[at - 1].starts_with("#["))
                });
                let after = alike.clone().find(|(_, old)| **old > line.as_str());
                let at = match after {
                    Some((at, _)) => at,
                    None => alike.next_back().ok_or(format!("has no line `{start}...`"))?.0 + 1,
                };
                lines.insert(at, line);
                Ok(lines.join("\n") + "\n")
            }
            (Self::After(_, marker, text), Some(old)) => {
                let mut lines: Vec<&str> = old.lines().collect();
                let at = lines.iter().rposition(|line| line == marker);
                let at = at.ok_or(format!("has no line `{marker}`"))?;
                lines.insert(at + 1, text);
                Ok(lines.join("\n") + "\n")
            }
            (Self::Append(_, text), Some(old)) => Ok(format!("{}\n{text}", old.trim_end())),
        }
    }
}

/// All changes for one primitive.
fn changes(package: &str, folder: &str, stem: &str) -> Vec<Change> {
    let name = type_of(stem);
    let package_in_code = package.replace('-', "_");
    let facade = if package == "sync-core" { "crate::primitive" } else { "sync_core::primitive" };
    let fill = |template: &str| {
        template
            .replace("{facade}", facade)
            .replace("{crate}", &package_in_code)
            .replace("{stem}", stem)
            .replace("{Type}", &name)
    };
    let templates = [
        include_str!("../../templates/behaviour.in"),
        include_str!("../../templates/property.in"),
        include_str!("../../templates/stress.in"),
        include_str!("../../templates/model.in"),
        include_str!("../../templates/workloads.in"),
    ];
    let source = Path::new(package).join("src");
    let module = if folder.is_empty() { stem.to_owned() } else { format!("{folder}/{stem}") };
    let mut changes = vec![
        Change::New(
            source.join(format!("{module}.rs")),
            fill(include_str!("../../templates/source.in")),
        ),
        if folder.is_empty() {
            Change::Sorted(source.join("lib.rs"), "mod ", format!("mod {stem};"))
        } else {
            let facade = source.join(folder).join("mod.rs");
            Change::Sorted(facade, "pub(crate) mod ", format!("pub(crate) mod {stem};"))
        },
        Change::Sorted(
            source.join("lib.rs"),
            "pub use ",
            format!("pub use {}::{name};", module.replace('/', "::")),
        ),
    ];
    for ((suite, pattern), template) in SUITES.into_iter().zip(templates) {
        let path = PathBuf::from(place(pattern, package, stem));
        match suite {
            "bench" => {
                let list = path.with_file_name("mod.rs");
                changes.push(Change::Sorted(list.clone(), "pub mod ", format!("pub mod {stem};")));
                let entry = format!("        {stem}::workloads,");
                changes.push(Change::After(list, "    let of_each = [", entry));
            }
            _ => {
                let main = path.with_file_name("main.rs");
                changes.push(Change::Sorted(main, "mod ", format!("mod {stem};")));
            }
        }
        changes.push(Change::New(path, fill(template)));
    }
    changes.push(Change::New(
        format!("benches/benches/{stem}.rs").into(),
        fill(include_str!("../../templates/bench.in")),
    ));
    changes.push(Change::Append(
        "benches/Cargo.toml".into(),
        fill(include_str!("../../templates/bench_target.in")),
    ));
    let package_file = |file: &str| Path::new(package).join(file);
    changes.push(Change::Append(
        package_file("CONTRACT.md"),
        fill(include_str!("../../templates/contract.in")),
    ));
    changes.push(Change::Append(
        package_file("CHANGELOG.md"),
        format!("* `{name}`: say here in one sentence what it is.\n"),
    ));
    let row = Primitive {
        stem: stem.into(),
        package: package.into(),
        sources: vec![module],
        suites: core::array::from_fn(|_| Some(stem.into())),
        reason: String::new(),
    };
    changes.push(Change::Append(LIST.into(), row.row() + "\n"));
    changes
}

/// Makes all changes, or none if one of them cannot be made. Returns the paths of the changed
/// files.
fn make(root: &Path, changes: &[Change]) -> Result<Vec<PathBuf>, String> {
    let mut texts: Vec<(PathBuf, String)> = Vec::new();
    for change in changes {
        let path = change.path();
        let known = texts.iter().position(|(other, _)| other == path);
        let old = match known {
            Some(at) => Some(texts[at].1.clone()),
            None => fs::read_to_string(root.join(path)).ok(),
        };
        let new = change.apply(old.as_deref());
        let new = new.map_err(|error| format!("{} {error}", path.display()))?;
        match known {
            Some(at) => texts[at].1 = new,
            None => texts.push((path.to_owned(), new)),
        }
    }
    for (path, text) in &texts {
        fs::write(root.join(path), text).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    Ok(texts.into_iter().map(|(path, _)| path).collect())
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let default = if arguments.package == Package::Core { "wait" } else { "" };
    let folder = arguments.folder.as_deref().unwrap_or(default);
    let stem = &arguments.stem;
    match make(&arguments.root, &changes(arguments.package.name(), folder, stem)) {
        Ok(paths) => {
            paths.iter().for_each(|path| println!("{}", path.display()));
            println!(
                "\nLeft to do by hand: the algorithm, and a word about it at each place above; its \
                 rows in the\nREADME of {} and in verify/tests/models/operations.tsv, if it \
                 blocks.",
                arguments.package.name()
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("nothing was written: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(type_of("counted_event"), "CountedEvent");
        assert!(stem("CountedEvent").is_err());
        assert!(stem("../x").is_err());
        assert_eq!(stem("counted_event").unwrap(), "counted_event");
    }

    /// Every change fits the files that are here today: each list has its marker, each name is
    /// free, and no place of the skeleton is left unfilled.
    #[test]
    fn the_skeleton_fits_the_workspace() {
        for (package, folder) in [("sync-core", "wait"), ("sync-queue", ""), ("sync-timer", "")] {
            let changes = changes(package, folder, "zz_skeleton");
            for change in &changes {
                let old = fs::read_to_string(sync_checks::root().join(change.path())).ok();
                let new = change.apply(old.as_deref());
                let new = new.unwrap_or_else(|error| {
                    panic!("{package}: {} {error}", change.path().display())
                });
                assert!(new.contains("zz_skeleton") || new.contains("ZzSkeleton"));
                if old.is_none() {
                    for place in ["{stem}", "{Type}", "{crate}", "{facade}"] {
                        assert!(!new.contains(place), "{place} is left in {new}");
                    }
                }
            }
            let rows = changes.iter().filter(|change| change.path() == Path::new(LIST));
            assert_eq!(rows.count(), 1);
        }
    }

    #[test]
    fn nothing_goes_between_an_attribute_and_its_module() {
        let change = Change::Sorted("main.rs".into(), "mod ", "mod b;".into());
        let old = "#[path = \"x.rs\"]\nmod c;\n\nmod a;\nmod d;\n";
        let new = "#[path = \"x.rs\"]\nmod c;\n\nmod a;\nmod b;\nmod d;\n";
        assert_eq!(change.apply(Some(old)).unwrap(), new);
    }

    #[test]
    fn a_name_that_is_taken_changes_nothing() {
        let error = make(&sync_checks::root(), &changes("sync-core", "wait", "latch")).unwrap_err();
        assert_eq!(error, "sync-core/src/wait/latch.rs is there already");
    }
}
