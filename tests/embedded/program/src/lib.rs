//! What threads of one program share, and what is each one's own; the test looks from JavaScript.

use std::cell::{Cell as Local, RefCell};
use std::sync::Mutex;

use coheap::typed::{Cell, Heap, Map, Str};
use coheap::{GlobalAlloc, Result};

#[global_allocator]
static GLOBAL: GlobalAlloc = GlobalAlloc::new(4_096);

coheap::export!();

/// Boxes on their way from the thread that made them to the one that frees them.
static SENT: Mutex<Vec<Box<[u8]>>> = Mutex::new(Vec::new());

std::thread_local! {
    static CALLS: Local<u32> = const { Local::new(0) };
    static KEPT: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn heap() -> Result<Heap> {
    Heap::of_program(256 << 20)
}

/// How often this thread has called it.
#[unsafe(no_mangle)]
extern "C" fn call() -> u32 {
    KEPT.with_borrow_mut(|kept| kept.push(format!("call {}", kept.len())));
    assert_eq!(KEPT.with_borrow(Vec::len) as u32, CALLS.get() + 1);
    CALLS.replace(CALLS.get() + 1) + 1
}

/// Goes down so many frames of a kilobyte each, with bytes of its own in each, which nobody may change. Answers how many
/// frames it came back through.
#[unsafe(no_mangle)]
extern "C" fn descend(depth: u32, own: u32) -> u32 {
    let mut frame = [0u32; 256];
    frame.fill(own ^ depth);
    let below = if depth == 0 { 0 } else { descend(std::hint::black_box(depth - 1), own) };
    assert!(std::hint::black_box(&frame).iter().all(|&word| word == own ^ depth), "frame {depth} of {own}");
    below + 1
}

/// Makes boxes of every size, keeps some, sends some to other threads and frees what those have sent. Answers how many it made.
#[unsafe(no_mangle)]
extern "C" fn exchange(steps: u32, own: u8) -> u32 {
    let mut kept: Vec<Box<[u8]>> = Vec::new();
    for step in 0..steps {
        let size = ((step.wrapping_mul(7_919) % 97) + 1) << (step % 11);
        let made = vec![own; size as usize].into_boxed_slice();
        if step % 3 == 0 {
            SENT.lock().expect("no thread panics").push(made);
        } else {
            kept.push(made);
        }
        if step % 2 == 0 {
            if let Some(sent) = SENT.lock().expect("no thread panics").pop() {
                assert!(sent.iter().all(|byte| *byte == sent[0]));
            }
            assert!(kept.pop().is_none_or(|kept| kept.iter().all(|&byte| byte == own)));
        }
    }
    steps
}

/// Frees everything that is on its way.
#[unsafe(no_mangle)]
extern "C" fn receive() -> usize {
    std::mem::take(&mut *SENT.lock().expect("no thread panics")).len()
}

/// Adds to the map `sums`, key by key.
#[unsafe(no_mangle)]
extern "C" fn add(times: u32, keys: u32) -> u32 {
    let work = || -> Result<()> {
        let sums: Map<Str, f64> = heap()?.attach()?.map("sums")?;
        (0..times).try_for_each(|step| sums.add(&format!("key {}", step % keys), 1.0).map(drop))
    };
    work().map_or_else(|error| error.code(), |()| 0)
}

/// Sets the cell `answer` to the text of the cell `question`, turned round.
#[unsafe(no_mangle)]
extern "C" fn answer() -> u32 {
    let work = || -> Result<()> {
        let agent = heap()?.attach()?;
        let (question, answer): (Cell<Str>, Cell<Str>) = (agent.cell("question")?, agent.cell("answer")?);
        answer.set(&question.get()?.chars().rev().collect::<String>())
    };
    work().map_or_else(|error| error.code(), |()| 0)
}

#[link(wasm_import_module = "user")]
unsafe extern "C" {
    safe fn double(number: f64) -> f64;
}

/// What an import of the user's answers.
#[unsafe(no_mangle)]
extern "C" fn ask_user(number: f64) -> f64 {
    double(number)
}
