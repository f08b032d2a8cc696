//! The operation record: eight words of the slot that say what the operation in flight is about to do.
//!
//! Filled with plain stores before the first shared write of each step, read by nobody while the agent is well.
//! `NEW` and `OLD` name a block by reference and generation, so what is recorded can be decided again and again, and
//! a record that has become stale names nothing.

use crate::agent::Agent;
use crate::layout::slot;
use crate::sync::Address;

/// A block: where it starts, and the generation it has while it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The address of the first byte, a multiple of 16.
    pub address: Address,
    /// The generation.
    pub generation: u32,
}

impl Block {
    /// As one word; never 0, because nothing is at address 0.
    #[inline(always)]
    #[must_use]
    pub fn to_word(self) -> u64 {
        (self.address as u64) | (self.generation as u64) << 32
    }

    /// From one word; `None` for 0.
    #[inline(always)]
    #[must_use]
    pub fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self { address: word as u32, generation: (word >> 32) as u32 })
    }
}

/// u64: 0, [`REPLACE`] or [`INSTALL`]: `CELL`, `EXPECTED`, `REPLACEMENT` hold.
pub(crate) const KIND: Address = 0;
/// u64: the block being allocated, or about to be published.
pub(crate) const NEW: Address = 8;
/// u64: the block being freed, or replaced.
pub(crate) const OLD: Address = 16;
/// u64: the cell that is about to change.
pub(crate) const CELL: Address = 24;
/// u64: what it changes from.
pub(crate) const EXPECTED: Address = 32;
/// u64: what it changes to.
pub(crate) const REPLACEMENT: Address = 40;
/// u64: a word of the layer above: what it has claimed and not published yet.
pub(crate) const NOTE: Address = 48;
/// u64, shared: a [`Claim`], or 0. Others read it to finish a claim of granules.
pub(crate) const CLAIM: Address = 56;
/// Bytes of a record.
pub(crate) const SIZE: u32 = 64;

/// What an agent is about to claim: granules of a page, or a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// A block of `kind` at granule `start` of `page`; the granule word gets `generation` (20 bits).
    Granules { page: u32, start: u32, kind: u8, generation: u32 },
    /// `length` pages from `first`.
    Run { first: u32, length: u32 },
}

impl Claim {
    const GRANULES: u64 = 1 << 62;
    const RUN: u64 = 1 << 63;

    pub(crate) fn to_word(self) -> u64 {
        match self {
            Self::Granules { page, start, kind, generation } => {
                Self::GRANULES
                    | ((generation & 0xF_FFFF) as u64)
                    | ((start & 15) as u64) << 20
                    | (kind as u64) << 24
                    | ((page & 0xFFFF) as u64) << 32
            }
            Self::Run { first, length } => Self::RUN | (length & 0x1_FFFF) as u64 | ((first & 0xFFFF) as u64) << 32,
        }
    }

    pub(crate) fn from_word(word: u64) -> Option<Self> {
        let page = (word >> 32) as u32 & 0xFFFF;
        if word & Self::RUN != 0 {
            Some(Self::Run { first: page, length: word as u32 & 0x1_FFFF })
        } else if word & Self::GRANULES != 0 {
            let (start, kind) = ((word >> 20) as u32 & 15, (word >> 24) as u8);
            Some(Self::Granules { page, start, kind, generation: word as u32 & 0xF_FFFF })
        } else {
            None
        }
    }
}

/// A cell is being replaced.
pub(crate) const REPLACE: u64 = 1;
/// Pages become part of the heap's own tables: `CELL` is the u32 that gets [their name](crate::PageName), `REPLACEMENT` the address,
/// `EXPECTED` how many 32 | their page kind 32.
pub(crate) const INSTALL: u64 = 2;

impl Agent {
    #[inline(always)]
    pub(crate) fn record(self, word: Address, value: u64) {
        self.memory().set_own64(self.field(slot::RECORD.wrapping_add(word)), value);
    }

    #[inline(always)]
    pub(crate) fn recorded(self, word: Address) -> u64 {
        self.memory().own64(self.field(slot::RECORD.wrapping_add(word)))
    }

    /// Names what is about to be claimed, or nothing. Released: who finds it cleared finds the header written.
    pub(crate) fn record_claim(self, claim: Option<Claim>) {
        let at = self.field(slot::RECORD.wrapping_add(CLAIM));
        self.memory().store64(at, claim.map_or(0, Claim::to_word));
    }

    /// Nothing is in flight any more.
    #[inline(always)]
    pub(crate) fn clear_record(self) {
        self.record(KIND, 0);
        self.record(NEW, 0);
        self.record(OLD, 0);
        self.record(NOTE, 0);
    }
}
