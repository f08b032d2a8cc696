//! Cells. Numbers have calls of their own; how other values cross, [`crate::value`] says.

use coheap::cell::{self, Waited};
use coheap::name::{self, Shape};
use coheap::{Handle, Table};

use coheap_alloc::layout::body;

use crate::call::{Status, altered, change, detail, look, read, status, table};
use crate::object::with_name;
use crate::seat::{Imports, agent};
use crate::value::{answer, given, seen};

/// The number, or NaN: then [`coheap_cell_take`] tells a NaN from an error. Loads only while the agent is online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_get(index: u32, generation: u32) -> f64 {
    let agent = agent();
    let handle = Handle { index, generation };
    if agent.is_online() { cell::get_or_nan(table(agent), handle) } else { get_offline(handle) }
}

#[cold]
#[inline(never)]
fn get_offline(handle: Handle) -> f64 {
    look(|_, table| Ok(cell::get_or_nan(table, handle))).unwrap_or(f64::NAN)
}

/// The value, as an answer of [`crate::value`]: contents that fit are in the transfer buffer. Errors: `STALE_HANDLE`,
/// `WRONG_TYPE`, `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_take(index: u32, generation: u32) -> f64 {
    let taken =
        look(|agent, table| cell::take(table, Handle { index, generation }, agent.transfer(), body::TRANSFER_LENGTH));
    answer(agent(), taken)
}

/// Copies `length` bytes from `offset` of the long value that was taken last into the transfer buffer. Detail 0: 1, or
/// 0 when the cell holds another value now: then take again. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_piece(index: u32, generation: u32, offset: u32, length: u32) -> Status {
    read(|agent, table| {
        let length = length.min(body::TRANSFER_LENGTH);
        let same = cell::piece(table, Handle { index, generation }, seen(agent), offset, agent.transfer(), length)?;
        detail(agent, 0, f64::from(u8::from(same)));
        Ok(())
    })
}

/// The value, as an answer of [`crate::value`]: contents that are long are copied into a new anonymous region of this
/// agent's in one step. Errors: those of `coheap_cell_take`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_snapshot(index: u32, generation: u32) -> f64 {
    answer(agent(), altered(|_, operation| cell::snapshot(operation, Handle { index, generation })))
}

/// Sets the number. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_set(index: u32, generation: u32, number: f64) -> Status {
    change(|_, operation| cell::set(operation, Handle { index, generation }, number))
}

/// Sets any value. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_MEMORY`, `OUT_OF_RANGE` for what is no value.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_put(index: u32, generation: u32, kind: u32, number: f64) -> Status {
    change(|agent, operation| {
        let value = given(agent, Table::of(operation), kind, number, &mut 0)?;
        cell::set_value(operation, Handle { index, generation }, value)
    })
}

/// Adds; detail 0: the sum. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `NOT_A_NUMBER`, `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_add(index: u32, generation: u32, delta: f64) -> Status {
    change(|agent, operation| {
        let (sum, wake) = cell::add(operation, Handle { index, generation }, delta)?;
        detail(agent, 0, sum);
        Ok(wake)
    })
}

/// Sets the number to `number` if it is `expected`; detail 0: 1 if it was, else 0. Errors: `STALE_HANDLE`,
/// `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_compare_and_set(index: u32, generation: u32, expected: f64, number: f64) -> Status {
    change(|agent, operation| {
        let (done, wake) = cell::compare_and_set(operation, Handle { index, generation }, expected, number)?;
        detail(agent, 0, f64::from(u8::from(done)));
        Ok(wake)
    })
}

/// Sets the value to the second one if it is the first, by contents; detail 0: 1 if it was, else 0. Errors:
/// `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_MEMORY`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_compare_and_put(
    index: u32,
    generation: u32,
    expected_kind: u32,
    expected: f64,
    kind: u32,
    number: f64,
) -> Status {
    change(|agent, operation| {
        let (table, mut offset) = (Table::of(operation), 0);
        let expected = given(agent, table, expected_kind, expected, &mut offset)?;
        let value = given(agent, table, kind, number, &mut offset)?;
        let (done, wake) = cell::compare_and_set_value(operation, Handle { index, generation }, expected, value)?;
        detail(agent, 0, f64::from(u8::from(done)));
        Ok(wake)
    })
}

/// Finds or makes the cell whose name is in the transfer buffer, or, when `name_length` is 0, makes an anonymous one. A
/// new one holds the value whose contents follow the name. Detail 0: index, detail 1: generation. Errors: those of
/// `coheap_open` and `coheap_cell_put`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_open(name_length: u32, kind: u32, number: f64) -> Status {
    change(|agent, operation| {
        let mut offset = name_length.min(body::TRANSFER_LENGTH).next_multiple_of(8);
        let value = given(agent, Table::of(operation), kind, number, &mut offset)?;
        let handle = if name_length == 0 {
            cell::create_holding(operation, value)?
        } else {
            with_name(agent, name_length, |name| name::open(operation, name, Shape::Holding(value)))?
        };
        detail(agent, 0, f64::from(handle.index));
        detail(agent, 1, f64::from(handle.generation));
        Ok(coheap::wait::Wake::NONE)
    })
}

/// Blocks until the number is not `old` any more, `timeout` milliseconds at most (infinity: no limit); detail 0: 0
/// changed, 2 timed out. Errors: `CANNOT_BLOCK`, `STALE_HANDLE` also when the cell is released meanwhile, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_wait(index: u32, generation: u32, old: f64, timeout: f64) -> Status {
    let agent = agent();
    let waited = cell::wait(agent, &Imports, Handle { index, generation }, old, timeout);
    let result = waited.map(|waited| detail(agent, 0, if waited == Waited::Changed { 0.0 } else { 2.0 }));
    status(agent, result)
}

/// What to wait on for the number to differ from `old`: detail 0 the address of the word, or 0 when it differs already;
/// detail 1 what stands in the word (i32) until then. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_watch(index: u32, generation: u32, old: f64) -> Status {
    read(|agent, table| {
        let (address, expected) = match cell::watch(table, Handle { index, generation }, old)? {
            Some(watch) => (watch.address, watch.expected),
            None => (0, 0),
        };
        detail(agent, 0, f64::from(address));
        detail(agent, 1, f64::from(expected as i32));
        Ok(())
    })
}

/// As `coheap_cell_wait`, for any value, by its contents.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_wait_value(index: u32, generation: u32, kind: u32, number: f64, timeout: f64) -> Status {
    let agent = agent();
    // The transfer buffer is the agent's while it waits.
    let waited = given(agent, table(agent), kind, number, &mut 0)
        .and_then(|old| cell::wait_value(agent, &Imports, Handle { index, generation }, &old, timeout));
    let result = waited.map(|waited| detail(agent, 0, if waited == Waited::Changed { 0.0 } else { 2.0 }));
    status(agent, result)
}

/// As `coheap_cell_watch`, for any value, by its contents.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_watch_value(index: u32, generation: u32, kind: u32, number: f64) -> Status {
    read(|agent, table| {
        let old = given(agent, table, kind, number, &mut 0)?;
        let watch = cell::watch_value(table, Handle { index, generation }, &old)?;
        let (address, expected) = watch.map_or((0, 0), |watch| (watch.address, watch.expected));
        detail(agent, 0, f64::from(address));
        detail(agent, 1, f64::from(expected as i32));
        Ok(())
    })
}
