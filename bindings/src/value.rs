//! How values cross: a kind, a number, and the transfer buffer.
//!
//! | kind | the number | in the transfer buffer |
//! |---|---|---|
//! | 0 | a number, itself | |
//! | 1 | 0 undefined, 1 null, 2 false, 3 true | |
//! | 2 | a string of at most five units below 256: length · 2⁴⁰ + units, the first in the lowest bits | |
//! | 3 | an atom | |
//! | 4 | no value, where that can be one | |
//! | 8 + form | bytes of contents, see [`Form`] | the contents |
//! | 15 | 8: a reference to another object | u32 index, u32 generation; where there can be one |
//! | 16 + form | bytes of contents | inwards: u32 index, u32 generation of the byte region with the contents; outwards: nothing, they are too long |
//! | 24 + form | outwards: bytes of contents | nothing; details 0 and 1 are index and generation of a region with a copy |
//!
//! Inwards each value begins at a multiple of 8 in the transfer buffer, a second one behind the first. Outwards an
//! answer is kind · 2⁴⁴ + number, or −status; a number (kind 0) is detail 0.

use coheap::cell::Taken;
use coheap::map::Key;
use coheap::string::{Form, Given, Source};
use coheap::value::{self, Tag};
use coheap::{Handle, Table, atom};
use coheap_alloc::layout::{body, slot};
use coheap_alloc::{Address, Agent, Error, Memory, Result};

use crate::call::{Status, detail, whole};

const NUMBER: u32 = 0;
const CONSTANT: u32 = 1;
const SHORT: u32 = 2;
const ATOM: u32 = 3;
/// No value: see [`crate::map`].
pub(crate) const ABSENT: u32 = 4;
const INLINE: u32 = 8;
const LONG: u32 = 16;
const COPIED: u32 = 24;
/// Bytes of a record before its contents: u32 kind · u32 0 · f64 number.
pub(crate) const RECORD: u32 = 16;
/// Details that keep word and generation of the last long value, as they are, for the pieces that follow.
const SEEN: [u32; 2] = [6, 7];

fn refused(number: f64) -> Error {
    Error::out_of_range(0, number as u64, u64::from(body::TRANSFER_LENGTH))
}

/// Where contents cross: so many bytes that only this agent uses.
#[derive(Clone, Copy)]
pub(crate) struct Room {
    pub(crate) at: Address,
    pub(crate) length: u32,
}

impl Room {
    /// The agent's transfer buffer.
    #[inline]
    pub(crate) fn of(agent: Agent) -> Self {
        Self { at: agent.transfer(), length: body::TRANSFER_LENGTH }
    }
}

/// As [`given_in`], in the transfer buffer.
#[inline]
pub(crate) fn given(agent: Agent, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Given<'static>> {
    given_in(Room::of(agent), table, kind, number, offset)
}

/// The value of a kind and a number; `offset`: where its contents begin, then where the next may.
#[inline(never)]
fn given_in(room: Room, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Given<'static>> {
    if kind == NUMBER {
        return Ok(Given::number(number));
    }
    let count = whole(number).ok_or_else(|| refused(number))?;
    match kind {
        CONSTANT if count < 4 => Ok(Given::Word(value::UNDEFINED + count)),
        SHORT => {
            let word = value::tagged(Tag::Short, count);
            if count < 1 << 48 && value::is_plain(word) { Ok(Given::Word(word)) } else { Err(refused(number)) }
        }
        ATOM => u32::try_from(count).ok().and_then(|atom| Given::atom(table, atom)).ok_or_else(|| refused(number)),
        _ => {
            let form = Form::from_tag(kind & 7).filter(|_| (INLINE..COPIED).contains(&kind));
            let form = form.ok_or_else(|| refused(number))?;
            let length = u32::try_from(count).map_err(|_| refused(number))?;
            let at = room.at.wrapping_add(*offset);
            let taken = if kind >= LONG { 8 } else { length };
            let end = u64::from(*offset) + u64::from(taken);
            if end > u64::from(room.length) {
                return Err(refused(number));
            }
            *offset = (end as u32).next_multiple_of(8);
            let source = if kind >= LONG {
                let memory = table.memory;
                let handle = Handle { index: memory.own32(at), generation: memory.own32(at.wrapping_add(4)) };
                Source::Region { handle, length }
            } else {
                Source::Buffer { at, length }
            };
            Given::new(table, form, source)
        }
    }
}

/// 2⁵²: from here on doubles have no fraction, so a smaller number stands in the low bits of the sum.
const SMALL: f64 = 4_503_599_627_370_496.0;

/// A whole number below 2⁵² that came as a double; of any other one something else, if it is not negative more than 2⁵². In place of a
/// conversion, which takes as long as ten loads, because those of wasm know no undefined results.
#[inline(always)]
pub(crate) fn small(number: f64) -> u64 {
    (number + SMALL).to_bits() ^ SMALL.to_bits()
}

/// The word of a value of a kind and a number that a word holds; `None` for any other.
#[inline]
pub(crate) fn word(table: Table, kind: u32, number: f64) -> Option<u64> {
    if kind == NUMBER {
        return Some(value::from_number(number));
    }
    let count = small(number);
    if number + SMALL - SMALL != number {
        return None;
    }
    match kind {
        CONSTANT if count < 4 => Some(value::UNDEFINED + count),
        SHORT if count < 1 << 48 => Some(value::tagged(Tag::Short, count)).filter(|&word| value::is_plain(word)),
        ATOM => atom::word(table, u32::try_from(count).ok()?),
        _ => None,
    }
}

/// The key of a kind and a number, as [`given`].
#[inline]
pub(crate) fn key(agent: Agent, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Key<'static>> {
    key_in(Room::of(agent), table, kind, number, offset)
}

/// As [`key`], as [`given_in`].
#[inline(always)]
pub(crate) fn key_in(room: Room, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Key<'static>> {
    if kind == NUMBER { Ok(Key::number(number)) } else { text_key_in(room, table, kind, number, offset) }
}

#[inline(never)]
fn text_key_in(room: Room, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Key<'static>> {
    Key::given(table, given_in(room, table, kind, number, offset)?).ok_or_else(|| refused(number))
}

/// Kind and number of the record at `offset`, then where its contents begin.
pub(crate) fn record_in(room: Room, memory: Memory, offset: &mut u32) -> Result<(u32, f64)> {
    if u64::from(*offset) + u64::from(RECORD) > u64::from(room.length) || !offset.is_multiple_of(8) {
        return Err(Error::out_of_range((*offset).into(), RECORD.into(), room.length.into()));
    }
    let at = room.at.wrapping_add(*offset);
    *offset = offset.wrapping_add(RECORD);
    Ok((memory.own32(at), f64::from_bits(memory.own64(at.wrapping_add(8)))))
}

/// As [`record_in`], in the transfer buffer.
pub(crate) fn record_at(agent: Agent, offset: &mut u32) -> Result<(u32, f64)> {
    record_in(Room::of(agent), agent.memory(), offset)
}

/// Where in the transfer buffer `at` is, which has room for the head of a record, and how much it has. What is before
/// `least` is not free.
pub(crate) fn place(agent: Agent, least: u32, at: u32) -> Result<(Address, u32)> {
    let limit = body::TRANSFER_LENGTH - RECORD;
    if at < least || at > limit || !at.is_multiple_of(8) {
        return Err(Error::out_of_range(at.into(), RECORD.into(), limit.into()));
    }
    Ok((agent.transfer().wrapping_add(at), body::TRANSFER_LENGTH - at))
}

/// Writes the head of the record of what was taken to `to`, before its contents, and answers the bytes of all of it:
/// with more than `room` the contents are not there.
pub(crate) fn record(agent: Agent, to: Address, room: u32, taken: Option<Taken>) -> u32 {
    let memory = agent.memory();
    let mut size = RECORD;
    let (kind, number) = match taken {
        None => (ABSENT, 0.0),
        Some(Taken { block: Some((form, length)), region, .. }) => {
            let kind = match region {
                Some(region) => {
                    memory.set_own64(to.wrapping_add(RECORD), region.to_word());
                    size += 8;
                    COPIED
                }
                None => {
                    size = size.saturating_add(length.min(u32::MAX - 7).next_multiple_of(8));
                    if size > room { LONG } else { INLINE }
                }
            };
            (kind + form as u32, f64::from(length))
        }
        Some(Taken { word, .. }) => match value::tag(word) {
            Some(Tag::Special) => (CONSTANT, value::payload(word) as f64),
            Some(Tag::Short) => (SHORT, value::payload(word) as f64),
            Some(_) => (ATOM, value::payload(word) as f64),
            None => (NUMBER, f64::from_bits(word)),
        },
    };
    memory.set_own64(to, u64::from(kind));
    memory.set_own64(to.wrapping_add(8), number.to_bits());
    size
}

/// Keeps what a piece must be of.
fn see(agent: Agent, taken: &Taken) {
    let [word, generation] = SEEN.map(|index| agent.slot().wrapping_add(slot::DETAILS + index * 8));
    agent.memory().set_own64(word, taken.word);
    agent.memory().set_own64(generation, u64::from(taken.generation));
}

/// The word and the generation that [`see`] kept.
pub(crate) fn seen(agent: Agent) -> (u64, u32) {
    let [word, generation] = SEEN.map(|index| agent.slot().wrapping_add(slot::DETAILS + index * 8));
    (agent.memory().own64(word), agent.memory().own64(generation) as u32)
}

/// The answer that says what was taken.
#[inline(never)]
pub(crate) fn answer(agent: Agent, taken: Result<Taken, Status>) -> f64 {
    const KINDS: f64 = (1u64 << 44) as f64;
    let taken = match taken {
        Ok(taken) => taken,
        Err(status) => return -f64::from(status),
    };
    let (kind, number) = match (taken.block, taken.region) {
        (Some((form, length)), Some(region)) => {
            detail(agent, 0, f64::from(region.index));
            detail(agent, 1, f64::from(region.generation));
            (COPIED + form as u32, u64::from(length))
        }
        (Some((form, length)), None) if length <= body::TRANSFER_LENGTH => (INLINE + form as u32, u64::from(length)),
        (Some((form, length)), None) => {
            see(agent, &taken);
            (LONG + form as u32, u64::from(length))
        }
        (None, _) => match value::tag(taken.word) {
            Some(Tag::Special) => (CONSTANT, value::payload(taken.word)),
            Some(Tag::Short) => (SHORT, value::payload(taken.word)),
            Some(_) => (ATOM, value::payload(taken.word)),
            None => {
                detail(agent, 0, f64::from_bits(taken.word));
                (NUMBER, 0)
            }
        },
    };
    f64::from(kind) * KINDS + number as f64
}
