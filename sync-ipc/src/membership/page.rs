//! Pages that are wiped at a fork: what this process is in a segment, and its children are not.
//!
//! The kernel wipes them (`MADV_WIPEONFORK`), after a bare `clone` too. Some kernels do not know
//! that advice, and some that are not Linux's own (emulators of user programs among them) take it
//! and do nothing: a child would be its parent, and hold its locks. So a fork handler
//! (`pthread_atfork`) wipes them once more, where anything is left to wipe.
//!
//! It finds them in [`RECORDS`], which changes while other threads fork. A record is made once and
//! never freed; it names a page from before the page is given out until before it is unmapped. So
//! the child of a fork at any moment finds only pages that are mapped in it, and each page that one
//! of its own threads, the one that forked, can have been given.

use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use sync_core::fork;
use sync_core::primitive::atomic::{AtomicU32, AtomicU64};

/// The words of the page of a member.
#[repr(C)]
struct Words {
    identity: AtomicU32,
    name_record: AtomicU32,
    namespace: AtomicU64,
}

/// A page for one member.
#[derive(Debug)]
pub(super) struct Page {
    words: NonNull<Words>,
    record: &'static Record,
}

/// A place in the list of pages. Not modelled atomics, here and in the list: no model forks.
#[derive(Debug)]
struct Record {
    /// Null: free for another page.
    words: AtomicPtr<Words>,
    next: Option<&'static Record>,
}

/// The newest record; the others follow.
static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());

impl Page {
    const SIZE: usize = 4096;

    pub(super) fn new() -> rustix::io::Result<Self> {
        wipe_at_forks();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let at =
            unsafe { mmap_anonymous(ptr::null_mut(), Self::SIZE, protection, MapFlags::PRIVATE)? };
        let words = NonNull::new(at.cast()).ok_or(Errno::NOMEM)?;
        let page = Self { words, record: Record::naming(words) };
        // SAFETY: the page just mapped, to which there is no reference yet.
        match unsafe { madvise(at, Self::SIZE, Advice::LinuxWipeOnFork) } {
            // The kernel does not know the advice.
            Ok(()) | Err(Errno::INVAL) => Ok(page),
            Err(error) => Err(error),
        }
    }

    #[inline(always)]
    fn words(&self) -> &Words {
        // SAFETY: mapped, aligned to a page and of atomics until `self` is dropped. It is wiped in
        // a fresh process, before any code of users is run there.
        unsafe { self.words.as_ref() }
    }

    #[inline(always)]
    pub(super) fn identity(&self) -> &AtomicU32 {
        &self.words().identity
    }

    pub(super) fn name_record(&self) -> &AtomicU32 {
        &self.words().name_record
    }

    /// The number of this process's PID namespace, 0 if it is not known.
    pub(super) fn namespace(&self) -> &AtomicU64 {
        &self.words().namespace
    }
}

// SAFETY: atomic words.
unsafe impl Send for Page {}
// SAFETY: atomic words.
unsafe impl Sync for Page {}

impl Drop for Page {
    fn drop(&mut self) {
        // Release: what this thread did with the record comes before its next use. In the order of
        // this thread, before the page is unmapped.
        self.record.words.store(ptr::null_mut(), Ordering::Release);
        // SAFETY: ours, and no longer borrowed. An error would mean that it is not mapped: nothing
        // to undo.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), Self::SIZE) };
    }
}

/// The record that `at` points to, if it points to one.
fn record_at(at: *mut Record) -> Option<&'static Record> {
    // SAFETY: null, or a record that was leaked before its pointer was stored with Release; both
    // callers load it with Acquire, or have no other thread.
    unsafe { at.as_ref() }
}

impl Record {
    /// A record that names the page, free before or new.
    fn naming(words: NonNull<Words>) -> &'static Self {
        let words = words.as_ptr();
        // Acquire: pairs with the Release below, for what is in the record.
        let first = record_at(RECORDS.load(Ordering::Acquire));
        let mut next = first;
        while let Some(record) = next {
            // Acquire: pairs with the Release of the drop that freed it. Relaxed: it is not free.
            let taken = record.words.compare_exchange(
                ptr::null_mut(),
                words,
                Ordering::Acquire,
                Ordering::Relaxed,
            );
            if taken.is_ok() {
                return record;
            }
            next = record.next;
        }
        let mut record = Box::new(Self { words: AtomicPtr::new(words), next: first });
        loop {
            let at = record.next.map_or(ptr::null(), ptr::from_ref).cast_mut();
            let new = Box::into_raw(record);
            // Release: publishes the complete record. Acquire: pairs with that Release, in the
            // thread that stored the record which came between.
            match RECORDS.compare_exchange(at, new, Ordering::Release, Ordering::Acquire) {
                // SAFETY: leaked just now, and only shared from here on.
                Ok(_) => return unsafe { &*new },
                Err(newer) => {
                    // SAFETY: made by `into_raw` above, and given to no other thread.
                    record = unsafe { Box::from_raw(new) };
                    record.next = record_at(newer);
                }
            }
        }
    }
}

/// Registers the fork handler, once for a process and its children.
fn wipe_at_forks() {
    extern "C" fn in_child() {
        // Relaxed, all: the child has one thread. Atomics are all that a fork handler may touch.
        let mut next = record_at(RECORDS.load(Ordering::Relaxed));
        while let Some(record) = next {
            // SAFETY: null, or a page that is mapped in this child (the top of this file).
            let words = unsafe { record.words.load(Ordering::Relaxed).as_ref() };
            // One look, so that a child of a parent with many segments copies no page.
            if let Some(words) = words.filter(|words| {
                words.namespace.load(Ordering::Relaxed) != 0
                    || words.identity.load(Ordering::Relaxed) != 0
                    || words.name_record.load(Ordering::Relaxed) != 0
            }) {
                words.identity.store(0, Ordering::Relaxed);
                words.name_record.store(0, Ordering::Relaxed);
                words.namespace.store(0, Ordering::Relaxed);
            }
            next = record.next;
        }
    }
    static REGISTERED: AtomicBool = AtomicBool::new(false);
    // SAFETY: it touches atomics only. To wipe twice is harmless; without memory for the handler
    // the kernel's wipe is left.
    unsafe { fork::register(&REGISTERED, in_child) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum_in_a_child(pages: &[Page]) -> i32 {
        // SAFETY: the child loads words and ends.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let words = pages.iter().map(Page::words).map(|words| {
                u64::from(words.identity.load(Ordering::Relaxed))
                    + u64::from(words.name_record.load(Ordering::Relaxed))
                    + words.namespace.load(Ordering::Relaxed)
            });
            // SAFETY: ends the child.
            unsafe { libc::_exit(words.sum::<u64>() as i32) };
        }
        let mut status = 0;
        // SAFETY: waits for our own child, and writes to our own variable.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        status
    }

    /// The kernel is told to keep the pages, as one does that does not know the advice.
    #[test]
    fn a_page_that_the_kernel_keeps_is_wiped_in_the_child() {
        let mut pages = [(); 3].map(|()| Page::new().unwrap()).into_iter().collect::<Vec<_>>();
        // Its record goes to another page.
        drop(pages.remove(1));
        pages.push(Page::new().unwrap());
        pages.push(Page::new().unwrap());
        for page in &pages {
            // SAFETY: the page of this test.
            unsafe { madvise(page.words.as_ptr().cast(), Page::SIZE, Advice::LinuxKeepOnFork) }
                .unwrap();
        }
        assert_eq!(sum_in_a_child(&pages), 0);
        pages[0].identity().store(1, Ordering::Relaxed);
        pages[1].name_record().store(2, Ordering::Relaxed);
        pages[2].namespace().store(3, Ordering::Relaxed);
        pages[3].identity().store(4, Ordering::Relaxed);
        assert_eq!(sum_in_a_child(&pages), 0);
        assert_eq!(pages[3].identity().load(Ordering::Relaxed), 4, "the parent's are untouched");
    }
}
