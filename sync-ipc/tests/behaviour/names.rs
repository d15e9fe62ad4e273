//! Names of segments: no process removes the name of a living segment, and a name is never two
//! segments.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use sync_ipc::{Error, RawValue, Segment, SharedMemory};

use crate::processes::{FOR_EVER, Stepped, alone, fork, until};
use crate::surroundings::{self, as_another_user, leave_descriptors, limit};

fn name(of: &str) -> String {
    format!("names-{of}-{}", std::process::id())
}

fn path_of(name: &str) -> PathBuf {
    // SAFETY: takes no arguments and always succeeds.
    let user = unsafe { libc::getuid() };
    PathBuf::from(format!("/dev/shm/sync-ipc.{user}.{name}"))
}

/// A new segment of that name with the number 7 in it.
fn seven(name: &str) -> (Segment, RawValue<u64>) {
    let segment = Segment::create(name, 4096).expect("a new name");
    let value = RawValue::create(&segment, "value", 7_u64).expect("room");
    (segment, value)
}

/// Returns the value that a process finds under the name.
fn found(name: &str) -> sync_ipc::Result<u64> {
    let segment = Segment::open(name)?;
    Ok(RawValue::<u64>::open(&segment, "value")?.get())
}

fn forever() -> ! {
    loop {
        thread::sleep(FOR_EVER);
    }
}

#[test]
fn a_name_stays_for_a_process_that_cannot_see_its_holder() {
    for place in surroundings::all() {
        let name = name(&format!("{place:?}"));
        let (segment, _value) = seven(&name);
        let looked = place.run(
            || (),
            || {
                let opened = match found(&name) {
                    Ok(7) | Err(Error::Unreachable | Error::Io(_)) => 0,
                    other => {
                        eprintln!("{place:?}: {other:?}");
                        1
                    }
                };
                match Segment::create(&name, 4096) {
                    Err(Error::AlreadyExists | Error::Io(_)) => opened,
                    other => {
                        eprintln!("{place:?}: {other:?}");
                        2
                    }
                }
            },
        );
        assert!(matches!(looked, None | Some(0)), "{place:?}: {looked:?}");
        assert_eq!(found(&name).expect("it is there for those who see it"), 7, "{place:?}");
        drop(segment);
    }
}

#[test]
fn a_name_stays_while_its_holder_is_not_dumpable() {
    let run = as_another_user(|| {
        let name = name("dumpable");
        let (mut ours, mut theirs) = UnixStream::pair().expect("descriptors");
        let mut holder = fork(|| {
            core::mem::forget(seven(&name));
            // SAFETY: changes this child only.
            unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0) };
            theirs.write_all(&[0]).expect("read");
            forever()
        });
        ours.read_exact(&mut [0]).expect("the holder is alive");
        let refused = matches!(found(&name), Err(Error::Unreachable))
            && matches!(Segment::create(&name, 4096), Err(Error::AlreadyExists))
            && path_of(&name).exists();
        holder.kill();
        let gone = matches!(found(&name), Err(Error::NotFound)) && !path_of(&name).exists();
        i32::from(!refused) + 2 * i32::from(!gone)
    });
    if let Some(mut run) = run {
        assert_eq!(run.join(), 0);
    }
}

#[test]
fn creating_a_living_name_fails_with_any_number_of_descriptors_left() {
    let name = name("descriptors");
    let (_segment, _value) = seven(&name);
    for left in 0..10 {
        let mut child = fork(|| {
            leave_descriptors(left);
            match Segment::create(&name, 4096) {
                Err(Error::AlreadyExists | Error::Io(_)) => 0,
                _ => 1,
            }
        });
        assert_eq!(child.join(), 0, "{left} descriptors left");
        assert_eq!(found(&name).expect("it is there"), 7, "{left} descriptors left");
    }
}

#[test]
fn a_holder_without_descriptors_leaves_the_name_to_the_others() {
    let name = name("sandbox");
    let (_segment, _value) = seven(&name);
    let mut sandboxed = fork(|| {
        let segment = Segment::open(&name).expect("it is there");
        limit(libc::RLIMIT_NOFILE, 0);
        drop(segment);
        0
    });
    assert_eq!(sandboxed.join(), 0);
    assert_eq!(found(&name).expect("it is there"), 7);
}

#[test]
fn a_name_stays_while_its_holder_runs_without_its_first_thread() {
    let name = name("thread");
    let holder = fork(|| {
        let held = seven(&name);
        thread::spawn(move || {
            let _held = held;
            forever()
        });
        // SAFETY: ends this thread of the child and leaves the other one, as `pthread_exit` in a
        // program's main thread does.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!("the thread has ended")
    });
    until("it is there", || path_of(&name).exists());
    until("its first thread has ended", || {
        std::fs::read_to_string(format!("/proc/{}/stat", holder.pid()))
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
    });
    assert_eq!(found(&name).expect("through another thread"), 7);
    assert!(matches!(Segment::create(&name, 4096), Err(Error::AlreadyExists)));
}

/// Runs a parent that creates the name and ends by `end` while its child lives. The child uses the
/// segment before that if `early`. Returns the values found then, before and after the child uses
/// the segment.
fn daemonized(
    name: &str,
    early: bool,
    end: impl FnOnce(Segment),
    meanwhile: impl FnOnce(),
) -> (sync_ipc::Result<u64>, sync_ipc::Result<u64>) {
    let shared = Segment::anonymous(4096).expect("a segment");
    let step = RawValue::create(&shared, "step", 0_u32).expect("room");
    let reached = |at: u32| until("the other side", || step.get() >= at);
    let mut parent = fork(|| {
        let (segment, value) = seven(name);
        let grandchild = fork(|| {
            if early {
                value.set(8);
                // Placing an object makes the grandchild a participant.
                RawValue::create(&segment, "early", 1_u32).expect("room");
            }
            step.set(1);
            reached(2);
            RawValue::create(&segment, "late", 1_u32).expect("room");
            step.set(3);
            reached(4);
            0
        });
        core::mem::forget(grandchild);
        reached(1);
        drop(value);
        end(segment);
        0
    });
    parent.join();
    let before = found(name);
    meanwhile();
    step.set(2);
    reached(3);
    let after = found(name);
    step.set(4);
    (before, after)
}

#[test]
fn a_forked_child_that_uses_the_segment_holds_its_name() {
    // Its parent ends in good order, as a program that goes into the background.
    let (before, after) = daemonized(&name("daemon"), true, drop, || ());
    assert_eq!((before.expect("the child holds it"), after.expect("still")), (8, 8));
    // Its parent is killed.
    let (before, after) = daemonized(&name("orphan"), true, core::mem::forget, || ());
    assert_eq!((before.expect("the child holds it"), after.expect("still")), (8, 8));
}

#[test]
fn a_forked_child_publishes_the_name_again_at_its_first_use() {
    for (of, end) in [("later", drop as fn(Segment)), ("later-orphan", core::mem::forget)] {
        let (before, after) = daemonized(&name(of), false, end, || ());
        assert!(matches!(before, Err(Error::NotFound)), "no participant is left: {before:?}");
        assert_eq!(after.expect("the child holds it"), 7);
    }
}

#[test]
fn a_forked_child_takes_no_name_that_was_removed_or_is_another_segments() {
    let removed = name("removed");
    let end = |segment: Segment| {
        segment.unlink_own().expect("ours");
        drop(segment);
    };
    let (before, after) = daemonized(&removed, false, end, || ());
    assert!(matches!((before, after), (Err(Error::NotFound), Err(Error::NotFound))));

    let taken = name("taken");
    let mut other = None;
    let (_, after) = daemonized(&taken, false, drop, || {
        let segment = Segment::create(&taken, 4096).expect("the name is free");
        RawValue::create(&segment, "value", 9_u64).expect("room");
        other = Some(segment);
    });
    assert_eq!(after.expect("the other segment"), 9);
}

#[test]
fn a_forked_child_that_drops_its_copy_leaves_the_name_alone() {
    let name = name("copy");
    let (segment, _value) = seven(&name);
    let mut child = fork(|| {
        drop(segment.clone());
        // SAFETY: the child's copy of the handle, which it does not use again.
        drop(unsafe { core::ptr::read(&segment) });
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(found(&name).expect("its holder lives"), 7);
}

#[test]
fn an_opened_segment_has_its_name_also_if_the_last_holder_goes_meanwhile() {
    alone(|| {
        let shared = Segment::anonymous(4096).expect("a segment");
        let outcome = RawValue::create(&shared, "outcome", 0_u32).expect("room");
        let (mut calls, mut kept) = (0, 0);
        loop {
            let name = name(&format!("last-{calls}"));
            let first = Segment::create(&name, 4096).expect("a new name");
            outcome.set(0);
            let mut opener = Stepped::new(
                || (),
                |()| {
                    let opened = Segment::open(&name);
                    outcome.set(1 + u32::from(opened.is_ok()));
                    core::mem::forget(opened);
                },
            );
            let inside = (0..calls).all(|_| opener.syscall());
            // In a thread of its own: where the opener is stopped with the name's lock, it waits.
            let dropping = thread::spawn(|| drop(first));
            let started = std::time::Instant::now();
            while !dropping.is_finished() && started.elapsed() < Duration::from_millis(20) {
                thread::yield_now();
            }
            // To its end, where it stops with what it opened.
            while opener.syscall() {}
            dropping.join().expect("no panic");
            let again = Segment::open(&name);
            match outcome.get() {
                1 => assert!(again.is_err(), "call {calls}: refused, and there afterwards"),
                2 => {
                    kept += 1;
                    assert!(again.is_ok(), "call {calls}: opened, and the name is gone: {again:?}");
                }
                other => panic!("call {calls}: outcome {other}"),
            }
            opener.child.kill();
            if !inside {
                break;
            }
            calls += 1;
        }
        assert!(calls > 20 && kept > 0, "{calls} system calls, {kept} kept");
    });
}

#[test]
fn shared_memory_that_has_a_name_can_be_opened() {
    alone(|| {
        let mut calls = 0;
        let mut seen = 0;
        loop {
            let name = name(&format!("half-{calls}"));
            let mut creator = Stepped::new(
                || (),
                |()| core::mem::forget(SharedMemory::create(&name, 100).expect("a new name")),
            );
            let inside = (0..calls).all(|_| creator.syscall());
            match (path_of(&name).exists(), SharedMemory::open(&name)) {
                (true, Ok(_)) => seen += 1,
                (false, Err(Error::NotFound)) => {}
                other => panic!("after {calls} stops: {other:?}"),
            }
            creator.child.kill();
            if !inside {
                break;
            }
            calls += 1;
        }
        assert!(calls > 20 && seen > 0, "{calls} stops, found {seen} times");
    });
}

#[test]
fn the_files_of_killed_processes_are_cleared_away_by_later_creations() {
    let stale = || {
        let ours = format!("names-stale-{}-", std::process::id());
        let files = std::fs::read_dir("/dev/shm").expect("Linux has it").flatten();
        files.filter(|file| file.file_name().to_string_lossy().contains(&ours)).count()
    };
    let parent = std::process::id();
    let mut children: Vec<_> = (0..20)
        .map(|at| {
            fork(move || {
                let name = format!("names-stale-{parent}-{at}");
                core::mem::forget(Segment::create(&name, 4096).expect("a new name"));
                forever()
            })
        })
        .collect();
    until("all are there", || stale() == 20);
    children.iter_mut().for_each(crate::processes::Child::kill);
    // Those that are never used again are not cleared by their own names' next use.
    // Other tests of this process create names too: then not every creation looks.
    until("creations clear them away", || {
        drop(SharedMemory::create_new(100).expect("a name"));
        stale() == 0
    });
}

#[test]
fn names_of_the_living_are_not_cleared_away() {
    let held: Vec<_> = (0..40).map(|at| seven(&name(&format!("living-{at}")))).collect();
    let mut others = [(); 3].map(|()| {
        fork(|| {
            for _ in 0..100 {
                drop(SharedMemory::create_new(100).expect("a name"));
            }
            0
        })
    });
    assert!(others.iter_mut().all(|other| other.join() == 0));
    for at in 0..held.len() {
        assert_eq!(found(&name(&format!("living-{at}"))).expect("it lives"), 7);
    }
}

#[test]
fn processes_that_open_or_create_at_once_get_one_segment() {
    let shared = Segment::anonymous(1 << 16).expect("a segment");
    let tickets = RawValue::create(&shared, "tickets", 0_u32).expect("room");
    for round in 0..30_u32 {
        let name = name(&format!("once-{round}"));
        let mut all = [(); 4].map(|()| {
            fork(|| {
                let segment = Segment::open_or_create(&name, 4096).expect("one or the other");
                let count = RawValue::create(&segment, "count", 0_u32)
                    .or_else(|_| RawValue::open(&segment, "count"))
                    .expect("one or the other");
                count.as_atomic().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tickets.as_atomic().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                until("all have come", || tickets.get() >= 4 * (round + 1));
                i32::from(count.get() != 4)
            })
        });
        for child in &mut all {
            assert_eq!(child.join(), 0, "round {round}: several segments of one name");
        }
    }
}

#[test]
fn of_two_threads_that_unlink_a_name_one_does() {
    let name = name("unlinked-twice");
    for _ in 0..50 {
        let segment = Segment::create(&name, 4096).expect("free");
        let (one, other) = thread::scope(|scope| {
            let one = scope.spawn(|| segment.unlink_own());
            (segment.unlink_own(), one.join().expect("no panic"))
        });
        assert!(
            matches!(
                (&one, &other),
                (Ok(()), Err(Error::NotFound)) | (Err(Error::NotFound), Ok(()))
            ),
            "{one:?} {other:?}"
        );
    }
}
