/**
 * Upstox as it would speak: an address for one connection by REST, then protobuf over a socket that hears bytes alone. It
 * tells how things stand, not what happened: one trade in three goes untold, and shows in the volume of the next message.
 *
 * **In** happenings and requests, **Out** frames, as base64, and answers. **Knows** `speech`, `depth`, `decimal`, `history`.
 *
 * | asked for                                   | said                                                               |
 * |---------------------------------------------|--------------------------------------------------------------------|
 * | `/v3/feed/market-data-feed/authorize`       | the address, its code good for one connection; 401 without a token |
 * | that address                                | the state of the segments                                          |
 * | `sub`, `change_mode` as bytes               | how those stand that there are, nothing of others; then live       |
 * | `unsub`; as text, or anything else          | nothing                                                            |
 * | `full`, `full_d30`, `option_greeks`, `ltpc` | five levels, thirty, the best with the volume; last prices alone   |
 */
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { canonical } from "../decimal.ts";
import { cut, type Level } from "../depth.ts";
import type { Shown } from "../history.ts";
import type { Answer, Floor, Instrument, RestAnswer, Speech, Topic } from "../speech.ts";

const AUTHORIZE = "/v3/feed/market-data-feed/authorize";
const FEEDS = "/market-data-feeder/v3/upstox-developer-api/feeds";
/** All of India has one time, and its days begin then; µs. */
const DAY = 86_400_000_000, INDIA = 19_800_000_000;
const LIVE = 1, MARKET_INFO = 2, NORMAL_OPEN = 2;
const SEGMENTS = ["NSE_EQ", "NSE_FO", "NSE_INDEX", "BSE_EQ", "MCX_FO"];

/** By mode: its number, the levels that it tells, and what it hears of. */
const MODES: Readonly<Record<string, Pick<Topic, "depth"> & { readonly streams: readonly Topic["stream"][] }>> = {
  ltpc: { depth: 0, streams: ["trade"] },
  option_greeks: { depth: 1, streams: ["trade", "quote"] },
  full: { depth: 5, streams: ["trade", "book"] },
  full_d30: { depth: 30, streams: ["trade", "book"] },
};
const MODE_NUMBERS: Readonly<Record<number, number>> = { 0: 0, 1: 2, 5: 1, 30: 3 };

export const speeches: readonly Speech[] = [{
  name: "upstox",
  quote: "INR",
  symbolOf: (base) => `NSE_EQ|${base}`,
  // Sizes are whole here, so they are counted in lots.
  spelling: { price: canonical, size: (text) => text.replace(".", "").replace(/^0+(?=\d)/, "") },
  hasHoles: false,
  depths: [],
  faults: [],
  pingSeconds: 10,
  speaksBytes: true,
  sessionOf: (time) => Math.floor((time + INDIA) / DAY),
  gate: { path: AUTHORIZE, answer: address, codeOf: (url) => url.searchParams.get("code") },
  connect: (url, _line, floor) => url.pathname === FEEDS ? { says: [() => marketInfo(floor)] } : undefined,
  request,
  tell(happening, { symbol, depth }, _line, floor) {
    const isUntold = happening.stream === "trade" && happening.trade.id % 3 === 0;
    if (isUntold) return undefined;
    // What is told of a trade has no levels: those are as they were.
    const book = happening.stream === "trade" ? null : happening.book;
    return feeds(LIVE, [feed(floor.instrument(symbol)!, depth, book)], floor);
  },
  beat: () => [],
  rest: () => undefined,
  isBook: () => false,
}];

function address(token: string | undefined, code: string): RestAnswer {
  if (!/^Bearer \S/.test(token ?? "")) {
    const errors = [{ errorCode: "UDAPI100050", message: "Invalid token used to access API" }];
    return { status: 401, body: { status: "error", errors } };
  }
  // Where the venue itself would be: whoever speaks to one that is pretended puts its place there.
  const named = `wss://wsfeeder-api.upstox.com${FEEDS}?requestId=r-${code}&code=${code}`;
  return { status: 200, body: { status: "success", data: { authorized_redirect_uri: named } } };
}

function request(message: string, line: Parameters<Speech["request"]>[1], floor: Floor): Answer {
  let asked: { method?: unknown; data?: { mode?: unknown; instrumentKeys?: unknown } } | null;
  try {
    asked = JSON.parse(message);
  } catch {
    return { says: [] };
  }
  const { method, data } = asked ?? {};
  const keys = Array.isArray(data?.instrumentKeys) ? data.instrumentKeys : [];
  const instruments = keys.map((key) => floor.instrument(key)).filter((each) => each !== undefined);
  const before = [...line.topics.values()].filter(({ symbol }) => instruments.some((each) => each.symbol === symbol));
  if (method === "unsub") return { drop: before, says: [] };
  const mode = String(data?.mode ?? "ltpc");
  if (method !== "sub" && method !== "change_mode" || !Object.hasOwn(MODES, mode)) return { says: [] };
  const { depth, streams } = MODES[mode]!;
  const add = instruments.flatMap(({ symbol }) =>
    streams.map((stream): Topic => ({ key: `${stream}/${symbol}`, symbol, stream, depth }))
  );
  const says = () => feeds(0, instruments.map((each) => feed(each, depth, each.book)), floor);
  return { drop: before, add, says: instruments.length === 0 ? [] : [says] };
}

/** Writes a field. One that is zero, or empty, is not on this wire. */
type Part = (writer: BinaryWriter) => void;

const int = (field: number, value: string | number | bigint): Part => (writer) => {
  if (BigInt(value) !== 0n) writer.tag(field, WireType.Varint).int64(String(value));
};
const double = (field: number, text: string): Part => (writer) => {
  if (Number(text) !== 0) writer.tag(field, WireType.Bit64).double(Number(text));
};
const text = (field: number, value: string): Part => (writer) => {
  writer.tag(field, WireType.LengthDelimited).string(value);
};
const inner = (field: number, ...parts: readonly Part[]): Part => (writer) => {
  writer.tag(field, WireType.LengthDelimited).fork();
  for (const part of parts) part(writer);
  writer.join();
};
function frame(...parts: readonly Part[]): string {
  const writer = new BinaryWriter();
  for (const part of parts) part(writer);
  return writer.finish().toBase64();
}
const millis = (micros: number): number => Math.floor(micros / 1_000);

function marketInfo({ time }: Floor): string {
  const states = SEGMENTS.map((segment) => inner(1, text(1, segment), int(2, NORMAL_OPEN)));
  return frame(int(1, MARKET_INFO), int(3, millis(time)), inner(4, ...states));
}

function feeds(type: number, all: readonly Part[], { time }: Floor): string {
  return frame(int(1, type), ...all, int(3, millis(time)));
}

/** How an instrument stands; without levels where there is no book. */
function feed({ symbol, trades, traded }: Instrument, depth: number, book: Shown | null): Part {
  const last = trades.at(-1);
  const ltpc = inner(
    1,
    ...last === undefined ? [] : [double(1, last.price), int(2, millis(last.time)), int(3, last.size)],
  );
  const rows = book === null ? [] : rowsOf(book, depth);
  const volume = last === undefined ? 0n : traded;
  const mode = int(4, MODE_NUMBERS[depth]!);
  const detail = depth === 0
    ? [ltpc]
    : depth === 1
    ? [inner(3, ltpc, ...rows.map((row) => inner(2, ...row)), inner(3), int(4, volume))]
    : [inner(2, inner(1, ltpc, ...levels(rows), inner(3), int(6, volume)))];
  return inner(2, text(1, symbol), inner(2, ...detail, mode));
}

const levels = (rows: readonly (readonly Part[])[]): Part[] =>
  rows.length === 0 ? [] : [inner(2, ...rows.map((row) => inner(1, ...row)))];

/** The best levels of both sides, side by side. */
function rowsOf(book: Shown, depth: number): Part[][] {
  const { bids, asks } = cut(book, depth);
  const side = (level: Level | undefined, field: number): Part[] =>
    level === undefined ? [] : [int(field, level.size), double(field + 1, level.price)];
  return Array.from(
    { length: Math.max(bids.length, asks.length) },
    (_, i) => [...side(bids[i], 1), ...side(asks[i], 3)],
  );
}
