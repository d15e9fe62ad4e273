//! Does nothing for a while, with a thousand timers scheduled: for looking at it from outside.
//!
//! ```text
//! cargo build -p sync-timer --example idle
//! strace -f -r ./target/debug/examples/idle
//! ```

use std::time::Duration;

use sync_timer::Scheduler;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds = std::env::args().nth(1).map_or(Ok(3), |text| text.parse())?;
    let scheduler = Scheduler::new();
    for n in 0..1000 {
        scheduler.once(Duration::from_secs(3600 + n), || ())?;
    }
    println!("idle for {seconds} seconds");
    std::thread::sleep(Duration::from_secs(seconds));
    println!("idle no more");
    Ok(())
}
