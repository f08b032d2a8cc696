//! Edits: a root is made beside the list's, of what the list keeps and what comes in, and then ends that.
//!
//! The values stay in their places; a root only says which of them are the list's. What comes in is put into a chunk
//! that the new root has. Both are this agent's until the list's root ends in the new one: the slot names that, and it
//! says where it would be found.

use core::ops::Range;

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Kind, Operation, Result};

use super::root::{End, Root, check};
use super::values::Removed;
use super::words::*;
use super::writer::{Writer, allocate, allocate_chunk};
use crate::holdings::Holder;
use crate::map;
use crate::object::Table;
use crate::string::Made;
use crate::{nested, value};

/// Values that one step inserts at most.
pub const MOST: u32 = 64;

/// A private root with room for so many entries, and none.
pub(super) fn make_root(operation: &Operation, room: u32, made: u64) -> Result<Block> {
    let root = allocate(operation, root_size(room))?;
    let memory = operation.memory();
    memory.set_own64(root.address.wrapping_add(OWN), root.to_word());
    memory.set_own64(root.address.wrapping_add(ROOM), pair(room, 0));
    memory.set_own64(root.address.wrapping_add(ROOT_MADE), made);
    Ok(root)
}

/// Where in a list of so many values one that is counted from the end, if it is below 0, stands.
pub(super) fn position(index: f64, length: u32) -> u32 {
    let length = f64::from(length);
    let index = if index < 0.0 { index + length } else { index };
    index.clamp(0.0, length) as u32
}

/// The entries of a root that is being made.
struct Making {
    root: Address,
    room: u32,
    count: u32,
    length: u32,
    /// Of the last one: its chunk, and the place behind its last one.
    last: (u64, u32),
}

impl Making {
    #[inline(never)]
    fn add(&mut self, table: Table, (chunk, made): (u64, u64), place: u32, count: u32) {
        // There is room for all entries that make sense.
        if count == 0 || self.count > self.room {
            return;
        }
        if self.last != (chunk, place) {
            let entry = self.root.wrapping_add(ENTRIES + self.count * ENTRY);
            table.memory.set_own64(entry, chunk);
            table.memory.set_own64(entry.wrapping_add(START), pair(self.length, place));
            table.memory.set_own64(entry.wrapping_add(CHUNK_MADE), made);
            self.count += 1;
        }
        self.length = self.length.saturating_add(count);
        self.last = (chunk, place.wrapping_add(count));
    }
}

/// What a root does not have of the one before it.
pub(super) fn cut_of(next: &Root) -> Range<u32> {
    let cut = next.load(CUT);
    cut as u32..(cut >> 32) as u32
}

impl Making {
    /// Entries that are frozen in another root, as they are.
    #[inline(never)]
    fn keep(&mut self, root: &Root, numbers: Range<u32>) {
        let memory = root.table.memory;
        let shift = self.length.wrapping_sub(root.first_of(numbers.start));
        for number in numbers.clone() {
            if self.count > self.room {
                return;
            }
            let from = root.entry(number);
            let to = self.root.wrapping_add(ENTRIES + self.count * ENTRY);
            let start = memory.load64(from.wrapping_add(START));
            memory.set_own64(to, memory.load64(from));
            memory.set_own64(to.wrapping_add(START), pair((start as u32).wrapping_add(shift), (start >> 32) as u32));
            memory.set_own64(to.wrapping_add(CHUNK_MADE), memory.load64(from.wrapping_add(CHUNK_MADE)));
            self.count += 1;
        }
        self.length = root.first_of(numbers.end).wrapping_add(shift);
        self.last = (0, 0);
    }
}

impl Writer<'_> {
    fn editing(&self) -> Address {
        Holder::of(self.operation).slot.wrapping_add(slot::EDITING)
    }

    /// Room for more chunks.
    pub(super) fn grow(&self) -> Result<()> {
        let done = self.edit(f64::INFINITY, 0, &mut Removed::Ignored, true);
        self.end_edit(done.map(drop))
    }

    /// After an edit: what was made for one that did not happen goes.
    pub(super) fn end_edit<R>(&self, done: Result<R>) -> Result<R> {
        if done.is_err() {
            give_up(self.operation, Holder::of(self.operation))?;
        }
        done
    }

    /// Replaces up to `delete` values from `start` on by those that were filled in, and answers where, and how many. Lock-free:
    /// another round means that another agent pushed, or edited.
    #[inline(never)]
    pub(super) fn edit(&self, start: f64, delete: u32, removed: &mut Removed, grows: bool) -> Result<(u32, u32)> {
        let memory = self.memory();
        let (root, next, range, length) = loop {
            let root = self.root()?;
            let end = root.end()?;
            root.table.check_own(end.at)?;
            let word = memory.load64_ordered(end.at);
            if is_forward(word) {
                self.follow(&root, word)?;
                continue;
            }
            let expected = if end.is_entry { 0 } else { value::EMPTY };
            if word != expected {
                continue;
            }
            let from = position(start, end.length);
            let mut to = from + delete.min(end.length - from);
            to = from + removed.measure(self.operation, &root, from..to)?;
            if from == to && !grows && memory.load64(self.editing()) == 0 {
                // The root has not ended, so it was the list's when its end was looked at.
                return Ok((from, 0));
            }
            let next = self.next_root(end.used + 2)?;
            self.make_entries(next, &root, end, from..to);
            // The next root was made in an era that this agent has come to.
            if !self.covers() {
                continue;
            }
            let at = next.wrapping_add(AT);
            memory.store64(at, u64::from(end.at));
            if memory.compare_exchange64(end.at, expected, forward(next)).is_ok() {
                break (root, next, from..to, end.length);
            }
        };
        let (from, count) = (range.start, range.len() as u32);
        let done = self.complete_own(&root, next).and_then(|()| {
            // From here on no change of a place of the old root happens.
            let taken = removed.take(self.operation, &root, range.clone());
            super::reclaim::free_lost(self.operation, &root, range, length).and(taken)
        });
        memory.store64(self.editing(), 0);
        done.map(|()| (from, count))
    }

    /// The root that is being made, with room for more than so many entries.
    fn next_root(&self, frozen: u32) -> Result<Address> {
        let memory = self.memory();
        let word = memory.load64(self.editing());
        let made = Block::from_word(word);
        if let Some(made) = made
            && Root::own(self.table(), word)?.room() > frozen
        {
            return Ok(made.address);
        }
        nested::note(self.operation);
        let next = make_root(self.operation, frozen.saturating_add(frozen / 8).saturating_add(SPARE), 0)?;
        if let Some(made) = made {
            for offset in [INSERTED, COUNT] {
                memory.set_own64(next.address.wrapping_add(offset), memory.load64(made.address.wrapping_add(offset)));
            }
        }
        let _ = self.operation.replace(self.editing(), word, next.to_word(), Some(next), made)?;
        Ok(next.address)
    }

    /// Begins to make a root with a chunk for so many values that come in.
    pub(super) fn begin_fill(&self, count: u32) -> Result<()> {
        let next = self.next_root(1)?;
        let chunk = allocate_chunk(self.operation, count)?;
        self.memory().store64(next.wrapping_add(COUNT), u64::from(count));
        let _ = self.operation.replace(next.wrapping_add(INSERTED), 0, chunk.to_word(), Some(chunk), None)?;
        Ok(())
    }

    /// Puts one of them into its place.
    pub(super) fn fill(&self, number: u32, made: Made) -> Result<()> {
        let memory = self.memory();
        let chunk = memory.load64((memory.load64(self.editing()) as Address).wrapping_add(INSERTED)) as Address;
        let at = chunk.wrapping_add(number * 8);
        self.table().check_own(at)?;
        nested::put(self.operation, at, value::EMPTY, made, None).map(drop)
    }

    /// Writes what a root that follows one has: its values but for the range, and the new ones in their place.
    #[inline(never)]
    fn make_entries(&self, next: Address, root: &Root, end: End, cut: Range<u32>) {
        let (memory, table) = (self.memory(), self.table());
        let field = |offset: Address| next.wrapping_add(offset);
        let rooms = memory.load64(field(ROOM)) as u32;
        let mut making = Making { root: next, room: rooms, count: 0, length: 0, last: (0, 0) };
        let made = map::eras::now(memory, self.entry);
        let inserted = (memory.load64(field(INSERTED)), made);
        let count = memory.load64(field(COUNT)) as u32;
        let mut is_in = false;
        // What the cut does not touch, and has no neighbour that it touches, is copied as it is.
        let before = root.entry_of(cut.start).min(root.frozen).saturating_sub(1);
        let behind = root.entry_of(cut.end).saturating_add(2);
        making.keep(root, 0..before);
        let mut number = before;
        while number < end.used {
            if number == behind && number < root.frozen {
                making.keep(root, number..root.frozen);
                number = root.frozen;
                continue;
            }
            let segment = root.segment(number, end.length);
            let before = segment.start..segment.end.min(cut.start);
            let chunk = (segment.chunk, segment.made);
            making.add(table, chunk, segment.place, before.len() as u32);
            if !is_in && segment.end >= cut.start {
                making.add(table, inserted, 0, count);
                is_in = true;
            }
            let from = segment.start.max(cut.end);
            let place = segment.place.wrapping_add(from.saturating_sub(segment.start));
            making.add(table, chunk, place, segment.end.saturating_sub(from));
            number += 1;
        }
        if !is_in {
            making.add(table, inserted, 0, count);
        }
        // What an attempt before left behind these.
        for number in making.count..=rooms {
            memory.set_own64(field(ENTRIES + number * ENTRY), 0);
        }
        memory.set_own64(field(ROOM), pair(rooms, making.count));
        memory.set_own64(field(TAIL), pair(making.length, root.number.wrapping_add(1)));
        memory.set_own64(field(FROM), root.word);
        memory.set_own64(field(CUT), pair(cut.start, cut.end));
        memory.set_own64(field(BEFORE), u64::from(end.length));
        memory.set_own64(field(ROOT_MADE), made);
    }
}

/// Gives up the root that the holder was making, which no list has.
pub(super) fn give_up(operation: &Operation, holder: Holder) -> Result<()> {
    let (memory, table) = (operation.memory(), Table::of(operation));
    let at = holder.slot.wrapping_add(slot::EDITING);
    let word = memory.load64(at);
    let Some(block) = Block::from_word(word) else { return Ok(()) };
    let root = Root::new(table, word)?;
    let chunk = root.load(INSERTED);
    if let Some(inserted) = Block::from_word(chunk) {
        for number in 0..(root.load(COUNT) as u32).min(MOST) {
            let at = inserted.address.wrapping_add(number * 8);
            table.check_own(at)?;
            map::free_value(operation, at, value::EMPTY)?;
        }
        let _ = operation.replace(root.field(INSERTED), chunk, 0, None, Some(inserted))?;
    }
    let _ = operation.replace(at, word, 0, None, Some(block))?;
    Ok(())
}

/// In place of the cell of an edit that has happened.
const HAPPENED: u64 = 1;

/// Decides whether the edit that the holder's slot names has happened; what it ended is not the list's any more then. Before anything
/// else is held in the holder's name: what it works in stays until then. Idempotent; the holder does not run, and what it held is held.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`].
pub(crate) fn decide(operation: &Operation, holder: Holder) -> Result<()> {
    let (memory, table) = (operation.memory(), Table::of(operation));
    let at = holder.slot.wrapping_add(slot::EDITING);
    let word = memory.load64(at);
    let Some(block) = Block::from_word(word) else { return Ok(()) };
    if operation.is_live(block) != Some(Kind::Map) {
        memory.store64(at, 0);
        return Ok(());
    }
    let root = Root::new(table, word)?;
    let cell = root.load(AT);
    if cell == 0 || cell == HAPPENED {
        return Ok(());
    }
    check(table, cell as Address, 8)?;
    // What ended the root before stays there, which is there as long as its editor is at work.
    let has_happened = memory.load64_ordered(cell as Address) == forward(root.at);
    if has_happened {
        let before = Root::own(table, root.load(FROM))?;
        super::settle::again(operation, holder)?.complete_own(&before, root.at)?;
    }
    memory.store64(root.field(AT), if has_happened { HAPPENED } else { 0 });
    Ok(())
}

/// Ends what was decided, after references are settled. Idempotent; the holder does not run.
///
/// # Errors
/// [`coheap_alloc::Error::Corrupt`].
pub(crate) fn settle(operation: &Operation, holder: Holder) -> Result<()> {
    let at = holder.slot.wrapping_add(slot::EDITING);
    let word = operation.memory().load64(at);
    if word == 0 {
        return Ok(());
    }
    let root = Root::new(Table::of(operation), word)?;
    if root.load(AT) != HAPPENED {
        return give_up(operation, holder);
    }
    // Neither is taken apart as long as the slot names this one.
    let before = Root::own(root.table, root.load(FROM))?;
    super::reclaim::free_lost(operation, &before, cut_of(&root), root.load(BEFORE) as u32)?;
    operation.memory().store64(at, 0);
    Ok(())
}
