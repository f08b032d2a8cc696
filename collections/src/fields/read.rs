//! Reads: they copy what they answer and then look at the commit word again.

use super::*;

/// Reads: `f` is called until the block was the same before and after it. `f` answers `None` when what it sees is not
/// well-formed.
#[inline]
pub(super) fn read<R>(table: Table, handle: Handle, mut f: impl FnMut(Image, Commit) -> Option<R>) -> Result<R> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    table.check(entry, handle, Type::Fields)?;
    // Lock-free: another round means that another agent changed the fields.
    loop {
        let commit = Commit(table.memory.load64(entry.wrapping_add(VALUE)));
        let found = Image::of(table.memory, commit).and_then(|image| f(image, commit));
        let same = is_unchanged(table.memory, entry, commit);
        // The commit word is this object's, and so is what was read.
        table.check(entry, handle, Type::Fields)?;
        if same {
            return found.ok_or_else(|| Error::corrupt(rule::FIELDS_BLOCK, commit.address()));
        }
    }
}

#[inline]
pub(super) fn is_unchanged(memory: Memory, entry: Address, commit: Commit) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
        return true;
    }
    memory.load64_ordered(entry.wrapping_add(VALUE)) == commit.0
}

/// Whether the fields are those of this sequence, as [`get`] answered it. Loads only.
#[inline]
#[must_use]
pub fn is_same(table: Table, handle: Handle, sequence: u32) -> bool {
    let Some(entry) = table.entry_here(handle.index) else { return false };
    let commit = Commit(table.memory.load64(entry.wrapping_add(VALUE)));
    // The commit word is this object's.
    commit.sequence() == sequence && table.check(entry, handle, Type::Fields).is_ok()
}

/// Copies the values of `name`, joined by `", "`, to `room` bytes at `to` (a multiple of 8) that only this agent uses, and
/// answers how many bytes they have, `None` if there is no line of this name; they are there if they had room.
/// Answers the sequence too: while that stays, so does the answer. Stores nothing else.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
#[inline(never)]
pub fn get(table: Table, handle: Handle, name: Name, to: Address, room: u32) -> Result<(Option<u32>, u32)> {
    read(table, handle, |image, commit| {
        let mut total = None;
        image.find(name, |_, line| {
            total = Some(join(image.memory, total, line.value, to, room));
            Some(())
        })?;
        Some((total, commit.sequence()))
    })
}

/// Adds a value to what is joined; answers its length.
pub(super) fn join(memory: Memory, total: Option<u32>, value: Text, to: Address, room: u32) -> u32 {
    let Text { at, length, .. } = value;
    let Some(before) = total else {
        if padded(length) <= room {
            copy_words(memory, at, to, padded(length));
        }
        return length;
    };
    let end = before.saturating_add(2).saturating_add(length);
    if end <= room {
        let to = to.wrapping_add(before);
        memory.copy_in(to, b", ");
        memory.copy_within(at, to.wrapping_add(2), length);
        memory.fence();
    }
    end
}

/// Whether there is a line of this name. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn has(table: Table, handle: Handle, name: Name) -> Result<bool> {
    // With room for nothing.
    Ok(get(table, handle, name, 0, 0)?.0.is_some())
}

/// Whether the fields are frozen. Loads only.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn is_frozen(table: Table, handle: Handle) -> Result<bool> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let commit = Commit(table.memory.load64(entry.wrapping_add(VALUE)));
    table.check(entry, handle, Type::Fields)?;
    Ok(commit.is_frozen())
}

/// What [`lines`] copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bytes that there are to copy: of the block, as it is described above.
    pub size: u32,
    /// Which state of the fields that is.
    pub sequence: u32,
}

/// Copies the block from `offset` (a multiple of 8) on, as much as there is room for, to `to`, which only this agent
/// uses. [`Lines`] reads it. Without lines there are the bytes of an empty head.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn lines(table: Table, handle: Handle, offset: u32, to: Address, room: u32) -> Result<Copied> {
    read(table, handle, |image, commit| {
        let size = image.room();
        let length = size.saturating_sub(offset).min(room & !7);
        if image.at == 0 {
            for at in (0..length).step_by(WORD as usize) {
                table.memory.set_own64(to.wrapping_add(at), 0);
            }
        } else {
            copy_words(image.memory, image.at.wrapping_add(offset), to, length);
        }
        Some(Copied { size, sequence: commit.sequence() })
    })
}

/// The lines in a private copy of a block, as [`lines`] makes it.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    pub(super) words: &'a [u8],
    pub(super) texts: &'a [u8],
}

impl<'a> Lines<'a> {
    /// Of the whole copy; `None` when it is none.
    #[must_use]
    pub fn new(copy: &'a [u8]) -> Option<Self> {
        let count = u32::from_le_bytes(copy.get(..4)?.try_into().ok()?) as usize;
        let (words, texts) = copy.get(HEAD as usize..)?.split_at_checked(count.checked_mul(WORD as usize)?)?;
        Some(Self { words, texts })
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (word, rest) = self.words.split_at_checked(WORD as usize)?;
        self.words = rest;
        let word = u64::from_le_bytes(word.try_into().ok()?);
        let (value, name) = ((word & LENGTH) as u32, (word >> 18 & LENGTH) as u32);
        let begin = ((word >> 44) as u32) * WORD;
        let middle = begin + padded(name);
        let text = |from: u32, length: u32| self.texts.get(from as usize..(from + length) as usize);
        Some((text(begin, name)?, text(middle, value)?))
    }
}
