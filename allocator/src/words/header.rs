//! What stands before a block: whose it is, what for, and whether it is taken.

/// What a block is for. A tag in its header: who walks the heap knows by it how to read the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Handed out by `GlobalAlloc` or `Allocator`: belongs to a Rust program, is never taken back by a death.
    Rust = 1,
    /// One bucket of the name directory.
    Names = 2,
    /// A region of bytes.
    Bytes = 3,
    /// The lines of HTTP fields.
    Fields = 4,
    /// The objects that an agent has references to.
    Holdings = 5,
    /// A value that has no place in its word: a string, bytes, a big integer.
    String = 6,
    /// The table of atoms.
    Atoms = 7,
    /// A part of a map or of a list.
    Map = 8,
    /// A reference to an object that the agent of the header's slot is giving up.
    Dropped = 9,
    /// A part of a pipe: its head, or bytes in it.
    Pipe = 10,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Rust,
        Self::Names,
        Self::Bytes,
        Self::Fields,
        Self::Holdings,
        Self::String,
        Self::Atoms,
        Self::Map,
        Self::Dropped,
        Self::Pipe,
    ];

    /// The kind of a tag read from the heap, or `None`.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&kind| kind as u8 == tag)
    }
}

/// The state of a small or middle block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Free.
    Free = 0,
    /// Taken, private to its maker's operation: nobody else knows it.
    Raw = 2,
    /// Taken and published (or about to be, and named by a record).
    Live = 3,
}

/// A block's header word: generation 32 | slot 16 | kind 8 | state 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header(pub u64);

impl Header {
    /// What the headers of all raw blocks of `slot` have in common.
    #[must_use]
    pub fn stamp(slot: u32) -> Self {
        Self((slot as u64) << 32 | (State::Raw as u64) << 56)
    }

    /// The header of a raw block, from what it shares with its maker's others.
    #[inline(always)]
    #[must_use]
    pub fn raw(stamp: u64, kind: Kind, generation: u32) -> Self {
        Self(stamp | (kind as u64) << 48 | (generation as u64))
    }

    /// A taken block of `slot`.
    #[inline(always)]
    #[must_use]
    pub fn taken(state: State, kind: Kind, slot: u32, generation: u32) -> Self {
        Self((generation as u64) | (slot as u64) << 32 | (kind as u64) << 48 | (state as u64) << 56)
    }

    /// A free block.
    #[inline(always)]
    #[must_use]
    pub fn free(generation: u32) -> Self {
        Self(generation as u64)
    }

    /// A free middle block, and who freed it.
    #[must_use]
    pub fn freed(slot: u32, generation: u32) -> Self {
        Self((generation as u64) | (slot as u64) << 32)
    }

    /// Changes whenever the block is freed.
    #[inline(always)]
    #[must_use]
    pub fn generation(self) -> u32 {
        self.0 as u32
    }

    /// The maker's slot of a taken block; of a free middle block, who freed it.
    #[inline(always)]
    #[must_use]
    pub fn slot(self) -> u32 {
        (self.0 >> 32) as u32 & 0xFFFF
    }

    /// The state.
    #[inline(always)]
    #[must_use]
    pub fn state(self) -> State {
        match (self.0 >> 56) & 3 {
            0 | 1 => State::Free,
            2 => State::Raw,
            _ => State::Live,
        }
    }

    /// Taken: raw or live.
    #[inline(always)]
    #[must_use]
    pub fn is_taken(self) -> bool {
        self.0 & (2 << 56) != 0
    }

    /// The kind's tag.
    #[inline(always)]
    #[must_use]
    pub fn kind(self) -> u8 {
        (self.0 >> 48) as u8
    }

    /// The same block, published.
    #[inline(always)]
    #[must_use]
    pub fn live(self) -> Self {
        Self(self.0 | (1 << 56))
    }
}
