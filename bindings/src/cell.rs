//! Number cells.

use coheap::Handle;
use coheap::cell::{self, Waited};
use coheap_alloc::Entry;

use crate::call::{Status, change, detail, enter, read, status, table};
use crate::seat::{Imports, agent};

/// The number, or NaN: then [`coheap_cell_read`] tells a NaN from an error. Loads only while the agent is online.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_get(index: u32, generation: u32) -> f64 {
    let agent = agent();
    let handle = Handle { index, generation };
    if agent.is_online() { cell::get_or_nan(table(agent), handle) } else { get_offline(handle) }
}

#[cold]
#[inline(never)]
fn get_offline(handle: Handle) -> f64 {
    let agent = agent();
    let Ok(entry) = enter(agent) else { return f64::NAN };
    let number = cell::get_or_nan(table(agent), handle);
    if entry == Entry::Precise {
        agent.leave();
    }
    number
}

/// Detail 0: the number. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_read(index: u32, generation: u32) -> Status {
    read(|agent, table| {
        let number = cell::get(table, Handle { index, generation })?;
        detail(agent, 0, number);
        Ok(())
    })
}

/// Sets the number. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_cell_set(index: u32, generation: u32, number: f64) -> Status {
    change(|_, operation| cell::set(operation, Handle { index, generation }, number))
}

/// Adds; detail 0: the sum. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `CORRUPT`.
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
