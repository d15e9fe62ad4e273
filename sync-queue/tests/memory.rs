//! What queues hold on to, counted by the allocator: an emptied queue gives its memory back, and a
//! fast path takes none.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering::Relaxed};
use std::thread;

use sync_queue::{Queue, SimpleQueue};

#[path = "../../sync-core/tests/support/watchdog.rs"]
mod watchdog;

/// The system's allocator, counting.
struct Counting;

static BYTES: AtomicIsize = AtomicIsize::new(0);
static CALLS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Relaxed);
        CALLS.fetch_add(1, Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Relaxed);
        // SAFETY: as the caller says.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const ITEMS: usize = 100_000;
/// Three blocks of 63 slots of two words each, and what the test itself may have about.
const FEW: isize = 3 * 64 * 16 + 4096;

/// All in one: tests side by side would count each other.
#[test]
fn an_emptied_queue_gives_its_memory_back() {
    let _watchdog = watchdog::watch();

    let queue = Queue::unbounded();
    let empty = BYTES.load(Relaxed);
    for round in 0..3 {
        for n in 0..ITEMS {
            queue.put(n).unwrap();
        }
        let full = BYTES.load(Relaxed) - empty;
        assert!(
            full >= (ITEMS * size_of::<usize>()) as isize,
            "round {round}: {full} bytes are too few to hold the items"
        );
        assert!(queue.try_iter().eq(0..ITEMS));
        let left = BYTES.load(Relaxed) - empty;
        assert!(left <= FEW, "round {round}: {left} bytes left");
    }

    // Two at a time, whoever is the last to read a block.
    let queue = SimpleQueue::new();
    let empty = BYTES.load(Relaxed);
    for _ in 0..3 {
        (0..ITEMS).for_each(|n| queue.put(n));
        thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| queue.try_iter().count());
            }
        });
        let left = BYTES.load(Relaxed) - empty;
        assert!(left <= FEW, "{left} bytes left");
    }

    // One in, one out: the blocks go round, and a ring never allocates.
    for queue in [Queue::unbounded(), Queue::bounded(64)] {
        for n in 0..1_000 {
            queue.put(n).unwrap();
            assert_eq!(queue.get(), Ok(n));
        }
        let calls = CALLS.load(Relaxed);
        for n in 0..ITEMS {
            queue.put(n).unwrap();
            assert_eq!(queue.get(), Ok(n));
        }
        assert_eq!(CALLS.load(Relaxed) - calls, 0, "{queue:?} allocates again and again");
    }
}
