//! A pool maps a function over a range; one worker is killed on the way, and nothing is lost.
//!
//! Python: `with Pool(4) as pool: pool.map(f, range(20))`. There the map never returns after a
//! worker was killed (CPython #96062).
#![forbid(unsafe_code)]

use std::time::Duration;

use sync_ipc::{JobError, Pool};

fn slow_square(n: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(10));
    n * n
}

fn add(a: u64, b: u64) -> u64 {
    a + b
}

fn endless() {
    std::thread::sleep(Duration::from_secs(3600));
}

sync_ipc::entry!(slow_square, add, endless);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sync_ipc::init();
    let pool = Pool::builder().workers(2).retries(3).build()?;

    println!("apply: {}", pool.apply(add, (40, 2))?);
    println!("starmap: {:?}", pool.map(add, [(1, 2), (3, 4)])?);

    let squares = pool.map_async_chunked(slow_square, 0..40, 2)?;
    let victim = &pool.workers()[0];
    std::thread::sleep(Duration::from_millis(30));
    victim.kill()?;
    println!("killed {} in the middle of a map", victim.name());
    let sum: u64 = squares.results()?.iter().sum();
    println!("the squares of 0 to 39 add up to {sum} all the same");
    assert_eq!(sum, (0..40).map(|n| n * n).sum::<u64>());

    let first: Vec<_> = pool.imap(slow_square, 0.., 1)?.take(5).collect::<Result<_, _>>()?;
    println!("imap, as far as one likes: {first:?}");

    // Without retries the task fails, with the reason.
    let once = Pool::new(1)?;
    let job = once.submit(endless, ())?;
    while !job.is_running() {
        std::thread::sleep(Duration::from_millis(1));
    }
    once.workers()[0].kill()?;
    match job.result() {
        Err(error @ JobError::WorkerDied { .. }) => println!("without retries: {error}"),
        other => println!("{other:?}"),
    }
    println!("and its successor: {}", once.apply(add, (1, 1))?);
    Ok(())
}
