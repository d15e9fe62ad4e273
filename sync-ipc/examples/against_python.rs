//! Numbers from one process to another: Python's `multiprocessing.Queue` and ours, one after the
//! other. Says so where there is no `python3`.

#[cfg(not(target_os = "linux"))]
fn main() {}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    use std::process::Command;
    use std::time::Instant;
    use sync_ipc::{Queue, Segment};

    const PYTHON: &str = "
import multiprocessing, time
def send(queue, count):
    for number in range(count):
        queue.put(number)
if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    count = 20000
    queue = multiprocessing.Queue(1024)
    child = multiprocessing.Process(target=send, args=(queue, count))
    begin = time.perf_counter()
    child.start()
    total = sum(queue.get() for _ in range(count))
    print((time.perf_counter() - begin) / count * 1e9)
    child.join()
    assert total == count * (count - 1) // 2
";
    const COUNT: u64 = 1_000_000;

    let segment = Segment::anonymous(1 << 16)?;
    let queue = Queue::<u64>::create(&segment, "queue", 1024)?;
    let begin = Instant::now();
    // SAFETY: this process has one thread, so the child may use everything it has.
    match unsafe { libc::fork() } {
        -1 => return Err(std::io::Error::last_os_error().into()),
        0 => {
            let sent = (0..COUNT).try_for_each(|number| queue.put(number));
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(sent.is_err().into()) }
        }
        child => {
            let mut total = 0;
            for _ in 0..COUNT {
                total += queue.get()?;
            }
            assert_eq!(total, COUNT * (COUNT - 1) / 2);
            let mut status = 0;
            // SAFETY: our own child, and a place for its status.
            unsafe { libc::waitpid(child, &mut status, 0) };
        }
    }
    let ours = begin.elapsed().as_secs_f64() / COUNT as f64 * 1e9;
    let output = match Command::new("python3").args(["-c", PYTHON]).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().parse::<f64>().ok()
        }
        _ => None,
    };
    match output {
        Some(python) => println!(
            "{ours:.0} ns an item, Python's queue {python:.0}: {:.0} times as fast",
            python / ours
        ),
        None => println!("{ours:.0} ns an item; no python3 to compare with"),
    }
    Ok(())
}
