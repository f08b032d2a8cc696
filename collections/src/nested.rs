//! References from inside structures: a value of a map that is another object.
//!
//! Each such value has a block of its own, of the form [`Form::Reference`], and that block counts as one reference to the
//! object, from the change of the count that is noted in it until another that takes it back. So who exchanges the value's
//! word decides nothing about the count: whoever takes the block out of its place *claims* it by one exchange of its header,
//! and who has claimed it, alone, gives the reference back and frees the block.
//!
//! | offset | word |
//! |---|---|
//! | 0 | u64: the head, as every value's ([`crate::string`]) |
//! | 8 | u64: the object's handle, which never changes: what readers copy |
//! | 16 | u64: the address of the word that names the block, or 0: none yet. Written before one does |
//! | 24 | u64: 1 while it counts as a reference |
//!
//! # If the caller dies here
//! An agent's slot names the block that it is putting into a structure (`NESTING`) and the one that it is taking out
//! (`DROPPING`). Recovery looks whether the word at the block's place names it: if so, the structure has it; else the block is
//! claimed, unless another agent has claimed it already, and given up. The changes of the count are those of
//! [`crate::count`], decided by their marks.
//!
//! The model is `tests/models/nested.test.mjs`.
//!
//! # Not promised
//! Structures that hold each other in a circle keep each other: take one out by hand.

use coheap_alloc::layout::{PAGE, slot};
use coheap_alloc::{Address, Block, Error, Kind, Operation, Result};

use crate::block;
use crate::claim::{self, Note, Purpose};
use crate::count::{self, Change, Counted, Refused, Which};
use crate::holdings::{self, Holder};
use crate::list;
use crate::object::{Handle, Table};
use crate::rule;
use crate::string::{self, Form, Given, HEAD, Made};
use crate::value::{self, Tag};

const HANDLE: Address = HEAD;
const PLACE: Address = 16;
const COUNTED: Address = 24;
const SIZE: u32 = 32;

fn nesting(holder: Holder) -> Address {
    holder.slot.wrapping_add(slot::NESTING)
}

fn dropping(holder: Holder) -> Address {
    holder.slot.wrapping_add(slot::DROPPING)
}

fn all(table: Table, handle: Handle) -> Option<Counted> {
    Some(Counted { entry: table.entry(handle.index)?, handle, which: Which::All })
}

/// As [`string::make`], and of another object a reference: only an agent that has one can make another.
///
/// # Errors
/// Those of [`string::make`]; [`Error::StaleHandle`], [`Error::TooManyReferences`].
pub(crate) fn make(operation: &Operation, given: Given<'_>) -> Result<Made> {
    match given {
        Given::Reference(handle) => refer(operation, handle),
        other => string::make(operation, other),
    }
}

#[inline(never)]
fn refer(operation: &Operation, handle: Handle) -> Result<Made> {
    let (table, holder) = (Table::of(operation), Holder::of(operation));
    let memory = table.memory;
    let counted = all(table, handle).ok_or_else(|| handle.stale())?;
    table.check_any(counted.entry, handle)?;
    if !holdings::holds(memory, holder, handle)? {
        return Err(handle.stale());
    }
    let block = block::allocate(operation, SIZE, Kind::String)?;
    memory.set_own64(block.address, string::head_of(Form::Reference, 8));
    let words = [(HANDLE, handle.to_word()), (PLACE, 0), (COUNTED, 0)];
    for (offset, word) in words {
        memory.set_own64(block.address.wrapping_add(offset), word);
    }
    operation.note(Note { handle, purpose: Purpose::Nesting }.to_word());
    memory.store64(nesting(holder), block.to_word());
    // Not by the exchange that puts it into its place: from here on it goes as all references do.
    operation.publish(block)?;
    let sequence = count::begin(memory, holder, counted, Change::Nest);
    let done = count::change(memory, holder, counted, true, sequence);
    if done.is_ok() {
        memory.store64(block.address.wrapping_add(COUNTED), 1);
    }
    count::end(memory, holder);
    match done {
        Ok(_) => Ok(Made { word: value::from_block(Tag::Object, block), block: Some(block) }),
        Err(refused) => discard(operation, block).and(Err(count::no_object(handle)(refused))),
    }
}

/// Gives up a reference that was made and that no structure has; nothing if one has.
pub(crate) fn discard(operation: &Operation, block: Block) -> Result<()> {
    let holder = Holder::of(operation);
    if operation.memory().load64(nesting(holder)) == block.to_word() {
        settle_nesting(operation, holder)
    } else {
        Ok(())
    }
}

/// Exchanges a value's word from `word`, of the block `old`, to what was made; false: it is another one by now.
#[inline(never)]
pub(crate) fn put(operation: &Operation, at: Address, word: u64, made: Made, old: Option<Block>) -> Result<bool> {
    if made.block.is_none() && old.is_none() {
        return Ok(operation.memory().compare_exchange64(at, word, made.word).is_ok());
    }
    let (new, old) = begin_put(operation, at, word, made, old);
    let done = operation.replace(at, word, made.word, new, old).map(|done| done.is_ok());
    end_put(operation, made, done)
}

/// Before the exchange of a value's word for what was made: which blocks it publishes and retires. References are put in and taken out
/// by themselves.
pub(crate) fn begin_put(
    operation: &Operation,
    at: Address,
    word: u64,
    made: Made,
    old: Option<Block>,
) -> (Option<Block>, Option<Block>) {
    let (takes, puts) = (value::is_reference(word), value::is_reference(made.word));
    if let Some(block) = old.filter(|_| takes) {
        begin_drop(operation, block);
    }
    if let Some(block) = made.block.filter(|_| puts) {
        begin_place(operation, block, at);
    }
    (made.block.filter(|_| !puts), old.filter(|_| !takes))
}

/// After it.
pub(crate) fn end_put(operation: &Operation, made: Made, done: Result<bool>) -> Result<bool> {
    if value::is_reference(made.word) && matches!(done, Ok(true)) {
        operation.memory().store64(nesting(Holder::of(operation)), 0);
    }
    drop_begun(operation).and(done)
}

/// Leaves a note if there is none: any one has the slot's words looked at.
pub(crate) fn note(operation: &Operation) {
    if operation.noted() == 0 {
        let handle = Handle { index: 0, generation: 0 };
        operation.note(Note { handle, purpose: Purpose::Nesting }.to_word());
    }
}

/// Says where the reference of `block`, which was made, is about to be put.
#[inline]
pub(crate) fn begin_place(operation: &Operation, block: Block, at: Address) {
    operation.memory().store64(block.address.wrapping_add(PLACE), u64::from(at));
}

/// Says that the reference of `block` is about to be taken out of its structure. Then [`drop_begun`].
pub(crate) fn begin_drop(operation: &Operation, block: Block) {
    note(operation);
    operation.memory().store64(dropping(Holder::of(operation)), block.to_word());
}

/// Gives up the reference that [`begin_drop`] said, unless its structure still has it. Nothing if there is none.
///
/// # Errors
/// Those of ending an object.
#[inline]
pub(crate) fn drop_begun(operation: &Operation) -> Result<()> {
    let holder = Holder::of(operation);
    if operation.memory().load64(dropping(holder)) == 0 { Ok(()) } else { settle_dropping(operation, holder) }
}

/// Whether the word at the block's place names it.
fn is_in_place(table: Table, block: Block) -> bool {
    let memory = table.memory;
    let at = memory.load64(block.address.wrapping_add(PLACE)) as Address;
    // The heap's bytes are untrusted.
    let lies = at >= PAGE && at.is_multiple_of(8) && memory.has(at, 8);
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::CHANGED_BEFORE_DONE) {
        // Seeded bug: the change may be refused.
        return lies && memory.load64_ordered(at) == value::from_block(Tag::Object, block);
    }
    lies && list::word_of(table, at) == value::from_block(Tag::Object, block)
}

#[inline(never)]
fn settle_dropping(operation: &Operation, holder: Holder) -> Result<()> {
    let table = Table::of(operation);
    let memory = table.memory;
    let Some(block) = Block::from_word(memory.load64(dropping(holder))) else { return Ok(()) };
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::DROP_UNCLAIMED) && operation.is_live(block).is_some() {
        // Seeded bug: two agents that see the block out of its place give its reference back both.
        let handle = Handle::from_word(memory.load64(block.address.wrapping_add(HANDLE)));
        if let Some(counted) = all(table, handle).filter(|all| table.check_any(all.entry, handle).is_ok()) {
            let sequence = count::begin(memory, holder, counted, Change::Drop);
            let left = count::change(memory, holder, counted, false, sequence);
            dropped(operation, holder, block, handle, left)?;
        }
        memory.store64(dropping(holder), 0);
        let _ = block::free(operation, block);
        return Ok(());
    }
    let is_there = operation.is_live(block) == Some(Kind::String) && is_in_place(table, block);
    if !is_there && operation.change_kind(block, Kind::String, Kind::Dropped, holder.index) {
        let word = |offset: Address| memory.load64(block.address.wrapping_add(offset));
        let handle = Handle::from_word(word(HANDLE));
        if word(COUNTED) == 1
            && let Some(counted) = all(table, handle).filter(|all| table.check_any(all.entry, handle).is_ok())
        {
            let sequence = count::begin(memory, holder, counted, Change::Drop);
            let left = count::change(memory, holder, counted, false, sequence);
            dropped(operation, holder, block, handle, left)?;
        }
        block::free(operation, block)?;
    }
    memory.store64(dropping(holder), 0);
    Ok(())
}

/// What follows when the block does not count any more.
fn dropped(
    operation: &Operation,
    holder: Holder,
    block: Block,
    handle: Handle,
    left: Result<u32, Refused>,
) -> Result<()> {
    let ended = if matches!(left, Ok(0)) { claim::end_later(operation, handle) } else { Ok(()) };
    operation.memory().store64(block.address.wrapping_add(COUNTED), 0);
    count::end(operation.memory(), holder);
    ended
}

fn settle_nesting(operation: &Operation, holder: Holder) -> Result<()> {
    let table = Table::of(operation);
    let memory = table.memory;
    let Some(block) = Block::from_word(memory.load64(nesting(holder))) else { return Ok(()) };
    if operation.is_live(block) == Some(Kind::String) && !is_in_place(table, block) {
        memory.store64(dropping(holder), block.to_word());
    }
    memory.store64(nesting(holder), 0);
    settle_dropping(operation, holder)
}

/// Decides the change of a count that the holder's record has, if it is one of this module's: before anything else of the
/// record is settled. Idempotent; the holder does not run.
///
/// # Errors
/// Those of ending an object.
pub(crate) fn settle_count(operation: &Operation, holder: Holder) -> Result<()> {
    let table = Table::of(operation);
    let memory = table.memory;
    let field = |offset: Address| holder.slot.wrapping_add(offset);
    let change = Change::from_word(memory.load64(field(slot::CHANGE)));
    let at = match change {
        Some(Change::Nest) => nesting(holder),
        Some(Change::Drop) => dropping(holder),
        _ => return Ok(()),
    };
    let sequence = memory.load64(field(slot::COUNTING));
    let handle = Handle::from_word(memory.load64(field(slot::TARGET)));
    let Some(block) = Block::from_word(memory.load64(at)) else { return Ok(()) };
    if operation.is_live(block).is_none() {
        return Err(Error::corrupt(rule::VALUE_BLOCK, block.address));
    }
    let counted = all(table, handle).filter(|all| table.check_any(all.entry, handle).is_ok());
    if change == Some(Change::Drop) {
        let left = match counted {
            // It ended with this reference.
            None => Ok(0),
            Some(all) if count::happened(memory, holder, all, sequence) => Ok(all.count(memory)),
            Some(all) => count::change(memory, holder, all, false, sequence),
        };
        return dropped(operation, holder, block, handle, left);
    }
    if counted.is_some_and(|all| count::happened(memory, holder, all, sequence)) {
        memory.store64(block.address.wrapping_add(COUNTED), 1);
    }
    count::end(memory, holder);
    Ok(())
}

/// Decides the blocks that the holder's slot names: after all else of its record is settled. Idempotent; the holder does
/// not run.
///
/// # Errors
/// Those of ending an object.
pub(crate) fn settle(operation: &Operation, holder: Holder) -> Result<()> {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::DROP_UNSETTLED) {
        // Seeded bug: what an agent was putting in or taking out when it died is nobody's.
        return Ok(());
    }
    settle_dropping(operation, holder)?;
    settle_nesting(operation, holder)
}

/// The object that the value at `at` refers to, for the audit; `None` for what is no whole reference.
pub(crate) fn handle_at(table: Table, at: Address, stored: &string::Stored) -> Option<Handle> {
    let word = |offset: Address| table.memory.load64(stored.block().address.wrapping_add(offset));
    let is_whole = stored.length == 8 && word(COUNTED) == 1 && word(PLACE) == u64::from(at);
    is_whole.then(|| Handle::from_word(word(HANDLE)))
}
