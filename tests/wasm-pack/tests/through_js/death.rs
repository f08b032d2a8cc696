//! Workers that end.

use std::cell::RefCell;
use std::rc::Rc;

use coheap::js::{Code, Wish};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;

use crate::common::{agent, heap};
use crate::number;

#[wasm_bindgen_test]
async fn js_worker_that_is_terminated_gives_its_lease_back_and_ends_its_pipes() {
    let heap = heap().await;
    let worker = agent(&heap).await;
    let pipe = heap.pipe("lines").expect("a pipe");
    pipe.write(b"one\ntwo\n", None).await.expect("room");
    let needed = heap.pipe("needed").expect("a pipe");
    let thread = worker.thread();
    let token = heap.token().expect("a token");
    heap.adopt_with_pipes(&thread, &token, std::slice::from_ref(&needed)).expect("a worker");
    let again = heap.adopt_with_pipes(&thread, &token, &[]).expect_err("one worker for each token");
    assert_eq!(again.code(), Some(Code::Adopted));
    let taken = worker.run("(heap) => (globalThis.lease = heap.pipe('lines').leaseSync()).bytes.length", 0).await;
    assert_eq!(taken.expect("all"), JsValue::from(8));
    let lost = Rc::new(RefCell::new(Vec::new()));
    let listen = || {
        let lost = Rc::clone(&lost);
        heap.on_agent_lost(move |agent| lost.borrow_mut().push(agent)).expect("a listener")
    };
    let listening = listen();
    drop(listen()); // hears of nothing
    let recovery = heap.terminate(&thread).await.expect("an adopted worker");
    assert!(matches!(recovery.proof().as_str(), "exit" | "lock"), "{recovery:?}");
    assert!(recovery.reclaimed_bytes() >= 0.0 && recovery.repaired() >= 0.0, "{recovery:?}");
    drop(listening);
    let lost = lost.take();
    assert_eq!((lost.len(), lost[0].agents(), lost[0].error().is_none()), (1, 1.0, true), "{lost:?}");
    assert_eq!(lost[0].recovery().proof(), recovery.proof());
    let within = Wish { timeout: Some(10_000.0), ..Wish::default() };
    let back = pipe.read(within).await.expect("what came back");
    assert_eq!(back.as_deref(), Some(&b"one\ntwo\n"[..]));
    assert_eq!(needed.read(within).await.expect_err("nobody writes it").code(), Some(Code::AgentLost));
    let figures = heap.audit(Some(10_000.0)).await.expect("a whole heap");
    assert_eq!(number(&figures, "agents"), 1.0);
    let other = heap.terminate(&JsValue::NULL).await.expect_err("no worker");
    assert_eq!(other.code(), Some(Code::InvalidArgument));
}
