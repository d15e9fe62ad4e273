//! Rows VA and U-VA.

use sync_ipc::{Array, Error, OutOfRange, RawArray, RawValue, Segment, Value};
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
fn va_01_a_childs_change_is_seen() {
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
fn va_03_array() {
    let segment = segment();
    let array = Array::create(&segment, "a", &[680_i32, 626, 934, 821, 150]).expect("room");
    assert_eq!(array.raw().len(), 5);
    array.raw().write(1, &[40, 40]).expect("inside");
    assert_eq!(array.raw().to_vec(), [680, 40, 40, 821, 150]);
    let mut child = fork(|| {
        let theirs = Array::<i32>::open(&segment, "a").expect("it is there");
        let locked = theirs.lock().expect("free");
        for at in 1..locked.len() {
            locked.set(at, locked.get(at - 1).expect("inside") + locked.get(at).expect("inside")).expect("inside");
        }
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(array.raw().to_vec(), [680, 720, 760, 1581, 1731]);
}

#[test]
fn va_04_an_array_from_a_size_is_zero() {
    for _ in 0..3 {
        let array = RawArray::<u64>::zeroed(&segment(), "a", 1000).expect("room");
        assert!(array.to_vec().iter().all(|item| *item == 0));
        (0..1000).for_each(|at| array.set(at, u64::MAX).expect("inside"));
    }
}

#[test]
fn u_va_01_exact_under_the_lock() {
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
fn u_va_02_out_of_range() {
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
fn u_va_03_the_lock_is_reentrant() {
    let array = Array::<u32>::zeroed(&segment(), "a", 3).expect("room");
    let outer = array.lock().expect("free");
    let inner = array.lock().expect("ours");
    assert_eq!(inner.get(0), Some(0));
    drop((inner, outer));
}
