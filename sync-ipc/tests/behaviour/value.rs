use sync_ipc::{Array, Error, LockError, OutOfRange, RawArray, RawValue, Segment, Value};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::processes::{Child, fork};

fn segment() -> Segment {
    Segment::anonymous(1 << 16).expect("a segment")
}

#[derive(Clone, Copy, Debug, FromBytes, Immutable, IntoBytes, PartialEq)]
#[repr(C)]
struct Point {
    x: i32,
    y: i32,
    z: f64,
}

#[test]
fn a_childs_change_is_seen() {
    let segment = segment();
    let value = Value::create(&segment, "v", -1_i64).expect("room");
    let float = RawValue::create(&segment, "f", 1.5_f64).expect("room");
    let byte = RawValue::create(&segment, "b", 3_u8).expect("room");
    let point = RawValue::create(&segment, "p", Point { x: 1, y: 2, z: 3.0 }).expect("room");
    let mut child = fork(|| {
        value.set(value.get().expect("clean") * 2).expect("clean");
        float.set(float.get() * 2.0);
        byte.set(byte.get() * 2);
        let Point { x, y, z } = point.get();
        point.set(Point { x: x * 2, y: y * 2, z: z * 2.0 });
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!((value.get().expect("clean"), float.get(), byte.get()), (-2, 3.0, 6));
    assert_eq!(point.get(), Point { x: 2, y: 4, z: 6.0 });
    assert!(matches!(Value::<u64>::open(&segment, "v"), Err(Error::WrongType)));
}

#[test]
fn array() {
    let segment = segment();
    let array = Array::create(&segment, "a", &[680_i32, 626, 934, 821, 150]).expect("room");
    assert_eq!(array.raw().len(), 5);
    array.raw().write(1, &[40, 40]).expect("inside");
    assert_eq!(array.raw().to_vec(), [680, 40, 40, 821, 150]);
    let mut child = fork(|| {
        let theirs = Array::<i32>::open(&segment, "a").expect("it is there");
        let locked = theirs.lock().expect("free");
        for at in 1..locked.len() {
            locked
                .set(at, locked.get(at - 1).expect("inside") + locked.get(at).expect("inside"))
                .expect("inside");
        }
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(array.raw().to_vec(), [680, 720, 760, 1581, 1731]);
}

#[test]
fn an_array_from_a_size_is_zero() {
    for _ in 0..3 {
        let array = RawArray::<u64>::zeroed(&segment(), "a", 1000).expect("room");
        assert!(array.to_vec().iter().all(|item| *item == 0));
        (0..1000).for_each(|at| array.set(at, u64::MAX).expect("inside"));
    }
}

#[test]
fn exact_under_the_lock() {
    let segment = segment();
    let value = Value::create(&segment, "v", 0_u32).expect("room");
    let atomic = RawValue::create(&segment, "a", 0_u32).expect("room");
    let count = || {
        for _ in 0..10_000 {
            value.lock().expect("clean").update(|n| *n += 1);
            atomic.as_atomic().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        0
    };
    let mut children = [(); 2].map(|()| fork(count));
    count();
    assert_eq!(children.each_mut().map(Child::join), [0; 2]);
    assert_eq!((value.get().expect("clean"), atomic.get()), (30_000, 30_000));
}

#[test]
fn out_of_range() {
    let array = RawArray::create(&segment(), "a", &[1_u16, 2, 3]).expect("room");
    assert_eq!(array.get(2), Some(3));
    assert_eq!(array.get(3), None);
    assert_eq!(array.get(usize::MAX), None);
    assert_eq!(array.set(3, 0), Err(OutOfRange));
    assert_eq!(array.read(1..3), Ok(vec![2, 3]));
    assert_eq!(array.read(2..4), Err(OutOfRange));
    #[expect(clippy::reversed_empty_ranges, reason = "that is the case")]
    let reversed = array.read(2..1);
    assert_eq!(reversed, Err(OutOfRange));
    assert_eq!(array.write(2, &[1, 2]), Err(OutOfRange));
    assert_eq!(array.write(usize::MAX, &[1]), Err(OutOfRange));
    assert!(matches!(RawArray::<u16>::zeroed(&segment(), "a", 0), Err(Error::BadSize)));
    assert!(matches!(RawArray::<u16>::zeroed(&segment(), "a", usize::MAX), Err(Error::BadSize)));
    assert!(matches!(RawArray::<u16>::zeroed(&segment(), "a", usize::MAX / 2), Err(Error::Full)));
}

#[test]
fn the_lock_is_reentrant() {
    let array = Array::<u32>::zeroed(&segment(), "a", 3).expect("room");
    let outer = array.lock().expect("free");
    let inner = array.lock().expect("ours");
    assert_eq!(inner.get(0), Some(0));
    drop((inner, outer));
}

#[test]
fn a_value_has_its_lock_and_a_raw_one_has_none() {
    let segment = segment();
    let (value, array) = (
        Value::create(&segment, "v", 5_u32).expect("room"),
        Array::create(&segment, "a", &[5_u32]).expect("room"),
    );
    let (held, row) = (value.lock().expect("free"), array.lock().expect("free"));
    let mut child = fork(|| {
        let refused = value
            .try_lock_for(std::time::Duration::from_millis(5))
            .is_err_and(|error| error.is_timeout());
        // `get_obj`: past the lock.
        i32::from(refused && array.raw().get(0) == Some(5))
    });
    assert_eq!(child.join(), 1);
    assert_eq!((held.get(), row.get(0)), (5, Some(5)));
    drop((held, row));
    // `lock=False`.
    let raw = RawValue::create(&segment, "raw", 5_u32).expect("room");
    raw.set(6);
    assert_eq!(raw.get(), 6);
}

#[test]
fn everything_is_doubled_by_a_child() {
    let segment = segment();
    let (int, double, long) = (
        Value::create(&segment, "int", 7_i32).expect("room"),
        RawValue::create(&segment, "double", 1.0_f64 / 3.0).expect("room"),
        Value::create(&segment, "long", 1_i64 << 33).expect("room"),
    );
    let point = Value::create(&segment, "point", Point { x: 3, y: 2, z: 0.5 }).expect("room");
    let row = Array::create(&segment, "row", &[0.0_f64, 1.0, 2.0]).expect("room");
    let text = RawArray::create(&segment, "text", b"hello").expect("room");
    let mut child = fork(|| {
        int.lock().expect("free").update(|n| *n *= 2);
        double.set(double.get() * 2.0);
        long.lock().expect("free").update(|n| *n *= 2);
        point
            .lock()
            .expect("free")
            .update(|point| *point = Point { x: point.x * 2, y: point.y * 2, z: point.z * 2.0 });
        let locked = row.lock().expect("free");
        (0..3)
            .for_each(|at| locked.set(at, locked.get(at).expect("inside") * 2.0).expect("inside"));
        text.write(0, b"HELLO").expect("inside");
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(
        (int.get().expect("clean"), double.get(), long.get().expect("clean")),
        (14, 2.0 / 3.0, 1 << 34)
    );
    assert_eq!(point.get().expect("clean"), Point { x: 6, y: 4, z: 1.0 });
    assert_eq!((row.raw().to_vec(), text.to_vec()), (vec![0.0, 2.0, 4.0], b"HELLO".to_vec()));
}

#[test]
fn many_objects_fill_a_segment_and_none_overlaps() {
    // Python's heap frees blocks; here objects live as long as their segment. The property test has
    // random sizes.
    let segment = segment();
    let mut rows = Vec::new();
    while let Ok(row) =
        RawArray::<u64>::zeroed(&segment, &format!("row {}", rows.len()), 40 + rows.len())
    {
        row.write(0, &vec![rows.len() as u64; row.len()]).expect("inside");
        rows.push(row);
    }
    assert!(rows.len() > 50);
    assert!(
        rows.iter().enumerate().all(|(at, row)| row.to_vec().iter().all(|item| *item == at as u64))
    );
}

/// A child that is killed while it holds the lock.
fn killed_owner(lock: impl Fn()) {
    let mut owner = fork(|| {
        lock();
        // SAFETY: ends this child.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) }
    });
    assert_eq!(owner.join(), -libc::SIGKILL);
}

#[test]
fn reading_a_value_after_its_owners_death_is_an_error_and_no_end() {
    let segment = segment();
    let value = Value::create(&segment, "v", 5_u64).expect("room");
    killed_owner(|| core::mem::forget(value.lock()));
    for _ in 0..3 {
        assert!(matches!(value.get(), Err(LockError::OwnerDied(()))));
    }
    // The repairing process finds the value as it was.
    let mut guard = value.lock().expect_err("its owner died").into_guard().expect("recoverable");
    assert_eq!(guard.get(), 5);
    guard.set(6);
    guard.mark_consistent();
    drop(guard);
    assert_eq!(value.get().expect("clean"), 6);
}

#[test]
fn writing_a_value_after_its_owners_death_makes_it_whole() {
    let segment = segment();
    let value = Value::create(&segment, "v", 5_u64).expect("room");
    killed_owner(|| core::mem::forget(value.lock()));
    assert!(value.get().is_err());
    value.set(7).expect("all of it is written");
    assert_eq!(value.get().expect("clean"), 7);
}

#[test]
fn an_array_that_has_no_room_leaves_nothing() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    for turn in 0..200 {
        let refused = Array::<u64>::zeroed(&segment, &format!("a{turn}"), 1 << 16);
        assert!(matches!(refused, Err(Error::Full)), "{refused:?}");
        let taken = Array::<u64>::zeroed(&segment, "a", 0);
        assert!(matches!(taken, Err(Error::BadSize)));
    }
    // A segment has room for 128 objects.
    for turn in 0..128 {
        RawValue::create(&segment, &format!("v{turn}"), 0_u64).expect("no entry was used up");
    }
    assert!(matches!(RawValue::create(&segment, "v", 0_u64), Err(Error::Full)));
}

#[test]
fn a_forked_childs_copy_of_an_array_guard_writes_nothing() {
    let segment = segment();
    let array = Array::create(&segment, "a", &[1_u64, 2, 3]).expect("room");
    let guard = array.lock().expect("free");
    let mut child = fork(|| {
        guard.set(0, 9).expect("inside");
        guard.write(1, &[9, 9]).expect("inside");
        // SAFETY: the child's copy, which it does not use again.
        drop(unsafe { core::ptr::read(&guard) });
        i32::from(array.try_lock_for(std::time::Duration::from_millis(5)).is_ok())
    });
    assert_eq!(child.join(), 0, "its parent holds the lock");
    assert_eq!(guard.to_vec(), [1, 2, 3]);
    guard.set(0, 4).expect("inside");
    drop(guard);
    assert_eq!(array.raw().to_vec(), [4, 2, 3]);
}
