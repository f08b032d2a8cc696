//! What a list gives back, and when: what a root had and the next one has not, once no agent works in an era before the one that was
//! drawn after the list got the next root; the oldest root first, so that what is left of a chunk goes with the root that was the
//! last to have some of it. An ended list is taken apart likewise, with all that its last root has, when nobody is at work
//! in it.

use core::ops::Range;

use coheap_alloc::{Address, Block, Kind, Memory, Operation, Result};

use super::root::{Root, check, corrupt};
use super::words::*;
use crate::map;
use crate::object::{Handle, Table};

/// Parts that are freed with each change.
const SLICE: u32 = 4;
/// Values of a part.
const PART: u32 = 64;

/// After a change, by who is not at work any more.
#[inline]
pub(super) fn tidy(operation: &Operation, handle: Handle, head: Address) -> Result<()> {
    let load = |offset: Address| operation.memory().load64(head.wrapping_add(offset));
    let oldest = load(OLDEST);
    if oldest == 0 || oldest == load(ROOT) { Ok(()) } else { map::take_cleared(operation, handle, &mut { SLICE }) }
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

/// What the root `next` does not have of the one before it.
pub(super) fn cut_of(next: &Root) -> Range<u32> {
    let cut = next.load(CUT);
    cut as u32..(cut >> 32) as u32
}

/// Frees what the roots before the list's are the last to have, or, of a list that has ended, all; whether that is done. `entry`: of
/// a list that has not.
pub(crate) fn take_apart(
    operation: &Operation,
    handle: Handle,
    head: Address,
    entry: Option<Address>,
    parts: &mut u32,
) -> Result<bool> {
    let (memory, table) = (operation.memory(), Table::of(operation));
    check(table, head, HEAD_SIZE)?;
    let field = |offset: Address| head.wrapping_add(offset);
    // At most one round for each root: none is live after its round.
    loop {
        let newest = memory.load64_ordered(field(ROOT));
        let oldest = memory.load64(field(OLDEST));
        let word = if oldest == 0 { newest } else { oldest };
        if word == 0 || word == newest && entry.is_some() {
            return Ok(true);
        }
        let root = Root::new(table, word)?;
        let block = Block { address: root.at, generation: (word >> 32) as u32 };
        if operation.is_live(block) != Some(Kind::Map) {
            return corrupt(root.at);
        }
        if let Some(entry) = entry {
            // Who made the next root the list's may have died then.
            draw_era(memory, entry, &root);
            if map::eras::is_met(operation, handle, 0, root.load(RETIRED), false) {
                return Ok(false);
            }
        }
        let next = root.load(NEXT);
        let cut = if word == newest { 0..u32::MAX } else { cut_of(&Root::new(table, next)?) };
        while free_part(operation, &root, &cut)? {
            if *parts == 0 {
                return Ok(false);
            }
            *parts -= 1;
        }
        let (at, next) = if word == newest { (ROOT, 0) } else { (OLDEST, next) };
        if at == ROOT {
            memory.store64(field(OLDEST), 0);
        }
        let _ = operation.replace(field(at), word, next, None, Some(block))?;
    }
}

/// Frees some values of the cut, and the chunks that nothing else is in; whether there were any.
fn free_part(operation: &Operation, root: &Root, cut: &Range<u32>) -> Result<bool> {
    let memory = operation.memory();
    let taken = root.load(TAKEN);
    // What is freed cannot be counted any more.
    let length = match (taken >> 32) as u32 {
        0 => root.end()?.length,
        more => more - 1,
    };
    let from = (taken as u32).max(cut.start);
    let take = |upto: u32| memory.store64(root.field(TAKEN), pair(upto, length + 1));
    take(from);
    if from > length {
        return Ok(false);
    }
    if from >= cut.end.min(length) {
        // The last chunk of the tail may have no value.
        let number = root.entry_of(length);
        if (root.frozen..root.room()).contains(&number) {
            let segment = root.segment(number, length);
            if segment.start == segment.end {
                free_chunk(operation, root, number)?;
            }
        }
        take(u32::MAX);
        return Ok(true);
    }
    let number = root.entry_of(from);
    if number >= root.room() {
        return corrupt(root.at);
    }
    let segment = root.segment(number, length);
    let upto = segment.end.min(cut.end).min(from.saturating_add(PART));
    // 0: its chunk was freed by one who died then.
    if segment.chunk != 0 {
        for index in from..upto {
            let at = segment.at(index);
            check(root.table, at, 8)?;
            map::free_value(operation, at)?;
        }
        if upto == segment.end && !root.is_shared(number, length, cut) {
            free_chunk(operation, root, number)?;
        }
    }
    // Each part is some values: a list whose words make no sense ends here, too.
    take(upto.max(from + 1));
    Ok(true)
}

fn free_chunk(operation: &Operation, root: &Root, number: u32) -> Result<()> {
    let at = root.entry(number);
    let word = operation.memory().load64(at);
    if word & 1 == 0 {
        let _ = operation.replace(at, word, 0, None, Block::from_word(word))?;
    }
    Ok(())
}
