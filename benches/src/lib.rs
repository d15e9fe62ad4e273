//! Benchmarks of the workspace against std and every peer, and the programs built on it.
//!
//! * `cargo compare` ([`compare`], [`workloads`]): ours beside every peer, in short alternating
//!   rounds in one process;
//! * `cargo dashboard` ([`dashboard`]): a record of everything that is measured, and a page of it;
//! * `lines` ([`lines`]): cache-line transfers and locked instructions, counted for machines with
//!   more processors than this one;
//! * `cargo bench -p sync-benches`: the same workloads as Criterion targets, one a primitive;
//! * `cargo tour`: the main job of the workspace, the words of every file under a path.
//!
//! How to add a workload: `README.md` of this folder.

#[cfg(feature = "peers")]
pub mod compare;
#[cfg(feature = "peers")]
pub mod dashboard;
pub mod lines;
#[cfg(feature = "peers")]
pub mod machine;
pub mod tour;
pub mod usage;
#[cfg(feature = "peers")]
pub mod workloads;
