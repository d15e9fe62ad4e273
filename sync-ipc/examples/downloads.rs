//! Two pretended downloads: one after the other, in two threads, in two processes.
//!
//! Python: `Process(target=download, args=("python.pdf",))`, `start()`, `join()`.
#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

use sync_ipc::Process;

/// Waits for the network, as a download does most of the time; returns the number of bytes.
fn download(file: String, milliseconds: u64) -> u64 {
    println!("  {file} begins in process {}", std::process::id());
    std::thread::sleep(Duration::from_millis(milliseconds));
    println!("  {file} is there");
    milliseconds * 1000
}
sync_ipc::entry!(download);

const FILES: [(&str, u64); 2] = [("rust.pdf", 300), ("film.mkv", 200)];

fn timed(how: &str, bytes: impl FnOnce() -> Result<u64, Box<dyn std::error::Error>>) {
    println!("{how}:");
    let started = Instant::now();
    match bytes() {
        Ok(bytes) => println!("{how}: {bytes} bytes in {:.2} s", started.elapsed().as_secs_f64()),
        Err(error) => println!("{how}: {error}"),
    }
}

fn main() {
    sync_ipc::init();
    timed("one after the other", || {
        Ok(FILES.iter().map(|(file, time)| download((*file).into(), *time)).sum())
    });
    timed("two threads", || {
        Ok(std::thread::scope(|scope| {
            let start = |(file, time): (&str, u64)| {
                let file = file.to_owned();
                scope.spawn(move || download(file, time))
            };
            FILES.map(start).into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        }))
    });
    timed("two processes", || {
        let mut processes = Vec::new();
        for (file, time) in FILES {
            processes.push(Process::builder(download).name(file).spawn((file.into(), time))?);
        }
        let mut bytes = 0;
        for process in processes {
            bytes += process.result()?;
        }
        Ok(bytes)
    });
}
