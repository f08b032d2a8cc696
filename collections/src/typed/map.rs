//! A map from numbers or strings to values.

use core::marker::PhantomData;
use std::vec::Vec;

use coheap_alloc::{Error, Operation, Result};

use super::handle::{Structure, sealed::Sealed};
use super::owned::Owned;
use super::pipe::Lease;
use super::value::{Any, Number, ROOM, Scalar, Str, Value, plain, stored, typed};
use crate::cell::Taken;
use crate::map::{self, Additions, Key};
use crate::string::{Form, Given};
use crate::{Table, Type, bytes, count, value};

/// What can be a key: numbers and [`Str`]; [`Any`] for both, of which everything else is refused.
pub trait MapKey: Value {}

impl MapKey for f64 {}
impl MapKey for u32 {}
impl MapKey for i32 {}
impl MapKey for Str {}
impl MapKey for Any {}

/// Entries that cross at once.
const BATCH: u32 = 64;
/// Bytes of a record before its contents.
const RECORD: usize = 16;

/// A map that every agent reads and writes, in the order in which its insertions began. Keys are as in JavaScript's `Map`:
/// −0 is 0, NaN is NaN, 1 and "1" are two. Each call is one step on one key and never blocks; no call but
/// [`Map::entries`] takes longer in a larger map. If the caller dies in it, the map is the old one or the new one.
///
/// ```
/// use coheap::typed::{Heap, Map, Str};
///
/// let heap = Heap::in_process(64 << 20)?;
/// let words: Map<Str, f64> = heap.attach()?.map("words")?;
/// std::thread::scope(|scope| {
///     for _ in 0..2 {
///         scope.spawn(move || -> coheap_alloc::Result<()> {
///             let words: Map<Str, f64> = heap.attach()?.map("words")?;
///             "the cat and the dog".split(' ').try_for_each(|word| words.add(word, 1.0).map(drop))
///         });
///     }
/// });
/// assert_eq!(words.get("the")?, Some(4.0));
/// assert_eq!(words.entries()?.len(), 4);
/// # Ok::<(), coheap_alloc::Error>(())
/// ```
#[derive(Debug)]
pub struct Map<K: MapKey, V: Value> {
    owned: Owned,
    holds: PhantomData<(K, V)>,
}

impl<K: MapKey, V: Value> Sealed for Map<K, V> {}

impl<K: MapKey, V: Value> Structure for Map<K, V> {
    const KIND: Type = Type::Map;

    fn from_owned(owned: Owned) -> Self {
        Self { owned, holds: PhantomData }
    }

    fn owned(&self) -> &Owned {
        &self.owned
    }
}

fn key<'a>(table: Table, given: Given<'a>) -> Result<Key<'a>> {
    Key::given(table, given).ok_or(Error::unexpected_value(value::Tag::String as u32, value::Tag::Data as u32))
}

fn give_if<V: Value, R>(
    value: Option<V::Arg<'_>>,
    table: Table,
    f: impl FnOnce(Option<Given<'_>>) -> Result<R>,
) -> Result<R> {
    match value {
        None => f(None),
        Some(value) => V::give(value, table, |given| f(Some(given))),
    }
}

/// The value that was read, or that is to be read again to where it has room.
fn taken(
    operation: &Operation,
    found: Option<Taken>,
    mut again: impl FnMut(coheap_alloc::Address, u32) -> Result<Option<Taken>>,
) -> Result<Option<Scalar>> {
    let table = Table::of(operation);
    let mut found = found;
    let (mut at, mut room, mut region) = (operation.agent().transfer(), ROOM, None);
    // Lock-free: another round means that another agent put a longer value there.
    let answer = loop {
        let Some(now) = found else { break Ok(None) };
        let Some((form, length)) = now.block else { break plain(table, now).map(Some) };
        if length <= room {
            let mut contents = std::vec![0; length as usize];
            table.memory.copy_out(at, &mut contents);
            break Ok(Some(stored(form, &contents)));
        }
        if let Some(region) = region.take() {
            release(operation, region)?;
        }
        let made = bytes::create(operation, length)?;
        region = Some(made);
        room = length;
        at = bytes::all(table, made)?.0;
        match again(at, room) {
            Ok(next) => found = next,
            Err(error) => break Err(error),
        }
    };
    if let Some(region) = region {
        release(operation, region)?;
    }
    answer
}

pub(super) fn release(operation: &Operation, region: crate::Handle) -> Result<()> {
    // Nobody waits for it.
    count::release(operation, region, Type::Bytes).map(|_| ())
}

/// What [`Map::add_many`] adds.
struct Entries<'a, 'k, K: MapKey> {
    table: Table,
    entries: &'a [(K::Arg<'k>, f64)],
}

impl<K: MapKey> Additions for Entries<'_, '_, K> {
    fn count(&self) -> u32 {
        u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    fn with<R>(&self, position: u32, f: impl FnOnce(&Key<'_>, f64) -> Result<R>) -> Result<(R, u32)> {
        let out = || Error::out_of_range(u64::from(position), 1, self.entries.len() as u64);
        let &(given, delta) = self.entries.get(position as usize).ok_or_else(out)?;
        let done = K::give(given, self.table, |given| f(&key(self.table, given)?, delta))?;
        Ok((done, position + 1))
    }
}

impl<K: MapKey, V: Value> Map<K, V> {
    fn with_key<R>(
        &self,
        given: K::Arg<'_>,
        f: impl FnOnce(&Operation, crate::Handle, &Key<'_>) -> Result<R>,
    ) -> Result<R> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| {
            let table = Table::of(operation);
            K::give(given, table, |given| f(operation, handle, &key(table, given)?))
        })
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] when it has what is no `V`.
    pub fn get(&self, key: K::Arg<'_>) -> Result<Option<V::Out>> {
        self.typed_by(|| self.with_key(key, read))
    }

    fn typed(&self, scalar: Scalar) -> Result<V::Out> {
        typed::<V>(scalar, self.owned.agent())
    }

    /// What `read` reads, as it comes out.
    fn typed_by(&self, read: impl Fn() -> Result<Option<Scalar>>) -> Result<Option<V::Out>> {
        let mut last = None;
        // Lock-free: another round means that the key lost the structure that was just read, and that ended.
        loop {
            let Some(scalar) = read()? else { return Ok(None) };
            match self.typed(scalar.clone()) {
                Err(Error::StaleHandle { .. }) if last.as_ref() != Some(&scalar) => last = Some(scalar),
                done => return done.map(Some),
            }
        }
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn contains_key(&self, key: K::Arg<'_>) -> Result<bool> {
        self.with_key(key, |operation, handle, key| map::has(Table::of(operation), handle, key))
    }

    /// Gives a key this value.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the map is as it was.
    pub fn insert(&self, key: K::Arg<'_>, value: V::Arg<'_>) -> Result<()> {
        self.with_key(key, |operation, handle, key| {
            V::give(value, Table::of(operation), |given| map::set(operation, handle, key, given))
        })
    }

    /// Gives a key this value if it is not there, and answers the one that it has then.
    ///
    /// # Errors
    /// As [`Map::insert`], and as [`Map::get`].
    pub fn get_or_insert(&self, key: K::Arg<'_>, value: V::Arg<'_>) -> Result<V::Out> {
        // Lock-free: another round means that the key was deleted between the two looks at a long value.
        loop {
            let there = self.with_key(key, |operation, handle, key| {
                let table = Table::of(operation);
                V::give(value, table, |given| {
                    let to = operation.agent().transfer();
                    let found = map::insert_if_absent(operation, handle, key, given, to, ROOM)?;
                    if found.is_none() {
                        // What was inserted, as it comes out.
                        let inserted = map::get(table, handle, key, to, ROOM)?;
                        return taken(operation, inserted, |to, room| map::get(table, handle, key, to, room));
                    }
                    taken(operation, found, |to, room| map::get(table, handle, key, to, room))
                })
            })?;
            let found = match there.map(|scalar| self.typed(scalar)) {
                // It was replaced, and ended.
                Some(Err(Error::StaleHandle { .. })) => self.get(key)?,
                found => found.transpose()?,
            };
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Removes a key; answers whether it was there.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn remove(&self, key: K::Arg<'_>) -> Result<bool> {
        self.with_key(key, map::delete)
    }

    /// Adds to the number of a key, to 0 if it is not there, as one step, and answers the sum.
    ///
    /// # Errors
    /// [`Error::NotANumber`], [`Error::OutOfMemory`]: the map is as it was; [`Error::UnexpectedValue`] when the sum, which the
    /// key has then, is no `V`.
    pub fn add(&self, key: K::Arg<'_>, delta: V) -> Result<V>
    where
        V: Number,
    {
        self.typed(Scalar::Number(self.add_number(key, delta.number())?))
    }

    /// As [`Map::add`], whatever values the map is said to hold.
    ///
    /// # Errors
    /// [`Error::NotANumber`], [`Error::OutOfMemory`]: the map is as it was.
    pub fn add_number(&self, key: K::Arg<'_>, delta: f64) -> Result<f64> {
        self.with_key(key, |operation, handle, key| map::add(operation, handle, key, delta))
    }

    /// Adds to the numbers of keys, to 0 where one is not there, at most 65,536, and commits a loan: all of it or nothing,
    /// as one step for whoever reads any of it. If the caller dies here, too. O(n log n).
    ///
    /// # Errors
    /// [`Error::NotANumber`], [`Error::OutOfRange`], [`Error::OutOfMemory`], [`Error::LeaseLost`], also for a lease
    /// of another agent: the map is as it was, and the loan goes back.
    pub fn add_many(&self, additions: &[(K::Arg<'_>, f64)], loan: Option<Lease<'_>>) -> Result<()> {
        let agent = self.owned.agent();
        let loan = loan.as_ref().map(|lease| lease.of(agent)).transpose()?;
        let wake = agent.run(|operation| {
            let all = Entries::<K> { table: Table::of(operation), entries: additions };
            map::add_many(operation, self.owned.handle(), &all, loan)
        })?;
        agent.notify(wake);
        Ok(())
    }

    /// Gives a key the second value if it has the first, by contents and as one step; `None`: it is not there, or is to go.
    /// Answers whether it was so.
    ///
    /// # Errors
    /// As [`Map::insert`].
    pub fn compare_and_set(
        &self,
        key: K::Arg<'_>,
        expected: Option<V::Arg<'_>>,
        value: Option<V::Arg<'_>>,
    ) -> Result<bool> {
        self.with_key(key, |operation, handle, key| {
            let table = Table::of(operation);
            give_if::<V, _>(expected, table, |expected| {
                give_if::<V, _>(value, table, |value| map::compare_and_set(operation, handle, key, expected, value))
            })
        })
    }

    /// How many entries there are; one that is being inserted may count.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn len(&self) -> Result<u64> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| map::size(Table::of(operation), handle))
    }

    /// Whether there is no entry.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn is_empty(&self) -> Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Removes every entry, as one step.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the map is as it was.
    pub fn clear(&self) -> Result<()> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| map::clear(operation, handle))
    }

    /// Keys and values, in order: what is there all the time comes exactly once, what comes or goes meanwhile at most once.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] for what is no `K` or no `V`.
    pub fn entries(&self) -> Result<Vec<(K::Out, V::Out)>> {
        let mut all = Vec::new();
        let mut from = 0;
        loop {
            let batch = self.owned.agent().run(|operation| batch(operation, self.owned.handle(), from))?;
            if batch.entries.is_empty() {
                return Ok(all);
            }
            from = batch.next;
            for (key, value) in batch.entries {
                let value = match self.typed(value) {
                    // It ended: the key has another value by now, or is gone.
                    Err(Error::StaleHandle { .. }) => self.typed_by(|| self.read_again(&key))?,
                    value => Some(value?),
                };
                if let Some(value) = value {
                    all.push((typed::<K>(key, self.owned.agent())?, value));
                }
            }
        }
    }
}

impl<K: MapKey, V: Value> Map<K, V> {
    fn read_again(&self, given: &Scalar) -> Result<Option<Scalar>> {
        let handle = self.owned.handle();
        self.owned.agent().run(|operation| {
            let table = Table::of(operation);
            Any::give(given, table, |given| read(operation, handle, &key(table, given)?))
        })
    }
}

fn read(operation: &Operation, handle: crate::Handle, key: &Key<'_>) -> Result<Option<Scalar>> {
    let table = Table::of(operation);
    let found = map::get(table, handle, key, operation.agent().transfer(), ROOM)?;
    taken(operation, found, |to, room| map::get(table, handle, key, to, room))
}

struct Batch {
    entries: Vec<(Scalar, Scalar)>,
    next: u64,
}

fn batch(operation: &Operation, handle: crate::Handle, from: u64) -> Result<Batch> {
    let table = Table::of(operation);
    let (mut at, mut room, mut region) = (operation.agent().transfer(), ROOM, None);
    // Lock-free: another round means that another agent put a longer value there.
    let answer = loop {
        let batch = map::entries(table, handle, from, BATCH, at, room)?;
        if batch.needed == 0 {
            let mut copy = std::vec![0; room as usize];
            table.memory.copy_out(at, &mut copy);
            let mut records = Records { table, left: &copy };
            let entries = (0..batch.count).map_while(|_| Some((records.next()?, records.next()?))).collect();
            break Ok(Batch { entries, next: batch.next });
        }
        if let Some(region) = region.take() {
            release(operation, region)?;
        }
        let made = bytes::create(operation, batch.needed)?;
        region = Some(made);
        room = batch.needed;
        at = match bytes::all(table, made) {
            Ok((at, _)) => at,
            Err(error) => break Err(error),
        };
    };
    if let Some(region) = region {
        release(operation, region)?;
    }
    answer
}

/// Keys and values as a batch has them.
pub(super) struct Records<'a> {
    pub(super) table: Table,
    pub(super) left: &'a [u8],
}

impl Records<'_> {
    pub(super) fn next(&mut self) -> Option<Scalar> {
        let (head, rest) = self.left.split_at_checked(RECORD)?;
        let kind = u32::from_le_bytes(head.get(..4)?.try_into().ok()?);
        let number = f64::from_le_bytes(head.get(8..)?.try_into().ok()?);
        let Some(form) = kind.checked_sub(8).and_then(Form::from_tag) else {
            self.left = rest;
            let word = match kind {
                0 => value::from_number(number),
                1 => value::tagged(value::Tag::Special, number as u64),
                2 => value::tagged(value::Tag::Short, number as u64),
                _ => value::tagged(value::Tag::Atom, number as u64),
            };
            return plain(self.table, Taken { word, block: None, generation: 0, region: None }).ok();
        };
        let length = number as usize;
        let (contents, rest) = rest.split_at_checked(length.next_multiple_of(8))?;
        self.left = rest;
        Some(stored(form, contents.get(..length)?))
    }
}
