//! A thread may outlive the function that starts it.
fn main() {
    let local = 1;
    let _ = sync_core::thread::spawn(|| println!("{local}"));
}
