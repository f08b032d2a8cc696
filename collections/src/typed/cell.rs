//! One value.

use core::marker::PhantomData;

use coheap_alloc::Result;

use super::handle::{Structure, sealed::Sealed};
use super::owned::Owned;
use super::value::{CellValue, Number, read_cell, typed};
use crate::{Table, Type, cell};

/// One value that every agent reads and writes. Each call is one step and never blocks; if the caller dies in it, the cell
/// holds the old value or the new one.
///
/// ```
/// use coheap::typed::{Any, Cell, Heap, Scalar};
///
/// let agent = Heap::in_process(16 << 20)?.attach()?;
/// let cell: Cell<u32> = agent.new_cell()?;
/// cell.set(41)?;
/// assert!(cell.compare_and_set(41, 42)?);
///
/// // The same cell, whatever it holds.
/// let any = agent.open(coheap::typed::Handle::<Cell<Any>>::from_bits(coheap::typed::Structure::handle(&cell).to_bits()))?;
/// any.set(&Scalar::Null)?;
/// assert!(cell.get().is_err());
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
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
        let handle = self.owned.handle();
        let agent = self.owned.agent();
        typed::<V>(agent.run(|operation| read_cell(operation, handle))?, agent)
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`]: the cell is as it was.
    pub fn set(&self, value: V::Arg<'_>) -> Result<()> {
        let (agent, handle) = (self.owned.agent(), self.owned.handle());
        let wake = agent
            .run(|operation| V::give(value, Table::of(operation), |given| cell::set_value(operation, handle, given)))?;
        agent.notify(wake);
        Ok(())
    }

    /// Replaces the value if it is `expected`, by contents and as one step. Answers whether it did.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::OutOfMemory`]: the cell is as it was.
    pub fn compare_and_set(&self, expected: V::Arg<'_>, value: V::Arg<'_>) -> Result<bool> {
        let (agent, handle) = (self.owned.agent(), self.owned.handle());
        let (done, wake) = agent.run(|operation| {
            let table = Table::of(operation);
            V::give(expected, table, |expected| {
                V::give(value, table, |value| cell::compare_and_set_value(operation, handle, expected, value))
            })
        })?;
        agent.notify(wake);
        Ok(done)
    }

    /// Adds to a number, whatever the cell is said to hold, and answers the sum.
    ///
    /// # Errors
    /// [`coheap_alloc::Error::NotANumber`] when the cell holds something else.
    pub fn add_number(&self, delta: f64) -> Result<f64> {
        let (agent, handle) = (self.owned.agent(), self.owned.handle());
        let (sum, wake) = agent.run(|operation| cell::add(operation, handle, delta))?;
        agent.notify(wake);
        Ok(sum)
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
        typed::<V>(super::Scalar::Number(self.add_number(delta.number())?), self.owned.agent())
    }
}
