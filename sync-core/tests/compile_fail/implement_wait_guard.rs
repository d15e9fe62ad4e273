//! The traits of guards and locks are sealed.
use sync_core::WaitGuard;

struct Mine;

impl WaitGuard for Mine {
    unsafe fn release_all(&mut self) -> u32 {
        0
    }
    unsafe fn reacquire(&mut self, _: u32) {}
}

fn main() {}
