//! Maps, and other structures that are taken apart in slices, that have ended: some of one by who gave back the last reference, the rest
//! whenever an object is made, and all of it before memory is called exhausted.

use coheap_alloc::layout::control;
use coheap_alloc::{Address, Block, Operation, Result, slot as slots};

use super::reclaim::{Reclaiming, Right, SLICE, is_in_hands, take_apart, take_previous};
use super::view::View;
use super::writer::is_anybody_at_work;
use crate::claim::is_in_slices;
use crate::list;
use crate::object::{self, EntryWord, Handle, PER_PAGE, State as Life, Table};

/// Entries of the object table that are looked at for an ended map.
const LOOKED_AT: usize = 64;

/// What became of an ended map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// Another agent is at work in it, or takes it apart, or this one takes another apart.
    Nothing,
    /// Some of it is left.
    Some,
    /// Its entry is free.
    All,
}

/// Takes an ended map apart, so many parts of it (fewer are left), and frees its entry when that is done: `freed` is what its word
/// becomes.
pub(crate) fn finish(
    operation: &Operation,
    handle: Handle,
    entry: Address,
    word: EntryWord,
    freed: EntryWord,
    parts: &mut u32,
) -> Result<Finished> {
    let table = Table::of(operation);
    let memory = table.memory;
    let at_work =
        slots::each_used(memory, operation.control(), |_, at| is_anybody_at_work(memory, at, handle).then_some(()));
    // Who works in a pipe holds it all the time.
    let is_pipe = word.kind() == object::Type::Pipe as u8;
    let is_busy = at_work.is_some() || is_pipe && crate::hold::is_held(operation, handle);
    // Another agent may have finished it, and the entry be another object's.
    let is_there = || table.word(entry) == word;
    let reclaiming =
        if is_busy { None } else { Reclaiming::begin(operation, Right::of_entry(entry, handle.index), is_there) };
    let Some(reclaiming) = reclaiming else {
        return Ok(if is_there() { Finished::Nothing } else { Finished::All });
    };
    let mut finished = Finished::All;
    let before = *parts;
    if is_there() {
        let head = memory.load64(entry.wrapping_add(object::VALUE));
        // What makes no sense is left where it is: it must not keep others from making objects.
        let taken = match object::Type::from_tag(u32::from(word.kind())) {
            Some(object::Type::List) => list::take_apart(operation, handle, head as Address, parts),
            Some(object::Type::Pipe) => crate::pipe::take_apart(operation, entry, parts),
            _ => View::new(table, head).and_then(|view| {
                // Who began before it ended may be at it still.
                let is_free = !is_in_hands(operation, head);
                Ok(is_free
                    && take_previous(operation, handle, None, view, parts)?
                    && take_apart(operation, view, parts)?)
            }),
        };
        if taken.unwrap_or(true) && !crate::hold::is_held(operation, handle) {
            // Not exchanged: nothing is left to do either.
            let _ = operation.replace(entry, word.0, freed.0, None, Block::from_word(head));
        } else {
            // Of what another agent is in the way of nothing can be taken: the others must not wait for that.
            finished = if *parts == before { Finished::Nothing } else { Finished::Some };
        }
    }
    reclaiming.end();
    Ok(finished)
}

/// In the hint: a map before it was left, too.
const BEFORE: u32 = 1 << 31;

fn hint(table: Table) -> Address {
    table.control.wrapping_add(control::ENDED_MAP)
}

/// The index of the first ended map that was left since the last call, as far as it is known.
pub(crate) fn take_hint(table: Table) -> Option<u32> {
    let at = hint(table);
    let mut seen = table.memory.load32_ordered(at);
    // Another round means that another agent left one, or went on.
    while seen != 0 {
        match table.memory.compare_exchange32(at, seen, 0) {
            Ok(_) => break,
            Err(found) => seen = found,
        }
    }
    match seen {
        0 => None,
        _ if seen & BEFORE != 0 => Some(0),
        _ => Some(seen - 1),
    }
}

/// Leaves an ended map to whoever goes on. Lock-free: another round means that another agent left one, or went on.
#[inline(never)]
pub(crate) fn leave_rest(table: Table, index: u32) {
    let mine = index.wrapping_add(1);
    let mut seen = table.memory.load32_ordered(hint(table));
    while seen & !BEFORE == 0 || seen & !BEFORE > mine {
        match table.memory.compare_exchange32(hint(table), seen, seen & BEFORE | mine) {
            Ok(_) => return,
            Err(found) => seen = found,
        }
    }
}

/// Goes on with an ended map that somebody left, if there is one. One load if there is none.
///
/// The hint is one more than an index of the object table: every map that was left is there or behind it, or the hint
/// says that one is before. A call looks at a few entries from there on, and takes a slice off the first ended map that
/// lets it.
#[inline]
pub(crate) fn go_on(operation: &Operation) -> Result<()> {
    let table = Table::of(operation);
    let found = table.memory.load32(hint(table));
    if found == 0 { Ok(()) } else { go_on_from(operation, table, found) }
}

#[cold]
fn go_on_from(operation: &Operation, table: Table, seen: u32) -> Result<()> {
    let first = (seen & !BEFORE).saturating_sub(1);
    let (mut next, mut before) = (first, seen & BEFORE);
    for index in (first..).take(LOOKED_AT) {
        if table.page(index / PER_PAGE).is_none() {
            // The end: from the beginning, if something is there.
            (next, before) = (u32::MAX, if before != 0 { 1 } else { 0 });
            break;
        }
        let Some((entry, word)) = ended_at(table, index) else {
            next = index.wrapping_add(1);
            continue;
        };
        let handle = Handle { index, generation: word.generation() };
        let freed = table.freed(word, index);
        match finish(operation, handle, entry, word, freed, &mut { SLICE })? {
            // Somebody is in its way: the others must not wait for that.
            Finished::Nothing => {
                before = BEFORE;
                next = index.wrapping_add(1);
            }
            Finished::Some => {
                next = index;
                break;
            }
            Finished::All => {
                table.show(index);
                next = index;
                break;
            }
        }
    }
    let hinted = before | next.wrapping_add(1);
    // Not exchanged: another agent went on, or left one.
    if table.memory.compare_exchange32(hint(table), seen, hinted).is_ok() {
        // What ended since it was passed did not move the hint, which stood before it.
        let passed = (first..next).take(LOOKED_AT).find(|&index| ended_at(table, index).is_some());
        if let Some(index) = passed.filter(|_| before & BEFORE == 0) {
            leave_rest(table, index);
        }
    }
    Ok(())
}

/// The entry of an ended map.
fn ended_at(table: Table, index: u32) -> Option<(Address, EntryWord)> {
    let entry = table.entry(index)?;
    let word = table.word(entry);
    (word.state() == Some(Life::Dying) && is_in_slices(word)).then_some((entry, word))
}
