//! What each agent holds: the objects that it has a reference to, so that whoever recovers the agent can give them back.
//!
//! One set an agent, of words in hash order: 0, a handle, or a word that was a handle. The first words stand in the
//! agent's body page, more in a block that a word of the body page names; it grows as it fills, and goes when the agent
//! does. A holding is one word, written by the agent alone (or by who acts for it when it is dead). An agent
//! holds an object or not: opening it a second time changes nothing, so that an answer that was lost costs nothing.
//!
//! The words are truth. How many there are is derived, and if an agent is cut short, only ever too large.
//!
//! | body page | |
//! |---|---|
//! | [`body::HOLDINGS`] | u64: the block, or 0 |
//! | [`body::HELD`] | u32: how many are held |
//! | [`body::HOLDINGS_USED`] | u32: words that are not 0 |
//! | [`body::HOLDINGS_HERE`] | the words, while there is no block |
//!
//! The block is a u64, in the low half the number of its words, a power of two, in the high half that number xor the block's address, and
//! then the words.

use coheap_alloc::layout::{PAGE, body};
use coheap_alloc::{Address, Block, Error, Kind, Memory, Operation, Result, slot as slots};

use crate::block;
use crate::object::Handle;
use crate::rule;

/// Bytes of a block before its words.
const HEAD: u32 = 8;
/// Words of the smallest block.
const SMALLEST: u32 = 512;
/// A word that was a handle. No handle has this index.
const GONE: u64 = 1 << 31;

/// Whose references are meant: the agent's own, or those of the dead agent that it acts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Where its slot lies.
    pub slot: Address,
    /// The slot's index.
    pub index: u32,
}

impl Holder {
    /// The agent of the operation.
    #[must_use]
    pub fn of(operation: &Operation) -> Self {
        Self { slot: operation.agent().slot(), index: operation.agent().index() }
    }

    /// Of the slot with this index; `None` when there is none.
    #[must_use]
    pub fn at(operation: &Operation, index: u32) -> Option<Self> {
        slots::find(operation.memory(), operation.control(), index).map(|slot| Self { slot, index })
    }

    fn body(self, memory: Memory) -> Address {
        slots::body_page(memory, self.slot)
    }

    fn field(self, memory: Memory, offset: Address) -> Address {
        self.body(memory).wrapping_add(offset)
    }
}

/// The words of a holder.
#[derive(Clone, Copy)]
struct Words {
    at: Address,
    /// A power of two.
    count: u32,
}

impl Words {
    fn of(memory: Memory, holder: Holder) -> Result<Self> {
        match Block::from_word(memory.load64(holder.field(memory, body::HOLDINGS))) {
            None => Ok(Self { at: holder.field(memory, body::HOLDINGS_HERE), count: body::HOLDINGS_HERE_COUNT }),
            Some(block) => Self::in_block(memory, block),
        }
    }

    /// The heap's bytes are untrusted: the block must say of itself where it is, and how much.
    fn in_block(memory: Memory, block: Block) -> Result<Self> {
        let Block { address, .. } = block;
        let readable = memory.has(address, HEAD) && address.is_multiple_of(8);
        let head = if readable { memory.load64(address) } else { 0 };
        let count = head as u32;
        if !count.is_power_of_two() || head != head_of(address, count) {
            return Err(Error::corrupt(rule::HOLDINGS, address));
        }
        Ok(Self { at: address.wrapping_add(HEAD), count })
    }

    fn place(self, number: u32) -> Address {
        self.at.wrapping_add((number & (self.count - 1)).wrapping_mul(8))
    }

    /// Where the search for a handle begins.
    fn first(self, handle: Handle) -> u32 {
        (handle.index ^ handle.generation.rotate_left(16)).wrapping_mul(0x9E37_79B9) >> 8
    }

    /// The place of a handle. At most one look at each word; few, because a quarter of the words is 0.
    fn find(self, memory: Memory, handle: Handle) -> Option<u32> {
        let first = self.first(handle);
        for step in 0..self.count {
            let number = first.wrapping_add(step);
            match memory.load64(self.place(number)) {
                0 => return None,
                // A forged handle could say so.
                GONE => {}
                word if word == handle.to_word() => return Some(number & (self.count - 1)),
                _ => {}
            }
        }
        None
    }

    /// The place for a handle that is not there, and whether it is a fresh one.
    fn room(self, memory: Memory, handle: Handle) -> Option<(Address, bool)> {
        let first = self.first(handle);
        for step in 0..self.count {
            let at = self.place(first.wrapping_add(step));
            match memory.load64(at) {
                0 => return Some((at, true)),
                GONE => return Some((at, false)),
                _ => {}
            }
        }
        None
    }
}

/// What stands before the words of a block.
fn head_of(address: Address, count: u32) -> u64 {
    u64::from(count) | u64::from(address ^ count) << 32
}

fn add(memory: Memory, at: Address, difference: i32) {
    memory.set_own32(at, memory.own32(at).saturating_add_signed(difference));
}

/// Whether the holder holds this object. Loads only.
///
/// # Errors
/// [`Error::Corrupt`].
pub fn holds(memory: Memory, holder: Holder, handle: Handle) -> Result<bool> {
    Ok(Words::of(memory, holder)?.find(memory, handle).is_some())
}

/// Makes room for one more holding of this agent, so that [`insert`] cannot fail. If the caller dies here, the words are
/// in the old block or in the new one.
///
/// # Errors
/// [`Error::OutOfMemory`], [`Error::Corrupt`].
pub(crate) fn reserve(operation: &Operation) -> Result<()> {
    let memory = operation.memory();
    let holder = Holder::of(operation);
    let words = Words::of(memory, holder)?;
    let used = memory.own32(holder.field(memory, body::HOLDINGS_USED));
    if u64::from(used) * 4 + 4 <= u64::from(words.count) * 3 {
        return Ok(());
    }
    match grow(operation, holder, words) {
        // Slower to search, but there is room: one word stays 0.
        Err(Error::OutOfMemory { .. }) if used.saturating_add(2) < words.count => Ok(()),
        other => other,
    }
}

#[cold]
fn grow(operation: &Operation, holder: Holder, words: Words) -> Result<()> {
    let memory = operation.memory();
    let held = (0..words.count).filter(|&number| handle_at(memory, words, number).is_some()).count() as u32;
    let (count_at, used_at) = (holder.field(memory, body::HELD), holder.field(memory, body::HOLDINGS_USED));
    let cell = holder.field(memory, body::HOLDINGS);
    let old = memory.load64(cell);
    if held == 0 && old == 0 {
        memory.fill(words.at, words.count * 8, 0);
    } else {
        let count = held.saturating_mul(4).checked_next_power_of_two().unwrap_or(1 << 31).max(SMALLEST);
        let size = u64::from(count) * 8 + u64::from(HEAD);
        let size = u32::try_from(size).map_err(|_| Error::invalid_layout(size, 16))?;
        let block = block::allocate(operation, size, Kind::Holdings)?;
        let new = Words { at: block.address.wrapping_add(HEAD), count };
        memory.store64(block.address, head_of(block.address, count));
        let mut cleared = 0u32;
        while cleared < count * 8 {
            let piece = (count * 8 - cleared).min(PAGE);
            memory.fill(new.at.wrapping_add(cleared), piece, 0);
            cleared = cleared.saturating_add(piece);
        }
        for number in 0..words.count {
            if let Some(handle) = handle_at(memory, words, number)
                && let Some((at, _)) = new.room(memory, handle)
            {
                memory.store64(at, handle.to_word());
            }
        }
        if operation.replace(cell, old, block.to_word(), Some(block), Block::from_word(old))?.is_err() {
            block::free(operation, block)?;
            return Err(Error::corrupt(rule::HOLDINGS, cell));
        }
    }
    // Too large until here, if this is where the agent is cut short.
    memory.set_own32(count_at, held);
    memory.set_own32(used_at, held);
    Ok(())
}

fn handle_at(memory: Memory, words: Words, number: u32) -> Option<Handle> {
    let word = memory.load64(words.place(number));
    (word != 0 && word != GONE).then(|| Handle::from_word(word))
}

/// Holds an object; nothing when the holder does already.
///
/// # Errors
/// [`Error::Corrupt`] when no room was reserved.
pub(crate) fn insert(memory: Memory, holder: Holder, handle: Handle) -> Result<()> {
    let words = Words::of(memory, holder)?;
    if words.find(memory, handle).is_some() {
        return Ok(());
    }
    let Some((at, fresh)) = words.room(memory, handle) else {
        return Err(Error::corrupt(rule::HOLDINGS, words.at));
    };
    add(memory, holder.field(memory, body::HELD), 1);
    if fresh {
        add(memory, holder.field(memory, body::HOLDINGS_USED), 1);
    }
    memory.store64(at, handle.to_word());
    Ok(())
}

/// Holds an object no more; nothing when the holder did not.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn remove(memory: Memory, holder: Holder, handle: Handle) -> Result<()> {
    let words = Words::of(memory, holder)?;
    let Some(number) = words.find(memory, handle) else { return Ok(()) };
    let used = holder.field(memory, body::HOLDINGS_USED);
    if memory.load64(words.place(number.wrapping_add(1))) == 0 {
        // Nobody looks past this word: it, and the gone ones before it, can be 0 again.
        memory.store64(words.place(number), 0);
        add(memory, used, -1);
        for step in 1..words.count {
            let before = words.place(number.wrapping_sub(step));
            if memory.load64(before) != GONE {
                break;
            }
            memory.store64(before, 0);
            add(memory, used, -1);
        }
    } else {
        memory.store64(words.place(number), GONE);
    }
    add(memory, holder.field(memory, body::HELD), -1);
    Ok(())
}

/// Gives the block back when nothing is held at a place not before `from`, as nothing is before it: the words in the body page begin
/// anew.
///
/// # Errors
/// [`Error::Corrupt`], those of [`Operation::replace`].
pub(crate) fn clear(operation: &Operation, holder: Holder, from: u32) -> Result<()> {
    let memory = operation.memory();
    let cell = holder.field(memory, body::HOLDINGS);
    let old = memory.load64(cell);
    if old == 0 || next(memory, holder, from)?.is_some() {
        return Ok(());
    }
    memory.fill(holder.field(memory, body::HOLDINGS_HERE), body::HOLDINGS_HERE_COUNT * 8, 0);
    if operation.replace(cell, old, 0, None, Block::from_word(old))?.is_ok() {
        memory.set_own32(holder.field(memory, body::HELD), 0);
        memory.set_own32(holder.field(memory, body::HOLDINGS_USED), 0);
    }
    Ok(())
}

/// The first object that is held at a place not before `from`, and the place after it; `None`: no more.
///
/// # Errors
/// [`Error::Corrupt`].
pub(crate) fn next(memory: Memory, holder: Holder, from: u32) -> Result<Option<(Handle, u32)>> {
    let words = Words::of(memory, holder)?;
    let found = (from..words.count).find_map(|number| Some((handle_at(memory, words, number)?, number + 1)));
    Ok(found)
}

/// Calls `block` with the block of the holdings of a slot that ever had an agent, if there is one, and then `held` with
/// each holding: for the audit.
///
/// # Errors
/// [`Error::Corrupt`], and what the two answer.
pub(crate) fn each(
    memory: Memory,
    holder: Holder,
    mut block: impl FnMut(Block) -> Result<()>,
    mut held: impl FnMut(Handle) -> Result<()>,
) -> Result<()> {
    let body = slots::body(memory, holder.slot);
    if !body.is_whole() {
        return Err(Error::corrupt(rule::HOLDINGS, holder.slot));
    }
    if body.address() == 0 {
        return Ok(());
    }
    if let Some(found) = Block::from_word(memory.load64(holder.field(memory, body::HOLDINGS))) {
        block(found)?;
    }
    let words = Words::of(memory, holder)?;
    for number in 0..words.count {
        if let Some(handle) = handle_at(memory, words, number) {
            held(handle)?;
        }
    }
    Ok(())
}
