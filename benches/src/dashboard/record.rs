//! The canonical record of a run: the machine, the compiler, the peers' versions, and the rows.
//!
//! Everything that the dashboard shows or exports is computed from records alone, so a record of
//! another day or another machine can be drawn without measuring again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use crate::compare::runner;
use crate::machine::Machine;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Number of processors, processor, system, as one line.
    pub machine: String,
    /// The compiler.
    pub rustc: String,
    /// The commit, with `+` if the working tree was changed; `null` outside a repository.
    pub commit: Option<String>,
    /// The day of the run, UTC, `YYYY-MM-DD`.
    pub date: String,
    /// The peers' packages and their versions.
    pub peers: BTreeMap<String, String>,
    /// One row for each contestant of each workload under each metric.
    pub rows: Vec<Row>,
}

/// The rounds of one contestant under one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// `<primitive>/<workload>/<peer>/<threads>`.
    pub id: String,
    /// The primitive's stem.
    pub primitive: String,
    /// The workload, with the metric's suffix.
    pub workload: String,
    /// The peer, or `ours`.
    pub peer: String,
    /// The number of threads.
    pub threads: usize,
    /// The unit of the three numbers below.
    pub unit: String,
    /// The median of the rounds.
    pub median: f64,
    /// The lower end of the median's 95 % interval.
    pub low: f64,
    /// The upper end of the median's 95 % interval.
    pub high: f64,
    /// The number of rounds.
    pub samples: usize,
}

impl Record {
    /// A record without rows, of this machine and this day.
    pub fn here() -> Self {
        let machine = Machine::here();
        let (year, month, day) = machine.date;
        Self {
            machine: format!("{} x {}, {}", machine.cores, machine.processor, machine.system),
            rustc: machine.rustc.to_owned(),
            commit: machine.commit,
            date: format!("{year:04}-{month:02}-{day:02}"),
            peers: peers(),
            rows: Vec::new(),
        }
    }

    /// Adds the rows of a workload. A row with a number that is not finite is left out: JSON has no
    /// notation for it.
    pub fn add(&mut self, group: &runner::Group) {
        let rows = group.rows.iter().map(|row| Row {
            id: row.id.clone(),
            primitive: row.primitive.to_owned(),
            workload: row.workload.clone(),
            peer: row.peer.to_owned(),
            threads: row.threads,
            unit: row.unit.to_owned(),
            median: six_digits(row.estimate.median),
            low: six_digits(row.estimate.low),
            high: six_digits(row.estimate.high),
            samples: row.estimate.samples,
        });
        self.rows.extend(rows.filter(|row| row.high.is_finite()));
    }

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is no record.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|error| {
            io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()))
        })
    }

    /// The record as JSON, with one line a row.
    pub fn to_json(&self) -> String {
        let mut head = self.clone();
        head.rows.clear();
        let head = serde_json::to_string_pretty(&head).expect("a record is plain data");
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| serde_json::to_string(row).expect("a row is plain data"))
            .collect();
        if rows.is_empty() {
            return head + "\n";
        }
        let rows = format!("\"rows\": [\n    {}\n  ]", rows.join(",\n    "));
        head.replace("\"rows\": []", &rows) + "\n"
    }

    /// The number of processors, from the machine's line.
    pub fn cores(&self) -> usize {
        self.machine.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(1)
    }

    /// The name of the machine's folder in `benches/record/`: the processor and its number, in
    /// lower case, without the kernel's version, which changes on the same machine.
    pub fn machine_key(&self) -> String {
        let name = self.machine.split(',').next().unwrap_or_default().to_lowercase();
        let parts =
            name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        parts.collect::<Vec<_>>().join("-")
    }
}

/// Six significant digits: more would be noise.
fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(f64::NAN)
}

/// The folder of the dated records.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("record")
}

/// The dated records of a machine, oldest first.
///
/// # Errors
///
/// If a file cannot be read, or is no record.
pub fn history(folder: &Path, machine_key: &str) -> io::Result<Vec<Record>> {
    let mut paths = Vec::new();
    match fs::read_dir(folder.join(machine_key)) {
        Ok(entries) => {
            for entry in entries {
                let path = entry?.path();
                if path.extension().is_some_and(|extension| extension == "json") {
                    paths.push(path);
                }
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    paths.sort();
    let mut records =
        paths.iter().map(|path| Record::read(path)).collect::<io::Result<Vec<_>>>()?;
    records.sort_by(|a, b| a.date.cmp(&b.date));
    Ok(records)
}

/// The versions of this package's dependencies, from the workspace's lock file.
fn peers() -> BTreeMap<String, String> {
    const OURS: [&str; 9] = [
        "clap",
        "ctrlc",
        "foldhash",
        "hdrhistogram",
        "indicatif",
        "libc",
        "maud",
        "serde",
        "serde_json",
    ];
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(path).unwrap_or_default();
    let mut peers = versions(&lock, "sync-benches");
    peers.retain(|name, _| !name.starts_with("sync-") && !OURS.contains(&name.as_str()));
    for tool in ["criterion", "tempfile", "walkdir"] {
        peers.remove(tool);
    }
    peers
}

/// The versions of the packages that `package` depends on, from the text of a lock file.
fn versions(lock: &str, package: &str) -> BTreeMap<String, String> {
    let value = |block: &str, key: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")))?;
        Some(line.trim_matches('"').to_owned())
    };
    let blocks: Vec<_> = lock.split("[[package]]").collect();
    let Some(ours) = blocks.iter().find(|block| value(block, "name").as_deref() == Some(package))
    else {
        return BTreeMap::new();
    };
    let edges = ours.split("dependencies = [").nth(1).unwrap_or_default();
    let edges = edges.split(']').next().unwrap_or_default();
    let edges = edges.lines().map(|line| line.trim().trim_matches([',', '"']));
    edges
        .filter(|edge| !edge.is_empty())
        .filter_map(|edge| {
            // An edge has a version of its own only if several versions are in the file.
            let (name, version) = edge.split_once(' ').map_or((edge, None), |(n, v)| (n, Some(v)));
            let version = version.map(str::to_owned).or_else(|| {
                let block =
                    blocks.iter().find(|block| value(block, "name").as_deref() == Some(name))?;
                value(block, "version")
            })?;
            Some((name.to_owned(), version))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\n\n[[package]]\nname = \"b\"\n\
                    version = \"1.0.0\"\n\n[[package]]\nname = \"b\"\nversion = \"2.0.0\"\n\n\
                    [[package]]\nname = \"top\"\nversion = \"0.1.0\"\ndependencies = [\n \"a\",\n \
                    \"b 2.0.0\",\n]\n";
        let found: Vec<_> = versions(lock, "top").into_iter().collect();
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(found, [pair("a", "1.2.3"), pair("b", "2.0.0")]);
    }

    #[test]
    fn the_peers_of_this_workspace_are_found() {
        let peers = peers();
        assert!(peers.contains_key("parking_lot") && peers.contains_key("kanal"), "{peers:?}");
        assert!(!peers.contains_key("clap") && !peers.contains_key("sync-core"), "{peers:?}");
    }

    #[test]
    fn a_record_survives_its_json() {
        let mut record = Record::here();
        assert_eq!(serde_json::from_str::<Record>(&record.to_json()).unwrap(), record);
        record.rows = ["ours", "std"]
            .map(|peer| Row {
                id: format!("mutex/uncontended/{peer}/1"),
                primitive: "mutex".into(),
                workload: "uncontended".into(),
                peer: peer.into(),
                threads: 1,
                unit: "ns/op".into(),
                median: 4.5,
                low: 4.25,
                high: 4.75,
                samples: 61,
            })
            .into();
        let json = record.to_json();
        assert_eq!(serde_json::from_str::<Record>(&json).unwrap(), record);
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["commit", "date", "machine", "peers", "rows", "rustc"]);
    }

    #[test]
    fn the_key_of_a_machine_has_no_kernel_version() {
        let machine = "2 x AMD EPYC, linux 6.18.0 x86_64".to_owned();
        let record = Record { machine, ..Record::here() };
        assert_eq!((record.machine_key().as_str(), record.cores()), ("2-x-amd-epyc", 2));
    }
}
