//! Facts from the sources: the models, and the places that mutation changes.

use std::collections::BTreeMap;
use std::path::Path;

use crate::harness::root;

/// The documentation of the models, and of their files.
#[derive(Debug, Default)]
pub(crate) struct Docs {
    /// By name of the model, as tests have it: `mutex::two_threads`.
    pub models: BTreeMap<String, String>,
    /// By name of the module.
    pub files: BTreeMap<String, String>,
}

impl Docs {
    /// Reads the files of the models. A file that cannot be read has no documentation.
    pub(crate) fn read() -> Docs {
        let mut docs = Docs::default();
        docs.read_folder(&root().join("verify/tests/models"), "");
        docs
    }

    /// Reads the modules in a folder, whose names begin with `prefix`.
    fn read_folder(&mut self, folder: &Path, prefix: &str) {
        let Ok(folder) = std::fs::read_dir(folder) else { return };
        for path in folder.flatten().map(|entry| entry.path()) {
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let name = format!("{prefix}{stem}");
            if path.is_dir() {
                self.read_folder(&path, &format!("{name}::"));
            } else if let Ok(text) = std::fs::read_to_string(&path) {
                self.add(&name, &text);
            }
        }
    }

    fn add(&mut self, stem: &str, text: &str) {
        let header: Vec<&str> = text
            .lines()
            .map_while(|line| line.strip_prefix("//!"))
            .map(str::trim)
            .take_while(|line| !line.is_empty())
            .collect();
        self.files.insert(stem.to_owned(), header.join(" "));

        // Modules that are open, each with its indentation.
        let mut modules: Vec<(usize, String)> = Vec::new();
        let mut doc: Vec<&str> = Vec::new();
        for line in text.lines() {
            let indentation = line.len() - line.trim_start().len();
            let line = line.trim();
            if let Some(text) = line.strip_prefix("///") {
                doc.push(text.trim());
            } else if let Some(rest) = line.strip_prefix("fn ") {
                let name: String =
                    rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if !doc.is_empty() {
                    let mut path = vec![stem];
                    path.extend(modules.iter().map(|(_, module)| module.as_str()));
                    path.push(&name);
                    self.models.insert(path.join("::"), doc.join(" "));
                }
                doc.clear();
            } else if let Some(module) =
                line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {"))
            {
                modules.push((indentation, module.to_owned()));
                doc.clear();
            } else if line == "}" && modules.last().is_some_and(|(at, _)| *at == indentation) {
                modules.pop();
            } else if !line.starts_with("#[") {
                doc.clear();
            }
        }
    }
}

/// A place of the sources, named by its text, which outlives changes elsewhere in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: String,
    /// The line, without the white space around it.
    pub code: String,
    /// The number of the line among equal ones of the file, from 1.
    pub number: usize,
}

impl Place {
    /// The place that `file:line:column` names.
    pub(crate) fn at(text: &str) -> Option<Place> {
        let mut parts = text.rsplitn(3, ':');
        let _column = parts.next()?;
        let line: usize = parts.next()?.parse().ok()?;
        let file = parts.next()?.to_owned();
        let source = std::fs::read_to_string(root().join(Path::new(&file))).ok()?;
        let lines: Vec<&str> = source.lines().map(str::trim).collect();
        let code = *lines.get(line.checked_sub(1)?)?;
        let number = lines[..line].iter().filter(|other| **other == code).count();
        Some(Place { file, code: code.to_owned(), number })
    }
}

#[cfg(test)]
mod tests {
    use super::Docs;

    #[test]
    fn documentation_is_found_in_files_and_in_folders() {
        let docs = Docs::read();
        for model in ["ipc_queue::two_receivers", "ipc_queue::moments::full_is_true_of_one_moment"]
        {
            assert!(docs.models.contains_key(model), "{model}");
        }
        assert!(docs.files.contains_key("mutex") && docs.files.contains_key("ipc_queue::waits"));
    }
}
