//! What a list gives back, and when.
//!
//! * *Values that an edit takes out* go at once, by the editor, where the next root has other values of their chunk ([`free_lost`]).
//! * *The others*, with their chunks, and the root that had them, hang on the next root until no agent may meet them
//!   ([`crate::map::eras`]); some of that is freed with each change, the youngest root first: one that an agent keeps stays behind
//!   those that come later. A chunk may be older than its root, which is as old as the oldest one that goes with it.
//! * *An ended list* is taken apart likewise, with all that its last root has, when nobody is at work in it.
//!
//! What hangs on a root one agent at a time takes apart, who says so as with the heads of a map ([`crate::map`]). So one that stands still
//! there keeps that root and those before.
//!
//! The place of a value that is gone has another word, for ever: who is late with a change of it finds that, and no place where a value
//! could be pushed.

use core::ops::Range;

use coheap_alloc::{Address, Block, Kind, Memory, Operation, Result};

use super::root::{Root, Segment, check, corrupt, is_forward_or_none};
use super::words::*;
use super::writer::finish;
use crate::object::{Handle, Table};
use crate::{map, string, value};

/// Parts that are freed with each change.
const SLICE: u32 = 8;
/// Roots that may be met and are passed each time. That is no work: who goes on until there is none must come to an end.
const PASSED: u32 = 8;
/// Values of a part.
const PART: u32 = 64;

/// After a change, by who is not at work any more.
#[inline]
pub(super) fn tidy(operation: &Operation, handle: Handle, head: Address) -> Result<()> {
    let memory = operation.memory();
    let root = memory.load64(head.wrapping_add(ROOT)) as Address;
    if root == 0 {
        return Ok(());
    }
    // It may be anything by now, and is only read.
    if check(Table::of(operation), root, ENTRIES).is_err() || memory.load64(root.wrapping_add(FROM)) == 0 {
        return Ok(());
    }
    map::take_cleared(operation, handle, &mut { SLICE })
}

/// From this era on a root that is not the list's any more cannot be found. At once for each, not when it is to be freed: the agents
/// that are at work then began long after.
#[inline(never)]
pub(super) fn draw_era(memory: Memory, entry: Address, root: &Root) {
    if root.load(RETIRED) == 0 {
        let era = map::eras::raise(memory, entry);
        let _ = memory.compare_exchange64(root.field(RETIRED), 0, era);
    }
}

/// Frees the values of the range `lost` of a root that has ended, of `length`, whose chunks live on. By who edited, and is not done yet.
#[inline(never)]
pub(super) fn free_lost(operation: &Operation, root: &Root, lost: Range<u32>, length: u32) -> Result<()> {
    let mut made = root.made();
    let mut index = lost.start;
    while index < lost.end.min(length) {
        let number = root.entry_of(index);
        if number >= root.room() {
            return corrupt(root.at);
        }
        let segment = root.segment(number, length);
        let end = segment.end.min(lost.end).max(index + 1);
        if root.lives_on(number, &lost, length) {
            free_values(operation, root.table, &segment, index..end)?;
        } else {
            made = made.min(segment.made);
        }
        index = end;
    }
    // From here on it stands for the chunks that go with it.
    operation.memory().store64(root.field(ROOT_MADE), made);
    Ok(())
}

/// Frees values of an entry.
fn free_values(operation: &Operation, table: Table, segment: &Segment, range: Range<u32>) -> Result<()> {
    for index in range {
        let at = segment.at(index);
        table.check_own(at)?;
        // Another round means that an agent was late with a change that is refused: each is so once at most.
        loop {
            let word = table.memory.load64_ordered(at);
            if is_operation(word) {
                finish(operation, at, word)?;
            } else if value::is_block(word) && string::block_of(table, word).is_some() {
                map::free_value(operation, at, value::UNDEFINED)?;
            } else {
                break;
            }
        }
    }
    Ok(())
}

/// Where the root of a list is named, on which others hang.
pub(crate) fn hanger(table: Table, head: Address) -> Result<Address> {
    check(table, head, HEAD_SIZE).map(|()| head.wrapping_add(ROOT))
}

/// Takes apart the roots before that of a block word.
pub(crate) fn take_previous(
    operation: &Operation,
    handle: Handle,
    entry: Address,
    word: u64,
    parts: &mut u32,
) -> Result<bool> {
    take_before(operation, handle, Some(entry), &Root::new(Table::of(operation), word)?, parts)
}

/// Takes a list apart that has ended; whether that is done.
pub(crate) fn take_apart(operation: &Operation, handle: Handle, head: Address, parts: &mut u32) -> Result<bool> {
    let (memory, table) = (operation.memory(), Table::of(operation));
    check(table, head, HEAD_SIZE)?;
    let at = head.wrapping_add(ROOT);
    let word = memory.load64(at);
    let Some(block) = Block::from_word(word) else { return Ok(true) };
    let root = Root::new(table, word)?;
    if operation.is_live(block) != Some(Kind::Map) {
        return corrupt(root.at);
    }
    // Who began before it ended may be at it still.
    if map::is_in_hands(operation, word) {
        return Ok(false);
    }
    if root.lost().is_none() {
        let length = root.end()?.length;
        memory.store64(root.field(LOST), pair(0, u32::MAX));
        memory.store64(root.field(LENGTH), u64::from(length) + 1);
    }
    if !take_before(operation, handle, None, &root, parts)? || !take_root(operation, &root, parts)? {
        return Ok(false);
    }
    let _ = operation.replace(at, word, 0, None, Some(block))?;
    Ok(true)
}

/// Takes the roots before this one apart, the youngest first, but for those that somebody may meet; whether that is done. `entry`: of a
/// list that has not ended.
fn take_before(
    operation: &Operation,
    handle: Handle,
    entry: Option<Address>,
    root: &Root,
    parts: &mut u32,
) -> Result<bool> {
    let (mut hanger, mut passed) = (*root, 0);
    if map::is_edited(operation, root.word) {
        return Ok(false);
    }
    // Ends: the numbers fall.
    loop {
        let cell = hanger.field(FROM);
        let word = hanger.load(FROM);
        let Some(block) = Block::from_word(word) else { return Ok(hanger.at == root.at) };
        let before = Root::new(root.table, word)?;
        let is_before = hanger.number.wrapping_sub(before.number).wrapping_sub(1) < u32::MAX / 2;
        if operation.is_live(block) != Some(Kind::Map) || !is_before {
            return corrupt(cell);
        }
        // First: until its editor is done it is not known how old it counts.
        if map::is_in_hands(operation, word) {
            return Ok(false);
        }
        if let Some(entry) = entry {
            // Who made the next root the list's may have died then.
            draw_era(operation.memory(), entry, &before);
            if map::eras::is_met(operation, handle, before.made(), before.load(RETIRED), false) {
                // Nobody can begin to take apart what hangs on it. That may not be met.
                if passed == PASSED {
                    return Ok(false);
                }
                passed += 1;
                hanger = before;
                continue;
            }
        }
        if !take_root(operation, &before, parts)? {
            return Ok(false);
        }
        let _ = operation.replace(cell, word, before.load(FROM), None, Some(block))?;
    }
}

/// Frees what a root was the last to have; whether that is all of it.
fn take_root(operation: &Operation, root: &Root, parts: &mut u32) -> Result<bool> {
    let Some((lost, length)) = root.lost() else { return corrupt(root.at) };
    while free_part(operation, root, &lost, length)? {
        if *parts == 0 {
            return Ok(false);
        }
        *parts -= 1;
    }
    Ok(true)
}

/// Frees some values of chunks that go, and such a chunk behind its last value; whether there was something left.
fn free_part(operation: &Operation, root: &Root, lost: &Range<u32>, length: u32) -> Result<bool> {
    let end = lost.end.min(length);
    let from = (root.load(TAKEN) as u32).max(lost.start);
    if from > length {
        return Ok(false);
    }
    // After the values: the last chunk of the tail may have none.
    let index = if from < end { from } else { length };
    let number = root.entry_of(index);
    let mut upto = u32::MAX;
    if number < root.room() {
        let segment = root.segment(number, length);
        if index < end {
            upto = segment.end.min(end).max(index + 1);
        }
        if !is_forward_or_none(segment.chunk) && !root.lives_on(number, lost, length) {
            upto = upto.min(index.saturating_add(PART));
            free_values(operation, root.table, &segment, index..upto.min(segment.end))?;
            if upto >= segment.end && root.is_last(number, &segment) {
                let chunk = Block::from_word(segment.chunk);
                let _ = operation.replace(root.entry(number), segment.chunk, 0, None, chunk)?;
            }
        }
    } else if index < end {
        return corrupt(root.at);
    }
    // Each part is some values: a list whose words make no sense ends here, too.
    operation.memory().store64(root.field(TAKEN), u64::from(upto));
    Ok(true)
}
