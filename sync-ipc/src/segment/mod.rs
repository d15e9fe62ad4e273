//! A piece of memory that several processes share, and the objects in it.
//!
//! See [`Segment`]. The parts: `mapping` (how memory that others write to may be touched), `header`
//! (what every segment begins with), `name` (how a segment is found by name).

mod copy;
mod header;
mod mapping;
mod name;

use core::ops::Deref;
use core::ptr::NonNull;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fcntl_get_seals, fstat, ftruncate, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};
use sync_core::primitive::atomic::{self, AtomicU32, Ordering};
use sync_core::primitive::futex::{Deadline, shared};

use self::header::{DIRECTORY_COUNT, DIRECTORY_LOCK, ENTRIES, Entry, OBJECTS};
pub(crate) use self::mapping::{Mapping, View};
use crate::error::{Error, Result};
use crate::liveness::Member;
use crate::procfs;
use crate::raw::{IDENTITY, PATIENCE, Peers, Slept, lock};

/// The seals without which no memory is touched: its size is for ever.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Memory shared between processes, sealed against shrinking, with named objects in it.
///
/// A segment is found by name ([`create`](Self::create), [`open`](Self::open)), or has none
/// ([`anonymous`](Self::anonymous)) and travels as a descriptor: over a
/// [`Connection`](crate::Connection), or any Unix socket, to [`from_fd`](Self::from_fd).
///
/// Cloning a handle is cheap and means the same participant. A process becomes a participant of a
/// segment when it opens it; the last clone's drop ends that, as its death does. What a participant
/// held by then is returned, or reported as [`OwnerDied`](crate::LockError::OwnerDied).
///
/// ```
/// use sync_ipc::{Mutex, Segment};
///
/// let segment = Segment::anonymous(4096)?;
/// let counter = Mutex::create(&segment, "counter", 0_u64)?;
/// counter.lock().unwrap().update(|n| *n += 1);
///
/// // Another process, with a descriptor that it was given:
/// let theirs = Segment::from_fd(segment.try_clone_fd()?)?;
/// assert_eq!(Mutex::<u64>::open(&theirs, "counter")?.lock().unwrap().get(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Segment(Arc<Core>);

struct Core {
    /// First, so that the lock that says we live goes before the name does.
    member: Member,
    registration: Option<name::Registration>,
    /// The description that may be passed on: it has no locks.
    memfd: OwnedFd,
    map: Mapping,
}

impl Drop for Core {
    fn drop(&mut self) {
        self.member.leave(&self.map);
    }
}

impl Segment {
    /// New memory for `size` bytes of objects, known to nobody else.
    ///
    /// All of it is allocated at once, so that a full memory is an error here and not a SIGBUS
    /// later.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and for more than the system can address; [`Error::Io`] if the
    /// system has no memory or no descriptors.
    pub fn anonymous(size: usize) -> Result<Self> {
        let (memfd, map, _) = allocate(size)?;
        Self::assemble(memfd, map, None)
    }

    /// As [`anonymous`](Self::anonymous), under a name that must be new.
    ///
    /// The name is this user's, and lives as long as a process holds the segment: nothing is left
    /// behind by a `kill -9`.
    ///
    /// # Errors
    ///
    /// Also [`Error::AlreadyExists`] and [`Error::BadName`].
    pub fn create(name: &str, size: usize) -> Result<Self> {
        let (memfd, map, nonce) = allocate(size)?;
        // Complete but for the name (two phases). Its entry holds our descriptor's number, so the
        // member comes after it.
        let registration = name::publish(name, &memfd, nonce)?;
        Self::assemble(memfd, map, Some(registration))
    }

    /// The segment that another process of this user created under this name and that somebody
    /// still holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::NotASegment`] if the name leads to something else;
    /// [`Error::TooManyParticipants`].
    pub fn open(name: &str) -> Result<Self> {
        let (memfd, nonce, mut registration) = name::find(name)?;
        let map = attach(&memfd)?;
        if header::nonce_of(&memfd) != Some(nonce) {
            return Err(Error::NotASegment("not the memory that the name was given to"));
        }
        registration.register(&memfd)?;
        Self::assemble(memfd, map, Some(registration))
    }

    /// [`open`](Self::open), or [`create`](Self::create) if there is none, whoever comes first.
    ///
    /// # Errors
    ///
    /// As those two.
    pub fn open_or_create(name: &str, size: usize) -> Result<Self> {
        for _ in 0..16 {
            match Self::open(name) {
                Err(Error::NotFound) => {}
                other => return other,
            }
            match Self::create(name, size) {
                Err(Error::AlreadyExists) => {}
                other => return other,
            }
        }
        Err(Error::Busy)
    }

    /// The segment behind a descriptor that another process passed to us.
    ///
    /// # Errors
    ///
    /// [`Error::NotASegment`] if the descriptor is no sealed memfd, is truncated, or has another
    /// layout.
    pub fn from_fd(fd: OwnedFd) -> Result<Self> {
        let seals = fcntl_get_seals(&fd).map_err(|_| Error::NotASegment("not a memfd"))?;
        if !seals.contains(SEALS) {
            return Err(Error::NotASegment("not sealed against shrinking and growing"));
        }
        // A description of our own: the sender's may have been opened otherwise, and may carry its
        // liveness.
        let memfd = crate::liveness::reopen(fd.as_fd())?;
        let map = attach(&memfd)?;
        Self::assemble(memfd, map, None)
    }

    fn assemble(memfd: OwnedFd, map: Mapping, registration: Option<name::Registration>) -> Result<Self> {
        let member = Member::join(memfd.as_fd(), &map, header::PARTICIPANTS)?;
        Ok(Self(Arc::new(Core { member, registration, memfd, map })))
    }

    /// Removes a name. Those who hold the segment keep it.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::BadName`].
    pub fn unlink(name: &str) -> Result<()> {
        name::remove(name)
    }

    /// Removes this segment's own name, if it has one still.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`].
    pub fn unlink_own(&self) -> Result<()> {
        self.0.registration.as_ref().ok_or(Error::NotFound)?.unlink()
    }

    /// A descriptor to pass to another process.
    ///
    /// # Errors
    ///
    /// If this process has too many.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        Ok(self.0.memfd.try_clone()?)
    }

    /// Bytes for objects, rounded up from what was asked for.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.map.len() - OBJECTS
    }

    /// The pid that a living participant wrote down, for messages.
    pub(crate) fn pid_of(&self, identity: u32) -> Option<u32> {
        self.0.member.pid_of(&self.0.map, identity)
    }

    /// Places a new object: `initialise` fills its zeroed memory before anybody can find it.
    pub(crate) fn place(&self, name: &str, kind: u64, size: usize, parameter: u64, initialise: impl FnOnce(&Block)) -> Result<Block> {
        let name = object_name(name)?;
        let map = &self.0.map;
        self.with_directory(|| {
            let entries = self.entries()?;
            if entries.iter().any(|entry| entry.name == name) {
                return Err(Error::AlreadyExists);
            }
            let end = entries.iter().map(Entry::end).max().unwrap_or(OBJECTS);
            let offset = end.next_multiple_of(64);
            if entries.len() == ENTRIES || offset > map.len() || size > map.len() - offset {
                return Err(Error::Full);
            }
            // Fresh memory is zero. What one who was killed in here has touched is not.
            let touched = usize::try_from(map.u64(header::TOUCHED).load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(map.len());
            map.u64(header::TOUCHED).store(touched.max(offset + size) as u64, Ordering::SeqCst);
            if touched > offset {
                map.zero(offset, size.min(touched - offset));
            }
            let block = Block::new(self, offset, size, parameter);
            initialise(&block);
            header::write_entry(map, entries.len(), &Entry { name, kind, offset, size, parameter });
            // Release: pairs with the Acquire in `entries`. The commit point.
            map.u32(DIRECTORY_COUNT).store(entries.len() as u32 + 1, Ordering::Release);
            Ok(block)
        })
    }

    /// Finds an object of this kind.
    pub(crate) fn find(&self, name: &str, kind: u64) -> Result<Block> {
        let name = object_name(name)?;
        let entry = self.entries()?.into_iter().find(|entry| entry.name == name).ok_or(Error::NotFound)?;
        if entry.kind != kind {
            return Err(Error::WrongType);
        }
        Ok(Block::new(self, entry.offset, entry.size, entry.parameter))
    }

    /// The name in this segment of the object that a block belongs to.
    #[cfg(feature = "process")]
    pub(crate) fn name_of(&self, block: &Block) -> Result<String> {
        let offset = block.view.distance_from(self.map());
        let entry = self.entries()?.into_iter().find(|entry| entry.offset == offset);
        let name = entry.ok_or(Error::NotFound)?.name;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        String::from_utf8(name[..end].to_vec()).map_err(|_| Error::Corrupted)
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        // Acquire: pairs with the Release in `place`.
        let count = self.0.map.u32(DIRECTORY_COUNT).load(Ordering::Acquire) as usize;
        if count > ENTRIES {
            return Err(Error::Corrupted);
        }
        (0..count).map(|at| header::entry(&self.0.map, at)).collect()
    }

    fn with_directory<R>(&self, act: impl FnOnce() -> Result<R>) -> Result<R> {
        let word = self.0.map.u32(DIRECTORY_LOCK);
        match lock::lock(word, self, Deadline::after(PATIENCE)) {
            Ok(lock::Locked::Clean) => {}
            // Nothing to repair: what its owner did not count does not exist.
            Ok(lock::Locked::OwnerDied) => lock::mark_consistent(word, self),
            Err(lock::Refused::TimedOut) => return Err(Error::Busy),
            Err(lock::Refused::NotRecoverable) => return Err(Error::Corrupted),
            Err(lock::Refused::NotAttached) => return Err(Error::TooManyParticipants),
        }
        let done = act();
        lock::unlock(word, self);
        done
    }

    #[inline(always)]
    fn map(&self) -> &Mapping {
        &self.0.map
    }
}

impl Peers for Segment {
    #[inline(always)]
    fn me(&self) -> u32 {
        self.0.member.identity(&self.0.map)
    }

    fn is_dead(&self, identity: u32) -> bool {
        self.0.member.is_dead(&self.0.map, identity)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, bound: Duration, deadline: Option<Deadline>) -> Slept {
        let bound = Deadline::after(bound);
        let (limit, why) = match (bound, deadline) {
            (Some(bound), Some(deadline)) if deadline <= bound => (Some(deadline), Slept::Deadline),
            _ => (bound, Slept::Bound),
        };
        if shared::wait_maybe(word, expected, limit) { Slept::Woken } else { why }
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> usize {
        shared::wake(word, count)
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.memfd.as_fd()
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment").field("size", &self.size()).field("memfd", &self.0.memfd).finish_non_exhaustive()
    }
}

/// One object's memory, and the other participants as its algorithms see them. Offsets are relative
/// to it, and checked against it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Keeps `view` mapped and `identity` where it is.
    segment: Segment,
    view: View,
    identity: NonNull<AtomicU32>,
    /// What the object's maker wrote into its entry; a number from outside.
    parameter: u64,
}

// SAFETY: `identity` points to an atomic that lives as long as the segment, which the block owns.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Block {
    fn new(segment: &Segment, offset: usize, len: usize, parameter: u64) -> Self {
        let segment = segment.clone();
        // SAFETY: the block owns a handle to the segment, and with it the mapping.
        let view = unsafe { segment.map().view(offset, len) };
        let identity = NonNull::from(segment.0.member.word());
        Self { segment, view, identity, parameter }
    }

    /// An error unless the object has exactly the size that its type and parameter ask for.
    pub(crate) fn expect_size(self, size: Option<usize>) -> Result<Self> {
        if size == Some(self.len()) { Ok(self) } else { Err(Error::WrongType) }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    pub(crate) fn parameter(&self) -> u64 {
        self.parameter
    }
}

impl Deref for Block {
    type Target = View;

    #[inline(always)]
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Peers for Block {
    #[inline(always)]
    fn me(&self) -> u32 {
        // SAFETY: lives as long as the segment. Relaxed: as in `Member::identity`, which this is
        // the fast half of.
        let identity = unsafe { self.identity.as_ref() }.load(Ordering::Relaxed);
        if identity & IDENTITY != 0 { identity } else { self.segment.me() }
    }

    fn is_dead(&self, identity: u32) -> bool {
        self.segment.is_dead(identity)
    }

    fn sleep(&self, word: &AtomicU32, expected: u32, bound: Duration, deadline: Option<Deadline>) -> Slept {
        self.segment.sleep(word, expected, bound, deadline)
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> usize {
        self.segment.wake(word, count)
    }

    #[inline(always)]
    fn fence_after_change(&self) {
        cfg_select! {
            // A locked instruction is a full fence to this processor; the compiler has to be told.
            target_arch = "x86_64" => atomic::compiler_fence(Ordering::SeqCst),
            _ => atomic::fence(Ordering::SeqCst),
        }
    }
}

fn object_name(name: &str) -> Result<[u8; header::NAME]> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() >= header::NAME || bytes.contains(&0) || bytes.contains(&b'/') {
        return Err(Error::BadName);
    }
    let mut padded = [0; header::NAME];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

fn allocate(size: usize) -> Result<(OwnedFd, Mapping, name::Nonce)> {
    let len = size.checked_next_multiple_of(4096).and_then(|size| size.checked_add(OBJECTS)).filter(|len| i64::try_from(*len).is_ok());
    let len = if size == 0 { None } else { len }.ok_or(Error::BadSize)?;
    // Asked before: a memfd has no limit of its own, and the system would kill processes to make
    // room before it refused.
    if procfs::available_memory().is_some_and(|available| len > available) {
        return Err(rustix::io::Errno::NOMEM.into());
    }
    let memfd = memfd_create("sync-ipc", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memfd, len as u64)?;
    fallocate(&memfd, FallocateFlags::empty(), 0, len as u64)?;
    fcntl_add_seals(&memfd, SEALS)?;
    let map = Mapping::new(&memfd, len)?;
    let mut bytes = [0; 16];
    if getrandom(&mut bytes, GetRandomFlags::empty())? != bytes.len() {
        return Err(Error::Io(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)));
    }
    let nonce = u128::from_ne_bytes(bytes);
    let nonce = [(nonce >> 64) as u64, nonce as u64];
    header::initialise(&map, nonce);
    Ok((memfd, map, nonce))
}

/// Maps memory that somebody else made, once it is known not to shrink, and checks its header.
fn attach(memfd: &OwnedFd) -> Result<Mapping> {
    if !fcntl_get_seals(memfd).map_err(|_| Error::NotASegment("not a memfd"))?.contains(SEALS) {
        return Err(Error::NotASegment("not sealed against shrinking and growing"));
    }
    let len = usize::try_from(fstat(memfd)?.st_size).map_err(|_| Error::BadSize)?;
    if len <= OBJECTS || !len.is_multiple_of(4096) {
        return Err(Error::NotASegment("truncated"));
    }
    // Its maker should have. If not, it is we who get the error, and not a SIGBUS.
    fallocate(memfd, FallocateFlags::empty(), 0, len as u64)?;
    let map = Mapping::new(memfd, len)?;
    header::check(&map)?;
    Ok(map)
}
