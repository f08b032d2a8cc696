//! A cell: one value that every agent reads, sets, compares and exchanges, adds to if it is a number, and waits for.
//!
//! # Consistency
//! Linearizable. The value is one word, or a word and the immutable block that it names ([`crate::string`]); a change is
//! one read-modify-write of the word, a read one load, or a copy of the block that is validated after it. Comparing is
//! `Object.is`, strings, bytes and big integers by their contents. A cell that is being released is either still found,
//! and then the change happens to this very cell, or its handle is stale ([`crate::hold`]).
//!
//! # If the caller dies here
//! Each change is one commit: it happened or it did not. A new block is published by [`Operation::replace`] and the one
//! that it replaces retired, so recovery frees the block that the cell does not name. If the change happened and the
//! caller died before it woke the waiters, they look again within [`wait::SLICE`] milliseconds.
//!
//! # Not promised
//! A change that compares block words tells two blocks apart by the address and 16 bits of the generation. A caller that
//! is stopped in the few instructions between its last look at the block and its exchange, while the same block comes
//! back to the same cell after exactly a multiple of 65,536 uses, takes the one for the other.
//!
//! Nothing here blocks except [`wait`] and [`wait_value`].

use coheap_alloc::{Address, Agent, Block, Entry, Error, Kind, Memory, Operation, Result};

use crate::block;
use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type, VALUE};
use crate::string::{self, Form, Given, Made, Stored};
use crate::value::Tag;
use crate::wait::{self, Host, Slept, Wake, Watch};
use crate::{hold, rule, value};

/// Makes an anonymous cell that holds `number`. It lives until its last reference is given back;
/// this agent has one.
///
/// # Errors
/// [`Error::OutOfMemory`] when the object table cannot grow.
pub fn create(operation: &Operation, number: f64) -> Result<Handle> {
    make(operation, number, None)
}

pub(crate) fn make(operation: &Operation, number: f64, bucket: Option<u8>) -> Result<Handle> {
    publish(operation, Made { word: value::from_number(number), block: None }, bucket)
}

/// Makes an anonymous cell that holds this value. The agent has a reference to it.
///
/// # Errors
/// Those of [`string::make`].
pub fn create_holding(operation: &Operation, given: Given<'_>) -> Result<Handle> {
    make_holding(operation, given, None)
}

/// A cell that holds this value. What was made for it is given back if there is no cell.
#[inline(never)]
pub(crate) fn make_holding(operation: &Operation, given: Given<'_>, bucket: Option<u8>) -> Result<Handle> {
    let made = string::make(operation, given)?;
    publish(operation, made, bucket).or_else(|error| made.discard(operation).and(Err(error)))
}

fn publish(operation: &Operation, made: Made, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Cell)?;
    claim::publish(operation, claim, made.word, Info::new(0, bucket), made.block)
}

fn number(entry: Address, word: u64) -> Result<f64> {
    value::to_number(word).ok_or_else(|| not_a_number(entry, word))
}

#[cold]
fn not_a_number(entry: Address, word: u64) -> Error {
    match value::tag(word) {
        Some(tag) => Error::NotANumber { found: tag as u32 },
        None => Error::Corrupt { rule: rule::NOT_A_VALUE, address: entry.wrapping_add(VALUE) },
    }
}

/// The number. Loads only: the value first and then the entry's word, which proves whose value it was.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::NotANumber`], [`Error::Corrupt`].
#[inline(always)]
pub fn get(table: Table, handle: Handle) -> Result<f64> {
    let entry = table.entry(handle.index).ok_or_else(|| handle.stale())?;
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    table.check(entry, handle, Type::Cell)?;
    number(entry, word)
}

/// As [`get`] for the fastest way in: NaN stands for a NaN, for every other kind of value (whose words are NaNs) and for
/// every error; [`take`] says which.
#[inline(always)]
#[must_use]
pub fn get_or_nan(table: Table, handle: Handle) -> f64 {
    let Some(entry) = table.entry(handle.index) else { return f64::NAN };
    let word = table.memory.load64(entry.wrapping_add(VALUE));
    if table.word(entry).is_live(handle, Type::Cell) { f64::from_bits(word) } else { f64::NAN }
}

/// Sets the number. One compare-exchange, and one load of the wait word; more if the cell holds a block.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
#[inline(always)]
pub fn set(operation: &Operation, handle: Handle, number: f64) -> Result<Wake> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let word = value::from_number(number);
    match put(operation.memory(), entry, word) {
        Some(wake) => Ok(wake),
        None => exchange(operation, entry, Made { word, block: None }),
    }
}

/// Changes the value of the cell in `entry`, which the caller holds, and answers who is to be woken; `None`, and nothing
/// changed, when it holds a block, which must be retired then.
#[inline(always)]
pub fn put(memory: Memory, entry: Address, word: u64) -> Option<Wake> {
    let at = entry.wrapping_add(VALUE);
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::WAKE_BEFORE_CHANGE) {
        // Seeded bug: looks for waiters before the change that they wait for.
        let wake = wait::after_change(memory, entry);
        memory.swap64(at, word);
        return Some(wake);
    }
    let old = memory.load64(at);
    if value::is_block(old) {
        return None;
    }
    match memory.compare_exchange64(at, old, word) {
        Ok(_) => Some(wait::after_change(memory, entry)),
        Err(found) => put_over(memory, entry, found, word),
    }
}

/// As [`put`], after another agent changed the cell to `found`.
#[cold]
#[inline(never)]
fn put_over(memory: Memory, entry: Address, found: u64, word: u64) -> Option<Wake> {
    let mut old = found;
    // Lock-free: another round means that another agent changed the cell.
    while !value::is_block(old) {
        match memory.compare_exchange64(entry.wrapping_add(VALUE), old, word) {
            Ok(_) => return Some(wait::after_change(memory, entry)),
            Err(found) => old = found,
        }
    }
    None
}

/// Sets any value: publishes its block, if it has one, and retires that of the value before. Lock-free.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::OutOfMemory`], those of [`string::make`]: the cell is as it was.
#[inline(never)]
pub fn set_value(operation: &Operation, handle: Handle, given: Given<'_>) -> Result<Wake> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let made = string::make(operation, given)?;
    if made.block.is_none()
        && let Some(wake) = put(operation.memory(), entry, made.word)
    {
        return Ok(wake);
    }
    exchange(operation, entry, made).or_else(|error| made.discard(operation).and(Err(error)))
}

/// Puts `made` into the cell in `entry`, which the caller holds, whatever is there.
#[cold]
#[inline(never)]
fn exchange(operation: &Operation, entry: Address, made: Made) -> Result<Wake> {
    let table = Table::of(operation);
    let at = entry.wrapping_add(VALUE);
    let mut lost = 0;
    // Lock-free: another round means that another agent changed the cell.
    loop {
        let word = table.memory.load64_ordered(at);
        // Nothing is read of the block but its header, and the exchange proves that the word still named it.
        let old = string::block_of(table, word);
        if value::is_block(word) && old.is_none() {
            lost = if table.memory.load64_ordered(at) == word { lost + 1 } else { 0 };
            if lost == LOOKS {
                return Err(Error::Corrupt { rule: rule::VALUE_BLOCK, address: entry });
            }
            continue;
        }
        if operation.replace(at, word, made.word, made.block, old)?.is_ok() {
            return Ok(wait::after_change(table.memory, entry));
        }
    }
}

/// Rounds in which a word names no block although nobody changed it: then the heap is corrupt.
pub(crate) const LOOKS: u32 = 3;

/// Answers `f` of the cell's word and the block that it names, both of one moment: what `f` read of the block is
/// validated after it read it. Lock-free: another round means that another agent changed the cell.
#[inline]
fn look<R>(table: Table, entry: Address, f: impl FnMut(u64, Option<&Stored>) -> Result<R>) -> Result<R> {
    look_at(table, entry.wrapping_add(VALUE), f)
}

/// As [`look`], for a value's word anywhere.
#[inline]
pub(crate) fn look_at<R>(table: Table, at: Address, mut f: impl FnMut(u64, Option<&Stored>) -> Result<R>) -> Result<R> {
    let mut lost = 0;
    loop {
        let word = table.memory.load64_ordered(at);
        if !value::is_block(word) {
            return f(word, None);
        }
        let Some(stored) = string::find(table, word) else {
            lost = if table.memory.load64_ordered(at) == word { lost + 1 } else { 0 };
            if lost == LOOKS {
                return Err(Error::Corrupt { rule: rule::VALUE_BLOCK, address: at });
            }
            continue;
        };
        let found = f(word, Some(&stored));
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::READ_WITHOUT_CHECK) {
            // Seeded bug: the block may have been freed and used again while it was read.
            return found;
        }
        // What `f` read is not ordered with the looks that follow it.
        table.memory.fence();
        if table.memory.load64_ordered(at) == word && stored.is_same(table.memory) {
            return found;
        }
    }
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
        return Err(Error::Corrupt { rule: rule::NOT_A_VALUE, address: entry.wrapping_add(VALUE) });
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
fn keep(operation: &Operation, block: Block, length: u32) -> Result<Handle> {
    let claimed = claim(operation, Type::Bytes)
        .and_then(|claim| claim::publish(operation, claim, block.to_word(), Info::new(length, None), Some(block)));
    claimed.or_else(|error| block::free(operation, block).and(Err(error)))
}

/// Adds to the number and answers the sum. Lock-free: each retry means that another agent changed the cell.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::NotANumber`], [`Error::Corrupt`].
pub fn add(operation: &Operation, handle: Handle, delta: f64) -> Result<(f64, Wake)> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let memory = operation.memory();
    let at = entry.wrapping_add(VALUE);
    let mut word = memory.load64(at);
    loop {
        let sum = number(entry, word)? + delta;
        match memory.compare_exchange64(at, word, value::from_number(sum)) {
            Ok(_) => return Ok((sum, wait::after_change(memory, entry))),
            Err(found) => word = found,
        }
    }
}

/// Sets the number to `new` if it is `expected`; answers whether it was.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn compare_and_set(operation: &Operation, handle: Handle, expected: f64, new: f64) -> Result<(bool, Wake)> {
    let entry = hold::hold(operation, handle, Type::Cell)?;
    let memory = operation.memory();
    let (old, new) = (value::from_number(expected), value::from_number(new));
    match memory.compare_exchange64(entry.wrapping_add(VALUE), old, new) {
        Ok(_) => Ok((true, wait::after_change(memory, entry))),
        Err(_) => Ok((false, Wake::NONE)),
    }
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
            // Longer between the look and the exchange.
            for _ in 0..2000 {
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

/// What to wait on for the cell to hold another number than `old`; `None` when it does already. The announcement
/// outlives the operation: the next change wakes.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`].
pub fn watch(table: Table, handle: Handle, old: f64) -> Result<Option<Watch>> {
    let entry = table.find(handle, Type::Cell)?;
    let watch = watch_word(table.memory, entry, value::from_number(old));
    // A release, too, first changes the entry and then looks for waiters.
    table.check(entry, handle, Type::Cell)?;
    Ok(watch)
}

/// As [`watch`], for any value, by its contents.
///
/// # Errors
/// [`Error::StaleHandle`], [`Error::WrongType`], [`Error::Corrupt`].
pub fn watch_value(table: Table, handle: Handle, old: &Given<'_>) -> Result<Option<Watch>> {
    let entry = table.find(handle, Type::Cell)?;
    let watch = wait::announce(table.memory, entry);
    let same = look(table, entry, |word, stored| string::is_given(table, word, stored, old));
    table.check(entry, handle, Type::Cell)?;
    Ok(same?.then_some(watch))
}

/// Announces a waiter for the value `old` of the cell in `entry`; `None` when the value is another one already.
#[inline(always)]
pub fn watch_word(memory: Memory, entry: Address, old: u64) -> Option<Watch> {
    #[cfg(feature = "controls")]
    if crate::controls::is_on(crate::controls::WAIT_WITHOUT_LOOK) {
        // Seeded bug: looks at the value before the announcement instead of after it.
        let differs = memory.load64_ordered(entry.wrapping_add(VALUE)) != old;
        return (!differs).then(|| wait::announce(memory, entry));
    }
    let watch = wait::announce(memory, entry);
    (memory.load64_ordered(entry.wrapping_add(VALUE)) == old).then_some(watch)
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// The cell holds another value than the old one.
    Changed,
    /// It held the old one all the time, as far as was seen.
    TimedOut,
}

/// Blocks until the cell holds another number than `old`, for `timeout` milliseconds at most (infinity: no limit, NaN:
/// not at all). Leaves its operation, and the turn, before each sleep; the handle is looked up again after it.
///
/// # Errors
/// [`Error::CannotBlock`] for an agent that must not, [`Error::Busy`] inside an operation, [`Error::StaleHandle`] also
/// when the cell is released meanwhile.
pub fn wait(agent: Agent, host: &impl Host, handle: Handle, old: f64, timeout: f64) -> Result<Waited> {
    wait_until(agent, host, timeout, |table| watch(table, handle, old))
}

/// As [`wait`], for any value, by its contents.
///
/// # Errors
/// As [`wait`].
pub fn wait_value(agent: Agent, host: &impl Host, handle: Handle, old: &Given<'_>, timeout: f64) -> Result<Waited> {
    wait_until(agent, host, timeout, |table| watch_value(table, handle, old))
}

fn wait_until(
    agent: Agent,
    host: &impl Host,
    timeout: f64,
    watch: impl Fn(Table) -> Result<Option<Watch>>,
) -> Result<Waited> {
    let deadline = host.now() + if timeout.is_nan() { 0.0 } else { timeout };
    // Each round sleeps until the deadline at most, or was ended by a change.
    loop {
        let entry = host.enter(agent)?;
        let watch = watch(Table { memory: agent.memory(), control: agent.control() });
        if entry == Entry::Precise {
            agent.leave();
        }
        let Some(watch) = watch? else { return Ok(Waited::Changed) };
        if !agent.may_block() {
            return Err(Error::CannotBlock);
        }
        let left = deadline - host.now();
        if left <= 0.0 {
            return Ok(Waited::TimedOut);
        }
        if !agent.turn_end() {
            return Err(Error::Busy { agent: agent.index() });
        }
        let changed = spin(agent.memory(), watch);
        if !changed && host.wait(watch.address, watch.expected, left.min(wait::SLICE)) == Slept::CannotBlock {
            return Err(Error::CannotBlock);
        }
    }
}

/// Looks at the wait word a few times; whether it changed. It is a word of the object table for ever, so that looking
/// needs no operation.
fn spin(memory: Memory, watch: Watch) -> bool {
    for _ in 0..wait::SPINS {
        if memory.load32(watch.address) != watch.expected {
            return true;
        }
        core::hint::spin_loop();
    }
    false
}
