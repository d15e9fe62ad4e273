//! `cargo run -p sync-benches --features peers --bin lines`: prints the counts of
//! [`sync_benches::lines`].

fn main() {
    println!("{}", sync_benches::lines::tables().join("\n"));
}
