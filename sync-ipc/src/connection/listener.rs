//! A place in the file system where other processes connect.

use core::time::Duration;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags};
use sync_core::fork::ProcessMark;

use super::Connection;
use super::poll::{after, poll_until};
use crate::error::OrIo;

/// A place in the file system where other processes [connect](Connection::connect).
///
/// Each process that may write to the path may connect: put it into a directory of mode 0700. The
/// path is removed when the listener is dropped, by the process that bound it: a forked child may
/// accept, but its copy of the listener leaves the path alone.
#[derive(Debug)]
pub struct Listener {
    /// Non-blocking: of several threads or processes that see a connection, one gets it, and the
    /// others go on waiting until their deadlines.
    listener: UnixListener,
    path: PathBuf,
    process: ProcessMark,
    /// Device and inode of the path when it was bound.
    file: Option<(u64, u64)>,
}

impl Listener {
    /// Listens at a path that must not exist.
    ///
    /// # Errors
    ///
    /// The errors of `bind`; `AddrInUse` if the path exists.
    pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let process = ProcessMark::current();
        let listener = UnixListener::bind(&path)?;
        let this = Self { file: file_at(&path), listener, path, process };
        this.listener.set_nonblocking(true)?;
        Ok(this)
    }

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept(&self) -> io::Result<Connection> {
        loop {
            if let Some(connection) = self.accept_until(None)? {
                return Ok(connection);
            }
        }
    }

    /// As [`accept`](Self::accept), waiting at most `timeout`; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_timeout(&self, timeout: Duration) -> io::Result<Option<Connection>> {
        self.accept_until(after(timeout))
    }

    /// As [`accept`](Self::accept), waiting until `deadline`; `None` when the time is up.
    ///
    /// # Errors
    ///
    /// The errors of `accept`.
    pub fn accept_deadline(&self, deadline: Instant) -> io::Result<Option<Connection>> {
        self.accept_until(Some(deadline))
    }

    pub(crate) fn accept_until(&self, deadline: Option<Instant>) -> io::Result<Option<Connection>> {
        loop {
            match self.listener.accept() {
                Ok((socket, _)) => return Ok(Some(Connection::over(socket.into(), true, true))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
            if !poll_until(&mut fds, deadline).or_io()? {
                return Ok(None);
            }
        }
    }
}

fn file_at(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|about| (about.dev(), about.ino()))
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // Not the path of another listener that was bound there since.
        if self.process.is_current() && self.file.is_some() && self.file == file_at(&self.path) {
            // Gone already is as good.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
