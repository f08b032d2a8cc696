//! Bytes on loan, and what is committed with them.

use coheap::js::{Code, Heap, SharedPipe, Wish};
use wasm_bindgen::JsValue;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::common::{agent, heap};

const LINES: Wish<'_> = Wish { max: Some(1), until: Some(b"\n"), timeout: Some(10_000.0) };

/// The pipe of that name, with some lines and its end.
async fn lines(heap: &Heap, chunks: &[&str]) -> SharedPipe {
    let pipe = heap.pipe("lines").expect("a pipe");
    pipe.write_many(chunks, Some(10_000.0)).await.expect("room");
    pipe.close().expect("a pipe");
    pipe
}

#[wasm_bindgen_test]
async fn js_lease_is_read_again_unless_it_is_committed() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let pipe = lines(&heap, &["one\n", "two\n", "three\n"]).await;
    for _ in 0..50 {
        // More than can be out at once: each goes back when it is dropped, not when it is collected.
        let lease = pipe.lease(LINES).await.expect("a line").expect("not the end");
        assert_eq!((lease.offset(), &lease[..]), (0, &b"one\n"[..]));
    }
    let first = pipe.lease(LINES).await.expect("a line").expect("not the end");
    let second = pipe.lease(LINES).await.expect("a line").expect("not the end");
    assert_eq!((second.offset(), &second[..]), (4, &b"two\n"[..]));
    second.commit().expect("it is used up");
    let other = worker.run("(heap) => heap.pipe('lines').readSync({ max: 6, until: '\\n' }).length", 0);
    assert_eq!(other.await.expect("the third"), JsValue::from(6));
    drop(first);
    let other = worker.run("(heap) => new TextDecoder().decode(heap.pipe('lines').readSync())", 0);
    assert_eq!(other.await.expect("the first, which came back"), "one\n");
    assert!(pipe.lease(LINES).await.expect("the end").is_none());
    let pipe = heap.new_pipe().expect("a pipe");
    pipe.write(b"gone\n", None).await.expect("room");
    let lease = pipe.lease(LINES).await.expect("a line").expect("not the end");
    pipe.dispose().expect("to let go");
    assert_eq!(lease.commit().expect_err("it went with the pipe").code(), Some(Code::Disposed));
    worker.stop();
}

#[wasm_bindgen_test]
async fn js_tally_and_its_lease_are_one_step() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let words = heap.map("words").expect("a map");
    let pipe = lines(&heap, &["a b\n", "b c\n"]).await;
    let lease = pipe.lease(Wish { max: None, ..LINES }).await.expect("lines").expect("not the end");
    let text = String::from_utf8(lease.to_vec()).expect("text");
    let tally = || text.split_whitespace().map(|word| (word, 1.0));
    words.set("c", "no number").expect("room");
    let refused = words.add_many(tally(), Some(&lease)).expect_err("text");
    assert_eq!((refused.code(), words.size().expect("a size")), (Some(Code::NotANumber), 1.0));
    words.delete("c").expect("a map");
    words.add_many(tally(), Some(&lease)).expect("the lease is as it was");
    let again = words.add_many([("a", 100.0)], Some(&lease)).expect_err("it is committed");
    assert_eq!(again.code(), Some(Code::LeaseLost));
    words.add_many([("c", 0.5), ("d", -1.0)], None).expect("room");
    drop(lease);
    assert!(pipe.read(LINES).await.expect("the end").is_none(), "nothing came back");
    let seen = worker.run("(heap) => [...heap.map('words')].sort().join(' ')", 0).await.expect("an answer");
    assert_eq!(seen, "a,1 b,2 c,1.5 d,-1");
    worker.stop();
}
