import assert from "@std/assert";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { isTick } from "./tick.ts";
import { type Beat, type Channel, CHANNELS, type Mapped, openVenue } from "./venue.ts";
import { counts, mappedLines, recorded, RECORDINGS, WRITTEN } from "../testdata/recordings.ts";

const options = { sanitizeOps: true, sanitizeResources: true } as const;
const NOW = 1_700_000_000_000_000;
const venue = await openVenue("upstox");

async function mappedOf(path: string): Promise<Mapped[]> {
  const lines = await Array.fromAsync(mappedLines(venue, path));
  return lines.map(({ line: _line, frame: _frame, receivedTime: _receivedTime, ...mapped }) => mapped);
}

type Part = (writer: BinaryWriter) => BinaryWriter;
const inner = (field: number, ...parts: Part[]): Part => (writer) => {
  writer.tag(field, WireType.LengthDelimited).fork();
  for (const part of parts) part(writer);
  return writer.join();
};
const double = (field: number, value: number): Part => (writer) => writer.tag(field, WireType.Bit64).double(value);
const integer = (field: number, value: number | string): Part => (writer) =>
  writer.tag(field, WireType.Varint).int64(value);
const text = (field: number, value: string): Part => (writer) =>
  writer.tag(field, WireType.LengthDelimited).string(value);
const group = (field: number, depth: number): Part => (writer) => {
  for (let i = 0; i < depth; i++) writer.tag(field, WireType.StartGroup);
  for (let i = 0; i < depth; i++) writer.tag(field, WireType.EndGroup);
  return writer;
};
function frameOf(...parts: Part[]): string {
  const writer = new BinaryWriter();
  for (const part of parts) part(writer);
  return writer.finish().toBase64();
}

Deno.test("bytes and their JSON are the same ticks and volumes, line for line", options, async () => {
  const json = await mappedOf(`${WRITTEN}/upstox/decoded.jsonl`);
  assert.ok(json.some(({ ticks, volumes }) => ticks.length > 0 && volumes !== undefined));
  assert.deepEqual(await mappedOf(`${WRITTEN}/upstox/protobuf.jsonl`), json);
});

Deno.test("fields and enums that nobody knows yet change nothing, wherever they stand", options, () => {
  const frame = (type: number, ...later: Part[]) =>
    frameOf(
      integer(1, type),
      inner(
        2,
        text(1, "A|1"),
        inner(
          2,
          inner(
            3,
            inner(1, double(1, 9.5), integer(2, 1_700_000_000_000), ...later),
            inner(2, integer(1, 75), double(2, 9.45), ...later),
            integer(4, 100),
            ...later,
          ),
          integer(4, type === 1 ? 2 : 9),
          ...later,
        ),
        ...later,
      ),
      integer(3, 1_700_000_000_000),
      ...later,
    );
  const plain = venue.map(frame(1), NOW);
  assert.equal(plain.kind, "liveFeed");
  assert.equal(plain.ticks.length, 1);
  assert.equal(plain.volumes?.[0]?.total, "100");
  const later = [integer(30, 7), double(31, 1.5), text(32, "x"), inner(33, integer(1, 1)), group(34, 3)];
  assert.deepEqual(venue.map(frame(1, ...later), NOW), plain);
  assert.deepEqual(venue.map(frame(7), NOW), { kind: "unknown", ticks: [] });
});

Deno.test("amounts are the shortest text of their double, and int64 is exact", options, () => {
  const frame = (bid: number, size: string) =>
    frameOf(inner(2, text(1, "A|1"), inner(2, inner(3, inner(2, integer(1, size), double(2, bid))))));
  const shown = (bid: number, size: string) => {
    const [quote] = venue.map(frame(bid, size), NOW).ticks;
    return quote?.type === "quote" ? [quote.bidPrice, quote.bidSize] : [];
  };
  assert.deepEqual(shown(1313.65, "9007199254740993"), ["1313.65", "9007199254740993"]);
  assert.deepEqual(shown(1e-7, "9223372036854775807"), ["0.0000001", "9223372036854775807"]);
  assert.deepEqual(shown(1.5e21, "1"), ["1500000000000000000000", "1"]);
  assert.deepEqual(shown(0.1 + 0.2, "1"), ["0.30000000000000004", "1"]);
  assert.equal(venue.map(frame(NaN, "1"), NOW).kind, "malformed");
});

Deno.test("groups in groups without end are refused, and so are bytes cut anywhere", options, () => {
  assert.equal(venue.map(frameOf(group(30, 100_000)), NOW).kind, "malformed");
  const bytes = Uint8Array.fromBase64(
    frameOf(integer(1, 1), inner(2, text(1, "A|1"), inner(2, inner(3, integer(4, 100))))),
  );
  for (let end = 3; end < bytes.length; end++) {
    assert.equal(venue.map(bytes.slice(0, end).toBase64(), NOW).kind, "malformed", `${end} bytes`);
  }
});

Deno.test("a field that ends after its message is refused, though the frame goes on", options, () => {
  const entryOf = (length: number) =>
    new Uint8Array([0x08, 1, 0x12, length, 0x0a, 3, ...new TextEncoder().encode("A|1")]).toBase64();
  assert.equal(venue.map(entryOf(5), NOW).kind, "ltpc");
  assert.equal(venue.map(entryOf(3), NOW).kind, "malformed");
});

Deno.test("a volume's session is the day in India on which it was traded", options, () => {
  const sessionAt = (ltt: string) =>
    venue.map(
      `{"feeds":{"A|1":{"fullFeed":{"marketFF":{"ltpc":{"ltp":9,"ltt":"${ltt}"},"vtt":"1"}}}}}`,
      NOW,
    ).volumes?.[0]?.session;
  const midnight = Date.UTC(2023, 10, 14, 18, 30);
  assert.equal(sessionAt(String(midnight - 1)), Date.UTC(2023, 10, 14) / 86_400_000);
  assert.equal(sessionAt(String(midnight)), Date.UTC(2023, 10, 15) / 86_400_000);
});

const recording = recorded("upstox");
const FULL = `${RECORDINGS}/upstox/upstox_v3_full_ICICIBANK_2025-03-19_decoded.jsonl`;
const SAMPLES = `${RECORDINGS}/upstox/upstox_v3_doc_samples_decoded.jsonl`;
const BYTES = `${RECORDINGS}/upstox/upstox_v3_reencoded_protobuf_base64.jsonl`;

Deno.test("upstox knows every recorded message of ICICIBANK", recording, async () => {
  const mapped = await mappedOf(FULL);
  assert.deepEqual(counts(mapped.map(({ kind }) => kind)), { marketInfo: 1, initialFeed: 1, liveFeed: 5 });
  const ticks = mapped.flatMap(({ ticks }) => ticks);
  assert.ok(ticks.every(isTick));
  // One live message brings no book.
  assert.deepEqual(counts(ticks.map(({ type }) => type)), { quote: 5, book: 5 });
  assert.deepEqual(mapped.flatMap(({ volumes }) => volumes ?? []).map(({ total }) => total), [
    "7790518",
    "7791920",
    "7792028",
    "7792030",
    "7792081",
    "7792081",
  ]);
  for (const tick of ticks) assert.ok(tick.type !== "book" || tick.bids.length === 5 && tick.asks.length === 5);
});

Deno.test("upstox knows every sample of the vendor", recording, async () => {
  const mapped = await mappedOf(SAMPLES);
  // The sample of an option tells no time at all.
  assert.deepEqual(mapped.map(({ kind }) => kind), ["marketInfo", "ltpc", "untimed", "ltpc"]);
  assert.deepEqual(mapped.flatMap(({ ticks }) => ticks), []);
});

Deno.test("the recorded messages as bytes are the same as decoded, line for line", recording, async () => {
  const bytes = await mappedOf(BYTES);
  const sources: string[] = (await Deno.readTextFile(BYTES)).trimEnd().split("\n").map((line) =>
    JSON.parse(line).source
  );
  assert.equal(bytes.length, 15);
  const of = (path: string) => bytes.filter((_, i) => path.endsWith(`/${sources[i]}`));
  assert.deepEqual(of(FULL), await mappedOf(FULL));
  assert.deepEqual(of(SAMPLES), await mappedOf(SAMPLES));
  // The others are there as bytes alone; three of them tell no time. The last one is an auction's, whose sides cross.
  const others = bytes.filter((_, i) => sources[i]!.includes("misc"));
  assert.deepEqual(others.map(({ kind }) => kind), ["untimed", "untimed", "untimed", "liveFeed"]);
  assert.ok(others[3]!.ticks.every(isTick));
  // One of its five rows has no price.
  assert.deepEqual(
    others[3]!.ticks.map((tick) =>
      tick.type === "quote" ? [tick.bidPrice, tick.askPrice] : tick.type === "book" ? tick.bids.length : tick.type
    ),
    [["298.29", "240.3"], 4],
  );
});

const live = venue.live!;

Deno.test("an address is what its answer names, and nothing else is one", options, () => {
  const { path, address } = live.authorize!;
  assert.equal(live.rest!.base + path, "https://api.upstox.com/v3/feed/market-data-feed/authorize");
  const named = `${live.base}/market-data-feeder/v3/upstox-developer-api/feeds?requestId=r&code=c`;
  assert.equal(address(JSON.stringify({ status: "success", data: { authorized_redirect_uri: named } })), named);
  assert.equal(address(JSON.stringify({ status: "success", data: { authorizedRedirectUri: named } })), named);
  for (const other of ["<html>", "[]", "{}", '{"data":null}', '{"data":{"authorized_redirect_uri":1}}']) {
    assert.equal(address(other), null, other);
  }
});

Deno.test("each instrument is asked for once, in the mode that says what is wanted, in lots", options, () => {
  const of = (channels: readonly Channel[], symbols: readonly string[] = ["A|1", "NSE_INDEX|Nifty 50"]) =>
    live.subscribe({ symbols, channels }, 7).map((message) => JSON.parse(message));
  const keys = { instrumentKeys: ["A|1", "NSE_INDEX|Nifty 50"] };
  assert.deepEqual(of(CHANNELS), [{ guid: "7", method: "sub", data: { mode: "full", ...keys } }]);
  assert.deepEqual(of(["trade"]), [{ guid: "7", method: "sub", data: { mode: "option_greeks", ...keys } }]);
  assert.deepEqual([live.symbolsMax!(CHANNELS), live.symbolsMax!(["trade", "quote"])], [2_000, 3_000]);
  const many = of(CHANNELS, Array.from({ length: 1_100 }, (_, i) => `A|${i}`));
  assert.deepEqual(many.map(({ guid, data }) => [guid, data.instrumentKeys.length]), [["7", 500], ["8", 500], [
    "9",
    100,
  ]]);
  assert.deepEqual(
    live.unsubscribe({ symbols: ["A|1"], channels: ["book"] }, 9).map((message) => JSON.parse(message)),
    [
      { guid: "9", method: "unsub", data: { instrumentKeys: ["A|1"] } },
    ],
  );
});

Deno.test("a snapshot answers for those whom it names, and nothing else answers", options, async () => {
  for (const path of ["decoded", "protobuf"]) {
    const text = await Deno.readTextFile(`${WRITTEN}/upstox/${path}.jsonl`);
    const frames = text.trimEnd().split("\n").map((line) => line.slice(line.indexOf(" ") + 1));
    const answers = frames.map((frame) => [venue.map(frame, NOW).kind, live.answer(frame)] as const);
    for (const [kind, answer] of answers) {
      // One of last prices alone may be a snapshot as well.
      if (kind !== "ltpc") assert.equal(answer !== null, kind === "initialFeed", kind);
    }
    const [, first] = answers.find(([, answer]) => answer !== null)!;
    assert.deepEqual(first, { refused: null, symbols: ["NSE_EQ|INE000A00001"] });
  }
});

Deno.test("whoever is outside of its session rests, and whoever is said in it to be closed", options, () => {
  /** µs of a time in India, of November 2026: the 16th is a Monday. */
  const at = (day: number, hours: number, minutes: number) => Date.UTC(2026, 10, day, hours, minutes - 330) * 1_000;
  const rest = (time: number, beat: Beat | null = null) =>
    ["NSE_EQ|INE000A00001", "NSE_INDEX|Nifty 50", "NCD_FO|1", "MCX_FO|1"].filter(live.resting!(time, beat)).length;
  const all = 4;
  assert.deepEqual([rest(at(16, 8, 59)), rest(at(16, 9, 0)), rest(at(16, 9, 15))], [all, 2, 0]);
  assert.deepEqual([rest(at(16, 15, 29)), rest(at(16, 15, 30)), rest(at(16, 17, 0))], [0, 2, 3]);
  assert.deepEqual([rest(at(16, 23, 29)), rest(at(16, 23, 30)), rest(at(21, 12, 0)), rest(at(22, 12, 0))], [
    3,
    4,
    4,
    4,
  ]);
  const states = { NSE_EQ: "NORMAL_CLOSE", NSE_INDEX: "NORMAL_OPEN", NCD_FO: "PRE_OPEN_END", MCX_FO: "NORMAL_CLOSE" };
  const json = JSON.stringify({ type: "market_info", marketInfo: { segmentStatus: states } });
  const state = (segment: string, value: number) => inner(1, text(1, segment), integer(2, value));
  const bytes = frameOf(integer(1, 2), inner(4, state("NSE_EQ", 3), state("NSE_INDEX", 2), state("MCX_FO", 3)));
  assert.ok(live.isBeat!(bytes));
  assert.equal(venue.map(bytes, NOW).kind, "marketInfo");
  for (const frame of [json, bytes]) {
    assert.equal(rest(at(17, 12, 0), { frame, receivedTime: at(17, 9, 20) }), 2, frame);
    // What was said before the session, or on another day, says nothing of it.
    for (const said of [at(17, 7, 0), at(16, 12, 0)]) {
      assert.equal(rest(at(17, 12, 0), { frame, receivedTime: said }), 0);
    }
  }
  assert.equal(rest(at(17, 12, 0), { frame: "CAI", receivedTime: at(17, 9, 20) }), 0);
});
