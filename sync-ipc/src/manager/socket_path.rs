//! The paths of managers' sockets: which server listens at a path, and when a socket there is
//! removed.
//!
//! A socket at a path of the user's choice is bound, judged and removed under the lock of that
//! path: the first byte of the file of the same name with `.lock` at its end, which the kernel
//! unlocks at the death of its holder.
//!
//! 1. Only a process that holds the lock of a path binds a socket there. It listens before it
//!    releases the lock, or dies. So a socket that refuses a connection, seen under the lock, is of
//!    a server that is dead or has ended.
//! 2. A socket is removed under the lock only, and only if it refuses, or by the server that
//!    listens there.
//! 3. The lock's file is removed by its holder only. A process that locked a file that is not at
//!    the path any more locks again the one that is.
//!
//! A socket in a folder that was made for it has no lock: its server binds it under another name
//! and renames it when it listens, and no other server binds there.

use core::time::Duration;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sync_core::fork::ProcessMark;

use crate::connection;
use crate::membership::byte_lock;
use crate::process::Bytes;
use crate::random::random;

/// The beginning of the names of the folders that managers make.
const FOLDER: &str = "sync-ipc-manager-";

/// The longest path of a Unix socket.
const LONGEST: usize = 100;

/// The longest wait for the lock of a path: its holders need it for some system calls, unless they
/// are stopped.
const LOCKED_FOR: Duration = Duration::from_secs(5);

/// Listens at a path of the user's choice. Replaces the socket of a dead server.
///
/// # Errors
///
/// `AddrInUse`, if a server lives there, if there is another thing, or if a process that starts or
/// ends a server there does not come to its end. The system's errors.
pub(super) fn listen_at(path: &Path) -> io::Result<(UnixListener, OwnPath)> {
    let lock = PathLock::new(path)?;
    let listener = match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !is_dead(path) {
                return Err(in_use(path, "a server serves there, or it is no socket of this user"));
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)?
        }
        bound => bound?,
    };
    let own = OwnPath::new(path.to_owned(), false);
    drop(lock);
    Ok((listener, own))
}

/// Listens at a path in a new folder.
pub(super) fn listen_in_a_new_folder() -> io::Result<(PathBuf, UnixListener, OwnPath)> {
    let folder = new_folder()?;
    let (path, new) = (folder.join("socket"), folder.join("new"));
    let own = OwnPath::new(path.clone(), true);
    let listener = UnixListener::bind(&new)?;
    // Under its final name it listens already: a socket there that refuses is dead.
    std::fs::rename(&new, &path)?;
    Ok((path, listener, own))
}

fn in_use(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::AddrInUse, format!("{} is in use: {why}", path.display()))
}

/// The lock of a path, held.
struct PathLock {
    file: File,
    path: PathBuf,
}

impl PathLock {
    fn new(of: &Path) -> io::Result<Self> {
        let mut path = of.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let started = Instant::now();
        loop {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
            let file = options.open(&path)?;
            let about = file.metadata()?;
            if about.uid() != rustix::process::geteuid().as_raw() {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            if byte_lock::lock(file.as_fd(), 0)? {
                // An open file keeps its number: the same number is the same file.
                if file_at(&path) == Some((about.dev(), about.ino())) {
                    return Ok(Self { file, path });
                }
                // Its holder has removed it meanwhile.
            } else if started.elapsed() > LOCKED_FOR {
                return Err(in_use(of, "another process starts or ends a server there"));
            } else {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

impl Drop for PathLock {
    fn drop(&mut self) {
        // Before it is unlocked (invariant 3). Unlocked by name: a forked child may have a copy of
        // the descriptor.
        let _ = std::fs::remove_file(&self.path);
        byte_lock::unlock(self.file.as_fd(), 0);
    }
}

/// Returns whether the path is a socket of this user, at which no process listens.
fn is_dead(path: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let is_own = std::fs::symlink_metadata(path)
        .is_ok_and(|about| about.file_type().is_socket() && about.uid() == own);
    is_own && connection::is_refused(path)
}

/// A new folder that only this user can enter. Removes those of managers that were killed together
/// with their parents.
fn new_folder() -> io::Result<PathBuf> {
    let temporary = std::env::temp_dir();
    let room = FOLDER.len() + 16 + "/socket".len() + 1;
    let base = if temporary.as_os_str().as_bytes().len() + room <= LONGEST {
        temporary
    } else {
        PathBuf::from("/tmp")
    };
    for entry in std::fs::read_dir(&base)?.flatten() {
        if entry.file_name().as_bytes().starts_with(FOLDER.as_bytes()) {
            let socket = entry.path().join("socket");
            if is_dead(&socket) {
                // Another process may do the same at the same time.
                let _ = std::fs::remove_file(&socket);
                let _ = std::fs::remove_dir(entry.path());
            }
        }
    }
    loop {
        let number = u64::from_ne_bytes(random()?);
        let folder = base.join(format!("{FOLDER}{number:016x}"));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
}

/// A socket's path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SocketPath {
    #[serde(serialize_with = "write_path", deserialize_with = "read_path")]
    path: PathBuf,
    /// Whether its folder was made for it.
    has_folder: bool,
    /// Device and inode of the socket.
    file: Option<(u64, u64)>,
}

/// A path need not be text.
fn write_path<S: Serializer>(path: &Path, serializer: S) -> core::result::Result<S::Ok, S::Error> {
    serializer.serialize_bytes(path.as_os_str().as_bytes())
}

fn read_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> core::result::Result<PathBuf, D::Error> {
    Ok(OsString::from_vec(Bytes::deserialize(deserializer)?.0).into())
}

/// A path that is removed when it is dropped, by the process that made this value: by the server,
/// while it still listens there, and by its parent if the server was killed.
#[derive(Debug)]
pub(super) struct OwnPath {
    pub(super) socket: Option<SocketPath>,
    mark: ProcessMark,
}

/// Returns device and inode of the file at `path`.
fn file_at(path: &Path) -> Option<(u64, u64)> {
    std::fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

impl OwnPath {
    fn new(path: PathBuf, has_folder: bool) -> Self {
        SocketPath { file: file_at(&path), path, has_folder }.own()
    }

    /// Forgets a path that the server has removed: another one may have been started there since.
    pub(super) fn forget(mut self) {
        self.socket = None;
    }

    /// Removes the socket. Called by the server that listens there: a socket that is open keeps its
    /// number, so the same number is the same socket.
    pub(super) fn unpublish(mut self) {
        if let Some(socket) = self.socket.take() {
            socket.remove(|_| true);
        }
    }
}

impl SocketPath {
    pub(super) fn own(self) -> OwnPath {
        OwnPath { socket: Some(self), mark: ProcessMark::current() }
    }

    /// Removes the socket, unless there is another file now, and the folder that was made for it.
    fn remove(&self, is_ours: impl Fn(&Path) -> bool) {
        let Self { path, has_folder, file } = self;
        if !has_folder {
            // Without the lock the socket stays. It is dead, and the next server replaces it.
            if file_at(path).is_some() {
                if let Ok(_lock) = PathLock::new(path) {
                    if *file == file_at(path) && is_ours(path) {
                        let _ = std::fs::remove_file(path);
                    }
                }
            }
            return;
        }
        let _ = std::fs::remove_file(path);
        if let Some(folder) = path.parent() {
            let _ = std::fs::remove_file(folder.join("new"));
            let _ = std::fs::remove_dir(folder);
        }
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if self.mark.is_current() {
            if let Some(socket) = self.socket.take() {
                // Another server may live there since, and its socket may have the number that ours
                // had.
                socket.remove(is_dead);
            }
        }
    }
}
