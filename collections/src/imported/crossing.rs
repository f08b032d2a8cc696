//! How values cross: a kind, a number, and bytes in the transfer buffer, as `bindings/src/value.rs` says.

use std::borrow::Cow;
use std::vec;
use std::vec::Vec;

use coheap_alloc::layout::body;
use coheap_alloc::{Error, Result};

use super::import::{self, check, copy_in, copy_out, count, detail, refused};
use crate::scalar::{Scalar, stored};
use crate::string::Form;
use crate::value::{self, Tag};
use crate::{Handle, Type};

const NUMBER: u32 = 0;
const CONSTANT: u32 = 1;
const SHORT: u32 = 2;
const ATOM: u32 = 3;
pub(super) const ABSENT: u32 = 4;
const INLINE: u32 = 8;
const LONG: u32 = 16;
const COPIED: u32 = 24;
/// Bytes of a record before its contents.
const RECORD: usize = 16;
/// Before the record of what a key has: where it was found.
const LOCATED: u32 = 32;
/// Before a batch of entries: where the next one begins, and what the next entry needs.
const HEAD: usize = 16;
/// Entries of one batch.
const MOST: u32 = 64;
/// Bytes of contents that cross in the transfer buffer: of three values, with room for an answer behind them.
const LARGEST: usize = 8192;
const ROOM: usize = body::TRANSFER_LENGTH as usize;

/// A value on its way in.
#[derive(Debug)]
pub struct Given<'a> {
    kind: u32,
    number: f64,
    contents: Cow<'a, [u8]>,
}

impl<'a> Given<'a> {
    pub(super) const NONE: Self = Self::plain(ABSENT, 0.0);

    const fn plain(kind: u32, number: f64) -> Self {
        Self { kind, number, contents: Cow::Borrowed(&[]) }
    }

    pub(super) const fn number(number: f64) -> Self {
        Self::plain(NUMBER, number)
    }

    /// One of the constants.
    pub(super) const fn word(word: u64) -> Self {
        Self::plain(CONSTANT, value::payload(word) as f64)
    }

    pub(super) fn contents(form: Form, contents: impl Into<Cow<'a, [u8]>>) -> Self {
        let contents = contents.into();
        if matches!(form, Form::Ascii | Form::Latin1)
            && let Some(word) = value::from_short(&contents)
        {
            return Self::plain(SHORT, value::payload(word) as f64);
        }
        Self { kind: INLINE + form as u32, number: contents.len() as f64, contents }
    }

    pub(super) fn reference(handle: Handle) -> Self {
        Self::contents(Form::Reference, handle.to_word().to_le_bytes().to_vec())
    }
}

/// An anonymous region of bytes, for what is too long for the transfer buffer.
struct Region(Handle);

impl Region {
    fn of_length(length: usize) -> Result<Self> {
        check(import::open(Type::Bytes as u32, 0, length as f64))?;
        Ok(Self::in_details())
    }

    /// The one whose handle the last answer has left.
    fn in_details() -> Self {
        Self(Handle { index: detail(0) as u32, generation: detail(1) as u32 })
    }

    fn holding(contents: &[u8]) -> Result<Self> {
        let region = Self::of_length(contents.len())?;
        for (piece, bytes) in contents.chunks(ROOM).enumerate() {
            copy_in(bytes, 0)?;
            let offset = (piece * ROOM) as f64;
            check(import::bytes_write(region.0.index, region.0.generation, offset, bytes.len() as u32))?;
        }
        Ok(region)
    }

    fn read(&self, length: usize) -> Result<Vec<u8>> {
        let mut contents = vec![0; length];
        for (piece, bytes) in contents.chunks_mut(ROOM).enumerate() {
            let offset = (piece * ROOM) as f64;
            check(import::bytes_read(self.0.index, self.0.generation, offset, bytes.len() as u32))?;
            copy_out(bytes, 0)?;
        }
        Ok(contents)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // What cannot be given back now is given back when the agent leaves.
        let _ = import::release(self.0.index, self.0.generation);
    }
}

/// Hands `call` kinds and numbers of the values, whose contents are in the transfer buffer then, and where that is free.
pub(super) fn send<const N: usize, R>(
    values: [&Given<'_>; N],
    call: impl FnOnce([(u32, f64); N], u32) -> R,
) -> Result<R> {
    // First the long ones: they cross through the same transfer buffer.
    let mut regions: [Option<Region>; N] = [const { None }; N];
    for (region, given) in regions.iter_mut().zip(values) {
        if given.contents.len() > LARGEST {
            *region = Some(Region::holding(&given.contents)?);
        }
    }
    let (mut sent, mut at) = ([(0, 0.0); N], 0);
    for ((sent, given), region) in sent.iter_mut().zip(values).zip(&regions) {
        let handle = region.as_ref().map(|region| region.0.to_word().to_le_bytes());
        let bytes = handle.as_ref().map_or(&*given.contents, |handle| handle);
        *sent = (if region.is_some() { given.kind + LONG - INLINE } else { given.kind }, given.number);
        if !bytes.is_empty() {
            copy_in(bytes, at)?;
            at += bytes.len().next_multiple_of(8) as u32;
        }
    }
    Ok(call(sent, at))
}

/// The value of a cell.
pub(super) fn read_cell(handle: Handle) -> Result<Scalar> {
    const KINDS: f64 = (1u64 << 44) as f64;
    let mut take: extern "C" fn(u32, u32) -> f64 = cell_take;
    // Twice at most: what is copied is not long.
    loop {
        let answer = count(take(handle.index, handle.generation))?;
        let kind = (answer / KINDS) as u32;
        let number = answer - f64::from(kind) * KINDS;
        match (kind, Form::from_tag(kind & 7)) {
            (NUMBER, _) => return Ok(Scalar::Number(detail(0))),
            (INLINE..LONG, Some(form)) => return inline(form, number as usize, 0),
            (LONG..COPIED, _) => take = cell_snapshot,
            (COPIED.., Some(form)) => return Ok(stored(form, &Region::in_details().read(number as usize)?)),
            _ => return plain(kind, number),
        }
    }
}

extern "C" fn cell_take(index: u32, generation: u32) -> f64 {
    import::cell_take(index, generation)
}

extern "C" fn cell_snapshot(index: u32, generation: u32) -> f64 {
    import::cell_snapshot(index, generation)
}

/// The contents at `at` in the transfer buffer.
fn inline(form: Form, length: usize, at: u32) -> Result<Scalar> {
    let mut contents = vec![0; length];
    copy_out(&mut contents, at)?;
    Ok(stored(form, &contents))
}

/// A value without contents.
fn plain(kind: u32, number: f64) -> Result<Scalar> {
    Ok(match kind {
        NUMBER => Scalar::Number(number),
        SHORT => {
            let (units, length) = value::to_short(value::tagged(Tag::Short, number as u64));
            stored(Form::Latin1, units.get(..length).unwrap_or_default())
        }
        ATOM => inline(Form::Latin1, import::atom_text(number as u32) as usize, 0)?,
        _ => match value::tagged(Tag::Special, number as u64) {
            value::NULL => Scalar::Null,
            value::TRUE => Scalar::Bool(true),
            value::FALSE => Scalar::Bool(false),
            _ => Scalar::Undefined,
        },
    })
}

/// The value of a key; `None` if it is not there.
pub(super) fn read_entry(map: Handle, key: &Given<'_>) -> Result<Option<Scalar>> {
    send([key], |[(kind, number)], at| {
        check(import::map_take(map.index, map.generation, kind, number, at))?;
        match read_record(at + LOCATED)? {
            Record::Value(scalar) => Ok(scalar),
            // It has no room: copied in one step, which writers cannot disturb.
            Record::Long => {
                check(import::map_snapshot(map.index, map.generation, kind, number, at))?;
                match read_record(at)? {
                    Record::Value(scalar) => Ok(scalar),
                    Record::Long => Err(refused(0)),
                }
            }
        }
    })?
}

/// What the record of an answer says.
pub(super) enum Record {
    /// The value, or that there is no such key.
    Value(Option<Scalar>),
    /// It has no room.
    Long,
}

/// The record at `at` in the transfer buffer.
pub(super) fn read_record(at: u32) -> Result<Record> {
    let mut head = [0; RECORD];
    copy_out(&mut head, at)?;
    let (kind, number) = in_head(&head);
    let contents = at + RECORD as u32;
    let value = match (kind, Form::from_tag(kind & 7)) {
        (ABSENT, _) => None,
        (INLINE..LONG, Some(form)) => Some(inline(form, number as usize, contents)?),
        (LONG..COPIED, _) => return Ok(Record::Long),
        (COPIED.., Some(form)) => {
            let mut handle = [0; 8];
            copy_out(&mut handle, contents)?;
            let region = Region(Handle::from_word(u64::from_le_bytes(handle)));
            Some(stored(form, &region.read(number as usize)?))
        }
        _ => Some(plain(kind, number)?),
    };
    Ok(Record::Value(value))
}

fn in_head(head: &[u8; RECORD]) -> (u32, f64) {
    let [a, b, c, d, _, _, _, _, number @ ..] = head;
    (u32::from_le_bytes([*a, *b, *c, *d]), f64::from_le_bytes(*number))
}

/// Entries of a map in order, and where the next ones begin.
pub(super) struct Batch {
    pub(super) entries: Vec<(Scalar, Scalar)>,
    pub(super) next: f64,
}

/// The entries from a position on; none when there are no more.
pub(super) fn read_entries(map: Handle, from: f64) -> Result<Batch> {
    let mut found = count(import::map_entries(map.index, map.generation, from, MOST))?;
    let mut buffer = vec![0; ROOM];
    let mut region: Option<Region> = None;
    // Lock-free: another round means that another agent put a longer value there.
    loop {
        let mut head = [0; HEAD];
        copy_out(&mut head, 0)?;
        let [next, needed] = [0, 8].map(|at| f64::from_le_bytes(core::array::from_fn(|byte| head[at + byte])));
        if needed == 0.0 {
            let copy = match &region {
                Some(region) => region.read(buffer.len())?,
                None => {
                    copy_out(&mut buffer[HEAD..], HEAD as u32)?;
                    buffer.split_off(HEAD)
                }
            };
            return Ok(Batch { entries: parse(&copy, found as usize)?, next });
        }
        drop(region.take());
        let made = Region::of_length(needed as usize)?;
        buffer = vec![0; needed as usize];
        found = count(import::map_entry_to(map.index, map.generation, from, made.0.index, made.0.generation))?;
        region = Some(made);
    }
}

/// Records of keys and values in turn.
fn parse(records: &[u8], entries: usize) -> Result<Vec<(Scalar, Scalar)>> {
    let mut left = records;
    let mut next = || -> Result<Scalar> {
        let broken = || Error::out_of_range(0, RECORD as u64, left.len() as u64);
        let (head, rest) = left.split_first_chunk::<RECORD>().ok_or_else(broken)?;
        let (kind, number) = in_head(head);
        let form = if kind < INLINE { None } else { Form::from_tag(kind & 7) };
        let Some(form) = form else {
            left = rest;
            return plain(kind, number);
        };
        let length = number as usize;
        let (contents, rest) = rest.split_at_checked(length.next_multiple_of(8)).ok_or_else(broken)?;
        left = rest;
        Ok(stored(form, &contents[..length]))
    };
    (0..entries).map(|_| Ok((next()?, next()?))).collect()
}
