//! What the audit asks of a list: every block of it once, and a value at every place below its length.

use core::ops::Range;

use coheap_alloc::{Address, Block, Kind, Result};

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
    let newest = table.memory.load64(head.address.wrapping_add(ROOT));
    let mut next = newest;
    // Ends: no block is seen twice.
    while let Some(block) = Block::from_word(next) {
        see(block, Kind::Map, seen)?;
        let root = Root::new(table, next)?;
        // What the list's root has goes with nothing yet.
        let is_newest = next == newest;
        let (lost, length) = match root.lost() {
            Some(lost) => lost,
            None if is_newest => (0..u32::MAX, root.end()?.length),
            None => return corrupt(root.at),
        };
        visit_root(&root, &lost, length, whole && is_newest, seen)?;
        next = root.load(FROM);
    }
    Ok(())
}

/// What goes with a root.
fn visit_root(
    root: &Root,
    lost: &Range<u32>,
    length: u32,
    whole: bool,
    seen: &mut impl FnMut(Block, Kind) -> Result<()>,
) -> Result<()> {
    let taken = root.load(TAKEN) as u32;
    for number in 0..root.room() {
        let segment = root.segment(number, length);
        let Some(chunk) = Block::from_word(segment.chunk).filter(|_| !is_forward(segment.chunk)) else { continue };
        if root.lives_on(number, lost, length) {
            continue;
        }
        for index in segment.start.max(taken)..segment.end {
            visit_place(root.table, segment.at(index), whole, seen)?;
        }
        // What was passed went with the last entry of its chunk.
        let is_passed = segment.start < segment.end && segment.end <= taken;
        if !is_passed && root.is_last(number, &segment) {
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
