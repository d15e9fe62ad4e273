//! One thread parks.
fn shared<T: Sync>(_: T) {}

fn main() {
    shared(sync_core::Parker::new());
}
