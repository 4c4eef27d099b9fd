/**
 * What every venue promises, and what each says of the frames in `testdata/venue/<venue>/`: `x.jsonl` is a capture
 * written for the test, `x.ticks.jsonl` what becomes of it, a line a frame. `deno task bless` rewrites the latter.
 */
import assert from "@std/assert";
import { join } from "node:path";
import { Misuse } from "./failure.ts";
import { Judge } from "./judge.ts";
import { DISCIPLINES } from "./sequence.ts";
import { isTick, TYPES } from "./tick.ts";
import { openVenue, type Venue, VENUES } from "./venue.ts";
import { counts, type MappedLine, mappedLines, recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;

/** The golden files that `testdata/venue/` should hold: path and text. */
export async function goldenTicks(): Promise<{ readonly path: string; readonly text: string }[]> {
  const files = [];
  for (const name of VENUES) {
    const venue = await openVenue(name);
    const folder = join(WRITTEN, name);
    for (const entry of Deno.readDirSync(folder)) {
      if (!entry.name.endsWith(".jsonl") || entry.name.endsWith(".ticks.jsonl")) continue;
      const path = join(folder, entry.name);
      let text = "";
      for await (const { line, kind, ticks, volumes, checksums, number, unread } of mappedLines(venue, path)) {
        text += JSON.stringify({ line, kind, ticks, volumes, checksums, number, unread }) + "\n";
      }
      files.push({ path: path.replace(/\.jsonl$/, ".ticks.jsonl"), text });
    }
  }
  return files.sort((a, b) => a.path < b.path ? -1 : 1);
}

async function goldenLines(venue: Venue): Promise<MappedLine[]> {
  const all = [];
  for (const { path } of await goldenTicks()) {
    if (!path.startsWith(join(WRITTEN, venue.name) + "/")) continue;
    for await (const line of mappedLines(venue, path.replace(/\.ticks\.jsonl$/, ".jsonl"))) all.push(line);
  }
  return all;
}

Deno.test("every frame in testdata becomes the ticks that its golden file shows", options, async () => {
  const files = await goldenTicks();
  assert.ok(files.length > 0, "there are frames");
  for (const { path, text } of files) assert.equal(await Deno.readTextFile(path), text, path);
});

Deno.test("every golden file has its frames", options, async () => {
  const known = new Set((await goldenTicks()).map(({ path }) => path));
  for (const name of VENUES) {
    for (const entry of Deno.readDirSync(join(WRITTEN, name))) {
      const path = join(WRITTEN, name, entry.name);
      if (entry.name.endsWith(".ticks.jsonl")) assert.ok(known.has(path), `${path} is nobody's`);
    }
  }
});

Deno.test("every file of lib/venue is a company of the list, and the other way round", options, async () => {
  const files = [...Deno.readDirSync(new URL("./venue", import.meta.url))].map(({ name }) => name.replace(/\.ts$/, ""));
  assert.deepEqual(files.sort(), [...new Set(VENUES.map((name) => name.split("-", 1)[0]!))].sort());
  for (const name of VENUES) {
    const venue = await openVenue(name);
    assert.equal(venue.name, name);
    assert.deepEqual(Object.keys(venue.disciplines).sort(), [...TYPES].sort());
    assert.equal(new Set(venue.kinds).size, venue.kinds.length);
  }
});

Deno.test("an unknown venue is misuse and names those that there are", options, async () => {
  await assert.rejects(() => openVenue("../binance"), Misuse);
  await assert.rejects(
    () => openVenue("../binance"),
    /^Misuse: Cannot open venue "..\/binance": .*, must be one of binance/,
  );
});

Deno.test("what is judged of a venue's sequences is what its file declares", options, async () => {
  for (const name of VENUES) {
    const { disciplines } = await openVenue(name);
    for (const type of TYPES) {
      assert.equal(DISCIPLINES[name]?.[type] ?? "none", disciplines[type], `${name} ${type}`);
    }
  }
});

Deno.test("the testdata of a venue shows every one of its kinds and no other", options, async () => {
  for (const name of VENUES) {
    const venue = await openVenue(name);
    const seen = new Set((await goldenLines(venue)).map(({ kind }) => kind));
    assert.deepEqual([...seen].sort(), [...venue.kinds].sort());
  }
});

Deno.test("no cut or flipped frame makes a venue throw or leave its kinds", options, async () => {
  for (const name of VENUES) {
    const venue = await openVenue(name);
    for (const { frame } of await goldenLines(venue)) {
      for (let i = 0; i < frame.length; i++) {
        const flipped = frame.slice(0, i) + String.fromCharCode(frame.charCodeAt(i) ^ 1) + frame.slice(i + 1);
        for (const text of [frame.slice(0, i), flipped]) {
          assert.ok(venue.kinds.includes(venue.map(text, 1_700_000_000_000_000).kind), text);
        }
      }
    }
    for (
      const text of ["[".repeat(1 << 20), `{"t":1e30,"x":${"[".repeat(1 << 20)}${"]".repeat(1 << 20)}}`, "null", ""]
    ) {
      assert.ok(venue.kinds.includes(venue.map(text, null).kind));
    }
  }
});

Deno.test("binance sends what it heard as a tick, but for amounts that are for the judge", options, async () => {
  const venue = await openVenue("binance");
  let ticks = 0;
  for (const { ticks: made } of await goldenLines(venue)) {
    for (const tick of made) {
      ticks++;
      const judged = /"0012345|"bidSize":""/.test(JSON.stringify(tick));
      assert.equal(isTick(JSON.parse(JSON.stringify(tick))), !judged, JSON.stringify(tick));
    }
  }
  assert.ok(ticks > 10);
});

Deno.test("binance stays exact where a number cannot hold a trade id", options, async () => {
  const venue = await openVenue("binance");
  const frame = (id: string) =>
    `{"e":"trade","E":1700000000120,"s":"A","t":${id},"p":"1","q":"1","T":1700000000119,"m":true,"M":true}`;
  const [last] = venue.map(frame("9007199254740991"), 1).ticks;
  const [beyond] = venue.map(frame("9007199254740993"), 1).ticks;
  assert.deepEqual([last?.sequence, last?.id], [9007199254740991, "9007199254740991"]);
  assert.deepEqual([beyond?.sequence, beyond?.id], [null, "9007199254740993"]);
});

const recording = recorded("binance");

Deno.test("binance maps every frame of the recorded BTCUSDT capture, without a hole", recording, async () => {
  const path = `${RECORDINGS}/binance/hftbacktest_spot_btcusdt_20240808.jsonl.gz`;
  const kinds: Record<string, number> = {};
  let lines = 0, tradeId = 0, quoteId = 0, depthId = 0;
  for await (const { kind, ticks } of mappedLines(await openVenue("binance"), path)) {
    lines++;
    kinds[kind] = (kinds[kind] ?? 0) + 1;
    for (const tick of ticks) {
      assert.ok(isTick(tick));
      if (tick.type === "trade") {
        if (tradeId > 0) assert.equal(tick.sequence, tradeId + 1);
        tradeId = tick.sequence!;
        // The recording's local clock runs behind the venue's.
        assert.ok(tick.eventTime - tick.receivedTime > 1_000_000 && tick.eventTime - tick.receivedTime < 1_500_000);
      } else if (tick.type === "quote") {
        assert.ok(tick.sequence! > quoteId);
        quoteId = tick.sequence!;
      } else if (tick.type === "delta") {
        if (depthId > 0) assert.equal(tick.firstId, depthId + 1);
        depthId = tick.lastId!;
      }
    }
  }
  assert.equal(lines, 41_249);
  assert.deepEqual(kinds, { depthUpdate: 3_451, bookTicker: 28_040, trade: 9_757, snapshot: 1 });
});

Deno.test(
  "the recorded BTCUSDT capture is sound when it comes first, and refused when it comes again",
  recording,
  async () => {
    const path = `${RECORDINGS}/binance/hftbacktest_spot_btcusdt_20240808.jsonl.gz`;
    const judge = new Judge({ partition: 0 });
    let offset = 0;
    for (const again of [false, true]) {
      for await (const { ticks } of mappedLines(await openVenue("binance"), path)) {
        for (const tick of ticks) {
          const verdict = judge.judge({ offset: offset++, key: null, value: JSON.stringify(tick) });
          assert.equal(verdict.to, again ? "rejected" : "valid", `${offset - 1} ${verdict.to}`);
        }
      }
    }
    assert.equal(judge.counts.valid, 3_451 + 28_040 + 9_757);
  },
);

Deno.test("binance knows that the recorded USD-M capture is another market's", recording, async () => {
  const path = `${RECORDINGS}/binance/hftbacktest_usdm_btcusdt_20240808.jsonl.gz`;
  const lines = await Array.fromAsync(mappedLines(await openVenue("binance"), path));
  assert.deepEqual(counts(lines.map(({ kind }) => kind)), { foreign: 93_953, snapshot: 1 });
});

Deno.test("binance knows every frame of the recorded combined streams of 2021", recording, async () => {
  const venue = await openVenue("binance");
  const text = await Deno.readTextFile(`${RECORDINGS}/binance/cryptofeed_BINANCE.ws.1.0.txt`);
  const kinds = new Set<string>();
  // That recorder writes seconds as a float, whose digits are no time to keep: the frame's own stands in.
  for (const line of text.split("\n").filter((line) => line.includes(": {"))) {
    kinds.add(venue.map(line.slice(line.indexOf("{")), null).kind);
  }
  assert.deepEqual([...kinds].sort(), ["aggTrade", "depthUpdate", "kline", "untimed"]);
});

const BEATS: Readonly<Record<string, readonly string[]>> = {
  "binance": ['{"result":["aaausd@trade","aaausd@depth@100ms"],"id":0}'],
  "binance-usdm": ['{"result":[],"id":0}'],
  "bybit": ['{"success":true,"ret_msg":"pong","conn_id":"c-1","op":"ping"}'],
  "bybit-linear": [
    '{"args":["1700000003240"],"op":"pong"}',
    '{"success":true,"ret_msg":"","conn_id":"c-1","op":"pong"}',
  ],
  "coinbase": [
    '{"type":"heartbeat","sequence":90,"last_trade_id":5001,"product_id":"AAA-USD","time":"2023-11-14T22:13:21Z"}',
  ],
  "coinbase-advanced": ['{"channel":"heartbeats","timestamp":"2023-11-14T22:13:22.25Z","sequence_num":2,"events":[]}'],
  "kraken": ['{"channel":"heartbeat"}', '{"method":"pong","req_id":1,"time_in":"a","time_out":"b"}'],
  "upstox": ['{"type":"market_info","currentTs":"1700000000000"}', "CAIY0JWZ/fMx"],
};

/** A frame in which each venue that does announces the end of a connection. */
const ENDINGS: Readonly<Record<string, string>> = {
  "binance": '{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1700000000000}}',
};

Deno.test("an end is announced by nothing but its own frame", options, async () => {
  for (const name of VENUES) {
    const { live, map } = await openVenue(name);
    assert.equal(live?.isEnding !== undefined, ENDINGS[name] !== undefined, name);
    if (live?.isEnding === undefined) continue;
    assert.ok(live.isEnding(ENDINGS[name]!) && live.isEnding('{"e":"serverShutdown","E":1}'), name);
    for (const entry of Deno.readDirSync(join(WRITTEN, name))) {
      if (!entry.name.endsWith(".jsonl") || entry.name.endsWith(".ticks.jsonl")) continue;
      for (const line of (await Deno.readTextFile(join(WRITTEN, name, entry.name))).split("\n")) {
        const frame = line.slice(line.indexOf(" ") + 1);
        assert.equal(live.isEnding(frame), map(frame, 1_700_000_000_000_000).kind === "serverShutdown", frame);
      }
    }
  }
});

Deno.test("what beats says nothing of the market, and what says something of it is no beat", options, async () => {
  for (const name of VENUES) {
    const venue = await openVenue(name);
    const isBeat = venue.live?.isBeat;
    assert.equal(isBeat !== undefined, BEATS[name] !== undefined, name);
    if (isBeat === undefined) continue;
    for (const frame of BEATS[name]!) {
      assert.ok(isBeat(frame), `${name}: ${frame}`);
      assert.equal(venue.map(frame, 1_700_000_000_000_000).ticks.length, 0);
    }
    for (const entry of Deno.readDirSync(join(WRITTEN, name))) {
      if (!entry.name.endsWith(".jsonl") || entry.name.endsWith(".ticks.jsonl")) continue;
      for (const line of (await Deno.readTextFile(join(WRITTEN, name, entry.name))).split("\n")) {
        const frame = line.slice(line.indexOf(" ") + 1);
        if (venue.map(frame, 1_700_000_000_000_000).ticks.length > 0) assert.ok(!isBeat(frame), `${name}: ${frame}`);
      }
    }
  }
});
