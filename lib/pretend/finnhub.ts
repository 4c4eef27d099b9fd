/**
 * Finnhub as it would speak: trades alone, one symbol a request, nothing acknowledged, and no numbers, so that nothing
 * tells a trade from an equal one. It keeps silent connections with a ping of its own.
 *
 * **In** happenings and requests, **Out** frames. **Knows** `speech`, `history`.
 *
 * | asked for                   | said                                                                                 |
 * |-----------------------------|--------------------------------------------------------------------------------------|
 * | `/?token=…`                 | nothing; without a token 401                                                          |
 * | `subscribe`, `unsubscribe`  | nothing, for a symbol that it does not know as well; an error beyond fifty            |
 * | trades                      | numbers as doubles are written: no zeros at the end                                   |
 */
import type { Trade } from "../history.ts";
import type { Answer, Floor, Line, Speech, Topic } from "../speech.ts";

const SYMBOLS_MAX = 50;
/** Seconds between two pings. */
const PING_SECONDS = 10;
const PING = '{"type":"ping"}';

export const speeches: readonly Speech[] = [{
  name: "finnhub",
  quote: "USD",
  symbolOf: (base, quote) => `BINANCE:${base}${quote}`,
  spelling: { price: asDouble, size: asDouble },
  hasHoles: false,
  depths: [],
  faults: [],
  pingSeconds: 0,
  connect: ({ searchParams }) => searchParams.get("token") ? { says: [] } : 401,
  request,
  tell: (happening) => happening.stream === "trade" ? tradeFrame(happening.trade) : undefined,
  beat: (_line, _floor, beats) => beats % PING_SECONDS === 0 ? [() => PING] : [],
  rest: () => undefined,
  isBook: () => false,
}];

function asDouble(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

function tradeFrame({ symbol, price, size, time }: Trade): string {
  const row = `{"c":null,"p":${price},"s":${JSON.stringify(symbol)},"t":${Math.floor(time / 1000)},"v":${size}}`;
  return `{"data":[${row}],"type":"trade"}`;
}

function request(message: string, { topics }: Line, floor: Floor): Answer {
  let asked: { readonly type?: unknown; readonly symbol?: unknown } | null;
  try {
    asked = JSON.parse(message);
  } catch {
    asked = null;
  }
  const { type, symbol } = asked ?? {};
  if (typeof symbol !== "string" || floor.instrument(symbol) === undefined) return { says: [] };
  const topic: Topic = { key: symbol, symbol, stream: "trade", depth: Infinity };
  if (type === "unsubscribe") return { drop: [topic], says: [] };
  if (type !== "subscribe") return { says: [] };
  if (topics.size < SYMBOLS_MAX || topics.has(symbol)) return { add: [topic], says: [] };
  return { says: [() => '{"msg":"Subscribing to too many symbols","type":"error"}'] };
}
