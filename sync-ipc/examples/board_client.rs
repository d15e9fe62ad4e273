//! The client of two programs: sends points to `board_server`, found by name, and closes the board
//! if requested.
//!
//! ```text
//! cargo run -p sync-ipc --example board_client -- 3 4 5 close
//! ```

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::{Duration, Instant};
    use sync_ipc::{Error, Queue, Segment};

    let name = std::env::var("BOARD").unwrap_or_else(|_| "board".into());
    let started = Instant::now();
    // The server may be starting: a segment that is there may not have its queue yet.
    let points = loop {
        match Segment::open(&name).and_then(|segment| Queue::<u64>::open(&segment, "points")) {
            Err(Error::NotFound) if started.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(5))
            }
            other => break other?,
        }
    };
    for word in std::env::args().skip(1) {
        if word == "close" {
            points.shutdown();
        } else {
            points.put(word.parse()?)?;
        }
    }
    Ok(())
}
