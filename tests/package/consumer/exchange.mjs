// What every consumer does with the heap: the host writes, the worker reads and answers with a change.

export function write(heap) {
  heap.cell("text").set("from the host: ✓ é");
  heap.cell("number").set(41);
  const fields = heap.fields("headers");
  fields.append("Accept", "text/html");
  fields.append("X-Trace-Id", "7f3a");
  fields.append("accept", "text/plain");
  heap.bytes("block", 4).write(0, Uint8Array.of(1, 2, 3, 250));
}

export function read(heap) {
  const result = {
    text: heap.cell("text").get(),
    number: heap.cell("number").get(),
    fields: [...heap.fields("headers")],
    bytes: [...heap.bytes("block", 4).read()],
  };
  heap.cell("number").add(1);
  return result;
}

export async function look(heap, read) {
  const { agents } = await heap.audit();
  return { read, number: heap.cell("number").get(), agents };
}
