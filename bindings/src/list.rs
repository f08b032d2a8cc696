//! Lists. Many values cross as records ([`crate::map`]), one after the other; places are numbers, counted from the end if they are below 0
//! where that is said.

use coheap::list::{self, MOST, Removed};
use coheap::string::Given;
use coheap::{Handle, Table, bytes};
use coheap_alloc::layout::body;
use coheap_alloc::{Agent, Result};

use crate::call::{Status, altered, detail, look};
use crate::value::{self as crossing, place};

/// Of a batch: where the next one begins, and the bytes that its first value needs if none had room.
const HEAD: u32 = 16;

fn counted<N: Into<f64>>(result: Result<N, Status>) -> f64 {
    result.map_or_else(|status| -f64::from(status), Into::into)
}

/// The values of the records in the transfer buffer, or, if there are none, a number.
fn source(agent: Agent, table: Table, count: u32, number: f64) -> impl FnMut(u32) -> Result<Given<'static>> {
    let mut from = 0;
    move |_| {
        if count == 0 {
            return Ok(Given::number(number));
        }
        let (kind, number) = crossing::record_at(agent, &mut from)?;
        crossing::given(agent, table, kind, number, &mut from)
    }
}

/// The number at a place, which may be counted from the end, or NaN: then [`coheap_list_values`] tells what it is. At an infinite one: how
/// many values there are, or −status. Loads only while the agent is online. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_get(index: u32, generation: u32, place: f64) -> f64 {
    let found = look(|_, table| list::values(table, Handle { index, generation }, place, 1, 0, 0));
    if place == f64::INFINITY {
        return counted(found.map(|found| found.next as f64));
    }
    // The word of what is no number is a NaN.
    found.map_or(f64::NAN, |found| f64::from_bits(found.word))
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

/// Gives the value at a place another one, or, when that is below 0, pushes: the values of `count` records at the beginning of the transfer
/// buffer, or, for 0, this number. How many values there are then, if it pushed; or −status; those before the one that is refused are
/// pushed. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_RANGE` for what is no value, and when there are not so many; `OUT_OF_MEMORY`,
/// `TOO_MANY_REFERENCES`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_put(index: u32, generation: u32, place: f64, count: u32, number: f64) -> f64 {
    counted(altered(|agent, operation| {
        let source = source(agent, Table::of(operation), count, number);
        let (handle, place) = (Handle { index, generation }, (place >= 0.0).then_some(place as u64));
        list::put(operation, handle, place, count.clamp(1, MOST), source).map(|length| length as f64)
    }))
}

/// Takes out up to `delete` values from a place on, which may be counted from the end, and puts those of `count` records at the
/// beginning of the transfer buffer in their stead, as one step: how many were taken out, or −status. Their records go to `at`, behind
/// the given ones, as many as have room, [`MOST`] at most: no more are taken out. A structure goes alone; this agent has a reference to it
/// then. What is too long goes alone, and then the records are in a byte region of this agent's: detail 1 is its index, else 0, detail 2
/// its generation.
/// Detail 0: the place. With an `at` of 0 all go, and nothing is copied. Errors: as [`coheap_list_put`].
#[unsafe(no_mangle)]
pub extern "C" fn coheap_list_splice(index: u32, generation: u32, start: f64, delete: f64, count: u32, at: u32) -> f64 {
    counted(altered(|agent, operation| {
        let mut removed = match at {
            0 => Removed::Ignored,
            at => {
                let (to, room) = place(agent, 0, at)?;
                Removed::To { to, room: room & !7, region: None }
            }
        };
        let source = source(agent, Table::of(operation), count, 0.0);
        let handle = Handle { index, generation };
        let (place, taken) = list::splice(operation, handle, (start, delete as u32), count, source, &mut removed)?;
        let region = if let Removed::To { region: Some(region), .. } = removed { region.to_word() } else { 0 };
        detail(agent, 0, f64::from(place));
        detail(agent, 1, f64::from(region as u32));
        detail(agent, 2, f64::from((region >> 32) as u32));
        Ok(taken)
    }))
}
