//! Python's `threading.Condition`: producers and consumers of one stock, with a predicate and a
//! timeout.
//!
//! ```python
//! with condition:
//!     if not condition.wait_for(lambda: stock > 0, timeout=0.05): return
//!     stock -= 1
//!     condition.notify()
//! ```

use std::thread;
use std::time::Duration;

use sync_core::{Condvar, Mutex};

const ROOM: u32 = 5;
const EACH: u32 = 20;

/// The stock, and one condition for "there is something" and one for "there is room": a
/// notification goes to a thread that can use it.
#[derive(Default)]
struct Shop {
    stock: Mutex<u32>,
    filled: Condvar,
    emptied: Condvar,
}

impl Shop {
    fn put(&self) {
        let mut stock = self.stock.lock();
        self.emptied.wait_while(&mut stock, |stock| *stock == ROOM);
        *stock += 1;
        assert!(*stock <= ROOM);
        self.filled.notify_one();
    }

    /// Takes one item, or gives up if there is none for that long.
    fn take(&self, patience: Duration) -> bool {
        let mut stock = self.stock.lock();
        if self.filled.wait_while_for(&mut stock, |stock| *stock == 0, patience).timed_out() {
            return false;
        }
        *stock -= 1;
        self.emptied.notify_one();
        true
    }
}

fn main() {
    let shop = Shop::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..EACH).for_each(|_| shop.put()));
        }
        for customer in 0..4 {
            let shop = &shop;
            scope.spawn(move || {
                let bought = (0..EACH / 2).filter(|_| shop.take(Duration::from_secs(60))).count();
                println!("customer {customer} bought {bought}");
            });
        }
    });
    assert!(!shop.take(Duration::from_millis(50)));
    println!(
        "sold out: the last one gave up after 50 ms, and {} are left",
        shop.stock.into_inner()
    );
}
