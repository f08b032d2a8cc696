//! Maps. Keys and values cross as [`crate::value`] says, the key first: contents of the key at the beginning of the
//! transfer buffer, those of values behind it.
//!
//! Where an answer is more than a number it is a *record*, at a place that the caller chooses: u32 kind · u32 of
//! its own · f64 number · contents, padded to 8. Kinds are those of [`crate::value`], a number its own number; [`ABSENT`]
//! says that there is no such key, 16 + form that the contents have no room ([`coheap_map_snapshot`] copies them). Many keys and
//! entries cross as records too, one after the other.

use coheap::cell::Taken;
use coheap::map::{self, Additions, Key, Located, Place, Seen};
use coheap::pipe::Lease;
use coheap::string::Given;
use coheap::wait::Wake;
use coheap::{Handle, Table, Type, bytes, value};
use coheap_alloc::layout::body;
use coheap_alloc::{Address, Agent, Error, Result};

use crate::call::{Status, altered, change, detail, look, read, table, whole};
use crate::seat::agent;
use crate::value::{self as crossing, ABSENT, RECORD, Room, place, record};

/// Of a batch: the position that the next one begins at, and the bytes that its first entry needs if none had room.
const HEAD: u32 = 16;
/// Entries of one batch. Operations stay short, so that an audit finds a gap between them.
const MOST: u32 = 64;
/// Where [`coheap_map_add`] leaves its status.
const STATUS: u32 = 3;

fn answered(result: Result<bool, Status>) -> f64 {
    counted(result.map(u32::from))
}

fn counted(result: Result<u32, Status>) -> f64 {
    result.map_or_else(|status| -f64::from(status), f64::from)
}

/// The key at the beginning of the transfer buffer, and where what follows it may begin.
#[inline(never)]
fn first(agent: Agent, table: Table, kind: u32, number: f64) -> Result<(Key<'static>, u32)> {
    first_here(agent, table, kind, number)
}

/// As [`first`], in line: for the calls that are made most.
#[inline(always)]
fn first_here(agent: Agent, table: Table, kind: u32, number: f64) -> Result<(Key<'static>, u32)> {
    let mut offset = 0;
    Ok((crossing::key(agent, table, kind, number, &mut offset)?, offset))
}

/// The value of a key, as [`map::get`] answers it: one search for all calls.
fn found(table: Table, handle: Handle, key: &Key<'_>, to: Address, room: u32) -> Result<Option<Taken>> {
    Ok(map::locate(table, handle, key, to, room)?.map(|located| located.taken))
}

/// The number of a key, or NaN: then [`coheap_map_take`] tells what it is. Loads only while the agent is online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_get(index: u32, generation: u32, kind: u32, number: f64) -> f64 {
    let found = look(|agent, table| {
        let (key, _) = first_here(agent, table, kind, number)?;
        found(table, Handle { index, generation }, &key, 0, 0)
    });
    // The word of what is no number is a NaN.
    found.ok().flatten().map_or(f64::NAN, |taken| f64::from_bits(taken.word))
}

/// Where the value of a key was found goes to `at`, behind the key, and 32 bytes behind that the record of it. Where:
/// u32 place, or 0 · 3 u32 which value it is · u32, u32 the map's head · f64 its era. Errors: `STALE_HANDLE`,
/// `WRONG_TYPE`, `OUT_OF_RANGE` for what is no key or no place, `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_take(index: u32, generation: u32, kind: u32, number: f64, at: u32) -> Status {
    read(|agent, table| {
        let (key, end) = first(agent, table, kind, number)?;
        let (where_at, _) = place(agent, end, at)?;
        let (to, room) = place(agent, end, at.wrapping_add(LOCATED))?;
        let handle = Handle { index, generation };
        let found = map::locate(table, handle, &key, to.wrapping_add(RECORD), room - RECORD)?;
        let memory = agent.memory();
        match found {
            Some(Located { place, seen, .. }) => {
                let [low, middle, high] = seen.0.map(u64::from);
                let words = [u64::from(place.entry) | low << 32, middle | high << 32, place.head];
                for (number, word) in (0..).zip(words) {
                    memory.set_own64(where_at.wrapping_add(number * 8), word);
                }
                memory.set_own64(where_at.wrapping_add(24), (place.era as f64).to_bits());
            }
            None => memory.set_own64(where_at, 0),
        }
        record(agent, to, room, found.map(|found| found.taken));
        Ok(())
    })
}

/// Bytes that say where a value was found.
const LOCATED: u32 = 32;

#[inline]
fn place_of(entry: u32, era: f64, head_low: u32, head_high: u32) -> Place {
    Place { entry, head: u64::from(head_low) | u64::from(head_high) << 32, era: crossing::small(era) }
}

/// The number at a place that [`coheap_map_take`] answered, without a search; NaN: take it. Loads only while the agent
/// is online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_number_at(
    index: u32,
    generation: u32,
    entry: u32,
    era: f64,
    head_low: u32,
    head_high: u32,
) -> f64 {
    let (handle, place) = (Handle { index, generation }, place_of(entry, era, head_low, head_high));
    let agent = agent();
    if agent.is_online() {
        return map::number_at(table(agent), handle, place);
    }
    look(|_, table| Ok(map::number_at(table, handle, place))).unwrap_or(f64::NAN)
}

/// 1 if the value at a place is the one that [`coheap_map_take`] answered; 0: take it. Loads only while the agent is
/// online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_is_same_at(
    index: u32,
    generation: u32,
    entry: u32,
    era: f64,
    head_low: u32,
    head_high: u32,
    low: u32,
    middle: u32,
    high: u32,
) -> u32 {
    let (handle, place) = (Handle { index, generation }, place_of(entry, era, head_low, head_high));
    let agent = agent();
    let same = |table| map::is_same_at(table, handle, place, Seen([low, middle, high]));
    let same = if agent.is_online() { same(table(agent)) } else { look(|_, table| Ok(same(table))).unwrap_or(false) };
    u32::from(same)
}

/// Gives the entry at a place that [`coheap_map_take`] answered this value, which has no contents, without a search: 1; 0: nothing
/// changed, set it by the key, which also tells every error.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_set_at(
    index: u32,
    generation: u32,
    entry: u32,
    era: f64,
    head_low: u32,
    head_high: u32,
    value_kind: u32,
    value: f64,
) -> u32 {
    let (handle, place) = (Handle { index, generation }, place_of(entry, era, head_low, head_high));
    let done = look(|agent, table| {
        let Some(word) = crossing::word(table, value_kind, value) else { return Ok(false) };
        Ok(map::change_at(agent, handle, place, |_| Some(word)).is_some())
    });
    u32::from(done == Ok(true))
}

/// Adds to the number at a place that [`coheap_map_take`] answered, without a search: the sum; NaN: add by the key. Errors
/// are NaN, too.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_add_at(
    index: u32,
    generation: u32,
    entry: u32,
    era: f64,
    head_low: u32,
    head_high: u32,
    delta: f64,
) -> f64 {
    let (handle, place) = (Handle { index, generation }, place_of(entry, era, head_low, head_high));
    // A sum that is NaN is left to the search, which says whether it is one.
    let next = |word| {
        let sum = value::to_number(word)? + delta;
        (!sum.is_nan()).then(|| value::from_number(sum))
    };
    let sum = look(|agent, _| Ok(map::change_at(agent, handle, place, next)));
    sum.ok().flatten().map_or(f64::NAN, f64::from_bits)
}

/// As [`coheap_map_take`]; contents are copied into a new anonymous byte region of this agent's, whose index and
/// generation are those of the record. Errors: `OUT_OF_MEMORY` too.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_snapshot(index: u32, generation: u32, kind: u32, number: f64, at: u32) -> Status {
    change(|agent, operation| {
        let (table, handle) = (Table::of(operation), Handle { index, generation });
        let (key, end) = first(agent, table, kind, number)?;
        let (to, room) = place(agent, end, at)?;
        // Lock-free: another round means that another agent put a longer value there.
        loop {
            let there = found(table, handle, &key, 0, 0)?;
            let length = there.and_then(|taken| taken.block).map_or(0, |(_, length)| length);
            if length == 0 {
                let taken = found(table, handle, &key, to.wrapping_add(RECORD), 0)?;
                if taken.and_then(|taken| taken.block).is_none_or(|(_, length)| length == 0) {
                    record(agent, to, room, taken);
                    return Ok(Wake::NONE);
                }
                continue;
            }
            let region = bytes::create(operation, length)?;
            let copied = bytes::all(table, region).and_then(|(address, _)| found(table, handle, &key, address, length));
            if let Ok(Some(taken)) = copied
                && taken.block.is_some_and(|(_, now)| 0 < now && now <= length)
            {
                record(agent, to, room, Some(Taken { region: Some(region), ..taken }));
                return Ok(Wake::NONE);
            }
            // Nobody waits for it.
            let _ = coheap::release(operation, region, Type::Bytes)?;
            copied?;
        }
    })
}

/// 1 if the key is there, 0, or −status. Errors: as [`coheap_map_take`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_has(index: u32, generation: u32, kind: u32, number: f64) -> f64 {
    answered(look(|agent, table| {
        let (key, _) = first_here(agent, table, kind, number)?;
        Ok(found(table, Handle { index, generation }, &key, 0, 0)?.is_some())
    }))
}

/// How many entries there are, or −status. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_size(index: u32, generation: u32) -> f64 {
    match look(|_, table| map::size(table, Handle { index, generation })) {
        Ok(size) => size as f64,
        Err(status) => -f64::from(status),
    }
}

/// Gives a key this value. Errors: as [`coheap_map_take`], `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_set(
    index: u32,
    generation: u32,
    kind: u32,
    number: f64,
    value_kind: u32,
    value: f64,
) -> Status {
    change(|agent, operation| {
        let table = Table::of(operation);
        let (key, mut offset) = first_here(agent, table, kind, number)?;
        let value = crossing::given(agent, table, value_kind, value, &mut offset)?;
        map::set(operation, Handle { index, generation }, &key, value)?;
        Ok(Wake::NONE)
    })
}

/// Gives a key this value if it is not there: 1; 0 if it was, and the record of its value goes to `at`, behind the given
/// one; or −status. Errors: as [`coheap_map_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_insert(
    index: u32,
    generation: u32,
    kind: u32,
    number: f64,
    value_kind: u32,
    value: f64,
    at: u32,
) -> f64 {
    answered(altered(|agent, operation| {
        let table = Table::of(operation);
        let (key, mut offset) = first(agent, table, kind, number)?;
        let value = crossing::given(agent, table, value_kind, value, &mut offset)?;
        let (to, room) = place(agent, offset, at)?;
        let (handle, to_contents) = (Handle { index, generation }, to.wrapping_add(RECORD));
        let there = map::insert_if_absent(operation, handle, &key, value, to_contents, room - RECORD)?;
        if there.is_some() {
            record(agent, to, room, there);
        }
        Ok(there.is_none())
    }))
}

/// Removes a key: 1 if it was there, 0, or −status. Errors: as [`coheap_map_take`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_delete(index: u32, generation: u32, kind: u32, number: f64) -> f64 {
    answered(altered(|agent, operation| {
        let (key, _) = first(agent, Table::of(operation), kind, number)?;
        map::delete(operation, Handle { index, generation }, &key)
    }))
}

/// Adds to the number of a key, 0 if it is not there: the sum; or NaN, then detail 3 is the status. Errors: as
/// [`coheap_map_set`], `NOT_A_NUMBER`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_add(index: u32, generation: u32, kind: u32, number: f64, delta: f64) -> f64 {
    let sum = altered(|agent, operation| {
        let (key, _) = first_here(agent, Table::of(operation), kind, number)?;
        map::add(operation, Handle { index, generation }, &key, delta)
    });
    let (sum, status) = match sum {
        Ok(sum) if !sum.is_nan() => return sum,
        Ok(sum) => (sum, 0),
        Err(status) => (f64::NAN, status),
    };
    detail(agent(), STATUS, f64::from(status));
    sum
}

/// What is expected or to be set: no value for [`ABSENT`].
fn given(agent: Agent, table: Table, kind: u32, number: f64, offset: &mut u32) -> Result<Option<Given<'static>>> {
    if kind == ABSENT { Ok(None) } else { crossing::given(agent, table, kind, number, offset).map(Some) }
}

/// Gives a key the second value if it has the first, by contents; [`ABSENT`] as the first also is undefined, as the
/// second it removes the key: 1 if it had, 0, or −status. Errors: as [`coheap_map_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_compare_and_set(
    index: u32,
    generation: u32,
    kind: u32,
    number: f64,
    expected_kind: u32,
    expected: f64,
    value_kind: u32,
    value: f64,
) -> f64 {
    answered(altered(|agent, operation| {
        let (table, handle) = (Table::of(operation), Handle { index, generation });
        let (key, mut offset) = first(agent, table, kind, number)?;
        let expected = given(agent, table, expected_kind, expected, &mut offset)?;
        let value = given(agent, table, value_kind, value, &mut offset)?;
        if expected.is_some() {
            return map::compare_and_set(operation, handle, &key, expected, value);
        }
        // JavaScript reads `undefined` from both. Lock-free: another round means that another agent changed the entry.
        loop {
            for expected in [None, Some(Given::Word(value::UNDEFINED))] {
                if map::compare_and_set(operation, handle, &key, expected, value)? {
                    return Ok(true);
                }
            }
            match found(table, handle, &key, 0, 0)? {
                None => {}
                Some(taken) if taken.word == value::UNDEFINED => {}
                Some(_) => return Ok(false),
            }
        }
    }))
}

/// Removes every entry. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_clear(index: u32, generation: u32) -> Status {
    change(|_, operation| {
        map::clear(operation, Handle { index, generation })?;
        Ok(Wake::NONE)
    })
}

/// Looks for the keys of `count` records at the beginning of the transfer buffer, one after the other; the records of
/// their values go to `at`, behind the keys, as long as they have room: how many, or −status. The first has room
/// always, if only for how long it is. Errors: as [`coheap_map_take`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_get_many(index: u32, generation: u32, count: u32, at: u32) -> f64 {
    counted(look(|agent, table| {
        if count == 0 {
            return map::size(table, Handle { index, generation }).map(|_| 0);
        }
        let (mut from, mut at) = (0, at);
        for number in 0..count.min(MOST) {
            let (kind, own) = crossing::record_at(agent, &mut from)?;
            let key = crossing::key(agent, table, kind, own, &mut from)?;
            let (to, room) = match place(agent, from, at) {
                Err(_) if number > 0 => return Ok(number),
                place => place?,
            };
            let taken = found(table, Handle { index, generation }, &key, to.wrapping_add(RECORD), room - RECORD)?;
            let taken_room = record(agent, to, room, taken);
            if taken_room > room {
                return Ok(number.max(1));
            }
            at = at.wrapping_add(taken_room);
        }
        Ok(count.min(MOST))
    }))
}

/// Sets `count` entries, records of a key and of a value in turn, one after the other: how many, or −status; those
/// before the one that is refused are set. Errors: as [`coheap_map_set`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_set_many(index: u32, generation: u32, count: u32) -> f64 {
    counted(altered(|agent, operation| {
        let (table, mut from) = (Table::of(operation), 0);
        if count == 0 {
            return map::size(table, Handle { index, generation }).map(|_| 0);
        }
        for _ in 0..count.min(MOST) {
            let (kind, number) = crossing::record_at(agent, &mut from)?;
            let key = crossing::key(agent, table, kind, number, &mut from)?;
            let (kind, number) = crossing::record_at(agent, &mut from)?;
            let value = crossing::given(agent, table, kind, number, &mut from)?;
            map::set(operation, Handle { index, generation }, &key, value)?;
        }
        Ok(count.min(MOST))
    }))
}

/// Additions that crossed: records of a key and of a number in turn.
struct Records {
    room: Room,
    table: Table,
    count: u32,
}

impl Additions for Records {
    fn count(&self) -> u32 {
        self.count
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let (room, table, mut from) = (self.room, self.table, position);
        let (kind, number) = crossing::record_in(room, table.memory, &mut from)?;
        let key = crossing::key_in(room, table, kind, number, &mut from)?;
        let (_, delta) = crossing::record_in(room, table.memory, &mut from)?;
        Ok((f(&key, delta)?, from))
    }
}

/// Adds to the numbers of `count` keys, and commits a loan of a pipe, all or nothing: records of a key and of a number in
/// turn, one after the other, in a byte region of this agent's, or in the transfer buffer if its index is 0. `pipe` 0: no
/// loan. Errors: as [`coheap_map_add`], `LEASE_LOST`, `OUT_OF_RANGE` for more than 65,536 additions.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_add_many(
    index: u32,
    generation: u32,
    count: u32,
    region: u32,
    region_generation: u32,
    pipe: u32,
    pipe_generation: u32,
    loan: u32,
    loan_generation: u32,
    position: f64,
    length: u32,
) -> Status {
    change(|agent, operation| {
        let table = Table::of(operation);
        let room = match region {
            0 => Room::of(agent),
            _ => {
                let (at, length) = bytes::all(table, Handle { index: region, generation: region_generation })?;
                Room { at, length }
            }
        };
        let lease = Lease { number: loan, generation: loan_generation, position: position as u64, length };
        let loan = (pipe != 0).then_some((Handle { index: pipe, generation: pipe_generation }, lease));
        map::add_many(operation, Handle { index, generation }, &Records { room, table, count }, loan)
    })
}

fn batch(agent: Agent, table: Table, handle: Handle, from: f64, limit: u32, to: Address, room: u32) -> Result<u32> {
    let from = whole(from).ok_or_else(|| Error::out_of_range(from as u64, 1, u64::MAX))?;
    let batch = map::entries(table, handle, from, limit.min(MOST), to, room)?;
    let (memory, head) = (agent.memory(), agent.transfer());
    memory.set_own64(head, (batch.next as f64).to_bits());
    memory.set_own64(head.wrapping_add(8), f64::from(batch.needed).to_bits());
    Ok(batch.count)
}

/// The entries from the position `from` on, `limit` at most: how many, or −status. In the transfer buffer: f64 the
/// position that the next batch begins at · f64 bytes that the next entry needs if not even one had room, else 0 · the
/// entries, records of a key and of a value in turn, the low half of the
/// entry's position in the key's. None and nothing needed: there are no more. Errors:
/// `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_RANGE` for what is no position.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_entries(index: u32, generation: u32, from: f64, limit: u32) -> f64 {
    counted(look(|agent, table| {
        let (to, room) = (agent.transfer().wrapping_add(HEAD), body::TRANSFER_LENGTH - HEAD);
        batch(agent, table, Handle { index, generation }, from, limit, to, room)
    }))
}

/// As [`coheap_map_entries`], of one entry, which goes into a byte region of this agent's.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_map_entry_to(
    index: u32,
    generation: u32,
    from: f64,
    region: u32,
    region_generation: u32,
) -> f64 {
    counted(look(|agent, table| {
        let region = Handle { index: region, generation: region_generation };
        let (to, room) = bytes::all(table, region)?;
        batch(agent, table, Handle { index, generation }, from, 1, to, room)
    }))
}
