//! Helpers of the checks in `tests/`: the files of the workspace, and a list of complaints.
//!
//! A check reads the sources as text or as a syntax tree. It collects every complaint before it
//! fails, so that one run shows all that has to be mended.

pub mod primitives;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the root").into()
}

/// The files of the workspace whose names end in `extension`, relative to the root, sorted.
///
/// Build output and hidden folders other than `.ci` and `.cargo` are left out.
pub fn files(extension: &str) -> Vec<PathBuf> {
    files_that(&|path| path.extension().is_some_and(|found| found == extension))
}

/// The files that can be executed, relative to the root, sorted.
pub fn scripts() -> Vec<PathBuf> {
    use std::os::unix::fs::PermissionsExt;

    files_that(&|path| path.metadata().is_ok_and(|file| file.permissions().mode() & 0o100 != 0))
}

fn files_that(wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&root(), wanted, &mut found);
    let mut found: Vec<_> = found
        .iter()
        .map(|path| path.strip_prefix(root()).expect("below the root").into())
        .collect();
    found.sort();
    found
}

fn collect(folder: &Path, wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if !hidden && name != "target" {
                collect(&path, wanted, found);
            }
        } else if wanted(&path) {
            found.push(path);
        }
    }
}

/// Reads a file below the root.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The members of the workspace, as `cargo metadata` reports them.
pub fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

/// The complaints of a check.
#[derive(Debug, Default)]
pub struct Complaints(Vec<String>);

impl Complaints {
    /// Adds a complaint.
    pub fn add(&mut self, complaint: impl Into<String>) {
        self.0.push(complaint.into());
    }

    /// Fails the test with all complaints, if there are any.
    ///
    /// # Panics
    ///
    /// If a complaint was added.
    pub fn settle(self, rule: &str) {
        assert!(self.0.is_empty(), "{rule}\n{} places:\n  {}", self.0.len(), self.0.join("\n  "));
    }
}
