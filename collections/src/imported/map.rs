//! A map from numbers or strings to values.

use core::marker::PhantomData;
use std::vec::Vec;

use coheap_alloc::{Error, Result};

use super::agent::{Structure, sealed::Sealed};
use super::crossing::{Given, Record, read_entries, read_entry, read_record, send};
use super::import::{self, check, count, detail, refused};
use super::owned::Owned;
use super::value::{Any, Number, Str, Value, typed};
use crate::scalar::Scalar;
use crate::{Handle, Type};

/// Where an addition that is refused leaves its status.
const STATUS: u32 = 3;

/// What can be a key: numbers and [`Str`]; [`Any`] for both, of which everything else is refused.
pub trait MapKey: Value {}

impl MapKey for f64 {}
impl MapKey for u32 {}
impl MapKey for i32 {}
impl MapKey for Str {}
impl MapKey for Any {}

/// A map that every agent reads and writes, in the order in which its insertions began. Keys are as in JavaScript's `Map`:
/// −0 is 0, NaN is NaN, 1 and "1" are two. Each call is one step on one key and never blocks; no call but
/// [`Map::entries`] takes longer in a larger map. If the caller dies in it, the map is the old one or the new one.
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

impl<K: MapKey, V: Value> Map<K, V> {
    fn with_key<R>(&self, key: K::Arg<'_>, call: impl FnOnce(Handle, u32, f64) -> Result<R>) -> Result<R> {
        send([&K::give(key)], |[(kind, number)], _| call(self.handle(), kind, number))?
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] when it has what is no `V`.
    pub fn get(&self, key: K::Arg<'_>) -> Result<Option<V::Out>> {
        let number =
            self.with_key(key, |map, kind, number| Ok(import::map_get(map.index, map.generation, kind, number)))?;
        if !number.is_nan() {
            return typed::<V>(Scalar::Number(number)).map(Some);
        }
        self.typed_by(|| read_entry(self.handle(), &K::give(key)))
    }

    /// What `read` reads, as it comes out.
    fn typed_by(&self, read: impl Fn() -> Result<Option<Scalar>>) -> Result<Option<V::Out>> {
        let mut last = None;
        // Lock-free: another round means that the key lost the structure that was just read, and that ended.
        loop {
            let Some(scalar) = read()? else { return Ok(None) };
            match typed::<V>(scalar.clone()) {
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
        self.with_key(key, |map, kind, number| {
            Ok(count(import::map_has(map.index, map.generation, kind, number))? != 0.0)
        })
    }

    /// Gives a key this value.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`]: the map is as it was.
    pub fn insert(&self, key: K::Arg<'_>, value: V::Arg<'_>) -> Result<()> {
        let map = self.handle();
        send([&K::give(key), &V::give(value)], |[(kind, number), (value_kind, value)], _| {
            check(import::map_set(map.index, map.generation, kind, number, value_kind, value))
        })?
    }

    /// Gives a key this value if it is not there, and answers the one that it has then.
    ///
    /// # Errors
    /// As [`Map::insert`], and as [`Map::get`].
    pub fn get_or_insert(&self, key: K::Arg<'_>, value: V::Arg<'_>) -> Result<V::Out> {
        let map = self.handle();
        // Lock-free: another round means that the key was deleted between the two looks.
        loop {
            let there = send([&K::give(key), &V::give(value)], |[(kind, number), (value_kind, value)], at| {
                let (index, generation) = (map.index, map.generation);
                let done = count(import::map_insert(index, generation, kind, number, value_kind, value, at))?;
                if done == 0.0 { read_record(at) } else { Ok(Record::Long) }
            })??;
            let found = match there {
                Record::Value(Some(scalar)) => match typed::<V>(scalar) {
                    // It was replaced, and ended.
                    Err(Error::StaleHandle { .. }) => self.get(key)?,
                    value => Some(value?),
                },
                // Inserted just now, or too long to come along.
                Record::Value(None) | Record::Long => self.get(key)?,
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
        self.with_key(key, |map, kind, number| {
            Ok(count(import::map_delete(map.index, map.generation, kind, number))? != 0.0)
        })
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
        typed::<V>(Scalar::Number(self.add_number(key, delta.number())?))
    }

    /// As [`Map::add`], whatever values the map is said to hold.
    ///
    /// # Errors
    /// [`Error::NotANumber`], [`Error::OutOfMemory`]: the map is as it was.
    pub fn add_number(&self, key: K::Arg<'_>, delta: f64) -> Result<f64> {
        self.with_key(key, |map, kind, number| {
            let sum = import::map_add(map.index, map.generation, kind, number, delta);
            if !sum.is_nan() {
                return Ok(sum);
            }
            match detail(STATUS) as u32 {
                0 => Ok(sum),
                status => Err(refused(status)),
            }
        })
    }

    /// Gives a key the second value if it has the first, by contents and as one step; `None`: it is not there, or is to go.
    /// JavaScript's `undefined` is the same as not there. Answers whether it was so.
    ///
    /// # Errors
    /// As [`Map::insert`].
    pub fn compare_and_set(
        &self,
        key: K::Arg<'_>,
        expected: Option<V::Arg<'_>>,
        value: Option<V::Arg<'_>>,
    ) -> Result<bool> {
        let map = self.handle();
        let (expected, value) = (expected.map_or(Given::NONE, V::give), value.map_or(Given::NONE, V::give));
        send(
            [&K::give(key), &expected, &value],
            |[(kind, number), (expected_kind, expected), (value_kind, value)], _| {
                let (index, generation) = (map.index, map.generation);
                let done = import::map_compare_and_set(
                    index,
                    generation,
                    kind,
                    number,
                    expected_kind,
                    expected,
                    value_kind,
                    value,
                );
                Ok(count(done)? != 0.0)
            },
        )?
    }

    /// How many entries there are; one that is being inserted may count.
    ///
    /// # Errors
    /// None but those of every call.
    pub fn len(&self) -> Result<u64> {
        let map = self.handle();
        Ok(count(import::map_size(map.index, map.generation))? as u64)
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
        let map = self.handle();
        check(import::map_clear(map.index, map.generation))
    }

    /// Keys and values, in order: what is there all the time comes exactly once, what comes or goes meanwhile at most once.
    ///
    /// # Errors
    /// [`Error::UnexpectedValue`] for what is no `K` or no `V`.
    pub fn entries(&self) -> Result<Vec<(K::Out, V::Out)>> {
        let (mut all, mut from) = (Vec::new(), 0.0);
        loop {
            let batch = read_entries(self.handle(), from)?;
            if batch.entries.is_empty() {
                return Ok(all);
            }
            from = batch.next;
            for (key, value) in batch.entries {
                let value = match typed::<V>(value) {
                    // It ended: the key has another value by now, or is gone.
                    Err(Error::StaleHandle { .. }) => self.typed_by(|| read_entry(self.handle(), &Any::give(&key)))?,
                    value => Some(value?),
                };
                if let Some(value) = value {
                    all.push((typed::<K>(key)?, value));
                }
            }
        }
    }
}
