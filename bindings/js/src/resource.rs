//! What every object of the heap has.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

use crate::Result;

#[wasm_bindgen]
extern "C" {
    /// A wrapper of an object in the heap, of whatever type: `dyn_into` makes it what it is, and values of maps and lists,
    /// too. All methods but `disposed` are `Disposed` after `dispose` and `move_away`.
    #[wasm_bindgen(is_type_of = |value| has(value, "move"))]
    #[derive(Clone, Debug)]
    pub type SharedResource;

    /// Plain data that names the object, in every agent: it can be sent, and keeps nothing alive.
    ///
    /// # Errors
    /// [`Code::Disposed`](crate::Code::Disposed), [`Code::Detached`](crate::Code::Detached).
    #[wasm_bindgen(method, getter, catch)]
    pub fn handle(this: &SharedResource) -> Result<Handle>;

    /// Whether this agent has given its reference back, or away.
    #[wasm_bindgen(method, getter)]
    pub fn disposed(this: &SharedResource) -> bool;

    /// Gives this agent's reference back, for all clones of the wrapper. Again does nothing.
    ///
    /// # Errors
    /// None of coheap's.
    #[wasm_bindgen(method, catch)]
    pub fn dispose(this: &SharedResource) -> Result<()>;

    /// Gives this agent's reference away, to who opens the handle.
    ///
    /// # Errors
    /// [`Code::Disposed`](crate::Code::Disposed), [`Code::Detached`](crate::Code::Detached),
    /// [`Code::TooManyReferences`](crate::Code::TooManyReferences).
    #[wasm_bindgen(method, js_name = move, catch)]
    pub fn move_away(this: &SharedResource) -> Result<Handle>;

    /// What `JSON.stringify` takes: the contents as plain data, or the handle of what has none. O(size of all).
    ///
    /// # Errors
    /// As a read of the object.
    #[wasm_bindgen(method, js_name = toJSON, catch)]
    pub fn to_json(this: &SharedResource) -> Result<JsValue>;

    /// Names an object: plain data.
    #[derive(Clone, Debug)]
    pub type Handle;

    /// Which heap.
    #[wasm_bindgen(method, getter, js_name = coheap)]
    pub fn heap(this: &Handle) -> String;

    /// Which entry of the object table.
    #[wasm_bindgen(method, getter)]
    pub fn index(this: &Handle) -> u32;

    /// Which of the objects that lived there one after the other.
    #[wasm_bindgen(method, getter)]
    pub fn generation(this: &Handle) -> u32;
}

/// Whether a value has a method. Classes cannot be asked: a program that is handed its heap imports none.
pub(crate) fn has(value: &JsValue, method: &str) -> bool {
    Reflect::get(value, &method.into()).is_ok_and(|found| found.is_function())
}
