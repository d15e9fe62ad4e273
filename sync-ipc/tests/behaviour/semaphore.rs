use std::time::{Duration, Instant};

use sync_ipc::{BoundedSemaphore, Error, Segment, Semaphore, TooManyReleases};

use crate::processes::{FOR_EVER, fork, until};

fn segment() -> Segment {
    Segment::anonymous(65536).expect("a segment")
}

#[test]
fn counts_down_and_up_and_beyond() {
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 2, 4).expect("room");
    assert_eq!(semaphore.available_permits(), 2);
    let one = semaphore.acquire().expect("free");
    assert_eq!(semaphore.available_permits(), 1);
    let two = semaphore.acquire().expect("free");
    assert_eq!(semaphore.available_permits(), 0);
    assert!(semaphore.try_acquire().expect_err("none").is_timeout());
    drop((one, two));
    assert_eq!(semaphore.available_permits(), 2);
    semaphore.try_add_permits(1).expect("room");
    assert_eq!(semaphore.available_permits(), 3);
    semaphore.try_add_permits(1).expect("room");
    assert_eq!(semaphore.available_permits(), 4);
    assert_eq!(semaphore.try_add_permits(1), Err(TooManyReleases));
}

#[test]
fn timeouts() {
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 0, 1).expect("room");
    assert!(semaphore.try_acquire().is_err());
    assert!(semaphore.try_acquire_for(Duration::ZERO).is_err());
    assert!(semaphore.try_acquire_until(Instant::now()).is_err());
    let started = Instant::now();
    assert!(semaphore.try_acquire_for(Duration::from_millis(50)).is_err());
    assert!(started.elapsed() >= Duration::from_millis(50));
    semaphore.try_add_permits(1).expect("room");
    drop(semaphore.try_acquire_for(Duration::MAX).expect("free"));
}

#[test]
fn values_that_cannot_be_and_releases_that_must_not() {
    let segment = segment();
    assert!(matches!(Semaphore::create(&segment, "s", 2, 1), Err(Error::BadSize)));
    assert!(matches!(Semaphore::create(&segment, "s", 0, 0), Err(Error::BadSize)));
    assert!(matches!(BoundedSemaphore::create(&segment, "s", 40_000), Err(Error::BadSize)));
    let bounded = BoundedSemaphore::create(&segment, "b", 2).expect("room");
    assert_eq!(bounded.release(), Err(TooManyReleases));
    bounded.acquire().expect("free").forget();
    assert_eq!(bounded.available_permits(), 1);
    // Two releases race for the one that is missing: exactly one gets it.
    let release = || i32::from(bounded.release().is_ok());
    let mut child = fork(release);
    let ours = release();
    assert_eq!(ours + child.join(), 1);
    assert_eq!(bounded.available_permits(), 2);
}

#[test]
fn permits_come_back_when_their_holder_dies() {
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 3, 3).expect("room");
    let child = fork(|| {
        let _permits = [(); 3].map(|()| semaphore.acquire().expect("free"));
        loop {
            std::thread::sleep(FOR_EVER);
        }
    });
    until("the child holds them", || semaphore.available_permits() == 0);
    assert!(semaphore.try_acquire().is_err());
    child.signal(libc::SIGKILL);
    let all = [(); 3].map(|()| semaphore.try_acquire_for(FOR_EVER).expect("the dead need none"));
    assert!(semaphore.try_acquire().is_err());
    drop(all);
    assert_eq!(semaphore.available_permits(), 3);
}

#[test]
fn a_forgotten_permit_does_not_come_back_by_death() {
    let segment = segment();
    let semaphore = BoundedSemaphore::create(&segment, "s", 1).expect("room");
    let mut child = fork(|| {
        semaphore.acquire().expect("free").forget();
        0
    });
    assert_eq!(child.join(), 0);
    assert!(semaphore.try_acquire_for(Duration::from_millis(80)).is_err());
    semaphore.release().expect("one is missing");
    drop(semaphore.try_acquire().expect("given back"));
}

#[test]
fn many_processes_never_hold_more_than_there_are() {
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 2, 2).expect("room");
    let inside = sync_ipc::Mutex::create(&segment, "inside", [0_u32; 2]).expect("room");
    let work = || {
        for _ in 0..2000 {
            let permit = semaphore.acquire().expect("attached");
            inside.lock().expect("clean").update(|[now, most]| {
                *now += 1;
                *most = (*most).max(*now);
            });
            inside.lock().expect("clean").update(|[now, _]| *now -= 1);
            drop(permit);
        }
        0
    };
    let mut children = [(); 3].map(|()| fork(work));
    assert_eq!(children.each_mut().map(crate::processes::Child::join), [0; 3]);
    let [now, most] = inside.lock().expect("clean").get();
    assert_eq!(now, 0);
    assert!((1..=2).contains(&most));
    assert_eq!(semaphore.available_permits(), 2);
}

#[test]
fn there_is_a_most_and_the_count_is_never_negative() {
    let segment = Segment::anonymous(1 << 18).expect("a segment");
    let most = Semaphore::create(&segment, "most", sync_ipc::MAX_PERMITS, sync_ipc::MAX_PERMITS)
        .expect("room");
    assert_eq!(most.available_permits(), sync_ipc::MAX_PERMITS);
    assert_eq!(most.try_add_permits(1), Err(TooManyReleases));
    assert!(matches!(
        Semaphore::create(&segment, "more", 0, sync_ipc::MAX_PERMITS + 1),
        Err(Error::BadSize)
    ));
    let one = Semaphore::create(&segment, "one", 1, 1).expect("room");
    let _permit = one.acquire().expect("free");
    let mut waiters =
        [(); 2].map(|()| fork(|| one.try_acquire_for(Duration::from_millis(20)).is_err().into()));
    assert_eq!(one.available_permits(), 0, "who waits is not owed");
    assert_eq!(waiters.each_mut().map(crate::processes::Child::join), [1; 2]);
}

#[test]
fn a_wake_that_comes_with_the_end_of_the_time_is_not_lost() {
    // Two wait for one permit that comes and goes; one of them runs out of time again and again, at
    // about the moment at which the permit comes.
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 0, 1).expect("room");
    for turn in 0..200_u64 {
        let mut patient = fork(|| {
            semaphore.try_acquire_for(FOR_EVER).map(|permit| permit.forget()).is_err().into()
        });
        let mut hasty = fork(|| {
            i32::from(
                semaphore
                    .try_acquire_for(Duration::from_micros(200 + turn * 7))
                    .map(|permit| permit.forget())
                    .is_ok(),
            )
        });
        std::thread::sleep(Duration::from_micros(300 + turn * 5));
        semaphore.try_add_permits(1).expect("none is there");
        if hasty.join() == 1 {
            semaphore.try_add_permits(1).expect("the hasty one took it");
        }
        assert_eq!(patient.join(), 0);
    }
}

#[test]
fn a_forked_childs_copy_of_a_permit_gives_nothing_back() {
    let segment = Segment::anonymous(4096).expect("a segment");
    let permits = Semaphore::create(&segment, "s", 1, 2).expect("room");
    let permit = permits.acquire().expect("free");
    for forget in [false, true] {
        let mut child = fork(|| {
            // SAFETY: the child's copy, which it does not use again.
            let copy = unsafe { core::ptr::read(&permit) };
            if forget {
                copy.forget()
            } else {
                drop(copy)
            }
            0
        });
        assert_eq!(child.join(), 0);
        assert_eq!(permits.available_permits(), 0);
    }
    drop(permit);
    assert_eq!(permits.available_permits(), 1);
}

#[test]
fn a_forked_childs_copy_of_a_permit_is_not_the_permit_that_the_child_took_later() {
    let segment = segment();
    let semaphore = Semaphore::create(&segment, "s", 1, 1).expect("room");
    for forget in [false, true] {
        let permit = semaphore.acquire().expect("free");
        let mut child = fork(|| {
            // SAFETY: the child's copy, which it does not use again.
            let copy = unsafe { core::ptr::read(&permit) };
            let own = semaphore.acquire().expect("given back by the parent");
            if forget {
                copy.forget();
            } else {
                drop(copy);
            }
            let held = semaphore.try_acquire().is_err();
            drop(own);
            i32::from(!held || semaphore.available_permits() != 1)
        });
        drop(permit);
        assert_eq!(child.join(), 0, "forget: {forget}");
    }
}
