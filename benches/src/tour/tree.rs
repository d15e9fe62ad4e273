//! Which files a tour visits.
//!
//! * Every regular file under the path, hidden ones too. Symbolic links are not followed, and no
//!   regular files; nor are pipes, sockets and devices, which are not even opened.
//! * The path itself may be a symbolic link: who names it wants what it points to. It may be a
//!   file: a tree of one.
//! * A folder that cannot be read is one unreadable entry.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Something to be walked.
#[derive(Clone, Debug)]
pub struct Tree {
    root: PathBuf,
    is_file: bool,
    skip_build: bool,
}

/// A file or folder that cannot be read, and why.
#[derive(Debug)]
pub struct Unreadable {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl Tree {
    /// The tree under a path.
    ///
    /// # Errors
    ///
    /// When there is nothing at the path, or something that is neither a folder nor a regular file.
    pub fn at(root: &Path) -> io::Result<Self> {
        let kind = fs::metadata(root)?.file_type();
        if !kind.is_dir() && !kind.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "neither a folder nor a regular file",
            ));
        }
        Ok(Self { root: root.to_owned(), is_file: kind.is_file(), skip_build: false })
    }

    /// The repository this program was built from, or the current folder if that is no longer
    /// there; without what cargo builds in it.
    ///
    /// # Errors
    ///
    /// When neither is there.
    pub fn repository() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .filter(|root| root.join("Cargo.toml").is_file());
        Ok(Self { skip_build: true, ..Self::at(root.unwrap_or(Path::new(".")))? })
    }

    /// Where it begins.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether a build directory is left out.
    pub fn skips_build(&self) -> bool {
        self.skip_build
    }

    /// Its regular files, in no particular order.
    pub fn files(&self) -> impl Iterator<Item = Result<PathBuf, Unreadable>> + use<'_> {
        // A root that is a link is followed by walkdir, too.
        let walk = WalkDir::new(&self.root).follow_links(false).into_iter();
        walk.filter_entry(|entry| {
            !(self.skip_build
                && entry.depth() == 1
                && entry.file_type().is_dir()
                && is_build(entry.path()))
        })
        .filter_map(|entry| match entry {
            Ok(entry) if entry.file_type().is_file() || (entry.depth() == 0 && self.is_file) => {
                Some(Ok(entry.into_path()))
            }
            Ok(_) => None,
            Err(error) => Some(Err(Unreadable {
                path: error.path().unwrap_or(&self.root).to_owned(),
                error: error.into_io_error().unwrap_or_else(|| io::Error::other("a loop of links")),
            })),
        })
    }

    /// Opens one of its files; refuses what has become something else since the walk saw it,
    /// without waiting for a pipe's other end.
    ///
    /// # Errors
    ///
    /// When it cannot be opened or is no regular file any more.
    pub fn open(&self, path: &Path) -> io::Result<File> {
        open(&self.root, path)
    }
}

/// As [`Tree::open`], of the tree under `root`.
///
/// # Errors
///
/// As [`Tree::open`].
pub fn open(root: &Path, path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        let no_link = if path == root { 0 } else { libc::O_NOFOLLOW };
        options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY | no_link);
    }
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "no longer a regular file"));
    }
    Ok(file)
}

/// Cargo marks its build directory as all caches are marked (<https://bford.info/cachedir/>).
fn is_build(folder: &Path) -> bool {
    folder.file_name() == Some(OsStr::new("target")) && folder.join("CACHEDIR.TAG").is_file()
}
