//! Memory files that are used again, for the long arguments and results of the tasks of a pool.
//!
//! New pages cost more than the copies. The files therefore go round ([`Spares`]): the pool and its
//! workers keep them mapped, so that a long argument is copied twice, into the mapping and out of
//! it, and the system sees nothing of it. The pool owns the files, and lends them:
//!
//! 1. The pool writes the arguments before it sends a task, and the worker reads them before it
//!    sends the outcome.
//! 2. With a task whose results will be long goes a file for them. The worker writes to it after it
//!    has received the task and before it sends the outcome; the pool reads it after that.
//! 3. A file is used again when its task was answered and its bytes were read. If the worker died,
//!    the file is closed: a child that the worker forked may still have it.
//!
//! So a file is never written to while another process reads it.
//!
//! **Descriptors.** A file costs its pool a descriptor, so the number of open files is bounded, and
//! not by the number of tasks:
//!
//! | bytes | where they are |
//! |---|---|
//! | of a task that waits for a worker | in a file; in memory once [`WAITING`] files are in use |
//! | of a task that a worker has | in a file, and another one is lent for the outcome |
//! | of an outcome that was not read yet | in a file; once [`UNREAD`] more are in use, in its mapping, without the descriptor |

use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::collections::VecDeque;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use rustix::io::Errno;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use sync_core::Mutex;

use crate::memory::files;

/// The length of a file is a multiple of this.
const STEP: usize = 1 << 16;

/// The longest file that is kept for a later task.
pub(crate) const REUSED: usize = 32 << 20;

/// The most files that are kept: with two workers, a map's arguments and results are in 16.
const SPARE: usize = 32;

/// The most bytes of all files that are kept, and of the mappings that a worker keeps.
const SPARE_BYTES: usize = 2 * REUSED;

/// The number of files in use at which the arguments of further tasks wait in memory; and
/// [`PER_WORKER`] more for each worker.
const WAITING: usize = 32;

/// See [`WAITING`] and [`UNREAD`].
const PER_WORKER: usize = 4;

/// The workers that are counted for the numbers of files: a pool of more has as many files.
const COUNTED_WORKERS: usize = 16;

/// Beyond the files at which arguments wait in memory: the number of files in use at which outcomes
/// keep no descriptor, for each worker.
const UNREAD: usize = PER_WORKER;

/// Whether the system has no descriptor left, for this process or for all, or too many of this user
/// are on their way.
pub(crate) fn is_out_of_descriptors(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE | Errno::TOOMANYREFS))
}

/// Counts an open file.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        // Relaxed, as all accesses of it: a count that publishes nothing.
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // Relaxed: see `new`.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A file that is used again, and this process's mapping of it.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(super) file: OwnedFd,
    pub(super) mapped: Mapped,
    _counted: Counted,
}

impl Lent {
    /// A new file of at least `length` bytes.
    fn new(length: usize, count: &Arc<AtomicUsize>) -> io::Result<Self> {
        let length = length.next_multiple_of(STEP);
        let file = memfd_create("sync-ipc-task", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        files::allocate(&file, 0..length as u64)?;
        fcntl_add_seals(&file, SealFlags::SHRINK)?;
        let mapped = Mapped::new(&file, length, Access::Shared)?;
        Ok(Self { file, mapped, _counted: Counted::new(count) })
    }

    /// Closes the file. Its bytes are mapped all the same.
    pub(super) fn into_mapped(self) -> Mapped {
        self.mapped
    }

    /// Makes it at least `length` bytes long. The mapping moves; after an error it is where it was.
    pub(super) fn grow(&mut self, length: usize) -> io::Result<()> {
        let length = length.next_multiple_of(STEP);
        files::allocate(&self.file, self.mapped.length as u64..length as u64)?;
        self.mapped = Mapped::new(&self.file, length, Access::Shared)?;
        Ok(())
    }
}

impl AsFd for Lent {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Files of tasks that were answered, of one pool, and the number of all its files.
#[derive(Debug)]
pub(crate) struct Spares {
    pub(super) files: Mutex<Vec<Lent>>,
    /// The number of open files: these, and the files in use.
    open: Arc<AtomicUsize>,
    /// See [`WAITING`].
    waiting: usize,
    /// See [`UNREAD`].
    unread: usize,
    /// Whether arguments ever waited in memory.
    kept_any: AtomicBool,
}

impl Default for Spares {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Spares {
    // A forked child's copy of the lock may be held for good: then there is no spare file.

    /// Of a pool of as many workers.
    pub(crate) fn new(workers: usize) -> Self {
        let workers = workers.min(COUNTED_WORKERS);
        let waiting = WAITING + PER_WORKER * workers;
        Self {
            files: Mutex::new(Vec::new()),
            open: Arc::default(),
            waiting,
            unread: waiting + UNREAD * workers,
            kept_any: AtomicBool::new(false),
        }
    }

    /// The number of files in use. A snapshot.
    fn in_use(&self) -> usize {
        let spare = self.files.try_lock().map_or(0, |files| files.len());
        // Relaxed: see `Counted`.
        self.open.load(Ordering::Relaxed).saturating_sub(spare)
    }

    /// A file for arguments that wait for a worker. `None`: they are to wait in memory, because
    /// enough wait in files, or the system has no descriptor left.
    pub(crate) fn take_to_wait(&self, length: usize) -> io::Result<Option<Lent>> {
        let taken =
            if self.in_use() < self.waiting { self.take(length).map(Some) } else { Ok(None) };
        let taken = match taken {
            Err(error) if is_out_of_descriptors(&error) => None,
            taken => taken?,
        };
        if taken.is_none() {
            // Relaxed: a hint.
            self.kept_any.store(true, Ordering::Relaxed);
        }
        Ok(taken)
    }

    /// Whether arguments of this pool ever waited in memory. A hint.
    pub(crate) fn kept_any(&self) -> bool {
        // Relaxed: a hint.
        self.kept_any.load(Ordering::Relaxed)
    }

    /// Whether enough files are in use that an outcome that waits to be read keeps no descriptor.
    pub(super) fn is_crowded(&self) -> bool {
        self.in_use() > self.unread
    }

    /// A file of at least `length` bytes.
    pub(crate) fn take(&self, length: usize) -> io::Result<Lent> {
        let spare = self.files.try_lock().and_then(|mut files| {
            // The smallest that is long enough, or the longest.
            let best = files.iter().enumerate().min_by_key(|(_, file)| {
                let room = file.mapped.length;
                if room >= length { (0, room) } else { (1, usize::MAX - room) }
            });
            best.map(|(at, _)| at).map(|at| files.swap_remove(at))
        });
        match spare {
            Some(mut file) => {
                if file.mapped.length < length {
                    file.grow(length)?;
                }
                Ok(file)
            }
            None => Lent::new(length, &self.open),
        }
    }

    /// Keeps a file that no other process writes to or reads.
    pub(crate) fn keep(&self, file: Lent) {
        if let Some(mut files) = self.files.try_lock() {
            let bytes: usize = files.iter().map(|file| file.mapped.length).sum();
            let length = file.mapped.length;
            if files.len() < SPARE && length <= REUSED && bytes + length <= SPARE_BYTES {
                files.push(file);
            }
        }
    }
}

/// Mappings of files that are used again, the last ones of a worker.
#[derive(Debug, Default)]
pub(crate) struct Mappings(pub(super) VecDeque<(u64, Arc<Mapped>)>);

impl Mappings {
    /// The mapping, of `length` bytes at least, of a file that is not sealed against writing, and
    /// cannot become shorter. `None` for another one.
    pub(crate) fn find(&mut self, file: &OwnedFd, length: usize) -> Option<Arc<Mapped>> {
        let seals = fcntl_get_seals(file).ok()?;
        if !seals.contains(SealFlags::SHRINK) || seals.contains(SealFlags::WRITE) || length == 0 {
            return None;
        }
        let about = fstat(file).ok()?;
        let size = usize::try_from(about.st_size).ok().filter(|size| *size >= length)?;
        // A mapping keeps its file, so the number is no other file's.
        if let Some(at) = self.0.iter().position(|(inode, _)| *inode == about.st_ino) {
            if self.0[at].1.length >= length {
                return Some(Arc::clone(&self.0[at].1));
            }
            self.0.remove(at);
        }
        let mapped = Arc::new(Mapped::new(file, size, Access::Shared).ok()?);
        self.0.push_back((about.st_ino, Arc::clone(&mapped)));
        let mut bytes: usize = self.0.iter().map(|(_, mapped)| mapped.length).sum();
        while self.0.len() > 1 && (self.0.len() > SPARE || bytes > SPARE_BYTES) {
            bytes -= self.0.pop_front().map_or(0, |(_, mapped)| mapped.length);
        }
        Some(mapped)
    }
}

/// The purpose of a mapping.
#[derive(Clone, Copy)]
pub(super) enum Access {
    /// To read a sealed file.
    Private,
    /// To read and to write a file that is used again.
    Shared,
}

/// A mapped file.
///
/// **Invariant.** `length` bytes from `pointer` are mapped until the value is dropped, and belong
/// to a file that no process can shorten, and that none writes to while they are borrowed: it is
/// sealed against that, or it is used again by the rules of this module.
#[derive(Debug)]
pub(crate) struct Mapped {
    pub(super) pointer: NonNull<u8>,
    pub(super) length: usize,
}

// SAFETY: memory that belongs to the process and to no thread of it, and is changed by an `Output`
// only, which has it alone.
unsafe impl Send for Mapped {}
// SAFETY: the memory is changed by an `Output` only, which has it alone.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// The caller has checked the length and the seals of the file.
    pub(super) fn new(file: &OwnedFd, length: usize, access: Access) -> io::Result<Self> {
        let (protection, kind) = match access {
            Access::Private => (ProtFlags::READ, MapFlags::PRIVATE),
            Access::Shared => (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED),
        };
        let flags = kind | MapFlags::POPULATE;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let pointer = unsafe { mmap(core::ptr::null_mut(), length, protection, flags, file, 0) }?;
        let pointer = NonNull::new(pointer.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { pointer, length })
    }
}

impl Deref for Mapped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the type's invariant: mapped, and not changed while they are borrowed.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.length) }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and borrowed by nothing any more.
        let _ = unsafe { munmap(self.pointer.as_ptr().cast(), self.length) };
    }
}
