//! ARCHITECTURE.md's table of crates, compared with the manifests; and the scripts, with the steps
//! of CI.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sync_checks::{Complaints, metadata, read, root, scripts};

/// Package -> packages of the workspace that it depends on in an ordinary build.
type Edges = BTreeMap<String, BTreeSet<String>>;

fn from_cargo() -> Edges {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().expect("a list of packages");
    let name = |package: &serde_json::Value| package["name"].as_str().expect("a name").to_owned();
    let ours: BTreeSet<_> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a list");
            let edges = dependencies.iter().filter(|edge| {
                // Test-only edges, those of a checker's build, and other people's packages are not
                // part of the picture.
                let target = edge["target"].as_str().unwrap_or("");
                let is_ours = !edge["path"].is_null();
                edge["kind"].is_null() && is_ours && !target.contains("sync_verify")
            });
            let package = name(package);
            let is_other = |edge: &String| ours.contains(edge) && *edge != package;
            let edges = edges.map(name).filter(is_other).collect();
            (package, edges)
        })
        .collect()
}

/// Reads the rows `| folder | package | depends on | ... |` under the heading "Crates".
fn from_architecture() -> Edges {
    let text = read("ARCHITECTURE.md");
    let section =
        text.split("\n## ").find(|section| section.starts_with("Crates")).expect("## Crates");
    let code_spans = |cell: &str| -> BTreeSet<String> {
        cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let package = code_spans(cells[2]).into_iter().next().expect("a package in column 2");
        (package, code_spans(cells[3]))
    })
    .collect()
}

#[test]
fn the_picture_of_the_crates_is_true() {
    assert_eq!(from_architecture(), from_cargo(), "left: ARCHITECTURE.md, right: the manifests");
}

/// Each file or folder that an entry point names is there, and defines the functions that stand
/// behind it.
#[test]
fn entry_points_are_where_the_map_has_them() {
    let text = read("ARCHITECTURE.md");
    let section = text.split("\n## ").find(|section| section.starts_with("Entry points"));
    let mut complaints = Complaints::default();
    let mut paths = 0;
    for row in section.expect("## Entry points").lines().filter(|line| line.starts_with("| ")) {
        let mut source = String::new();
        for span in row.split('`').skip(1).step_by(2) {
            if span.contains('<') {
                continue;
            } else if span.contains('/') {
                let path = root().join(span);
                paths += 1;
                if !path.exists() {
                    complaints.add(format!("there is no {span}"));
                }
                source = if path.is_file() { read(span) } else { String::new() };
            } else if !source.contains(&format!("fn {span}")) {
                complaints.add(format!("no function {span}: {row}"));
            }
        }
    }
    assert!(paths > 15, "only {paths} paths were found");
    complaints.settle("ARCHITECTURE.md, \"Entry points\".");
}

/// "MIT OR Apache-2.0" obliges to hand the texts on. The keywords are the crate's own: a reader who
/// looks for a queue finds the queues.
#[test]
fn each_published_package_has_licences_and_keywords_of_its_own() {
    let mut complaints = Complaints::default();
    let mut seen = BTreeSet::new();
    for package in metadata()["packages"].as_array().expect("a list of packages") {
        // `publish` is null for a package that may be published, and a list of registries else.
        if !package["publish"].is_null() {
            continue;
        }
        let name = package["name"].as_str().expect("a name");
        let manifest = std::path::Path::new(package["manifest_path"].as_str().expect("a path"));
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            if !manifest.with_file_name(licence).exists() {
                complaints.add(format!("{name} has no {licence}"));
            }
        }
        let keywords = package["keywords"].as_array().expect("a list");
        if !(3..=5).contains(&keywords.len()) {
            complaints.add(format!("{name} has {} keywords", keywords.len()));
        }
        if !seen.insert(format!("{keywords:?}")) {
            complaints.add(format!("{name} has the keywords of another package"));
        }
        for field in ["description", "license", "readme", "documentation", "rust_version"] {
            if package[field].is_null() {
                complaints.add(format!("{name} has no {field}"));
            }
        }
    }
    assert!(seen.len() >= 5, "only {} published packages", seen.len());
    complaints.settle("What a registry shows of a package is complete.");
}

#[test]
fn each_script_is_a_step_of_ci() {
    let ci = read(".ci/run");
    let scripts = scripts();
    let mut complaints = Complaints::default();
    assert!(scripts.len() > 5, "only {} scripts were found", scripts.len());
    for script in scripts.iter().filter(|script| *script != Path::new(".ci/run")) {
        if !ci.contains(&script.display().to_string()) {
            complaints.add(script.display().to_string());
        }
    }
    // A step has its function, its line of description, and its place in the head.
    let head: Vec<_> = ci.lines().take_while(|line| line.starts_with('#')).collect();
    let listed: BTreeSet<_> = head.iter().flat_map(|line| line.split([' ', ','])).collect();
    for name in ci.lines().filter_map(|line| line.strip_prefix("step_")?.split('(').next()) {
        if !listed.contains(name) || !ci.contains(&format!("    [{name}]=\"")) {
            complaints.add(format!("step {name}: not in the head, or not described"));
        }
    }
    complaints.settle("Each script is called by a step of .ci/run, and each step is described.");
}
