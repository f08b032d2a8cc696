//! A bounded stream of bytes.

use core::ops::Deref;
use core::time::Duration;
use std::time::Instant;
use std::vec;
use std::vec::Vec;

use coheap_alloc::{Error, Operation, Result};

use super::handle::{Structure, sealed::Sealed};
use super::owned::Owned;
use super::{Agent, Str, Value};
pub use crate::pipe::Until;
use crate::pipe::{self, Outcome, Read, Source};
use crate::wait::Wake;
use crate::{Handle, Table, Type};

/// A bounded stream of bytes that any number of agents write to and read from: each byte is read once, by one of them.
/// Calls with a timeout block this thread until they have done something, or the time is over (`None`: however long it
/// takes); then the error is [`Error::TimedOut`]. With a timeout of zero they never block.
///
/// If the caller dies in a write, the bytes of the step it died in are in the pipe, or none is; in a read they are gone, or
/// still there; what it has on lease goes back.
///
/// Every call fails with [`Error::PipeAborted`] after an abort.
///
/// ```
/// use coheap::typed::{Heap, Pipe, Until};
///
/// let heap = Heap::in_process(64 << 20)?;
/// let lines = heap.attach()?.pipe("lines", 65_536)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| -> coheap_alloc::Result<()> {
///         let lines: Pipe = heap.attach()?.pipe("lines", 65_536)?;
///         for number in 0..1000 {
///             lines.write(format!("line {number}\n").as_bytes(), None)?;
///         }
///         lines.close()
///     });
///     let mut count = 0;
///     while let Some(lease) = lines.lease(4096, Until::new(b"\n"), None)? {
///         assert!(lease.ends_with(b"\n"));
///         count += lease.split(|&byte| byte == b'\n').count() - 1;
///         lease.commit()?;
///     }
///     assert_eq!(count, 1000);
///     Ok::<(), coheap_alloc::Error>(())
/// })?;
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
#[derive(Debug)]
pub struct Pipe {
    owned: Owned,
}

impl Sealed for Pipe {}

impl Structure for Pipe {
    const KIND: Type = Type::Pipe;

    fn from_owned(owned: Owned) -> Self {
        Self { owned }
    }

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

impl Pipe {
    /// Writes all of the bytes; at most 4,096 as one step, of more others may come in between.
    ///
    /// # Errors
    /// [`Error::PipeClosed`], [`Error::TimedOut`], which says how many are written, [`Error::OutOfMemory`].
    pub fn write(&self, bytes: &[u8], timeout: Option<Duration>) -> Result<()> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            let step = |operation: &Operation, handle, wait| pipe::write(operation, handle, Source::Slice(rest), wait);
            written += self.eventually(timeout, written, step)? as usize;
        }
        Ok(())
    }

    /// Reads at most as many bytes as `into` has, one at least, and answers how many; 0 at the end.
    ///
    /// # Errors
    /// [`Error::TimedOut`]: nothing was read.
    pub fn read(&self, into: &mut [u8], timeout: Option<Duration>) -> Result<usize> {
        let agent = self.owned.agent();
        let (at, room) = agent.transfer();
        let room = u32::try_from(into.len()).unwrap_or(u32::MAX).min(room);
        if room == 0 {
            return Ok(0);
        }
        let step =
            |operation: &Operation, handle, wait| pipe::read(operation, handle, (at, room), None, &mut None, wait);
        match self.eventually(timeout, 0, step)? {
            Read::Bytes(length) => {
                let length = length as usize;
                agent.copy_out(into.get_mut(..length).unwrap_or_default());
                Ok(length)
            }
            _ => Ok(0),
        }
    }

    /// Takes at most `most` bytes on loan, one at least; whole tokens, with `until`, of which a single one may be longer.
    /// `None` at the end.
    ///
    /// # Errors
    /// [`Error::TokenTooLong`] when the pipe is full, of bytes or of writes, and no token ends in it, [`Error::TimedOut`],
    /// [`Error::OutOfMemory`].
    pub fn lease(&self, most: u32, until: Option<Until>, timeout: Option<Duration>) -> Result<Option<Lease<'_>>> {
        let mut scanned = None;
        let step =
            |operation: &Operation, handle, wait| pipe::lease(operation, handle, most, until, &mut scanned, wait);
        let Some(raw) = self.eventually(timeout, 0, step)? else { return Ok(None) };
        let mut lease = Lease { pipe: self, raw, bytes: vec![0; raw.length as usize] };
        let agent = self.owned.agent();
        let (at, room) = agent.transfer();
        let mut offset = 0;
        for piece in lease.bytes.chunks_mut(room as usize) {
            let length = piece.len() as u32;
            agent.run(|operation| {
                pipe::lease_bytes(operation, self.owned.handle(), raw, offset, (at, length))?;
                agent.copy_out(piece);
                Ok(())
            })?;
            offset += length;
        }
        Ok(Some(lease))
    }

    /// Ends the writing, for all: what is in the pipe can be read, then comes the end. Never blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn close(&self) -> Result<()> {
        self.change(pipe::close)
    }

    /// Ends the pipe by force, for all; the first reason stays. Never blocks.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn abort(&self, reason: &str) -> Result<()> {
        self.change(|operation, handle| {
            Str::give(reason, Table::of(operation), |why| pipe::abort(operation, handle, why))
        })
    }

    fn change(&self, f: impl FnOnce(&Operation, Handle) -> Result<Wake>) -> Result<()> {
        let agent = self.owned.agent();
        let wake = agent.run(|operation| f(operation, self.owned.handle()))?;
        agent.notify(wake);
        Ok(())
    }

    /// Tries until it is done.
    fn eventually<T>(
        &self,
        timeout: Option<Duration>,
        written: usize,
        mut step: impl FnMut(&Operation, Handle, bool) -> Result<(Outcome<T>, Wake)>,
    ) -> Result<T> {
        let (agent, handle, begun) = (self.owned.agent(), self.owned.handle(), Instant::now());
        loop {
            let (outcome, wake) = agent.run(|operation| step(operation, handle, true))?;
            agent.notify(wake);
            let watch = match outcome {
                Outcome::Done(done) => return Ok(done),
                Outcome::Wait(watch) => watch,
            };
            let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            match (watch, left) {
                (Some(watch), None) => agent.sleep(watch, f64::INFINITY)?,
                (Some(watch), Some(left)) if !left.is_zero() => agent.sleep(watch, left.as_secs_f64() * 1000.0)?,
                _ => {
                    let milliseconds = timeout.map_or(0, |timeout| timeout.as_millis() as u64);
                    return Err(Error::timed_out(milliseconds, written as u64));
                }
            }
        }
    }
}

/// Bytes on loan from a pipe. They go back, as the next to be read, unless they are committed.
#[derive(Debug)]
pub struct Lease<'a> {
    pipe: &'a Pipe,
    raw: pipe::Lease,
    bytes: Vec<u8>,
}

impl Lease<'_> {
    /// Where in the stream the bytes begin, modulo 4 TiB.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.raw.position
    }

    /// The pipe and the loan, for the agent that has it.
    pub(super) fn of(&self, agent: &Agent) -> Result<(Handle, pipe::Lease)> {
        let owned = &self.pipe.owned;
        if owned.agent().is(agent) { Ok((owned.handle(), self.raw)) } else { Err(Error::lease_lost(self.raw.position)) }
    }

    /// The bytes are used up: nobody reads them again. Never blocks.
    ///
    /// # Errors
    /// [`Error::LeaseLost`].
    pub fn commit(self) -> Result<()> {
        self.pipe.change(|operation, handle| pipe::commit(operation, handle, self.raw))
    }
}

impl Deref for Lease<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // One that was committed is lost, and so it stays.
        let _ = self.pipe.change(|operation, handle| pipe::give_up(operation, handle, self.raw));
    }
}
