use sync_ipc::{Error, Item, ListError, Mutex, OutOfRange, Segment, ShareableList, SharedMemory};

use crate::processes::fork;

fn name(of: &str) -> String {
    format!("memory-{of}-{}", std::process::id())
}

#[test]
fn names_and_sizes() {
    for bad in ["nul\0", "a/b", ""] {
        assert!(matches!(SharedMemory::create(bad, 1), Err(Error::BadName)));
        assert!(matches!(SharedMemory::open(bad), Err(Error::BadName)));
    }
    let name = name("basics");
    assert!(matches!(SharedMemory::open(&name), Err(Error::NotFound)));
    assert!(matches!(SharedMemory::create(&name, 0), Err(Error::BadSize)));
    let memory = SharedMemory::create(&name, 512).expect("a new name");
    assert_eq!((memory.size(), memory.name()), (512, Some(&*name)));
    assert!(memory.to_vec(0..512).expect("inside").iter().all(|byte| *byte == 0));
    assert!(matches!(SharedMemory::create(&name, 512), Err(Error::AlreadyExists)));
    memory.write(0, b"ours").expect("inside");
    assert_eq!(memory.write(510, b"123"), Err(OutOfRange));
    assert_eq!(memory.to_vec(500..513), Err(OutOfRange));
    let mut child = fork(|| {
        let theirs = SharedMemory::open(&name).expect("it is there");
        assert!(theirs.to_vec(0..4).expect("inside") == b"ours");
        theirs.write(0, b"them").expect("inside");
        0
    });
    assert_eq!(child.join(), 0);
    assert_eq!(memory.to_vec(0..4).expect("inside"), b"them");
    memory.unlink().expect("it is there");
    assert!(matches!(memory.unlink(), Err(Error::NotFound)));
    assert!(matches!(SharedMemory::open(&name), Err(Error::NotFound)));
    let (one, two) = (
        SharedMemory::create_new(1).expect("a name"),
        SharedMemory::create_new(1).expect("a name"),
    );
    assert_ne!(one.name(), two.name());
}

#[test]
fn the_same_memory_by_descriptor() {
    use std::os::fd::AsFd;
    let memory = SharedMemory::anonymous(10).expect("memory");
    let theirs = SharedMemory::from_fd(memory.as_fd().try_clone_to_owned().expect("a descriptor"))
        .expect("ours");
    theirs.write(9, b"x").expect("inside");
    let mut byte = [0];
    memory.read(9, &mut byte).expect("inside");
    assert_eq!(byte, *b"x");
    let other = Segment::anonymous(10).expect("memory");
    assert!(matches!(
        SharedMemory::from_fd(other.try_clone_fd().expect("a descriptor")),
        Err(Error::NotFound)
    ));
}

#[test]
fn a_killed_process_leaves_no_memory() {
    let name = name("killed");
    let mut child = fork(|| {
        core::mem::forget(SharedMemory::create(&name, 100).expect("a new name"));
        loop {
            std::thread::sleep(crate::processes::FOR_EVER);
        }
    });
    crate::processes::until("it is there", || SharedMemory::open(&name).is_ok());
    child.kill();
    assert!(matches!(SharedMemory::open(&name), Err(Error::NotFound)));
    let again = SharedMemory::create(&name, 100).expect("free again");
    drop(again);
}

#[test]
fn shareable_list() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let items = [
        Item::Str("howdy".into()),
        Item::Bytes(b"HoWdY".to_vec()),
        Item::Float(-273.154),
        Item::Int(100),
        Item::None,
        Item::Bool(true),
    ];
    let list = ShareableList::create(&segment, "list", &items).expect("room");
    assert_eq!(list.to_vec().expect("whole"), items);
    let mut child = fork(|| {
        let theirs = ShareableList::open(&segment, "list").expect("it is there");
        theirs.set(3, &Item::Float(0.5)).expect("numbers replace each other");
        theirs.set(4, &Item::Str("12345678".into())).expect("eight bytes fit everywhere");
        i32::from(
            theirs.set(0, &Item::Str("nine bytes".into())) == Err(ListError::TooLong)
                && theirs.get(6) == Err(ListError::OutOfRange),
        )
    });
    assert_eq!(child.join(), 1);
    assert_eq!(list.get(3), Ok(Item::Float(0.5)));
    assert_eq!(list.get(4), Ok(Item::Str("12345678".into())));
    assert_eq!(list.get(0), Ok(Item::Str("howdy".into())));
    assert!(matches!(ShareableList::create(&segment, "empty", &[]), Err(Error::BadSize)));
}

#[test]
fn a_full_tmpfs_is_an_error() {
    // More than any machine has: refused before the first page. (A size between what is free and
    // what exists cannot be tested without harm.)
    assert!(matches!(
        Segment::anonymous(1 << 50),
        Err(Error::Io(error)) if error.kind() == std::io::ErrorKind::OutOfMemory
    ));
    // A mount of 64 KiB of its own would need privileges; the limit on file sizes refuses the same
    // call in the same place.
    let mut child = fork(|| {
        let limit = libc::rlimit { rlim_cur: 65536, rlim_max: 65536 };
        // SAFETY: limits this child, which ignores the signal that comes with the error.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
        }
        let small = Segment::anonymous(4096).is_ok();
        let large = Segment::anonymous(1 << 20);
        i32::from(small && matches!(large, Err(Error::Io(_))))
    });
    assert_eq!(child.join(), 1);
}

#[test]
fn sixty_four_segments_and_more_at_once() {
    let segments: Vec<Segment> =
        (0..80).map(|_| Segment::anonymous(4096).expect("a segment")).collect();
    let mutexes: Vec<Mutex<u32>> =
        segments.iter().map(|segment| Mutex::create(segment, "m", 0).expect("room")).collect();
    let mut child = fork(|| {
        mutexes.iter().for_each(|mutex| mutex.lock().expect("free").set(1));
        0
    });
    assert_eq!(child.join(), 0);
    assert!(mutexes.iter().all(|mutex| mutex.lock().expect("free").get() == 1));
}
