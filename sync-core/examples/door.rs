//! Python's `threading.Event`: a door opens and closes by a timetable; staff wait for it, or give
//! up.
//!
//! ```python
//! if door.wait(timeout=patience): enter()        # DOOR.wait_timeout(patience)
//! door.set(); door.clear()                       # DOOR.set(); DOOR.clear();
//! ```

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use sync_core::{Event, Latch};

static DOOR: Event = Event::new();

fn main() {
    let (entered, gave_up) = (AtomicU32::new(0), AtomicU32::new(0));
    let impatient_left = Latch::new(1);
    std::thread::scope(|scope| {
        for name in ["Ada", "Grace", "Barbara"] {
            let entered = &entered;
            scope.spawn(move || {
                DOOR.wait();
                entered.fetch_add(1, Relaxed);
                println!("{name} has entered");
            });
        }
        scope.spawn(|| {
            // The door opens only after this thread has given up.
            if !DOOR.wait_timeout(Duration::from_millis(20)) {
                gave_up.fetch_add(1, Relaxed);
                println!("Edsger has given up");
            }
            impatient_left.count_down(1);
        });

        // The timetable.
        impatient_left.wait();
        println!("the door is closed: {}", !DOOR.is_set());
        DOOR.set();
        println!("the door is open");
    });
    // A thread that waits when the door opens gets in, even if the door closes at once. A thread
    // that comes later does not.
    DOOR.clear();
    assert!(!DOOR.wait_timeout(Duration::ZERO));
    println!(
        "{} entered, {} gave up, the door is closed",
        entered.load(Relaxed),
        gave_up.load(Relaxed)
    );
    assert_eq!((entered.into_inner(), gave_up.into_inner()), (3, 1));
}
