//! The conformance suite, natively: the cases that JavaScript runs in Node and in Chromium (tests/conformance), on the typed
//! structures.
#![cfg(feature = "std")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use coheap::typed::{Agent, Any, Cell, Fields, Heap, List, Map, Scalar, Structure};
use coheap_alloc::{Error, Result};
use serde_json::Value as Json;

/// What a call answers, in one form for all structures.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Value(Scalar),
    List(Vec<Self>),
}

impl From<Scalar> for Answer {
    fn from(value: Scalar) -> Self {
        Self::Value(value)
    }
}

fn list(answers: impl IntoIterator<Item = Answer>) -> Answer {
    Answer::List(answers.into_iter().collect())
}

/// The structures that a case names, each a map of its own.
struct Objects<'a> {
    agent: &'a Agent,
    made: RefCell<HashMap<String, Map<Any, Any>>>,
}

impl Objects<'_> {
    fn named(&self, name: &str) -> Scalar {
        let mut made = self.made.borrow_mut();
        let object = made.entry(name.to_owned()).or_insert_with(|| self.agent.new_map().expect("room"));
        Scalar::Object(coheap::Handle::from_word(object.handle().to_bits()))
    }
}

/// The value that a case writes as JSON.
fn decode(value: &Json, objects: &Objects<'_>) -> Answer {
    Answer::Value(match value {
        Json::Null => Scalar::Null,
        Json::Bool(value) => Scalar::Bool(*value),
        Json::Number(number) => Scalar::Number(number.as_f64().expect("a double")),
        Json::String(text) => Scalar::Text(text.clone()),
        Json::Array(values) => return list(values.iter().map(|value| decode(value, objects))),
        Json::Object(object) => {
            let (key, value) = object.iter().find(|(key, _)| *key != "times").expect("a kind");
            let numbers = || value.as_array().expect("numbers").iter().map(|number| number.as_u64().expect("a number"));
            match key.as_str() {
                "is" => match value.as_str().expect("a name") {
                    "undefined" => Scalar::Undefined,
                    name => Scalar::Number(name.parse().expect("a number")),
                },
                "units" => Scalar::Units(numbers().map(|unit| unit as u16).collect()),
                "bytes" => Scalar::Bytes(numbers().map(|byte| byte as u8).collect()),
                "repeat" => {
                    let times = object["times"].as_u64().expect("a number") as usize;
                    Scalar::Text(value.as_str().expect("a text").repeat(times))
                }
                "object" => objects.named(value.as_str().expect("a name")),
                "integer" => integer(value.as_str().expect("digits")),
                other => panic!("a value of kind {other}"),
            }
        }
    })
}

/// `-0x…` or 0.
fn integer(text: &str) -> Scalar {
    let digits = text.trim_start_matches('-').trim_start_matches("0x");
    let digits: Vec<u64> = digits.chars().rev().map(|digit| digit.to_digit(16).expect("a digit").into()).collect();
    let mut words: Vec<u64> =
        digits.chunks(16).map(|word| word.iter().rev().fold(0, |word, digit| word << 4 | digit)).collect();
    while words.last() == Some(&0) {
        words.pop();
    }
    Scalar::Integer(text.starts_with('-'), words)
}

/// A structure that a case can call.
trait Conforming {
    fn new(agent: &Agent) -> Result<Self>
    where
        Self: Sized;
    fn call(&self, name: &str, given: &[Answer]) -> Result<Answer>;
}

fn scalar(given: &Answer) -> &Scalar {
    if let Answer::Value(value) = given { value } else { panic!("{given:?} is no value") }
}

fn number(given: &Answer) -> f64 {
    if let Scalar::Number(number) = scalar(given) { *number } else { panic!("{given:?} is no number") }
}

fn pair(given: &Answer) -> (&Scalar, f64) {
    match given {
        Answer::List(pair) => (scalar(&pair[0]), number(&pair[1])),
        other => panic!("{other:?} is no pair"),
    }
}

impl Conforming for Cell<Any> {
    fn new(agent: &Agent) -> Result<Self> {
        agent.new_cell()
    }

    fn call(&self, name: &str, given: &[Answer]) -> Result<Answer> {
        match (name, given) {
            ("get", []) => Ok(self.get()?.into()),
            ("set", [value]) => self.set(scalar(value)).map(|()| Answer::Nothing),
            ("add", [delta]) => Ok(Scalar::Number(self.add_number(number(delta))?).into()),
            ("compareAndSet", [expected, value]) => {
                Ok(Scalar::Bool(self.compare_and_set(scalar(expected), scalar(value))?).into())
            }
            _ => panic!("a cell has no {name} of {given:?}"),
        }
    }
}

/// Fields have bytes: letters up to U+00FF, one each.
fn latin1(given: &Answer) -> Vec<u8> {
    let Scalar::Text(text) = scalar(given) else { panic!("{given:?} is no text") };
    text.chars().map(|character| u8::try_from(character).expect("a letter up to U+00FF")).collect()
}

fn text(bytes: Vec<u8>) -> Answer {
    Scalar::Text(bytes.into_iter().map(char::from).collect()).into()
}

impl Conforming for Fields {
    fn new(agent: &Agent) -> Result<Self> {
        agent.new_fields()
    }

    fn call(&self, name: &str, given: &[Answer]) -> Result<Answer> {
        match (name, given) {
            ("get", [name]) => Ok(self.get(latin1(name))?.map_or(Scalar::Null.into(), text)),
            ("getAll", [name]) => Ok(list(self.get_all(latin1(name))?.into_iter().map(text))),
            ("has", [name]) => Ok(Scalar::Bool(self.has(latin1(name))?).into()),
            ("append", [name, value]) => self.append(latin1(name), latin1(value)).map(|()| Answer::Nothing),
            ("set", [name, Answer::List(values)]) => {
                let values: Vec<_> = values.iter().map(latin1).collect();
                let values: Vec<_> = values.iter().map(Vec::as_slice).collect();
                self.set(latin1(name), &values).map(|()| Answer::Nothing)
            }
            ("delete", [name]) => self.delete(latin1(name)).map(|()| Answer::Nothing),
            ("entries", []) => {
                Ok(list(self.entries()?.into_iter().map(|(name, value)| list([text(name), text(value)]))))
            }
            ("freeze", []) => self.freeze().map(|()| Answer::Nothing),
            ("isFrozen", []) => Ok(Scalar::Bool(self.is_frozen()?).into()),
            _ => panic!("fields have no {name} of {given:?}"),
        }
    }
}

fn present(value: &Answer) -> Option<&Scalar> {
    Some(scalar(value)).filter(|value| **value != Scalar::Undefined)
}

impl Conforming for Map<Any, Any> {
    fn new(agent: &Agent) -> Result<Self> {
        agent.new_map()
    }

    fn call(&self, name: &str, given: &[Answer]) -> Result<Answer> {
        match (name, given) {
            ("get", [key]) => Ok(self.get(scalar(key))?.unwrap_or(Scalar::Undefined).into()),
            ("has", [key]) => Ok(Scalar::Bool(self.contains_key(scalar(key))?).into()),
            ("set", [key, value]) => self.insert(scalar(key), scalar(value)).map(|()| Answer::Nothing),
            ("delete", [key]) => Ok(Scalar::Bool(self.remove(scalar(key))?).into()),
            ("clear", []) => self.clear().map(|()| Answer::Nothing),
            ("size", []) => Ok(Scalar::Number(self.len()? as f64).into()),
            ("add", [key, delta]) => Ok(Scalar::Number(self.add_number(scalar(key), number(delta))?).into()),
            ("addMany", [Answer::List(pairs)]) => {
                let pairs: Vec<_> = pairs.iter().map(pair).collect();
                self.add_many(&pairs, None).map(|()| Answer::Nothing)
            }
            ("getOrInsert", [key, value]) => Ok(self.get_or_insert(scalar(key), scalar(value))?.into()),
            ("compareAndSet", [key, expected, value]) => {
                Ok(Scalar::Bool(self.compare_and_set(scalar(key), present(expected), present(value))?).into())
            }
            ("entries", []) => {
                Ok(list(self.entries()?.into_iter().map(|(key, value)| list([key.into(), value.into()]))))
            }
            _ => panic!("a map has no {name} of {given:?}"),
        }
    }
}

/// A place that a case counts from the end: it is an agent of its own.
fn place(list: &List<Any>, given: &Answer) -> Result<u64> {
    let index = number(given);
    Ok(if index < 0.0 { (index + list.len()? as f64).max(-1.0) as i64 as u64 } else { index as u64 })
}

impl Conforming for List<Any> {
    fn new(agent: &Agent) -> Result<Self> {
        agent.new_list()
    }

    fn call(&self, name: &str, given: &[Answer]) -> Result<Answer> {
        let values = |given: &[Answer]| given.iter().map(|value| scalar(value).clone()).collect::<Vec<_>>();
        match (name, given) {
            ("length", []) => Ok(Scalar::Number(self.len()? as f64).into()),
            ("at", [index]) => Ok(self.get(place(self, index)?)?.unwrap_or(Scalar::Undefined).into()),
            ("set", [index, value]) => self.set(place(self, index)?, scalar(value)).map(|()| Answer::Nothing),
            ("push", [value]) => Ok(Scalar::Number(self.push(scalar(value))? as f64).into()),
            ("pop", []) => Ok(self.pop()?.unwrap_or(Scalar::Undefined).into()),
            ("clear", []) => self.clear().map(|()| Answer::Nothing),
            ("values", []) => Ok(list(self.to_vec()?.into_iter().map(Answer::from))),
            ("insert", [index, new @ ..]) => {
                self.insert(place(self, index)?, &values(new).iter().collect::<Vec<_>>())?;
                Ok(Scalar::Undefined.into())
            }
            ("splice", [start, delete, new @ ..]) => {
                let new = values(new);
                let removed =
                    self.splice(place(self, start)?, number(delete) as u64, &new.iter().collect::<Vec<_>>())?;
                Ok(list(removed.into_iter().map(Answer::from)))
            }
            _ => panic!("a list has no {name} of {given:?}"),
        }
    }
}

/// What errors.json calls an error.
fn code_of(error: Error) -> String {
    let errors = read("errors.json");
    let errors = errors.as_array().expect("errors");
    let entry = errors.iter().find(|entry| entry["number"] == error.code()).expect("an error of errors.json");
    entry["code"].as_str().expect("a code").to_owned()
}

fn read(path: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON")
}

fn conforms<S: Conforming>(kind: &str) {
    let agent = Heap::in_process(64 << 20).expect("a heap").attach().expect("a seat");
    let before = agent.audit().expect("whole").live_bytes;
    let mut steps = 0;
    for case in read(&format!("tests/conformance/{kind}.json")).as_array().expect("cases") {
        let objects = Objects { agent: &agent, made: RefCell::default() };
        let structure = S::new(&agent).expect("a structure");
        for step in case["steps"].as_array().expect("steps") {
            let given: Vec<_> =
                step["with"].as_array().into_iter().flatten().map(|value| decode(value, &objects)).collect();
            let found = structure.call(step["call"].as_str().expect("a name"), &given);
            let place = || format!("{kind}: {}: {step}", case["name"]);
            match (found, step.get("throws"), step.get("gives")) {
                (Err(error), Some(code), _) => assert_eq!(code_of(error), *code, "{}", place()),
                (Ok(answer), None, Some(gives)) => assert_eq!(answer, decode(gives, &objects), "{}", place()),
                (Ok(_), None, None) => {}
                (found, ..) => panic!("{}: {found:?}", place()),
            }
            steps += 1;
        }
    }
    println!("cases conformance_of_{kind}_natively {steps}");
    assert_eq!(agent.audit().expect("whole").live_bytes, before, "everything was given back");
}

#[test]
fn conformance_of_cell_natively() {
    conforms::<Cell<Any>>("cell");
}

#[test]
fn conformance_of_map_natively() {
    conforms::<Map<Any, Any>>("map");
}

#[test]
fn conformance_of_list_natively() {
    conforms::<List<Any>>("list");
}

#[test]
fn conformance_of_fields_natively() {
    conforms::<Fields>("fields");
}
