//! What imports the npm package by its name: in Node, or where a bundler finds it.
#![cfg(target_arch = "wasm32")]

use coheap::js::{BlockingCell, BlockingPipe, Code, Outcome, SharedHeap, Wish, attach};
use js_sys::{Object, Reflect};
use wasm_bindgen::JsCast;
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
    pipe.write_sync(b"a line", None).expect("room");
    assert_eq!(pipe.read_sync(Wish::default()).expect("bytes").as_deref(), Some(&b"a line"[..]));
    assert_eq!(attach(&token).expect_err("used").code(), Some(Code::InvalidToken));
    Reflect::set(&options, &"maximum".into(), &"16 apples".into()).expect("an option");
    assert_eq!(SharedHeap::create(&options).await.expect_err("no size").code(), Some(Code::InvalidArgument));
}

#[wasm_bindgen_test]
async fn js_agent_that_may_block_leases_and_writes_within_its_time() {
    let heap = SharedHeap::create(&Object::new()).await.expect("a heap");
    let blocking = attach(&heap.token().expect("a token")).expect("a seat");
    let cell = blocking.new_cell().expect("a cell").dyn_into::<BlockingCell>().expect("one that blocks");
    assert_eq!(cell.wait_sync(1, f64::INFINITY).expect("it is 0"), Outcome::Changed);
    heap.new_cell().expect("a cell").dyn_into::<BlockingCell>().expect_err("one that does not");
    let pipe = blocking.pipe_with_capacity(Some("pipe"), 4096.0).expect("a pipe");
    let pipe: BlockingPipe = pipe.dyn_into().expect("one that blocks");
    pipe.write_many_sync(["one\n", "two\n", "thr"], Some(1_000.0)).expect("room");
    let lines = Wish { until: Some(b"\n"), timeout: Some(1_000.0), ..Wish::default() };
    let lease = pipe.lease_sync(lines).expect("lines").expect("not the end");
    assert_eq!((lease.offset(), &lease[..]), (0, &b"one\ntwo\n"[..]));
    drop(lease);
    pipe.lease_sync(lines).expect("the same lines").expect("not the end").commit().expect("they are used up");
    let late = pipe.lease_sync(Wish { timeout: Some(1.0), ..lines }).expect_err("no whole line");
    assert_eq!(late.code(), Some(Code::TimedOut));
    pipe.write_sync(&[b'x'; 4093], None).expect("room");
    for late in [pipe.write_sync(b"more", Some(1.0)), pipe.write_many_sync([b"more"], Some(1.0))] {
        let late = late.expect_err("it is full");
        let written = late.detail("written").and_then(|written| written.as_f64());
        assert_eq!((late.code(), written), (Some(Code::TimedOut), Some(0.0)));
    }
    pipe.close().expect("a pipe");
    let rest = pipe.lease_sync(lines).expect("the rest").expect("not the end");
    assert_eq!((rest.offset(), rest.len()), (8, 4096));
    rest.commit().expect("it is used up");
    assert!(pipe.lease_sync(lines).expect("the end").is_none());
}
