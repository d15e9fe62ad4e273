//! The layers of each crate: no files import each other in a circle, and folders import only
//! downward.
//!
//! A file's imports are its `use` items, and the paths in its code that begin with `crate` or
//! `super`. `pub use` in a `mod.rs` or in `lib.rs` is a facade and no import: a path through it
//! counts as an import of the file that defines the item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::Visit;
use sync_checks::{Complaints, files, read};

/// A folder of sources, and its layers from the top to the bottom. Folders and files of one row do
/// not import each other. What is not listed is not ordered, but must not be in a circle.
struct Layers {
    source: &'static str,
    order: &'static [&'static [&'static str]],
}

const CRATES: [Layers; 5] = [
    Layers {
        source: "sync-core/src",
        order: &[
            &["interop", "cancel"],
            &["once", "thread", "task"],
            &["wait"],
            &["lock"],
            &["diagnostics"],
            &["primitive"],
            &["futex"],
        ],
    },
    Layers {
        source: "sync-queue/src",
        order: &[&["pool", "channel"], &["queue"], &["buffer"], &["wait"]],
    },
    Layers { source: "sync-timer/src", order: &[&["scheduler"], &["wheel"]] },
    Layers {
        source: "sync-ipc/src",
        order: &[
            &["manager"],
            &["pool"],
            &["process"],
            &["queue"],
            &["segment"],
            &["membership"],
            &["memory"],
            &["error"],
            &["raw"],
        ],
    },
    Layers {
        source: "verify/src/engine",
        order: &[&["driver"], &["runtime"], &["explore", "report"], &["memory_model"]],
    },
];

/// Circles that are still to be opened, as the test prints them. No new ones may come.
const KNOWN: [&str; 0] = [];

/// The files of one source folder: module path -> file.
struct Modules {
    files: BTreeMap<Vec<String>, PathBuf>,
    facades: BTreeMap<PathBuf, BTreeMap<String, Vec<String>>>,
}

/// A path as it is written in a `use` item, and the name that it brings in.
struct Import {
    path: Vec<String>,
    public: bool,
    name: String,
}

#[derive(Default)]
struct Imports {
    found: Vec<Import>,
    /// The number of modules around, in the same file.
    depth: u32,
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let public = !matches!(item.vis, syn::Visibility::Inherited);
        flatten(&item.tree, &mut Vec::new(), public, &mut self.found);
    }

    /// A path from `crate` or `super` imports too, wherever it is written.
    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if self.depth == 0 && ["crate", "super"].contains(&parts[0].as_str()) {
            let name = parts[parts.len() - 1].clone();
            self.found.push(Import { path: parts, public: false, name });
        }
        syn::visit::visit_path(self, path);
    }

    /// The path of `pub(in path)` imports nothing.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Unit tests may look at anything.
        let is_test = item.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
        });
        if !is_test {
            self.depth += 1;
            syn::visit::visit_item_mod(self, item);
            self.depth -= 1;
        }
    }
}

fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, public: bool, found: &mut Vec<Import>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, public, found);
            prefix.pop();
        }
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, prefix, public, found));
        }
        syn::UseTree::Name(_) | syn::UseTree::Rename(_) | syn::UseTree::Glob(_) => {
            let (last, name) = match tree {
                syn::UseTree::Name(name) => (name.ident.to_string(), name.ident.to_string()),
                syn::UseTree::Rename(name) => (name.ident.to_string(), name.rename.to_string()),
                _ => (String::from("*"), String::from("*")),
            };
            let mut path = prefix.clone();
            if last != "self" {
                path.push(last);
            }
            found.push(Import { path, public, name });
        }
    }
}

/// The module path of a file below the source folder: `a/b.rs` and `a/b/mod.rs` are `[a, b]`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<_> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if path.last().is_some_and(|last| last == "mod" || last == "lib") {
        path.pop();
    }
    path
}

impl Modules {
    fn read(source: &str) -> (Self, BTreeMap<PathBuf, Vec<Import>>) {
        let all = files("rs").into_iter().filter(|path| path.starts_with(source));
        let mut modules = Self { files: BTreeMap::new(), facades: BTreeMap::new() };
        let mut imports = BTreeMap::new();
        for path in all {
            let relative: PathBuf = path.strip_prefix(source).expect("below the source").into();
            // Test files, and programs of their own.
            if relative.starts_with("bin") || relative.ends_with("tests.rs") {
                continue;
            }
            let syntax = syn::parse_file(&read(&path)).expect("a Rust file");
            let mut found = Imports::default();
            found.visit_file(&syntax);
            modules.files.insert(module_path(&relative), relative.clone());
            imports.insert(relative, found.found);
        }
        // A facade's items, by the names under which they are found there.
        for (file, found) in &imports {
            let module = module_path(file);
            let items = found.iter().filter(|import| import.public);
            let items =
                items.map(|import| (import.name.clone(), modules.absolute(&module, &import.path)));
            modules.facades.insert(file.clone(), items.collect());
        }
        (modules, imports)
    }

    /// Resolves `crate`, `self` and `super`. A path without them starts in the module itself.
    fn absolute(&self, module: &[String], path: &[String]) -> Vec<String> {
        let mut base = module.to_vec();
        let mut rest = path;
        match rest.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                rest = &rest[1..];
            }
            Some("self") => rest = &rest[1..],
            _ => {}
        }
        while rest.first().is_some_and(|part| part == "super") {
            base.pop();
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        base
    }

    /// The file that defines what the absolute path names; `None` if it is not of this folder.
    fn file_of(&self, path: &[String], depth: u32) -> Option<&PathBuf> {
        let longest = (0..=path.len()).rev().find(|&n| self.files.contains_key(&path[..n]))?;
        let file = &self.files[&path[..longest]];
        let next = path.get(longest)?;
        let through = self.facades[file].get(next);
        match through {
            Some(target) if depth > 0 && target != path => {
                let mut target = target.clone();
                target.extend_from_slice(&path[longest + 1..]);
                self.file_of(&target, depth - 1)
            }
            _ => Some(file),
        }
    }

    /// File -> the files that it imports from.
    fn graph(
        &self,
        imports: &BTreeMap<PathBuf, Vec<Import>>,
        source: &str,
    ) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
        let mut graph = BTreeMap::new();
        for (file, found) in imports {
            let module = module_path(file);
            let is_facade = file.ends_with("mod.rs") || file.ends_with("lib.rs");
            let edges: &mut BTreeSet<PathBuf> = graph.entry(file.clone()).or_default();
            for import in found.iter().filter(|import| !(is_facade && import.public)) {
                let mut path = import.path.clone();
                // The engine is a folder of a crate: its own paths start with `crate::engine`.
                if source.ends_with("/engine") && path.first().is_some_and(|part| part == "crate") {
                    if path.get(1).is_none_or(|part| part != "engine") {
                        continue;
                    }
                    path.remove(1);
                }
                let target = self.absolute(&module, &path);
                let target = self.file_of(&target, 8);
                edges.extend(target.filter(|target| *target != file).cloned());
            }
        }
        graph
    }
}

/// The files that `start` imports, directly and through others, with the way to each.
fn reachable<'a>(
    graph: &'a BTreeMap<PathBuf, BTreeSet<PathBuf>>,
    start: &'a PathBuf,
) -> BTreeMap<&'a PathBuf, &'a PathBuf> {
    let mut from = BTreeMap::new();
    let mut next = vec![start];
    while let Some(file) = next.pop() {
        for target in &graph[file] {
            from.entry(target).or_insert_with(|| {
                next.push(target);
                file
            });
        }
    }
    from
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let mut complaints = Complaints::default();
    let mut met = 0;
    for Layers { source, .. } in &CRATES {
        let (modules, imports) = Modules::read(source);
        let graph = modules.graph(&imports, source);
        let mut done = BTreeSet::new();
        for start in graph.keys() {
            let from = reachable(&graph, start);
            if !from.contains_key(start) || done.contains(start) {
                continue;
            }
            let mut circle = vec![start.display().to_string()];
            let mut file = from[start];
            while file != start {
                done.insert(file);
                circle.push(file.display().to_string());
                file = from[file];
            }
            circle.push(start.display().to_string());
            circle.reverse();
            let circle = format!("{source}: {}", circle.join(" -> "));
            if KNOWN.contains(&circle.as_str()) {
                met += 1;
            } else {
                complaints.add(circle);
            }
        }
    }
    if met != KNOWN.len() {
        complaints.add(format!("{} known circles are open now: take them off", KNOWN.len() - met));
    }
    complaints.settle("No files import each other (ARCHITECTURE.md, \"Layers\").");
}

#[test]
fn folders_import_only_downward() {
    let mut complaints = Complaints::default();
    for Layers { source, order } in &CRATES {
        let layer = |file: &Path| {
            let first = file.iter().next()?.to_string_lossy().replace(".rs", "");
            order.iter().position(|names| names.contains(&first.as_str())).map(|at| (at, first))
        };
        let (modules, imports) = Modules::read(source);
        for (file, targets) in modules.graph(&imports, source) {
            for target in targets {
                let (Some((from, a)), Some((to, b))) = (layer(&file), layer(&target)) else {
                    continue;
                };
                if to < from || (to == from && a != b) {
                    complaints.add(format!("{source}: {} -> {}", file.display(), target.display()));
                }
            }
        }
    }
    complaints.settle("Folders import only downward (ARCHITECTURE.md, \"Layers\").");
}

#[test]
fn the_imports_of_the_sources_are_found() {
    let (modules, imports) = Modules::read("sync-queue/src");
    let graph = modules.graph(&imports, "sync-queue/src");
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    assert!(edges > 50, "only {edges} imports were found in sync-queue: the check sees nothing");
}
