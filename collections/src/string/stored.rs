//! Values in the heap, as they were seen: what is read of them is validated afterwards.

use super::*;

/// A value's block, as it was seen.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// What it holds.
    pub form: Form,
    /// Bytes of the contents.
    pub length: u32,
    pub(super) sight: Sight,
}

impl Stored {
    /// The block.
    #[must_use]
    pub fn block(&self) -> Block {
        self.sight.block
    }

    /// In which of its page's lives the block was.
    #[must_use]
    pub fn life(&self) -> u32 {
        self.sight.life()
    }

    /// The first byte of the contents.
    #[must_use]
    pub fn at(&self) -> Address {
        self.sight.block.address.wrapping_add(HEAD)
    }

    /// Whether the block was this one all the time since it was found. After a fence.
    #[inline]
    #[must_use]
    pub fn is_same(&self, memory: Memory) -> bool {
        self.sight.is_same(memory)
    }

    /// Calls `f` with the contents, eight bytes at a time, the last with zeros behind them. What is read must be
    /// validated by the caller.
    pub(crate) fn words(&self, memory: Memory, mut f: impl FnMut(u64)) {
        for offset in (0..self.length).step_by(8) {
            f(cut(memory.load64(self.at().wrapping_add(offset)), self.length - offset));
        }
    }

    /// Whether the contents are those of `body`. What is read must be validated by the caller.
    #[inline(never)]
    pub(crate) fn equals(&self, table: Table, body: &Body<'_>) -> Result<bool> {
        if self.form != body.form || self.length != body.length() {
            return Ok(false);
        }
        if let Some(at) = body.aligned() {
            let memory = table.memory;
            return Ok((0..self.length).step_by(8).all(|offset| {
                let (mine, other) =
                    (memory.load64(self.at().wrapping_add(offset)), memory.own64(at.wrapping_add(offset)));
                cut(mine ^ other, self.length - offset) == 0
            }));
        }
        let mut done = 0u32;
        while done < self.length {
            let count = (self.length - done).min(PIECE as u32);
            let (mut mine, mut other) = ([0; PIECE], [0; PIECE]);
            let (mine, other) = (&mut mine[..count as usize], &mut other[..count as usize]);
            table.memory.copy_out(self.at().wrapping_add(done), mine);
            body.piece(table, done, other)?;
            if mine != other {
                return Ok(false);
            }
            done = done.saturating_add(count);
        }
        Ok(true)
    }
}

/// Generation and page's life of the block that a word names, as it is now. Loads only.
#[inline]
pub(crate) fn identity(table: Table, word: u64) -> Option<(u32, u32)> {
    let sight = find_block(table, word)?;
    Some((sight.block.generation, sight.life()))
}

/// The block that a word names, as it is now; `None` when the word names none, or that one is gone. Loads only.
#[must_use]
pub fn find(table: Table, word: u64) -> Option<Stored> {
    let sight = find_block(table, word)?;
    let (form, length) = parse_head(table.memory.load64(sight.block.address))?;
    (length <= sight.room.saturating_sub(HEAD)).then_some(Stored { form, length, sight })
}

/// As [`find`], whatever stands in the block.
#[inline(never)]
pub(super) fn find_block(table: Table, word: u64) -> Option<Sight> {
    if !value::is_block(word) {
        return None;
    }
    let (address, generation) = value::block_at(word)?;
    let sight = sight(table.memory, table.control, address)?;
    let same = sight.kind == Kind::String && sight.block.generation & 0xFFFF == generation;
    (same && sight.room >= HEAD).then_some(sight)
}

/// The block of a word that cannot change any more, to be retired with the object whose word it is.
#[inline(never)]
pub(crate) fn block_of(table: Table, word: u64) -> Option<Block> {
    find_block(table, word).map(|sight| sight.block)
}

/// Whether the value of `word`, whose block is `stored` if it has one, is `given`. What is read must be validated.
///
/// # Errors
/// Those of [`bytes::read`] for a region.
#[inline(never)]
pub(crate) fn is_given(table: Table, word: u64, stored: Option<&Stored>, given: &Given<'_>) -> Result<bool> {
    let mut text = [0; atom::LONGEST];
    match (given, stored) {
        (Given::Word(given), None) => Ok(*given == word),
        // A string that became an atom after others had stored it.
        (Given::Word(given), Some(stored)) if value::tag(*given) == Some(Tag::Atom) => {
            let Some(length) = atom::text(table, value::payload(*given) as u32, &mut text) else { return Ok(false) };
            let text = &text[..length];
            let form = if text.is_ascii() { Form::Ascii } else { Form::Latin1 };
            stored.equals(table, &Body { form, source: Source::Slice(text), narrow: false })
        }
        (Given::Word(_), Some(_)) => Ok(false),
        (Given::Block(body), None) if value::tag(word) == Some(Tag::Atom) => {
            let Some(length) = atom::text(table, value::payload(word) as u32, &mut text) else { return Ok(false) };
            let text = &text[..length];
            body.is(table, if text.is_ascii() { Form::Ascii } else { Form::Latin1 }, text)
        }
        (Given::Block(_), None) => Ok(false),
        (Given::Block(body), Some(stored)) => stored.equals(table, body),
        (Given::Reference(handle), Some(stored)) => {
            Ok(stored.form == Form::Reference && table.memory.load64(stored.at()) == handle.to_word())
        }
        (Given::Reference(_), None) => Ok(false),
    }
}
