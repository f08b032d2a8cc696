//! How a list lies in memory.
//!
//! *Head*, the block of the entry's value word: the block word of the root, 0 until something is pushed.
//!
//! *Root*, of as many entries as it has room for and one more:
//!
//! | offset | word |
//! |---|---|
//! | 0 | its own block word |
//! | 8 | for how many entries it has room 32 · how many of them are frozen 32 |
//! | 16 | how many values those have, the tail begins there 32 · number of the root 32: one more than that of the one before |
//! | 24 | the root after it, or 0 |
//! | 32 | the era from which on it cannot be found, or 0: not drawn yet |
//! | 40 | the block word of the root before it; of one further before when that is freed; 0 when all are |
//! | 48 | what it does not have of the values of the one before: from 32 · to 32 |
//! | 56 | how many that one had |
//! | 64 | the cell that ends that one, or 0: not chosen yet |
//! | 72 | the chunk of the values that were inserted, or 0 |
//! | 80 | how many those are |
//! | 88 | when it is taken apart: how far |
//! | 96 | the era in which it was made; when it has ended in which the oldest chunk was that goes with it, if that is older |
//! | 104 | when it has ended what of its values the next one does not have: from 32 · to 32 |
//! | 112 | then one more than how many it had |
//! | 120 | who takes apart the roots before it |
//! | 128 | the entries: the block word of a chunk · which value is its first 32 · at which place that is 32 · the era in which it was made |
//!
//! A *frozen* entry never changes; several may name one chunk. Those behind are the *tail*: 0, or a chunk that is full but
//! for the last one; where its values begin follows from its number, and it counts as made with its root. A *chunk* is places, a word each: EMPTY, a value,
//! or an [`operation`] on one.
//!
//! What ends a root is the first cell that is not filled, a place that is EMPTY or an entry that is 0: values and chunks
//! are put there, or once, for ever, the word [`forward`] of the root that follows.

use coheap_alloc::Address;

use crate::value::{self, Tag};

pub(super) const ROOT: Address = 0;
pub(super) const HEAD_SIZE: u32 = 8;

pub(super) const OWN: Address = 0;
pub(super) const ROOM: Address = 8;
pub(super) const TAIL: Address = 16;
pub(super) const NEXT: Address = 24;
pub(super) const RETIRED: Address = 32;
pub(super) const FROM: Address = 40;
pub(super) const CUT: Address = 48;
pub(super) const BEFORE: Address = 56;
pub(super) const AT: Address = 64;
pub(super) const INSERTED: Address = 72;
pub(super) const COUNT: Address = 80;
pub(super) const TAKEN: Address = 88;
pub(super) const ROOT_MADE: Address = 96;
pub(super) const LOST: Address = 104;
pub(super) const LENGTH: Address = 112;
pub(crate) const ROOT_RECLAIMER: Address = 120;
pub(super) const ENTRIES: Address = 128;
/// Bytes of an entry.
pub(super) const ENTRY: u32 = 24;
/// Offsets of where it begins, and of the era.
pub(super) const START: Address = 8;
pub(super) const CHUNK_MADE: Address = 16;

/// Entries that a root has room for behind those that are frozen.
pub(super) const SPARE: u32 = 9;
/// Places of the first chunk of a tail, how often they double, and how many places the chunks have before that ends.
const FIRST: u32 = 8;
const DOUBLINGS: u32 = 7;
const DOUBLED: u32 = FIRST * ((1 << DOUBLINGS) - 1);
/// Places of the largest chunks.
pub(super) const LARGEST: u32 = FIRST << DOUBLINGS;

/// Values that a list can have: their places would fill the memory.
pub(super) const LONGEST: u32 = 1 << 29;

/// Two halves in one word.
pub(super) fn pair(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// Bytes of a root with room for so many entries.
pub(super) fn root_size(room: u32) -> u32 {
    ENTRIES + (room + 1) * ENTRY
}

/// How many places the chunk of this number of a tail has.
pub(super) fn places(number: u32) -> u32 {
    FIRST << number.min(DOUBLINGS)
}

/// Which value of the tail is the first in the chunk of this number.
pub(super) fn begin(number: u32) -> u32 {
    match number.checked_sub(DOUBLINGS) {
        None => FIRST * ((1 << number) - 1),
        Some(more) => DOUBLED.saturating_add(more.saturating_mul(LARGEST)),
    }
}

/// In which chunk of a tail this value is.
pub(super) fn chunk_of(value: u32) -> u32 {
    match value.checked_sub(DOUBLED) {
        None => (value / FIRST + 1).ilog2(),
        Some(more) => DOUBLINGS + more / LARGEST,
    }
}

/// The word that ends a root, of the address of the next. No chunk's word is odd, and no value has its tag.
pub(super) fn forward(next: Address) -> u64 {
    value::tagged(Tag::Moved, u64::from(next | 1))
}

pub(super) fn is_forward(word: u64) -> bool {
    word >> 48 == forward(0) >> 48 && word & 1 != 0
}

/// Where the root lies that the word leads to.
pub(super) fn forwarded(word: u64) -> Address {
    word as Address & !1
}

/// The word of a place whose value an agent is about to change.
pub(super) fn operation(slot: u32, sequence: u32) -> u64 {
    value::tagged(Tag::Operation, u64::from(slot & 0xFFF) << 32 | u64::from(sequence))
}

pub(super) fn is_operation(word: u64) -> bool {
    value::tag(word) == Some(Tag::Operation)
}

/// States of a change, behind its sequence.
pub(super) const IDLE: u64 = 0;
/// It happens if it is put into its place before the root ends.
pub(super) const PENDING: u64 = 1;
pub(super) const REFUSED: u64 = 2;
pub(super) const DONE: u64 = 3;

pub(super) fn setting(sequence: u32, state: u64) -> u64 {
    u64::from(sequence) << 2 | state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunk_of_each_value_of_a_tail_holds_it() {
        for value in (0..100_000).chain([LONGEST - 1, LONGEST]) {
            let number = chunk_of(value);
            assert!(begin(number) <= value && value - begin(number) < places(number), "{value}");
            assert_eq!(begin(number + 1), begin(number) + places(number));
        }
    }
}
