//! Who takes part in a segment, and who of them still lives.
//!
//! **Source.** Byte-range locks as proof of life are what databases do (SQLite's WAL index locks);
//! open-file-description locks (`F_OFD_SETLK`, Linux 3.15) make it hold for processes with threads.
//!
//! Participant *i* holds a lock on byte *i* of the segment's memfd, through an open file
//! description of its own. The kernel frees it when the last descriptor of that description goes:
//! at death by any cause, at once, for an unreaped zombie too, at `exec`, across PID namespaces.
//! Asking costs one system call. Not POSIX locks (closing any descriptor of the file drops them
//! all), not `kill(pid, 0)` (a zombie answers), not a thread id (reused).
//!
//! **The identity** is `generation:14 | slot + 1:16`. Who claims a slot has its byte's lock and
//! counts the slot's generation up before it uses the identity. So a word that names (slot,
//! generation) names a dead participant if the byte is not locked, or the slot's generation is
//! another one by now.
//!
//! **`fork` without `exec`** copies the descriptors, so the child keeps its parent's description,
//! and with it the lock, alive. Two answers:
//!
//! * The identity lives in a page that the kernel wipes at a fork (`MADV_WIPEONFORK`). The child
//!   finds 0 there at its first use of the segment, replaces its copy of the description by a new
//!   one and claims a slot of its own. It never is its parent, and never owns what that held.
//! * A child that never uses the segment keeps the lock for as long as it lives. So a byte that is
//!   locked is no proof of life: then the pid that the participant wrote down (with its start time
//!   and PID namespace) is asked through a pidfd.
//!
//! **Limits, said plainly.** A word that nobody looked at while its slot was reused 16,384 times
//! names the wrong participant. A peer that scribbles over the participants' table can make the
//! living look dead, and so break mutual exclusion; it cannot do more.

use core::ptr::NonNull;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, dup3};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use sync_core::primitive::atomic::{AtomicU32, Ordering};

use crate::error::{Error, Result};
use crate::procfs::{Path, namespace, start_time};
use crate::raw::{GENERATION_SHIFT, IDENTITY, SLOT};
use crate::memory::Mapping;

/// How many participants a segment can have at a time.
pub(crate) const SLOTS: usize = 512;

/// Bytes per participant: generation u32, pid u32, start time u64, PID namespace u64, reserved u64.
const RECORD: usize = 32;
const PID: usize = 4;
const START: usize = 8;
const NAMESPACE: usize = 16;

/// Bytes of the table.
pub(crate) const TABLE: usize = SLOTS * RECORD;

const GENERATIONS: u32 = (IDENTITY >> GENERATION_SHIFT) + 1;

/// The mark of a thread that is claiming a slot for this process: no identity has this bit.
const JOINING: u32 = 1 << 31;

/// This process's membership in one segment.
#[derive(Debug)]
pub(crate) struct Member {
    /// The description that holds the lock. Never given to anybody: who has a copy keeps us alive.
    description: OwnedFd,
    page: Page,
    /// Where the table is in the mapping.
    table: usize,
}

impl Member {
    /// Claims a slot in the table at `table` of the mapping of `memfd`.
    pub(crate) fn join(memfd: BorrowedFd<'_>, map: &Mapping, table: usize) -> Result<Self> {
        let description = reopen(memfd)?;
        let page = Page::new()?;
        let member = Self { description, page, table };
        let identity = member.claim(map)?;
        // Release: whoever loads the identity uses a slot whose record is complete. (One thread has
        // the member yet.)
        member.page.word().store(identity, Ordering::Release);
        Ok(member)
    }

    /// Ends the membership in good order: the slot's generation goes on, so that our identity is
    /// dead at once, even if a forked child that never used the segment still has a copy of our
    /// description.
    pub(crate) fn leave(&self, map: &Mapping) {
        let identity = self.page.word().load(Ordering::Relaxed) & IDENTITY;
        let slot = (identity & SLOT) as usize;
        // 0: a forked child that never became a participant has nothing to leave.
        if (1..=SLOTS).contains(&slot) {
            let generation = map.u32(self.table + (slot - 1) * RECORD);
            // Release: what we did with the segment comes before our end.
            generation.store(generation.load(Ordering::Relaxed).wrapping_add(1) % GENERATIONS, Ordering::Release);
        }
    }

    /// Where the identity is, for who wants to look by itself: 0 means to ask
    /// [`identity`](Self::identity).
    pub(crate) fn word(&self) -> &AtomicU32 {
        self.page.word()
    }

    /// This process's identity; 0 if it is a fork of a participant and could not become one itself.
    #[inline(always)]
    pub(crate) fn identity(&self, map: &Mapping) -> u32 {
        // Relaxed: the identity is only a number to us; other processes judge it by the kernel's
        // locks.
        let identity = self.page.word().load(Ordering::Relaxed);
        if identity & IDENTITY != 0 { identity } else { self.rejoin(map) }
    }

    /// The first use after a fork.
    #[cold]
    fn rejoin(&self, map: &Mapping) -> u32 {
        loop {
            match self.page.word().compare_exchange(0, JOINING, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(JOINING) => thread::sleep(Duration::from_millis(1)),
                Err(identity) => return identity,
            }
        }
        let identity = self.leave_parent().and_then(|()| self.claim(map)).unwrap_or(0);
        self.page.word().store(identity, Ordering::Release);
        identity
    }

    /// Puts a description of our own in the place of the one we share with our parent, under the
    /// same number.
    fn leave_parent(&self) -> Result<()> {
        let fresh = reopen(self.description.as_fd())?;
        // `dup3` wants an owned descriptor to replace; this one stays `description`'s.
        let mut same_number = core::mem::ManuallyDrop::new(self.duplicate_handle());
        dup3(&fresh, &mut same_number, rustix::io::DupFlags::CLOEXEC)?;
        Ok(())
    }

    fn duplicate_handle(&self) -> OwnedFd {
        // SAFETY: the caller wraps it in `ManuallyDrop`, so the descriptor is closed once, by
        // `self.description`.
        unsafe { std::os::fd::FromRawFd::from_raw_fd(self.description.as_raw_fd()) }
    }

    fn claim(&self, map: &Mapping) -> Result<u32> {
        // Not lowest first by a constant start: a slot is reused late, so its generations last
        // longer.
        let first = getpid().as_raw_nonzero().get().unsigned_abs() as usize % SLOTS;
        for slot in (first..SLOTS).chain(0..first) {
            if lock_byte(self.description.as_fd(), slot)? {
                return self.register(map, slot);
            }
        }
        Err(Error::TooManyParticipants)
    }

    fn register(&self, map: &Mapping, slot: usize) -> Result<u32> {
        let record = self.table + slot * RECORD;
        let pid = getpid().as_raw_nonzero().get().unsigned_abs();
        let start = start_time(pid)?;
        // Unknown while the record is being written: then only the byte's lock speaks for us.
        map.u32(record + PID).store(0, Ordering::Relaxed);
        let generation = map.u32(record).load(Ordering::Relaxed).wrapping_add(1) % GENERATIONS;
        map.u32(record).store(generation, Ordering::SeqCst);
        map.u64(record + START).store(start, Ordering::Relaxed);
        map.u64(record + NAMESPACE).store(namespace()?, Ordering::Relaxed);
        // Release: pairs with the Acquire in `is_dead`, so that a pid is never read with another
        // participant's start time.
        map.u32(record + PID).store(pid, Ordering::Release);
        Ok(generation << GENERATION_SHIFT | (slot as u32 + 1))
    }

    /// Whether the participant with this identity has ended.
    pub(crate) fn is_dead(&self, map: &Mapping, identity: u32) -> bool {
        if identity == self.identity(map) {
            return false;
        }
        let slot = (identity & SLOT) as usize;
        if slot == 0 || slot > SLOTS {
            // Nobody's: only a scribbler writes that, and it will never let go.
            return true;
        }
        let slot = slot - 1;
        let record = self.table + slot * RECORD;
        // SeqCst: the system calls around it order more than any fence; said so that nobody relies
        // on less.
        if map.u32(record).load(Ordering::SeqCst) % GENERATIONS != identity >> GENERATION_SHIFT {
            return true;
        }
        if !byte_is_locked(self.description.as_fd(), slot as u64) {
            return true;
        }
        // Acquire: pairs with the Release in `register`.
        let pid = map.u32(record + PID).load(Ordering::Acquire);
        let start = map.u64(record + START).load(Ordering::Relaxed);
        let theirs = map.u64(record + NAMESPACE).load(Ordering::Relaxed);
        pid != 0 && namespace().is_ok_and(|ours| ours == theirs) && has_ended(pid, start)
    }

    /// The pid that a participant wrote down, if it lives. For messages only.
    pub(crate) fn pid_of(&self, map: &Mapping, identity: u32) -> Option<u32> {
        let slot = (identity & SLOT) as usize;
        if slot == 0 || slot > SLOTS || self.is_dead(map, identity) {
            return None;
        }
        Some(map.u32(self.table + (slot - 1) * RECORD + PID).load(Ordering::Relaxed))
    }
}

/// A description of our own for the file behind `fd`.
pub(crate) fn reopen(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = Path::new().text("/proc/self/fd/").number(fd.as_raw_fd().unsigned_abs().into());
    Ok(open(path.as_c_str(), OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty())?)
}

/// The one word of a page that the kernel wipes at a fork.
#[derive(Debug)]
struct Page(NonNull<u8>);

impl Page {
    const SIZE: usize = 4096;

    fn new() -> Result<Self> {
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let at = unsafe { mmap_anonymous(core::ptr::null_mut(), Self::SIZE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)? };
        let page = Self(NonNull::new(at.cast()).ok_or(Errno::NOMEM)?);
        // SAFETY: the page just mapped, to which nobody has a reference yet.
        unsafe { madvise(at, Self::SIZE, Advice::LinuxWipeOnFork)? };
        Ok(page)
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: mapped and aligned to a page until `self` is dropped; accessed by this atomic
        // only. The kernel's wipe happens in a fresh process before any of its instructions.
        unsafe { self.0.cast().as_ref() }
    }
}

// SAFETY: one atomic word.
unsafe impl Send for Page {}
// SAFETY: one atomic word.
unsafe impl Sync for Page {}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody borrows it any more. An error would mean it is not mapped:
        // nothing to undo.
        let _ = unsafe { munmap(self.0.as_ptr().cast(), Self::SIZE) };
    }
}

fn whole_byte(kind: i32, at: u64) -> libc::flock {
    // SAFETY: plain integers; zero is what the kernel asks of `l_pid` for locks of this kind.
    let mut lock: libc::flock = unsafe { core::mem::zeroed() };
    lock.l_type = kind as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    lock.l_start = at as libc::off_t;
    lock.l_len = 1;
    lock
}

/// Locks a byte through this description; `false` if another description has it. Never waits.
pub(crate) fn lock_byte(fd: BorrowedFd<'_>, at: usize) -> io::Result<bool> {
    change_lock(fd, libc::F_WRLCK, at as u64)
}

/// Shares a byte with other descriptions that share it. Never waits.
pub(crate) fn share_byte(fd: BorrowedFd<'_>, at: u64) -> io::Result<()> {
    if change_lock(fd, libc::F_RDLCK, at)? {
        return Ok(());
    }
    // A peer locked it for itself alone, which none of ours does.
    Err(io::ErrorKind::ResourceBusy.into())
}

/// Lets go of a byte.
pub(crate) fn unlock_byte(fd: BorrowedFd<'_>, at: usize) {
    // Unlocking fails only for a descriptor that is not open.
    let _ = change_lock(fd, libc::F_UNLCK, at as u64);
}

fn change_lock(fd: BorrowedFd<'_>, kind: i32, at: u64) -> io::Result<bool> {
    let lock = whole_byte(kind, at);
    loop {
        // SAFETY: an open descriptor and a complete `flock`. By `libc`, since rustix has no locks
        // of open file descriptions.
        if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &lock) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => return Ok(false),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

/// Whether another description has the byte locked or shared.
pub(crate) fn byte_is_locked(fd: BorrowedFd<'_>, at: u64) -> bool {
    let mut lock = whole_byte(libc::F_WRLCK, at);
    // SAFETY: as in `change_lock`; the kernel writes its answer into the `flock`.
    let done = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &mut lock) } == 0;
    // Not knowing means alive: a lock is never taken from somebody on a guess.
    !done || lock.l_type != libc::F_UNLCK as libc::c_short
}

/// Whether the process is known to have ended. A zombie has: a pidfd of it is readable.
fn has_ended(pid: u32, start: u64) -> bool {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => true,
        Err(_) => false,
        Ok(pidfd) => {
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            let exited = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0);
            exited || start_time(pid.as_raw_nonzero().get().unsigned_abs()).is_ok_and(|theirs| theirs != start)
        }
    }
}
