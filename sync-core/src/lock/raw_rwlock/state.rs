//! The bits of the state, and what follows from them alone.

pub(super) const WRITER: u32 = 1;
pub(super) const UPGRADABLE: u32 = 2;
pub(super) const UPGRADING: u32 = 4;
pub(super) const READERS_WAITING: u32 = 8;
pub(super) const WRITERS_WAITING: u32 = 16;
pub(super) const STARVING: u32 = 32;
/// One reader.
pub(super) const READER: u32 = 64;
/// The upgradable reader.
pub(super) const UPGRADER: u32 = READER | UPGRADABLE;

pub(super) const COUNT: u32 = !(READER - 1);
/// Set once there are 2^25 readers: more than there can be threads, so guards were forgotten.
pub(super) const TOO_MANY: u32 = 1 << 31;
pub(super) const HOLDERS: u32 = WRITER | COUNT;
pub(super) const WAITING: u32 = READERS_WAITING | WRITERS_WAITING;

/// What keeps anybody from entering in this mode, whatever their rights.
pub(super) const fn shut_for(mode: u32) -> u32 {
    WRITER | UPGRADING | (mode & UPGRADABLE)
}

/// The state with one reader more.
#[track_caller]
pub(super) fn entered(state: u32, mode: u32) -> u32 {
    assert!(state & TOO_MANY == 0, "2^25 readers hold the lock");
    state + mode
}

/// The state once the only reader, who is upgradable, is the writer.
pub(super) const fn upgraded(state: u32) -> u32 {
    (state & !(COUNT | UPGRADABLE | UPGRADING)) | WRITER
}

/// Whether somebody holds the lock in this mode.
pub(super) const fn is_held(state: u32, mode: u32) -> bool {
    match mode {
        WRITER | UPGRADER => state & mode & (WRITER | UPGRADABLE) != 0,
        // The upgradable reader is counted, but not an ordinary one.
        _ => state & COUNT > if state & UPGRADABLE != 0 { READER } else { 0 },
    }
}

/// Which waiting bits a release clears, so that their wakes are due: by `mode`, to a state with
/// `left`. The table at the top.
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
