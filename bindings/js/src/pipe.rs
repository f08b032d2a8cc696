//! A stream of bytes.

use js_sys::{Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{Result, SharedResource};

/// What a read takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// Most bytes; a single token may be longer. 28 KiB when `None`.
    pub max: Option<u32>,
    /// Whole tokens: up to the last of these delimiters, of one to eight bytes.
    pub until: Option<&'a [u8]>,
    /// Milliseconds to wait; without limit when `None`.
    pub timeout: Option<f64>,
}

impl Wish<'_> {
    fn options(self) -> Result<Object> {
        let options = Object::new();
        let set = |name: &str, value: JsValue| Reflect::set(&options, &name.into(), &value);
        if let Some(max) = self.max {
            set("max", max.into())?;
        }
        if let Some(until) = self.until {
            set("until", Uint8Array::from(until).into())?;
        }
        if let Some(timeout) = self.timeout {
            set("timeout", timeout.into())?;
        }
        Ok(options)
    }
}

/// What a read that does not wait found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// These bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing yet.
    Nothing,
    /// The end.
    End,
}

#[wasm_bindgen]
extern "C" {
    /// A bounded stream of bytes that several agents write and read.
    #[wasm_bindgen(extends = SharedResource)]
    #[derive(Clone, Debug)]
    pub type SharedPipe;

    /// How many bytes it has room for.
    #[wasm_bindgen(method, getter)]
    pub fn capacity(this: &SharedPipe) -> f64;

    /// How many bytes can be read now.
    ///
    /// # Errors
    /// [`Code::StaleHandle`](crate::Code::StaleHandle), [`Code::Disposed`](crate::Code::Disposed),
    /// [`Code::Detached`](crate::Code::Detached), as of every call.
    #[wasm_bindgen(method, getter, catch)]
    pub fn available(this: &SharedPipe) -> Result<f64>;

    /// Nothing more is written: readers get what there is, and then the end. Again does nothing.
    ///
    /// # Errors
    /// As [`SharedPipe::available`].
    #[wasm_bindgen(method, catch)]
    pub fn close(this: &SharedPipe) -> Result<()>;

    /// Ends the pipe at once, for writers and readers.
    ///
    /// # Errors
    /// As [`SharedPipe::available`].
    #[wasm_bindgen(method, catch)]
    pub fn abort(this: &SharedPipe, reason: &str) -> Result<()>;

    #[wasm_bindgen(method, js_name = read, catch)]
    fn promise_of_bytes(this: &SharedPipe, options: &Object) -> Result<Promise>;
    #[wasm_bindgen(method, js_name = tryRead, catch)]
    fn bytes_now(this: &SharedPipe, options: &Object) -> Result<JsValue>;
    #[wasm_bindgen(method, js_name = write, catch)]
    fn promise_of_room(this: &SharedPipe, chunk: &Uint8Array) -> Result<Promise>;

    /// Writes what there is room for, at once; answers how many bytes. Never waits.
    ///
    /// # Errors
    /// [`Code::PipeClosed`](crate::Code::PipeClosed), [`Code::PipeAborted`](crate::Code::PipeAborted).
    #[wasm_bindgen(method, js_name = tryWrite, catch)]
    pub fn try_write(this: &SharedPipe, chunk: &[u8]) -> Result<f64>;

    /// A pipe, as an agent sees it that may block.
    #[wasm_bindgen(extends = SharedPipe, extends = SharedResource)]
    #[derive(Clone, Debug)]
    pub type BlockingPipe;

    #[wasm_bindgen(method, js_name = readSync, catch)]
    fn bytes(this: &BlockingPipe, options: &Object) -> Result<JsValue>;

    /// Writes all of it, and blocks while there is no room.
    ///
    /// # Errors
    /// As [`SharedPipe::try_write`]: what was written before stays.
    #[wasm_bindgen(method, js_name = writeSync, catch)]
    pub fn write_sync(this: &BlockingPipe, chunk: &[u8]) -> Result<()>;
}

/// Null is the end.
fn taken(bytes: &JsValue) -> Option<Vec<u8>> {
    (!bytes.is_null()).then(|| Uint8Array::new(bytes).to_vec())
}

impl SharedPipe {
    /// The next bytes, at least one, as soon as there are any; `None` at the end. Blocks nobody.
    ///
    /// # Errors
    /// [`Code::TokenTooLong`](crate::Code::TokenTooLong) when the pipe is full and has no delimiter,
    /// [`Code::TimedOut`](crate::Code::TimedOut), [`Code::PipeAborted`](crate::Code::PipeAborted): nothing was read.
    pub async fn read(&self, wish: Wish<'_>) -> Result<Option<Vec<u8>>> {
        Ok(taken(&JsFuture::from(self.promise_of_bytes(&wish.options()?)?).await?))
    }

    /// As [`SharedPipe::read`], at once. Never waits.
    ///
    /// # Errors
    /// As [`SharedPipe::read`].
    pub fn try_read(&self, wish: Wish<'_>) -> Result<Found> {
        let found = self.bytes_now(&wish.options()?)?;
        Ok(if found.is_undefined() { Found::Nothing } else { taken(&found).map_or(Found::End, Found::Bytes) })
    }

    /// Writes all of it, as soon as there is room. Blocks nobody.
    ///
    /// # Errors
    /// As [`SharedPipe::try_write`]: what was written before stays.
    pub async fn write(&self, chunk: &[u8]) -> Result<()> {
        JsFuture::from(self.promise_of_room(&Uint8Array::from(chunk))?).await?;
        Ok(())
    }
}

impl BlockingPipe {
    /// As [`SharedPipe::read`], and blocks until there are any.
    ///
    /// # Errors
    /// As [`SharedPipe::read`].
    pub fn read_sync(&self, wish: Wish<'_>) -> Result<Option<Vec<u8>>> {
        self.bytes(&wish.options()?).map(|bytes| taken(&bytes))
    }
}
