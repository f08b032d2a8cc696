//! What an entry that has joined a transaction stands for, and what becomes of it when another agent needs it.

use coheap_alloc::layout::slot;
use coheap_alloc::{Address, Block, Kind, Memory, Operation, Result, slot as slots};

use super::words::*;
use crate::cell::{LOOKS, look_at};
use crate::map::view::corrupt;
use crate::map::words::{State, joined_by, state};
use crate::object::Table;
use crate::string::Stored;
use crate::value;

/// Rounds for which a transaction may stand still until it is aborted, the first time; some microseconds.
const PATIENCE: u32 = if cfg!(any(loom, shuttle)) { 2 } else { 10_000 };
/// How often that doubles, once each time it was aborted: then it is longer than an agent waits for its processor.
const DOUBLED: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 11 };
/// Rounds after which one who must not block aborts it in any case, and how often those double.
const PATIENCE_OF_HOSTS: u32 = 5 * PATIENCE;
const DOUBLED_FOR_HOSTS: u32 = if cfg!(any(loom, shuttle)) { 1 } else { 4 };

/// A joined entry as it was seen.
struct Joined {
    /// Where the transaction's phase is, and what it was.
    at: Address,
    phase: u64,
    /// How many records there were, and how often it was aborted.
    count: u64,
    old: u64,
    new: u64,
}

impl Joined {
    /// The value's word, or EMPTY.
    fn value(&self) -> u64 {
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::UNDECIDED_SEEN) && phase(self.phase) == UNDECIDED {
            // Seeded bug: it may be aborted, or the rest be read without it.
            return self.new;
        }
        if phase(self.phase) == COMMITTED { self.new } else { self.old }
    }
}

/// What the entry whose value word at `at` was `word` stands for; `None`: the word is another one by now. Loads only.
#[cold]
#[inline(never)]
fn look(table: Table, at: Address, word: u64) -> Result<Option<Joined>> {
    let memory = table.memory;
    // Once is enough, but for who was stopped for 65,536 transactions.
    for _ in 0..LOOKS {
        if let Some(found) = look_once(table, at, word)
            && memory.load64_ordered(at) == word
            && memory.load64_ordered(found.at) == found.phase
        {
            return Ok(Some(found));
        }
        if memory.load64_ordered(at) != word {
            return Ok(None);
        }
    }
    corrupt(at)
}

fn look_once(table: Table, at: Address, word: u64) -> Option<Joined> {
    let memory = table.memory;
    let (index, low, number) = joined_by(word);
    let slot = slots::find(memory, table.control, index)?;
    let phase_at = slot.wrapping_add(slot::TRANSACTION);
    let seen = memory.load64_ordered(phase_at);
    if sequence(seen) & 0xFFFF != low || !matches!(phase(seen), UNDECIDED | COMMITTED | ABORTED) {
        return None;
    }
    let records = Block::from_word(memory.load64(slot.wrapping_add(slot::TRANSACTION_RECORDS)))?.address;
    let record = record_at(records, number);
    if !records.is_multiple_of(16) || record < records || !memory.has(record, RECORD) {
        return None;
    }
    let load = |offset: Address| memory.load64(record.wrapping_add(offset));
    let count = memory.load64(records.wrapping_add(COUNT));
    let (cell, old, new) = (load(CELL), load(OLD), load(NEW));
    // What was read may be of something else: the phase says so then.
    memory.fence();
    let is_value = |word| value::to_number(word).is_some();
    let makes_sense = cell == u64::from(at) && (old == value::EMPTY || is_value(old)) && is_value(new);
    makes_sense.then_some(Joined { at: phase_at, phase: seen, count, old, new })
}

/// The word of the value that a joined entry has, or EMPTY; `None`: its word is another one by now.
pub(in crate::map) fn value_of(table: Table, at: Address, word: u64) -> Result<Option<u64>> {
    Ok(look(table, at, word)?.map(|joined| joined.value()))
}

/// As [`look_at`], at the value word of an entry: of one that has joined a transaction `f` gets the word of the value that it
/// has, or EMPTY.
#[inline]
pub(in crate::map) fn look_at_value<R>(
    table: Table,
    at: Address,
    mut f: impl FnMut(u64, Option<&Stored>) -> Result<R>,
) -> Result<R> {
    // Lock-free: another round means that a transaction ended.
    loop {
        let found = look_at(table, at, |word, stored| {
            let word = match state(word) {
                State::Joined => value_of(table, at, word)?,
                _ => Some(word),
            };
            word.map(|word| f(word, stored)).transpose()
        })?;
        if let Some(found) = found {
            return Ok(found);
        }
    }
}

/// What a writer makes of a joined entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::map) enum Met {
    /// Its word is another one by now.
    Again,
    /// It has no value, and stays as it is until somebody gives it one.
    Absent,
}

/// Sees to it that an entry that has joined a transaction is one for whoever wants to change it.
#[cold]
#[inline(never)]
pub(in crate::map) fn meet(operation: &Operation, at: Address, word: u64) -> Result<Met> {
    let (table, memory) = (Table::of(operation), operation.memory());
    let must_not_block = !operation.agent().may_block();
    let (mut count, mut quiet, mut rounds) = (0, 0u32, 0u32);
    loop {
        let Some(joined) = look(table, at, word)? else { return Ok(Met::Again) };
        if phase(joined.phase) != UNDECIDED {
            if joined.value() == value::EMPTY {
                return Ok(Met::Absent);
            }
            // Not exchanged: another agent did.
            let _ = memory.compare_exchange64(at, word, joined.value());
            return Ok(Met::Again);
        }
        rounds = rounds.saturating_add(1);
        quiet = if joined.count == count { quiet + 1 } else { 0 };
        count = joined.count;
        let (_, attempt) = counts(count);
        let is_late = must_not_block && rounds > PATIENCE_OF_HOSTS << attempt.min(DOUBLED_FOR_HOSTS);
        #[cfg(feature = "controls")]
        if crate::controls::is_on(crate::controls::WAIT_WITHOUT_END) {
            continue;
        }
        if is_late || quiet > PATIENCE << attempt.min(DOUBLED) {
            abort(memory, joined.at, joined.phase);
        }
        core::hint::spin_loop();
    }
}

/// Aborts a transaction that is undecided.
pub(super) fn abort(memory: Memory, at: Address, seen: u64) {
    let _ = memory.compare_exchange64(at, seen, with_phase(seen, ABORTED));
}

/// The block of the records of the agent of the slot at `slot`, for the audit.
pub(crate) fn records_of(memory: Memory, slot: Address) -> Option<(Block, Kind)> {
    Block::from_word(memory.load64(slot.wrapping_add(slot::TRANSACTION_RECORDS))).map(|block| (block, Kind::Map))
}
