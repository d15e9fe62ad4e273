//! A cell drops its value, which may look at what it refers to.
use sync_core::OnceLock;

fn main() {
    let cell = OnceLock::new();
    {
        let text = String::from("shorter");
        cell.set(&text).unwrap();
    }
}
