//! The object table: what a handle names.
//!
//! Objects live in pages of their own kind, which never become anything else, so a word of the table is a word of the
//! table for ever and a compare-exchange with a stale expectation can only fail. A directory in the control area
//! names the pages. A page is a header of hints and then entries of 64 bytes, a cache line each:
//!
//! | offset | word |
//! |---|---|
//! | 0 | u64 *truth*: generation 32 · maker's slot 12 · type 8 · state 4 |
//! | 8 | u64: the value word of a cell, the block word of a byte region or of a map's or list's head, the commit word of fields |
//! | 16 | u32: the wait word, see [`crate::wait`]; it goes on counting from one object to the next |
//! | 24 | u64, written before the object is published: length in bytes 32 · bucket 8 · named 1; and once more when the |
//! | | name is removed: removed 1 · by which slot 12 |
//! | 32 | u64: how many references there are, see [`crate::count`] |
//! | 40 | u64: how many of them belong to nobody |
//! | 48 | u32: for the audit, which counts the references |
//! | 52 | u32: who takes a map or list apart: sequence 20 · slot 12, see [`crate::map`] |
//! | 56 | u64: a map's or list's era; it goes on counting from one object to the next |
//!
//! An entry is `VIRGIN → RAW → LIVE → DYING → FREE → RAW → …`, each arrow one compare-exchange:
//!
//! * *raw*: claimed, private to its maker; the record of the maker's operation names it.
//! * *live*: what handles find. The maker's slot stays in the word, so recovery knows whose it was.
//! * *dying*: its last reference was given back ([`crate::count`]). Nobody finds it any more; an agent that was writing to it may still be at it
//!   ([`crate::hold`]). Whoever sees that nobody is retires its block and frees the entry.
//! * *free*: with the generation after the last. Generations begin at a number drawn from the heap's seed; an entry
//!   whose generation would come round is *retired* instead.

use coheap_alloc::layout::{PAGE, control};
use coheap_alloc::{Address, Error, Memory, PageName, Result, check_own};

/// What JavaScript and Rust hold: names an object, checked on every call, never an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle {
    /// Which entry of the object table.
    pub index: u32,
    /// Which of the objects that live there one after the other.
    pub generation: u32,
}

impl Handle {
    /// As one word; never 0, because index 0 is no entry.
    #[inline(always)]
    #[must_use]
    pub fn to_word(self) -> u64 {
        self.index as u64 | (self.generation as u64) << 32
    }

    /// From [`Handle::to_word`].
    #[must_use]
    pub fn from_word(word: u64) -> Self {
        Self { index: word as u32, generation: (word >> 32) as u32 }
    }

    /// The error of a handle that names nothing (any more).
    #[cold]
    #[must_use]
    pub fn stale(self) -> Error {
        Error::stale_handle(self.index, self.generation)
    }
}

/// The types of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Type {
    /// One value, see [`crate::cell`].
    Cell = 1,
    /// A region of bytes, see [`crate::bytes`].
    Bytes = 2,
    /// HTTP fields, see [`crate::fields`].
    Fields = 3,
    /// A map, see [`crate::map`].
    Map = 4,
    /// A list, see [`crate::list`].
    List = 5,
    /// A pipe, see [`crate::pipe`].
    Pipe = 6,
}

impl Type {
    /// The type of a number that came from outside or from the heap, or `None`.
    #[must_use]
    pub fn from_tag(tag: u32) -> Option<Self> {
        match tag {
            1 => Some(Self::Cell),
            2 => Some(Self::Bytes),
            3 => Some(Self::Fields),
            4 => Some(Self::Map),
            5 => Some(Self::List),
            6 => Some(Self::Pipe),
            _ => None,
        }
    }
}

/// The states of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum State {
    /// Never used: the whole word is 0.
    Virgin = 0,
    /// May be claimed.
    Free = 1,
    /// Claimed, not published.
    Raw = 2,
    /// Published.
    Live = 3,
    /// Released, its block not retired yet.
    Dying = 4,
    /// Never used again.
    Retired = 5,
}

/// An entry's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryWord(pub u64);

impl EntryWord {
    const MAKER: u64 = 0xFFF << 16;

    /// A word of an object.
    #[inline(always)]
    #[must_use]
    pub fn new(generation: u32, slot: u32, kind: u8, state: State) -> Self {
        Self((generation as u64) << 32 | ((slot & 0xFFF) as u64) << 16 | (kind as u64) << 8 | state as u64)
    }

    /// The same object in another state.
    #[must_use]
    pub fn with_state(self, state: State) -> Self {
        Self(self.0 & !0xFF | state as u64)
    }

    /// Whether it is the live object of this handle and type. One comparison.
    #[inline(always)]
    #[must_use]
    pub fn is_live(self, handle: Handle, kind: Type) -> bool {
        self.0 & !Self::MAKER == Self::new(handle.generation, 0, kind as u8, State::Live).0
    }

    /// Whether it is the live object of this handle, whatever its type.
    #[inline(always)]
    #[must_use]
    pub fn is_live_object(self, handle: Handle) -> bool {
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::ANY_GENERATION) {
            return self.is(State::Live);
        }
        self.is(State::Live) && self.generation() == handle.generation
    }

    /// The generation.
    #[inline(always)]
    #[must_use]
    pub fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The slot of the agent that made the object.
    #[must_use]
    pub fn maker(self) -> u32 {
        (self.0 >> 16) as u32 & 0xFFF
    }

    /// The type's number.
    #[must_use]
    pub fn kind(self) -> u8 {
        (self.0 >> 8) as u8
    }

    /// Whether this is the state: [`EntryWord::state`] in one comparison.
    #[inline(always)]
    #[must_use]
    pub fn is(self, state: State) -> bool {
        if state == State::Virgin { self.0 == 0 } else { self.0 as u8 == state as u8 }
    }

    /// The state; `None` for a word that nobody wrote.
    #[must_use]
    pub fn state(self) -> Option<State> {
        match self.0 as u8 {
            0 if self.0 == 0 => Some(State::Virgin),
            1 => Some(State::Free),
            2 => Some(State::Raw),
            3 => Some(State::Live),
            4 => Some(State::Dying),
            5 => Some(State::Retired),
            _ => None,
        }
    }
}

/// What an entry's information word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info(pub u64);

impl Info {
    const NAMED: u64 = 1 << 40;
    const REMOVED: u64 = 1 << 41;
    const REMOVER: u32 = 42;

    /// Of an object of `length` bytes, listed in `bucket` of the name directory, or anonymous.
    #[must_use]
    pub fn new(length: u32, bucket: Option<u8>) -> Self {
        Self(length as u64 | bucket.map_or(0, |bucket| Self::NAMED | (bucket as u64) << 32))
    }

    /// Bytes of a byte region.
    #[must_use]
    pub fn length(self) -> u32 {
        self.0 as u32
    }

    /// The bucket that lists it; `None` for an object that has no name (any more).
    #[must_use]
    pub fn bucket(self) -> Option<u8> {
        (self.0 & (Self::NAMED | Self::REMOVED) == Self::NAMED).then_some((self.0 >> 32) as u8)
    }

    /// The same, when the agent of `slot` has removed the name.
    #[must_use]
    pub fn removed(self, slot: u32) -> Self {
        Self(self.0 | Self::REMOVED | ((slot & 0xFFF) as u64) << Self::REMOVER)
    }

    /// The slot of the agent that removed the name; `None` if the object never had one, or still has it.
    #[must_use]
    pub fn remover(self) -> Option<u32> {
        (self.0 & Self::REMOVED != 0).then_some((self.0 >> Self::REMOVER) as u32 & 0xFFF)
    }
}

/// Offset of the truth.
pub const WORD: Address = 0;
/// Offset of the value or block word.
pub const VALUE: Address = 8;
/// Offset of the wait word.
pub const WAIT: Address = 16;
/// Offset of the information word.
pub const INFO: Address = 24;
/// Offset of the count.
pub const COUNT: Address = 32;
/// Offset of the count of parked references.
pub const PARKED: Address = 40;
/// Offset of the audit's own count.
pub const TALLY: Address = 48;
/// Offset of who takes a map apart.
pub const RECLAIMER: Address = 52;
/// Offset of a map's era.
pub const ERA: Address = 56;
/// Bytes of an entry.
pub const SIZE: u32 = 64;
/// Entries that a page would have without its header.
pub const PER_PAGE: u32 = PAGE / SIZE;
/// The first entry of a page: what lies before is the header, see [`crate::claim`].
pub const FIRST: u32 = 16;

/// A view of the object table: reads only.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The memory it is in.
    pub memory: Memory,
    /// Where its control area lies.
    pub control: Address,
}

impl Table {
    /// The address of a page of the table; `None` when there is none, or not in this memory.
    #[inline(always)]
    #[must_use]
    pub fn page(self, number: u32) -> Option<Address> {
        if number >= control::OBJECT_CHUNK_COUNT {
            return None;
        }
        // The heap's bytes are untrusted: page 0 holds no objects, and what names no page leads nowhere.
        let at = PageName(self.memory.load32(self.directory(number))).address();
        (at != 0).then_some(at)
    }

    /// The directory word of a page of the table.
    #[inline(always)]
    #[must_use]
    pub fn directory(self, number: u32) -> Address {
        self.control.wrapping_add(control::OBJECT_CHUNKS).wrapping_add(number.wrapping_mul(4))
    }

    /// The address of an entry; `None` for an index that has none. Out of line: whoever has a handle begins with it.
    #[inline(always)]
    #[must_use]
    pub fn entry(self, index: u32) -> Option<Address> {
        let entry = self.entry_or_zero(index);
        (entry != 0).then_some(entry)
    }

    /// In one number, which needs no memory to be answered in.
    #[inline(never)]
    fn entry_or_zero(self, index: u32) -> Address {
        self.entry_here(index).unwrap_or(0)
    }

    /// As [`Table::entry`], in line: for calls that take as long as a few loads.
    #[inline(always)]
    #[must_use]
    pub fn entry_here(self, index: u32) -> Option<Address> {
        let place = index % PER_PAGE;
        if place < FIRST {
            return None;
        }
        Some(self.page(index / PER_PAGE)?.wrapping_add(place.wrapping_mul(SIZE)))
    }

    /// The entry's word, in the one order of all: it comes after the caller's own writes.
    #[inline(always)]
    #[must_use]
    pub fn word(self, entry: Address) -> EntryWord {
        EntryWord(self.memory.load64_ordered(entry.wrapping_add(WORD)))
    }

    /// Where the live object of `handle` is. Loads only.
    ///
    /// # Errors
    /// [`Error::StaleHandle`], [`Error::WrongType`].
    pub fn find(self, handle: Handle, kind: Type) -> Result<Address> {
        let entry = self.entry_here(handle.index).ok_or_else(|| handle.stale())?;
        self.check(entry, handle, kind)?;
        Ok(entry)
    }

    /// Whether the object of `handle` is (still) the one in `entry`. What was read from the entry before belongs to
    /// this object if it is: it was live when the handle was made, and is live now.
    ///
    /// # Errors
    /// [`Error::StaleHandle`], [`Error::WrongType`].
    #[inline(always)]
    pub fn check(self, entry: Address, handle: Handle, kind: Type) -> Result<()> {
        let word = self.word(entry);
        if word.is_live(handle, kind) { Ok(()) } else { Err(refuse(word, handle, kind)) }
    }
}

impl Table {
    /// As [`coheap_alloc::check_own`].
    #[inline(always)]
    pub(crate) fn check_own(self, at: Address) -> Result<()> {
        check_own(self.memory, self.control, at)
    }

    /// The word of the live object of `handle`, whatever its type, in `entry`.
    ///
    /// # Errors
    /// [`Error::StaleHandle`].
    pub fn check_any(self, entry: Address, handle: Handle) -> Result<EntryWord> {
        let word = self.word(entry);
        if word.is_live_object(handle) { Ok(word) } else { Err(handle.stale()) }
    }
}

#[cold]
fn refuse(word: EntryWord, handle: Handle, kind: Type) -> Error {
    if word.is_live_object(handle) { Error::wrong_type(kind as u32, u32::from(word.kind())) } else { handle.stale() }
}
