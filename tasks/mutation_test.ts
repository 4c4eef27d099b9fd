/**
 * Frames with one thing wrong in them, by seeded chance: bytes changed, parts missing, numbers as text and text as numbers.
 * Nothing throws, an amount is one that the frame itself says, digit for digit, and what is no tick is so by a text of the
 * venue's alone, which the judge refuses.
 */
import assert from "@std/assert";
import { Chance } from "../lib/chance.ts";
import { Collector } from "../lib/collect.ts";
import { canonical, isDecimal } from "../lib/decimal.ts";
import { plainDecimal } from "../lib/fields.ts";
import { Judge } from "../lib/judge.ts";
import { readPair } from "../lib/pairing.ts";
import { isTick, type Tick } from "../lib/tick.ts";
import { openVenue } from "../lib/venue.ts";
import { type Capture, RECORDED, RECORDINGS, written } from "../testdata/recordings.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000;
/** Frames of a capture that are changed: its first ones, and then one of so many; and how often each is. */
const FIRST = 60, STRIDE = 1_000, TIMES = 20;

/** A text, a number or a word of JSON. */
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null/g;
/** What may stand instead of one. */
const ODD: readonly string[] = [
  ...['""', "null", "true", "[]", "{}", "-1", "0", "-0", "1e400", "1e-9", "1E+3", "0.1e1", "00012", "1.", ".5", "+1"],
  ...["0x10", "NaN", "1e999999999", "9007199254740993", "0.30000000000000004441", "123456789.123456789123456789"],
  ...['"1e5"', '" 1"', '"1,5"', '"NaN"', '"0x10"', '"-5"', '"\\u0000"', '"\\ud800"', '"..\\/..\\/x"', '"__proto__"'],
  ...["9".repeat(400), `"${"9".repeat(200)}"`, `"${"x".repeat(30)}"`],
];

/** The frame with one thing wrong. */
function changed(frame: string, chance: Chance): string {
  const tokens = [...frame.matchAll(TOKEN)];
  const how = chance.below(tokens.length === 0 ? 3 : 8);
  if (how < 3) return changedBytes(frame, how, chance);
  const { index, 0: token } = tokens[chance.below(tokens.length)]!;
  const put = (text: string): string => frame.slice(0, index) + text + frame.slice(index + token.length);
  const isText = token.startsWith('"');
  switch (how) {
    case 3:
      return put(isText ? token.slice(1, -1) : `"${token}"`);
    case 4:
      return put(ODD[chance.below(ODD.length)]!);
    case 5:
      return put(tokens[chance.below(tokens.length)]![0]);
    case 6: {
      // A member is missing, or a part of one.
      const comma = frame.indexOf(",", index);
      return comma < 0 ? put("") : frame.slice(0, index) + frame.slice(comma + 1);
    }
    default:
      return put(isText ? `${token.slice(0, -1)}${chance.below(10)}"` : `${token}${chance.below(10)}`);
  }
}

function changedBytes(frame: string, how: number, chance: Chance): string {
  const bytes = new TextEncoder().encode(frame);
  const at = chance.below(Math.max(1, bytes.length));
  if (how === 0) bytes.copyWithin(at, Math.min(bytes.length, at + 1 + chance.below(9)));
  else bytes[at] = how === 1 ? chance.below(256) : bytes[at]! ^ 1 << chance.below(8);
  return new TextDecoder().decode(bytes);
}

function amountsOf(tick: Tick): readonly string[] {
  switch (tick.type) {
    case "trade":
      return [tick.price, tick.size];
    case "quote":
      return [tick.bidPrice, tick.bidSize, tick.askPrice, tick.askSize].filter((amount) => amount !== null);
    case "status":
      return [];
    default:
      return [...tick.bids, ...tick.asks].flat();
  }
}

/** Every text and number of the frame, as it stands there and as the one spelling of its value. */
function saidIn(venue: string, frame: string): ReadonlySet<string> {
  const words = venue === "lobster"
    ? frame.split(/[ ,|]/)
    : Array.from(frame.matchAll(TOKEN), ([token]) => token.startsWith('"') ? textOf(token) : token);
  const said = new Set(words);
  for (const word of words) {
    // LOBSTER's prices are ten-thousandths of a dollar; Upstox's wire has doubles, whose shortest text is exact.
    const values = [word, ...venue === "lobster" ? [`${word}e-4`] : venue === "upstox" ? [String(Number(word))] : []];
    for (const value of values) {
      const plain = plainDecimal(value);
      if (plain !== undefined) said.add(canonical(plain));
    }
  }
  return said;
}

function textOf(token: string): string {
  try {
    return JSON.parse(token);
  } catch {
    return token;
  }
}

async function change({ venue: name, path }: Capture, stream: number): Promise<{ frames: number; amounts: number }> {
  const venue = await openVenue(name);
  const chance = Chance.of(20_260_101, stream);
  const collector = new Collector(venue, { names: true, depth: 5, everyMs: 0 });
  const judge = new Judge({ partition: 0 });
  let seen = 0, frames = 0, amounts = 0, offset = 0;
  for await (const { lines } of readPair(path, 0, new AbortController().signal)) {
    for (const { number, frame: sound, request } of lines) {
      if (++seen > FIRST && seen % STRIDE !== 0) continue;
      const symbol = request === undefined ? "BTCUSDT" : venue.symbolOf?.(request);
      const about = {
        venue: name,
        connection: "c",
        number,
        receivedTime: NOW,
        ...(symbol !== undefined && { symbol }),
      };
      collector.take({ ...about, frame: sound });
      for (let time = 0; time < TIMES; time++, frames++) {
        const frame = changed(sound, chance);
        const { kind, ticks } = venue.map(frame, time % 2 === 0 ? NOW : null, symbol);
        assert.ok(venue.kinds.includes(kind), frame);
        const isBytes = name === "upstox" && !frame.startsWith("{");
        const said = ticks.length === 0 || isBytes ? null : saidIn(name, frame);
        for (const tick of ticks) {
          const value = JSON.stringify(tick);
          if (!isTick(JSON.parse(value))) {
            assert.equal(judge.judge({ offset: offset++, key: null, value }).to, "rejected", `${frame}\n${value}`);
          }
          for (const amount of said === null ? [] : amountsOf(tick)) {
            amounts++;
            const isSaid = said!.has(amount) || isDecimal(amount) && said!.has(canonical(amount));
            assert.ok(isSaid, `${frame}\nsays nothing of ${amount}`);
          }
        }
        collector.take({ ...about, frame });
      }
    }
  }
  return { frames, amounts };
}

Deno.test("no changed frame throws, says another amount, or passes for a tick that it is not", strict, async () => {
  let frames = 0, amounts = 0;
  for (const [stream, capture] of written().entries()) {
    const done = await change(capture, stream);
    frames += done.frames;
    amounts += done.amounts;
  }
  assert.ok(frames > 9_000 && amounts > 3_000, `${frames} frames, ${amounts} amounts`);
});

if (RECORDINGS === undefined) console.log("mutations: recordings are not tried, TAPEDECK_RECORDINGS names no folder");
for (const [stream, capture] of RECORDED.entries()) {
  Deno.test(`the same of ${capture.name}`, strict, async () => {
    const { frames } = await change(capture, 1_000 + stream);
    assert.ok(frames > 0);
  });
}
