//! Keys: numbers and strings, compared as JavaScript's `Map` does.

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Memory, Result};

use crate::cell::look_at;
use crate::object::Table;
use crate::string::{self, Body, Form, Given, Stored};
use crate::value::{self, Tag};

/// A key on its way to a map. −0 is 0, every NaN is the same, and a string is itself whatever form it comes in; 1 and
/// "1" are two keys.
#[derive(Clone, Copy, Debug)]
pub struct Key<'a>(Content<'a>);

#[derive(Clone, Copy, Debug)]
enum Content<'a> {
    /// A number, or a string that fits into its word.
    Word(u64),
    /// A string that needs a block. Of an atom its text: who stored that before it was one would not find an atom.
    Body(Body<'a>),
}

impl<'a> Key<'a> {
    /// A number.
    #[inline]
    #[must_use]
    pub fn number(number: f64) -> Self {
        // −0 + 0 is 0.
        Self(Content::Word(value::from_number(number + 0.0)))
    }

    /// A value that can be a key: `None` for one that is no number and no string.
    #[inline]
    #[must_use]
    pub fn given(table: Table, given: Given<'a>) -> Option<Self> {
        match given {
            Given::Word(word) => match value::tag(word) {
                None => value::to_number(word).map(Self::number),
                Some(Tag::Short) => Some(Self(Content::Word(word))),
                Some(Tag::Atom) => match Given::text_of_atom(table, value::payload(word) as u32)? {
                    Given::Block(body) => Some(Self(Content::Body(body))),
                    Given::Word(word) => Some(Self(Content::Word(word))),
                    Given::Reference(_) => None,
                },
                _ => None,
            },
            Given::Block(body) => (body.form().tag() == Tag::String).then_some(Self(Content::Body(body))),
            Given::Reference(_) => None,
        }
    }

    /// The key's word, if it needs no block.
    #[inline]
    pub(super) fn word(&self) -> Option<u64> {
        if let Content::Word(word) = self.0 { Some(word) } else { None }
    }

    /// What the key's block holds, if it needs one.
    pub(super) fn body(&self) -> Option<&Body<'a>> {
        match &self.0 {
            Content::Word(_) => None,
            Content::Body(body) => Some(body),
        }
    }

    /// Where it stands in the index: a hash of its contents under the heap's seed, its bits reversed, the lowest one set.
    ///
    /// # Errors
    /// Those of reading the region that a string is in.
    #[inline]
    pub(super) fn order(&self, table: Table) -> Result<u32> {
        let seed = seed(table);
        let hash = match &self.0 {
            Content::Word(word) => mix(seed, *word),
            Content::Body(body) => {
                let mut hash = seed;
                body.words(table, |word| hash = step(hash, word))?;
                mix(hash, u64::from(body.length()))
            }
        };
        Ok(order_of(hash))
    }
}

/// As [`Key::order`], of the key whose word is at `at`; `None` when it was given back.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`]: the word names no block, and stays.
pub(super) fn order_stored(table: Table, at: Address) -> Result<Option<u32>> {
    look_at(table, at, |word, stored| {
        if word == value::EMPTY {
            return Ok(None);
        }
        let mut hash = seed(table);
        let last = match stored {
            None => word,
            Some(stored) => {
                stored.words(table.memory, |word| hash = step(hash, word));
                u64::from(stored.length)
            }
        };
        Ok(Some(order_of(mix(hash, last))))
    })
}

fn seed(table: Table) -> u64 {
    let memory: Memory = table.memory;
    memory.own64(table.control.wrapping_add(control::SEED))
}

fn step(hash: u64, word: u64) -> u64 {
    let mixed = (hash ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed ^ mixed >> 29
}

/// 64 bits of which each depends on each (Stafford's variant 13 of MurmurHash3's finalizer).
#[inline]
fn mix(seed: u64, word: u64) -> u64 {
    let word = word ^ seed;
    let word = (word ^ word >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let word = (word ^ word >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ word >> 31
}

#[inline]
fn order_of(hash: u64) -> u32 {
    // Its bits count from the top: reversed, they are as good as any.
    (hash >> 32) as u32 | 1
}

/// Whether the word of a stored string is one that a key can be.
pub(super) fn is_key(table: Table, word: u64) -> bool {
    match value::tag(word) {
        // −0 is stored as 0.
        None => value::to_number(word).is_some() && word != 1 << 63,
        Some(Tag::Short) => value::is_plain(word),
        Some(Tag::String) => string::find(table, word)
            .is_some_and(|stored: Stored| matches!(stored.form, Form::Ascii | Form::Latin1 | Form::Utf16)),
        _ => false,
    }
}
