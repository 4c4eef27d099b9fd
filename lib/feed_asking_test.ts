/** What is asked of a venue, and who is meant by its answers. */
import assert from "@std/assert";
import { madeVenue } from "../testdata/peer.ts";
import { Asking } from "./feed/asking.ts";
import { type Live, openVenue } from "./venue.ts";

const strict = { sanitizeOps: true, sanitizeResources: true } as const;

function asking(symbols: readonly string[], live: Partial<Live> = {}): { asking: Asking; sent: () => string[] } {
  const asking = new Asking(madeVenue(live).live!, { symbols, channels: ["trade"] });
  const sent = (): string[] => {
    const messages: string[] = [];
    for (let message; (message = asking.take()) !== undefined;) messages.push(message);
    return messages;
  };
  return { asking, sent };
}
/** A message a symbol, without numbers. */
const oneByOne: Partial<Live> = { subscribe: ({ symbols }) => symbols.map((symbol) => `+${symbol}`) };
/** Two messages for however many symbols. */
const twice: Partial<Live> = {
  subscribe: ({ symbols }, id) => [`${id} trades ${symbols}`, `${id + 1} quotes ${symbols}`],
};

Deno.test("an answer that bears a number is to that request, and one that bears none to the oldest", strict, () => {
  const { asking: numbered, sent } = asking(["A", "B", "C"], {
    subscribe: ({ symbols }, id) => symbols.map((symbol, at) => `${id + at} ${symbol}`),
  });
  assert.deepEqual(sent(), ["1 A", "2 B", "3 C"]);
  assert.deepEqual(numbered.hear({ refused: "no", id: 2 }), { symbols: ["B"], words: "no" });
  assert.deepEqual(numbered.hear({ refused: "what?", id: 9 }), { symbols: [], words: "what?" });
  assert.equal(numbered.isSettled, false);
  numbered.hear({ refused: null, id: 1 });
  numbered.hear({ refused: null, id: 3 });
  assert.equal(numbered.isSettled, true);

  const { asking: plain, sent: sentPlain } = asking(["A", "B"], oneByOne);
  assert.deepEqual(sentPlain(), ["+A", "+B"]);
  assert.equal(plain.hear({ refused: null }), null);
  assert.deepEqual(plain.hear({ refused: "no" }), { symbols: ["B"], words: "no" });
  assert.deepEqual([...plain.wanted], ["A"]);
});

Deno.test(
  "what is refused by name once for each channel is refused once, and a stranger's name is told",
  strict,
  () => {
    const { asking: named, sent } = asking(["A", "B"], twice);
    sent();
    assert.deepEqual(named.hear({ refused: "no A", symbols: ["A"] }), { symbols: ["A"], words: "no A" });
    assert.equal(named.hear({ refused: "no A", symbols: ["A"] }), null);
    assert.deepEqual(named.hear({ refused: "no Z", symbols: ["Z"] }), { symbols: [], words: "no Z" });
    named.hear({ refused: null, symbols: ["B"] });
    named.hear({ refused: null, symbols: ["B"] });
    assert.deepEqual([[...named.wanted], named.isSettled], [["B"], true]);
  },
);

Deno.test("who answers to refuse alone, and says not whom, refuses nobody by name", strict, () => {
  const { asking: mute, sent } = asking(["A", "B"], oneByOne);
  sent();
  assert.deepEqual(mute.hear({ refused: "too many", symbols: [] }), { symbols: [], words: "too many" });
  assert.deepEqual([[...mute.wanted], mute.isSettled], [["A", "B"], false]);
  mute.giveUp();
  assert.equal(mute.isSettled, true);
});

Deno.test(
  "a request of several messages is refused by any of them, and made again once all were answered",
  strict,
  () => {
    const { asking: several, sent } = asking(["A", "B"], twice);
    assert.deepEqual(sent(), ["1 trades A,B", "2 quotes A,B"]);
    assert.equal(several.hear({ refused: "no", id: 1 }), null);
    assert.deepEqual(sent(), []);
    assert.equal(several.hear({ refused: null, id: 2 }), null);
    assert.deepEqual(sent(), ["3 trades A", "4 quotes A", "5 trades B", "6 quotes B"]);
    for (const id of [3, 4, 6]) several.hear({ refused: null, id });
    assert.deepEqual(several.hear({ refused: "not B", id: 5 }), { symbols: ["B"], words: "not B" });
    assert.deepEqual([[...several.wanted], several.isSettled], [["A"], true]);
  },
);

Deno.test("a venue that names those whom it answers is done when it has named each for every message", strict, () => {
  const { asking: named, sent } = asking(["A", "B"], twice);
  sent();
  for (const symbol of ["A", "B", "A"]) named.hear({ refused: null, symbols: [symbol] });
  assert.equal(named.isSettled, false);
  assert.deepEqual(named.hear({ refused: "no", symbols: ["B", "stranger"] }), { symbols: ["B"], words: "no" });
  assert.deepEqual([[...named.wanted], named.isSettled], [["A"], true]);
});

Deno.test("a venue that is asked by its address alone needs no message", strict, () => {
  const { asking: silent, sent } = asking(["A"], { subscribe: () => [] });
  assert.deepEqual([sent(), silent.isSettled], [[], true]);
});

Deno.test("binance says which request it answers, so that its refusals find their symbols", strict, async () => {
  const { live } = await openVenue("binance");
  assert.deepEqual(live!.answer('{"result":null,"id":7}'), { refused: null, id: 7 });
  assert.deepEqual(live!.answer('{"error":{"code":2,"msg":"Invalid"},"id":8}'), { refused: "Invalid", id: 8 });
  assert.deepEqual(live!.answer('{"code":3,"msg":"Invalid JSON"}'), { refused: "Invalid JSON" });
  const symbols = Array.from({ length: 150 }, (_, at) => `MADE${at}`);
  const asking = new Asking(live!, { symbols, channels: ["trade", "quote"] });
  const sizes: number[] = [];
  for (let message; (message = asking.take()) !== undefined;) sizes.push(JSON.parse(message).params.length);
  assert.deepEqual(sizes, [100, 100, 100]);
});
