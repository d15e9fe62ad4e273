//! Segments by name.
//!
//! A name is a small file in `/dev/shm` that says who holds the segment: pairs of pid and
//! descriptor number. The memory itself is a sealed memfd, as for anonymous segments, and is opened
//! through `/proc/<pid>/fd/<n>` of any holder that lives. Why not the memory itself in `/dev/shm`:
//! a file there cannot be sealed, so anybody who may open it may shorten it, and the next access of
//! everybody else is a SIGBUS. And it stays behind after a `kill -9`. Here:
//!
//! * The memory lives as long as a process holds it: like memory, unlike a file. Nothing but this
//!   small file survives the last holder, and the next who creates or opens the name clears it
//!   away.
//! * **Two phases.** The segment is complete before its name exists: the file is written without a
//!   name (`O_TMPFILE`), locked, and linked in one step, which fails if the name is there. Nobody
//!   ever meets a half-initialised one, and being killed anywhere leaves nothing to wait for.
//!
//! The file is 0600, must belong to us, and is opened with `O_NOFOLLOW`. What is in it is believed
//! only as far as the memfd that it leads to bears the same random number. Changes are made under
//! an open-file-description lock, for which nobody waits longer than [`PATIENCE`].
//!
//! Limit: holder and opener must see each other in `/proc`: same PID namespace, same user.
//! Otherwise pass the descriptor over a socket.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, open, stat, unlink};
use rustix::io::{Errno, pread, pwrite};
use rustix::process::{getpid, getuid};

use super::header::Nonce;
use crate::error::{Error, Result};
use crate::procfs;
use crate::membership::{lock_byte, unlock_byte};

/// How long anybody waits for the lock of a name.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

const DIRECTORY: &str = "/dev/shm";
const MAGIC: u64 = u64::from_be_bytes(*b"syncIPCn");
/// magic u64, nonce 2 x u64.
const HEADER: usize = 24;
const RECORD: usize = 8;
const RECORDS: usize = 512;

/// Our entry in a name's file; leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Registration {
    path: PathBuf,
    file: OwnedFd,
    nonce: Nonce,
    record: Option<usize>,
    /// Who registered: a fork of it has no entry of its own to leave.
    pid: u32,
}

fn path_of(name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.len() > 200 || name.contains(['/', '\0']) {
        return Err(Error::BadName);
    }
    Ok(PathBuf::from(format!("{DIRECTORY}/sync-ipc.{}.{name}", getuid().as_raw())))
}

/// Publishes `memfd` under a name.
pub(crate) fn publish(name: &str, memfd: &OwnedFd, nonce: Nonce) -> Result<Registration> {
    let path = path_of(name)?;
    let file = open(DIRECTORY, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?;
    let pid = getpid().as_raw_nonzero().get().unsigned_abs();
    let mut content = Vec::with_capacity(HEADER + RECORD * RECORDS);
    for word in [MAGIC, nonce[0], nonce[1], entry(pid, memfd)] {
        content.extend_from_slice(&word.to_ne_bytes());
    }
    content.resize(HEADER + RECORD * RECORDS, 0);
    if pwrite(&file, &content, 0)? != content.len() {
        return Err(io::Error::from(io::ErrorKind::StorageFull).into());
    }
    // Some turns and not for ever: a stale name that comes back as often as we clear it has
    // somebody who keeps making it.
    for _ in 0..16 {
        let unnamed = procfs::Path::new().text("/proc/self/fd/").number(file.as_raw_fd().unsigned_abs().into());
        match linkat(CWD, unnamed.as_c_str(), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => return Ok(Registration { path, file, nonce, record: Some(0), pid }),
            Err(Errno::EXIST) => clear_if_stale(&path)?,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::AlreadyExists)
}

/// Leads to the memory behind a name.
pub(crate) fn find(name: &str) -> Result<(OwnedFd, Nonce, Registration)> {
    let path = path_of(name)?;
    let pid = getpid().as_raw_nonzero().get().unsigned_abs();
    for _ in 0..16 {
        let (file, nonce) = open_file(&path)?;
        if let Some(memfd) = any_holder(&file) {
            return Ok((memfd, nonce, Registration { path, file, nonce, record: None, pid }));
        }
        match clear_if_stale(&path) {
            // Somebody registered, or published the name anew, while we looked.
            Err(Error::AlreadyExists) => {}
            other => other?,
        }
    }
    Err(Error::NotFound)
}

/// Removes a name. Those who hold the segment keep it.
pub(crate) fn remove(name: &str) -> Result<()> {
    match unlink(path_of(name)?) {
        Err(Errno::NOENT) => Err(Error::NotFound),
        other => Ok(other?),
    }
}

impl Registration {
    /// Adds ourselves to the holders: from now on, the segment can be opened through us.
    pub(crate) fn register(&mut self, memfd: &OwnedFd) -> Result<()> {
        with_lock(&self.file, || {
            for at in 0..RECORDS {
                if word(&self.file, HEADER + at * RECORD).is_none_or(|entry| holder(entry, self.nonce).is_none()) {
                    pwrite(&self.file, &entry(self.pid, memfd).to_ne_bytes(), (HEADER + at * RECORD) as u64)?;
                    self.record = Some(at);
                    break;
                }
            }
            // All taken: then hundreds of others can be asked.
            Ok(())
        })
    }

    /// Removes the name, if it still is this segment's.
    pub(crate) fn unlink(&self) -> Result<()> {
        if !same_file(&self.path, &self.file) {
            return Err(Error::NotFound);
        }
        Ok(unlink(&self.path)?)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.pid != getpid().as_raw_nonzero().get().unsigned_abs() {
            return;
        }
        // Whatever fails here costs one small file, which the next opener clears away.
        let _ = with_lock(&self.file, || {
            if let Some(at) = self.record {
                pwrite(&self.file, &[0; RECORD], (HEADER + at * RECORD) as u64)?;
            }
            if any_holder(&self.file).is_none() && same_file(&self.path, &self.file) {
                unlink(&self.path)?;
            }
            Ok(())
        });
    }
}

fn entry(pid: u32, memfd: &OwnedFd) -> u64 {
    u64::from(pid) << 32 | u64::from(memfd.as_raw_fd().unsigned_abs())
}

fn word(file: &OwnedFd, at: usize) -> Option<u64> {
    let mut bytes = [0; 8];
    (pread(file, &mut bytes, at as u64).ok()? == 8).then(|| u64::from_ne_bytes(bytes))
}

fn open_file(path: &PathBuf) -> Result<(OwnedFd, Nonce)> {
    let file = match open(path, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()) {
        Err(Errno::NOENT) => return Err(Error::NotFound),
        Err(Errno::LOOP) => return Err(Error::NotASegment("the name is a symbolic link")),
        other => other?,
    };
    let about = fstat(&file)?;
    if about.st_uid != getuid().as_raw() {
        return Err(Error::NotASegment("the name belongs to another user"));
    }
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile || about.st_mode & 0o077 != 0 {
        return Err(Error::NotASegment("the name is not a private regular file"));
    }
    let words = [0, 8, 16].map(|at| word(&file, at));
    match words {
        [Some(MAGIC), Some(high), Some(low)] => Ok((file, [high, low])),
        _ => Err(Error::NotASegment("the name's file is not one of ours")),
    }
}

fn any_holder(file: &OwnedFd) -> Option<OwnedFd> {
    let nonce = [word(file, 8)?, word(file, 16)?];
    (0..RECORDS).filter_map(|at| word(file, HEADER + at * RECORD)).find_map(|entry| holder(entry, nonce))
}

/// The memory that an entry leads to, if it leads to the right one.
fn holder(entry: u64, nonce: Nonce) -> Option<OwnedFd> {
    let (pid, fd) = (entry >> 32, entry & u64::from(u32::MAX));
    if pid == 0 {
        return None;
    }
    let path = format!("/proc/{pid}/fd/{fd}");
    // Looked at before it is opened: opening a stranger's device could have effects.
    let target = fs::read_link(&path).ok()?;
    if !target.as_os_str().as_encoded_bytes().starts_with(b"/memfd:sync-ipc") {
        return None;
    }
    let memfd = open(path, OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()).ok()?;
    (super::header::nonce_of(&memfd) == Some(nonce)).then_some(memfd)
}

/// Removes a name none of whose holders lives.
fn clear_if_stale(path: &PathBuf) -> Result<()> {
    let file = match open_file(path) {
        Err(Error::NotFound) => return Ok(()),
        other => other?.0,
    };
    with_lock(&file, || {
        if any_holder(&file).is_some() {
            return Err(Error::AlreadyExists);
        }
        if same_file(path, &file) {
            unlink(path)?;
        }
        Ok(())
    })
}

fn same_file(path: &PathBuf, file: &OwnedFd) -> bool {
    matches!((stat(path), fstat(file)), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}

fn with_lock<T>(file: &OwnedFd, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    while !lock_byte(file.as_fd(), 0)? {
        if started.elapsed() > PATIENCE {
            return Err(Error::Busy);
        }
        thread::sleep(Duration::from_millis(1));
    }
    let done = act();
    unlock_byte(file.as_fd(), 0);
    done
}
