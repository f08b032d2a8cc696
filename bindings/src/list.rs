//! Lists. Many values cross as records ([`crate::map`]), one after the other; places are numbers, counted from the end if they are below 0
//! where that is said.

use coheap::list::{self, MOST, Removed};
use coheap::string::Given;
use coheap::wait::Wake;
use coheap::{Handle, Table, bytes};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Error, Result};

use crate::call::{Status, altered, change, detail, look, whole};
use crate::value::{self as crossing, place};

/// Of a batch: where the next one begins, and the bytes that its first value needs if none had room.
const HEAD: u32 = 16;

fn counted<N: Into<f64>>(result: Result<N, Status>) -> f64 {
    result.map_or_else(|status| -f64::from(status), Into::into)
}

/// The value of the next record in the transfer buffer.
fn next(agent: Agent, table: Table, offset: &mut u32) -> Result<Given<'static>> {
    let (kind, number) = crossing::record_at(agent, offset)?;
    crossing::given(agent, table, kind, number, offset)
}

/// How many values there are, or −status. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_length(index: u32, generation: u32) -> f64 {
    counted(look(|_, table| list::length(table, Handle { index, generation }).map(|length| length as f64)))
}

/// The number at a place, which may be counted from the end, or NaN: then [`coheap_list_values`] tells what it is. Loads only while the
/// agent is online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_get(index: u32, generation: u32, place: f64) -> f64 {
    look(|_, table| list::get(table, Handle { index, generation }, place)).unwrap_or(f64::NAN)
}

/// The values from a place on, which may be counted from the end, `limit` at most: how many, or −status. In the transfer buffer: f64 the
/// place behind the last one · f64 bytes that the first needs if not even that had room, else 0 · the records of the values. None and
/// nothing needed: there are no more. With a byte region of this agent's, whose index is not 0, the records go there. Errors:
/// `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_values(
    index: u32,
    generation: u32,
    from: f64,
    limit: u32,
    region: u32,
    region_generation: u32,
) -> f64 {
    counted(look(|agent, table| {
        let (memory, head) = (agent.memory(), agent.transfer());
        let (to, room) = match region {
            0 => (head.wrapping_add(HEAD), body::TRANSFER_LENGTH - HEAD),
            index => bytes::all(table, Handle { index, generation: region_generation })?,
        };
        let batch = list::values(table, Handle { index, generation }, from, limit.min(MOST), to, room & !7)?;
        memory.set_own64(head, (batch.next as f64).to_bits());
        memory.set_own64(head.wrapping_add(8), f64::from(batch.needed).to_bits());
        Ok(batch.count)
    }))
}

/// Pushes the values of `count` records at the beginning of the transfer buffer, or, for 0, this number: how many values there are then,
/// or −status; those before the one that is refused are pushed. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_RANGE` for what is no
/// value, `OUT_OF_MEMORY`, `TOO_MANY_REFERENCES`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_push(index: u32, generation: u32, count: u32, number: f64) -> f64 {
    counted(altered(|agent, operation| {
        let (table, mut from) = (Table::of(operation), 0);
        let source = |_| if count == 0 { Ok(Given::number(number)) } else { next(agent, table, &mut from) };
        let count = count.clamp(1, MOST);
        list::push_many(operation, Handle { index, generation }, count, source).map(|length| length as f64)
    }))
}

/// Gives the value at a place another one. Errors: as [`coheap_list_push`], `OUT_OF_RANGE` when there are not so many.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_set(index: u32, generation: u32, place: f64, kind: u32, number: f64) -> Status {
    change(|agent, operation| {
        let given = crossing::given(agent, Table::of(operation), kind, number, &mut 0)?;
        let place = whole(place).ok_or(Error::out_of_range(place as u64, 1, 0))?;
        list::set(operation, Handle { index, generation }, place, given)?;
        Ok(Wake::NONE)
    })
}

/// Takes out up to `delete` values from a place on, which may be counted from the end, and puts those of `count` records at the
/// beginning of the transfer buffer in their stead, as one step: how many were taken out, or −status. Their records go to `at`, behind
/// the given ones, as many as have room, [`MOST`] at most: no more are taken out. A structure goes alone; this agent has a reference to it
/// then. What is too long goes alone, and into a byte region of this agent's: detail 1 is its index, else 0, detail 2 its generation.
/// Detail 0: the place. With an `at` of 0 all go, and nothing is copied. Errors: as [`coheap_list_push`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_splice(index: u32, generation: u32, start: f64, delete: f64, count: u32, at: u32) -> f64 {
    counted(altered(|agent, operation| {
        let (table, mut from) = (Table::of(operation), 0);
        let mut removed = match at {
            0 => Removed::Ignored,
            at => {
                let (to, room) = place(agent, 0, at)?;
                Removed::To { to, room: room & !7, region: None }
            }
        };
        let source = |_| next(agent, table, &mut from);
        let handle = Handle { index, generation };
        let (place, taken) = list::splice(operation, handle, (start, delete as u32), count, source, &mut removed)?;
        let region = if let Removed::To { region: Some(region), .. } = removed { region.to_word() } else { 0 };
        detail(agent, 0, f64::from(place));
        detail(agent, 1, f64::from(region as u32));
        detail(agent, 2, f64::from((region >> 32) as u32));
        Ok(taken)
    }))
}
