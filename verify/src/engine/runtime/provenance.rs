//! Who made an object, and when.
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

use crate::engine::memory_model::event::Id;
use crate::engine::memory_model::graph::HB;
use crate::engine::runtime::Runtime;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
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

/// The blocks of an execution, oldest first. Not behind a reference: the allocator adds to them
/// whatever else is going on.
#[derive(Debug)]
pub(crate) struct Blocks(*mut Vec<Block>);

impl Default for Blocks {
    fn default() -> Blocks {
        Blocks(Box::into_raw(Box::default()))
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: it was made by `default`, and no mark has it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

impl Blocks {
    /// Calls `f` with the list, to which nobody else adds meanwhile.
    fn with<R>(&self, f: impl FnOnce(&mut Vec<Block>) -> R) -> R {
        let mark = MARK.take();
        // SAFETY: the list is alive, and only this thread of the system touches it: the allocator
        // only while a mark is set.
        let value = f(unsafe { &mut *self.0 });
        MARK.set(mark);
        value
    }

    pub(in crate::engine) fn forget(&self) {
        self.with(Vec::clear);
    }
}

/// What the allocator has to know while code of the model runs.
#[derive(Clone, Copy)]
struct Mark {
    blocks: *mut Vec<Block>,
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

/// What `f` allocates belongs to no thread.
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
    if let Some(mark) = MARK.get()
        && !start.is_null()
    {
        // The list itself may have to grow.
        MARK.set(None);
        // SAFETY: the list is the runtime's, which lives as long as the mark is set, and only the
        // thread of the system that has set the mark touches it.
        unsafe {
            (*mark.blocks).push(Block { start: start.addr(), len, provenance: mark.provenance })
        };
        MARK.set(Some(mark));
    }
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
        // SAFETY: as the caller says.
        let ptr = unsafe { System.realloc(ptr, layout, size) };
        note(ptr, size);
        ptr
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        // SAFETY: as the caller says.
        unsafe { System.dealloc(ptr, layout) };
    }
}

impl Runtime {
    /// The earliest point at which an object at this address can have been made.
    pub(in crate::engine) fn provenance_of(&self, address: usize) -> Option<Provenance> {
        // Memory that was freed may have been allocated again: the last one counts.
        let holds = |b: &&Block| (b.start..b.start + b.len).contains(&address);
        if let Some(block) = self.blocks.with(|blocks| blocks.iter().rev().find(holds).copied()) {
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

    /// An object at this address is made anew by the current thread: it has been written to by
    /// who has it for himself.
    pub(in crate::engine) fn made_anew(&mut self, address: usize) {
        let provenance = self.provenance_now();
        self.blocks.with(|blocks| blocks.push(Block { start: address, len: 1, provenance }));
    }

    /// Whether the event `id` comes after something was made.
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
