//! What every object of the heap has.

use wasm_bindgen::prelude::*;

use crate::Result;

#[wasm_bindgen]
extern "C" {
    /// A wrapper of an object in the heap. All methods but `disposed` are `Disposed` after `dispose` and `move_away`.
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

    /// Names an object: plain data.
    #[derive(Clone, Debug)]
    pub type Handle;

    /// Which entry of the object table.
    #[wasm_bindgen(method, getter)]
    pub fn index(this: &Handle) -> u32;

    /// Which of the objects that lived there one after the other.
    #[wasm_bindgen(method, getter)]
    pub fn generation(this: &Handle) -> u32;
}
