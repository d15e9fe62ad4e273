//! Python's `threading.RLock`: three functions share one lock, and the third calls the other two
//! while it holds it.
//!
//! ```python
//! lock = threading.RLock()
//! def both():
//!     with lock:
//!         first(); second()      # each does `with lock:` again
//! ```

use std::cell::Cell;
use std::thread;

use sync_core::ReentrantMutex;

/// A part number and its stock. `Cell` is enough: the lock lets one thread in at a time, as often
/// as that thread likes.
struct Shelf {
    part: Cell<u32>,
    stock: Cell<u32>,
}

static SHELF: ReentrantMutex<Shelf> =
    ReentrantMutex::new(Shelf { part: Cell::new(0), stock: Cell::new(0) });

fn next_part() -> u32 {
    let shelf = SHELF.lock();
    shelf.part.set(shelf.part.get() + 1);
    shelf.part.get()
}

fn add_stock() -> u32 {
    let shelf = SHELF.lock();
    shelf.stock.set(shelf.stock.get() + 10);
    shelf.stock.get()
}

/// Both, and no thread sees one without the other: with a plain lock this would wait for itself
/// forever.
fn both() -> (u32, u32) {
    let _shelf = SHELF.lock();
    let pair = (next_part(), add_stock());
    assert_eq!(SHELF.depth(), 1, "the inner levels were given back, the outer one is still held");
    pair
}

fn main() {
    thread::scope(|scope| {
        for worker in 0..5 {
            scope.spawn(move || {
                let (part, stock) = both();
                println!("worker {worker}: part {part}, stock {stock}");
                assert_eq!(stock, part * 10, "the two belong together");
            });
        }
    });
    let shelf = SHELF.lock();
    assert_eq!((shelf.part.get(), shelf.stock.get()), (5, 50));
    println!("in the end: part {}, stock {}", shelf.part.get(), shelf.stock.get());
}
