//! Values that have no place in their word: strings, bytes and big integers, in immutable blocks.
//!
//! A block is a head, u64 {length in units 32 · form 8}, and then the bytes. A string has one byte a unit when all its
//! units are below 256, else two: units and not characters, so ill-formed UTF-16 comes out as it went in. Each value has
//! one form ([`Given::new`]), so two values are the same exactly if form, length and bytes are.
//!
//! # Reading while others write
//! A word names its block by address and 16 bits of its generation. A block that is taken out of its word is freed at
//! once and may be taken again at once, so whoever reads it
//!
//! 1. loads the word W, finds the block that starts there and notes its whole header and its page's word ([`Sight`]);
//! 2. reads the head, checks it against the block's room, copies;
//! 3. fences, and sees that the word is still W, the header and the page's word still those: else begins again.
//!
//! Whoever frees the block has exchanged W for another word before, and whoever writes into it next has changed its
//! header before that and fences (`block::allocate`); so a reader that copied one byte of the next contents sees another word
//! or another header in step 3. That the word was W, then others, then W again does not deceive it: the block was freed
//! in between, so its header has another generation, all 32 bits of which are compared, or its page another life (20
//! bits, two steps each time that a page is given back and taken). What deceives it is to be stopped in the middle of
//! one read for exactly a multiple of 2³² uses of the block, or 2¹⁹ lives of its page, that end in the same word.
//!
//! Each round of a reader means that a writer succeeded. Writers never look for readers.

mod given;
mod stored;

use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result, Sight, sight};

use crate::object::{Handle, Table};
use crate::value::{self, Tag};
use crate::{atom, block, bytes, nested};

pub use given::{Body, Given, Source};
pub use stored::{Stored, find};
pub(crate) use stored::{block_of, identity, is_given};

use given::*;

/// Bytes of a block before its contents.
pub const HEAD: u32 = 8;

/// What a block holds, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Form {
    /// A string of units below 128, a byte each.
    Ascii = 1,
    /// A string of units below 256, a byte each, one of them above 127.
    Latin1 = 2,
    /// A string of units of two bytes (little end first), one of them above 255.
    Utf16 = 3,
    /// Bytes.
    Bytes = 4,
    /// An integer: words of eight bytes, the lowest first, the last one not 0; none for 0.
    Natural = 5,
    /// The same, below 0.
    Negative = 6,
    /// A reference to another object: its handle's word. What else stands in the block is [`crate::nested`]'s.
    Reference = 7,
}

impl Form {
    /// The form of a number that came from outside or from the heap, or `None`.
    #[must_use]
    pub fn from_tag(tag: u32) -> Option<Self> {
        Some(match tag {
            1 => Self::Ascii,
            2 => Self::Latin1,
            3 => Self::Utf16,
            4 => Self::Bytes,
            5 => Self::Natural,
            6 => Self::Negative,
            7 => Self::Reference,
            _ => return None,
        })
    }

    /// What a word says of such a block.
    #[must_use]
    pub fn tag(self) -> Tag {
        match self {
            Self::Ascii | Self::Latin1 | Self::Utf16 => Tag::String,
            Self::Bytes | Self::Natural | Self::Negative => Tag::Data,
            Self::Reference => Tag::Object,
        }
    }

    fn width(self) -> u32 {
        if self == Self::Utf16 { 2 } else { 1 }
    }
}

pub(crate) fn head_of(form: Form, length: u32) -> u64 {
    u64::from(length / form.width()) | (form as u64) << 32
}

/// Form and length in bytes of a head; `None` for a word that is none.
pub(crate) fn parse_head(head: u64) -> Option<(Form, u32)> {
    let form = Form::from_tag((head >> 32) as u32)?;
    Some((form, (head as u32).checked_mul(form.width())?))
}

/// A value that this operation made and nobody knows: its word, and the block that the word names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// The word.
    pub word: u64,
    /// Its block, still private.
    pub block: Option<Block>,
}

impl Made {
    /// Gives the block back, unless it was published. Never blocks.
    ///
    /// # Errors
    /// [`Error::NotAllocated`] when somebody freed it.
    pub fn discard(self, operation: &Operation) -> Result<()> {
        match self.block {
            Some(block) if value::is_reference(self.word) => nested::discard(operation, block),
            // A block that was published has a header that says so, or another generation.
            Some(block) if operation.is_private(block) => block::free(operation, block),
            _ => Ok(()),
        }
    }
}

/// Makes the word of a value, and its block if it needs one: private to the operation until a word that others read is
/// replaced by it. If the caller dies before, the block goes back.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::InvalidLayout`] for more than 4 GiB; those of [`bytes::read`] for a region;
/// [`Error::UnexpectedValue`] for a reference, which only structures hold ([`crate::nested`]).
#[inline(never)]
pub fn make(operation: &Operation, given: Given<'_>) -> Result<Made> {
    match given {
        Given::Word(word) => Ok(Made { word, block: None }),
        Given::Block(body) => {
            let block = allocate(operation, body.form, body.length())?;
            if let Err(error) = body.copy_to(Table::of(operation), block.address.wrapping_add(HEAD)) {
                block::free(operation, block)?;
                return Err(error);
            }
            Ok(Made { word: value::from_block(body.form.tag(), block), block: Some(block) })
        }
        Given::Reference(_) => Err(Error::unexpected_value(Tag::Data as u32, Tag::Object as u32)),
    }
}

/// A private block of this form with these contents.
///
/// # Errors
/// As [`make`].
pub(crate) fn make_block(operation: &Operation, form: Form, source: Source<'_>) -> Result<Block> {
    let block = allocate(operation, form, source.length())?;
    if let Err(error) = source.copy_to(Table::of(operation), block.address.wrapping_add(HEAD)) {
        block::free(operation, block)?;
        return Err(error);
    }
    Ok(block)
}

fn allocate(operation: &Operation, form: Form, length: u32) -> Result<Block> {
    let Some(size) = length.checked_add(HEAD) else {
        return Err(Error::invalid_layout(u64::from(length), 16));
    };
    let block = block::allocate(operation, size, Kind::String)?;
    operation.memory().set_own64(block.address, head_of(form, length));
    Ok(block)
}
