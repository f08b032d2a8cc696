//! Atoms: strings that have a number, the same one in every agent, so that two of them are compared as numbers and
//! nobody copies their text twice.
//!
//! Numbers below [`FIRST_SHARED`] are *fixed*: the lines of [`fixed`], sorted, part of this module and of its ABI number.
//! All others are *shared*: a table of [`MOST`] u64 words in one block that the control area names. A word is 0, or the
//! block of one text in the form of [`crate::string`]; the place of the word is the atom's number. Words are only ever
//! set, so an atom stays what it is, and reading one needs no second look.
//!
//! A text may stand in [`PROBES`] places that its hash says, and goes into the first of them that is empty. Of agents that intern the same text at once, all meet at the same first empty place, and one exchange decides.
//! When no place is left for a text it stays a plain string: callers feed this table from the network, so it is bounded
//! by construction ([`MOST`] texts of [`LONGEST`] bytes).
//!
//! # Consistency
//! [`intern`] and [`find`] are linearizable. # If the caller dies here: a text is in the table or its block is freed.
//! Nothing here blocks; no loop is longer than [`PROBES`] rounds, but for those in which another agent succeeded.

mod fixed;

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result};

use crate::object::Table;
use crate::string::{self, Form, HEAD, Source};
use crate::{block, value};

pub use fixed::{find_fixed, fixed};

use fixed::*;

/// Bytes (units below 256) that an atom may have. It has at least one.
pub const LONGEST: usize = 64;

/// The first number of an atom that is not fixed.
pub const FIRST_SHARED: u32 = 1024;

/// Shared atoms at most.
pub const MOST: u32 = 4096;

/// Places that a text may stand in.
pub const PROBES: u32 = 32;

/// The word that names the table's block.
fn root(table: Table) -> Address {
    table.control.wrapping_add(control::ATOMS)
}

/// Where the words of the table begin, if there is one and it lies in memory.
#[inline(never)]
fn words(table: Table) -> Option<Address> {
    words_here(table)
}

/// As [`words`], in line.
#[inline(always)]
fn words_here(table: Table) -> Option<Address> {
    let at = Block::from_word(table.memory.load64(root(table)))?.address;
    let end = u64::from(at) + u64::from(MOST * 8);
    (table.memory.reaches(end) && at.is_multiple_of(8)).then_some(at)
}

fn word_at(words: Address, place: u32) -> Address {
    words.wrapping_add(place * 8)
}

/// The places that a text may stand in, in the order in which they are looked at: keyed by the heap's seed, so that
/// nobody outside can fill them on purpose.
fn places(memory: Memory, control_area: Address, text: &[u8]) -> impl Iterator<Item = u32> {
    let seed = memory.own64(control_area.wrapping_add(control::SEED));
    let mut hash = seed ^ text.len() as u64;
    for part in text.chunks(8) {
        let mut word = [0; 8];
        word[..part.len()].copy_from_slice(part);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash ^= hash >> 32;
    }
    let mixed = hash.wrapping_mul(seed | 1);
    // An odd step comes to every place of a table of a power of two; texts that begin together part at once.
    let (first, step) = ((mixed >> 52) as u32, (mixed >> 32) as u32 | 1);
    (0..PROBES).map(move |round| first.wrapping_add(round.wrapping_mul(step)) % MOST)
}

/// The text of a block of the table: never freed, so what is read holds.
fn text_of(memory: Memory, word: u64, into: &mut [u8; LONGEST]) -> Option<usize> {
    let (at, length) = text_at(memory, word)?;
    memory.copy_out(at, into.get_mut(..length as usize)?);
    Some(length as usize)
}

/// Where the text of a word of the table begins, and how long it is: in memory, whatever the word says.
#[inline]
fn text_at(memory: Memory, word: u64) -> Option<(Address, u32)> {
    let at = Block::from_word(word)?.address;
    if !at.is_multiple_of(8) || !memory.has_here(at, HEAD) {
        return None;
    }
    let (_, length) = string::parse_head(memory.load64(at))?;
    let end = u64::from(at) + u64::from(HEAD) + u64::from(length);
    (length as usize <= LONGEST && memory.reaches(end)).then_some((at.wrapping_add(HEAD), length))
}

/// Of a shared atom, in one number, which needs no memory to be answered in: the address of its text 32 · length 32; 0: there is none.
#[inline(never)]
fn shared(table: Table, atom: u32) -> u64 {
    let text = || {
        let place = atom.checked_sub(FIRST_SHARED).filter(|&place| place < MOST)?;
        text_at(table.memory, table.memory.load64(word_at(words_here(table)?, place)))
    };
    text().map_or(0, |(at, length)| u64::from(at) | u64::from(length) << 32)
}

/// Where the text of an atom is; `None` when there is no such atom. It is there for ever.
pub(crate) fn source(table: Table, atom: u32) -> Option<Source<'static>> {
    if atom < FIRST_SHARED {
        return fixed_name(atom).map(Source::Slice);
    }
    let text = shared(table, atom);
    (text != 0).then_some(Source::Buffer { at: text as Address, length: (text >> 32) as u32 })
}

/// The atom of a text, or `None`: it has none (yet). Loads only.
#[must_use]
pub fn find(table: Table, text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    if let Some(atom) = find_fixed(text) {
        return Some(atom);
    }
    let words = words(table)?;
    for place in places(table.memory, table.control, text) {
        let word = table.memory.load64(word_at(words, place));
        if word == 0 {
            return None;
        }
        if is_text(table.memory, word, text) {
            return Some(FIRST_SHARED + place);
        }
    }
    None
}

fn is_text(memory: Memory, word: u64, text: &[u8]) -> bool {
    let mut copy = [0; LONGEST];
    text_of(memory, word, &mut copy).is_some_and(|length| &copy[..length] == text)
}

/// The atom of a text, made if there is none; `None` when it can have none: empty, longer than [`LONGEST`], or no place
/// (or no memory) is left for it. Then it is a plain string.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn intern(operation: &Operation, text: &[u8]) -> Result<Option<u32>> {
    let table = Table::of(operation);
    let known = find(table, text);
    if known.is_some() || text.is_empty() || text.len() > LONGEST {
        return Ok(known);
    }
    match insert(operation, text) {
        Err(Error::OutOfMemory { .. }) => Ok(None),
        other => other,
    }
}

fn insert(operation: &Operation, text: &[u8]) -> Result<Option<u32>> {
    let memory = operation.memory();
    let words = match words(Table::of(operation)) {
        Some(words) => words,
        None => make_table(operation)?,
    };
    let form = if text.is_ascii() { Form::Ascii } else { Form::Latin1 };
    let block = string::make_block(operation, form, string::Source::Slice(text))?;
    for place in places(memory, operation.control(), text) {
        let at = word_at(words, place);
        if memory.load64(at) == 0 && operation.replace(at, 0, block.to_word(), Some(block), None)?.is_ok() {
            return Ok(Some(FIRST_SHARED + place));
        }
        // A text stands there, perhaps since a moment ago, and perhaps this one.
        if is_text(memory, memory.load64(at), text) {
            block::free(operation, block)?;
            return Ok(Some(FIRST_SHARED + place));
        }
    }
    block::free(operation, block)?;
    Ok(None)
}

#[cold]
fn make_table(operation: &Operation) -> Result<Address> {
    let block = block::allocate(operation, MOST * 8, Kind::Atoms)?;
    operation.memory().fill(block.address, MOST * 8, 0);
    let root = root(Table::of(operation));
    if operation.replace(root, 0, block.to_word(), Some(block), None)?.is_err() {
        // Another agent's table serves as well.
        block::free(operation, block)?;
    }
    words(Table::of(operation)).ok_or_else(|| Error::corrupt(crate::rule::ATOMS, root))
}

/// Copies the text of an atom, and answers its length; `None` when there is no such atom. Loads only.
#[must_use]
pub fn text(table: Table, atom: u32, into: &mut [u8; LONGEST]) -> Option<usize> {
    let source = source(table, atom)?;
    let length = source.length() as usize;
    source.piece(table, 0, into.get_mut(..length)?).ok()?;
    Some(length)
}

/// Whether there is an atom of this number. Loads only.
#[must_use]
pub fn exists(table: Table, atom: u32) -> bool {
    if (atom as usize) < COUNT {
        return true;
    }
    match (atom.checked_sub(FIRST_SHARED), words(table)) {
        (Some(place), Some(words)) => place < MOST && table.memory.load64(word_at(words, place)) != 0,
        _ => false,
    }
}

/// The word of an atom whose text has no place in a word; `None` for any other number. Loads only.
#[inline]
#[must_use]
pub fn word(table: Table, atom: u32) -> Option<u64> {
    let length = if atom < FIRST_SHARED { fixed_name(atom)?.len() } else { (shared(table, atom) >> 32) as usize };
    (length > value::SHORTEST).then_some(value::tagged(value::Tag::Atom, u64::from(atom)))
}

/// Calls `seen` with each block of the table, and the table's own: for the audit.
///
/// # Errors
/// What `seen` answers; [`Error::Corrupt`] for a table that does not lie in memory, or a text that is none.
pub(crate) fn visit(table: Table, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    let corrupt = |address| Error::corrupt(crate::rule::ATOMS, address);
    let Some(block) = Block::from_word(table.memory.load64(root(table))) else { return Ok(()) };
    let words = words(table).ok_or_else(|| corrupt(root(table)))?;
    seen(block, Kind::Atoms)?;
    for place in 0..MOST {
        let at = word_at(words, place);
        let Some(text) = Block::from_word(table.memory.load64(at)) else { continue };
        seen(text, Kind::String)?;
        if text_of(table.memory, text.to_word(), &mut [0; LONGEST]).is_none_or(|length| length == 0) {
            return Err(corrupt(at));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_names_are_sorted_lower_case_and_found_by_their_number() {
        let names: [&str; COUNT] = core::array::from_fn(|at| NAMES.lines().nth(at).expect("a line"));
        assert!(COUNT >= 200 && COUNT <= FIRST_SHARED as usize);
        assert!(names.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once");
        for (number, name) in names.iter().enumerate() {
            assert_eq!(find_fixed(name.as_bytes()), Some(number as u32), "{name}");
            assert_eq!(fixed_name(number as u32), Some(name.as_bytes()));
            assert!(name.len() <= LONGEST && name.is_ascii() && !name.bytes().any(|byte| byte.is_ascii_uppercase()));
        }
        for other in [&b""[..], b"acceptt", b"accep", b"zzz", b"Accept", b"accept\naccept-ch", &[255]] {
            assert_eq!(find_fixed(other), None);
        }
        assert_eq!(fixed_name(COUNT as u32), None);
    }
}
