//! A list.

use js_sys::{Array, Iterator};
use wasm_bindgen::prelude::*;

use crate::given::array;
use crate::resource::has;
use crate::{Result, SharedResource};

#[wasm_bindgen]
extern "C" {
    /// A list that every agent reads and writes: like `Array`. Values are what a cell holds, and other structures. Each
    /// call is one step for all agents and never blocks, but for those that say otherwise; if the caller dies in it, the
    /// list is the old one or the new one. `at`, `set` and `push` take the same time however long the list is.
    ///
    /// Places are whole numbers; what is behind their point is cut off.
    ///
    /// ```no_run
    /// # fn example(heap: &coheap_js::Heap) -> coheap_js::Result<()> {
    /// let log = heap.list("log")?;
    /// log.push("started")?;
    /// log.push_many(["one", "two"])?;
    /// assert_eq!(log.at(-1.0)?, "two");
    /// log.splice(0.0, log.length()? - 100.0, [0; 0])?; // the last hundred stay
    /// # Ok(())
    /// # }
    /// ```
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "pushMany"))]
    #[derive(Clone, Debug)]
    pub type SharedList;

    /// How many values there are.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, getter, catch)]
    pub fn length(this: &SharedList) -> Result<f64>;

    /// The value at a place, counted from the end if it is below 0; undefined if there are not so many. A structure is
    /// the one wrapper of this agent, bytes are a copy.
    ///
    /// # Errors
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for NaN, as of every call that takes a place;
    /// [`Code::TooManyReferences`](crate::Code::TooManyReferences) for a structure that has 65,535, as of every call that
    /// answers values.
    #[wasm_bindgen(method, catch)]
    pub fn at(this: &SharedList, index: f64) -> Result<JsValue>;

    /// Takes the last value out; undefined if there is none.
    ///
    /// # Errors
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the list is as it was.
    #[wasm_bindgen(method, catch)]
    pub fn pop(this: &SharedList) -> Result<JsValue>;

    /// Takes every value out, as one step.
    ///
    /// # Errors
    /// As [`SharedList::pop`].
    #[wasm_bindgen(method, catch)]
    pub fn clear(this: &SharedList) -> Result<()>;

    /// The values from a place to the one before another, both counted from the end if they are below 0 (infinity: to the
    /// end), as [`SharedList::values`] has them. O(values).
    ///
    /// # Errors
    /// As [`SharedList::at`].
    #[wasm_bindgen(method, catch)]
    pub fn slice(this: &SharedList, start: f64, end: f64) -> Result<Vec<JsValue>>;

    /// The values in their order: each is read in a step of its own, so what stays at its place comes exactly once. What is
    /// wrong with the list is the error of an item.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, catch)]
    pub fn values(this: &SharedList) -> Result<Iterator>;

    /// Pairs of a place and a value, as [`SharedList::values`] has them.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, catch)]
    pub fn entries(this: &SharedList) -> Result<Iterator>;

    /// Plain data: an array, and in it an array for each list and a `Map` for each map. O(size of all).
    ///
    /// # Errors
    /// As [`SharedList::at`].
    #[wasm_bindgen(method, js_name = toJS, catch)]
    pub fn to_js(this: &SharedList) -> Result<Array>;

    #[wasm_bindgen(method, js_name = set, catch)]
    fn set_at(this: &SharedList, index: f64, value: &JsValue) -> Result<()>;
    #[wasm_bindgen(method, js_name = push, catch)]
    fn push_value(this: &SharedList, value: &JsValue) -> Result<f64>;
    #[wasm_bindgen(method, js_name = pushMany, catch)]
    fn push_all(this: &SharedList, values: &Array) -> Result<f64>;
    #[wasm_bindgen(method, variadic, js_name = insert, catch)]
    fn insert_all(this: &SharedList, index: f64, values: &Array) -> Result<()>;
    #[wasm_bindgen(method, variadic, js_name = splice, catch)]
    fn splice_all(this: &SharedList, start: f64, delete_count: f64, values: &Array) -> Result<Vec<JsValue>>;
}

impl SharedList {
    /// Gives the value at a place another one.
    ///
    /// # Errors
    /// [`Code::OutOfRange`](crate::Code::OutOfRange) if there are not so many values,
    /// [`Code::InvalidArgument`](crate::Code::InvalidArgument) for a place below 0 or with a fraction,
    /// [`Code::UnsupportedValue`](crate::Code::UnsupportedValue) for what is no value,
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the list is as it was.
    pub fn set(&self, index: f64, value: impl Into<JsValue>) -> Result<()> {
        self.set_at(index, &value.into())
    }

    /// Puts a value behind all others; answers how many there are then.
    ///
    /// # Errors
    /// [`Code::UnsupportedValue`](crate::Code::UnsupportedValue), [`Code::OutOfMemory`](crate::Code::OutOfMemory): the list
    /// is as it was.
    pub fn push(&self, value: impl Into<JsValue>) -> Result<f64> {
        self.push_value(&value.into())
    }

    /// As [`SharedList::push`] of each value, up to 64 in one crossing, each in a step of its own. Nothing is pushed if one
    /// of them is none. O(values).
    ///
    /// # Errors
    /// As [`SharedList::push`]; if memory runs out, those before are there.
    pub fn push_many(&self, values: impl IntoIterator<Item: Into<JsValue>>) -> Result<f64> {
        self.push_all(&array(values))
    }

    /// As [`SharedList::splice`] that takes nothing out.
    ///
    /// # Errors
    /// As [`SharedList::splice`].
    pub fn insert(&self, index: f64, values: impl IntoIterator<Item: Into<JsValue>>) -> Result<()> {
        self.insert_all(index, &array(values))
    }

    /// Takes `delete_count` values out from `start` on (infinity: all that follow), which is counted from the end if it is
    /// below 0, puts others in their place, and answers what was taken out. One step for up to 64 values, of at most 24
    /// KiB together, that come in, and as many that go; what is more, and each structure that goes, is a step of its own.
    ///
    /// # Errors
    /// As [`SharedList::push`]; if memory runs out, the steps before are done. JavaScript's `RangeError`, which has no code, for
    /// more values than a call can have arguments, some ten thousands: nothing was done.
    pub fn splice(
        &self,
        start: f64,
        delete_count: f64,
        values: impl IntoIterator<Item: Into<JsValue>>,
    ) -> Result<Vec<JsValue>> {
        self.splice_all(start, delete_count, &array(values))
    }
}
