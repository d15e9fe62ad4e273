//! The program that this process runs, which its children run too.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The link to this program.
const LINK: &str = "/proc/self/exe";

/// The path of this program, as the parent of this process knew it. Never waited for.
static PROGRAM: OnceLock<PathBuf> = OnceLock::new();

/// Notes the path that the parent knew.
pub(super) fn remember(path: PathBuf) {
    // Once, at the begin of a child.
    let _ = PROGRAM.set(path);
}

/// This program. Without `/proc`, the path that the parent knew, or that this process was executed
/// by.
pub(super) fn executable() -> io::Result<PathBuf> {
    let link = Path::new(LINK);
    if link.symlink_metadata().is_ok() { Ok(link.to_owned()) } else { path() }
}

/// The path of this program, which another one may have by now.
pub(super) fn path() -> io::Result<PathBuf> {
    if let Ok(path) = std::fs::read_link(LINK) {
        return Ok(path);
    }
    if let Some(path) = PROGRAM.get() {
        return Ok(path.clone());
    }
    std::fs::canonicalize(OsStr::from_bytes(rustix::param::linux_execfn().to_bytes()))
}
