//! Says hello after half a second, with a second timer that is cancelled in time.
//!
//! In Python: `threading.Timer(0.5, hello).start()`, `timer.cancel()`.

use std::error::Error;
use std::time::{Duration, Instant};

use sync_timer::{Outcome, Timer};

fn main() -> Result<(), Box<dyn Error>> {
    let began = Instant::now();
    let hello = Timer::new(Duration::from_millis(500), || println!("hello, world"));
    let late = Timer::new(Duration::from_secs(60), || println!("this is never said"));
    hello.start()?;
    late.start()?;

    // `cancel` returns who won: `true` means that the function was not called and will not be.
    println!("cancelled in time: {}", late.cancel());

    // Python waits for its timers when the program ends. Here that is said: a program ends with
    // `main`.
    assert_eq!(hello.join()?, Outcome::Ran);
    assert_eq!(late.join()?, Outcome::Cancelled);
    println!("waited at least half a second: {}", began.elapsed() >= Duration::from_millis(500));
    Ok(())
}
