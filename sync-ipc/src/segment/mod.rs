//! A piece of memory that several processes share, and the objects in it.
//!
//! See [`Segment`]. The parts: `header` (the beginning of every segment), `name` (how a segment is
//! found by name). Below: `memory` (how memory that others write to may be touched), `membership`.

mod header;
mod name;
pub(crate) mod trusted;

use core::ops::Deref;
use core::ptr::NonNull;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};
use sync_core::primitive::atomic::{self, AtomicU32, AtomicUsize, Ordering};
use sync_core::primitive::futex::{Deadline, shared};

use self::header::{DIRECTORY_COUNT, DIRECTORY_LOCK, ENTRIES, Entry, Nonce, OBJECTS};
pub(crate) use self::header::{LOCK_OF_AN_ARRAY, name_of_lock};
use crate::error::{Error, OrIo, Result};
use crate::membership::Member;
use crate::membership::process::Life;
use crate::memory::{Mapping, View, files};
use crate::procfs;
use crate::random::random;
use crate::raw::{IDENTITY, LOCK_TIMEOUT, Platform, Slept, mutex};

/// The seals without which no memory is touched: they fix its size forever.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// Memory shared between processes, sealed against shrinking, with named objects in it.
///
/// A segment is found by name ([`create`](Self::create), [`open`](Self::open)), or has none
/// ([`anonymous`](Self::anonymous)) and travels as a descriptor: over a
/// [`Connection`](crate::Connection), or any Unix socket, to [`from_fd`](Self::from_fd).
///
/// Cloning a handle is cheap and means the same participant. A process becomes a participant of a
/// segment when it opens it; the last clone's drop ends that, as its death does. (In a child that
/// was forked while its parent watched an object, by a [`Readiness`](crate::Readiness) or a waiting
/// task, only its death does.) What a participant held by then is returned, or reported as
/// [`OwnerDied`](crate::LockError::OwnerDied).
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
pub struct Segment(Arc<Core>, Holds);

/// The number of times that an array is looked for again because its name changed hands meanwhile.
const ATTEMPTS: usize = 1000;

/// Whether a handle holds the segment's name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Name,
    Nothing,
}

struct Core {
    /// The number of handles that hold the name.
    names: AtomicUsize,
    /// First, so that the lock that shows that we live goes before the name does.
    member: Member,
    registration: OnceLock<name::Registration>,
    /// The description that may be passed on: it has no locks.
    memfd: OwnedFd,
    map: Mapping,
}

impl Core {
    /// This process's identity; 0 if it is a fork of a participant and could not become one itself.
    #[inline(always)]
    fn identity(&self) -> u32 {
        self.member.identity(&self.map, |record| match self.registration.get() {
            Some(registration) => registration.rejoin(&self.memfd, record),
            None => Ok(()),
        })
    }

    /// Ends the holding of the name, which `record` stands for, if it has not been ended.
    fn leave_name(&self, record: &AtomicU32) {
        if let Some(registration) = self.registration.get() {
            registration.leave(record);
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // In a forked child that never used the segment, the registration is its parent's, and 0
        // says so.
        let record = self.member.name_record();
        self.member.leave(&self.map);
        self.leave_name(record);
    }
}

impl Clone for Segment {
    fn clone(&self) -> Self {
        self.another(self.1)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // Relaxed: as in `Arc`, but nothing is freed here. If other handles are left, they are the
        // helper thread's, and the name must not wait for its next turn.
        if self.1 == Holds::Name
            && self.0.names.fetch_sub(1, Ordering::Relaxed) == 1
            && Arc::strong_count(&self.0) > 1
        {
            self.0.leave_name(self.0.member.name_record());
        }
    }
}

impl Segment {
    /// New memory for `size` bytes of objects, known to no other process.
    ///
    /// All of it is allocated at once, so that a full memory is an error here and not a SIGBUS
    /// later.
    ///
    /// # Errors
    ///
    /// [`Error::BadSize`] for 0 and for more than the system can address; [`Error::Io`] if the
    /// system has no memory or no descriptors, or if the limit on file sizes is lower.
    pub fn anonymous(size: usize) -> Result<Self> {
        let (memfd, map) = allocate(size)?;
        Self::assemble(memfd, map, None)
    }

    /// As [`anonymous`](Self::anonymous), under a name that must be new.
    ///
    /// The name is this user's, and lives as long as a process holds the segment. The file of a
    /// name whose holders were all killed is removed by the next creation or opening of the name,
    /// and by later creations of other names.
    ///
    /// # Errors
    ///
    /// Also [`Error::AlreadyExists`], if a holder lives, and if that cannot be found out;
    /// [`Error::BadName`].
    pub fn create(name: &str, size: usize) -> Result<Self> {
        Self::create_with(name, size, |_| Ok(())).map(|(segment, ())| segment)
    }

    /// As [`create`](Self::create), but `fill` places objects in it before the name exists.
    pub(crate) fn create_with<R>(
        name: &str,
        size: usize,
        fill: impl FnOnce(&Self) -> Result<R>,
    ) -> Result<(Self, R)> {
        name::check(name)?;
        let segment = Self::anonymous(size)?;
        let filled = fill(&segment)?;
        let core = &segment.0;
        let nonce = header::nonce_of(&core.memfd).ok_or(Error::Corrupted)?;
        // Complete but for the name (two phases).
        let published = name::publish(name, &core.memfd, nonce, core.member.name_record())?;
        // Empty: the segment was made in here.
        let _ = core.registration.set(published);
        Ok((segment, filled))
    }

    /// Opens the segment that another process of this user created under this name and that a
    /// process still holds.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::Unreachable`]; [`Error::NotASegment`] if the name leads to
    /// something else; [`Error::TooManyParticipants`].
    pub fn open(name: &str) -> Result<Self> {
        for _ in 0..16 {
            let (memfd, registration) = name::find(name)?;
            let map = attach(&memfd)?;
            if header::nonce_of(&memfd) != Some(registration.nonce()) {
                return Err(Error::NotASegment("not the memory that the name was given to"));
            }
            let segment = Self::assemble(memfd, map, Some(registration))?;
            let core = &segment.0;
            let record = core.member.name_record();
            match core.registration.get().map(|name| name.register(&core.memfd, record)) {
                // The last holder went, and took the name with it, since we found it.
                Some(Ok(false)) => {}
                Some(Err(error)) => return Err(error),
                Some(Ok(true)) | None => return Ok(segment),
            }
        }
        Err(Error::Busy)
    }

    /// [`open`](Self::open), or [`create`](Self::create) if there is none, also in a race.
    ///
    /// # Errors
    ///
    /// The errors of these two.
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
        let memfd = crate::membership::reopen(fd.as_fd())?;
        let map = attach(&memfd)?;
        Self::assemble(memfd, map, None)
    }

    fn assemble(
        memfd: OwnedFd,
        map: Mapping,
        registration: Option<name::Registration>,
    ) -> Result<Self> {
        let member = Member::join(memfd.as_fd(), &map, header::TABLE_AT)?;
        let registration = registration.map(OnceLock::from).unwrap_or_default();
        let names = AtomicUsize::new(1);
        Ok(Self(Arc::new(Core { names, member, registration, memfd, map }), Holds::Name))
    }

    /// A handle of the same participant that does not hold the segment's name.
    fn nameless(&self) -> Self {
        self.another(Holds::Nothing)
    }

    fn another(&self, holds: Holds) -> Self {
        if holds == Holds::Name {
            // Relaxed: a handle is there, so the number is not 0.
            self.0.names.fetch_add(1, Ordering::Relaxed);
        }
        Self(Arc::clone(&self.0), holds)
    }

    /// Removes a name. The processes that hold the segment keep it.
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
        // A forked child uses a description of its own.
        self.0.identity();
        self.0.registration.get().ok_or(Error::NotFound)?.remove()
    }

    /// A descriptor to pass to another process.
    ///
    /// # Errors
    ///
    /// If this process has too many.
    pub fn try_clone_fd(&self) -> Result<OwnedFd> {
        Ok(self.0.memfd.try_clone()?)
    }

    /// Returns the number of bytes for objects: the requested size, rounded up.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.map.len() - OBJECTS
    }

    /// The pid that a living participant wrote down, for messages.
    pub(crate) fn pid_of(&self, identity: u32) -> Option<u32> {
        self.0.member.pid_of(&self.0.map, identity)
    }

    /// Places a new object: `initialise` fills its zeroed memory before it can be found.
    pub(crate) fn place(
        &self,
        name: &str,
        kind: u64,
        size: usize,
        parameter: u64,
        initialise: impl FnOnce(&Block),
    ) -> Result<Block> {
        let placement = Placement { name, kind, size, parameter };
        self.place_all([placement], |[block]| initialise(block)).map(|[block]| block)
    }

    /// Places several new objects: all of them, or none. A process that is killed in here may leave
    /// the first of them, if entries of removed objects are used again. If that is the lock of an
    /// array, the next call removes it.
    pub(crate) fn place_all<const N: usize>(
        &self,
        placements: [Placement<'_>; N],
        initialise: impl FnOnce(&[Block; N]),
    ) -> Result<[Block; N]> {
        let map = &self.0.map;
        let mut new = [const { Entry::EMPTY }; N];
        for (entry, placement) in new.iter_mut().zip(&placements) {
            let Placement { name, kind, size, parameter } = *placement;
            *entry = Entry { name: object_name(name)?, kind, offset: 0, size, parameter };
        }
        self.with_directory(|| {
            let mut entries = self.entries()?;
            for at in header::locks_without_array(&entries) {
                header::remove_entry(map, at);
                entries[at].name = Entry::EMPTY.name;
            }
            let mut end = entries.iter().map(Entry::end).max().unwrap_or(OBJECTS);
            for entry in &mut new {
                if entries.iter().any(|other| other.name == entry.name) {
                    return Err(Error::AlreadyExists);
                }
                entry.offset = end.next_multiple_of(64);
                if entry.offset > map.len() || entry.size > map.len() - entry.offset {
                    return Err(Error::Full);
                }
                end = entry.end();
            }
            // The entries of removed objects are used again, one after the other. Behind them, all
            // are placed in one step by being counted.
            let free = (0..entries.len()).filter(|at| entries[*at].is_free());
            let places: Vec<_> = free.chain(entries.len()..ENTRIES).take(N).collect();
            if places.len() < N {
                return Err(Error::Full);
            }
            let start = new.first().map_or(end, |entry| entry.offset);
            // Fresh memory is zero. Memory that a process touched before it was killed in here is
            // not. Relaxed: the directory's lock orders it. The fence keeps the writes that follow
            // behind it: of a process that is killed between them, the record is there.
            let touched = map.u64(header::TOUCHED).load(Ordering::Relaxed);
            let touched = usize::try_from(touched).unwrap_or(usize::MAX).min(map.len());
            map.u64(header::TOUCHED).store(touched.max(end) as u64, Ordering::Relaxed);
            atomic::compiler_fence(Ordering::SeqCst);
            if touched > start {
                map.zero(start, end.min(touched) - start);
            }
            let blocks = new.map(|entry| Block::new(self, &entry));
            initialise(&blocks);
            for (at, entry) in places.iter().zip(&new) {
                header::write_entry(map, *at, entry);
            }
            // Release: pairs with the Acquire in `entries`. The commit point.
            let count = places.iter().map(|at| at + 1).fold(entries.len(), usize::max);
            map.u32(DIRECTORY_COUNT).store(count as u32, Ordering::Release);
            Ok(blocks)
        })
    }

    /// Removes the object of that name: the name can be given to a new one, of any type. Also an
    /// object whose lock is not recoverable goes this way.
    ///
    /// Processes that have the object open go on using it, as with the file of a removed name. So
    /// its memory is not used again while the segment lives: a segment in which objects come and go
    /// fills up. An [`Array`](crate::Array) has a second object, its lock:
    /// [`Array::remove`](crate::Array::remove).
    ///
    /// ```
    /// use sync_ipc::{Error, Event, Queue, Segment};
    ///
    /// let segment = Segment::anonymous(4096)?;
    /// let old = Event::create(&segment, "ready")?;
    /// segment.remove("ready")?;
    /// assert!(matches!(Event::open(&segment, "ready"), Err(Error::NotFound)));
    /// let new = Event::create(&segment, "ready")?;
    /// new.set();
    /// assert!(!old.is_set());
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`]; [`Error::BadName`]; [`Error::Busy`].
    pub fn remove(&self, name: &str) -> Result<()> {
        let name = object_name(name)?;
        self.with_directory(|| {
            let at = self.entries()?.iter().position(|entry| entry.name == name);
            header::remove_entry(&self.0.map, at.ok_or(Error::NotFound)?);
            Ok(())
        })
    }

    /// Removes the array of this name and kind, and its lock. In this order: a lock without an
    /// array is removed by the next placement.
    pub(crate) fn remove_array(&self, name: &str, kind: u64) -> Result<()> {
        let (lock, name) = (object_name(&name_of_lock(name))?, object_name(name)?);
        self.with_directory(|| {
            let entries = self.entries()?;
            let at = entries.iter().position(|entry| entry.name == name).ok_or(Error::NotFound)?;
            let lock = entries
                .iter()
                .position(|entry| entry.name == lock && entry.parameter == LOCK_OF_AN_ARRAY);
            match lock.filter(|_| entries[at].kind == kind) {
                Some(lock) => {
                    header::remove_entry(&self.0.map, at);
                    header::remove_entry(&self.0.map, lock);
                    Ok(())
                }
                None => Err(Error::WrongType),
            }
        })
    }

    /// Finds the array of this name and kind, and its lock of the kind `lock`. An array is placed
    /// after its lock and removed before it, and no place in memory is used twice: if the lock is
    /// the same before and after, the array that was seen in between is its own.
    pub(crate) fn find_array(&self, name: &str, kind: u64, lock: u64) -> Result<[Block; 2]> {
        let lock_name = name_of_lock(name);
        for _ in 0..ATTEMPTS {
            let before = self.find(&lock_name, lock)?;
            if before.parameter() != LOCK_OF_AN_ARRAY {
                return Err(Error::WrongType);
            }
            let array = self.find(name, kind)?;
            if self.find(&lock_name, lock)?.offset() == before.offset() {
                return Ok([array, before]);
            }
        }
        Err(Error::Busy)
    }

    /// Finds an object of this kind.
    pub(crate) fn find(&self, name: &str, kind: u64) -> Result<Block> {
        let name = object_name(name)?;
        let entry =
            self.entries()?.into_iter().find(|entry| entry.name == name).ok_or(Error::NotFound)?;
        if entry.kind != kind {
            return Err(Error::WrongType);
        }
        Ok(Block::new(self, &entry))
    }

    /// The name in this segment of the object that a block belongs to.
    #[cfg(feature = "process")]
    pub(crate) fn name_of(&self, block: &Block) -> Result<String> {
        let offset = block.offset();
        let named = |entry: &Entry| !entry.is_free() && entry.offset == offset;
        let entry = self.entries()?.into_iter().find(named);
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
        match mutex::lock(word, self, Deadline::after(LOCK_TIMEOUT)) {
            Ok(mutex::Locked::Clean) => {}
            // Nothing to repair: an object that the dead owner did not count does not exist.
            Ok(mutex::Locked::OwnerDied) => mutex::mark_consistent(word, self),
            Err(mutex::Refused::TimedOut) => return Err(Error::Busy),
            Err(mutex::Refused::NotRecoverable) => return Err(Error::Corrupted),
            Err(mutex::Refused::NotAttached) => return Err(Error::TooManyParticipants),
        }
        let done = act();
        mutex::unlock(word, self);
        done
    }

    #[inline(always)]
    fn map(&self) -> &Mapping {
        &self.0.map
    }
}

impl Platform for Segment {
    #[inline(always)]
    fn me(&self) -> u32 {
        self.0.identity()
    }

    fn is_dead(&self, identity: u32) -> bool {
        // A forked child becomes a participant first: else it would look through its parent's
        // description. Unknown is not dead.
        self.me();
        self.0.member.life(&self.0.map, identity) == Life::Dead
    }

    fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        bound: Duration,
        deadline: Option<Deadline>,
    ) -> Slept {
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
        f.debug_struct("Segment")
            .field("size", &self.size())
            .field("memfd", &self.0.memfd)
            .finish_non_exhaustive()
    }
}

/// An object to place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u64,
    pub(crate) size: usize,
    pub(crate) parameter: u64,
}

/// One object's memory, and the other participants as its algorithms see them. Offsets are relative
/// to it, and checked against it.
#[derive(Clone, Debug)]
pub(crate) struct Block {
    /// Keeps `view` mapped and `identity` where it is.
    segment: Segment,
    view: View,
    identity: NonNull<AtomicU32>,
    /// The parameter in the object's entry, written by its creator: a number from outside.
    parameter: u64,
}

// SAFETY: `identity` points to an atomic that lives as long as the segment, which the block owns.
unsafe impl Send for Block {}
// SAFETY: `identity` is an atomic, which threads may share.
unsafe impl Sync for Block {}

impl Block {
    fn new(segment: &Segment, entry: &Entry) -> Self {
        let Entry { offset, size: len, parameter, .. } = *entry;
        let segment = segment.clone();
        // SAFETY: the block owns a handle to the segment, and with it the mapping.
        let view = unsafe { segment.map().view(offset, len) };
        let identity = NonNull::from(segment.0.member.word());
        Self { segment, view, identity, parameter }
    }

    /// Returns an error unless the object has exactly the size that its type and parameter require.
    pub(crate) fn expect_size(self, size: Option<usize>) -> Result<Self> {
        if size == Some(self.len()) { Ok(self) } else { Err(Error::WrongType) }
    }

    pub(crate) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// A handle of the same object that does not hold the segment's name: for a thread of ours.
    pub(crate) fn nameless(&self) -> Self {
        Self {
            segment: self.segment.nameless(),
            view: self.view,
            identity: self.identity,
            parameter: self.parameter,
        }
    }

    /// Returns the offset of the object in the segment.
    pub(crate) fn offset(&self) -> usize {
        self.view.distance(self.segment.map())
    }

    pub(crate) fn parameter(&self) -> u64 {
        self.parameter
    }

    /// Whether this process is the participant with this identity, which is not 0. In a forked
    /// child that has not used the segment yet, no identity is ours, and asking does not make the
    /// child a participant.
    #[inline(always)]
    pub(crate) fn is_us(&self, identity: u32) -> bool {
        debug_assert_ne!(identity, 0, "what is held was acquired by a participant");
        // SAFETY: the word lives as long as the segment. Relaxed: the identity is a number that
        // this process wrote; nothing is published through it.
        unsafe { self.identity.as_ref() }.load(Ordering::Relaxed) & IDENTITY == identity
    }

    /// Becomes a participant if this process is none yet. Returns its identity, or 0.
    // Never inline: every fast path asks for the identity.
    #[cold]
    #[inline(never)]
    fn become_one(&self) -> u32 {
        self.segment.me()
    }
}

impl Deref for Block {
    type Target = View;

    #[inline(always)]
    fn deref(&self) -> &View {
        &self.view
    }
}

impl Platform for Block {
    #[inline(always)]
    fn me(&self) -> u32 {
        // SAFETY: the word lives as long as the segment. Relaxed: the identity is a number that
        // this process wrote; other processes judge it by the locks of the kernel.
        let identity = unsafe { self.identity.as_ref() }.load(Ordering::Relaxed);
        if identity & IDENTITY != 0 { identity } else { self.become_one() }
    }

    fn is_dead(&self, identity: u32) -> bool {
        self.segment.is_dead(identity)
    }

    fn sleep(
        &self,
        word: &AtomicU32,
        expected: u32,
        bound: Duration,
        deadline: Option<Deadline>,
    ) -> Slept {
        self.segment.sleep(word, expected, bound, deadline)
    }

    fn wake(&self, word: &AtomicU32, count: u32) -> usize {
        self.segment.wake(word, count)
    }

    #[inline(always)]
    fn fence_after_change(&self) {
        if cfg!(target_arch = "x86_64") {
            // SeqCst, as of the other fence: a locked instruction is a full fence for this
            // processor, so only the compiler needs one.
            atomic::compiler_fence(Ordering::SeqCst);
        } else {
            // SeqCst: between a change and the look for waiters, which must not trade places.
            atomic::fence(Ordering::SeqCst);
        }
    }
}

fn object_name(name: &str) -> Result<[u8; header::NAME]> {
    let bytes = name.as_bytes();
    if bytes.is_empty()
        || bytes.len() >= header::NAME
        || bytes.contains(&0)
        || bytes.contains(&b'/')
    {
        return Err(Error::BadName);
    }
    let mut padded = [0; header::NAME];
    padded[..bytes.len()].copy_from_slice(bytes);
    Ok(padded)
}

fn allocate(size: usize) -> Result<(OwnedFd, Mapping)> {
    let len = size
        .checked_next_multiple_of(4096)
        .and_then(|size| size.checked_add(OBJECTS))
        .filter(|len| size > 0 && i64::try_from(*len).is_ok())
        .ok_or(Error::BadSize)?;
    // Checked before: a memfd has no limit of its own, and the system would kill processes to make
    // room before it refused.
    if procfs::available_memory().is_some_and(|available| len > available) {
        return Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
    }
    let memfd =
        memfd_create("sync-ipc", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).or_io()?;
    files::allocate(&memfd, 0..len as u64)?;
    fcntl_add_seals(&memfd, SEALS).or_io()?;
    let map = Mapping::new(&memfd, len)?;
    header::initialise(&map, nonce()?);
    Ok((memfd, map))
}

fn nonce() -> Result<Nonce> {
    let nonce = u128::from_ne_bytes(random()?);
    Ok([(nonce >> 64) as u64, nonce as u64])
}

/// Maps memory that another process made, once it is known not to shrink and to have a header.
///
/// Nothing is allocated for it: memory of which a part is missing is refused, since the first
/// access to that part would be charged to us, or be a SIGBUS.
fn attach(memfd: &OwnedFd) -> Result<Mapping> {
    if !fcntl_get_seals(memfd).map_err(|_| Error::NotASegment("not a memfd"))?.contains(SEALS) {
        return Err(Error::NotASegment("not sealed against shrinking and growing"));
    }
    let about = fstat(memfd).or_io()?;
    let len = usize::try_from(about.st_size).map_err(|_| Error::BadSize)?;
    if len <= OBJECTS || len % 4096 != 0 {
        return Err(Error::NotASegment("truncated"));
    }
    header::check(memfd, len)?;
    // In units of 512 bytes; what is swapped out is counted too.
    if u64::try_from(about.st_blocks).unwrap_or(0) < len as u64 / 512 {
        return Err(Error::NotASegment("its memory is not allocated"));
    }
    Mapping::new(memfd, len)
}
