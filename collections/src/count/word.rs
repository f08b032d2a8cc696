//! The words that count, and why they change.

use super::*;

/// References that an object can have.
pub const MOST: u32 = 0xFFFF;

/// A word that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountWord(pub u64);

/// Bits of a sequence that a mark has.
pub(super) const MARK_BITS: u64 = 0xF_FFFF;

impl CountWord {
    /// A word without a mark.
    #[must_use]
    pub fn new(count: u32, generation: u32) -> Self {
        Self((count & MOST) as u64 | ((generation & 0xFFFF) as u64) << 16)
    }

    pub(super) fn changed(self, count: u32, holder: Holder, sequence: u64) -> Self {
        let kept = self.0 & 0xFFFF_0000;
        Self(kept | (count & MOST) as u64 | ((holder.index & 0xFFF) as u64) << 32 | (sequence & MARK_BITS) << 44)
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> u32 {
        self.0 as u32 & MOST
    }

    pub(super) fn fits(self, handle: Handle) -> bool {
        (self.0 >> 16) as u32 & 0xFFFF == handle.generation & 0xFFFF
    }

    pub(super) fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFF
    }

    /// The sequence's low bits, or 0 when nobody left a mark.
    pub(super) fn sequence(self) -> u64 {
        self.0 >> 44
    }

    pub(super) fn is_marked(self, holder: Holder, sequence: u64) -> bool {
        self.slot() == holder.index & 0xFFF && self.sequence() == sequence & MARK_BITS
    }
}

/// One of the two counts of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All references.
    All,
    /// Those of nobody.
    Parked,
    /// The entries of a map, whose head lies where the entry would.
    Entries,
}

/// A word that counts, of the object of a handle.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Where its entry lies.
    pub entry: Address,
    /// The object.
    pub handle: Handle,
    /// Which of its counts.
    pub which: Which,
}

/// Marks the parked count in a record's target, in the index's unused bits.
pub(super) const OF_PARKED: u64 = 1 << 31;

/// Marks the count of a map's head, whose address stands where the generation would, and once more in the index's bits: a head is at
/// a multiple of 16.
pub(super) const OF_ENTRIES: u64 = 1 << 30;

impl Counted {
    pub(super) fn at(self) -> Address {
        self.entry.wrapping_add(match self.which {
            Which::All => COUNT,
            Which::Parked => PARKED,
            Which::Entries => 0,
        })
    }

    /// The count of the entries of a map, whose head is at `head`.
    #[inline]
    pub(crate) fn of_entries(head: Address) -> Self {
        Self { entry: head, handle: Handle { index: 0, generation: 0 }, which: Which::Entries }
    }

    /// Where the head of the map lies whose count a record's target is, if it is one.
    pub(crate) fn head_of(target: u64) -> Option<Address> {
        let head = (target >> 32) as Address;
        (target == Self::of_entries(head).target()).then_some(head)
    }

    /// What the word becomes. A map's count has 32 bits, comes round, and never refuses.
    #[inline]
    pub(super) fn next(self, seen: CountWord, add: bool) -> Result<u32, Refused> {
        match (self.which, seen.fits(self.handle), seen.count(), add) {
            (Which::Entries, _, _, true) => Ok((seen.0 as u32).wrapping_add(1)),
            (Which::Entries, _, _, false) => Ok((seen.0 as u32).wrapping_sub(1)),
            // A count of references that is 0 stays 0; one of parked references may rise again.
            (_, false, ..) | (_, _, 0, false) | (Which::All, _, 0, true) => Err(Refused::Gone),
            (_, _, MOST, true) => Err(Refused::Full),
            (_, _, count, true) => Ok(count + 1),
            (_, _, count, false) => Ok(count - 1),
        }
    }

    #[inline]
    pub(super) fn changed(self, seen: CountWord, count: u32, holder: Holder, sequence: u64) -> u64 {
        let word = seen.changed(count, holder, sequence).0;
        if self.which == Which::Entries { word & !0xFFFF_FFFF | u64::from(count) } else { word }
    }

    /// What stands in the records of those who change it.
    pub(super) fn target(self) -> u64 {
        match self.which {
            Which::All => self.handle.to_word(),
            Which::Parked => self.handle.to_word() | OF_PARKED,
            Which::Entries => OF_ENTRIES | u64::from(self.entry) << 32 | u64::from(self.entry >> 4),
        }
    }

    /// How many there are.
    pub(crate) fn count(self, memory: Memory) -> u32 {
        self.load(memory).count()
    }

    pub(super) fn load(self, memory: Memory) -> CountWord {
        CountWord(memory.load64_ordered(self.at()))
    }
}

/// Why a count changes. Numbers of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Change {
    /// The holder takes a reference.
    Acquire = 1,
    /// The holder gives its reference back.
    Release = 2,
    /// The name is removed, and the directory's reference goes.
    Unname = 3,
    /// The holder's reference becomes a parked one.
    Park = 4,
    /// A parked reference becomes the holder's.
    Take = 5,
    /// A parked reference is taken by one who has one.
    Absorb = 6,
    /// … and goes.
    Absorbed = 7,
    /// A place of a map is claimed for an entry, which nobody finds yet.
    Claim = 8,
    /// An entry of a map is inserted, and counted once it has a value.
    Insert = 9,
    /// An entry of a map is deleted, and not counted any more.
    Delete = 10,
    /// A map gets a new head.
    Clear = 11,
    /// A structure is about to have a reference, see [`crate::nested`].
    Nest = 12,
    /// A structure had one, which goes.
    Drop = 13,
}

impl Change {
    pub(crate) fn from_word(word: u64) -> Option<Self> {
        [
            Self::Acquire,
            Self::Release,
            Self::Unname,
            Self::Park,
            Self::Take,
            Self::Absorb,
            Self::Absorbed,
            Self::Claim,
            Self::Insert,
            Self::Delete,
            Self::Clear,
            Self::Nest,
            Self::Drop,
        ]
        .into_iter()
        .find(|&change| change as u64 == word)
    }
}

/// Why a count could not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// It is 0 already, or another object's: the object is gone.
    Gone,
    /// It can be no larger.
    Full,
}
