//! Values of any kind: read whole, in pieces, as a snapshot; compared by their contents.

use super::*;

/// Rounds in which a word names no block although nobody changed it: then the heap is corrupt.
pub(crate) const LOOKS: u32 = 3;

/// Answers `f` of the cell's word and the block that it names, both of one moment: what `f` read of the block is
/// validated after it read it. Lock-free: another round means that another agent changed the cell.
#[inline]
pub(super) fn look<R>(table: Table, entry: Address, f: impl FnMut(u64, Option<&Stored>) -> Result<R>) -> Result<R> {
    look_at(table, entry.wrapping_add(VALUE), f)
}

/// As [`look`], for a value's word anywhere.
#[inline]
pub(crate) fn look_at<R>(table: Table, at: Address, mut f: impl FnMut(u64, Option<&Stored>) -> Result<R>) -> Result<R> {
    let mut lost = 0;
    loop {
        let word = table.memory.load64_ordered(at);
        let stored = if value::is_block(word) { string::find(table, word) } else { None };
        if stored.is_none() && value::is_block(word) {
            lost = if table.memory.load64_ordered(at) == word { lost + 1 } else { 0 };
            if lost == LOOKS {
                return Err(Error::corrupt(rule::VALUE_BLOCK, at));
            }
            continue;
        }
        // Once in the source: it is compiled where it is called.
        let found = f(word, stored.as_ref());
        if stored.is_none_or(|stored| is_same_at(table, at, word, &stored)) {
            return found;
        }
    }
}

/// Whether what was read of a block is of the value that `word` names at `at`.
#[inline(never)]
fn is_same_at(table: Table, at: Address, word: u64, stored: &Stored) -> bool {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
        // Seeded bug: the block may have been freed and used again while it was read.
        return true;
    }
    // What was read is not ordered with the looks that follow it.
    table.memory.fence();
    table.memory.load64_ordered(at) == word && stored.is_same(table.memory)
}

/// A value that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its word.
    pub word: u64,
    /// What its block holds, if it has one, and how many bytes of contents that has.
    pub block: Option<(Form, u32)>,
    /// The block's generation.
    pub generation: u32,
    /// The region with a copy of the contents, if they were put into one: the caller's to release.
    pub region: Option<Handle>,
}

impl Taken {
    pub(crate) fn new(word: u64, stored: Option<&Stored>) -> Self {
        let block = stored.map(|stored| (stored.form, stored.length));
        let generation = stored.map_or(0, |stored| stored.block().generation);
        Self { word, block, generation, region: None }
    }
}

/// The value. Contents of a block of at most `room` bytes are copied to `to`, which only this agent uses; of larger ones
/// nothing is: then [`piece`] for piece, or [`snapshot`].
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
#[inline(never)]
pub fn take(table: Table, handle: Handle, to: Address, room: u32) -> Result<Taken> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let taken = look(table, entry, |word, stored| {
        if let Some(stored) = stored.filter(|stored| stored.length <= room) {
            table.memory.copy_within(stored.at(), to, stored.length);
        }
        Ok(Taken::new(word, stored))
    });
    // The word was this cell's if the entry is.
    table.check(entry, handle, Type::Cell)?;
    let taken = taken?;
    if taken.block.is_none() && !is_known(table, taken.word) {
        return Err(Error::corrupt(rule::NOT_A_VALUE, entry.wrapping_add(VALUE)));
    }
    Ok(taken)
}

/// Whether a word that names no block is a value.
pub(crate) fn is_known(table: Table, word: u64) -> bool {
    let exists = value::tag(word) != Some(Tag::Atom) || crate::atom::exists(table, value::payload(word) as u32);
    value::is_plain(word) && exists
}

/// Copies `length` bytes from `offset` of the contents of a value that was `taken` to `to`; false: the cell holds another
/// value now, and what was copied is undefined. So pieces that were all true are of one value.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfRange`].
pub fn piece(
    table: Table,
    handle: Handle,
    (word, generation): (u64, u32),
    offset: u32,
    to: Address,
    length: u32,
) -> Result<bool> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let copied = look(table, entry, |found, stored| {
        let Some(stored) = stored.filter(|stored| found == word && stored.block().generation == generation) else {
            return Ok(false);
        };
        let limit = u64::from(stored.length);
        if u64::from(offset) + u64::from(length) > limit {
            return Err(Error::out_of_range(u64::from(offset), u64::from(length), limit));
        }
        table.memory.copy_within(stored.at().wrapping_add(offset), to, length);
        Ok(true)
    });
    table.check(entry, handle, Type::Cell)?;
    copied
}

/// The value, and the contents of its block copied into a new anonymous byte region in one step: for contents that
/// change too often to be read in pieces. The writers never wait; this copy is as fast as memory is.
///
/// # Errors
/// Those of [`take`], [`Error::OutOfMemory`].
pub fn snapshot(operation: &Operation, handle: Handle) -> Result<Taken> {
    let table = Table::of(operation);
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    // Lock-free: another round means that another agent put a longer value there.
    loop {
        let room = look(table, entry, |_, stored| Ok(stored.map_or(0, |stored| stored.length)))?;
        if room == 0 {
            let taken = take(table, handle, 0, 0)?;
            if taken.block.is_none_or(|(_, length)| length == 0) {
                return Ok(taken);
            }
            continue;
        }
        let copy = block::allocate(operation, room, Kind::Bytes)?;
        let taken = take(table, handle, copy.address, room);
        match taken {
            Ok(taken) if taken.block.is_some_and(|(_, length)| 0 < length && length <= room) => {
                let region = keep(operation, copy, taken.block.map_or(0, |(_, length)| length));
                return region.map(|region| Taken { region: Some(region), ..taken });
            }
            other => {
                block::free(operation, copy)?;
                if other?.block.is_none_or(|(_, length)| length == 0) {
                    return other;
                }
            }
        }
    }
}

/// Makes a byte region of a private block.
pub(super) fn keep(operation: &Operation, block: Block, length: u32) -> Result<Handle> {
    let claimed = claim(operation, Type::Bytes)
        .and_then(|claim| claim::publish(operation, claim, block.to_word(), Info::new(length, None), Some(block)));
    claimed.or_else(|error| block::free(operation, block).and(Err(error)))
}

/// Sets the value to `new` if it is `expected`, by contents; answers whether it was. Lock-free.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], those of [`string::make`]: the cell is as it was.
pub fn compare_and_set_value(
    operation: &Operation,
    handle: Handle,
    expected: Given<'_>,
    new: Given<'_>,
) -> Result<(bool, Wake)> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let table = Table::of(operation);
    let mut made = None;
    let done = loop {
        let found = look(table, entry, |word, stored| {
            let same = string::is_given(table, word, stored, &expected)?;
            Ok(same.then_some((word, stored.map(Stored::block))))
        });
        let (word, old) = match found {
            Ok(Some(found)) => found,
            Ok(None) => break Ok((false, Wake::NONE)),
            Err(error) => break Err(error),
        };
        let new = match made {
            Some(made) => made,
            // Made once it is wanted, and then looked again: what was compared may be gone.
            None => match string::make(operation, new) {
                Ok(new) => {
                    made = Some(new);
                    continue;
                }
                Err(error) => break Err(error),
            },
        };
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::LOST_UPDATE) {
            // Longer between the look and the exchange, so that threads that share one processor meet there, too.
            for _ in 0..20_000 {
                core::hint::spin_loop();
            }
        }
        match operation.replace(entry.wrapping_add(VALUE), word, new.word, new.block, old) {
            Ok(Ok(())) => return Ok((true, wait::after_change(table.memory, entry))),
            #[cfg(feature = "controls")]
            // Seeded bug: what met the change of another agent is said to have happened.
            Ok(Err(_)) if crate::controls::is_on(crate::controls::LOST_UPDATE) => break Ok((true, Wake::NONE)),
            // Lock-free: another agent changed the cell.
            Ok(Err(_)) => {}
            Err(error) => break Err(error),
        }
    };
    match made {
        Some(made) => made.discard(operation).and(done),
        None => done,
    }
}
