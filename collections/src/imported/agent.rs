//! This program's seat at the heap.

use core::marker::PhantomData;

use coheap_alloc::generated::ABI_NUMBER;
use coheap_alloc::{Error, Result};

use super::import::{self, check, copy_in, detail};
use super::owned::Owned;
use super::value::{CellValue, Value};
use super::{Cell, Map, MapKey};
use crate::{Handle, Type, name};

/// The seat of this instance. Copies are the same one.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    not_send: PhantomData<*mut ()>,
}

/// This instance's agent: JavaScript gave it a seat with its imports.
///
/// # Errors
/// [`Error::NotAHeap`] with the number of its calling convention when the npm package is of another version than this crate.
pub fn agent() -> Result<Agent> {
    let found = import::abi();
    if found == ABI_NUMBER { Ok(Agent { not_send: PhantomData }) } else { Err(Error::not_a_heap(found)) }
}

impl Agent {
    /// The object of that name, made if there is none.
    fn named<T: Structure>(self, name: &str) -> Result<T> {
        let (length, maximum) = (name.len(), name::LONGEST);
        if length == 0 {
            return Err(Error::out_of_range(0, 0, u64::from(maximum)));
        }
        if length > maximum as usize {
            return Err(Error::name_too_long(u32::try_from(length).unwrap_or(u32::MAX), maximum));
        }
        copy_in(name.as_bytes(), 0)?;
        made(length as u32)
    }

    /// The cell of that name; a new one holds 0.
    ///
    /// # Errors
    /// [`Error::WrongType`] when the name belongs to something else, [`Error::NameTooLong`], [`Error::OutOfRange`] for
    /// an empty name, [`Error::OutOfMemory`].
    pub fn cell<V: CellValue>(self, name: &str) -> Result<Cell<V>> {
        self.named(name)
    }

    /// A new cell without a name, which holds 0.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_cell<V: CellValue>(self) -> Result<Cell<V>> {
        made(0)
    }

    /// The map of that name; a new one has no entry.
    ///
    /// # Errors
    /// As [`Agent::cell`].
    pub fn map<K: MapKey, V: Value>(self, name: &str) -> Result<Map<K, V>> {
        self.named(name)
    }

    /// A new map without a name and without an entry.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`].
    pub fn new_map<K: MapKey, V: Value>(self) -> Result<Map<K, V>> {
        made(0)
    }

    /// The structure that a handle names; a parked one is this agent's from here on.
    ///
    /// # Errors
    /// [`Error::StaleHandle`] if it was destroyed, or never was; [`Error::WrongType`], [`Error::OutOfMemory`],
    /// [`Error::TooManyReferences`].
    pub fn open<T: Structure>(self, handle: Handle) -> Result<T> {
        check(import::acquire(handle.index, handle.generation))?;
        let found = detail(0) as u32;
        let owned = Owned::new(handle, T::KIND);
        if found == T::KIND as u32 {
            return Ok(T::from_owned(owned));
        }
        Err(Error::wrong_type(T::KIND as u32, found))
    }

    /// Takes a name away: what it named ends with its last holder. Answers whether there was such a name.
    ///
    /// # Errors
    /// [`Error::NameTooLong`], [`Error::OutOfRange`] for an empty name.
    pub fn remove(self, name: &str) -> Result<bool> {
        // A name that does not fit the transfer buffer is too long for the heap as well.
        let most = name::LONGEST as usize + 1;
        copy_in(name.as_bytes().get(..most).unwrap_or(name.as_bytes()), 0)?;
        check(import::remove(u32::try_from(name.len()).unwrap_or(u32::MAX)))?;
        Ok(detail(0) != 0.0)
    }

    /// Gives the seat back with everything that is open; every later call is [`Error::AgentLost`].
    ///
    /// # Errors
    /// None.
    pub fn leave(self) -> Result<()> {
        import::leave()
    }
}

/// What is made, or found by the name in the transfer buffer.
fn made<T: Structure>(name_length: u32) -> Result<T> {
    check(import::open(T::KIND as u32, name_length, 0.0))?;
    let handle = Handle { index: detail(0) as u32, generation: detail(1) as u32 };
    Ok(T::from_owned(Owned::new(handle, T::KIND)))
}

/// What a handle can name: the structures of this module.
pub trait Structure: Sized + sealed::Sealed {
    #[doc(hidden)]
    const KIND: Type;
    #[doc(hidden)]
    fn from_owned(owned: Owned) -> Self;
    #[doc(hidden)]
    fn owned(&self) -> &Owned;

    /// The handle of this structure, the same as JavaScript's: plain data that keeps nothing alive.
    #[must_use]
    fn handle(&self) -> Handle {
        self.owned().handle()
    }
}

pub(super) mod sealed {
    /// Only this crate's types.
    pub trait Sealed {}
}
