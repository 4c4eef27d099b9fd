import assert from "@std/assert";
import { exactFieldsOf, microsOf, microsOfText, plainDecimal } from "./frame.ts";

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

Deno.test("numbers keep the digits that they came with", () => {
  assert.deepEqual(exactFieldsOf('{"a":1.500,"b":[12345678901234567890,1e-08],"c":"x"}'), {
    a: "1.500",
    b: ["12345678901234567890", "1e-08"],
    c: "x",
  });
  assert.equal(exactFieldsOf("[".repeat(1 << 20)), undefined);
  assert.equal(exactFieldsOf("[]"), undefined);
});

Deno.test("a time is of a unit that shows, or none", () => {
  assert.equal(microsOf(1700000000123), 1700000000123000);
  assert.equal(microsOf(1700000000123456), 1700000000123456);
  for (const v of [1700000000, 1.7e18, "1700000000123", null, 1700000000123.5]) assert.equal(microsOf(v), undefined);
  assert.equal(microsOfText("2023-11-14T22:13:20Z"), 1700000000000000);
  assert.equal(microsOfText("2023-11-14T22:13:20.123456789Z"), 1700000000123456);
  assert.equal(microsOfText("2023-11-14T22:13:20.5Z"), 1700000000500000);
  for (const v of ["0001-01-01T00:00:00.000000Z", "2023-11-14 22:13:20", "2023-13-14T22:13:20Z", 5]) {
    assert.equal(microsOfText(v), undefined);
  }
});
