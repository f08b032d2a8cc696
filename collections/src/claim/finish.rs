//! The end of an object: its handles go stale, its block is retired, its entry is free.

use super::*;

/// Whether an object is one that is taken apart in slices.
pub(crate) fn is_in_slices(word: EntryWord) -> bool {
    gives_up_parts(word) || word.kind() == Type::Pipe as u8
}

/// Whether it is one that gives up parts while it is live, in eras.
fn gives_up_parts(word: EntryWord) -> bool {
    word.kind() == Type::Map as u8 || word.kind() == Type::List as u8
}

/// Ends an object whose references are all gone: LIVE → DYING, from here its handles are stale; then [`finish`]. What
/// the answer names is to be notified after the operation. Any number of agents may try at once; if all die, so does
/// whoever recovers the one that gave back the last reference.
///
/// # Errors
/// Those of [`Operation::replace`].
pub(crate) fn end(operation: &Operation, handle: Handle) -> Result<Wake> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(Wake::NONE) };
    let word = table.word(entry);
    let mut wake = Wake::NONE;
    if word.is(State::Live)
        && word.generation() == handle.generation
        && table.memory.compare_exchange64(entry, word.0, word.with_state(State::Dying).0).is_ok()
    {
        wake = wait::after_change(table.memory, entry);
    }
    finish(operation, handle)?;
    Ok(wake)
}

/// As [`end`], for who is taking a structure apart, and must not begin with another: one with parts is left to whoever goes on with
/// ended objects.
///
/// # Errors
/// Those of [`Operation::replace`].
pub(crate) fn end_later(operation: &Operation, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let word = table.word(entry);
    if word.is_live_object(handle) {
        // Who waits for it without a reference looks again by itself, see [`wait::SLICE`].
        let _ = table.memory.compare_exchange64(entry, word.0, word.with_state(State::Dying).0);
    }
    if !is_in_slices(word) {
        return finish_plain(operation, handle);
    }
    if table.word(entry).is(State::Dying) {
        table.show(handle.index);
        map::leave_rest(table, handle.index);
    }
    Ok(())
}

/// Takes back an object that this operation made, or that the holder, who does not run, made, and that nobody knows:
/// whatever its count is. No note but that of its making, which settles what is left if the caller dies here.
///
/// # Errors
/// Those of [`Operation::replace`].
pub(crate) fn take_back(operation: &Operation, holder: Holder, handle: Handle) -> Result<()> {
    // Nobody waits for it.
    let _ = end(operation, handle)?;
    holdings::remove(operation.memory(), holder, handle)
}

/// Finishes every object whose release was left to somebody: before memory is called exhausted. Linear in the table, and
/// again for each map that was in one behind it.
///
/// # Errors
/// Those of [`Operation::replace`].
#[cold]
pub(crate) fn finish_all(operation: &Operation) -> Result<()> {
    let table = Table::of(operation);
    let mut first = 0;
    // Each round but the first two finishes a map, or is the last.
    loop {
        let _ = map::take_hint(table);
        let finished = finish_from(operation, first)?;
        match map::take_hint(table) {
            // What was in a map has ended with it, and may stand before it.
            Some(index) if finished > 0 || first == 0 && index > 0 => {
                map::leave_rest(table, index);
                first = index;
            }
            Some(index) => {
                map::leave_rest(table, index);
                return Ok(());
            }
            None => return Ok(()),
        }
    }
}

/// As [`finish_all`], from this index on, once; how many it finished.
pub(super) fn finish_from(operation: &Operation, first: u32) -> Result<u32> {
    let mut finished = 0;
    each_from(operation, first, |_, handle, word| {
        finished += u32::from(finish_one(operation, handle, word, &mut { u32::MAX })?);
        Ok(true)
    })?;
    Ok(finished)
}

/// A slice of a round of finishing what has ended and what was cleared away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// The index to go on from; 0: the round is over.
    pub next: u32,
    /// Whether anything was done. A round in which nothing was is the last.
    pub worked: bool,
}

/// As [`finish_all`], from this index on: at most so many looks at objects and so many parts of them. What is in a structure may
/// end with it and stand before it, so that rounds follow until one finds nothing to do.
///
/// # Errors
/// Those of [`Operation::replace`].
pub(crate) fn finish_some(operation: &Operation, first: u32, looks: u32, parts: u32) -> Result<Round> {
    let (mut looks, mut left) = (looks, parts);
    let mut next = 0;
    each_from(operation, first, |index, handle, word| {
        if looks == 0 || left == 0 {
            next = index;
            return Ok(false);
        }
        looks -= 1;
        if finish_one(operation, handle, word, &mut left)? {
            left = left.saturating_sub(1);
        } else if left == 0 {
            // It may have more parts.
            next = index;
            return Ok(false);
        }
        Ok(true)
    })?;
    Ok(Round { next, worked: left != parts })
}

/// Calls `visit` for each entry from this index on, until it answers false.
fn each_from(
    operation: &Operation,
    first: u32,
    mut visit: impl FnMut(u32, Handle, EntryWord) -> Result<bool>,
) -> Result<()> {
    let table = Table::of(operation);
    let pages = (first / PER_PAGE..control::OBJECT_CHUNK_COUNT).take_while(|&number| table.page(number).is_some());
    for index in pages.flat_map(entries).filter(|&index| index >= first) {
        let Some(entry) = table.entry(index) else { continue };
        let word = table.word(entry);
        if !visit(index, Handle { index, generation: word.generation() }, word)? {
            break;
        }
    }
    Ok(())
}

/// Goes on with an object that has ended, or whose parts were cleared away, by so many parts, fewer of which are left; whether it is
/// finished now.
fn finish_one(operation: &Operation, handle: Handle, word: EntryWord, parts: &mut u32) -> Result<bool> {
    match word.state() {
        // What this agent holds itself it may be about to write to.
        Some(State::Dying) if !hold::is_own(operation, handle) => {
            finish_slice(operation, handle, parts)?;
            let table = Table::of(operation);
            Ok(table.entry(handle.index).is_some_and(|entry| table.word(entry) != word))
        }
        Some(State::Live) if gives_up_parts(word) => map::finish_clear(operation, handle, parts).map(|()| false),
        _ => Ok(false),
    }
}

pub(super) fn entries(number: u32) -> core::ops::Range<u32> {
    number * PER_PAGE + FIRST..(number + 1) * PER_PAGE
}

/// Frees a dying entry and retires its block, unless an agent may still be writing to it: then whoever looks for a
/// free entry tries again. Any number of agents may try at once.
///
/// # Errors
/// Those of [`Operation::replace`].
pub(crate) fn finish(operation: &Operation, handle: Handle) -> Result<()> {
    finish_slice(operation, handle, &mut { map::FIRST_SLICE })
}

/// As [`finish`]; of what has parts so many of them, fewer of which are left.
fn finish_slice(operation: &Operation, handle: Handle, parts: &mut u32) -> Result<()> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let word = table.word(entry);
    if !is_in_slices(word) {
        return finish_plain(operation, handle);
    }
    if !word.is(State::Dying) || word.generation() != handle.generation {
        return Ok(());
    }
    let finished = map::finish(operation, handle, entry, word, table.freed(word, handle.index), parts)?;
    // Shown in any case: who meets it goes on with it.
    table.show(handle.index);
    if finished != map::Finished::All {
        map::leave_rest(table, handle.index);
    }
    Ok(())
}

/// As [`finish`], of what has one block at most.
pub(super) fn finish_plain(operation: &Operation, handle: Handle) -> Result<()> {
    let table = Table::of(operation);
    let Some(entry) = table.entry(handle.index) else { return Ok(()) };
    let word = table.word(entry);
    if !word.is(State::Dying) || word.generation() != handle.generation {
        return Ok(());
    }
    let freed = table.freed(word, handle.index);
    if hold::is_held(operation, handle) {
        table.show(handle.index);
        return Ok(());
    }
    let value = table.memory.load64(entry.wrapping_add(VALUE));
    let block = match Type::from_tag(u32::from(word.kind())) {
        Some(Type::Bytes) => Block::from_word(value),
        Some(Type::Fields) => fields::block(table.memory, value),
        Some(Type::Cell) => string::block_of(table, value),
        Some(Type::Map | Type::List | Type::Pipe) | None => None,
    };
    // The block goes into the record, where recovery believes it: it must be this object's, and still its.
    if table.word(entry) != word {
        return Ok(());
    }
    let done = match block {
        Some(_) => operation.replace(entry, word.0, freed.0, None, block)?.is_ok(),
        None => table.memory.compare_exchange64(entry, word.0, freed.0).is_ok(),
    };
    if done {
        table.show(handle.index);
    }
    Ok(())
}

#[cfg(all(test, feature = "std", not(any(loom, shuttle))))]
mod tests {
    use coheap_alloc::layout::PAGE;
    use coheap_alloc::{Heap, Memory, Options, Seat};

    use super::*;
    use crate::{cell, count};

    #[test]
    pub(super) fn finish_of_all_leaves_what_the_agent_holds_itself() {
        let memory = Memory::map(16, 64).expect("a mapping");
        let options = Options { maximum_pages: 64, fixed: false, seed: 1 };
        let heap = Heap::initialize(memory, PAGE, options).expect("a heap");
        let [writer, owner] = [(); 2].map(|()| heap.attach(Seat::default()).expect("a seat"));
        let [first, second] =
            [(); 2].map(|()| owner.operation(|operation| cell::create(operation, 1.0)).expect("room"));
        let state = |handle: Handle| {
            let table = Table { memory, control: heap.control() };
            table.word(table.entry(handle.index).expect("an entry")).state()
        };
        writer
            .operation(|operation| {
                hold::hold(operation, first, Type::Cell)?;
                let _ = owner.operation(|operation| count::release(operation, first, Type::Cell))?;
                finish_all(operation)?;
                assert_eq!(state(first), Some(State::Dying), "it may still write to it");
                hold::hold(operation, second, Type::Cell)?;
                finish_all(operation)?;
                assert_eq!(state(first), Some(State::Free));
                Ok(())
            })
            .expect("both");
    }
}
