//! The list of the primitives, `checks/primitives.tsv`, and the places of their suites.

use std::path::{Path, PathBuf};

use crate::{read, root};

/// The path of the list.
pub const LIST: &str = "checks/primitives.tsv";

/// The suites of a primitive: the name of the column, and the path, where `{crate}` and `{stem}`
/// stand for the primitive's.
pub const SUITES: [(&str, &str); 5] = [
    ("behaviour", "{crate}/tests/behaviour/{stem}.rs"),
    ("property", "{crate}/tests/property/{stem}.rs"),
    ("stress", "{crate}/tests/stress/{stem}.rs"),
    ("model", "verify/tests/models/{stem}.rs"),
    ("bench", "benches/src/workloads/{stem}.rs"),
];

/// A row of the list.
#[derive(Debug)]
pub struct Primitive {
    /// The name that its files have.
    pub stem: String,
    /// The package that it is part of.
    pub package: String,
    /// The modules below `src/` that export it, as `folder/file`.
    pub sources: Vec<String>,
    /// For each of [`SUITES`]: the stem of the file that holds the suite, or `None`.
    pub suites: [Option<String>; 5],
    /// Why a suite is missing, or lies under another stem.
    pub reason: String,
}

impl Primitive {
    /// The path of a suite below the root, if the primitive has it.
    pub fn suite(&self, index: usize) -> Option<PathBuf> {
        let stem = self.suites[index].as_ref()?;
        Some(place(SUITES[index].1, &self.package, stem).into())
    }

    /// The row as a line of the list, without the end of the line.
    pub fn row(&self) -> String {
        let mut fields = vec![self.stem.clone(), self.package.clone(), self.sources.join(",")];
        fields.extend(self.suites.iter().map(|suite| match suite {
            None => String::from("-"),
            Some(stem) if *stem == self.stem => String::from("*"),
            Some(stem) => stem.clone(),
        }));
        fields.push(self.reason.clone());
        fields.join("\t").trim_end().to_owned()
    }
}

/// A path of [`SUITES`], filled in.
pub fn place(pattern: &str, package: &str, stem: &str) -> String {
    pattern.replace("{crate}", package).replace("{stem}", stem)
}

/// The file of a module of a package: `folder/file.rs` or `folder/file/mod.rs` below its `src/`.
pub fn source(package: &str, module: &str) -> Option<PathBuf> {
    let below = Path::new(package).join("src");
    [format!("{module}.rs"), format!("{module}/mod.rs")]
        .map(|file| below.join(file))
        .into_iter()
        .find(|path| root().join(path).is_file())
}

/// The primitives, and the exported modules that are none: package, module, reason.
///
/// # Panics
///
/// If a line has not the fields that the head of the list explains.
pub fn list() -> (Vec<Primitive>, Vec<[String; 3]>) {
    let (mut primitives, mut others) = (Vec::new(), Vec::new());
    for line in read(LIST).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        if fields[0] == "!" {
            let [_, package, module, reason] = fields[..] else { panic!("four fields: {line}") };
            others.push([package, module, reason].map(str::to_owned));
            continue;
        }
        assert!((8..=9).contains(&fields.len()), "eight or nine fields: {line}");
        let suites = core::array::from_fn(|at| match fields[3 + at] {
            "-" => None,
            "*" => Some(fields[0].to_owned()),
            stem => Some(stem.to_owned()),
        });
        primitives.push(Primitive {
            stem: fields[0].into(),
            package: fields[1].into(),
            sources: fields[2].split(',').map(str::to_owned).collect(),
            suites,
            reason: fields.get(8).copied().unwrap_or_default().into(),
        });
    }
    (primitives, others)
}
