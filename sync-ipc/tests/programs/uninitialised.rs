//! A program that forgets `sync_ipc::init()`. For `tests/programs.rs`.
#![forbid(unsafe_code)]

fn nothing() {}
sync_ipc::entry!(nothing);

fn main() {
    match sync_ipc::Process::spawn(nothing, ()) {
        Ok(_) => println!("started"),
        Err(error) => println!("{error}"),
    }
}
