//! HTTP fields.

use std::vec::Vec;

use coheap_alloc::{Operation, Result};

use super::handle::{Structure, sealed::Sealed};
use super::owned::Owned;
use super::value::ROOM;
use crate::fields::{self, LARGEST, Lines, Name, Text};
use crate::{Table, Type, bytes, count};

/// HTTP fields that every agent reads and writes: lines of a name and a value, found whatever the casing of the name; the
/// semantics are those of `wasi:http/types`. Each call is one step and never blocks; if the caller dies in it, the fields are
/// the old ones or the new ones.
///
/// ```
/// use coheap::typed::Heap;
///
/// let agent = Heap::in_process(16 << 20)?.attach()?;
/// let fields = agent.new_fields()?;
/// fields.append("Accept", "text/html")?;
/// fields.append("accept", "text/plain")?;
/// assert_eq!(fields.get("ACCEPT")?.as_deref(), Some(&b"text/html, text/plain"[..]));
/// assert_eq!(fields.entries()?[1], (b"Accept".to_vec(), b"text/plain".to_vec()));
/// fields.freeze()?;
/// assert!(fields.delete("accept").is_err());
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
#[derive(Debug)]
pub struct Fields {
    owned: Owned,
}

impl Sealed for Fields {}

impl Structure for Fields {
    const KIND: Type = Type::Fields;

    fn from_owned(owned: Owned) -> Self {
        Self { owned }
    }

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// Bytes of the transfer buffer for names and values; what a read answers has the rest.
const TEXTS: u32 = ROOM / 2;

/// Hands `f` the texts where fields take them from: in the transfer buffer, or in a region for as long as the call takes.
fn with_texts<R>(operation: &Operation, given: &[&[u8]], f: impl FnOnce(&[Text]) -> Result<R>) -> Result<R> {
    let memory = operation.memory();
    let padded = |length: usize| length.next_multiple_of(8) as u64;
    let size: u64 = given.iter().map(|text| padded(text.len())).sum();
    if size > u64::from(LARGEST) * 2 {
        return Err(coheap_alloc::Error::fields_too_large(size, u64::from(LARGEST)));
    }
    let region = if size > u64::from(TEXTS) { Some(bytes::create(operation, size as u32)?) } else { None };
    let mut at = match region {
        Some(region) => bytes::all(Table::of(operation), region)?.0,
        None => operation.agent().transfer().wrapping_add(ROOM - TEXTS),
    };
    let mut texts = Vec::new();
    for text in given {
        memory.copy_in(at, text);
        texts.push(Text { memory, at, length: text.len() as u32 });
        at = at.wrapping_add(padded(text.len()) as u32);
    }
    let answer = f(&texts);
    if let Some(region) = region {
        // Nobody waits for it.
        let _ = count::release(operation, region, Type::Bytes)?;
    }
    answer
}

impl Fields {
    fn run<R>(&self, given: &[&[u8]], f: impl FnOnce(&Operation, crate::Handle, &[Text]) -> Result<R>) -> Result<R> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| with_texts(operation, given, |texts| f(operation, handle, texts)))
    }

    /// The values of a name, joined by `", "`; `None` when there are none, or it is no name.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`] for a name that is longer than any can be.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let room = ROOM - TEXTS;
        let got = self.run(&[name.as_ref()], |operation, handle, texts| {
            let (memory, to) = (operation.memory(), operation.agent().transfer());
            let (got, _) = fields::get(Table::of(operation), handle, Name::wanted(texts[0]), to, room)?;
            Ok(match got {
                Some(length) if length <= room => {
                    let mut value = std::vec![0; length as usize];
                    memory.copy_out(to, &mut value);
                    Some(Some(value))
                }
                Some(_) => None,
                None => Some(None),
            })
        })?;
        match got {
            Some(value) => Ok(value),
            // Too long for the transfer buffer: out of all lines.
            None => Ok(self.get_all(name)?.into_iter().reduce(|mut joined, value| {
                joined.extend_from_slice(b", ");
                joined.extend(value);
                joined
            })),
        }
    }

    /// Each value of a name, in order.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn get_all(&self, name: impl AsRef<[u8]>) -> Result<Vec<Vec<u8>>> {
        let lines = self.entries()?.into_iter();
        Ok(lines.filter(|line| line.0.eq_ignore_ascii_case(name.as_ref())).map(|(_, value)| value).collect())
    }

    /// Whether there is a line of this name.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn has(&self, name: impl AsRef<[u8]>) -> Result<bool> {
        self.run(&[name.as_ref()], |operation, handle, texts| {
            fields::has(Table::of(operation), handle, Name::wanted(texts[0]))
        })
    }

    /// Gives a name these values in place of those it has, where the first of them stood; no values: as [`Fields::delete`].
    ///
    /// # Errors
    /// [`coheap_alloc::Error::InvalidField`], [`coheap_alloc::Error::FieldsTooLarge`],
    /// [`coheap_alloc::Error::Immutable`], [`coheap_alloc::Error::OutOfMemory`]: nothing was changed.
    pub fn set(&self, name: impl AsRef<[u8]>, values: &[&[u8]]) -> Result<()> {
        let given: Vec<_> = [name.as_ref()].iter().chain(values).copied().collect();
        self.run(&given, |operation, handle, texts| {
            fields::set(operation, handle, Name::new(texts[0])?, texts[1..].iter().copied())
        })
    }

    /// Adds a line behind those that there are.
    ///
    /// # Errors
    /// As [`Fields::set`].
    pub fn append(&self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.run(&[name.as_ref(), value.as_ref()], |operation, handle, texts| {
            fields::append(operation, handle, core::iter::once(Ok((Name::new(texts[0])?, texts[1]))))
        })
    }

    /// Removes every line of this name.
    ///
    /// # Errors
    /// As [`Fields::set`].
    pub fn delete(&self, name: impl AsRef<[u8]>) -> Result<()> {
        self.run(&[name.as_ref()], |operation, handle, texts| fields::delete(operation, handle, Name::new(texts[0])?))
    }

    /// All lines of one moment, in order.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn entries(&self) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let handle = self.owned.handle();
        // Lock-free: another round means that another agent changed the fields.
        loop {
            let copy = self.owned.agent().run(|operation| copy(operation, handle))?;
            if let Some(copy) = copy {
                let lines = Lines::new(&copy).into_iter().flatten();
                return Ok(lines.map(|(name, value)| (name.to_vec(), value.to_vec())).collect());
            }
        }
    }

    /// New fields of the same lines, without a name, which can be changed whether these can or not.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`].
    pub fn duplicate(&self) -> Result<Self> {
        let handle = self.owned.handle();
        self.owned.agent().open_by(|operation| fields::duplicate(operation, handle))
    }

    /// From here on every change, by any agent, is refused.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn freeze(&self) -> Result<()> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| fields::freeze(operation, handle))
    }

    /// Whether the fields are frozen.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn is_frozen(&self) -> Result<bool> {
        let agent = self.owned.agent();
        agent.run(|operation| fields::is_frozen(Table::of(operation), self.owned.handle()))
    }
}

/// A copy of the block in pieces; `None` when the fields changed between two of them.
fn copy(operation: &Operation, handle: crate::Handle) -> Result<Option<Vec<u8>>> {
    let (memory, to) = (operation.memory(), operation.agent().transfer());
    let mut copy = Vec::new();
    let mut first = None;
    loop {
        let copied = fields::lines(Table::of(operation), handle, copy.len() as u32, to, ROOM)?;
        if *first.get_or_insert(copied) != copied {
            return Ok(None);
        }
        let mut piece = std::vec![0; (copied.size as usize).saturating_sub(copy.len()).min(ROOM as usize)];
        memory.copy_out(to, &mut piece);
        copy.extend(piece);
        if copy.len() >= copied.size as usize {
            return Ok(Some(copy));
        }
    }
}
