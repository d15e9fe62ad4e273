//! Values of a chunk whose own code refuses or panics: no other item gets their bytes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sync_ipc::{JobError, Pool, Segment, Value};

use crate::support::{square, until};

/// A number that is not read if it is 3, panics once in a process if it is 5 and read, panics when
/// it is written if it is 7, and when it is dropped in a worker if it is 9.
#[derive(Debug, PartialEq)]
struct Moody(u64);

static WAS_READ: AtomicBool = AtomicBool::new(false);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(self.0 != 7, "7 is not written");
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u64::deserialize(deserializer)? {
            3 => Err(serde::de::Error::custom("3 is not read")),
            5 if !WAS_READ.swap(true, Ordering::Relaxed) => panic!("5 is not read at once"),
            n => Ok(Self(n)),
        }
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        let is_worker = sync_ipc::parent_process().is_some();
        assert!(self.0 != 9 || !is_worker, "9 is not dropped");
    }
}

fn to_moody(n: u64) -> Moody {
    Moody(n)
}

fn of_moody(moody: Moody) -> u64 {
    moody.0
}

/// Counts its calls.
fn count(calls: Value<u64>, moody: Moody) -> u64 {
    std::thread::sleep(Duration::from_millis(10));
    let guard = calls.lock().unwrap();
    let call = guard.get() + 1;
    guard.set(call);
    moody.0
}

sync_ipc::entry!(to_moody, of_moody, count);

#[test]
fn a_result_that_cannot_be_read_gives_no_other_item_a_wrong_one() {
    let pool = Pool::new(1).unwrap();
    let items = [0, 1, 2, 3, 300, 4, 6];
    let results: Vec<_> =
        pool.map_async_chunked(to_moody, items, items.len()).unwrap().outcomes().collect();
    assert_eq!(results.len(), items.len());
    for (at, (item, result)) in items.iter().zip(results).enumerate() {
        match result {
            Ok(result) => assert!(at < 3 && result.0 == *item, "{item} became {result:?}"),
            Err(JobError::BadResult(_)) => assert!(at >= 3),
            Err(other) => panic!("{item}: {other:?}"),
        }
    }
    // A result that cannot be written, or that panics when it is dropped, is that item's alone.
    let items = [6, 7, 8, 9, 10];
    let results = pool.map_async_chunked(to_moody, items, items.len()).unwrap().outcomes();
    for (item, result) in items.into_iter().zip(results) {
        match result {
            Ok(result) => assert_eq!(result.0, item),
            Err(error) => assert!(matches!(item, 7 | 9), "{item}: {error:?}"),
        }
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

#[test]
fn an_argument_that_panics_as_it_is_read_is_given_to_no_other_call() {
    let pool = Pool::new(1).unwrap();
    let items = [0, 1, 5, 2, 4];
    let moody = items.map(Moody);
    let results: Vec<_> = pool.map_async_chunked(of_moody, moody, 5).unwrap().outcomes().collect();
    for (at, (item, result)) in items.iter().zip(results).enumerate() {
        match result {
            Ok(result) => assert!(at < 2 && result == *item, "{item} became {result}"),
            Err(JobError::Panicked(_)) => assert_eq!(*item, 5),
            Err(JobError::BadArguments(_)) => assert!(at > 2),
            Err(other) => panic!("{item}: {other:?}"),
        }
    }
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
}

#[test]
fn an_item_that_panics_as_it_is_written_cancels_its_map() {
    let segment = Segment::anonymous(4096).unwrap();
    let calls = Value::create(&segment, "calls", 0_u64).unwrap();
    let pool = Pool::new(1).unwrap();
    let items = (100..140).chain([7]).map(|n| (calls.clone(), Moody(n)));
    let unwound = catch_unwind(AssertUnwindSafe(|| pool.map_chunked(count, items, 1).map(drop)));
    assert!(unwound.is_err());
    // It is behind whatever of the map goes on.
    assert_eq!(pool.apply(square, 3).unwrap(), 9);
    let calls = calls.get().unwrap();
    assert!(calls < 40, "{calls} calls of a map that was given up");
    until("nothing is left", || pool.backlog() == 0);
}
