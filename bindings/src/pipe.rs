//! Pipes. Bytes cross in the transfer buffer, so many at once as that has room for.
//!
//! A call that may find the pipe full or empty answers a number: what it did · 2⁴⁴ + how many bytes, or −status.
//!
//! | it did | |
//! |---|---|
//! | 0 | so many bytes were written or read |
//! | 1 | nothing: the stream has ended |
//! | 2 | nothing now: details 0 and 1 are the wait word's address (0 without `wait`) and what stands in it (i32), detail 2 says up to where there is no delimiter, or −1 |
//! | 3 | nothing: the next token has so many bytes, and must be taken on loan |
//! | 4 | a loan of so many bytes: details 0 to 2 are its number, its generation, and where in the stream it begins |

use coheap::pipe::{self, Lease, Outcome, Read, Source, Until};
use coheap::wait::{self, Wake, Watch};
use coheap::{Handle, Table};
use coheap_alloc::layout::{PAGE, body};
use coheap_alloc::{Agent, Error, Operation, Result};

use crate::call::{Status, altered, change, detail, read, status, whole};
use crate::seat::{Imports, agent};
use crate::value::{answer, given};

const KINDS: f64 = (1u64 << 44) as f64;
const BYTES: u32 = 0;
const END: u32 = 1;
const WAIT: u32 = 2;
const LONG: u32 = 3;
const LEASE: u32 = 4;

/// The number that says what came of it, after whoever waits was woken.
#[inline(never)]
fn tell(came: Result<(f64, Wake), Status>) -> f64 {
    match came {
        Ok((number, wake)) => {
            wake.notify(&Imports);
            number
        }
        Err(status) => -f64::from(status),
    }
}

fn number(kind: u32, count: u32) -> f64 {
    f64::from(kind) * KINDS + f64::from(count)
}

#[cold]
#[inline(never)]
fn waiting(agent: Agent, watch: Option<Watch>, scanned: Option<u64>) -> f64 {
    let (address, expected) = watch.map_or((0, 0), |watch| (watch.address, watch.expected));
    detail(agent, 0, f64::from(address));
    detail(agent, 1, f64::from(expected as i32));
    detail(agent, 2, scanned.map_or(-1.0, |at| at as f64));
    number(WAIT, 0)
}

/// Detail 0: capacity in bytes. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_capacity(index: u32, generation: u32) -> Status {
    read(|agent, table| {
        let capacity = pipe::capacity(table, Handle { index, generation })?;
        detail(agent, 0, f64::from(capacity));
        Ok(())
    })
}

/// Detail 0: how many bytes can be read. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `CORRUPT`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_available(index: u32, generation: u32) -> Status {
    change(|agent, operation| {
        let bytes = pipe::available(operation, Handle { index, generation })?;
        detail(agent, 0, bytes as f64);
        Ok(Wake::NONE)
    })
}

/// Writes as many of the first `length` bytes of the transfer buffer as there is room for, as one piece; all of at most
/// 4,096. Answers what it did: 0 or 2. Errors: `PIPE_CLOSED`, `PIPE_ABORTED`, `STALE_HANDLE`, `WRONG_TYPE`,
/// `OUT_OF_MEMORY`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_write(index: u32, generation: u32, length: u32, wait: u32) -> f64 {
    let came = altered(|agent, operation| {
        if length > body::TRANSFER_LENGTH {
            return Err(Error::out_of_range(0, length.into(), body::TRANSFER_LENGTH.into()));
        }
        let from = Source::Buffer { at: agent.transfer(), length };
        let (outcome, wake) = pipe::write(operation, Handle { index, generation }, from, wait != 0)?;
        Ok(match outcome {
            Outcome::Done(count) => (number(BYTES, count), wake),
            Outcome::Wait(watch) => (waiting(agent, watch, None), wake),
        })
    });
    tell(came)
}

/// The delimiter of so many bytes, the last in the lowest bits.
#[cold]
#[inline(never)]
fn until(length: u32, low: u32, high: u32) -> Result<Until> {
    let bytes = (u64::from(high) << 32 | u64::from(low)).to_be_bytes();
    let bytes = 8u32.checked_sub(length).and_then(|first| bytes.get(first as usize..));
    bytes.and_then(Until::new).ok_or_else(|| Error::out_of_range(0, length.into(), 8))
}

/// One operation that may find no bytes: then its answer is what to wait for.
fn ask(
    (length, low, high): (u32, u32, u32),
    scanned: f64,
    f: impl FnOnce(Agent, &Operation, Option<Until>, &mut Option<u64>) -> Result<(Result<f64, Option<Watch>>, Wake)>,
) -> f64 {
    let mut scanned = whole(scanned);
    tell(altered(|agent, operation| {
        let until = if length == 0 { None } else { Some(until(length, low, high)?) };
        let (told, wake) = f(agent, operation, until, &mut scanned)?;
        Ok((told.unwrap_or_else(|watch| waiting(agent, watch, scanned)), wake))
    }))
}

/// Takes at most `most` bytes into the transfer buffer; whole tokens, if the delimiter has a length. `scanned`: detail 2 of
/// the last answer of this kind. Answers what it did: 0, 1, 2 or 3. Errors: `TOKEN_TOO_LONG`, `PIPE_ABORTED`, `STALE_HANDLE`,
/// `WRONG_TYPE`, `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_read(
    index: u32,
    generation: u32,
    most: u32,
    delimiter_length: u32,
    delimiter_low: u32,
    delimiter_high: u32,
    scanned: f64,
    wait: u32,
) -> f64 {
    let delimiter = (delimiter_length, delimiter_low, delimiter_high);
    ask(delimiter, scanned, |agent, operation, until, scanned| {
        let to = (agent.transfer(), most.min(body::TRANSFER_LENGTH));
        let (outcome, wake) = pipe::read(operation, Handle { index, generation }, to, until, scanned, wait != 0)?;
        let told = match outcome {
            Outcome::Done(Read::Bytes(count)) => Ok(number(BYTES, count)),
            Outcome::Done(Read::End) => Ok(number(END, 0)),
            Outcome::Done(Read::Long(count)) => Ok(number(LONG, count)),
            Outcome::Wait(watch) => Err(watch),
        };
        Ok((told, wake))
    })
}

/// As `coheap_pipe_read`, on loan: answers 1, 2 or 4. Errors: those, and `OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_lease(
    index: u32,
    generation: u32,
    most: u32,
    delimiter_length: u32,
    delimiter_low: u32,
    delimiter_high: u32,
    scanned: f64,
    wait: u32,
) -> f64 {
    let delimiter = (delimiter_length, delimiter_low, delimiter_high);
    ask(delimiter, scanned, |agent, operation, until, scanned| {
        let handle = Handle { index, generation };
        let (outcome, wake) = pipe::lease(operation, handle, most, until, scanned, wait != 0)?;
        let told = match outcome {
            Outcome::Done(Some(lease)) => {
                detail(agent, 0, f64::from(lease.number));
                detail(agent, 1, f64::from(lease.generation));
                detail(agent, 2, lease.position as f64);
                Ok(number(LEASE, lease.length))
            }
            Outcome::Done(None) => Ok(number(END, 0)),
            Outcome::Wait(watch) => Err(watch),
        };
        Ok((told, wake))
    })
}

fn lease(number: u32, generation: u32, position: f64, length: u32) -> Lease {
    Lease { number, generation, position: position as u64, length }
}

/// Copies `count` bytes of a loan, from `offset` of it on, into the transfer buffer. Errors: `LEASE_LOST`, `OUT_OF_RANGE`,
/// `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_lease_bytes(
    index: u32,
    generation: u32,
    loan: u32,
    loan_generation: u32,
    position: f64,
    length: u32,
    offset: u32,
    count: u32,
) -> Status {
    change(|agent, operation| {
        let lease = lease(loan, loan_generation, position, length);
        let to = (agent.transfer(), count.min(body::TRANSFER_LENGTH));
        pipe::lease_bytes(operation, Handle { index, generation }, lease, offset, to)?;
        Ok(Wake::NONE)
    })
}

/// Ends a loan: its bytes go back if `how` is 0, and are used up if it is 1. 2: those go back that this agent took with its last
/// `coheap_pipe_lease`, unless they are of this loan. Errors: `LEASE_LOST`, `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_lease_end(
    index: u32,
    generation: u32,
    loan: u32,
    loan_generation: u32,
    position: f64,
    length: u32,
    how: u32,
) -> Status {
    change(|_, operation| {
        let (handle, lease) = (Handle { index, generation }, lease(loan, loan_generation, position, length));
        match how {
            0 => pipe::give_up(operation, handle, lease),
            1 => pipe::commit(operation, handle, lease),
            _ => pipe::give_up_unheard(operation, handle, lease),
        }
    })
}

/// Ends the writing. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_close(index: u32, generation: u32) -> Status {
    change(|_, operation| pipe::close(operation, Handle { index, generation }))
}

/// Ends the pipe by force, for a reason that is a value, see [`crate::value`]. Errors: `STALE_HANDLE`, `WRONG_TYPE`, `OUT_OF_MEMORY`,
/// `OUT_OF_RANGE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_abort(index: u32, generation: u32, kind: u32, number: f64) -> Status {
    change(|agent, operation| {
        let why = given(agent, Table::of(operation), kind, number, &mut 0)?;
        pipe::abort(operation, Handle { index, generation }, why)
    })
}

/// As [`coheap_pipe_abort`], because an agent is lost, which is the reason, by its index; nothing if the pipe is closed.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_lose(index: u32, generation: u32, lost: u32) -> Status {
    change(|_, operation| pipe::lose(operation, Handle { index, generation }, lost))
}

/// Why the pipe was aborted, as an answer of [`crate::value`]; undefined if it was not. Errors: `STALE_HANDLE`, `WRONG_TYPE`.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_pipe_reason(index: u32, generation: u32) -> f64 {
    let taken = altered(|agent, operation| {
        let room = body::TRANSFER_LENGTH;
        let taken = pipe::reason(operation, Handle { index, generation }, agent.transfer(), room)?;
        Ok(taken.unwrap_or(coheap::cell::Taken {
            word: coheap::value::UNDEFINED,
            block: None,
            generation: 0,
            region: None,
        }))
    });
    answer(agent(), taken)
}

/// Sleeps while the wait word at `address` is `expected`, for `milliseconds` at most and for 100: then look again. Leaves the
/// turn. Errors: `CANNOT_BLOCK`, `BUSY` inside an operation.
#[unsafe(no_mangle)]
pub extern "C" fn coheap_sleep(address: u32, expected: u32, milliseconds: f64) -> Status {
    let agent = agent();
    let slept = if address.is_multiple_of(4) && agent.memory().has(address, 4) {
        wait::sleep(agent, &Imports, Watch { address, expected }, milliseconds)
    } else {
        Err(Error::out_of_range(address.into(), 4, u64::from(agent.memory().pages()) * u64::from(PAGE)))
    };
    status(agent, slept)
}
