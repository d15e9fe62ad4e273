//! map, starmap, imap and their chunks.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use sync_ipc::pool::SubmitError;
use sync_ipc::{Bytes, JobError, Pool, RawValue};

use crate::support::{LIMIT, add, fail_at_three, fresh_segment, pid_of, sleep_for, square};

#[test]
fn map_is_the_ordinary_map_in_order_for_every_chunk_size() {
    let pool = Pool::new(3).unwrap();
    let expected: Vec<u64> = (0..40).map(square).collect();
    assert_eq!(pool.map(square, 0..40).unwrap(), expected);
    for chunk in [1, 6, 39, 40, 50] {
        assert_eq!(pool.map_chunked(square, 0..40, chunk).unwrap(), expected, "{chunk}");
    }
    let error = pool.map_chunked(square, 0..40, 0).unwrap_err();
    assert!(matches!(error, JobError::NotSubmitted(SubmitError::NoChunk)), "{error:?}");
}

#[test]
fn nothing_maps_to_nothing() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.map(square, []).unwrap(), [0; 0]);
    assert_eq!(pool.map_chunked(square, [], 20).unwrap(), [0; 0]);
    assert_eq!(pool.imap(square, [], 1).unwrap().count(), 0);
    assert_eq!(pool.imap_unordered(square, [], 1).unwrap().count(), 0);
    let handle = pool.map_async(square, []).unwrap();
    assert!(handle.is_done());
    assert_eq!(handle.results().unwrap(), [0; 0]);
}

#[test]
fn tuples_are_spread_over_the_arguments() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.map(add, [(1, 2), (3, 4), (5, 6)]).unwrap(), [3, 7, 11]);
    assert_eq!(pool.map_async(add, [(1, 1)]).unwrap().results().unwrap(), [2]);
}

#[test]
fn imap_yields_in_order_and_goes_on_after_an_error() {
    let pool = Pool::new(2).unwrap();
    for chunk in [1, 4] {
        let seen: Vec<_> = pool.imap(square, 0..100, chunk).unwrap().map(Result::unwrap).collect();
        assert_eq!(seen, (0..100).map(square).collect::<Vec<_>>());
    }
    let seen: Vec<_> = pool.imap(fail_at_three, 0..6, 1).unwrap().map(Result::ok).collect();
    assert_eq!(seen, [Some(0), Some(1), Some(2), None, Some(4), Some(5)]);
    // In one chunk too: a panic is one item's.
    let seen: Vec<_> = pool.imap(fail_at_three, 0..6, 6).unwrap().map(Result::ok).collect();
    assert_eq!(seen, [Some(0), Some(1), Some(2), None, Some(4), Some(5)]);
}

#[test]
fn imap_with_a_timeout_loses_no_item() {
    let pool = Pool::new(1).unwrap();
    let mut results = pool.imap(sleep_for, [60, 1], 1).unwrap();
    let mut late = 0;
    let first = loop {
        match results.next_timeout(Duration::from_millis(1)) {
            Some(Err(JobError::TimedOut)) => late += 1,
            other => break other.unwrap().unwrap(),
        }
    };
    assert!(late > 0);
    assert_eq!(first, 60);
    assert_eq!(results.next_timeout(LIMIT).unwrap().unwrap(), 1);
    assert!(results.next_timeout(LIMIT).is_none());
    assert!(results.next_deadline(Instant::now() + LIMIT).is_none());
}

#[test]
fn imap_unordered_yields_each_item_once_and_a_quick_one_before_a_slow_one() {
    let pool = Pool::new(2).unwrap();
    let mut results = pool.imap_unordered(sleep_for, [2000, 1, 2], 1).unwrap();
    let quick: HashSet<_> = results.by_ref().take(2).map(Result::unwrap).collect();
    assert_eq!(quick, HashSet::from([1, 2]));
    drop(results);
    let all: HashSet<_> =
        pool.imap_unordered(square, 0..100, 3).unwrap().map(Result::unwrap).collect();
    assert_eq!(all, (0..100).map(square).collect());
}

#[test]
fn an_input_that_fails_fails_the_call_and_not_the_pool() {
    let pool = Pool::new(2).unwrap();
    let failing = |at: u64| (0..10).inspect(move |n| assert!(*n != at, "the input fails"));
    for at in [0, 5] {
        let map = catch_unwind(AssertUnwindSafe(|| pool.map(square, failing(at)).map(drop)));
        assert!(map.is_err());
    }
    let mut seen = Vec::new();
    let imap = catch_unwind(AssertUnwindSafe(|| {
        // The window is 8 chunks: the first next reads the input up to its failure.
        for result in pool.imap(square, failing(9), 1).unwrap() {
            seen.push(result.unwrap());
        }
    }));
    assert!(imap.is_err());
    assert!(!seen.is_empty() && seen.len() < 9, "{seen:?}");
    assert_eq!(pool.map(square, 0..4).unwrap(), [0, 1, 4, 9]);
}

#[test]
fn imap_reads_its_input_no_further_than_the_workers_need() {
    use std::sync::atomic::{AtomicU64, Ordering};
    let pool = Pool::new(2).unwrap();
    let read = AtomicU64::new(0);
    let endless = std::iter::from_fn(|| Some(read.fetch_add(1, Ordering::Relaxed)));
    let mut results = pool.imap(square, endless, 10).unwrap();
    for n in 0..20 {
        assert_eq!(results.next().unwrap().unwrap(), n * n);
    }
    drop(results);
    // 8 chunks in flight, and those that were taken.
    assert!(read.load(Ordering::Relaxed) <= 110, "{read:?}");
}

fn reverse(bytes: Bytes) -> Bytes {
    Bytes(bytes.0.into_iter().rev().collect())
}
sync_ipc::entry!(reverse);

#[test]
fn large_arguments_and_results_arrive() {
    let pool = Pool::new(2).unwrap();
    let items: Vec<Bytes> = (0..8).map(|n| Bytes(vec![n; 300_000 + usize::from(n)])).collect();
    let results = pool.map(reverse, items.clone()).unwrap();
    assert!(results == items);
    let large = Bytes((0..5_000_000).map(|n| n as u8).collect());
    assert!(pool.apply(reverse, large.clone()).unwrap().0.iter().rev().eq(large.0.iter()));
}

#[test]
fn a_map_uses_all_workers() {
    let pool = Pool::new(3).unwrap();
    // Each sleeps for a while, so that no worker takes them all.
    let pids: HashSet<_> = pool.map(sleep_and_tell, vec![20; 12]).unwrap().into_iter().collect();
    assert_eq!(pids.len(), 3);
    let one = pool.map_chunked(pid_of, 0..6, 6).unwrap().into_iter().collect::<HashSet<_>>();
    assert_eq!(one.len(), 1);
}

pub(crate) fn sleep_and_tell(milliseconds: u64) -> u32 {
    sleep_for(milliseconds);
    std::process::id()
}
sync_ipc::entry!(sleep_and_tell);

#[test]
fn segments_that_the_worker_dropped_arrive_as_themselves() {
    let pool = Pool::new(1).unwrap();
    let segments = pool.map_chunked(fresh_segment, 0..8, 8).unwrap();
    let numbers = segments.iter().map(|segment| RawValue::<u64>::open(segment, "n").unwrap().get());
    assert!(numbers.eq(0..8));
}
