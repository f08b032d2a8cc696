//! A map.

use js_sys::{Array, Iterator, Object};
use wasm_bindgen::prelude::*;

use crate::given::{array, options};
use crate::resource::has;
use crate::{Lease, Result, SharedResource};

#[wasm_bindgen]
extern "C" {
    /// A map that every agent reads and writes: like `Map`, in the order of insertion. Keys are strings and numbers;
    /// values what a cell holds, and other structures.
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "addMany"))]
    #[derive(Clone, Debug)]
    pub type SharedMap;

    /// How many entries there are; one that is being inserted may count.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, getter, catch)]
    pub fn size(this: &SharedMap) -> Result<f64>;

    /// Removes every entry, as one step.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the map is as it was.
    #[wasm_bindgen(method, catch)]
    pub fn clear(this: &SharedMap) -> Result<()>;

    /// Pairs of a key and a value, in order: what is there all the time comes exactly once.
    ///
    /// # Errors
    /// As [`SharedMap::size`].
    #[wasm_bindgen(method, catch)]
    pub fn entries(this: &SharedMap) -> Result<Iterator>;

    /// The keys, as [`SharedMap::entries`] has them.
    ///
    /// # Errors
    /// As [`SharedMap::size`].
    #[wasm_bindgen(method, catch)]
    pub fn keys(this: &SharedMap) -> Result<Iterator>;

    /// The values, as [`SharedMap::entries`] has them.
    ///
    /// # Errors
    /// As [`SharedMap::size`].
    #[wasm_bindgen(method, catch)]
    pub fn values(this: &SharedMap) -> Result<Iterator>;

    /// Plain data: a `Map`, and in it a `Map` for each map and an array for each list. O(size of all).
    ///
    /// # Errors
    /// As [`SharedMap::size`].
    #[wasm_bindgen(method, js_name = toJS, catch)]
    pub fn to_js(this: &SharedMap) -> Result<js_sys::Map>;

    #[wasm_bindgen(method, js_name = get, catch)]
    fn get_of(this: &SharedMap, key: &JsValue) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = has, catch)]
    fn has_of(this: &SharedMap, key: &JsValue) -> Result<bool>;
    #[wasm_bindgen(method, js_name = set, catch)]
    fn set_of(this: &SharedMap, key: &JsValue, value: &JsValue) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = delete, catch)]
    fn delete_of(this: &SharedMap, key: &JsValue) -> Result<bool>;
    #[wasm_bindgen(method, js_name = getOrInsert, catch)]
    fn get_or_insert_of(this: &SharedMap, key: &JsValue, value: &JsValue) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = add, catch)]
    fn add_of(this: &SharedMap, key: &JsValue, delta: f64) -> Result<f64>;
    #[wasm_bindgen(method, js_name = compareAndSet, catch)]
    fn compare_and_set_of(this: &SharedMap, key: &JsValue, expected: &JsValue, value: &JsValue) -> Result<bool>;
    #[wasm_bindgen(method, js_name = getMany, catch)]
    fn get_all(this: &SharedMap, keys: &Array) -> Result<Vec<JsValue>>;
    #[wasm_bindgen(method, js_name = setMany, catch)]
    fn set_all(this: &SharedMap, entries: &Array) -> Result<()>;
    #[wasm_bindgen(method, js_name = addMany, catch)]
    fn add_all(this: &SharedMap, entries: &Array, options: Option<&Object>) -> Result<()>;
}

impl SharedMap {
    /// The value of a key; undefined when it is not there. A structure is the one wrapper of this agent.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for what is no key.
    pub fn get(&self, key: impl Into<JsValue>) -> Result<JsValue> {
        self.get_of(&key.into())
    }

    /// Whether the key is there.
    ///
    /// # Errors
    /// As [`SharedMap::get`].
    pub fn has(&self, key: impl Into<JsValue>) -> Result<bool> {
        self.has_of(&key.into())
    }

    /// Gives a key this value.
    ///
    /// # Errors
    /// As [`SharedMap::get`]; [`Code::UnsupportedValue`](crate::Code::UnsupportedValue) for what is no value,
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the map is as it was.
    pub fn set(&self, key: impl Into<JsValue>, value: impl Into<JsValue>) -> Result<()> {
        self.set_of(&key.into(), &value.into()).map(drop)
    }

    /// Removes a key; answers whether it was there.
    ///
    /// # Errors
    /// As [`SharedMap::get`].
    pub fn delete(&self, key: impl Into<JsValue>) -> Result<bool> {
        self.delete_of(&key.into())
    }

    /// Gives a key this value if it is not there, as one step, and answers the one that it has then.
    ///
    /// # Errors
    /// As [`SharedMap::set`].
    pub fn get_or_insert(&self, key: impl Into<JsValue>, value: impl Into<JsValue>) -> Result<JsValue> {
        self.get_or_insert_of(&key.into(), &value.into())
    }

    /// Adds to the number of a key, to 0 if it is not there, as one step, and answers the sum.
    ///
    /// # Errors
    /// As [`SharedMap::set`]; [`Code::NotANumber`](crate::Code::NotANumber) when it has something else.
    pub fn add(&self, key: impl Into<JsValue>, delta: f64) -> Result<f64> {
        self.add_of(&key.into(), delta)
    }

    /// Gives a key the second value if it has the first, by contents and as one step; undefined: it is not there, or is to
    /// go. Answers whether it was so.
    ///
    /// # Errors
    /// As [`SharedMap::set`].
    pub fn compare_and_set(
        &self,
        key: impl Into<JsValue>,
        expected: impl Into<JsValue>,
        value: impl Into<JsValue>,
    ) -> Result<bool> {
        self.compare_and_set_of(&key.into(), &expected.into(), &value.into())
    }

    /// The values of keys, in their order, as [`SharedMap::get`] answers them: each is read in a step of its own, up to 64 in
    /// one crossing. O(keys).
    ///
    /// # Errors
    /// As [`SharedMap::get`].
    pub fn get_many(&self, keys: impl IntoIterator<Item: Into<JsValue>>) -> Result<Vec<JsValue>> {
        self.get_all(&array(keys))
    }

    /// Sets entries, in their order: each is a step of its own, up to 64 in one crossing. Nothing is set if one of them is
    /// none. O(entries).
    ///
    /// # Errors
    /// As [`SharedMap::set`]; if memory runs out, those before are set.
    pub fn set_many<K: Into<JsValue>, V: Into<JsValue>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<()> {
        self.set_all(&pairs(entries))
    }

    /// Adds to the numbers of keys, which are 0 where they are not there, at most 65,536, all as one step: whoever reads
    /// sees all of it or nothing. With `settle` the lease is committed by the same step. If the caller dies in it, or there
    /// is an error, nothing was added and the lease is as it was, or all was added and the lease committed. O(n log n).
    ///
    /// # Errors
    /// As [`SharedMap::add`]; [`Code::LeaseLost`](crate::Code::LeaseLost), [`Code::Busy`](crate::Code::Busy) when other
    /// agents got in between 64 times.
    pub fn add_many<K: Into<JsValue>>(
        &self,
        entries: impl IntoIterator<Item = (K, f64)>,
        settle: Option<&Lease>,
    ) -> Result<()> {
        let settle = settle.map(|lease| lease.as_js().into());
        self.add_all(&pairs(entries), options([("settle", settle)])?.as_ref())
    }
}

/// An array of pairs.
fn pairs<K: Into<JsValue>, V: Into<JsValue>>(entries: impl IntoIterator<Item = (K, V)>) -> Array {
    array(entries.into_iter().map(|(key, value)| Array::of2(&key.into(), &value.into())))
}
