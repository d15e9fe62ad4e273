//! sync-verify under loom's name and version. With
//!
//! ```toml
//! [patch.crates-io]
//! loom = { git = "<this repository>" }
//! ```
//!
//! in the workspace's `Cargo.toml` every crate below it that depends on loom 0.7 is checked by
//! sync-verify, unchanged, also the dependencies of dependencies (`path = "…/verify/loom"` serves
//! as well).

pub use verify::*;
