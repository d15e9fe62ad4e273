//! A two-way pipe. Python: `multiprocessing.Pipe()`.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::time::Duration;

    let (parent, child) = sync_ipc::pipe()?;
    // SAFETY: this process has one thread, so the child may use everything it has.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            drop(parent);
            let (text, numbers): (String, Vec<i64>) = child.recv().expect("the parent sends");
            child
                .send(&format!("{text}: {}", numbers.iter().sum::<i64>()))
                .expect("the parent listens");
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(0) }
        }
        pid => {
            drop(child);
            parent.send(&("sum", vec![42_i64, -7, 7]))?;
            assert!(parent.poll(Duration::from_secs(10))?);
            let answer: String = parent.recv()?;
            println!("{answer}");
            assert_eq!(answer, "sum: 42");
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            unsafe { libc::waitpid(pid, &mut status, 0) };
            assert!(parent.recv::<String>().is_err(), "its end is closed");
        }
    }
    Ok(())
}
