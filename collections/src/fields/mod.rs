//! HTTP fields: ordered lines of a name and a value, found whatever the casing of the name. The semantics are those of
//! `wasi:http/types` 0.2.
//!
//! The entry's value word is the *commit* word: reference of the block 28 (its address ⁄ 16) · flags 4 · sequence 32. No
//! block: no lines. Every change builds a new block and exchanges this word, with the next sequence. A block never
//! changes while it is published:
//!
//! | offset | word |
//! |---|---|
//! | 0 | u64: number of lines 32 · bytes of the texts 32 |
//! | 8 | u64: the block's own generation 32, so that who holds the commit word can name the block · its size 32, as [`LARGEST`] counts |
//! | 16 | u64 a line: length of the value 18 · length of the name 18 · tag 8 · where the name begins, in words 20 |
//! | … | the texts: each line's name and then its value, each padded with zeros to whole words |
//!
//! The tag is a hash of the name in one casing, so that a search reads one word of most lines. A name keeps the casing
//! in which it came first.
//!
//! # Consistency
//! Linearizable. A read copies what it answers and then looks at the commit word again: it is the same word, sequence
//! and all, so nothing of the block was changed, freed or reused meanwhile. A change holds the object ([`crate::hold`])
//! and commits with one compare-exchange.
//!
//! # If the caller dies here
//! The change has happened or it has not; recovery frees the block that the commit word does not name.
//!
//! Nothing here blocks. A call is linear in the size of the fields, at most [`LARGEST`]; adding several lines compares the
//! name of each with those before it. Where a loop has no bound, each
//! round means that another agent changed the fields.

mod change;
mod image;
mod read;
mod text;

use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result};

use crate::block;
use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type, VALUE};
use crate::{hold, rule};

pub use change::{append, change, delete, freeze, set};
pub use read::{Copied, Lines, get, has, is_frozen, is_same, lines};
pub use text::{Name, Text, check_name, check_value};

use change::*;
use image::*;
use read::*;
use text::*;

/// How large fields may be: names, values, and [`OVERHEAD`] for each line, as HTTP counts them (RFC 9113, 6.5.2).
pub const LARGEST: u32 = 128 * 1024;

/// What a line counts beside its name and value.
pub const OVERHEAD: u32 = 32;

/// Lines at most: each has a name.
pub const MOST: u32 = LARGEST / (OVERHEAD + 1);

/// Bytes of the head of a block.
pub const HEAD: u32 = 16;

const WORD: u32 = 8;

#[cold]
fn too_large(size: u64) -> Error {
    Error::fields_too_large(size, u64::from(LARGEST))
}

fn allocate(operation: &Operation, size: u32) -> Result<Block> {
    block::allocate(operation, size, Kind::Fields)
}

/// Makes anonymous fields of these lines; the agent has a reference to them.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`]: nothing was made; [`Error::OutOfMemory`].
pub fn create(operation: &Operation, lines: impl Iterator<Item = Result<(Name, Text)>> + Clone) -> Result<Handle> {
    let amount = measure(None, lines.clone())?;
    if amount.count == 0 {
        return make(operation, None);
    }
    let claim = claim(operation, Type::Fields)?;
    let block = match allocate(operation, amount.room()) {
        Ok(block) => block,
        Err(error) => {
            claim::abandon(operation, claim);
            return Err(error);
        }
    };
    let mut writer = Writer::new(operation.memory(), block, amount);
    let mut lines = lines;
    let written = lines.try_for_each(|line| line.ok().and_then(|(name, value)| writer.append(name, value)));
    if written.is_none() || !writer.is_full() {
        // The lines are in memory that others write to.
        claim::abandon(operation, claim);
        return Err(Error::corrupt(rule::FIELDS_BLOCK, block.address));
    }
    claim::publish(operation, claim, Commit::first(block.address).0, Info::new(0, None), Some(block))
}

/// Fields without a line.
pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Fields)?;
    claim::publish(operation, claim, Commit::first(0).0, Info::new(0, bucket), None)
}

/// Makes anonymous fields of the same lines, which can be changed whether these can or not.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], [`Error::Corrupt`].
pub fn duplicate(operation: &Operation, handle: Handle) -> Result<Handle> {
    let claim = claim(operation, Type::Fields)?;
    match copy(operation, handle) {
        Ok(block) => {
            let commit = Commit::first(block.map_or(0, |block| block.address));
            claim::publish(operation, claim, commit.0, Info::new(0, None), block)
        }
        Err(error) => {
            claim::abandon(operation, claim);
            Err(error)
        }
    }
}

/// A private copy of the block; `None` when there are no lines.
fn copy(operation: &Operation, handle: Handle) -> Result<Option<Block>> {
    // Lock-free: another round means that another agent changed the fields.
    loop {
        let size = read(Table::of(operation), handle, |image, _| Some(image.room()))?;
        if size == HEAD {
            return Ok(None);
        }
        let block = allocate(operation, size)?;
        let copied = read(Table::of(operation), handle, |image, _| {
            if image.room() == size {
                copy_words(image.memory, image.at, block.address, size);
            }
            Some(image.room() == size)
        });
        if matches!(copied, Ok(true)) {
            // The size is the same, the generation the copy's own.
            let size = operation.memory().own64(block.address.wrapping_add(WORD)) >> 32 << 32;
            operation.memory().set_own64(block.address.wrapping_add(WORD), size | u64::from(block.generation));
            return Ok(Some(block));
        }
        block::free(operation, block)?;
        copied?;
    }
}

/// The block of a commit word that stands in an entry, if that is so still when the entry is looked at again.
pub(crate) fn block(memory: Memory, word: u64) -> Option<Block> {
    Image::of(memory, Commit(word))?.block()
}

/// The block of a commit word, if there is one, when its lines are well-formed; the outer `None` when they are not.
pub(crate) fn audit(memory: Memory, word: u64) -> Option<Option<Block>> {
    let image = Image::of(memory, Commit(word))?;
    let mut amount = Amount::default();
    for index in 0..image.count {
        let word = image.word(index);
        let Line { name, value } = image.line(word)?;
        if begin_of(word) != amount.bytes || tag_of(word) != name.tag() {
            return None;
        }
        check_name(name).and_then(|()| check_value(value)).ok()?;
        amount = amount.plus(Amount::of(name.length, value.length));
    }
    (amount == image.amount() && amount.size <= LARGEST).then(|| image.block())
}
