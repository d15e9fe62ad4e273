//! The tables of BENCHMARKS.md: the latest kept record of each machine, as Markdown.

use std::io;
use std::path::Path;

use super::cells::{Cell, cells};
use super::reasons::reason;
use super::record::{self, Record};
use crate::compare::report::figure;
use crate::compare::stats::Verdict;

/// The line in BENCHMARKS.md after which the tables begin. They reach to the end of the file.
pub const MARK: &str = "<!-- The rest is written by `cargo dashboard --document`. -->\n";

/// The latest kept record of each machine, by the machine's name.
///
/// # Errors
///
/// If a record cannot be read.
pub fn latest(folder: &Path) -> io::Result<Vec<Record>> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            keys.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    keys.sort();
    let mut records = Vec::new();
    for key in keys {
        records.extend(record::history(folder, &key)?.pop());
    }
    Ok(records)
}

/// The document with new tables: everything after [`MARK`] is replaced.
///
/// # Errors
///
/// If the document has no mark.
pub fn update(document: &str, records: &[Record]) -> io::Result<String> {
    let Some((kept, _)) = document.split_once(MARK) else {
        let message = format!("the document has no line {}", MARK.trim_end());
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    };
    let tables: String = records.iter().map(tables).collect();
    Ok(format!("{kept}{MARK}{tables}"))
}

/// One record: the machine, the sums, the losses with their reasons, and all cells.
fn tables(record: &Record) -> String {
    let cells = cells(record);
    let mut text = format!("\n## {}, {}\n\n", record.machine, record.date);
    let commit = record.commit.as_deref().unwrap_or("no commit");
    text += &format!("{}, commit {commit}. ", record.rustc);
    let peers: Vec<_> =
        record.peers.iter().map(|(name, version)| format!("{name} {version}")).collect();
    text += &format!("Peers: {}.\n\n", peers.join(", "));
    let count = |verdict| cells.iter().filter(|cell| cell.verdict() == verdict).count();
    text += &format!(
        "Against the best peer of each cell: **{} ahead, {} level, {} behind.**\n\n",
        count(Verdict::Win),
        count(Verdict::Tie),
        count(Verdict::Loss),
    );
    text += "### Where we lose\n\n| cell | ours / best peer | | why |\n|---|---|---|---|\n";
    let mut losses: Vec<_> = cells.iter().filter(|cell| cell.verdict() == Verdict::Loss).collect();
    losses.sort_by(|a, b| b.ratio(b.best()).median.total_cmp(&a.ratio(a.best()).median));
    for cell in losses {
        let why = reason(&cell.name()).unwrap_or("not known yet");
        text +=
            &format!("| `{}` | {} | {} | {why} |\n", cell.name(), ratio(cell), cell.best().peer);
    }
    text += "\n### All cells\n\n| cell | unit | ours | std | best peer | ours / best peer | |\n\
             |---|---|---|---|---|---|---|\n";
    for cell in &cells {
        let std = cell.std().map_or_else(|| "–".to_owned(), |row| figure(row.median));
        let word = match cell.verdict() {
            Verdict::Win => "ahead",
            Verdict::Tie => "level",
            Verdict::Loss => "behind",
        };
        let best = cell.best();
        text += &format!(
            "| `{}` | {} | {} | {std} | {} {} | {} | {word} |\n",
            cell.name(),
            cell.unit,
            figure(cell.ours.median),
            best.peer,
            figure(best.median),
            ratio(cell),
        );
    }
    text
}

fn ratio(cell: &Cell<'_>) -> String {
    let ratio = cell.ratio(cell.best());
    format!("{:.2} [{:.2}, {:.2}]", ratio.median, ratio.low, ratio.high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_latest_record_of_each_machine() {
        let document = include_str!("../../../BENCHMARKS.md");
        let records = latest(&record::folder()).unwrap();
        assert!(!records.is_empty(), "no record is kept");
        let now = update(document, &records).unwrap();
        assert!(now == document, "run `cargo dashboard --document`");
    }

    #[test]
    fn a_document_without_the_mark_is_an_error() {
        assert!(update("# Benchmarks\n", &[]).is_err());
        let kept = format!("a\n{MARK}old\n");
        assert_eq!(update(&kept, &[]).unwrap(), format!("a\n{MARK}"));
    }
}
