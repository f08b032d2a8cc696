//! Names and values: bytes of the heap, checked as HTTP asks, names found in any casing.

use super::*;

pub(super) const LENGTH: u64 = (1 << 18) - 1;

/// The bit in which the two casings of a letter differ.
pub(super) const CASE: u64 = 0x2020_2020_2020_2020;

pub(super) const LOWEST: u64 = 0x0101_0101_0101_0101;

pub(super) const HIGHEST: u64 = 0x8080_8080_8080_8080;

/// Which bytes may stand in a token.
pub(super) static TOKEN: [bool; 256] = {
    let signs = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut table = [false; 256];
    let mut index = 0;
    while index < signs.len() {
        table[signs[index] as usize] = true;
        index += 1;
    }
    table
};

/// A name or a value: bytes of the heap at a multiple of 8, padded to one. What a program has elsewhere goes through its
/// agent's transfer buffer first. Each word is read as often as it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Which memory.
    pub memory: Memory,
    /// Where.
    pub at: Address,
    /// Bytes.
    pub length: u32,
}

/// The first `left` bytes of a word.
#[inline]
pub(super) fn cut(word: u64, left: u32) -> u64 {
    if left < WORD { word & !(!0 << (left * 8)) } else { word }
}

pub(super) fn padded(length: u32) -> u32 {
    length.wrapping_add(7) & !7
}

impl Text {
    /// Eight bytes from `offset`, a multiple of 8 below the length; zeros behind the end.
    #[inline]
    pub(super) fn word(self, offset: u32) -> u64 {
        cut(self.memory.own64(self.at.wrapping_add(offset)), self.length - offset)
    }

    /// As [`Text::word`], so that what validates it is loaded after it.
    #[inline]
    pub(super) fn word_acquired(self, offset: u32) -> u64 {
        cut(self.memory.load64(self.at.wrapping_add(offset)), self.length - offset)
    }

    /// The words, each with its offset.
    #[inline]
    pub(super) fn words(self) -> impl Iterator<Item = (u32, u64)> {
        (0..self.length.div_ceil(WORD)).map(move |number| (number * WORD, self.word(number * WORD)))
    }

    /// A hash that is the same for each casing; never 0.
    pub(super) fn tag(self) -> u8 {
        let mut hash = u64::from(self.length);
        for (_, word) in self.words() {
            hash = (hash ^ (word | CASE)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            hash ^= hash >> 29;
        }
        ((hash >> 56) as u8).max(1)
    }

    /// Whether this, which others may be changing, is that name.
    #[inline]
    pub(super) fn is_same_name(self, name: Self) -> bool {
        if self.length != name.length {
            return false;
        }
        let mut offset = 0;
        while offset < name.length {
            let word = self.word_acquired(offset);
            let differs = word ^ name.word(offset);
            if differs != 0 && (differs & !CASE != 0 || !are_letters(word, differs)) {
                return false;
            }
            offset += WORD;
        }
        true
    }

    /// Writes it to words that nobody else may write.
    #[inline]
    pub(super) fn write(self, memory: Memory, to: Address) {
        let mut offset = 0;
        if self.length > SHORT {
            offset = self.length & !7;
            memory.copy_within(self.at, to, offset);
        }
        while offset < self.length {
            memory.set_own64(to.wrapping_add(offset), self.word(offset));
            offset += WORD;
        }
    }
}

/// Whether the bytes of `word` in which `differs` is not 0 are letters.
#[cold]
pub(super) fn are_letters(word: u64, differs: u64) -> bool {
    word.to_le_bytes()
        .iter()
        .zip(differs.to_le_bytes())
        .all(|(byte, differs)| differs == 0 || byte.is_ascii_alphabetic())
}

/// Whether this can be a name: a token.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`].
pub fn check_name(name: Text) -> Result<()> {
    check_length(name)?;
    if name.length == 0 {
        return Err(Error::invalid_field(0, 0));
    }
    for (offset, word) in name.words() {
        let count = (name.length - offset).min(WORD);
        for (place, byte) in (0..count).zip(word.to_le_bytes()) {
            if !TOKEN[byte as usize] {
                return Err(Error::invalid_field(u32::from(byte), offset + place));
            }
        }
    }
    Ok(())
}

/// A name that a field can have.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    pub(super) text: Text,
    pub(super) tag: u8,
}

impl Name {
    /// The name in `text`.
    ///
    /// # Errors
    /// As [`check_name`].
    #[inline]
    pub fn new(text: Text) -> Result<Self> {
        check_name(text)?;
        Ok(Self { text, tag: text.tag() })
    }

    /// A name that was one before, with [`Name::tag`] of then. With another tag it would not be found again.
    #[inline]
    #[must_use]
    pub fn known(text: Text, tag: u8) -> Self {
        Self { text, tag }
    }

    /// A name to look for, which none may have.
    #[inline]
    #[must_use]
    pub fn wanted(text: Text) -> Self {
        Self { text, tag: text.tag() }
    }

    /// A hash that is the same for each casing; never 0.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.tag
    }
}

/// Whether this can be a value: spaces, tabs, and what is visible in ASCII or above it.
///
/// # Errors
/// [`Error::InvalidField`], [`Error::FieldsTooLarge`].
pub fn check_value(value: Text) -> Result<()> {
    check_length(value)?;
    for (offset, word) in value.words() {
        // The padding must not look like a control character.
        let left = value.length - offset;
        let word = if left < WORD { word | (CASE & (!0 << (left * 8))) } else { word };
        let below_space = word.wrapping_sub(LOWEST * 0x20) & !word & HIGHEST;
        let delete = word ^ (LOWEST * 0x7F);
        let is_delete = delete.wrapping_sub(LOWEST) & !delete & HIGHEST;
        if (below_space | is_delete) != 0 {
            check_bytes(word, offset)?;
        }
    }
    Ok(())
}

#[cold]
#[inline(never)]
pub(super) fn check_bytes(word: u64, offset: u32) -> Result<()> {
    for (place, byte) in (0..).zip(word.to_le_bytes()) {
        if (byte < 0x20 && byte != b'\t') || byte == 0x7F {
            return Err(Error::invalid_field(u32::from(byte), offset + place));
        }
    }
    Ok(())
}

pub(super) fn check_length(text: Text) -> Result<()> {
    if text.length > LARGEST { Err(too_large(u64::from(text.length))) } else { Ok(()) }
}
