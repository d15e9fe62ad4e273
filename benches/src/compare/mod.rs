//! Comparing ours with every peer, in short alternating rounds in one process.
//!
//! * [`subject`]: what can be measured: a [`Subject`] does some operations, checks that nothing was
//!   lost or doubled, and says what it saw;
//! * [`shapes`]: the usual ones, ready made: a loop in one thread, a team of threads over one
//!   shared object, a team that runs for a time;
//! * [`work`]: calibrated busy work, for "hold the lock for 1 us";
//! * [`select`]: which of all workloads a FILTER names;
//! * [`runner`]: calibration, self-check, rounds whose order rotates, a watchdog;
//! * [`stats`]: medians, and intervals from paired rounds;
//! * [`report`]: the table and the JSON lines.

pub mod report;
pub mod runner;
pub mod select;
pub mod shapes;
pub mod stats;
pub mod subject;
pub mod work;

pub use self::subject::{Contestant, Length, Metric, NS_PER_OP, Outcome, Subject, Workload};
