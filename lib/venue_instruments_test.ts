/** What each venue says of its instruments, in answers that were written for the tests, and in those of the pretended ones. */
import assert from "@std/assert";
import { Instrument } from "./rule/control.ts";
import { Pretend, PRETENDED } from "./pretend.ts";
import { type Instrument as Listed, openVenue, VENUES } from "./venue.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const answerOf = (venue: string): string =>
  Deno.readTextFileSync(new URL(`../testdata/venue/${venue}/instruments.json`, import.meta.url));
type Row = readonly [symbol: string, tickSize: string | null, lot: string | null, status: Listed["status"]];

/** What those answers list, and the name of the page behind them. */
const LISTED: Readonly<Record<string, readonly [rows: readonly Row[], next?: string]>> = {
  "binance": [[
    ["AAAUSD", "0.01000000", "0.00001000", "trading"],
    ["BBBUSD", "0.00000100", "1.00000000", "halted"],
    ["CCCUSD", "0.10000000", "0.00000000", "halted"],
    ["DDDUSD", null, "0.10000000", "trading"],
  ]],
  "binance-usdm": [[
    ["AAAUSDT", "0.10", "0.001", "trading"],
    ["AAAUSDT_231229", "0.1", "0.001", "halted"],
    ["BBBUSDT", "0.000010", "1", "halted"],
    ["CCCUSDT", "0.01", "0.01", "closed"],
    ["DDDUSDT_230929", "0.1", "0.001", "closed"],
  ]],
  "bybit": [[
    ["AAAUSDT", "0.01", "0.000001", "trading"],
    ["BBBUSDC", "0.0000001", "0.1", "halted"],
    ["CCCUSDT", null, null, "trading"],
  ]],
  "bybit-linear": [[
    ["AAAUSDT", "0.10", "0.001", "trading"],
    ["AAA-29DEC23", "0.50", "0.01", "halted"],
    ["BBBUSDT", "1", "10", "closed"],
  ], "first%3DAAAUSDT%26last%3DBBBUSDT"],
  "coinbase": [[
    ["AAA-USD", "0.01", "0.00000001", "trading"],
    ["BBB-USD", "0.00001", "0.1", "trading"],
    ["CCC-EUR", "0.01", "0.00000001", "halted"],
    ["DDD-USD", "0.01", "1", "halted"],
    ["EEE-USD", "0.01", "1", "halted"],
    ["FFF-USD", "0.01", "1", "closed"],
  ]],
  "kraken": [[
    ["BTC/USD", "0.1", "0.00000001", "trading"],
    ["AAA/BTC", "0.000000005", "0.00000001", "trading"],
    ["DOGE/USD", "0.0000001", "0.00000001", "trading"],
    ["BBB/EUR", "1", "0.00000001", "halted"],
    ["CCC/EUR", "0.01", "0.00000001", "trading"],
    ["DDD/EUR", "0.01", "0.00000001", "closed"],
  ]],
};

for (const [name, [rows, next]] of Object.entries(LISTED)) {
  Deno.test(
    `${name} lists its instruments by the names of its websocket, with their steps and states`,
    options,
    async () => {
      const page = (await openVenue(name)).instruments!(answerOf(name));
      assert.deepEqual(
        page?.instruments.map(({ symbol, tickSize, lot, status }) => [symbol, tickSize, lot, status]),
        rows,
      );
      assert.equal(page?.next, next);
    },
  );
}

Deno.test("every venue that can be asked for its instruments understands the answer", options, async () => {
  for (const name of VENUES) {
    const venue = await openVenue(name);
    assert.equal(venue.instruments !== undefined, name in LISTED, name);
    assert.equal(venue.live?.rest?.instruments !== undefined, name in LISTED, name);
  }
});

Deno.test("what is no list of instruments is none, and no list makes a venue throw", options, async () => {
  const refusals = [
    "",
    "null",
    "{}",
    "[1",
    '"x"',
    '{"error":["EGeneral:Too many requests"]}',
    '{"code":-1003,"msg":"x"}',
  ];
  for (const name of Object.keys(LISTED)) {
    const venue = await openVenue(name);
    const foreign = Object.keys(LISTED).filter((other) => other.split("-")[0] !== name.split("-")[0]).map(answerOf);
    for (const text of [...refusals, '{"retCode":10001,"retMsg":"x","result":{}}', ...foreign]) {
      assert.equal(venue.instruments!(text), null, `${name} ${text.slice(0, 60)}`);
    }
    const answer = answerOf(name);
    for (let i = 0; i < answer.length; i++) {
      venue.instruments!(answer.slice(0, i));
      venue.instruments!(answer.slice(0, i) + String.fromCharCode(answer.charCodeAt(i) ^ 1) + answer.slice(i + 1));
    }
  }
  // The other market's answer has the same form and says which it is of.
  const [spot, linear] = [await openVenue("bybit"), await openVenue("bybit-linear")];
  assert.deepEqual([spot.instruments!(answerOf("bybit-linear")), linear.instruments!(answerOf("bybit"))], [null, null]);
});

Deno.test("bybit names the next page as it was named, escaped once", options, async () => {
  const { instruments } = (await openVenue("bybit-linear")).live!.rest!;
  const path = "/v5/market/instruments-info?category=linear&limit=1000&cursor=";
  assert.equal(instruments!("first%3DA%26last%3DB"), `${path}first%3DA%26last%3DB`);
  assert.equal(instruments!("a=b&c"), `${path}a%3Db%26c`);
});

Deno.test(
  "what a pretended venue answers is what the venue would, and can be brought into force",
  options,
  async () => {
    for (const as of PRETENDED) {
      const venue = await openVenue(as);
      if (venue.instruments === undefined) continue;
      const pretend = await Pretend.open({ as, symbols: 4 });
      try {
        const answer = await (await fetch(pretend.restUrl + venue.live!.rest!.instruments!())).text();
        assert.notEqual(venue.map(answer, 1_700_000_000_000_000).kind, "unknown");
        const listed = venue.instruments(answer)!.instruments;
        assert.deepEqual(listed.map(({ symbol }) => symbol).toSorted(), [...pretend.symbols].sort(), as);
        for (const { symbol, tickSize, lot, status } of listed) {
          assert.ok(Instrument.safeParse({ symbol, tickSize, lot, negative: false }).success, `${as} ${symbol}`);
          assert.equal(status, "trading");
        }
      } finally {
        await pretend.close();
      }
    }
  },
);
