//! Processes ship their log lines to a collector, which ends when the last of them has: however
//! they end, and without a goodbye. None of their lines is lost.
//!
//! The same with `ipc-channel`, without the start of the processes and their ends:
//!
//! ```ignore
//! // The collector.
//! let mut set = IpcReceiverSet::new()?;
//! for from in ["web", "database"] {
//!     let (server, name) = IpcOneShotServer::<IpcReceiver<String>>::new()?;
//!     children.push(Command::new(current_exe()?).args([from, &name]).spawn()?);
//!     let (_, lines) = server.accept()?; // forever, if the child has died
//!     set.add(lines)?;
//! }
//! let mut open = children.len();
//! while open > 0 {
//!     for event in set.select()? {
//!         match event {
//!             IpcSelectionResult::MessageReceived(_, line) => print(line.to::<String>()?),
//!             IpcSelectionResult::ChannelClosed(_) => open -= 1,
//!         }
//!     }
//! }
//! // A child.
//! let (sender, lines) = ipc::channel::<String>()?;
//! IpcSender::connect(name)?.send(lines)?;
//! for n in 0..5 {
//!     sender.send(format!("{from}: line {n}"))?;
//! }
//! ```
//!
//! Its channels have no bound: a slow collector makes the kernel's buffers, and then the children's
//! memory, grow.
#![forbid(unsafe_code)]

use std::io::Write;

use sync_ipc::{Process, Sender};

/// Shared memory holds plain data: a line is cut at 64 bytes.
type Line = [u8; 64];

fn ship(from: String, lines: Sender<Line>) {
    for n in 0..5 {
        let mut line = [b' '; 64];
        let _ = write!(&mut line[..], "{from}: line {n}");
        lines.send(line).expect("the collector is there");
    }
}
sync_ipc::entry!(ship);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    sync_ipc::init();
    let (sender, lines) = sync_ipc::queue::<Line>(32)?;
    let start = |from: &str| -> Result<_, Box<dyn std::error::Error>> {
        Ok(Process::spawn(ship, (from.to_owned(), Sender::open(sender.segment())?))?)
    };
    let shippers = [start("web")?, start("database")?];
    drop(sender);
    while let Ok(line) = lines.recv() {
        println!("{}", String::from_utf8_lossy(&line).trim_end());
    }
    shippers.into_iter().try_for_each(|shipper| shipper.result())?;
    println!("all have ended");
    Ok(())
}
