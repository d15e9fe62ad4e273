//! A shared number and a shared array under their lock. Python: `multiprocessing.Value('i', 0)`,
//! `Array('i', range(10))`.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use sync_ipc::{Array, Segment, Value};

    let segment = Segment::anonymous(4096)?;
    let number = Value::create(&segment, "number", 0_i64)?;
    let array = Array::create(&segment, "array", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])?;

    let work = || {
        for _ in 0..1000 {
            // Reading and writing in one: two processes that each did `set(get() + 1)` would lose
            // some.
            number.lock().expect("no process dies").update(|n| *n += 1);
        }
    };
    // SAFETY: this process has one thread, so the child may use everything it has.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            work();
            let locked = array.lock().expect("no process dies");
            for at in 0..locked.len() {
                locked.set(at, -locked.get(at).expect("inside")).expect("inside");
            }
            drop(locked);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        child => {
            work();
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            unsafe { libc::waitpid(child, &mut status, 0) };
        }
    }
    let total = number.get().expect("no process died");
    println!("{total} {:?}", array.raw().to_vec());
    assert_eq!(total, 2000);
    assert_eq!(array.raw().to_vec(), [0, -1, -2, -3, -4, -5, -6, -7, -8, -9]);
    Ok(())
}
