//! Workers that have ended.

use js_sys::{Function, Reflect};
use wasm_bindgen::prelude::*;

use crate::{Error, Heap, Result};

#[wasm_bindgen]
extern "C" {
    /// What came of the end of a worker: plain data.
    #[derive(Clone, Debug)]
    pub type Recovery;

    /// Why nothing of the worker does anything in the heap any more: `"exit"`, `"lock"` or `"fence"`; `"none"`: nobody can
    /// say so, and what it has stays as it is.
    #[wasm_bindgen(method, getter)]
    pub fn proof(this: &Recovery) -> String;

    /// Bytes that were given back. What other agents allocated or freed meanwhile counts, too.
    #[wasm_bindgen(method, getter, js_name = reclaimedBytes)]
    pub fn reclaimed_bytes(this: &Recovery) -> f64;

    /// Operations that were cut short, and have been finished or taken back.
    #[wasm_bindgen(method, getter)]
    pub fn repaired(this: &Recovery) -> f64;

    /// A worker that ended with agents of this heap in it: plain data.
    #[derive(Clone, Debug)]
    pub type AgentLost;

    /// How many agents it had.
    #[wasm_bindgen(method, getter)]
    pub fn agents(this: &AgentLost) -> f64;

    /// What came of it.
    #[wasm_bindgen(method, getter)]
    pub fn recovery(this: &AgentLost) -> Recovery;

    #[wasm_bindgen(method, getter, js_name = error)]
    fn thrown(this: &AgentLost) -> JsValue;

    #[wasm_bindgen(method, js_name = on, catch)]
    fn listen(this: &Heap, event: &str, listener: &Closure<dyn FnMut(AgentLost)>) -> Result<JsValue>;

    type Symbol;
    #[wasm_bindgen(static_method_of = Symbol, getter)]
    fn dispose() -> JsValue;
}

impl AgentLost {
    /// [`Code::Corrupt`](crate::Code::Corrupt) when what the worker left makes no sense: it stays as it is.
    #[must_use]
    pub fn error(&self) -> Option<Error> {
        let thrown = self.thrown();
        (!thrown.is_undefined()).then(|| thrown.into())
    }
}

impl Heap {
    /// Calls `listener` when a worker has ended with agents of this heap in it, adopted or not, however it ended; then they are
    /// reaped already. An agent that detached before is not lost. Until what this answers is dropped.
    ///
    /// # Errors
    /// None of coheap's.
    pub fn on_agent_lost(&self, listener: impl FnMut(AgentLost) + 'static) -> Result<Listening> {
        let listener = Closure::new(listener);
        let registration = self.listen("agentlost", &listener)?;
        Ok(Listening { registration, _listener: listener })
    }
}

/// A listener of a heap, which is called for as long as this lives.
#[derive(Debug)]
#[must_use = "the listener is called for as long as this lives"]
pub struct Listening {
    registration: JsValue,
    _listener: Closure<dyn FnMut(AgentLost)>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let dispose = Reflect::get(&self.registration, &Symbol::dispose()).map(Function::from);
        // It throws nothing.
        let _ = dispose.and_then(|dispose| dispose.call0(&self.registration));
    }
}
