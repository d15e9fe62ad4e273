//! The readers-writer lock between processes.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use sync_ipc::{Error, LockError, RwLock, Segment};

use crate::processes::{FOR_EVER, fork, until};

fn lock() -> RwLock<[u64; 4]> {
    let segment = Segment::anonymous(4096).expect("a segment");
    RwLock::create(&segment, "lock", [0; 4]).expect("room")
}

#[test]
fn readers_share_and_writers_exclude() {
    let lock = lock();
    let readers: Vec<_> = (0..64).map(|_| lock.read().expect("free")).collect();
    assert!(matches!(lock.try_write(), Err(LockError::TimedOut)));
    assert!(matches!(lock.try_write_for(Duration::from_millis(1)), Err(LockError::TimedOut)));
    // A writer that gave up holds up no reader; but there is no room for one more.
    assert!(matches!(lock.try_read(), Err(LockError::TimedOut)));
    assert!(matches!(lock.try_read_for(Duration::from_millis(1)), Err(LockError::TimedOut)));
    drop(readers);
    let mut writer = lock.try_write().expect("free");
    writer.set([7; 4]);
    assert!(matches!(lock.try_read(), Err(LockError::TimedOut)));
    assert!(matches!(lock.try_write(), Err(LockError::TimedOut)));
    drop(writer);
    assert_eq!(lock.read().expect("free").get(), [7; 4]);
}

#[test]
fn it_is_found_by_name_and_type() -> sync_ipc::Result<()> {
    let segment = Segment::anonymous(65536).expect("a segment");
    let lock = RwLock::with_readers(&segment, "lock", 3, 5_u32).expect("room");
    assert_eq!(
        RwLock::<u32>::open(&segment, "lock").expect("there").read().expect("free").get(),
        5
    );
    assert!(matches!(RwLock::<u64>::open(&segment, "lock"), Err(Error::WrongType)));
    assert!(matches!(RwLock::create(&segment, "lock", 5_u32), Err(Error::AlreadyExists)));
    assert_eq!(RwLock::open_or_create(&segment, "lock", 6_u32).expect("there").read()?.get(), 5);
    for readers in [0, 4097] {
        let refused = RwLock::with_readers(&segment, "other", readers, 5_u32);
        assert!(matches!(refused, Err(Error::BadSize)));
    }
    let held: Vec<_> = (0..3).map(|_| lock.read().expect("free")).collect();
    assert!(matches!(lock.try_read(), Err(LockError::TimedOut)));
    drop(held);
    Ok(())
}

#[test]
fn a_killed_reader_holds_up_no_writer() {
    let lock = lock();
    let mut reader = fork(|| {
        core::mem::forget(lock.read().expect("free"));
        std::thread::sleep(FOR_EVER);
        0
    });
    until("it reads", || lock.try_write().is_err());
    reader.kill();
    lock.try_write_for(FOR_EVER).expect("a reader spoils nothing").set([1; 4]);
}

#[test]
fn a_killed_writer_is_reported_to_a_reader() {
    let lock = lock();
    let (mut ours, mut theirs) = UnixStream::pair().expect("descriptors");
    let mut writer = fork(|| {
        core::mem::forget(lock.write().expect("free"));
        theirs.write_all(&[0]).expect("read");
        std::thread::sleep(FOR_EVER);
        0
    });
    // A reader is refused before the writer has the lock, too.
    ours.read_exact(&mut [0]).expect("the writer lives");
    writer.kill();
    // An error on its way up leaves the lock to be repaired.
    let error = Error::from(lock.read().map(drop).expect_err("its writer died"));
    assert!(matches!(error, Error::Lock(LockError::OwnerDied(()))));
    let Err(LockError::OwnerDied(mut guard)) = lock.read() else { panic!("still to be repaired") };
    assert!(guard.is_inconsistent());
    guard.set([2; 4]);
    guard.mark_consistent();
    drop(guard);
    assert_eq!(lock.read().expect("consistent").get(), [2; 4]);
    // A guard that is dropped without repair.
    let mut writer = fork(|| {
        core::mem::forget(lock.write().expect("free"));
        0
    });
    assert_eq!(writer.join(), 0);
    assert!(matches!(lock.write(), Err(LockError::OwnerDied(_))));
    assert!(matches!(lock.read(), Err(LockError::NotRecoverable)));
    assert!(matches!(lock.write(), Err(LockError::NotRecoverable)));
}

#[test]
fn a_writer_that_is_killed_while_it_waits_spoils_nothing() {
    let lock = lock();
    let reader = lock.read().expect("free");
    let mut writer = fork(|| {
        let _ = lock.write();
        0
    });
    until("it waits", || lock.try_read().is_err());
    writer.kill();
    // Another reader comes in, next to the first.
    assert_eq!(lock.try_read_for(FOR_EVER).expect("nothing was written").get(), [0; 4]);
    drop(reader);
    lock.write().expect("nothing was written").set([1; 4]);
}

#[test]
fn a_forked_childs_copies_of_guards_are_nothing() {
    let lock = lock();
    let reader = lock.read().expect("free");
    let mut reader = Some(reader);
    let mut child = fork(|| {
        drop(reader.take());
        i32::from(lock.try_write().is_ok())
    });
    assert_eq!(child.join(), 0, "the parent still reads");
    drop(reader);
    let mut writer = Some(lock.write().expect("free"));
    let mut child = fork(|| {
        if let Some(mut writer) = writer.take() {
            writer.set([9; 4]);
        }
        i32::from(lock.try_read().is_ok())
    });
    assert_eq!(child.join(), 0, "the parent still writes");
    drop(writer);
    assert_eq!(lock.read().expect("free").get(), [0; 4]);
}

#[test]
fn what_is_read_is_whole() {
    let lock = lock();
    let mut children: Vec<_> = (0..4)
        .map(|number| {
            let lock = &lock;
            fork(move || {
                for _ in 0..2000 {
                    if number < 2 {
                        lock.write().expect("no process dies").update(|all| {
                            for one in all {
                                *one += 1;
                            }
                        });
                    } else {
                        let all = lock.read().expect("no process dies").get();
                        assert_eq!(all, [all[0]; 4]);
                    }
                }
                0
            })
        })
        .collect();
    for child in &mut children {
        assert_eq!(child.join(), 0);
    }
    assert_eq!(lock.read().expect("free").get(), [4000; 4]);
}

#[test]
fn a_waiting_writer_holds_up_new_readers() {
    let lock = lock();
    let reader = lock.read().expect("free");
    let mut writer = fork(|| {
        lock.write().expect("its readers leave").set([3; 4]);
        0
    });
    until("it waits", || lock.try_read().is_err());
    drop(reader);
    assert_eq!(writer.join(), 0);
    assert_eq!(lock.read().expect("free").get(), [3; 4]);
}
