import assert from "@std/assert";
import { Misuse } from "./failure.ts";
import { COMMON, type Flags, helpOf, readFlags } from "./flag.ts";

const flags = {
  ticks: { kind: "count", default: 10, max: 1_000_000, does: "how many" },
  depth: { kind: "count", min: 1, max: 9, does: "how deep" },
  rate: { kind: "amount", does: "pace" },
  mode: { kind: "choice", of: ["a", "b"], default: "a", does: "which" },
  yes: { kind: "switch", does: "does not ask" },
} as const satisfies Flags;
const none = () => undefined;

Deno.test("a flag overrides the environment, which overrides the default", () => {
  assert.equal(readFlags(flags, [], none).ticks, 10);
  assert.equal(readFlags(flags, [], (name) => name === "TAPEDECK_TICKS" ? "20" : undefined).ticks, 20);
  assert.equal(
    readFlags(flags, ["--ticks", "5_000"], (name) => name === "TAPEDECK_TICKS" ? "20" : undefined).ticks,
    5000,
  );
  assert.equal(readFlags(flags, [], none).rate, undefined);
});

Deno.test("an unknown flag is a misuse with a suggestion", () => {
  assert.throws(
    () => readFlags(flags, ["--tick=3"], none),
    (error: Error) => error instanceof Misuse && /did you mean --ticks\?/.test(error.message),
  );
});

Deno.test("a value out of range or of another kind is a misuse that names it", () => {
  for (const value of ["-1", "x", "1.5", "2000000", "1e3", ""]) {
    assert.throws(() => readFlags(flags, [`--ticks=${value}`], none), /Cannot (use --ticks|read flags)/);
  }
  assert.throws(() => readFlags(flags, ["--depth", "0"], none), /Cannot use --depth "0": .*, must be 1 to 9$/);
  assert.equal(readFlags(flags, ["--depth", "1"], none).depth, 1);
  assert.throws(
    () => readFlags(COMMON, ["--partitions", "0"], none),
    /Cannot use --partitions "0": .*, must be 1 to 1000$/,
  );
  const negative = /^Misuse: Cannot use --ticks "-5": it is no whole number in range, must be 0 to 1000000$/;
  assert.throws(() => readFlags(flags, ["--ticks", "-5"], none), negative);
  assert.throws(() => readFlags(flags, ["--yes", "--ticks=-5"], none), negative);
  assert.throws(
    () => readFlags(flags, ["--ticks", "--yes"], none),
    /^Misuse: Cannot read --ticks: "--yes" is no number, must be --ticks N$/,
  );
  const since = { since: { kind: "text", value: "1h|TIME", does: "since when" } } as const satisfies Flags;
  assert.throws(
    () => readFlags(since, ["--since", "-1h"], none),
    /^Misuse: Cannot read --since: "-1h" begins with a dash, must be --since 1h\|TIME, or --since=-1h if it is meant$/,
  );
  assert.equal(readFlags(since, ["--since=-1h"], none).since, "-1h");
  assert.throws(
    () => readFlags(flags, ["--mode", "--yes"], none),
    /"--yes" begins with a dash, must be --mode a\|b, or/,
  );
  assert.throws(
    () => readFlags(flags, ["--ticks"], none),
    /^Misuse: Cannot read flags: [^.]+, must be as --help shows$/,
  );
  assert.throws(() => readFlags(flags, ["--mode", "c"], none), /must be one of a, b/);
  assert.throws(() => readFlags(flags, ["stray"], none), /Cannot read flags/);
});

Deno.test("the help shows purpose, flow, every flag with its default, and examples", () => {
  const help = helpOf({
    name: "n",
    does: "does it",
    flow: "a ─▶ n",
    flags: { ...flags, ...COMMON },
    examples: ["n --yes"],
  });
  for (const part of ["n: does it", "a ─▶ n", "--ticks N", "(default 10)", "--mode a|b", "--data DIR", "n --yes"]) {
    assert.ok(help.includes(part), part);
  }
});

Deno.test("words are told apart by their place, among flags or behind them", () => {
  const worded = {
    ...{ ...flags, what: { kind: "word", of: ["list", "show"], value: "WHAT", does: "what to do" } },
    place: { kind: "word", value: "PLACE", does: "of which message" },
  } as const satisfies Flags;
  const read = (...args: string[]) => {
    const { what, place, ticks } = readFlags(worded, args, (name) => name === "TAPEDECK_WHAT" ? "show" : undefined);
    return [what, place, ticks];
  };
  assert.deepEqual(read("show", "a/1", "--ticks", "3"), ["show", "a/1", 3]);
  assert.deepEqual(read("--ticks", "3", "list"), ["list", undefined, 3]);
  assert.deepEqual(readFlags(worded, [], none).what, undefined);
  assert.throws(() => read("lost"), /^Misuse: Cannot read "lost": it is unknown, must be one of list, show$/);
  const single = { what: { kind: "word", of: ["history"], value: "history", does: "past" } } as const satisfies Flags;
  assert.throws(
    () => readFlags(single, ["lost"], none),
    /^Misuse: Cannot read "lost": it is unknown, must be history or nothing$/,
  );
  assert.throws(
    () => read("show", "a", "b"),
    /Cannot read "b": it is a word too many, must be list\|show and PLACE alone$/,
  );
  assert.throws(() => read("--what", "list"), /Cannot read flag "--what": it is unknown/);
  assert.ok(helpOf({ name: "n", does: "d", flow: "f", flags: worded, examples: [] }).includes("  list|show  "));
});
