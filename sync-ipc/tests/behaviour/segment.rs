//! Segments: names, descriptors, and what is refused.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create};
use sync_ipc::{
    Array, Error, Event, LockError, Mutex, Queue, RawArray, ReentrantMutex, Segment, Semaphore,
};

use crate::processes::{alone, fork};

fn name(of: &str) -> String {
    format!("behaviour-{of}-{}", std::process::id())
}

fn memfd(size: usize, content: &[u8], seals: SealFlags) -> OwnedFd {
    let memfd =
        memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
    let mut file = File::from(memfd);
    file.write_all(content).expect("room");
    file.set_len(size as u64).expect("room");
    let memfd = OwnedFd::from(file);
    if size > 0 {
        fallocate(&memfd, FallocateFlags::empty(), 0, size as u64).expect("room");
    }
    fcntl_add_seals(&memfd, seals).expect("a memfd can be sealed");
    memfd
}

const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

#[test]
fn objects_are_found_by_name_and_type() {
    let segment = Segment::anonymous(1).expect("a segment");
    assert!(segment.size() >= 1);
    Mutex::create(&segment, "a", 1_u64).expect("room");
    assert!(matches!(Mutex::create(&segment, "a", 1_u64), Err(Error::AlreadyExists)));
    assert!(matches!(Mutex::<u32>::open(&segment, "a"), Err(Error::WrongType)));
    assert!(matches!(Mutex::<u64>::open(&segment, "b"), Err(Error::NotFound)));
    for bad in ["", "a/b", "nul\0", "a name that is far longer than 31 bytes"] {
        assert!(matches!(Mutex::create(&segment, bad, 1_u64), Err(Error::BadName)), "{bad:?}");
    }
    assert!(matches!(Mutex::create(&segment, "big", [0_u8; 5000]), Err(Error::Full)));
    assert_eq!(
        Mutex::open_or_create(&segment, "a", 9_u64)
            .expect("it is there")
            .lock()
            .expect("free")
            .get(),
        1
    );
    assert_eq!(
        Mutex::open_or_create(&segment, "c", 9_u64).expect("room").lock().expect("free").get(),
        9
    );
}

#[test]
fn sizes_that_cannot_be() {
    for size in [0, usize::MAX, usize::MAX / 2, 1 << 60] {
        assert!(Segment::anonymous(size).is_err(), "{size}");
    }
}

#[test]
fn names_are_created_found_and_removed() {
    let name = name("names");
    assert!(matches!(Segment::open(&name), Err(Error::NotFound)));
    let segment = Segment::create(&name, 4096).expect("a new name");
    assert!(matches!(Segment::create(&name, 4096), Err(Error::AlreadyExists)));
    let mutex = Mutex::create(&segment, "m", 3_u64).expect("room");
    let mut child = fork(|| {
        let theirs = Segment::open(&name).expect("it is there");
        Mutex::<u64>::open(&theirs, "m").expect("it is there").lock().expect("free").set(4);
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(mutex.lock().expect("free").get(), 4);
    Segment::unlink(&name).expect("it is there");
    assert!(matches!(Segment::unlink(&name), Err(Error::NotFound)));
    assert!(matches!(Segment::open(&name), Err(Error::NotFound)));
    mutex.lock().expect("its holders keep it").set(5);
    for bad in ["", "a/b", "nul\0"] {
        assert!(matches!(Segment::create(bad, 1), Err(Error::BadName)));
        assert!(matches!(Segment::open(bad), Err(Error::BadName)));
        assert!(matches!(Segment::unlink(bad), Err(Error::BadName)));
    }
}

#[test]
fn a_name_lives_as_long_as_any_holder() {
    let name = name("holder");
    let first = Segment::create(&name, 4096).expect("a new name");
    Mutex::create(&first, "m", 3_u64).expect("room");
    let second = Segment::open(&name).expect("it is there");
    drop(first);
    let third = Segment::open(&name).expect("the second holds it");
    assert_eq!(
        Mutex::<u64>::open(&third, "m").expect("it is there").lock().expect("free").get(),
        3
    );
    drop((second, third));
    assert!(matches!(Segment::open(&name), Err(Error::NotFound)));
    assert!(
        matches!(Segment::unlink(&name), Err(Error::NotFound)),
        "the last holder takes the name with it"
    );
}

#[test]
fn what_is_no_segment_is_refused() {
    let refused = |fd: OwnedFd| match Segment::from_fd(fd) {
        Err(Error::NotASegment(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(File::open("/dev/null").expect("a device").into()), "not a memfd");
    assert_eq!(
        refused(memfd(65536, b"", SealFlags::empty())),
        "not sealed against shrinking and growing"
    );
    assert_eq!(
        refused(memfd(65536, b"", SealFlags::GROW)),
        "not sealed against shrinking and growing"
    );
    assert_eq!(refused(memfd(0, b"", SEALS)), "truncated");
    assert_eq!(refused(memfd(4096, b"", SEALS)), "truncated");
    assert_eq!(refused(memfd(65537, b"", SEALS)), "truncated");
    assert_eq!(refused(memfd(65536, b"", SEALS)), "no magic number");

    // The first 64 bytes of a real one, changed in one place each.
    let real = Segment::anonymous(4096).expect("a segment");
    let mut header = vec![0; 64];
    rustix::io::pread(&real, &mut header, 0).expect("readable");
    let size = rustix::fs::fstat(&real).expect("a file").st_size as usize;
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = header.clone();
        change(&mut bytes);
        memfd(size, &bytes, SEALS)
    };
    assert!(Segment::from_fd(with(&|_| {})).is_ok());
    assert_eq!(
        refused(with(&|bytes| bytes[..8].reverse())),
        "made on a machine of the other byte order"
    );
    assert_eq!(refused(with(&|bytes| bytes[8] = 200)), "another version of the layout");
    assert_eq!(refused(with(&|bytes| bytes[12] = 4)), "another width of pointers");
    assert_eq!(refused(with(&|bytes| bytes[18] = 1)), "not the size its header says");
    assert_eq!(refused(with(&|bytes| bytes[40] = 1)), "its maker did not finish it");
    let many = Segment::from_fd(with(&|bytes| bytes[52] = 255)).expect("the header is fine");
    assert!(matches!(Mutex::<u64>::open(&many, "m"), Err(Error::Corrupted)));
    let outside = Segment::from_fd(with(&|bytes| bytes[52] = 1)).expect("the header is fine");
    assert!(matches!(Mutex::<u64>::open(&outside, "m"), Err(Error::Corrupted)));
}

#[test]
fn a_name_that_another_thread_else_planted_is_refused() {
    // SAFETY: asks for a number.
    let uid = unsafe { libc::getuid() };
    let name = name("planted");
    let path = format!("/dev/shm/sync-ipc.{uid}.{name}");
    std::os::unix::fs::symlink("/etc/passwd", &path).expect("a link");
    assert!(matches!(Segment::open(&name), Err(Error::NotASegment(_))));
    assert!(matches!(Segment::create(&name, 4096), Err(Error::NotASegment(_))));
    std::fs::remove_file(&path).expect("our link");
    std::fs::write(&path, b"short").expect("a file");
    assert!(matches!(Segment::open(&name), Err(Error::NotASegment(_))), "readable by others");
    std::fs::remove_file(&path).expect("our file");
}

#[test]
fn participants_leave_no_descriptors_or_mappings() {
    let fds = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let maps = || {
        std::fs::read_to_string("/proc/self/maps")
            .map_or(0, |maps| maps.matches("memfd:sync-ipc").count())
    };
    let mut child = fork(|| {
        let before = (fds(), maps());
        for _ in 0..50 {
            let segment = Segment::create(&name("leak"), 4096).expect("a new name");
            let mutex = Mutex::create(&segment, "m", 1_u64).expect("room");
            drop(mutex.lock());
            drop(Segment::open(&name("leak")).expect("it is there"));
        }
        i32::from((fds(), maps()) != before)
    });
    assert_eq!(child.join(), 0);
}

#[test]
fn slots_run_out_with_an_error_and_come_back() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mut child = fork(|| {
        let mut handles = Vec::new();
        let error = loop {
            match segment.try_clone_fd().and_then(Segment::from_fd) {
                Ok(handle) => handles.push(handle),
                Err(error) => break error,
            }
        };
        // Either limit may come first on a given system: descriptors (1024 is common) or slots
        // (512).
        i32::from(handles.len() > 100 && matches!(error, Error::TooManyParticipants | Error::Io(_)))
    });
    assert_eq!(child.join(), 1);
    Segment::from_fd(segment.try_clone_fd().expect("a descriptor"))
        .expect("the child's slots are free again");
}

#[test]
fn what_lies_in_a_segment_means_the_same_in_every_process() {
    // The bytes of one segment, copied into another: the objects are there. A pointer, a descriptor
    // or a thread's number among them would not be.
    let segment = Segment::anonymous(8192).expect("a segment");
    let queue = sync_ipc::Queue::<u32>::create(&segment, "queue", 3).expect("room");
    (1..3).for_each(|item| queue.put(item).expect("room"));
    Mutex::create(&segment, "mutex", 5_u32).expect("room");
    let size = rustix::fs::fstat(&segment).expect("a file").st_size as usize;
    let mut bytes = vec![0; size];
    assert_eq!(rustix::io::pread(&segment, &mut bytes, 0).expect("readable"), size);
    let copy = Segment::from_fd(memfd(size, &bytes, SEALS)).expect("a segment like any other");
    assert_eq!(
        Mutex::<u32>::open(&copy, "mutex").expect("it is there").lock().expect("free").get(),
        5
    );
    let theirs = sync_ipc::Queue::<u32>::open(&copy, "queue").expect("it is there");
    // Their sender's identity names no participant of the copy; sent items stay sent.
    assert_eq!((theirs.get(), theirs.get()), (Ok(1), Ok(2)));
}

#[test]
fn memory_that_is_not_allocated_is_refused_and_stays_unallocated() {
    let real = Segment::anonymous(64 << 20).expect("a segment");
    let size = rustix::fs::fstat(&real).expect("a file").st_size as u64;
    let mut header = vec![0; 64];
    rustix::io::pread(&real, &mut header, 0).expect("readable");
    for content in [&header[..], b""] {
        let memfd =
            memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memfd");
        rustix::fs::ftruncate(&memfd, size).expect("nothing is allocated");
        rustix::io::pwrite(&memfd, content, 0).expect("room");
        fcntl_add_seals(&memfd, SEALS).expect("a memfd can be sealed");
        let kept = memfd.try_clone().expect("a descriptor");
        assert!(matches!(Segment::from_fd(memfd), Err(Error::NotASegment(_))));
        let blocks = rustix::fs::fstat(&kept).expect("a file").st_blocks;
        assert!(blocks <= 8, "{blocks} blocks of 512 bytes were allocated");
    }
}

#[test]
fn a_limit_on_file_sizes_is_an_error_and_no_signal() {
    for (bytes, size) in [(65536, 1 << 20), (60_000, 4096), (50, 4096)] {
        let mut child = fork(|| {
            crate::surroundings::limit(libc::RLIMIT_FSIZE, bytes);
            let refused = |made: sync_ipc::Result<Segment>| match made {
                Err(Error::Io(error)) => error.kind() == std::io::ErrorKind::FileTooLarge,
                other => {
                    eprintln!("{other:?}");
                    false
                }
            };
            let both = refused(Segment::anonymous(size))
                && refused(Segment::create(&name("limited"), size));
            i32::from(!both && bytes != 60_000)
        });
        assert_eq!(child.join(), 0, "{bytes} bytes");
    }
    // An opener with a lower limit than the creator had.
    let name = name("low-limit");
    let holders: Vec<_> = [Segment::create(&name, 4096).expect("a new name")]
        .into_iter()
        .chain((0..20).map(|_| Segment::open(&name).expect("it is there")))
        .collect();
    let mut child = fork(|| {
        crate::surroundings::limit(libc::RLIMIT_FSIZE, 100);
        i32::from(!matches!(Segment::open(&name), Err(Error::Io(_))))
    });
    assert_eq!(child.join(), 0);
    drop(holders);
}

#[test]
fn a_name_in_a_segment_can_be_given_back() {
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    let theirs = Segment::from_fd(segment.try_clone_fd().expect("one")).expect("a segment");
    let kept = Mutex::create(&segment, "kept", 1_u64).expect("room");
    let first = Mutex::create(&segment, "name", 1_u64).expect("room");
    // More often than there are entries; an object of another type each other time.
    for round in 0..300_u32 {
        theirs.remove("name").expect("it is there");
        assert!(matches!(theirs.remove("name"), Err(Error::NotFound)));
        assert!(matches!(Mutex::<u64>::open(&segment, "name"), Err(Error::NotFound)));
        if round % 2 == 0 {
            Event::create(&segment, "name").expect("free").set();
            assert!(Event::open(&theirs, "name").expect("it is there").is_set());
        } else {
            Mutex::create(&segment, "name", 5_u64).expect("free");
        }
    }
    // The removed object is the old handle's still, and no other object lies in it.
    assert_eq!(first.lock().expect("free").get(), 1);
    first.lock().expect("free").set(2);
    assert_eq!(Mutex::<u64>::open(&segment, "name").expect("new").lock().expect("free").get(), 5);
    assert_eq!(kept.lock().expect("free").get(), 1);
}

#[test]
fn arrays_come_and_go_more_often_than_there_are_entries() {
    let segment = Segment::anonymous(1 << 20).expect("a segment");
    let kept = Array::create(&segment, "kept", &[1_u32]).expect("room");
    for round in 0..300_u32 {
        let array = Array::create(&segment, "array", &[round; 3]).expect("free");
        assert_eq!(array.lock().expect("free").to_vec(), [round; 3]);
        let again = Array::<u32>::create(&segment, "array", &[5]);
        assert!(matches!(again, Err(Error::AlreadyExists)));
        // A lock is the program's own, whatever its name.
        if round == 0 {
            ReentrantMutex::create(&segment, "other~", ()).expect("free");
        }
        Array::<u32>::remove(&segment, "array").expect("it is there");
    }
    // The lock that is left of an array whose items alone were removed goes with the next object.
    Array::create(&segment, "array", &[1_u64]).expect("free");
    segment.remove("array").expect("it is there");
    let array = Array::create(&segment, "array", &[2_u64]).expect("free");
    assert_eq!(array.lock().expect("free").to_vec(), [2]);
    assert_eq!(kept.lock().expect("free").to_vec(), [1]);
    ReentrantMutex::<()>::open(&segment, "other~").expect("it is there");
}

#[test]
fn an_object_that_cannot_be_recovered_can_be_replaced() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let broken = Mutex::create(&segment, "lock", 1_u64).expect("room");
    let mut dies = fork(|| {
        core::mem::forget(broken.lock());
        0
    });
    assert_eq!(dies.join(), 0);
    drop(broken.lock().expect_err("its owner died"));
    assert!(matches!(broken.lock(), Err(LockError::NotRecoverable)));
    segment.remove("lock").expect("it is there");
    let new = Mutex::create(&segment, "lock", 2_u64).expect("free");
    assert_eq!(new.lock().expect("free").get(), 2);
}

#[test]
fn an_array_is_removed_with_its_lock() {
    let segment = Segment::anonymous(4096).expect("a segment");
    for _ in 0..3 {
        Array::<u32>::create(&segment, "array", &[1, 2]).expect("free");
        Array::<u32>::remove(&segment, "array").expect("it is there");
        assert!(matches!(Array::<u32>::open(&segment, "array"), Err(Error::NotFound)));
    }
    assert!(matches!(Array::<u32>::remove(&segment, "array"), Err(Error::NotFound)));
}

#[test]
fn handles_that_were_opened_separately_are_two_participants_and_a_clone_is_the_same() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let mutex = ReentrantMutex::create(&segment, "m", 1_u64).expect("room");
    let other = Segment::from_fd(segment.try_clone_fd().expect("a descriptor")).expect("ours");
    let others = ReentrantMutex::<u64>::open(&other, "m").expect("it is there");
    let guard = mutex.lock().expect("free");
    assert!(matches!(others.try_lock(), Err(LockError::TimedOut)));
    let same = ReentrantMutex::<u64>::open(&segment.clone(), "m").expect("it is there");
    drop((same.try_lock().expect("ours"), mutex.clone().try_lock().expect("ours"), guard));
    drop(others.try_lock().expect("free"));
}

#[test]
fn a_named_segment_costs_three_descriptors_and_another_one_two() {
    alone(|| {
        let count = || std::fs::read_dir("/proc/self/fd").expect("/proc").count();
        let before = count();
        let anonymous = Segment::anonymous(4096).expect("a segment");
        assert_eq!(count() - before, 2);
        let named = Segment::create(&name("costs"), 4096).expect("a new name");
        assert_eq!(count() - before, 5);
        let opened = Segment::open(&name("costs")).expect("it is there");
        assert_eq!(count() - before, 8);
        drop((anonymous, named, opened));
        assert_eq!(count(), before);
    });
}

#[test]
fn types_of_the_same_name_size_and_alignment_open_each_others_objects() {
    mod one {
        #[derive(Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
        #[repr(C)]
        pub(super) struct Point(pub(super) u32, pub(super) u32);
    }
    mod other {
        #[derive(Debug, zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable)]
        #[repr(C)]
        pub(super) struct Point(pub(super) f32, pub(super) f32);
    }
    let segment = Segment::anonymous(4096).expect("a segment");
    Mutex::create(&segment, "p", one::Point(1.0_f32.to_bits(), 0)).expect("room");
    let seen = Mutex::<other::Point>::open(&segment, "p").expect("any bytes are either");
    let other::Point(x, y) = seen.lock().expect("free").get();
    assert_eq!((x, y), (1.0, 0.0));
    assert!(matches!(Mutex::<u64>::open(&segment, "p"), Err(Error::WrongType)));
}

#[test]
fn an_object_whose_name_ends_as_that_of_an_arrays_lock_stays() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    let queue = Queue::<u64>::create(&segment, "jobs~", 1).expect("room");
    queue.put(7).expect("open");
    RawArray::create(&segment, "one~", &[1_u32]).expect("room");
    Semaphore::create(&segment, "seats~", 1, 1).expect("room");
    ReentrantMutex::create(&segment, "lock~", ()).expect("room");
    Event::create(&segment, "another").expect("room");
    assert_eq!(Queue::<u64>::open(&segment, "jobs~").expect("it is there").try_get(), Ok(7));
    assert!(RawArray::<u32>::open(&segment, "one~").is_ok());
    assert!(Semaphore::open(&segment, "seats~").is_ok());
    assert!(ReentrantMutex::<()>::open(&segment, "lock~").is_ok());
}

#[test]
fn what_is_no_array_is_not_removed_as_one() {
    let segment = Segment::anonymous(1 << 16).expect("a segment");
    Mutex::create(&segment, "x~", 0_u32).expect("room");
    Mutex::create(&segment, "total", 0_u32).expect("room");
    Array::create(&segment, "row", &[1_u32]).expect("room");
    let remove = |name| Array::<u32>::remove(&segment, name);
    assert!(matches!(remove("x"), Err(Error::NotFound)));
    assert!(matches!(remove("total"), Err(Error::WrongType)));
    assert!(matches!(Array::<u64>::remove(&segment, "row"), Err(Error::WrongType)));
    assert!(Mutex::<u32>::open(&segment, "x~").is_ok());
    assert!(Mutex::<u32>::open(&segment, "total").is_ok());
    assert!(Array::<u32>::open(&segment, "row").is_ok());
    remove("row").expect("it is there");
    assert!(matches!(Array::<u32>::open(&segment, "row"), Err(Error::NotFound)));
    assert!(matches!(ReentrantMutex::<()>::open(&segment, "row~"), Err(Error::NotFound)));
}

/// One process removes and creates an array again and again; another one opens it.
#[test]
fn an_array_is_opened_with_its_own_lock() {
    let segment = Segment::anonymous(1 << 21).expect("a segment");
    let done = Event::create(&segment, "done").expect("room");
    let mut maker = fork(|| {
        for _ in 0..3000 {
            Array::create(&segment, "row", &[0_u32]).expect("room");
            Array::<u32>::remove(&segment, "row").expect("it is there");
        }
        done.set();
        0
    });
    let mut opened = 0;
    while !done.is_set() {
        let open = || Array::<u32>::open(&segment, "row");
        let (Ok(one), Ok(other)) = (open(), open()) else { continue };
        opened += 1;
        let guard = one.lock().expect("free");
        guard.set(0, 1).expect("inside");
        if other.raw().get(0) == Some(1) {
            // They have the same items, so they have the same lock.
            let elsewhere = || other.try_lock_for(Duration::ZERO).is_err();
            let is_held = thread::scope(|scope| scope.spawn(elsewhere).join().expect("no panic"));
            assert!(is_held, "the items of one array, and the lock of another");
        }
    }
    assert_eq!(maker.join(), 0);
    assert!(opened > 0, "the array was never there");
}
