//! How a transaction lies in memory.
//!
//! In the agent's slot a word with its sequence and its phase, and one that names the block of its records:
//!
//! | offset | word |
//! |---|---|
//! | 0 | the map's handle |
//! | 8 | the value word of the map's entry: its head |
//! | 16 | how many records there are 32 · how often it was aborted 32 |
//! | 24 | the handle of the pipe whose loan is committed with it, or 0: of none |
//! | 32 | the loan: number 32 · generation 32 |
//! | 40 | where in the stream it begins |
//! | 48 | how many bytes it has |
//! | 64 | the records: where the value word is, or 0: nowhere yet · the value before, or EMPTY · the value after |

use coheap_alloc::Address;

pub(super) const MAP: Address = 0;
pub(super) const HEAD: Address = 8;
pub(super) const COUNT: Address = 16;
pub(super) const PIPE: Address = 24;
pub(super) const LOAN: Address = 32;
pub(super) const POSITION: Address = 40;
pub(super) const LENGTH: Address = 48;
pub(super) const RECORDS: u32 = 64;
/// Bytes of a record.
pub(super) const RECORD: u32 = 24;
pub(super) const CELL: Address = 0;
pub(super) const OLD: Address = 8;
pub(super) const NEW: Address = 16;

/// Nothing is under way.
pub(super) const IDLE: u64 = 0;
/// Entries join; each still has the value before.
pub(super) const UNDECIDED: u64 = 1;
/// Each has the value after.
pub(super) const COMMITTED: u64 = 2;
/// Each has the value before.
pub(super) const ABORTED: u64 = 3;
/// No entry is in it any more; the loan is to be committed.
pub(super) const SETTLED: u64 = 4;
const PHASES: u64 = 7;

pub(super) fn phase(word: u64) -> u64 {
    word & PHASES
}

pub(super) fn with_phase(word: u64, phase: u64) -> u64 {
    word & !PHASES | phase
}

pub(super) fn sequence(word: u64) -> u64 {
    word >> 3
}

/// Of the transaction after this one.
pub(super) fn next_sequence(word: u64, phase: u64) -> u64 {
    with_phase(word, phase).wrapping_add(PHASES + 1)
}

pub(super) fn count_word(count: u32, attempt: u32) -> u64 {
    u64::from(count) | u64::from(attempt) << 32
}

/// How many records there are, and how often it was aborted.
pub(super) fn counts(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

pub(super) fn record_at(records: Address, number: u32) -> Address {
    records.wrapping_add(RECORDS + number * RECORD)
}
