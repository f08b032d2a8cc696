//! Numbers of the rules that [`Error::Corrupt`](coheap_alloc::Error::Corrupt) names for what this crate lays out.
//! The allocator's own rules are below 64.

/// An object entry's word: unknown state or type, or bits set that no state has.
pub const ENTRY_WORD: u32 = 64;
/// A cell holds a word that is no value.
pub const NOT_A_VALUE: u32 = 65;
/// A bucket of the name directory: its block, its length, or an entry in it.
pub const BUCKET: u32 = 66;
/// A byte region names no live block of its length.
pub const BYTES_BLOCK: u32 = 67;
/// A named object is in no bucket, or its entry there says something else.
pub const NOT_LISTED: u32 = 68;
/// A directory word of the object table names no page of objects.
pub const OBJECT_PAGE: u32 = 69;
/// Fields name no live block, or their lines are not well-formed: out of bounds, of a wrong tag, with a forbidden byte.
pub const FIELDS_BLOCK: u32 = 70;
/// A word names no live block of a value.
pub const VALUE_BLOCK: u32 = 71;
/// The table of atoms does not lie in memory, or holds what is no text.
pub const ATOMS: u32 = 72;
/// An object's count is not the number of references to it.
pub const COUNT: u32 = 80;
/// The block of an agent's holdings has a length that it cannot have.
pub const HOLDINGS: u32 = 81;
/// A map: a part of it is no live block or lies outside the memory, a link is wrong, a key is none, or an entry is not
/// found by its key.
pub const MAP: u32 = 82;
/// A map's count is not the number of its entries.
pub const MAP_COUNT: u32 = 83;
/// A list: a part of it is no live block or lies outside the memory, or a place has no value.
pub const LIST: u32 = 84;
/// A pipe: its head or a block of it does not lie in memory, its writes do not follow each other, or a loan has no bytes.
pub const PIPE: u32 = 86;
