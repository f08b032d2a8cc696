//! HTTP fields. Names, values and answers cross in the agent's transfer buffer, as Latin-1; each begins at a multiple of
//! 8 and counts as padded to one.
//!
//! A *name* is a number: not negative, it is the length of a name at the beginning of the transfer buffer, and what else
//! the call takes stands behind it. Negative, it is the complement of where the name stands in the agent's own list of
//! names ([`coheap_fields_name`]): most names then cross once.
//!
//! *Lines* are records, one after the other: i32 name · u32 length of the value · the name, if it is not in the list ·
//! the value.

use coheap::fields::{self, Copied, Name, Text};
use coheap::object::Table;
use coheap::wait::Wake;
use coheap::{Handle, bytes};
use coheap_alloc::layout::body;
use coheap_alloc::{Address, Agent, Error, Memory, Operation, Result};

use crate::call::{Status, change, read};
use crate::value::small;

/// Bytes of the answer's numbers in the transfer buffer: what else is answered stands behind them.
const ANSWER: u32 = 16;
/// Bytes of a record before its name.
const RECORD: u32 = 8;

/// With the tag in the lowest byte, the second word of a name in the list: no name has such bytes, so nothing else is
/// taken for a name.
const LISTED: u32 = 0xFFFF_FF00;

/// What stands for a length: nothing has changed; no such name.
const UNCHANGED: u32 = -2i32 as u32;
const ABSENT: u32 = -1i32 as u32;

/// How lines change fields, as numbers.
const SET: u32 = 0;
const APPEND: u32 = 1;
const DELETE: u32 = 4;
/// Added to the others: the lines are in a region of bytes.
const FROM_REGION: u32 = 2;

fn padded(length: u32) -> u32 {
    length.saturating_add(7) & !7
}

/// Writes the i-th u32 of the answer.
#[inline]
fn answer(agent: Agent, index: u32, number: u32) {
    agent.memory().set_own32(agent.transfer().wrapping_add(index * 4), number);
}

fn answer_handle(agent: Agent, handle: Handle) {
    answer(agent, 0, handle.index);
    answer(agent, 1, handle.generation);
}

fn out_of_range(offset: u32, length: u32, limit: u32) -> Error {
    Error::out_of_range(offset.into(), length.into(), limit.into())
}

/// Where the agent's list of names begins.
fn names(agent: Agent) -> Address {
    agent.transfer().wrapping_sub(body::TRANSFER).wrapping_add(body::FIELD_NAMES)
}

/// A name of the list, at `offset`: u32 length · u32 tag · the name.
#[inline]
fn listed(agent: Agent, offset: u32) -> Result<Name> {
    let memory = agent.memory();
    if offset >= body::FIELD_NAMES_LENGTH || offset & 7 != 0 {
        return Err(out_of_range(offset, 0, body::FIELD_NAMES_LENGTH));
    }
    let at = names(agent).wrapping_add(offset);
    let (length, tag) = (memory.own32(at), memory.own32(at.wrapping_add(4)));
    if tag & LISTED != LISTED || length > body::FIELD_NAMES_LENGTH - offset - 8 {
        return Err(out_of_range(offset, length, body::FIELD_NAMES_LENGTH));
    }
    Ok(Name::known(Text { memory, at: at.wrapping_add(8), length }, tag as u8))
}

/// The text of a name at `at`, and what it takes there.
#[inline]
fn text(agent: Agent, number: i32, at: Address, room: u32) -> Result<(Text, u32)> {
    let length = number as u32;
    if padded(length) > room {
        return Err(out_of_range(0, length, room));
    }
    Ok((Text { memory: agent.memory(), at, length }, padded(length)))
}

/// The name of a number, and what it takes at `at`, where it stands if it is not in the list.
#[inline]
fn name(agent: Agent, number: i32, at: Address, room: u32) -> Result<(Name, u32)> {
    if number < 0 {
        return Ok((listed(agent, !number as u32)?, 0));
    }
    let (text, taken) = text(agent, number, at, room)?;
    Ok((Name::new(text)?, taken))
}

/// As [`name`] at the beginning of the transfer buffer, for a name to look for.
#[inline]
fn wanted(agent: Agent, number: i32) -> Result<(Name, u32)> {
    if number < 0 {
        return Ok((listed(agent, !number as u32)?, 0));
    }
    let (text, taken) = text(agent, number, agent.transfer(), body::TRANSFER_LENGTH - ANSWER)?;
    Ok((Name::wanted(text), taken))
}

/// The name at the beginning of the transfer buffer or in the list, and a value of `length` bytes behind it.
#[inline]
fn line(agent: Agent, number: i32, length: u32) -> Result<(Name, Text)> {
    let (at, room) = (agent.transfer(), body::TRANSFER_LENGTH);
    let (name, taken) = name(agent, number, at, room)?;
    if length > room || padded(length) > room - taken {
        return Err(out_of_range(taken, length, room));
    }
    Ok((name, Text { memory: agent.memory(), at: at.wrapping_add(taken), length }))
}

type Line = (Name, Text);

/// Records, read one by one.
#[derive(Clone, Copy)]
struct Records {
    /// One that has been read already, before those.
    first: Option<Line>,
    agent: Agent,
    at: Address,
    room: u32,
    count: u32,
}

impl Records {
    /// Those of the transfer buffer.
    fn crossing(agent: Agent, count: u32) -> Self {
        Self { first: None, agent, at: agent.transfer(), room: body::TRANSFER_LENGTH, count }
    }

    /// Those of the region of bytes whose handle begins the transfer buffer.
    fn of_region(agent: Agent, table: Table, count: u32) -> Result<Self> {
        let memory: Memory = agent.memory();
        let (index, generation) = (memory.own32(agent.transfer()), memory.own32(agent.transfer().wrapping_add(4)));
        let handle = Handle { index, generation };
        let (at, room) = bytes::all(table, handle)?;
        Ok(Self { first: None, agent, at, room, count })
    }

    fn split(self) -> Result<(Line, Self)> {
        let memory = self.agent.memory();
        let beyond = || out_of_range(0, RECORD, self.room);
        let room = self.room.checked_sub(RECORD).ok_or_else(beyond)?;
        let (number, length) = (memory.own32(self.at) as i32, memory.own32(self.at.wrapping_add(4)));
        let at = self.at.wrapping_add(RECORD);
        let (name, taken) = name(self.agent, number, at, room)?;
        let left = room.wrapping_sub(taken);
        if length > left || padded(length) > left {
            return Err(out_of_range(taken, length, left));
        }
        let value = Text { memory, at: at.wrapping_add(taken), length };
        let used = taken.wrapping_add(padded(length));
        let rest = Self { at: at.wrapping_add(used), room: room.wrapping_sub(used), count: self.count - 1, ..self };
        Ok(((name, value), rest))
    }
}

impl Iterator for Records {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.first.is_some() {
            return self.first.take().map(Ok);
        }
        if self.count == 0 {
            return None;
        }
        match self.split() {
            Ok((line, rest)) => {
                *self = rest;
                Some(Ok(line))
            }
            Err(error) => {
                self.count = 0;
                Some(Err(error))
            }
        }
    }
}

fn change_one(operation: &Operation, handle: Handle, replaced: Option<Name>, line: Option<Line>) -> Result<Wake> {
    let agent = operation.agent();
    change_many(operation, handle, replaced, Records { first: line, agent, at: 0, room: 0, count: 0 })
}

/// One for all changes: a second instance would be as large.
#[inline(never)]
fn change_many(operation: &Operation, handle: Handle, replaced: Option<Name>, lines: Records) -> Result<Wake> {
    fields::change(operation, handle, replaced, lines)?;
    Ok(Wake::NONE)
}

/// Puts the name of `length` bytes in the transfer buffer into the agent's list. Answers its number, and 1 if the list
/// was full and begins anew: other numbers mean nothing from here on. Errors: `INVALID_FIELD`, `OUT_OF_RANGE` for a name
/// that no list has room for.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_name(length: u32) -> Status {
    read(|agent, _| {
        let (memory, list) = (agent.memory(), names(agent));
        let limit = body::FIELD_NAMES_LENGTH;
        if length > limit - 16 {
            return Err(out_of_range(0, length, limit));
        }
        let name = Name::new(Text { memory, at: agent.transfer(), length })?;
        // The list begins with a word that says how much of it is used.
        let used = memory.own32(list).max(8);
        let size = padded(length).wrapping_add(8);
        let full = used & 7 != 0 || used > limit || size > limit - used;
        let at = if full { 8 } else { used };
        if full {
            // What was a name must not be taken for one.
            memory.fill(list, limit, 0);
        }
        let to = list.wrapping_add(at);
        memory.copy_within(agent.transfer(), to.wrapping_add(8), length);
        memory.set_own32(to, length);
        memory.set_own32(to.wrapping_add(4), LISTED | u32::from(name.tag()));
        memory.set_own32(list, at.wrapping_add(size));
        answer(agent, 0, !at);
        answer(agent, 1, full.into());
        Ok(())
    })
}

/// Makes anonymous fields of `count` lines. Answers index and generation. Errors: `INVALID_FIELD`, `FIELDS_TOO_LARGE`,
/// `OUT_OF_MEMORY`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_create(count: u32) -> Status {
    change(|agent, operation| {
        let lines = Records::crossing(agent, count);
        answer_handle(agent, fields::create(operation, lines)?);
        Ok(Wake::NONE)
    })
}

/// Makes anonymous fields of the same lines, which can be changed. Answers index and generation. Errors:
/// `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_clone(index: u32, generation: u32) -> Status {
    change(|agent, operation| {
        answer_handle(agent, fields::duplicate(operation, Handle { index, generation })?);
        Ok(Wake::NONE)
    })
}

/// Looks for the values of a name, unless the fields are those of the sequence `known` (negative: none is known).
/// Answers: the sequence, unless it is that, then as i32 −2 for nothing has changed, −1 for no such name, or the length of the values,
/// joined by `", "`; 16 bytes behind the beginning of the transfer buffer, and behind the name if that is there, stand
/// the values if they have room. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_get(index: u32, generation: u32, name: i32, known: f64) -> Status {
    read(|agent, table| {
        let handle = Handle { index, generation };
        if let Ok(known) = u32::try_from(small(known))
            && fields::is_same(table, handle, known)
        {
            answer(agent, 1, UNCHANGED);
            return Ok(());
        }
        let (name, taken) = wanted(agent, name)?;
        let begin = taken.wrapping_add(ANSWER);
        let (to, room) = (agent.transfer().wrapping_add(begin), body::TRANSFER_LENGTH.wrapping_sub(begin));
        let (length, sequence) = fields::get(table, handle, name, to, room)?;
        answer(agent, 0, sequence);
        answer(agent, 1, length.unwrap_or(ABSENT));
        Ok(())
    })
}

/// Answers 1 if there is a line of that name, else 0. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_has(index: u32, generation: u32, name: i32) -> Status {
    read(|agent, table| {
        let (name, _) = wanted(agent, name)?;
        let has = fields::has(table, Handle { index, generation }, name)?;
        answer(agent, 0, has.into());
        Ok(())
    })
}

/// Copies the block of the lines from `offset` on, as [`coheap::fields`] describes it, to 16 bytes behind the beginning
/// of the transfer buffer, as much as there is room for. Answers: bytes of the block, sequence. Errors: `STALE_HANDLE`,
/// `WRONG_TYPE`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_lines(index: u32, generation: u32, offset: u32) -> Status {
    read(|agent, table| {
        if offset & 7 != 0 {
            return Err(out_of_range(offset, 8, 0));
        }
        let (to, room) = (agent.transfer().wrapping_add(ANSWER), body::TRANSFER_LENGTH - ANSWER);
        let Copied { size, sequence } = fields::lines(table, Handle { index, generation }, offset, to, room)?;
        answer(agent, 0, size);
        answer(agent, 1, sequence);
        Ok(())
    })
}

/// Gives a name one value. Errors: `INVALID_FIELD`, `FIELDS_TOO_LARGE`, `IMMUTABLE`, `STALE_HANDLE`, `WRONG_TYPE`,
/// `OUT_OF_MEMORY`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_set(index: u32, generation: u32, name: i32, length: u32) -> Status {
    change(|agent, operation| {
        let (name, value) = line(agent, name, length)?;
        change_one(operation, Handle { index, generation }, Some(name), Some((name, value)))
    })
}

/// Adds a line. Errors: as [`coheap_fields_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_append(index: u32, generation: u32, name: i32, length: u32) -> Status {
    change(|agent, operation| {
        let line = line(agent, name, length)?;
        change_one(operation, Handle { index, generation }, None, Some(line))
    })
}

/// Removes every line of a name. Errors: as [`coheap_fields_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_delete(index: u32, generation: u32, name: i32) -> Status {
    change(|agent, operation| {
        let (name, _) = self::name(agent, name, agent.transfer(), body::TRANSFER_LENGTH)?;
        change_one(operation, Handle { index, generation }, Some(name), None)
    })
}

/// Changes fields by `count` lines, `how`: 0 gives the name of the first line the values of all in place of those it has,
/// 1 adds the lines, 4 removes the name of the first line; 2 more: the lines are in the region of bytes whose index and generation begin the transfer buffer.
/// Errors: as [`coheap_fields_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_change(index: u32, generation: u32, how: u32, count: u32) -> Status {
    change(|agent, operation: &Operation| {
        let handle = Handle { index, generation };
        let records = if how & FROM_REGION == 0 {
            Records::crossing(agent, count)
        } else {
            Records::of_region(agent, Table::of(operation), count)?
        };
        let first = || Records::next(&mut { records }).ok_or_else(|| out_of_range(0, 1, 0))?.map(|(name, _)| name);
        match how & !FROM_REGION {
            SET => change_many(operation, handle, Some(first()?), records),
            APPEND => change_many(operation, handle, None, records),
            DELETE => change_one(operation, handle, Some(first()?), None),
            _ => Err(out_of_range(how, 1, DELETE)),
        }
    })
}

/// From here on every change is refused. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_freeze(index: u32, generation: u32) -> Status {
    change(|_, operation| {
        fields::freeze(operation, Handle { index, generation })?;
        Ok(Wake::NONE)
    })
}

/// Answers 1 if the fields are frozen, else 0. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_fields_is_frozen(index: u32, generation: u32) -> Status {
    read(|agent, table| {
        let frozen = fields::is_frozen(table, Handle { index, generation })?;
        answer(agent, 0, frozen.into());
        Ok(())
    })
}
