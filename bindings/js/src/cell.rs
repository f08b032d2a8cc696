//! One value.

use js_sys::{Object, Promise};
use wasm_bindgen::prelude::*;

use crate::given::options;
use crate::resource::has;
use crate::wait::wait;
use crate::{Result, SharedResource};

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The cell does not hold the old value any more.
    Changed,
    /// It held it all the time.
    TimedOut,
}

impl Outcome {
    fn of(outcome: &JsValue) -> Self {
        if *outcome == "changed" { Self::Changed } else { Self::TimedOut }
    }
}

#[wasm_bindgen]
extern "C" {
    /// One value that every agent reads and writes: undefined, null, boolean, number, bigint, string or Uint8Array.
    #[wasm_bindgen(extends = SharedResource, is_type_of = |value| has(value, "waitAsync"))]
    #[derive(Clone, Debug)]
    pub type SharedCell;

    /// The value.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, catch)]
    pub fn get(this: &SharedCell) -> Result<JsValue>;

    #[wasm_bindgen(method, js_name = set, catch)]
    fn set_value(this: &SharedCell, value: &JsValue) -> Result<()>;

    /// Adds, as one step, and answers the sum.
    ///
    /// # Errors
    /// [`Code::NotANumber`](crate::Code::NotANumber) when it holds something else.
    #[wasm_bindgen(method, catch)]
    pub fn add(this: &SharedCell, delta: f64) -> Result<f64>;

    #[wasm_bindgen(method, js_name = compareAndSet, catch)]
    fn compare_and_set_value(this: &SharedCell, expected: &JsValue, value: &JsValue) -> Result<bool>;

    #[wasm_bindgen(method, js_name = waitAsync, catch)]
    fn promise_of_change(this: &SharedCell, old: &JsValue, options: &Object) -> Result<Promise>;

    /// A cell, as an agent sees it that may block.
    #[wasm_bindgen(extends = SharedCell, extends = SharedResource, is_type_of = |value| has(value, "waitSync"))]
    #[derive(Clone, Debug)]
    pub type BlockingCell;

    #[wasm_bindgen(method, js_name = waitSync, catch)]
    fn wait_until(this: &BlockingCell, old: &JsValue, milliseconds: f64) -> Result<JsValue>;
}

impl SharedCell {
    /// Replaces the value.
    ///
    /// # Errors
    /// [`Code::UnsupportedValue`](crate::Code::UnsupportedValue) for an object,
    /// [`Code::OutOfMemory`](crate::Code::OutOfMemory): the cell is as it was.
    pub fn set(&self, value: impl Into<JsValue>) -> Result<()> {
        self.set_value(&value.into())
    }

    /// Replaces the value if it is `expected`, by contents and as one step. Answers whether it did.
    ///
    /// # Errors
    /// As [`SharedCell::set`].
    pub fn compare_and_set(&self, expected: impl Into<JsValue>, value: impl Into<JsValue>) -> Result<bool> {
        self.compare_and_set_value(&expected.into(), &value.into())
    }

    /// Waits until the cell does not hold `old` any more, `milliseconds` at most (infinity: no limit), or until the future
    /// is dropped. Blocks nobody.
    ///
    /// # Errors
    /// As [`SharedCell::get`], also when the agent detaches meanwhile.
    pub async fn wait(&self, old: impl Into<JsValue>, milliseconds: f64) -> Result<Outcome> {
        let old = old.into();
        let timeout = options([("timeout", Some(milliseconds.into()))])?;
        let changed = wait(timeout, |options| self.promise_of_change(&old, options)).await?;
        Ok(Outcome::of(&changed))
    }
}

impl BlockingCell {
    /// Blocks until the cell does not hold `old` any more, `milliseconds` at most (infinity: no limit).
    ///
    /// # Errors
    /// As [`SharedCell::get`], also when the cell is destroyed meanwhile.
    pub fn wait_sync(&self, old: impl Into<JsValue>, milliseconds: f64) -> Result<Outcome> {
        self.wait_until(&old.into(), milliseconds).map(|outcome| Outcome::of(&outcome))
    }
}
