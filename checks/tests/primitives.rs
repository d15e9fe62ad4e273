//! Each exported module is in `checks/primitives.tsv`, and no primitive lacks a suite without a
//! reason.

use std::collections::BTreeSet;

use sync_checks::primitives::{LIST, SUITES, list, source};
use sync_checks::{Complaints, read};

const CRATES: [&str; 4] = ["sync-core", "sync-queue", "sync-timer", "sync-ipc"];

fn flatten(tree: &syn::UseTree, path: &mut Vec<String>, found: &mut BTreeSet<String>) {
    match tree {
        syn::UseTree::Path(inner) => {
            path.push(inner.ident.to_string());
            flatten(&inner.tree, path, found);
            path.pop();
        }
        syn::UseTree::Group(group) => {
            group.items.iter().for_each(|tree| flatten(tree, path, found));
        }
        _ => {
            let parts = path.iter().map(String::as_str).filter(|part| *part != "self");
            found.insert(parts.collect::<Vec<_>>().join("/"));
        }
    }
}

fn is_hidden(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("doc")
            && attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("hidden"))
    })
}

/// The modules that `lib.rs` exports, whole or in part: `lock/mutex`, `thread`.
fn exported(package: &str) -> BTreeSet<String> {
    let syntax = syn::parse_file(&read(format!("{package}/src/lib.rs"))).expect("a Rust file");
    let mut found = BTreeSet::new();
    for item in syntax.items {
        match item {
            syn::Item::Use(item)
                if matches!(item.vis, syn::Visibility::Public(_)) && !is_hidden(&item.attrs) =>
            {
                flatten(&item.tree, &mut Vec::new(), &mut found);
            }
            syn::Item::Mod(item)
                if matches!(item.vis, syn::Visibility::Public(_)) && !is_hidden(&item.attrs) =>
            {
                found.insert(item.ident.to_string());
            }
            _ => {}
        }
    }
    found.retain(|module| source(package, module).is_some());
    found
}

#[test]
fn no_primitive_lacks_a_suite_without_a_reason() {
    let (primitives, _) = list();
    let mut complaints = Complaints::default();
    for primitive in &primitives {
        let name = format!("{} {}", primitive.package, primitive.stem);
        for module in &primitive.sources {
            if source(&primitive.package, module).is_none() {
                complaints.add(format!("{name}: no source {module}"));
            }
        }
        for (at, (suite, _)) in SUITES.iter().enumerate() {
            let Some(path) = primitive.suite(at) else {
                if primitive.reason.is_empty() {
                    complaints.add(format!("{name}: no {suite}, and no reason"));
                }
                continue;
            };
            let root = sync_checks::root();
            let text = std::fs::read_to_string(root.join(&path)).unwrap_or_default();
            let has_tests = match *suite {
                "model" => text.contains("model! {") || text.contains("#[test]"),
                "bench" => text.contains("pub fn workloads"),
                _ => text.contains("#[test]"),
            };
            if !has_tests {
                complaints.add(format!("{name}: no {suite} in {}", path.display()));
            }
            // A file that no `mod` line names is not compiled.
            let main = match *suite {
                "bench" => path.with_file_name("mod.rs"),
                _ => path.with_file_name("main.rs"),
            };
            let stem = path.file_stem().expect("a file has a name").to_string_lossy();
            if !read(&main).lines().any(|line| line.ends_with(&format!("mod {stem};"))) {
                complaints.add(format!("{}: no line `mod {stem};`", main.display()));
            }
        }
    }
    assert!(primitives.len() > 20, "only {} primitives are in the list", primitives.len());
    complaints
        .settle("Each primitive has its suites (ARCHITECTURE.md, \"One stem per primitive\").");
}

#[test]
fn each_exported_module_is_in_the_list() {
    let (primitives, others) = list();
    let mut complaints = Complaints::default();
    for package in CRATES {
        let exported = exported(package);
        assert!(exported.len() >= 5, "only {} exported modules of {package}", exported.len());
        let of_primitives = primitives.iter().filter(|primitive| primitive.package == package);
        let mut listed: BTreeSet<_> =
            of_primitives.flat_map(|primitive| primitive.sources.iter().cloned()).collect();
        let of_others = others.iter().filter(|[owner, ..]| owner == package);
        listed.extend(of_others.map(|[_, module, _]| module.clone()));
        for module in exported.difference(&listed) {
            complaints.add(format!("{package}: {module} is exported; add a row to {LIST}"));
        }
    }
    complaints.settle("The list of primitives is complete.");
}
