import assert from "@std/assert";
import { decodeLines, Lines } from "./segment.ts";
import type { Message } from "./transport.ts";

const encodeLines = (list: readonly Message[], first: number) => new Lines().encode(list, first);
const messages: Message[] = [
  { key: "sim:BTCUSDT", value: '{"price":"1.5"}' },
  { key: null, value: "[]" },
  { key: 'a"b\\', value: '{"text":"ä 币"}', producer: { id: "simulate", epoch: 3, number: 7 } },
  { key: "sim:X", value: '{"a":"]"}', producer: { id: "simulate", epoch: 3, number: 8 } },
  { key: "k", value: new Uint8Array([0xff, 0, 10, 13]), control: true },
];

Deno.test("a segment's lines come back as the messages that were written", () => {
  const { records, length } = decodeLines(encodeLines(messages, 40), "t/0", 40, Infinity);
  assert.deepEqual(records, messages.map((message, i) => ({ offset: 40 + i, ...message })));
  assert.equal(length, encodeLines(messages, 40).length);
});

Deno.test("every line of a segment is one JSON object", () => {
  for (const line of new TextDecoder().decode(encodeLines(messages, 0)).trimEnd().split("\n")) {
    assert.equal(typeof JSON.parse(line).crc, "string");
  }
});

Deno.test("an unfinished last line is left for later", () => {
  const bytes = encodeLines(messages, 0);
  const { records, length } = decodeLines(bytes.subarray(0, bytes.length - 3), "t/0", 0, Infinity);
  assert.equal(records.length, messages.length - 1);
  assert.equal(bytes[length - 1], 10);
});

Deno.test("any flipped bit of a line is found and named by its offset", () => {
  const clean = encodeLines(messages, 0);
  const second = clean.indexOf(10) + 1;
  const end = clean.indexOf(10, second);
  for (let at = second + 8; at < end; at++) {
    if (at === second + 16 || at === second + 17) continue;
    const bytes = clean.slice();
    bytes[at]! ^= 4;
    assert.throws(() => decodeLines(bytes, "t/0", 0, Infinity), /Cannot read record "t\/0\/1"/);
  }
});

Deno.test("a line that stands at another offset is refused", () => {
  assert.throws(() => decodeLines(encodeLines(messages, 5), "t/0", 4, Infinity), /found offset 5 in its place/);
});

Deno.test("text with a line break is refused before it is written", () => {
  assert.throws(() => encodeLines([{ key: null, value: "{\n}" }], 0), /holds a line break/);
});
