//! Segments by name.
//!
//! A name is a small file in `/dev/shm` that lists the holders of the segment. The memory itself is
//! a sealed memfd, as for anonymous segments, and is opened through `/proc/<pid>/fd/<n>` of any
//! holder that lives. Memory in `/dev/shm` itself would not do: a file there cannot be sealed, so
//! each process that may open it may shorten it, and the next access of all others is a SIGBUS. And
//! it stays behind after a `kill -9`. Here:
//!
//! * The memory lives as long as a process holds it: like memory, unlike a file. Nothing but this
//!   small file survives the last holder. The next process that creates or opens the name removes
//!   it, and so does the next one that creates any other name ([`sweep`]).
//! * **Two phases.** The segment is complete before its name exists: the file is written without a
//!   name (`O_TMPFILE`), locked, and linked in one step, which fails if the name is there. No
//!   process ever finds a half-initialised one, and a kill at any point leaves nothing to wait for.
//!
//! **The file**
//!
//! | offset | what |
//! |---|---|
//! | 0 | magic u64 |
//! | 8 | random number of the segment, 2 x u64 |
//! | 24 | [`REMOVED`] u64 once the name was removed on request |
//! | 64 | records of pid u32, descriptor u32, process number u64, PID namespace u64, reserved u64 |
//!
//! It is 0600, must belong to us, and is opened with `O_NOFOLLOW`. Its contents are believed only
//! as far as the memfd that they lead to bears the same random number.
//!
//! **Invariants**
//!
//! 1. The file's first byte is the lock of its contents: records and the name itself change under
//!    it, through an open file description of the changing process's own. It is held for
//!    microseconds; no process waits for it longer than [`INTERNAL_LOCK_TIMEOUT`].
//! 2. A holder locks the first byte of its record before the file has the record, for as long as
//!    the record is its own, through an open file description of its own. So a record whose byte is
//!    free is a dead holder's. A locked byte may be kept by a forked child that has never used the
//!    segment: then the process in the record is judged ([`Process::life`]).
//! 3. A name is removed only under the lock, only if each of its holders is *dead* (not: unknown)
//!    or the caller asked for it, and only if the locked file is the one at the path.
//! 4. A process becomes a holder only under the lock, and only if the locked file is the one at the
//!    path. With 3: as long as a holder lives, its name leads to its segment, unless the name was
//!    removed on request.
//!
//! **`fork` without `exec`.** A forked child is no holder. At its first use of the segment it
//! becomes one, with a record of its own ([`Registration::rejoin`]). If its parent was the last
//! holder and has ended by then, the name is gone: the child publishes it again, unless it was
//! removed on request or is another segment's by now.
//!
//! Limit: an opener must reach a holder through `/proc`: the same PID namespace, the same user, a
//! holder that is dumpable. Otherwise the name is there and cannot be opened
//! ([`Error::Unreachable`]); pass the descriptor over a socket.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, fstat, linkat, open, stat, unlink};
use rustix::io::{Errno, pread, pwrite};
use rustix::process::getuid;
use sync_core::primitive::atomic::AtomicU32;

use super::header::Nonce;
use crate::error::{Error, OrIo, Result};
use crate::membership::process::{Life, Process};
use crate::membership::{byte_lock, take_place};
use crate::memory::files;
use crate::procfs;

/// The longest wait of a process for the lock of a name.
const INTERNAL_LOCK_TIMEOUT: Duration = Duration::from_secs(1);

/// The number of times that an operation begins again because the name got another holder
/// meanwhile.
const ATTEMPTS: usize = 16;

const DIRECTORY: &str = "/dev/shm";
const MAGIC: u64 = u64::from_be_bytes(*b"syncIPC\x02");
const LOCK: u64 = 0;
const STATE: usize = 24;
const REMOVED: u64 = 1;
const RECORDS: usize = 64;
const RECORD: usize = 32;
/// As many as a segment has participants.
const MAX_RECORDS: usize = crate::membership::SLOTS;
const FILE: usize = RECORDS + MAX_RECORDS * RECORD;

/// Our record in a name's file.
#[derive(Debug)]
pub(crate) struct Registration {
    path: PathBuf,
    /// The name's file, by the description that locks our record's byte.
    file: OwnedFd,
    nonce: Nonce,
}

/// A holder, as its record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holder {
    /// The record's number.
    at: usize,
    process: Process,
    descriptor: u32,
}

fn prefix() -> String {
    format!("sync-ipc.{}.", getuid().as_raw())
}

fn path_of(name: &str) -> Result<PathBuf> {
    if name.is_empty() || name.len() > 200 || name.contains(['/', '\0']) {
        return Err(Error::BadName);
    }
    Ok(PathBuf::from(format!("{DIRECTORY}/{}{name}", prefix())))
}

/// An error unless it can be a name.
pub(super) fn check(name: &str) -> Result<()> {
    path_of(name).map(drop)
}

/// Publishes `memfd` under a name. `record` gets the number, plus 1, of our record.
pub(super) fn publish(
    name: &str,
    memfd: &OwnedFd,
    nonce: Nonce,
    record: &AtomicU32,
) -> Result<Registration> {
    let path = path_of(name)?;
    let registration = publish_at(path, memfd, nonce, record)?;
    sweep(&registration.path);
    Ok(registration)
}

fn publish_at(
    path: PathBuf,
    memfd: &OwnedFd,
    nonce: Nonce,
    record: &AtomicU32,
) -> Result<Registration> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = open(DIRECTORY, flags, Mode::RUSR | Mode::WUSR).or_io()?;
    let mut content = Vec::with_capacity(RECORDS);
    for word in [MAGIC, nonce[0], nonce[1], 0] {
        content.extend_from_slice(&word.to_ne_bytes());
    }
    content.resize(RECORDS, 0);
    content.extend_from_slice(&record_of(memfd));
    write(&file, &content, 0)?;
    if !byte_lock::lock(file.as_fd(), byte_of(0))? {
        // No other process has the file yet.
        return Err(Error::Busy);
    }
    for _ in 0..ATTEMPTS {
        let unnamed = procfs::Path::new()
            .text("/proc/self/fd/")
            .number(file.as_raw_fd().unsigned_abs().into());
        match linkat(CWD, unnamed.as_c_str(), CWD, &path, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => {
                // Relaxed: no other thread has the segment yet.
                record.store(1, Ordering::Relaxed);
                return Ok(Registration { path, file, nonce });
            }
            Err(Errno::EXIST) => clear_if_stale(&path)?,
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
    // A stale name that comes back as often as it is cleared is one that other processes create.
    Err(Error::AlreadyExists)
}

/// Leads to the memory behind a name. The caller has to [`register`](Registration::register).
pub(super) fn find(name: &str) -> Result<(OwnedFd, Registration)> {
    let path = path_of(name)?;
    for _ in 0..ATTEMPTS {
        let (file, nonce) = open_file(&path)?;
        match reach(&file, nonce)? {
            Reached::Memory(memfd) => return Ok((memfd, Registration { path, file, nonce })),
            Reached::Nothing => return Err(Error::Unreachable),
            Reached::AllDead => match clear_if_stale(&path) {
                // A process registered, or published the name again, meanwhile.
                Err(Error::AlreadyExists) => {}
                other => other?,
            },
        }
    }
    Err(Error::NotFound)
}

/// Removes a name. The processes that hold the segment keep it.
pub(super) fn remove(name: &str) -> Result<()> {
    let path = path_of(name)?;
    match open_file(&path) {
        Ok((file, _)) => remove_file(&path, &file),
        // Not a name of ours, but a file of ours in its place.
        Err(Error::NotASegment(_)) => Ok(unlink(&path).or_io()?),
        Err(other) => Err(other),
    }
}

fn remove_file(path: &Path, file: &OwnedFd) -> Result<()> {
    with_lock(file, || {
        if !is_at(path, file) {
            return Err(Error::NotFound);
        }
        // First, so that a forked child of a holder does not publish the name again.
        write(file, &REMOVED.to_ne_bytes(), STATE)?;
        Ok(unlink(path).or_io()?)
    })
}

impl Registration {
    pub(super) fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// Adds us to the holders: from now on, the segment can be opened through us. `false` if the
    /// name was removed, or is another segment's, since it was found: then begin again.
    pub(super) fn register(&self, memfd: &OwnedFd, record: &AtomicU32) -> Result<bool> {
        register(&self.path, &self.file, memfd, record)
    }

    /// Makes a forked child a holder, at its first use of the segment.
    ///
    /// Until then, [`file`](Self::file) is the parent's description.
    pub(super) fn rejoin(&self, memfd: &OwnedFd, record: &AtomicU32) -> Result<()> {
        // Relaxed: one thread of a forked child at a time joins, and each in the order of Acquire
        // and Release of the identity's word.
        if record.load(Ordering::Relaxed) != 0 {
            // An earlier attempt got this far.
            return Ok(());
        }
        for _ in 0..ATTEMPTS {
            match open_file(&self.path) {
                Ok((fresh, _)) if same_file(&fresh, &self.file) => {
                    if register(&self.path, &fresh, memfd, record)? {
                        return Ok(take_place(&self.file, fresh)?);
                    }
                }
                // Another segment's, or another program's.
                Ok(_) | Err(Error::NotASegment(_)) => return Ok(()),
                Err(Error::NotFound) => {
                    if word(&self.file, STATE)? == REMOVED {
                        return Ok(());
                    }
                    match publish_at(self.path.clone(), memfd, self.nonce, record) {
                        Ok(again) => return Ok(take_place(&self.file, again.file)?),
                        Err(Error::AlreadyExists) => {}
                        Err(other) => return Err(other),
                    }
                }
                Err(other) => return Err(other),
            }
        }
        Err(Error::Busy)
    }

    /// Removes the name, if it still is this segment's.
    pub(super) fn remove(&self) -> Result<()> {
        // Through a description of this call's own: two threads that shared one would both have
        // its lock.
        match open_file(&self.path) {
            Ok((fresh, _)) if same_file(&fresh, &self.file) => remove_file(&self.path, &fresh),
            // Another segment's, or another program's.
            Ok(_) | Err(Error::NotASegment(_)) => Err(Error::NotFound),
            Err(other) => Err(other),
        }
    }

    /// Ends our holding in good order, once. Only for the process that `record` is of.
    pub(super) fn leave(&self, record: &AtomicU32) {
        // Relaxed: the last handle of this process that holds the name is being dropped, and the
        // record is but a number, which one caller gets.
        let Some(at) = (record.swap(0, Ordering::Relaxed) as usize).checked_sub(1) else { return };
        // Whatever fails here costs one small file, which the next process that creates a name
        // removes.
        let _ = with_lock(&self.file, || {
            write(&self.file, &[0; RECORD], RECORDS + at * RECORD)?;
            // Also if a forked child shares the description.
            byte_lock::unlock(self.file.as_fd(), byte_of(at));
            remove_if_stale(&self.path, &self.file)
        });
    }
}

fn register(path: &Path, file: &OwnedFd, memfd: &OwnedFd, record: &AtomicU32) -> Result<bool> {
    with_lock(file, || {
        // Under the lock, under which the last holder removes the name (invariants 3 and 4).
        if !is_at(path, file) {
            return Ok(false);
        }
        for at in 0..MAX_RECORDS {
            let offset = RECORDS + at * RECORD;
            if byte_lock::lock(file.as_fd(), byte_of(at))? {
                if let Err(error) = write(file, &record_of(memfd), offset) {
                    byte_lock::unlock(file.as_fd(), byte_of(at));
                    return Err(error);
                }
                // Relaxed: no other thread has the segment yet, or, in a forked child, the Release
                // of the identity, which follows, publishes it.
                record.store(at as u32 + 1, Ordering::Relaxed);
                return Ok(true);
            }
        }
        Err(Error::TooManyParticipants)
    })
}

/// The byte that the holder of a record locks: the record's first.
fn byte_of(at: usize) -> u64 {
    (RECORDS + at * RECORD) as u64
}

fn record_of(memfd: &OwnedFd) -> [u8; RECORD] {
    let Process { pid, number, namespace } = Process::current();
    let mut record = [0; RECORD];
    record[..4].copy_from_slice(&pid.to_ne_bytes());
    record[4..8].copy_from_slice(&memfd.as_raw_fd().unsigned_abs().to_ne_bytes());
    record[8..16].copy_from_slice(&number.to_ne_bytes());
    record[16..24].copy_from_slice(&namespace.to_ne_bytes());
    record
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(word)
}

fn word(file: &OwnedFd, at: usize) -> Result<u64> {
    let mut bytes = [0; 8];
    match pread(file, &mut bytes, at as u64).or_io()? {
        8 => Ok(u64::from_ne_bytes(bytes)),
        _ => Err(Error::NotASegment("the name's file is truncated")),
    }
}

/// Writes to a name's file, all or nothing.
fn write(file: &OwnedFd, bytes: &[u8], at: usize) -> Result<()> {
    files::check_size((at + bytes.len()) as u64)?;
    if pwrite(file, bytes, at as u64).or_io()? != bytes.len() {
        return Err(io::Error::from(io::ErrorKind::StorageFull).into());
    }
    Ok(())
}

fn open_file(path: &Path) -> Result<(OwnedFd, Nonce)> {
    let flags =
        OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = match open(path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Err(Error::NotFound),
        Err(Errno::LOOP) => return Err(Error::NotASegment("the name is a symbolic link")),
        other => other.or_io()?,
    };
    let about = fstat(&file).or_io()?;
    if about.st_uid != getuid().as_raw() {
        return Err(Error::NotASegment("the name belongs to another user"));
    }
    let regular = FileType::from_raw_mode(about.st_mode) == FileType::RegularFile;
    if !regular || about.st_mode & 0o077 != 0 {
        return Err(Error::NotASegment("the name is not a private regular file"));
    }
    if word(&file, 0)? != MAGIC {
        return Err(Error::NotASegment("the name's file is not one of this version"));
    }
    let nonce = [word(&file, 8)?, word(&file, 16)?];
    Ok((file, nonce))
}

/// All records that are not empty, of the dead too.
fn holders(file: &OwnedFd) -> Result<Vec<Holder>> {
    let mut bytes = vec![0; FILE];
    let mut len = 0;
    while len < bytes.len() {
        match pread(file, &mut bytes[len..], len as u64).or_io() {
            Ok(0) => break,
            Ok(some) => len += some,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
    let records = bytes[..len].get(RECORDS..).unwrap_or_default().chunks_exact(RECORD);
    let holders = records.enumerate().map(|(at, record)| Holder {
        at,
        descriptor: u32_at(record, 4),
        process: Process {
            pid: u32_at(record, 0),
            number: u64_at(record, 8),
            namespace: u64_at(record, 16),
        },
    });
    Ok(holders.filter(|holder| holder.process.pid != 0).collect())
}

/// Whether a holder lives (invariant 2).
fn life(file: &OwnedFd, holder: &Holder, ours: u64) -> Life {
    match byte_lock::is_locked(file.as_fd(), byte_of(holder.at)) {
        Ok(false) => Life::Dead,
        Ok(true) => holder.process.life(ours),
        Err(_) => Life::Unknown,
    }
}

/// Whether no holder is left. Only under the file's lock: a record may be half written without it.
fn is_stale(file: &OwnedFd) -> Result<bool> {
    let ours = procfs::namespace().unwrap_or(0);
    Ok(holders(file)?.iter().all(|holder| life(file, holder, ours) == Life::Dead))
}

enum Reached {
    /// The right memory, through one of the holders.
    Memory(OwnedFd),
    /// A holder lives, or may live, but this process cannot get at its memory.
    Nothing,
    /// As it seems, without the file's lock.
    AllDead,
}

fn reach(file: &OwnedFd, nonce: Nonce) -> Result<Reached> {
    let ours = procfs::namespace().unwrap_or(0);
    let mut unreachable = false;
    for holder in holders(file)? {
        if life(file, &holder, ours) == Life::Dead {
            continue;
        }
        if let Some(memfd) = memory_of(&holder, nonce)? {
            return Ok(Reached::Memory(memfd));
        }
        // It may have ended while we looked.
        unreachable |= life(file, &holder, ours) != Life::Dead;
    }
    Ok(if unreachable { Reached::Nothing } else { Reached::AllDead })
}

/// The memory that a holder's record leads to, if it leads to the right one. An error if this
/// process has no descriptor left to find out.
fn memory_of(holder: &Holder, nonce: Nonce) -> Result<Option<OwnedFd>> {
    let (pid, descriptor) = (holder.process.pid, holder.descriptor);
    if let Some(memfd) = memory_at(&format!("/proc/{pid}/fd/{descriptor}"), nonce)? {
        return Ok(Some(memfd));
    }
    // A process whose first thread has ended shows its descriptors under its other threads.
    for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let task = task.file_name();
        let path = format!("/proc/{pid}/task/{}/fd/{descriptor}", task.to_string_lossy());
        if let Some(memfd) = memory_at(&path, nonce)? {
            return Ok(Some(memfd));
        }
    }
    Ok(None)
}

fn memory_at(path: &str, nonce: Nonce) -> Result<Option<OwnedFd>> {
    // Looked at before it is opened: opening a stranger's device could have effects.
    let Ok(target) = fs::read_link(path) else { return Ok(None) };
    if !target.as_os_str().as_encoded_bytes().starts_with(b"/memfd:sync-ipc") {
        return Ok(None);
    }
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match open(path, flags, Mode::empty()) {
        Ok(memfd) => Ok((super::header::nonce_of(&memfd) == Some(nonce)).then_some(memfd)),
        Err(error @ (Errno::MFILE | Errno::NFILE | Errno::NOMEM)) => {
            Err(io::Error::from(error).into())
        }
        Err(_) => Ok(None),
    }
}

/// Removes a name each of whose holders is dead; [`Error::AlreadyExists`] if one is not, or may not
/// be.
fn clear_if_stale(path: &Path) -> Result<()> {
    let file = match open_file(path) {
        Err(Error::NotFound) => return Ok(()),
        other => other?.0,
    };
    match with_lock(&file, || remove_if_stale(path, &file))? {
        true => Ok(()),
        false => Err(Error::AlreadyExists),
    }
}

/// Removes the files of names whose holders were all killed. Without it, a name that is never used
/// again would stay.
///
/// A name that is busy or cannot be judged is left alone. Each sweep costs some system calls for
/// each name there is, so the more names there are, the fewer creations sweep.
fn sweep(own: &Path) {
    /// The number of creations of this process until the next sweep.
    static SKIP: AtomicUsize = AtomicUsize::new(0);
    // Relaxed, here and below: a heuristic.
    let skip = SKIP.load(Ordering::Relaxed);
    if skip > 0 {
        SKIP.store(skip - 1, Ordering::Relaxed);
        return;
    }
    let prefix = prefix();
    let mut left = 0;
    for entry in fs::read_dir(DIRECTORY).into_iter().flatten().flatten() {
        let path = entry.path();
        if path == own || !entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()) {
            continue;
        }
        // An error means that the name is another process's or program's to remove.
        let _ = sweep_one(&path);
        left += 1;
    }
    // Relaxed: a heuristic.
    SKIP.store(left / 16, Ordering::Relaxed);
}

fn sweep_one(path: &Path) -> Result<bool> {
    let (file, _) = open_file(path)?;
    if !byte_lock::lock(file.as_fd(), LOCK)? {
        return Err(Error::Busy);
    }
    let done = remove_if_stale(path, &file);
    // Not left to the closing of the description: a fork at this moment has a copy.
    byte_lock::unlock(file.as_fd(), LOCK);
    done
}

/// Removes a name that no holder is left of. Returns whether it is gone. Only under the file's
/// lock.
fn remove_if_stale(path: &Path, file: &OwnedFd) -> Result<bool> {
    if !is_stale(file)? {
        return Ok(false);
    }
    if is_at(path, file) {
        unlink(path).or_io()?;
    }
    Ok(true)
}

fn same_file(one: &OwnedFd, other: &OwnedFd) -> bool {
    matches!(
        (fstat(one), fstat(other)),
        (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    )
}

/// Whether the path leads to this very file. If that is not known, `false`: nothing is removed
/// then.
fn is_at(path: &Path, file: &OwnedFd) -> bool {
    matches!(
        (stat(path), fstat(file)),
        (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
    )
}

fn with_lock<T>(file: &OwnedFd, act: impl FnOnce() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    while !byte_lock::lock(file.as_fd(), LOCK)? {
        if started.elapsed() > INTERNAL_LOCK_TIMEOUT {
            return Err(Error::Busy);
        }
        thread::sleep(Duration::from_millis(1));
    }
    let done = act();
    byte_lock::unlock(file.as_fd(), LOCK);
    done
}
