//! The participants of a segment, and which of them still live.
//!
//! **Source.** Byte-range locks as proof of life are what databases do (SQLite's WAL index locks);
//! open-file-description locks ([`byte_lock`]) make it hold for processes with threads.
//!
//! Participant *i* holds a lock on byte *i* of the segment's memfd, through an open file
//! description of its own. The kernel releases it when the last descriptor of that description is
//! closed: at death by any cause, at once, for an unreaped zombie too, at `exec`, across PID
//! namespaces. A query costs one system call. `kill(pid, 0)` would not do (a zombie answers), and
//! neither would a thread id (reused).
//!
//! **The identity** is `generation:14 | slot + 1:16`. A participant locks the byte of its slot and
//! increments the slot's generation before it uses the identity. So a word that names (slot,
//! generation) names a dead participant if the byte is not locked, if the slot's generation is
//! another one by now, or if the participant has left: [`LEFT`] is set in the generation's word.
//!
//! **`fork` without `exec`** copies the descriptors, so the child keeps its parent's description,
//! and with it the lock, alive. Two answers:
//!
//! * The identity lives in a page that is wiped at a fork, by the kernel or by us ([`page`]). The
//!   child reads 0 there at its first use of the segment, replaces its copy of the description by a
//!   new one and claims a slot of its own. It never is its parent, and never owns what its parent
//!   held.
//! * A child that never uses the segment keeps the lock for as long as it lives. So a byte that is
//!   locked is no proof of life: then the process that the participant wrote down is judged
//!   ([`process`]).
//!
//! **Three answers.** [`Member::life`] returns alive, dead or unknown, and only *dead* lets another
//! participant take over the locks, permits and items of this one. Every query is a system call to
//! the kernel; `/proc` is needed to become a participant, and not to judge one.
//!
//! **Limits.** A word that no thread looked at while its slot was claimed 16,384 times names the
//! slot's present owner. Slots are claimed in rotation, so that takes 16,384 memberships for each
//! slot that is free meanwhile. It concerns only what a dead participant left in a word that no
//! living participant has asked for since. A peer that writes over the participants' table can make
//! the living look dead, and so break mutual exclusion; it cannot do more. A process that closes
//! the descriptors that it does not know is dead to the others.

pub(crate) mod byte_lock;
mod page;
pub(crate) mod process;

use core::mem::ManuallyDrop;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{DupFlags, Errno, dup3};
use sync_core::primitive::atomic::{AtomicU32, Ordering, fence};

use self::page::Page;
use self::process::{Life, Process};
use crate::error::{Error, OrIo, Result};
use crate::memory::Mapping;
use crate::procfs::Path;
use crate::raw::{GENERATION_SHIFT, IDENTITY, SLOT};

/// The number of participants that a segment can have at a time.
pub(crate) const SLOTS: usize = 512;

/// Bytes per participant: generation u32, pid u32, process number u64, PID namespace u64, reserved
/// u64.
const RECORD: usize = 32;
const PID: usize = 4;
const NUMBER: usize = 8;
const NAMESPACE: usize = 16;

/// Bytes of the table.
pub(crate) const TABLE: usize = SLOTS * RECORD;

const GENERATIONS: u32 = (IDENTITY >> GENERATION_SHIFT) + 1;

/// In a slot's generation: the participant of this generation has left. The next one counts on.
const LEFT: u32 = 1 << 31;

/// The mark of a thread that is claiming a slot for this process: no identity has this bit.
const JOINING: u32 = 1 << 31;

/// The offset of the participants' table in a mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    /// The offset of the records.
    pub(crate) records: usize,
    /// The offset of the number, a u32, whose remainder is the slot to try first. A hint.
    pub(crate) next: usize,
}

/// This process's membership in one segment.
#[derive(Debug)]
pub(crate) struct Member {
    /// The description that holds the lock. It is never passed on: a copy keeps us alive.
    description: OwnedFd,
    page: Page,
    table: Table,
}

impl Member {
    /// Claims a slot in the table of the mapping of `memfd`.
    pub(crate) fn join(memfd: BorrowedFd<'_>, map: &Mapping, table: Table) -> Result<Self> {
        let description = reopen(memfd)?;
        let page = Page::new().or_io()?;
        let member = Self { description, page, table };
        let identity = member.claim(map)?;
        // Release: a thread that loads the identity uses a slot whose record is complete. (One
        // thread has the member yet.)
        member.page.identity().store(identity, Ordering::Release);
        Ok(member)
    }

    /// Ends the membership in good order: the identity is dead at once, and the slot free, even if
    /// a forked child that never used the segment still has a copy of our description.
    pub(crate) fn leave(&self, map: &Mapping) {
        let slot = (self.identity_now() & SLOT) as usize;
        // 0: a forked child that never became a participant has nothing to leave.
        if (1..=SLOTS).contains(&slot) {
            let generation = map.u32(self.table.records + (slot - 1) * RECORD);
            // Release: this participant's accesses to the segment come before its end.
            generation.fetch_or(LEFT, Ordering::Release);
            byte_lock::unlock(self.description.as_fd(), slot as u64 - 1);
        }
    }

    /// Where the identity is, for a caller that looks by itself: 0 means to call
    /// [`identity`](Self::identity).
    pub(crate) fn word(&self) -> &AtomicU32 {
        self.page.identity()
    }

    /// Where this process keeps the number, plus 1, of its record in the file of the segment's
    /// name. 0 in a forked child, as the identity is.
    pub(crate) fn name_record(&self) -> &AtomicU32 {
        self.page.name_record()
    }

    /// This process's identity, 0 if it is a fork that is no participant yet.
    #[inline(always)]
    pub(crate) fn identity_now(&self) -> u32 {
        // Relaxed: the identity is only a number to us; other processes judge it by the kernel's
        // locks.
        self.page.identity().load(Ordering::Relaxed) & IDENTITY
    }

    /// This process's identity; 0 if it is a fork of a participant and could not become one itself.
    ///
    /// The first use after a fork calls `rejoining` before it claims a slot.
    #[inline(always)]
    pub(crate) fn identity(
        &self,
        map: &Mapping,
        rejoining: impl FnOnce(&AtomicU32) -> Result<()>,
    ) -> u32 {
        match self.identity_now() {
            0 => self.rejoin(map, rejoining),
            identity => identity,
        }
    }

    /// The first use after a fork.
    #[cold]
    fn rejoin(&self, map: &Mapping, rejoining: impl FnOnce(&AtomicU32) -> Result<()>) -> u32 {
        let word = self.page.identity();
        loop {
            // Acquire: pairs with the Release of the thread that stores the identity below.
            match word.compare_exchange(0, JOINING, Ordering::Acquire, Ordering::Acquire) {
                Ok(_) => break,
                Err(JOINING) => thread::sleep(Duration::from_millis(1)),
                Err(identity) => return identity,
            }
        }
        let claimed = rejoining(self.page.name_record())
            .and_then(|()| Ok(take_place(&self.description, reopen(self.description.as_fd())?)?))
            .and_then(|()| self.claim(map));
        let identity = claimed.unwrap_or(0);
        // Release: a thread that loads the identity uses a slot whose record is complete.
        word.store(identity, Ordering::Release);
        identity
    }

    fn claim(&self, map: &Mapping) -> Result<u32> {
        // Relaxed: a hint. Slots are claimed in rotation, so that a slot is reused late and its
        // generations last long.
        let first = map.u32(self.table.next).fetch_add(1, Ordering::Relaxed) as usize % SLOTS;
        for slot in (first..SLOTS).chain(0..first) {
            if byte_lock::lock(self.description.as_fd(), slot as u64)? {
                return Ok(self.register(map, slot));
            }
        }
        Err(Error::TooManyParticipants)
    }

    fn register(&self, map: &Mapping, slot: usize) -> u32 {
        let record = self.table.records + slot * RECORD;
        let process = Process::current();
        // Relaxed, here and below, where nothing else is noted: the thread has the slot and the
        // page to itself; the Release of the pid and the fence publish what it wrote.
        self.page.namespace().store(process.namespace, Ordering::Relaxed);
        // 0 while the record is being written: then only the byte's lock shows that this process
        // lives.
        map.u32(record + PID).store(0, Ordering::Relaxed);
        let generation = map.u32(record).load(Ordering::Relaxed).wrapping_add(1) % GENERATIONS;
        // Release: the kernel's lock on the slot came first. A reader that finds this generation
        // sees all that the slot's former, dead owner wrote.
        map.u32(record).store(generation, Ordering::Release);
        map.u64(record + NUMBER).store(process.number, Ordering::Relaxed);
        map.u64(record + NAMESPACE).store(process.namespace, Ordering::Relaxed);
        // Release: pairs with the Acquire in `process_of`, so that a pid is never read with another
        // participant's number.
        map.u32(record + PID).store(process.pid, Ordering::Release);
        // Release: pairs with the fence in `life`. A participant that loads this identity out of a
        // lock finds this generation in the record, not an older one, which would mean "dead".
        fence(Ordering::Release);
        generation << GENERATION_SHIFT | (slot as u32 + 1)
    }

    fn process_of(&self, map: &Mapping, slot: usize) -> Process {
        let record = self.table.records + slot * RECORD;
        // Acquire: pairs with the Release in `register`.
        let pid = map.u32(record + PID).load(Ordering::Acquire);
        Process {
            pid,
            number: map.u64(record + NUMBER).load(Ordering::Relaxed),
            namespace: map.u64(record + NAMESPACE).load(Ordering::Relaxed),
        }
    }

    /// Whether the participant with this identity lives.
    pub(crate) fn life(&self, map: &Mapping, identity: u32) -> Life {
        let ours = self.identity_now();
        if ours != 0 && identity == ours {
            return Life::Alive;
        }
        let slot = (identity & SLOT) as usize;
        if slot == 0 || slot > SLOTS {
            // No participant has this identity, and none ever releases what it holds.
            return Life::Dead;
        }
        let slot = slot - 1;
        // Acquire, the fence: pairs with the one in `register`, if the identity was loaded out of
        // a word that its owner wrote. Acquire, the load: pairs with the Releases of the generation
        // in `register` and `leave`: "dead" is returned after all that the dead wrote.
        fence(Ordering::Acquire);
        let generation = map.u32(self.table.records + slot * RECORD).load(Ordering::Acquire);
        if generation & LEFT != 0 || generation % GENERATIONS != identity >> GENERATION_SHIFT {
            return Life::Dead;
        }
        if ours == 0 {
            // Our description may be our parent's, to which its own lock is none.
            return Life::Unknown;
        }
        match byte_lock::is_locked(self.description.as_fd(), slot as u64) {
            Ok(false) => Life::Dead,
            Ok(true) => {
                // Relaxed: this process wrote it before its identity, which was loaded above.
                let namespace = self.page.namespace().load(Ordering::Relaxed);
                self.process_of(map, slot).life(namespace)
            }
            Err(_) => Life::Unknown,
        }
    }

    /// The pid that a participant wrote down, unless the participant is dead. For messages only.
    pub(crate) fn pid_of(&self, map: &Mapping, identity: u32) -> Option<u32> {
        let slot = (identity & SLOT) as usize;
        if slot == 0 || slot > SLOTS || self.life(map, identity) == Life::Dead {
            return None;
        }
        Some(self.process_of(map, slot - 1).pid)
    }
}

/// A new description for the file behind `fd`.
pub(crate) fn reopen(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let path = Path::new().text("/proc/self/fd/").number(fd.as_raw_fd().unsigned_abs().into());
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    match open(path.as_c_str(), flags, Mode::empty()) {
        Err(Errno::NOENT) => {
            Err(io::Error::new(io::ErrorKind::NotFound, "/proc is not mounted here"))
        }
        other => other.or_io(),
    }
}

/// Closes the description behind `descriptor` and gives its number to that of `fresh`.
pub(crate) fn take_place(descriptor: &OwnedFd, fresh: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is closed once, by its owner: this copy is never dropped. `dup3` wants
    // an owned descriptor to replace, and the number stays open and its owner's.
    let mut place = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(descriptor.as_raw_fd()) });
    dup3(&fresh, &mut place, DupFlags::CLOEXEC).or_io()
}
