/** `lib/decimal.ts` against the plainest reference there is: every decimal as a bigint of one scale. */
import assert from "@std/assert";
import fc from "fast-check";
import {
  add,
  canonical,
  compare,
  DECIMAL_PATTERN,
  fits,
  gridOf,
  isDecimal,
  multiply,
  near,
  onGrid,
  putUnscaled,
  scaled,
  scaleOf,
  sign,
  TRAIT,
  traitsOf,
  unscaled,
} from "./decimal.ts";

const options = { sanitizeOps: true, sanitizeResources: true };
const SCALE = 40;

/** The value times 10^40, by string work alone. */
function reference(text: string): bigint {
  const negative = text.startsWith("-");
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  const value = BigInt(whole + fraction.padEnd(SCALE, "0"));
  return negative ? -value : value;
}

const digits = (max: number) => fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: max });
const whole = fc.oneof(
  fc.constant("0"),
  fc.tuple(fc.constantFrom(..."123456789"), fc.oneof(fc.constant(""), digits(8), digits(30))).map(([a, b]) => a + b),
);
const fraction = fc.oneof(
  fc.constant(""),
  digits(3),
  digits(9),
  digits(20),
  digits(3).map((d) => d + "000"),
  digits(2).map((d) => "0".repeat(11) + d),
);
/** Decimals around every border: zeros at both ends, 15 digits, 26.12 digits. */
const decimal = fc.tuple(fc.constantFrom("", "", "-"), whole, fraction).map(([minus, a, b]) =>
  minus + a + (b === "" ? "" : `.${b}`)
);
const step = decimal.filter((text) => !text.startsWith("-") && sign(text) > 0);
const law = (name: string, property: fc.IRawProperty<unknown>) =>
  Deno.test({
    name,
    ...options,
    fn: () => fc.assert(property as fc.IRawProperty<unknown>, { numRuns: 2_000, seed: 7 }),
  });

law(
  "putUnscaled writes what unscaled gives, in 128 bits, and takes what fits alone",
  fc.property(
    fc.oneof(
      decimal,
      fc.string({ unit: fc.constantFrom(..."-+.0123e ") }),
      fc.constantFrom(
        "9006.999999999999",
        "9007",
        "-9007.000000000001",
        "999999999999999.999999999999",
        "-0",
        "1.",
        ".5",
      ),
    ),
    (text) => {
      const words = new Uint32Array(6).fill(7);
      const put = putUnscaled(text, words, 1);
      assert.equal(put, isDecimal(text) && fits(text), text);
      assert.deepEqual([words[0], words[5]], [7, 7]);
      if (!put) return;
      const value = [...words.slice(1, 5)].reduceRight((high, word) => (high << 32n) + BigInt(word), 0n);
      assert.equal(BigInt.asIntN(128, value), unscaled(text, 12), text);
    },
  ),
);

law(
  "isDecimal is its pattern",
  fc.property(fc.oneof(decimal, fc.string({ unit: fc.constantFrom(..."-+.0123e ") })), (text) => {
    assert.equal(isDecimal(text), DECIMAL_PATTERN.test(text));
  }),
);
law(
  "canonical keeps the value, is the only spelling of it, and stays",
  fc.property(decimal, decimal, (a, b) => {
    const short = canonical(a);
    assert.equal(reference(short), reference(a));
    assert.equal(canonical(short), short);
    assert.match(short, /^(0|-?(0\.\d*[1-9]|[1-9]\d*(\.\d*[1-9])?))$/);
    assert.equal(short === canonical(b), reference(a) === reference(b));
  }),
);
law(
  "compare orders as bigints do, in both directions",
  fc.property(decimal, decimal, (a, b) => {
    const x = reference(a), y = reference(b);
    assert.equal(Math.sign(compare(a, b)) + 0, x < y ? -1 : x > y ? 1 : 0);
    assert.equal(Math.sign(compare(b, a)) + 0, x < y ? 1 : x > y ? -1 : 0);
  }),
);
law(
  "compare tells neighbours apart at any length",
  fc.property(decimal, fc.nat(), (a, at) => {
    const places = Array.from(a, (c, i) => c >= "0" && c < "9" ? i : -1).filter((i) => i > 0);
    fc.pre(places.length > 0);
    const i = places[at % places.length]!;
    const b = a.slice(0, i) + String(Number(a[i]) + 1) + a.slice(i + 1);
    fc.pre(isDecimal(b));
    assert.equal(compare(a, b) < 0, reference(a) < reference(b));
  }),
);
law(
  "sign, scaleOf, unscaled and scaled agree with the value",
  fc.property(decimal, (a) => {
    const value = reference(a);
    assert.equal(sign(a), value < 0n ? -1 : value > 0n ? 1 : 0);
    const scale = scaleOf(a);
    assert.equal(unscaled(a, scale) * 10n ** BigInt(SCALE - scale), value);
    assert.equal(scaled(unscaled(a, scale), scale), canonical(a));
  }),
);
law(
  "add and multiply are exact",
  fc.property(decimal, decimal, (a, b) => {
    assert.equal(reference(add(a, b)), reference(a) + reference(b));
    const product = multiply(a, b);
    assert.equal(unscaled(product, 80), reference(a) * reference(b));
    assert.equal(canonical(product), product);
  }),
);
law(
  "fits says whether 26.12 digits keep every digit",
  fc.property(decimal, (a) => {
    const value = reference(a), size = value < 0n ? -value : value;
    assert.equal(fits(a), size % 10n ** BigInt(SCALE - 12) === 0n && size < 10n ** BigInt(SCALE + 26));
  }),
);
law(
  "traitsOf says what fits, sign and onGrid say one by one",
  fc.property(decimal, step.filter((text) => fits(text)), fc.nat(1_000), (value, size, times) => {
    for (const text of [value, multiply(size, String(times)), multiply(size, `-${times}`), `${times}.50`]) {
      const multiple = reference(text) % reference(size) === 0n;
      assert.equal(onGrid(text, size), multiple, text);
      const own = (sign(text) === 0 ? TRAIT.zero : 0) | (sign(text) < 0 ? TRAIT.negative : 0) |
        (fits(text) ? 0 : TRAIT.imprecise);
      assert.equal(traitsOf(text, null), own, text);
      assert.equal(traitsOf(text, gridOf(size)), own | (fits(text) && !multiple ? TRAIT.offGrid : 0), text);
    }
  }),
);

Deno.test("a float would call these off the grid, decimals do not", options, () => {
  const grid = gridOf("0.005");
  for (let i = 4_000; i <= 16_000; i++) {
    const price = scaled(BigInt(i) * 5n, 3);
    assert.equal(traitsOf(price, grid), 0, price);
    assert.equal(traitsOf(`${price}${price.includes(".") ? "" : ".0"}01`, grid) & TRAIT.offGrid, TRAIT.offGrid, price);
  }
});
Deno.test("a million digits are judged as quickly as they are read", options, () => {
  const zeros = "0".repeat(1_000_000);
  assert.equal(compare(`1.${zeros}`, `1.5${zeros}`) < 0, true);
  assert.equal(traitsOf(`1.${zeros}`, gridOf("0.5")), 0);
  assert.equal(onGrid(`1.${zeros}`, "0.5"), true);
  assert.equal(traitsOf(`1${zeros}`, gridOf("0.5")), TRAIT.imprecise);
});
Deno.test("a step of zero or below is no grid", options, () => {
  for (const step of ["0", "0.00", "-0.01"]) assert.throws(() => gridOf(step), RangeError);
  assert.throws(() => onGrid("1", "0"), RangeError);
});
Deno.test("unscaled refuses to cut digits off", options, () => {
  assert.equal(unscaled("1.500", 1), 15n);
  assert.throws(() => unscaled("1.25", 1), /has 2 digits after the point, must have at most 1/);
});
Deno.test("the double next to a decimal is the one that the language reads", () => {
  const cases = ["0", "-0", "0.00", "94990.57", "-0.05", "999999999999999", "0.00000000000001", "123456789012345.6789"];
  for (const text of cases) assert.ok(Object.is(near(text), Number(text)), text);
  fc.assert(fc.property(decimal, (text) => assert.ok(Object.is(near(text), Number(text)), text)), { numRuns: 2_000 });
});
