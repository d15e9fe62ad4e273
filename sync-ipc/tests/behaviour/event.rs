//! Row ME.

use std::time::{Duration, Instant};

use sync_ipc::{Event, Segment};

use crate::processes::{Child, fork};

fn event() -> Event {
    Event::create(&Segment::anonymous(4096).expect("a segment"), "event").expect("room")
}

#[test]
fn me_01_waits_until_another_process_sets() {
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
fn me_02_debug() {
    let event = event();
    assert_eq!(format!("{event:?}"), "Event { set: false, .. }");
    event.set();
    assert_eq!(format!("{event:?}"), "Event { set: true, .. }");
}

#[test]
fn set_then_clear_releases_everybody_who_waited() {
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
        // A child that had not begun to wait by then waits on: let it go too. One that had must not need it.
        std::thread::sleep(Duration::from_millis(1));
        event.set();
        assert_eq!(children.each_mut().map(Child::join), [0; 3]);
    }
}

#[test]
fn a_killed_waiter_stops_nobody() {
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
