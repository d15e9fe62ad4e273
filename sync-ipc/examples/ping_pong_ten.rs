//! Two processes print Ping and Pong, ten in all. Python: `multiprocessing.Value` and `Queue`
//! between two `Process`es.
//!
//! A plain variable cannot do it: after the fork each process has its own, and counts alone. A
//! shared value can, and so can a queue.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use sync_ipc::{Condvar, Mutex, Queue, Segment};

    let segment = Segment::anonymous(1 << 16)?;
    let turn = Mutex::create(&segment, "turn", 0_u32)?;
    let changed = Condvar::create(&segment, "changed")?;
    let lines = Queue::<[u8; 4]>::create(&segment, "lines", 16)?;
    let mut plain = 0;

    let mut player = |word: &[u8; 4], parity: u32| {
        for _ in 0..5 {
            let guard = turn.lock().expect("no process dies");
            let mut guard =
                changed.wait_while(guard, |turn| *turn % 2 != parity).expect("no process dies");
            lines.put(*word).expect("room");
            guard.update(|turn| *turn += 1);
            changed.notify_all();
            plain += 1;
        }
    };

    // SAFETY: this process has one thread, so the child may use everything it has.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            player(b"Pong", 1);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => {
            player(b"Ping", 0);
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            unsafe { libc::waitpid(child, &mut status, 0) };
        }
    }
    for _ in 0..10 {
        println!("{}", String::from_utf8_lossy(&lines.get()?));
    }
    println!(
        "the shared value counted {}, the plain variable {plain}",
        turn.lock().expect("no process dies").get()
    );
    assert_eq!((turn.lock().expect("no process dies").get(), plain), (10, 5));
    Ok(())
}
