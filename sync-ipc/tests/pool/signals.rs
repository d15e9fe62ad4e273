//! Signals to every thread of a pool's processes change nothing.

use std::num::NonZero;

use sync_ipc::{Bytes, Pool, Process};

use crate::signal::{during, handle};
use crate::support::{pid, square};

fn reversed(bytes: Bytes) -> Bytes {
    Bytes(bytes.iter().rev().copied().collect())
}

fn everything_interrupted() {
    handle();
    let builder = || Pool::builder().workers(2).initializer(handle, ()).retries(1000);
    let pool = builder().build().unwrap();
    let own = std::process::id();
    let pids = || pool.workers().iter().map(|worker| worker.pid()).chain([own]).collect();
    during(pids, || {
        let squares: Vec<u64> = (0..500).map(square).collect();
        assert_eq!(pool.map_chunked(square, 0..500, 1).unwrap(), squares);
        let long: Vec<u8> = (0..3 << 20).map(|at| (at % 251) as u8).collect();
        for _ in 0..10 {
            let back = pool.apply(reversed, Bytes(long.clone())).unwrap();
            assert!(back.iter().rev().eq(&long));
        }
        for _ in 0..5 {
            if let Some(worker) = pool.workers().first() {
                worker.kill().unwrap();
            }
            assert_eq!(pool.imap_unordered(square, 0..50, 3).unwrap().count(), 50);
        }
        let often = builder().max_tasks_per_child(NonZero::<u64>::MIN).build().unwrap();
        assert_eq!(often.map_chunked(square, 0..10, 1).unwrap(), squares[..10]);
        assert_ne!(Process::spawn(pid, ()).unwrap().result().unwrap(), own);
    });
    pool.close();
    pool.join().unwrap();
}

sync_ipc::entry!(handle, reversed, everything_interrupted);

#[test]
fn signals_to_all_threads_of_the_pool_and_its_workers_change_nothing() {
    Process::spawn(everything_interrupted, ()).unwrap().result().unwrap();
}
