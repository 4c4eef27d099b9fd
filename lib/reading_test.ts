/** One regular expression reads what `JSON.parse`, `isTick` and `JSON.stringify` together say, or leaves it to them. */
import assert from "@std/assert";
import fc from "fast-check";
import { outlineOf, parse, read, readPlain, textOf } from "./reading.ts";
import { isTick, TIME_END, TIME_MIN } from "./tick.ts";
import { MESSAGE_BYTES_MAX } from "./transport.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const head = {
  ...{ venue: "sim", symbol: "BTC/USD", eventTime: 1763690000000000, receivedTime: 1763690000000312 },
  ...{ sequence: 7, id: "a-1" },
};
const trade = { type: "trade", ...head, price: "100.50", size: "1", side: "buy" };
const quote = { type: "quote", ...head, bidPrice: "1", bidSize: "0", askPrice: null, askSize: null };
const { venue, symbol, eventTime } = head;
const full = {
  ...{ type: "trade", venue, symbol, eventTime, receivedTime: eventTime, timeSource: "received" },
  ...{ sequence: null, id: null, source: "redrive", frame: "c-1/12", price: "-0.5", size: "1", side: "unknown" },
};
const texts = [trade, quote, full].map((tick) => JSON.stringify(tick));

/** `readPlain` may decline, but what it reads is a tick, the same one, and its text is the plain spelling. */
function assertHonest(text: string): boolean {
  const tick = readPlain(text);
  if (tick === null) return false;
  assert(isTick(tick), text);
  assert.deepEqual(tick, parse(text));
  assert.equal(JSON.stringify(parse(text)), text);
  return true;
}

Deno.test("readPlain reads trades and quotes as they are made", options, () => {
  for (const text of texts) assert(assertHonest(text), text);
});
Deno.test("readPlain reads nothing that is not a plain tick, whatever is changed", options, () => {
  const pieces = [
    ...[
      '"',
      "\\",
      ",",
      ":",
      "{",
      "}",
      "[",
      "]",
      " ",
      "\n",
      "\t",
      "0",
      "00",
      "1",
      "9",
      "-",
      "+",
      ".",
      "e",
      "E3",
      "null",
      "true",
    ],
    ...[
      '"id":null,',
      '"price":"1"',
      ',"price":"2"',
      '"conditions":["x"],',
      '"sequence":7,',
      '"source":"backfill",',
      "\u0000",
    ],
    ...[
      "\\u0041",
      "é",
      "\ud800",
      "..",
      "9007199254740992",
      "9007199254740991",
      "trade",
      "quote",
      "__proto__",
      "a".repeat(70),
    ],
  ];
  const edit = fc.record({ at: fc.nat(400), cut: fc.nat(20), put: fc.constantFrom(...pieces, "") });
  let read = 0;
  fc.assert(
    fc.property(fc.constantFrom(...texts), fc.array(edit, { minLength: 1, maxLength: 3 }), (text, edits) => {
      let changed = text;
      for (const { at, cut, put } of edits) {
        const i = at % (changed.length + 1);
        changed = changed.slice(0, i) + put + changed.slice(i + (cut > 10 ? 0 : cut));
      }
      if (assertHonest(changed)) read++;
    }),
    { numRuns: 20_000, seed: 7 },
  );
  assert(read > 200, `only ${read} changed texts were still read, so that little was tried`);
});
Deno.test("readPlain leaves integers beyond 2^53 - 1 to the schema", options, () => {
  const at = (value: string) => texts[0]!.replace('"sequence":7', `"sequence":${value}`);
  assert(assertHonest(at("9007199254740991")));
  for (const value of ["9007199254740992", "9007199254740993", "9999999999999999"]) {
    assert.equal(readPlain(at(value)), null);
    assert.equal(read(at(value)).tick, null);
  }
});
Deno.test("readPlain reads no time out of bounds, and none of our own that is not the receipt's", options, () => {
  for (const text of texts) {
    for (const name of ["eventTime", "receivedTime"]) {
      const at = (value: number) => text.replace(new RegExp(`"${name}":\\d+`), `"${name}":${value}`);
      const own = text.includes("timeSource");
      for (const value of [TIME_MIN, TIME_END - 1]) assert.equal(assertHonest(at(value)), !own, at(value));
      for (const value of [TIME_MIN - 1, TIME_END, 1763690000000, 9e15, 0]) {
        assert.equal(readPlain(at(value)), null);
        assert.equal(read(at(value)).tick, null);
      }
    }
  }
});
Deno.test("any other spelling of a tick becomes the plain one", options, () => {
  for (const text of texts) {
    const value: unknown = JSON.parse(text);
    const spellings = [
      JSON.stringify(value, null, 2),
      ` ${text}\r\n`,
      text.replace('"sim"', '"\\u0073im"'),
      text.replace("1763690000000000", "17636900e8"),
      text.replace('"type"', '"\\u0074ype"'),
    ];
    for (const spelling of spellings) assert.deepEqual(read(spelling), { tick: value, plain: text });
  }
  const { type, ...rest } = trade;
  const moved = JSON.stringify({ ...rest, type });
  assert.deepEqual(read(moved), { tick: trade, plain: moved });
});
Deno.test("a text that names a field twice is no tick, however it hides it", options, () => {
  const twice = [
    texts[0]!.replace('"price":', '"price":"1","price":'),
    texts[0]!.replace('"price":', '"\\u0070rice":"1","price":'),
    texts[0]!.replace('"id":"a-1"', '"id":null,"id":"a-1"').replace("1763690000000000", "17636900e8"),
  ];
  for (const text of twice) {
    assert(isTick(JSON.parse(text)), "only its text can tell");
    assert.equal(read(text).tick, null, text);
  }
});
Deno.test("outlineOf counts depth and outermost fields and is not misled by texts", options, () => {
  assert.deepEqual(outlineOf('{"a":[[{"b":1,"c":2}]],"d:{[":"\\"}]:{","\\\\":":"}'), { depth: 4, fields: 3 });
  assert.deepEqual(outlineOf("1"), { depth: 0, fields: 0 });
  fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
    assert.equal(outlineOf(JSON.stringify(value, null, 1)).fields, Object.keys(value).length);
  }));
});
Deno.test("bytes are text only when they are UTF-8, and a byte order mark is no JSON", options, () => {
  assert.equal(textOf(new TextEncoder().encode("é")), "é");
  assert.equal(textOf(Uint8Array.of(0x22, 0xff, 0x22)), null);
  assert.equal(textOf(Uint8Array.of(0xed, 0xa0, 0x80)), null);
  const marked = textOf(Uint8Array.of(0xef, 0xbb, 0xbf, 0x31));
  assert.equal(marked, "\ufeff1");
  assert.equal(parse(marked!), undefined);
});
Deno.test("a text of the size of a message is read, one of a byte more is not", options, () => {
  const exact = JSON.stringify("é".repeat((MESSAGE_BYTES_MAX - 2) / 2));
  assert.equal(typeof parse(exact), "string");
  assert.equal(parse(`${exact} `), undefined);
});
