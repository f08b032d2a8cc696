//! Objects of any type: finding and making them by name, references to them.

use coheap::name::{self, LONGEST, Shape};
use coheap::wait::Wake;
use coheap::{Handle, Type, acquire, count, park};
use coheap_alloc::{Agent, Error, Result};

use crate::call::{Status, change, detail, whole};

/// A private copy of the name in the transfer buffer: JavaScript could write there during the call only from another
/// agent, which is what untrusted bytes are.
pub(crate) fn with_name<R>(agent: Agent, length: u32, f: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
    let mut copy = [0; LONGEST as usize];
    let Some(name) = copy.get_mut(..length as usize) else {
        return Err(Error::name_too_long(length, LONGEST));
    };
    agent.memory().copy_out(agent.transfer(), name);
    f(name)
}

/// Finds or makes the object whose name (UTF-8) is in the transfer buffer, or, when `name_length` is 0, makes an
/// anonymous one; this agent has a reference to it. `argument`: for bytes, how many; for a pipe, its capacity. Detail 0: index, detail 1: generation. Errors: `WRONG_TYPE` when the
/// name is taken by another type or there is no such type, `NAME_TOO_LONG`, `OUT_OF_MEMORY`, `INVALID_LAYOUT`,
/// `TOO_MANY_REFERENCES`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_open(kind: u32, name_length: u32, argument: f64) -> Status {
    change(|agent, operation| {
        let shape = shape(kind, argument)?;
        let handle = if name_length == 0 {
            shape.create(operation)?
        } else {
            with_name(agent, name_length, |name| name::open(operation, name, shape))?
        };
        detail(agent, 0, f64::from(handle.index));
        detail(agent, 1, f64::from(handle.generation));
        Ok(Wake::NONE)
    })
}

fn shape(kind: u32, argument: f64) -> Result<Shape<'static>> {
    match Type::from_tag(kind) {
        Some(Type::Cell) => Ok(Shape::Cell(0.0)),
        Some(Type::Bytes) => match whole(argument).and_then(|length| u32::try_from(length).ok()) {
            Some(length) => Ok(Shape::Bytes(length)),
            None => Err(Error::invalid_layout(argument as u64, 1)),
        },
        Some(Type::Fields) => Ok(Shape::Fields),
        Some(Type::Map) => Ok(Shape::Map),
        Some(Type::List) => Ok(Shape::List),
        // What is no such number is no capacity either.
        Some(Type::Pipe) => Ok(Shape::Pipe(whole(argument).and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(0))),
        None => Err(Error::wrong_type(kind, 0)),
    }
}

/// Removes the name in the transfer buffer; its object ends unless some agent has a reference. Detail 0: 1 if there was one, else 0. Works when memory
/// is exhausted. Errors: `NAME_TOO_LONG`, `OUT_OF_RANGE` for an empty name.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_remove(name_length: u32) -> Status {
    change(|agent, operation| {
        let (removed, wake) = with_name(agent, name_length, |name| name::remove(operation, name))?;
        detail(agent, 0, f64::from(u8::from(removed)));
        Ok(wake)
    })
}

/// Takes a reference to an object, or a parked one; nothing when this agent has one. Detail 0: its type. Errors:
/// `STALE_HANDLE`, `WRONG_TYPE` for a type that this module does not know, `TOO_MANY_REFERENCES`, `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_acquire(index: u32, generation: u32) -> Status {
    change(|agent, operation| {
        let kind = acquire(operation, Handle { index, generation }, None)?;
        detail(agent, 0, f64::from(kind as u32));
        Ok(Wake::NONE)
    })
}

/// Gives this agent's reference back: with the last one the object ends, and later calls with its handle are stale.
/// Error: `STALE_HANDLE`, also when the agent has none.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_release(index: u32, generation: u32) -> Status {
    change(|_, operation| count::release_any(operation, Handle { index, generation }))
}

/// Makes this agent's reference one of nobody, which the next agent takes that acquires the object. Errors:
/// `STALE_HANDLE`, also when the agent has none; `TOO_MANY_REFERENCES`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_move(index: u32, generation: u32) -> Status {
    change(|_, operation| park(operation, Handle { index, generation }).map(|()| Wake::NONE))
}
