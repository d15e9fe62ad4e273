//! The bits of the state, and the functions of the state alone.

pub(super) const WRITER: u32 = 1;
pub(super) const UPGRADABLE: u32 = 2;
pub(super) const UPGRADING: u32 = 4;
pub(super) const READERS_WAITING: u32 = 8;
pub(super) const WRITERS_WAITING: u32 = 16;
pub(super) const STARVING: u32 = 32;
/// One reader in the count.
pub(super) const READER: u32 = 64;
/// The upgradable reader.
pub(super) const UPGRADER: u32 = READER | UPGRADABLE;

pub(super) const COUNT: u32 = !(READER - 1);
/// Set when there are 2^25 readers: more than there can be threads, so guards were forgotten.
pub(super) const TOO_MANY: u32 = 1 << 31;
pub(super) const HOLDERS: u32 = WRITER | COUNT;
pub(super) const WAITING: u32 = READERS_WAITING | WRITERS_WAITING;

/// Returns the bits that keep every thread from entering in this mode, whatever its rights.
pub(super) const fn shut_for(mode: u32) -> u32 {
    WRITER | UPGRADING | (mode & UPGRADABLE)
}

/// Returns the state with one more reader.
#[track_caller]
pub(super) fn entered(state: u32, mode: u32) -> u32 {
    assert!(state & TOO_MANY == 0, "2^25 readers hold the lock");
    state + mode
}

/// Returns the state after the only reader, the upgradable one, has become the writer.
pub(super) const fn upgraded(state: u32) -> u32 {
    (state & !(COUNT | UPGRADABLE | UPGRADING)) | WRITER
}

/// Returns whether a thread holds the lock in this mode.
pub(super) const fn is_held(state: u32, mode: u32) -> bool {
    match mode {
        WRITER | UPGRADER => state & mode & (WRITER | UPGRADABLE) != 0,
        // The upgradable reader is counted, but not an ordinary one.
        _ => state & COUNT > if state & UPGRADABLE != 0 { READER } else { 0 },
    }
}

/// Returns the waiting bits that a release by `mode`, which leaves `left`, clears, so that their
/// wakes are due. The table in `mod.rs` lists them.
pub(super) const fn due(left: u32, mode: u32) -> u32 {
    if left & HOLDERS == 0 {
        match mode {
            WRITER => left & WAITING,
            _ if left & WRITERS_WAITING != 0 => WRITERS_WAITING,
            _ => left & READERS_WAITING,
        }
    } else if mode == UPGRADER {
        left & READERS_WAITING
    } else {
        0
    }
}
