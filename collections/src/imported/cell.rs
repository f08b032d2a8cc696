//! One value.

use core::marker::PhantomData;

use coheap_alloc::Result;

use super::agent::{Structure, sealed::Sealed};
use super::crossing::{read_cell, send};
use super::import::{self, check, detail};
use super::owned::Owned;
use super::value::{CellValue, Number, typed};
use crate::Type;
use crate::scalar::Scalar;

/// One value that every agent reads and writes. Each call is one step and never blocks; if the caller dies in it, the cell
/// holds the old value or the new one.
#[derive(Debug)]
pub struct Cell<V: CellValue> {
    owned: Owned,
    holds: PhantomData<V>,
}

impl<V: CellValue> Sealed for Cell<V> {}

impl<V: CellValue> Structure for Cell<V> {
    const KIND: Type = Type::Cell;

    fn from_owned(owned: Owned) -> Self {
        Self { owned, holds: PhantomData }
    }

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

impl<V: CellValue> Cell<V> {
    /// The value.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::UnexpectedValue`] when the cell holds what is no `V`.
    pub fn get(&self) -> Result<V::Out> {
        let handle = self.handle();
        let number = import::cell_get(handle.index, handle.generation);
        typed::<V>(if number.is_nan() { read_cell(handle)? } else { Scalar::Number(number) })
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`]: the cell is as it was.
    pub fn set(&self, value: V::Arg<'_>) -> Result<()> {
        let handle = self.handle();
        send([&V::give(value)], |[(kind, number)], _| {
            check(import::cell_put(handle.index, handle.generation, kind, number))
        })?
    }

    /// Replaces the value if it is `expected`, by contents and as one step. Answers whether it did.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`]: the cell is as it was.
    pub fn compare_and_set(&self, expected: V::Arg<'_>, value: V::Arg<'_>) -> Result<bool> {
        let handle = self.handle();
        send([&V::give(expected), &V::give(value)], |[(expected_kind, expected), (kind, number)], _| {
            let (index, generation) = (handle.index, handle.generation);
            check(import::cell_compare_and_put(index, generation, expected_kind, expected, kind, number))?;
            Ok(detail(0) != 0.0)
        })?
    }

    /// Adds to a number, whatever the cell is said to hold, and answers the sum.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::NotANumber`] when the cell holds something else.
    pub fn add_number(&self, delta: f64) -> Result<f64> {
        let handle = self.handle();
        check(import::cell_add(handle.index, handle.generation, delta))?;
        Ok(detail(0))
    }

    /// Adds, as one step, and answers the sum.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::NotANumber`] when the cell holds something else;
    /// [`coheap_alloc::Error::UnexpectedValue`] when the sum, which the cell holds then, is no `V`.
    pub fn add(&self, delta: V) -> Result<V>
    where
        V: Number,
    {
        typed::<V>(Scalar::Number(self.add_number(delta.number())?))
    }
}
