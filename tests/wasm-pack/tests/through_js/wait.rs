//! How waits end: by what they wait for, by their time, and with their future.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;

use coheap::js::{Code, Error, Wish};
use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::common::{agent, heap};

const SHORT: Option<f64> = Some(1.0);
const LONG: Option<f64> = Some(10_000.0);

/// Begins a wait.
async fn begin<T>(mut waiting: Pin<&mut impl Future<Output = T>>) {
    let is_pending = poll_fn(|context| Poll::Ready(waiting.as_mut().poll(context).is_pending())).await;
    assert!(is_pending, "there is nothing yet");
}

fn written(late: &Error) -> Option<f64> {
    assert_eq!(late.code(), Some(Code::TimedOut), "{late}");
    late.detail("written")?.as_f64()
}

#[wasm_bindgen_test]
async fn js_write_waits_for_room_as_long_as_it_says() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let pipe = heap.pipe_with_capacity(Some("pipe"), 4096.0).expect("a pipe");
    pipe.write_many([&[1u8; 1_000][..], &[2; 1_000]], SHORT).await.expect("room");
    let late = pipe.write(&[3; 20_000], SHORT).await.expect_err("no room for all of it");
    let first = written(&late).expect("a number");
    assert!((1.0..20_000.0).contains(&first), "{first}");
    let late = pipe.write_many([&[4u8; 20_000][..], &[5]], SHORT).await.expect_err("it is full");
    assert_eq!((written(&late), pipe.available().expect("a pipe")), (Some(0.0), 2_000.0 + first));
    let line = Wish { until: Some(b"\n"), timeout: SHORT, max: None };
    assert_eq!(pipe.lease(line).await.expect_err("none comes").code(), Some(Code::TokenTooLong));
    let late = heap.new_pipe().expect("a pipe").lease(line).await;
    assert_eq!(late.expect_err("none came").code(), Some(Code::TimedOut));
    let reading = "(heap, left) => { while (left > 0) left -= heap.pipe('pipe').readSync().length; }";
    let reading = worker.run(reading, 2_000.0 + first + 20_000.0);
    pipe.write(&[6; 20_000], LONG).await.expect("another agent reads");
    reading.await.expect("all of it");
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_wait_that_is_dropped_takes_and_gives_nothing() {
    let pipe = heap().await.pipe_with_capacity(None, 4096.0).expect("a pipe");
    let within = Wish { timeout: LONG, ..Wish::default() };
    // Who waited longer would be served first.
    begin(pin!(pipe.read(Wish::default()))).await;
    begin(pin!(pipe.lease(Wish::default()))).await;
    let mut reading = pin!(pipe.read(within));
    begin(reading.as_mut()).await;
    pipe.write(&[1; 4_096], None).await.expect("room");
    assert_eq!(reading.await.expect("nobody else takes them").as_deref(), Some(&[1; 4_096][..]));
    pipe.write(&[2; 4_096], None).await.expect("room");
    begin(pin!(pipe.write(b"nobody's", None))).await;
    begin(pin!(pipe.write_many([b"nobody's"], None))).await;
    let mut writing = pin!(pipe.write(b"mine", LONG));
    begin(writing.as_mut()).await;
    assert_eq!(pipe.read(within).await.expect("bytes").as_deref(), Some(&[2; 4_096][..]));
    writing.await.expect("room");
    pipe.close().expect("a pipe");
    assert_eq!(pipe.read(within).await.expect("bytes").as_deref(), Some(&b"mine"[..]));
    assert!(pipe.read(within).await.expect("the end").is_none());
}

#[wasm_bindgen_test]
async fn js_pipe_is_a_pair_of_web_streams() {
    let pipe = heap().await.new_pipe().expect("a pipe");
    let call = |object: &JsValue, method: &str, argument: &JsValue| -> JsValue {
        let method: js_sys::Function = Reflect::get(object, &method.into()).expect("a method").unchecked_into();
        method.call1(object, argument).expect("an answer")
    };
    let writer = call(&pipe.writable().expect("a stream"), "getWriter", &JsValue::UNDEFINED);
    let done: Promise = call(&writer, "write", &js_sys::Uint8Array::from(&b"bytes"[..])).unchecked_into();
    JsFuture::from(done).await.expect("room");
    let reader = call(&pipe.readable().expect("a stream"), "getReader", &JsValue::UNDEFINED);
    let found: Promise = call(&reader, "read", &JsValue::UNDEFINED).unchecked_into();
    let found = Reflect::get(&JsFuture::from(found).await.expect("bytes"), &"value".into()).expect("bytes");
    assert_eq!(js_sys::Uint8Array::from(found).to_vec(), b"bytes");
    JsFuture::from(call(&writer, "close", &JsValue::UNDEFINED).unchecked_into::<Promise>()).await.expect("its end");
    assert!(pipe.read(Wish::default()).await.expect("the end").is_none());
}
