//! Stacks that no exploration uses: a fresh one costs as much as an execution.

use corosensei::stack::DefaultStack;
use std::sync::Mutex;

static SPARE: Mutex<Vec<(usize, DefaultStack)>> = Mutex::new(Vec::new());
const MOST: usize = 128;

pub(super) fn take(size: usize) -> Option<DefaultStack> {
    let mut spare = SPARE.lock().unwrap_or_else(|e| e.into_inner());
    let at = spare.iter().rposition(|s| s.0 == size)?;
    Some(spare.swap_remove(at).1)
}

pub(super) fn give(stacks: &mut Vec<DefaultStack>, size: usize) {
    let mut spare = SPARE.lock().unwrap_or_else(|e| e.into_inner());
    let room = MOST.saturating_sub(spare.len());
    spare.extend(stacks.drain(..).take(room).map(|s| (size, s)));
}
