use std::time::{Duration, Instant};

use sync_ipc::{Event, Segment};

use crate::processes::{Child, fork};

fn event() -> Event {
    Event::create(&Segment::anonymous(4096).expect("a segment"), "event").expect("room")
}

#[test]
fn waits_until_another_process_sets() {
    let event = event();
    assert!(!event.wait_timeout(Duration::ZERO));
    let started = Instant::now();
    assert!(!event.wait_deadline(started + Duration::from_millis(30)));
    assert!(started.elapsed() >= Duration::from_millis(30));
    event.set();
    event.wait();
    assert!(event.wait_timeout(Duration::ZERO) && event.is_set());
    event.clear();
    assert!(!event.is_set());
    let mut child = fork(|| {
        std::thread::sleep(Duration::from_millis(20));
        event.set();
        0
    });
    event.wait();
    assert_eq!(child.join(), 0);
}

#[test]
fn debug() {
    let event = event();
    assert_eq!(format!("{event:?}"), "Event { set: false, .. }");
    event.set();
    assert_eq!(format!("{event:?}"), "Event { set: true, .. }");
}

#[test]
fn set_then_clear_releases_all_threads_that_waited() {
    for _ in 0..10 {
        let event = event();
        let mut children = [(); 3].map(|()| {
            fork(|| {
                event.wait();
                0
            })
        });
        std::thread::sleep(Duration::from_millis(15));
        event.set();
        event.clear();
        // A child that had not begun to wait by then waits on: let it go too. One that had must not
        // need it.
        std::thread::sleep(Duration::from_millis(1));
        event.set();
        assert_eq!(children.each_mut().map(Child::join), [0; 3]);
    }
}

#[test]
fn a_killed_waiter_stops_no_thread() {
    // CPython #75158: set() waits for the dead waiter's acknowledgement.
    let event = event();
    let mut children = [(); 3].map(|()| {
        fork(|| {
            event.wait();
            0
        })
    });
    std::thread::sleep(Duration::from_millis(10));
    children[0].kill();
    event.set();
    assert_eq!(children[1].join() + children[2].join(), 0);
}

#[test]
fn a_number_that_wraps_loses_no_thread() {
    // The generation has 30 bits: 2^30 sets between two looks of one waiter would be missed, until
    // the next; see the docs of `raw::event`. Here it wraps under a waiter that looks in between.
    use std::sync::atomic::{AtomicU32, Ordering};
    let segment = Segment::anonymous(4096).expect("a segment");
    let event = Event::create(&segment, "event").expect("room");
    let size = rustix::fs::fstat(&segment).expect("a file").st_size as u64;
    let last = (!3_u32).to_ne_bytes();
    assert_eq!(rustix::io::pwrite(&segment, &last, size - 4096).expect("a memfd"), 4);
    let counted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            event.wait();
            counted.fetch_add(1, Ordering::Relaxed);
        });
        std::thread::sleep(Duration::from_millis(5));
        event.set();
    });
    assert_eq!(counted.into_inner(), 1);
    event.clear();
    assert!(!event.is_set());
}

#[test]
fn a_wake_reaches_another_process_at_another_address() {
    // A private futex would be keyed by this process's addresses: the waiter has the memory at
    // another one, and would sleep for its bound every time.
    let segment = Segment::anonymous(4096).expect("a segment");
    let [ping, pong] = ["ping", "pong"].map(|name| Event::create(&segment, name).expect("room"));
    let mut child = fork(|| {
        let theirs =
            Segment::from_fd(segment.try_clone_fd().expect("a descriptor")).expect("mapped again");
        let [ping, pong] =
            ["ping", "pong"].map(|name| Event::open(&theirs, name).expect("it is there"));
        for _ in 0..200 {
            ping.wait();
            ping.clear();
            pong.set();
        }
        0
    });
    let started = Instant::now();
    for _ in 0..200 {
        ping.set();
        pong.wait();
        pong.clear();
    }
    assert_eq!(child.join(), 0);
    println!("200 rounds in {:?}", started.elapsed());
}
