//! Resources that the system runs out of, and resources that must not be left behind.

use std::fs;
use std::io;
use std::os::fd::AsFd;

use sync_ipc::{Barrier, Condvar, Error, Event, Mutex, Queue, Segment, Semaphore, pipe};

use crate::processes::{Child, alone, fork};

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has it").count()
}

/// Mappings of segments, and the pages that hold identities.
fn mappings() -> usize {
    fs::read_to_string("/proc/self/maps")
        .expect("Linux has it")
        .lines()
        .filter(|line| line.contains("/memfd:sync-ipc"))
        .count()
}

fn address_space() -> usize {
    let status = fs::read_to_string("/proc/self/statm").expect("Linux has it");
    status.split_whitespace().next().and_then(|pages| pages.parse().ok()).expect("a number")
}

fn everything_once(turn: usize) {
    let name = format!("leaks-{}-{turn}", std::process::id());
    let named = Segment::create(&name, 16384).expect("a new name");
    let opened = Segment::open(&name).expect("it is there");
    let (ours, theirs) = pipe().expect("descriptors");
    ours.send_segment(&named).expect("sent");
    let received = theirs.recv_segment().expect("a segment");
    let mutex = Mutex::create(&named, "mutex", 0_u64).expect("room");
    let permits = Semaphore::create(&named, "permits", 2, 2).expect("room");
    let queue = Queue::<u64>::create(&opened, "queue", 4).expect("room");
    Event::create(&named, "event").expect("room").set();
    drop((
        Barrier::create(&named, "barrier", 1).expect("room").wait(),
        Condvar::create(&named, "condvar").expect("room"),
    ));
    let mut child = fork(|| {
        core::mem::forget((mutex.lock().expect("free"), permits.acquire().expect("free")));
        queue.put(1).expect("room");
        0
    });
    assert_eq!(child.join(), 0);
    assert!(mutex.lock().is_err_and(|error| error.into_guard().is_some()));
    assert_eq!(Queue::<u64>::open(&received, "queue").expect("it is there").get(), Ok(1));
    let both = [(); 2].map(|()| permits.acquire().expect("no permit leaks"));
    drop(both);
    assert!(matches!(
        Segment::from_fd(ours.as_fd().try_clone_to_owned().expect("a descriptor")),
        Err(Error::NotASegment(_))
    ));
    assert!(Segment::create(&name, 1).is_err());
}

#[test]
fn nothing_leaks() {
    alone(|| {
        // Made once and kept: the allocator's memory and the library's.
        (0..3).for_each(everything_once);
        let before = (descriptors(), mappings());
        let space = address_space();
        (3..60).for_each(everything_once);
        assert_eq!((descriptors(), mappings()), before);
        assert!(
            address_space() < space + 256,
            "57 times a segment of 44 KiB and four pages would be more"
        );
        let left = fs::read_dir("/dev/shm").expect("Linux has it").flatten();
        let ours = format!("leaks-{}-", std::process::id());
        assert_eq!(
            left.filter(|file| file.file_name().to_string_lossy().contains(&ours)).count(),
            0
        );
    });
}

/// A process in a mount namespace of its own, with a small `/dev/shm`; `None` if the system does
/// not allow that.
fn with_small_tmpfs(options: &core::ffi::CStr, act: impl FnOnce() -> bool) -> Option<bool> {
    const NOT_ALLOWED: i32 = 77;
    let mut child: Child = fork(|| {
        let tmpfs = c"tmpfs".as_ptr();
        // SAFETY: null-terminated strings; what changes are this child's own namespaces.
        let mounted = unsafe {
            (libc::unshare(libc::CLONE_NEWNS) == 0
                || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0)
                && libc::mount(
                    core::ptr::null(),
                    c"/".as_ptr(),
                    core::ptr::null(),
                    libc::MS_REC | libc::MS_PRIVATE,
                    core::ptr::null(),
                ) == 0
                && libc::mount(tmpfs, c"/dev/shm".as_ptr(), tmpfs, 0, options.as_ptr().cast()) == 0
        };
        if mounted { i32::from(act()) } else { NOT_ALLOWED }
    });
    match child.join() {
        NOT_ALLOWED => None,
        code => Some(code == 1),
    }
}

#[test]
fn a_full_tmpfs_is_an_error_for_names_and_no_matter_for_others() {
    let full = |result: sync_ipc::Result<Segment>| {
        matches!(
            &result,
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::StorageFull
        )
    };
    let no_room = with_small_tmpfs(c"size=4096", || {
        fs::write("/dev/shm/other", [1; 4096]).expect("exactly full");
        let refused = full(Segment::create("full", 4096));
        let anonymous = Segment::anonymous(4096).is_ok();
        fs::remove_file("/dev/shm/other").expect("it is there");
        let empty = fs::read_dir("/dev/shm").is_ok_and(|mut files| files.next().is_none());
        // A name's file has one page, and grows when the segment has more than 126 holders.
        let first = Segment::create("full", 4096).expect("one page is free");
        let mut holders: Vec<Segment> = vec![first];
        let refused_later = loop {
            match Segment::open("full") {
                Ok(holder) => holders.push(holder),
                other => break full(other),
            }
        };
        refused && anonymous && empty && refused_later && holders.len() == 126
    });
    let room = with_small_tmpfs(c"size=16384", || Segment::create("fits", 4096).is_ok());
    match (no_room, room) {
        (None, _) | (_, None) => println!(
            "no mounts allowed here: the limit on file sizes stands for a full tmpfs, \
             see `shared_memory`"
        ),
        outcome => assert_eq!(outcome, (Some(true), Some(true))),
    }
}

#[test]
fn no_descriptors_left_is_an_error_and_nothing_is_lost() {
    let mut child = fork(|| {
        let segment = Segment::anonymous(4096).expect("a segment");
        let mutex = Mutex::create(&segment, "mutex", 1_u64).expect("room");
        let limit =
            libc::rlimit { rlim_cur: descriptors() as u64 + 2, rlim_max: descriptors() as u64 + 2 };
        // SAFETY: limits this child.
        unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
        let mut kept = Vec::new();
        let error = loop {
            match Segment::anonymous(4096) {
                Ok(segment) => kept.push(segment),
                Err(error) => break error,
            }
            assert!(kept.len() < 10);
        };
        assert!(matches!(error, Error::Io(_)));
        // Operations that need no descriptor go on.
        mutex.lock().expect("free").set(2);
        i32::from(mutex.lock().expect("free").get() == 2)
    });
    assert_eq!(child.join(), 1);
}
