import assert from "@std/assert";
import fc from "fast-check";
import { exactReader, fieldsOf, isFields, microsOf, microsOfText, plainDecimal, wideListOf } from "./fields.ts";

Deno.test("a number's exponent is written out, digit for digit", () => {
  for (
    const [token, expected] of [
      ["1e-08", "0.00000001"],
      ["1.5e3", "1500"],
      ["1.50e1", "15.0"],
      ["-2.5E-1", "-0.25"],
      ["12e+2", "1200"],
      ["0e0", "0"],
      ["0.1e1", "1"],
      ["123.4500", "123.4500"],
      ["1e99", undefined],
      ["1e-99", undefined],
      ["", undefined],
      ["0x10", undefined],
      ["01", undefined],
    ] as const
  ) assert.equal(plainDecimal(token), expected, token);
  for (const n of [1e-7, 1.5e-9, 1e21, 2.5e-12, 123456789.125]) {
    assert.equal(Number(plainDecimal(String(n))), n);
  }
});

Deno.test("a time is of a unit that shows, or none", () => {
  assert.equal(microsOf(1700000000123), 1700000000123000);
  assert.equal(microsOf(1700000000123456), 1700000000123456);
  for (const v of [1700000000, 1.7e18, "1700000000123", null, 1700000000123.5]) assert.equal(microsOf(v), undefined);
  assert.equal(microsOfText("2023-11-14T22:13:20Z"), 1700000000000000);
  assert.equal(microsOfText("2023-11-14T22:13:20.123456789Z"), 1700000000123456);
  assert.equal(microsOfText("2023-11-14T22:13:20.5Z"), 1700000000500000);
  // One second after the other, and back: what is remembered of the last one is its own.
  assert.equal(microsOfText("2023-11-14T22:13:21.000001Z"), 1700000001000001);
  assert.equal(microsOfText("2023-11-14T22:13:20.000001Z"), 1700000000000001);
  assert.equal(microsOfText("2023-13-14T22:13:20.5Z"), undefined);
  assert.equal(microsOfText("2023-13-14T22:13:20.5Z"), undefined);
  for (const v of ["0001-01-01T00:00:00.000000Z", "2023-11-14 22:13:20", "2023-13-14T22:13:20Z", 5]) {
    assert.equal(microsOfText(v), undefined);
  }
});

/** What JSON says, the numbers of p and v as their text; undefined where it is no object of JSON. */
function slowly(frame: string): unknown {
  const textOf = (key: string, value: unknown, context?: { readonly source?: string }) =>
    typeof value === "number" && (key === "p" || key === "v") ? context!.source : value;
  try {
    const value = JSON.parse(frame, textOf as (key: string, value: unknown) => unknown);
    return isFields(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

const quickly = exactReader(["p", "v"]);

const NUMBERS = ["0", "-0", "0.00", "12.3400", "-1.5", "1e-8", "1E+05", "9007199254740993", "0.10000000000000000555"];
const text = fc.array(fc.constantFrom("p", "v", '"', "\\", ",", "{", "}", ":", "1", " ", "é"), { maxLength: 8 })
  .map((parts) => JSON.stringify(parts.join("")));
const space = fc.constantFrom("", "", "", " ", "\n\t");
const key = fc.oneof(fc.constantFrom('"p"', '"v"', '"s"', '"t"', '"pv"'), text);
const { json } = fc.letrec<{ json: string; list: string; object: string; pair: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 3 },
    fc.constantFrom(...NUMBERS, "null", "true"),
    text,
    tie("list"),
    tie("object"),
  ),
  list: fc.array(fc.tuple(space, tie("json"), space).map((parts) => parts.join("")), { maxLength: 4 })
    .map((items) => `[${items.join(",")}]`),
  pair: fc.tuple(space, key, space, fc.constant(":"), space, tie("json"), space).map((parts) => parts.join("")),
  object: fc.array(tie("pair"), { maxLength: 5 }).map((pairs) => `{${pairs.join(",")}}`),
}));

Deno.test("digits are kept of the numbers asked for, and nothing else of what a frame says changes, nor whether it says anything", () => {
  let said = 0, amounts = 0;
  const same = (frame: string) => {
    const slow = slowly(frame);
    assert.deepEqual(quickly(frame), slow, frame);
    if (slow !== undefined) said++;
    if (slow !== undefined && /"[pv]"\s*:\s*-?\d/.test(frame)) amounts++;
  };
  const broken = fc.tuple(
    json,
    fc.nat(),
    fc.nat({ max: 2 }),
    fc.constantFrom(...'{}[]",:pv01.e-\\ ', '"p":1', ',"v":0.50,'),
  )
    .map(([frame, at, cut, put]) => {
      const place = at % (frame.length + 1);
      return frame.slice(0, place) + put + frame.slice(place + cut);
    });
  fc.assert(fc.property(json, same), { numRuns: 3_000, seed: 1 });
  fc.assert(fc.property(broken, same), { numRuns: 6_000, seed: 2 });
  assert.ok(said > 1_000 && amounts > 300, `${said} frames said something, ${amounts} had amounts`);
});

Deno.test("what lies deeper than any venue's words is nothing, unless it is short; brackets in texts are none", () => {
  const nested = (depth: number, pad: string) => `{"pad":${pad},"a":${"[".repeat(depth)}${"]".repeat(depth)}}`;
  const pad = JSON.stringify("x".repeat(1 << 16));
  assert.ok(fieldsOf(nested(255, pad)) !== undefined);
  assert.equal(fieldsOf(nested(256, pad)), undefined);
  assert.ok(fieldsOf(nested(256, '""')) !== undefined);
  for (const text of ["[{".repeat(1 << 16), '\\"[{'.repeat(1 << 16), '\\\\\\"['.repeat(1 << 15) + "\\\\"]) {
    assert.ok(fieldsOf(nested(9, JSON.stringify(text))) !== undefined);
    assert.equal(fieldsOf(nested(300, JSON.stringify(text))), undefined);
  }
  for (
    const text of ["[".repeat(1 << 24), '{"a":'.repeat(1 << 21), `${'"'.repeat(1 << 20)}`, `["${"[".repeat(1 << 20)}`]
  ) {
    assert.equal(fieldsOf(text), undefined);
    assert.equal(wideListOf(text), undefined);
  }
  const rows = Array.from({ length: 100_000 }, (_, i) => [`${i}.5`, "1"]);
  assert.equal((fieldsOf(JSON.stringify({ b: rows }))?.b as unknown[]).length, rows.length);
});
