//! Processes ship their log lines to a collector, which ends when the last of them has: however
//! they end, and without a goodbye. None of their lines is lost.
//!
//! The same with `ipc-channel`:
//!
//! ```ignore
//! use std::env::{args, current_exe};
//! use std::error::Error;
//! use std::process::Command;
//!
//! use ipc_channel::ipc::{self, IpcOneShotServer, IpcSender};
//!
//! fn ship(from: &str, server: &str) -> Result<(), Box<dyn Error>> {
//!     let (bootstrap, lines) = ipc::channel::<IpcSender<String>>()?;
//!     IpcSender::connect(server.to_owned())?.send(bootstrap)?;
//!     let lines = lines.recv()?;
//!     for n in 0..5 {
//!         lines.send(format!("{from}: line {n}"))?;
//!     }
//!     Ok(())
//! }
//!
//! fn main() -> Result<(), Box<dyn Error>> {
//!     if let [_, from, server] = &args().collect::<Vec<_>>()[..] {
//!         return ship(from, server);
//!     }
//!     let (sender, lines) = ipc::channel::<String>()?;
//!     let mut shippers = Vec::new();
//!     for from in ["web", "database"] {
//!         let (server, name) = IpcOneShotServer::<IpcSender<IpcSender<String>>>::new()?;
//!         shippers.push(Command::new(current_exe()?).args([from, &name]).spawn()?);
//!         let (_, bootstrap) = server.accept()?; // forever, if the child has died
//!         bootstrap.send(sender.clone())?;
//!     }
//!     drop(sender);
//!     while let Ok(line) = lines.recv() {
//!         println!("{line}");
//!     }
//!     for mut shipper in shippers {
//!         shipper.wait()?;
//!     }
//!     println!("all have ended");
//!     Ok(())
//! }
//! ```
//!
//! Its channels have no bound: a slow collector makes the kernel's buffers, and then the children's
//! memory, grow.
#![forbid(unsafe_code)]

use std::error::Error;
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

fn main() -> Result<(), Box<dyn Error>> {
    sync_ipc::init();
    let (sender, lines) = sync_ipc::queue::<Line>(32)?;
    let mut shippers = Vec::new();
    for from in ["web", "database"] {
        let lines = Sender::open(sender.segment())?;
        shippers.push(Process::spawn(ship, (from.to_owned(), lines))?);
    }
    drop(sender);
    while let Ok(line) = lines.recv() {
        println!("{}", String::from_utf8_lossy(&line).trim_end());
    }
    for shipper in shippers {
        shipper.result()?;
    }
    println!("all have ended");
    Ok(())
}
