//! `cargo dashboard`: one measured record of everything, and a page that shows it.
//!
//! * [`record`]: the canonical record of a run, `record.json`, and the dated records of earlier
//!   runs;
//! * [`project`]: the record in the formats of github-action-benchmark and Bencher;
//! * [`cells`]: the record by cell (one workload under one metric), with the verdict on each;
//! * `chart`: the charts, as SVG;
//! * [`reasons`]: the known causes of cells in which ours is behind;
//! * [`page`]: the page, one file without scripts or requests;
//! * [`tables`]: the kept records as the tables of BENCHMARKS.md.

pub mod cells;
mod chart;
pub mod page;
pub mod project;
pub mod reasons;
pub mod record;
pub mod tables;
