//! What the audit asks of a list: every block of it once, and a value at every place below its length.

use coheap_alloc::{Address, Block, Kind, Result};

use super::reclaim::cut_of;
use super::root::{Root, check, corrupt, look};
use super::words::*;
use crate::object::Table;
use crate::references::see;
use crate::{map, value};

/// Calls `seen` with each block of the list of a value word. In one that is live (`whole`) every place has a value.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`], and what `seen` answers.
pub(crate) fn visit(
    table: Table,
    word: u64,
    whole: bool,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let Some(head) = Block::from_word(word) else { return corrupt(0) };
    see(head, Kind::Map, seen)?;
    check(table, head.address, HEAD_SIZE)?;
    let load = |offset: Address| table.memory.load64(head.address.wrapping_add(offset));
    let newest = load(ROOT);
    let mut next = if load(OLDEST) == 0 { newest } else { load(OLDEST) };
    // Ends: no block is seen twice.
    while let Some(block) = Block::from_word(next) {
        see(block, Kind::Map, seen)?;
        let root = Root::new(table, next)?;
        let is_last = next == newest;
        next = if is_last { 0 } else { root.load(NEXT) };
        let cut = if is_last { 0..u32::MAX } else { cut_of(&Root::new(table, next)?) };
        visit_root(&root, cut, whole && is_last, seen)?;
    }
    Ok(())
}

/// What a root is the last to have.
fn visit_root(
    root: &Root,
    cut: core::ops::Range<u32>,
    whole: bool,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let taken = root.load(TAKEN);
    let length = if taken >> 32 == 0 { root.end()?.length } else { (taken >> 32) as u32 - 1 };
    for number in 0..root.room() {
        let segment = root.segment(number, length);
        let Some(chunk) = Block::from_word(segment.chunk).filter(|_| !is_forward(segment.chunk)) else { continue };
        for index in segment.start.max(cut.start).max(taken as u32)..segment.end.min(cut.end) {
            visit_place(root.table, segment.at(index), whole, seen)?;
        }
        // What was passed went with the last entry that needed it.
        let is_passed = segment.start < segment.end && segment.end <= taken as u32;
        if !is_passed && !root.is_shared(number, length, &cut) {
            see(chunk, Kind::Map, seen)?;
        }
    }
    Ok(())
}

fn visit_place(table: Table, at: Address, whole: bool, seen: &mut impl FnMut(Block, Kind) -> Result<()>) -> Result<()> {
    check(table, at, 8)?;
    let found = look(table, at, 0, 0)?;
    // What nobody finds any more may have been freed already.
    let is_there = found.is_value || !whole && found.word == value::EMPTY;
    if is_there { map::visit_value(table, at, seen) } else { corrupt(at) }
}
