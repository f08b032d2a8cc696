//! A list of values.

use core::marker::PhantomData;
use std::vec::Vec;

use coheap_alloc::layout::body;
use coheap_alloc::{Error, Operation, Result};

use super::handle::{Structure, sealed::Sealed};
use super::map::{Records, release};
use super::owned::Owned;
use super::value::{Scalar, Value, typed};
use crate::list::{self, MOST, Removed};
use crate::string::Given;
use crate::{Handle, Table, Type, bytes, value};

/// A list that every agent reads and writes. Each call is one step for all agents and never blocks, but for those that
/// say otherwise; if the caller dies in it, the list is the old one or the new one. Reading a value and changing it, and
/// [`List::push`], take the same time however long the list is.
///
/// ```
/// use coheap::typed::{Heap, List};
///
/// let heap = Heap::in_process(64 << 20)?;
/// let log: List<u32> = heap.attach()?.list("log")?;
/// std::thread::scope(|scope| {
///     for thread in 0..2 {
///         scope.spawn(move || -> coheap_alloc::Result<()> {
///             let log: List<u32> = heap.attach()?.list("log")?;
///             (0..100).try_for_each(|number| log.push(thread * 100 + number).map(drop))
///         });
///     }
/// });
/// let all = log.to_vec()?;
/// let first: Vec<u32> = all.iter().copied().filter(|&number| number < 100).collect();
/// assert_eq!((all.len(), first), (200, (0..100).collect()));
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
#[derive(Debug)]
pub struct List<V: Value> {
    owned: Owned,
    holds: PhantomData<V>,
}

impl<V: Value> Sealed for List<V> {}

impl<V: Value> Structure for List<V> {
    const KIND: Type = Type::List;

    fn from_owned(owned: Owned) -> Self {
        Self { owned, holds: PhantomData }
    }

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

/// Values that were read, and the number of the next.
struct Batch {
    values: Vec<Scalar>,
    next: u64,
}

fn records(operation: &Operation, at: coheap_alloc::Address, bytes: u32, count: u32) -> Vec<Scalar> {
    let mut contents = std::vec![0; bytes as usize];
    operation.memory().copy_out(at, &mut contents);
    let mut records = Records { table: Table::of(operation), left: &contents };
    core::iter::from_fn(|| records.next()).take(count as usize).collect()
}

fn batch(operation: &Operation, handle: Handle, from: f64, limit: u32) -> Result<Batch> {
    let table = Table::of(operation);
    let (mut at, mut room, mut region) = (operation.agent().transfer(), body::TRANSFER_LENGTH, None);
    // Lock-free: another round means that another agent put a longer value there.
    let answer = loop {
        let found = match list::values(table, handle, from, limit, at, room) {
            Ok(found) => found,
            Err(error) => break Err(error),
        };
        if found.needed == 0 {
            break Ok(Batch { values: records(operation, at, room, found.count), next: found.next });
        }
        if let Some(region) = region.take() {
            release(operation, region)?;
        }
        let made = bytes::create(operation, found.needed)?;
        region = Some(made);
        (at, room) = match bytes::all(table, made) {
            Ok(all) => all,
            Err(error) => break Err(error),
        };
    };
    if let Some(region) = region {
        release(operation, region)?;
    }
    answer
}

/// Calls `f` with all values as they are given.
fn give_all<V: Value>(
    values: &[V::Arg<'_>],
    table: Table,
    given: &[Given<'_>],
    f: &mut dyn FnMut(&[Given<'_>]) -> Result<Taken>,
) -> Result<Taken> {
    let Some((&first, rest)) = values.split_first() else { return f(given) };
    V::give(first, table, |one| {
        let mut more = given.to_vec();
        more.push(one);
        give_all::<V>(rest, table, &more, f)
    })
}

/// Where an edit was, and what it took out.
type Taken = (u32, Vec<Scalar>);

impl<V: Value> List<V> {
    fn run<R>(&self, f: impl FnOnce(&Operation, Handle) -> Result<R>) -> Result<R> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| f(operation, handle))
    }

    /// Puts a value behind all others, and answers how many there are then.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the list is as it was.
    pub fn push(&self, value: V::Arg<'_>) -> Result<u64> {
        self.run(|operation, handle| V::give(value, Table::of(operation), |given| list::push(operation, handle, given)))
    }

    /// Pushes values, in their order, each as a step of its own.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: those before are pushed.
    pub fn extend(&self, values: &[V::Arg<'_>]) -> Result<()> {
        values.chunks(MOST as usize).try_for_each(|values| {
            self.run(|operation, handle| {
                values.iter().try_for_each(|&value| {
                    V::give(value, Table::of(operation), |given| list::push(operation, handle, given)).map(drop)
                })
            })
        })
    }

    /// The value at a place; `None`: there are not so many.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] when it is no `V`.
    pub fn get(&self, index: u64) -> Result<Option<V::Out>> {
        let mut last = None;
        // Lock-free: another round means that the place lost the structure that was just read, and that ended.
        loop {
            let found = self.run(|operation, handle| batch(operation, handle, index as f64, 1))?;
            let Some(scalar) = found.values.into_iter().next() else { return Ok(None) };
            match typed::<V>(scalar.clone(), self.owned.agent()) {
                Err(Error::StaleHandle { .. }) if last.as_ref() != Some(&scalar) => last = Some(scalar),
                found => return found.map(Some),
            }
        }
    }

    /// Gives a value that is there another one.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] when there are not so many, [`Error::OutOfMemory`]: the list is as it was.
    pub fn set(&self, index: u64, value: V::Arg<'_>) -> Result<()> {
        self.run(|operation, handle| {
            V::give(value, Table::of(operation), |given| list::set(operation, handle, index, given))
        })
    }

    /// Takes the last value out. As long as a table of the list's parts is.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the list is as it was. [`Error::UnexpectedValue`] when it was no `V`.
    pub fn pop(&self) -> Result<Option<V::Out>> {
        Ok(self.splice_from(-1.0, 1, &[])?.pop())
    }

    /// Puts values before the one at `index`, or behind all others: 64 as one step, more in several. As [`List::pop`].
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: those of the steps before are there.
    pub fn insert(&self, index: u64, values: &[V::Arg<'_>]) -> Result<()> {
        self.splice(index, 0, values).map(drop)
    }

    /// Takes `delete` values out from `start` on, puts others in their place, and answers what was taken out: 64 values of each as one
    /// step, if those that are taken out have together less than 28 KiB; more in several. As [`List::pop`].
    ///
    /// # Errors
    /// As [`List::pop`], of the step in which it happened.
    pub fn splice(&self, start: u64, delete: u64, values: &[V::Arg<'_>]) -> Result<Vec<V::Out>> {
        self.splice_from(start as f64, delete, values)
    }

    fn splice_from(&self, start: f64, delete: u64, values: &[V::Arg<'_>]) -> Result<Vec<V::Out>> {
        let (mut start, mut delete, mut values, mut removed) = (start, delete, values, Vec::new());
        loop {
            let (now, later) = values.split_at(values.len().min(MOST as usize));
            let most = u32::try_from(delete).unwrap_or(u32::MAX);
            let (at, taken) = self.run(|operation, handle| {
                give_all::<V>(now, Table::of(operation), &[], &mut |given| take(operation, handle, start, most, given))
            })?;
            let count = taken.len() as u64;
            for scalar in taken {
                removed.push(typed::<V>(scalar, self.owned.agent())?);
            }
            delete -= count.min(delete);
            start = f64::from(at) + now.len() as f64;
            values = later;
            if values.is_empty() && (delete == 0 || count == 0) {
                return Ok(removed);
            }
        }
    }

    /// How many values there are.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn len(&self) -> Result<u64> {
        self.run(|operation, handle| list::length(Table::of(operation), handle))
    }

    /// Whether there is no value.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Takes every value out, as one step.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the list is as it was.
    pub fn clear(&self) -> Result<()> {
        self.run(|operation, handle| {
            let nothing = |_| Ok(Given::Word(value::UNDEFINED));
            list::splice(operation, handle, (0.0, u32::MAX), 0, nothing, &mut Removed::Ignored).map(drop)
        })
    }

    /// All values: each was there at its number when it was read. What is there all the time, and is not moved by an edit meanwhile,
    /// comes exactly once.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] for what is no `V`.
    pub fn to_vec(&self) -> Result<Vec<V::Out>> {
        let mut all = Vec::new();
        loop {
            let from = all.len() as f64;
            let found = self.run(|operation, handle| batch(operation, handle, from, MOST))?;
            if found.values.is_empty() {
                return Ok(all);
            }
            let first = found.next - found.values.len() as u64;
            for (index, scalar) in (first..).zip(found.values) {
                match typed::<V>(scalar, self.owned.agent()) {
                    // It ended: the place has another value by now, or is another's.
                    Err(Error::StaleHandle { .. }) => match self.get(index)? {
                        Some(value) => all.push(value),
                        None => return Ok(all),
                    },
                    value => all.push(value?),
                }
            }
        }
    }
}

fn take(operation: &Operation, handle: Handle, start: f64, delete: u32, given: &[Given<'_>]) -> Result<Taken> {
    let (to, room) = (operation.agent().transfer(), body::TRANSFER_LENGTH);
    let mut removed = Removed::To { to, room, region: None };
    let source = |number: u32| Ok(given[number as usize]);
    let edited = list::splice(operation, handle, (start, delete), given.len() as u32, source, &mut removed);
    let Removed::To { region: Some(region), .. } = removed else {
        return edited.map(|(at, count)| (at, records(operation, to, room, count)));
    };
    let taken = edited.and_then(|(from, count)| {
        let (at, length) = bytes::all(Table::of(operation), region)?;
        Ok((from, records(operation, at, length, count)))
    });
    release(operation, region)?;
    taken
}
