//! A map from numbers and strings to values, in insertion order.

mod key;

use coheap_alloc::{Address, Operation, Result};

use crate::cell::Taken;
use crate::claim::{self, claim};
use crate::object::{Handle, Info, Table, Type};
use crate::string::Given;

pub use key::Key;

/// What [`entries`] wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The position that the next batch begins at.
    pub next: u64,
    /// Entries that were written.
    pub count: u32,
    /// Bytes that the next entry needs if not even one had room, else 0.
    pub needed: u32,
}

/// Makes an anonymous map.
///
/// # Errors
/// [`coheap_alloc::Error::OutOfMemory`].
pub fn create(operation: &Operation) -> Result<Handle> {
    make(operation, None)
}

pub(crate) fn make(operation: &Operation, bucket: Option<u8>) -> Result<Handle> {
    let claim = claim(operation, Type::Map)?;
    claim::publish(operation, claim, 0, Info::new(0, bucket), None)
}

/// The value of a key.
///
/// # Errors
/// Stale.
pub fn get(_: Table, handle: Handle, _: &Key<'_>, _: Address, _: u32) -> Result<Option<Taken>> {
    Err(handle.stale())
}

/// Whether the key is there.
///
/// # Errors
/// Stale.
pub fn has(_: Table, handle: Handle, _: &Key<'_>) -> Result<bool> {
    Err(handle.stale())
}

/// How many.
///
/// # Errors
/// Stale.
pub fn size(_: Table, handle: Handle) -> Result<u64> {
    Err(handle.stale())
}

/// Gives a key a value.
///
/// # Errors
/// Stale.
pub fn set(_: &Operation, handle: Handle, _: &Key<'_>, _: Given<'_>) -> Result<()> {
    Err(handle.stale())
}

/// Gives a key a value if it is not there; the value that is there, if it is.
///
/// # Errors
/// Stale.
pub fn insert_if_absent(
    _: &Operation,
    handle: Handle,
    _: &Key<'_>,
    _: Given<'_>,
    _: Address,
    _: u32,
) -> Result<Option<Taken>> {
    Err(handle.stale())
}

/// Removes a key.
///
/// # Errors
/// Stale.
pub fn delete(_: &Operation, handle: Handle, _: &Key<'_>) -> Result<bool> {
    Err(handle.stale())
}

/// Adds to the number of a key, 0 if it is not there.
///
/// # Errors
/// Stale.
pub fn add(_: &Operation, handle: Handle, _: &Key<'_>, _: f64) -> Result<f64> {
    Err(handle.stale())
}

/// Gives a key a value, or none, if it has the expected one, or none.
///
/// # Errors
/// Stale.
pub fn compare_and_set(
    _: &Operation,
    handle: Handle,
    _: &Key<'_>,
    _: Option<Given<'_>>,
    _: Option<Given<'_>>,
) -> Result<bool> {
    Err(handle.stale())
}

/// Removes all.
///
/// # Errors
/// Stale.
pub fn clear(_: &Operation, handle: Handle) -> Result<()> {
    Err(handle.stale())
}

/// Writes up to `limit` entries.
///
/// # Errors
/// Stale.
pub fn entries(_: Table, handle: Handle, _: u64, _: u32, _: Address, _: u32) -> Result<Batch> {
    Err(handle.stale())
}
