//! How a map lies in memory.
//!
//! *Head*, the block of the entry's value word, 512 bytes:
//!
//! | offset | word |
//! |---|---|
//! | 0 | how many entries there are 32 · mark of the last change, see [`crate::count`] |
//! | 8 | how many buckets |
//! | 16 | hint: the chunk in which places are free |
//! | 24 | hint: the chunk that is swept next |
//! | 32 | block word of the head before the last clear, or 0 |
//! | 40 | the era from which on that one can be taken apart, or 0: not drawn yet |
//! | 48 | the position of the first entry |
//! | 56 | 1: the head was an entry's once |
//! | 64 | 8 buckets |
//! | 128 | block words of the buckets 8…15, 16…31, …, 256…511, or 0 |
//! | 176 | block words of the directories of the pages of 512 buckets 1, 2…3, 4…7, …, or 0 |
//! | 328 | 4 pairs: chunks 0…3 |
//! | 392 | 6 pairs: nodes of 16, 256, 256², … chunks that follow |
//! | 488 | pages of buckets that were freed, when the map is taken apart |
//! | 496 | the era in which it was made |
//! | 504 | who takes apart what was cleared away before it, or did last 32 |
//!
//! A *pair* is what a chunk or a node of the log hangs on: its block word, 0 (none yet) or [`DEAD`] (never again), and
//! when it was retired: 0 (it is not), [`PENDING`], or twice the era. A *node* is 16 or 256 pairs and the era in which it was
//! made. Where something hangs
//! never changes, and a block word only changes once, to [`DEAD`]: so whoever installed the block can say after any time
//! whether it was installed.
//!
//! A *chunk* is 512 bytes: its number, the era in which it was made, and from offset 32 on 20 *entries* {key, value, link} of 24 bytes.

use coheap_alloc::Address;

use crate::value::{self, Tag};

pub(super) const HEAD_SIZE: u32 = 512;
pub(super) const COUNT: Address = 0;
pub(super) const BUCKET_COUNT: Address = 8;
pub(super) const TAIL: Address = 16;
pub(super) const SWEEP: Address = 24;
pub(super) const PREVIOUS: Address = 32;
pub(super) const PREVIOUS_ERA: Address = 40;
pub(super) const BASE: Address = 48;
pub(super) const INSTALLED: Address = 56;
pub(super) const BUCKETS: Address = 64;
pub(super) const BUCKET_BLOCKS: Address = 128;
pub(super) const DIRECTORIES: Address = 176;
pub(super) const DIRECTORY_COUNT: u32 = 19;
pub(super) const CHUNKS: Address = 328;
pub(super) const SEGMENTS: Address = 392;
pub(super) const PAGES_FREED: Address = 488;
pub(super) const HEAD_MADE: Address = 496;
pub(super) const HEAD_RECLAIMER: Address = 504;

/// Buckets in the head.
pub(super) const FIRST_BUCKETS: u32 = 8;
/// Buckets of a page.
pub(super) const PAGE_BUCKETS: u32 = 512;
/// Buckets that a map can have.
pub(super) const MOST_BUCKETS: u32 = PAGE_BUCKETS << DIRECTORY_COUNT;

/// Chunks that hang on the head.
pub(super) const FIRST_CHUNKS: u64 = 4;
/// How many pairs a node has: those of the first segment, and all others.
pub(super) const SMALL_NODE: u32 = 16;
pub(super) const NODE: u32 = 256;
/// How many segments there are.
pub(super) const SEGMENT_COUNT: u32 = 6;
/// Bytes of a pair.
pub(super) const PAIR: u32 = 16;
/// Bytes of a node of so many pairs.
pub(super) const fn node_size(count: u32) -> u32 {
    node_made(count) + 8
}
/// Offset of the era in which it was made.
pub(super) const fn node_made(count: u32) -> Address {
    count * PAIR
}
/// Offset of when it was retired.
pub(super) const RETIRED: Address = 8;
/// What hung here is gone.
pub(super) const DEAD: u64 = 1;
/// Retired, in an era that is not drawn yet.
pub(super) const PENDING: u64 = 1;

pub(super) const CHUNK_SIZE: u32 = 512;
pub(super) const NUMBER: Address = 0;
pub(super) const CHUNK_MADE: Address = 8;
pub(super) const ENTRIES: Address = 32;
/// Entries of a chunk.
pub(super) const PLACES: u32 = 20;
/// Bytes of an entry.
pub(super) const ENTRY: u32 = 24;
pub(super) const KEY: Address = 0;
pub(super) const VALUE: Address = 8;
pub(super) const LINK: Address = 16;

/// Whether an entry of a chunk begins at this offset.
pub(super) fn is_offset(offset: Address) -> bool {
    offset >= ENTRIES && (offset - ENTRIES).is_multiple_of(ENTRY) && (offset - ENTRIES) / ENTRY < PLACES
}

/// What the value word of an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nobody's place.
    Empty,
    /// An agent's, for an entry that has no value yet.
    Claimed,
    /// An entry of the map.
    Value,
    /// Counted as an entry; a transaction's record says what its value is, and whether it has one.
    Joined,
    /// Deleted, or given up; the index may still find it, and its key may still be there.
    Gone,
    /// Neither.
    Out,
}

const CLAIMED: u64 = 0;
const GONE: u64 = 1;
const OUT: u64 = 2;
const JOINED: u64 = 3;
/// Of what is gone or out: it was claimed and never had a value.
const ABANDONED: u64 = 8;
const STATE: u32 = 44;
const OPERATION: u64 = value::tagged(Tag::Operation, 0) >> 48;

/// What a value word says.
#[inline]
pub(super) fn state(word: u64) -> State {
    if word >> 48 != OPERATION {
        return if word == value::EMPTY { State::Empty } else { State::Value };
    }
    match word >> STATE & 7 {
        CLAIMED => State::Claimed,
        GONE => State::Gone,
        JOINED => State::Joined,
        _ => State::Out,
    }
}

fn word(state: u64, slot: u32, sequence: u64) -> u64 {
    value::tagged(Tag::Operation, state << STATE | u64::from(slot & 0xFFF) << 32 | sequence & 0xFFFF_FFFF)
}

/// Claimed by the change of this sequence of the agent of this slot.
pub(super) fn claimed(slot: u32, sequence: u64) -> u64 {
    word(CLAIMED, slot, sequence)
}

/// Deleted by that change.
pub(super) fn gone(slot: u32, sequence: u64) -> u64 {
    word(GONE, slot, sequence)
}

/// Given up by that change, which had claimed it.
pub(super) fn abandoned(slot: u32, sequence: u64) -> u64 {
    word(GONE | ABANDONED, slot, sequence)
}

/// In the transaction of this sequence of the agent of this slot, by its record of this number.
pub(super) fn joined(slot: u32, sequence: u64, number: u32) -> u64 {
    word(JOINED, slot, (sequence & 0xFFFF) << 16 | u64::from(number & 0xFFFF))
}

/// The slot of the agent whose transaction the entry has joined, the low bits of its sequence, and the record's number.
pub(super) fn joined_by(word: u64) -> (u32, u64, u32) {
    ((word >> 32) as u32 & 0xFFF, word >> 16 & 0xFFFF, word as u32 & 0xFFFF)
}

/// What a gone entry becomes.
pub(super) fn out(gone: u64) -> u64 {
    gone & !(7 << STATE) | OUT << STATE
}

/// Whether an entry that is neither claimed nor has a value was given up by its claimer.
pub(super) fn is_abandoned(word: u64) -> bool {
    word >> STATE & ABANDONED != 0
}

/// Whether a gone entry, or one that is out, is so by that change.
pub(super) fn is_by(word: u64, slot: u32, sequence: u64) -> bool {
    let mark = (1 << STATE) - 1;
    word & mark == gone(slot, sequence) & mark
}

/// The link of an entry, or a bucket: order of the next 32 · where that is 29 · flags 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link(pub(super) u64);

impl Link {
    const TO_BUCKET: u64 = 1;
    /// The entry that the link is of is deleted: the link never changes again.
    pub(super) const MARK: u64 = 2;
    /// The bucket that the link is of is in the list.
    pub(super) const LISTED: u64 = 4;
    const OWN: u64 = Self::MARK | Self::LISTED;
    /// A bucket that an agent is about to list.
    pub(super) const PREPARED: u64 = 1 << 32;

    /// To an entry, by a link with the flags of `of`.
    pub(super) fn to_entry(order: u32, at: Address, of: Self) -> Self {
        Self(u64::from(order) << 32 | u64::from(at) | of.0 & Self::OWN)
    }

    /// To a bucket, by a link with the flags of `of`.
    pub(super) fn to_bucket(order: u32, at: Address, of: Self) -> Self {
        Self(u64::from(order) << 32 | u64::from(at) | Self::TO_BUCKET | of.0 & Self::OWN)
    }

    /// Where this one leads, by a link with the flags of `of`.
    #[inline]
    pub(super) fn of(self, of: Self) -> Self {
        Self(self.0 & !Self::OWN | of.0 & Self::OWN)
    }

    /// Where it leads, by a link without flags.
    pub(super) fn bare(self) -> Self {
        Self(self.0 & !Self::OWN)
    }

    #[inline]
    pub(super) fn order(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Where the next is; 0: there is none.
    #[inline]
    pub(super) fn next(self) -> Address {
        self.0 as u32 & !7
    }

    #[inline]
    pub(super) fn leads_to_bucket(self) -> bool {
        self.0 & Self::TO_BUCKET != 0
    }

    #[inline]
    pub(super) fn is_marked(self) -> bool {
        self.0 & Self::MARK != 0
    }

    #[inline]
    pub(super) fn is_listed(self) -> bool {
        self.0 & Self::LISTED != 0
    }
}

/// The bucket of the `width` highest bits of an order. Buckets are numbered level by level: bucket 2ⁿ + p begins behind
/// the first half of what has the n highest bits p.
#[inline]
fn bucket(bits: u32, width: u32) -> u32 {
    if bits == 0 {
        return 0;
    }
    let zeros = bits.trailing_zeros();
    let width = width - zeros;
    (1 << (width - 1)) + (bits >> zeros >> 1)
}

/// In which of `count` buckets an order lies.
#[inline]
pub(super) fn bucket_of(order: u32, count: u32) -> u32 {
    let level = 31 - count.leading_zeros();
    let bits = order >> (31 - level);
    let found = bucket(bits, level + 1);
    if found < count { found } else { bucket(bits >> 1, level) }
}

/// The order of a bucket that is not 0: below those of its entries, above those before.
pub(super) fn bucket_order(number: u32) -> u32 {
    let level = 31 - number.leading_zeros();
    ((number - (1 << level)) << 1 | 1) << (31 - level)
}

/// The bucket of an order that [`bucket_order`] answers; `None` for the order of an entry, and for 0.
pub(super) fn bucket_of_order(order: u32) -> Option<u32> {
    let zeros = order.trailing_zeros();
    (1..32).contains(&zeros).then(|| (1 << (31 - zeros)) + (u64::from(order) >> (zeros + 1)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_of_an_order_of_one_is_that_one() {
        for number in (1..5000).chain([MOST_BUCKETS / 2, MOST_BUCKETS - 1]) {
            assert_eq!(bucket_of_order(bucket_order(number)), Some(number));
        }
        assert_eq!([0, 1, 7, u32::MAX].map(bucket_of_order), [None; 4]);
    }

    #[test]
    fn bucket_of_an_order_is_the_last_that_begins_before_it() {
        for count in (1..70).chain([511, 512, 513, 1000]) {
            for order in (0..1u32 << 12).map(|order| order << 20 | 1) {
                let begin = |number| if number == 0 { 0 } else { bucket_order(number) };
                let last = (0..count).filter(|&number| begin(number) <= order).max_by_key(|&number| begin(number));
                assert_eq!(Some(bucket_of(order, count)), last, "{order:#x} of {count}");
            }
        }
    }
}
