//! A thread and tasks work on the same stock: `asyncio.Lock`, `asyncio.Condition` and
//! `threading.Lock` are one object here.

use sync_core::task::block_on;
use sync_core::{Condvar, Mutex};

static STOCK: Mutex<u32> = Mutex::new(0);
static CHANGED: Condvar = Condvar::new();

async fn buy(amount: u32) {
    let stock = STOCK.lock_async().await;
    let mut stock = CHANGED.wait_while_async(stock, |stock| *stock < amount).await;
    *stock -= amount;
}

fn main() {
    let producer = std::thread::spawn(|| {
        for _ in 0..6 {
            *STOCK.lock() += 1;
            CHANGED.notify_all();
        }
    });
    block_on(async {
        for amount in 1..=3 {
            buy(amount).await;
        }
    });
    producer.join().expect("it does not panic");
    assert_eq!(*STOCK.lock(), 0);
    println!("sold out");
}
