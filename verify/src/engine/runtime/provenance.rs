//! The thread that made an object, and when.
//!
//! The initialisation of an atomic or a cell is a write that is not atomic: an access by another
//! thread has to come after it in happens-before, or it is a race. Constructors are `const fn` and
//! cannot say that they run. But an object cannot be older than the memory that it lies in:
//!
//! * A block of the heap was allocated by some thread between two of its events ([`Heap`], the
//!   allocator of programs that have this crate in them, makes a note of it).
//! * A place on the stack of a thread was not in use at the last event of the thread at which the
//!   stack was shorter than that.
//!
//! Both are bounds from below: an access that does not come after the allocation does not come
//! after the initialisation either. So nothing is reported falsely. Statics, and what was made
//! before the execution began, come before everything. A race that stands between allocation and
//! initialisation only (memory that is shared before there is anything in it) is not seen.
//!
//! Memory that a thread of the model frees is kept to the end of the execution: no address is used
//! twice, so that a compare-exchange of addresses never takes a new object for one that is gone,
//! and an access of an atomic, a lock or a cell in freed memory is found, and harmless. It is found
//! when it is run after the free; which of two unordered steps is run first is not explored.

use crate::engine::memory_model::event::Id;
use crate::engine::memory_model::graph::HB;
use crate::engine::report::failure;
use crate::engine::runtime::Runtime;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::Location;

/// A stretch between two events of a thread, in which something was made. Epoch 0: before
/// everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Provenance {
    pub tid: u32,
    pub epoch: u32,
    /// The step of the thread before it.
    pub site: &'static Location<'static>,
}

/// Memory that was allocated in this execution.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    start: usize,
    len: usize,
    provenance: Provenance,
}

/// Memory that was freed in this execution, and is given back at its end.
#[derive(Debug)]
struct Freed {
    start: *mut u8,
    layout: Layout,
    by: Provenance,
}

#[derive(Debug, Default)]
struct Lists {
    /// Allocated blocks, oldest first.
    blocks: Vec<Block>,
    /// Freed blocks, by address.
    freed: BTreeMap<usize, Freed>,
}

/// The blocks of an execution. Not behind a reference: the allocator adds to them whatever else is
/// going on.
#[derive(Debug)]
pub(crate) struct Blocks(*mut Lists);

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks(Box::into_raw(Box::default()))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        self.forget();
        // SAFETY: it was made by `default`, and no mark has it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Blocks {
    /// Calls `f` with the list, to which no other thread adds meanwhile.
    fn with<R>(&self, f: impl FnOnce(&mut Lists) -> R) -> R {
        let mark = MARK.take();
        // SAFETY: the list is alive, and only this thread of the system touches it: the allocator
        // only while a mark is set.
        let value = f(unsafe { &mut *self.0 });
        MARK.set(mark);
        value
    }

    pub(in crate::engine) fn forget(&self) {
        self.with(|lists| {
            lists.blocks.clear();
            for (_, freed) in std::mem::take(&mut lists.freed) {
                // SAFETY: a thread of the model gave it up in `dealloc`, with this layout.
                unsafe { System.dealloc(freed.start, freed.layout) };
            }
        });
    }
}

/// The state that the allocator needs while code of the model runs.
#[derive(Clone, Copy)]
struct Mark {
    blocks: *mut Lists,
    provenance: Provenance,
}

thread_local! {
    static MARK: Cell<Option<Mark>> = const { Cell::new(None) };
}

/// From here on code of the current thread of the model runs.
#[inline]
pub(in crate::engine) fn enter(blocks: &Blocks, provenance: Provenance) {
    MARK.set(Some(Mark { blocks: blocks.0, provenance }));
}

/// From here on the checker's own code runs.
#[inline]
pub(in crate::engine) fn leave() {
    MARK.set(None);
}

/// Calls `f`. Its allocations belong to no thread.
pub(crate) fn before_everything<R>(f: impl FnOnce() -> R) -> R {
    let mark = MARK.get();
    if let Some(mut nobody) = mark {
        nobody.provenance.epoch = 0;
        MARK.set(Some(nobody));
    }
    let value = f();
    MARK.set(mark);
    value
}

fn note(start: *mut u8, len: usize) {
    if let Some(mark) = MARK.get().filter(|_| !start.is_null()) {
        // The list itself may have to grow.
        MARK.set(None);
        // SAFETY: the list is the runtime's, which lives as long as the mark is set, and only the
        // thread of the system that has set the mark touches it.
        unsafe {
            let blocks = &mut (*mark.blocks).blocks;
            blocks.push(Block { start: start.addr(), len, provenance: mark.provenance });
        };
        MARK.set(Some(mark));
    }
}

/// Keeps a block that a thread of the model frees, if it was allocated in this execution. Says
/// whether it was.
fn keep(start: *mut u8, layout: Layout) -> bool {
    let Some(mark) = MARK.take() else { return false };
    // SAFETY: as in `note`.
    let lists = unsafe { &mut *mark.blocks };
    let known = lists.blocks.iter().rev().any(|block| block.start == start.addr());
    if known {
        lists.freed.insert(start.addr(), Freed { start, layout, by: mark.provenance });
    }
    MARK.set(Some(mark));
    known
}

/// The system's allocator, with a note of who allocates what in a model.
#[derive(Debug)]
struct Heap;

#[cfg(feature = "allocator")]
#[global_allocator]
static HEAP: Heap = Heap;

// SAFETY: all is done by the system's allocator.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        let ptr = unsafe { System.alloc(layout) };
        note(ptr, layout.size());
        ptr
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller says.
        let ptr = unsafe { System.alloc_zeroed(layout) };
        note(ptr, layout.size());
        ptr
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if MARK.get().is_none() {
            // SAFETY: as the caller says.
            return unsafe { System.realloc(ptr, layout, size) };
        }
        // As the default of the trait: the old block is freed, not reused.
        // SAFETY: as the caller says: the size is not zero and fits the alignment.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both blocks are that long, and they are different blocks.
            unsafe { std::ptr::copy_nonoverlapping(ptr, new, layout.size().min(size)) };
            // SAFETY: as the caller says.
            unsafe { self.dealloc(ptr, layout) };
        }
        new
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        if keep(ptr, layout) {
            return;
        }
        // SAFETY: as the caller says.
        unsafe { System.dealloc(ptr, layout) };
    }
}

impl Runtime {
    /// The earliest point at which an object at this address can have been made.
    pub(in crate::engine) fn provenance_of(&self, address: usize) -> Option<Provenance> {
        // Memory that was freed may have been allocated again: the last one counts.
        let holds = |b: &&Block| (b.start..b.start + b.len).contains(&address);
        if let Some(block) =
            self.blocks.with(|lists| lists.blocks.iter().rev().find(holds).copied())
        {
            return (block.provenance.epoch > 0).then_some(block.provenance);
        }
        let tid = self.on_stack_of(address)?;
        let lengths = &self.stack_ends[tid as usize];
        let thread = &self.ex.graph.threads[tid as usize];
        let last = lengths.iter().rposition(|&end| end > address);
        let site = last
            .map_or(self.began_at(tid), |last| self.ex.graph.ev(thread.events[last]).label.site);
        Some(Provenance { tid, epoch: last.map_or(1, |last| last as u32 + 2), site })
    }

    /// An object at this address is made again by the current thread: it has been written to by
    /// the thread that owns it alone.
    pub(in crate::engine) fn made_again(&mut self, address: usize) {
        let provenance = self.provenance_now();
        let block = Block { start: address, len: 1, provenance };
        self.blocks.with(|lists| lists.blocks.push(block));
    }

    /// Fails when the current thread accesses an object at an address that was freed. Says whether
    /// it did.
    pub(in crate::engine) fn is_freed(
        &mut self,
        address: usize,
        site: &'static Location<'static>,
    ) -> bool {
        let freed = self.blocks.with(|lists| {
            let (start, freed) = lists.freed.range(..=address).next_back()?;
            (address < start + freed.layout.size()).then_some(freed.by)
        });
        let Some(by) = freed else { return false };
        self.fail(failure::Kind::Freed { freed: (by.tid, by.site), access: (self.cur(), site) });
        true
    }

    /// Returns whether the event `id` comes after something was made.
    pub(in crate::engine) fn after_provenance(&self, id: Id, provenance: &Provenance) -> bool {
        self.ex.graph.ev(id).tid == provenance.tid
            || self
                .ex
                .graph
                .clock(id, HB)
                .get(provenance.tid as usize)
                .is_some_and(|&c| c >= provenance.epoch)
    }
}
