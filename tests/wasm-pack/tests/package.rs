//! What imports the npm package by its name: in Node, or where a bundler finds it.
#![cfg(target_arch = "wasm32")]

use coheap::js::{Code, Outcome, SharedHeap, Wish, attach};
use js_sys::{Object, Reflect};
use wasm_bindgen_test::wasm_bindgen_test;

#[wasm_bindgen_test]
async fn js_program_makes_a_heap_and_attaches_by_itself() {
    let options = Object::new();
    Reflect::set(&options, &"maximum".into(), &"16MiB".into()).expect("an option");
    let heap = SharedHeap::create(&options).await.expect("a heap");
    heap.cell("hits").expect("a cell").set(1).expect("set");
    let other = SharedHeap::attach(&heap.token().expect("a token")).expect("a seat");
    assert_eq!(other.cell("hits").expect("a cell").add(1.0).expect("a sum"), 2.0);
    let token = heap.token().expect("a token");
    let blocking = attach(&token).expect("a seat");
    let hits = blocking.blocking_cell("hits").expect("a cell");
    assert_eq!(hits.wait_sync(1, 1_000.0).expect("it is 2"), Outcome::Changed);
    assert_eq!(hits.wait_sync(2, 1.0).expect("it is 2"), Outcome::TimedOut);
    let pipe = blocking.blocking_pipe("pipe").expect("a pipe");
    pipe.write_sync(b"a line").expect("room");
    assert_eq!(pipe.read_sync(Wish::default()).expect("bytes").as_deref(), Some(&b"a line"[..]));
    assert_eq!(attach(&token).expect_err("used").code(), Some(Code::InvalidToken));
    Reflect::set(&options, &"maximum".into(), &"16 apples".into()).expect("an option");
    assert_eq!(SharedHeap::create(&options).await.expect_err("no size").code(), Some(Code::InvalidArgument));
}
