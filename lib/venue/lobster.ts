/**
 * LOBSTER, order by order data of NASDAQ in files of a day each: messages, and the book after each. It is known by its files
 * alone. A frame is a row of each, as `pairing` puts them together: `TICKER YYYY-MM-DD message | orderbook`.
 *
 * **In** frames, **Out** trades, states of trading, and after every message a quote (one level) or a book (more).
 * **Knows** `venue`, `fields`, `tick`.
 *
 * | message                  | recognised by       | kind              | becomes, before the quote or book            | seen in |
 * |--------------------------|---------------------|-------------------|----------------------------------------------|---------|
 * | new limit order          | type 1              | `newOrder`        | nothing: the book shows it                   | Z, P    |
 * | cancelled in part        | type 2              | `partialCancel`   | nothing: the book shows it                   | Z       |
 * | deleted                  | type 3              | `deletion`        | nothing: the book shows it                   | Z, P    |
 * | visible order executed   | type 4              | `execution`       | trade; direction 1, a resting bid, is a sell | Z, P    |
 * | hidden order executed    | type 5              | `hiddenExecution` | the same, condition `hidden`                 | Z, P    |
 * | cross trade              | type 6              | `crossTrade`      | trade of no side, condition `cross`          | golden  |
 * | halt, price -1, 0, 1     | type 7              | `halt`            | status halted, auction (quotes), trading     | golden  |
 * | another type             |                     | `unknown`         | nothing, and no book                         | golden  |
 * | another form             | columns, amounts, time | `malformed`    | nothing, and no book                         | golden  |
 * | was not UTF-8            | U+FFFD              | `malformed`       | nothing, and no book                         | golden  |
 *
 * Z: AMZN_2012-06-21_level1. P: AAPL_2012-06-21_level10_first_rows. golden: testdata/venue/lobster. An order's id is no
 * trade's id, and rows have no number: ticks have neither. Prices are ten-thousandths of a dollar and keep all four digits.
 */
import type { Levels } from "../fields.ts";
import { isMicros, LEVELS_MAX, type Tick } from "../tick.ts";
import type { Mapped, Venue } from "../venue.ts";

/** Kinds of the seven types of message, in their order. */
const EVENTS = [
  "newOrder",
  "partialCancel",
  "deletion",
  "execution",
  "hiddenExecution",
  "crossTrade",
  "halt",
] as const;
const KINDS = [...EVENTS, "malformed", "unknown"] as const;
type Kind = typeof KINDS[number];

const FRAME = /^(\S+) (\d{4}-\d\d-\d\d) (\S+) \| (\S+)$/;
const INTEGER = /^(?:0|-?[1-9]\d{0,17})$/;
const SECONDS = /^(\d{1,5})(?:\.(\d{1,9}))?$/;
const DAY_SECONDS = 86_400;
/** The price of a level that is not there; its size is 0. */
const NO_ASK = "9999999999", NO_BID = "-9999999999";
/** What a halt's price says, in our word and in the venue's. */
const HALTS = {
  "-1": { state: "halted", detail: "trading halt" },
  "0": { state: "auction", detail: "quote resume" },
  "1": { state: "trading", detail: "trade resume" },
} as const;

export const venues: readonly Venue[] = [{
  name: "lobster",
  kinds: KINDS,
  disciplines: { trade: "none", quote: "none", book: "none", delta: "none", status: "none" },
  books: "whole",
  map(frame, receivedTime) {
    const parts = frame.includes("\ufffd") ? null : FRAME.exec(frame);
    if (parts === null) return nothing("malformed");
    const [, symbol, date, message, row] = parts as unknown as readonly [string, string, string, string, string];
    const columns = message.split(",");
    const eventTime = timeOf(date, columns[0]!);
    if (
      columns.length !== 6 || eventTime === undefined || !columns.every((column, i) => i === 0 || INTEGER.test(column))
    ) {
      return nothing("malformed");
    }
    const kind = EVENTS[Number(columns[1]) - 1];
    if (kind === undefined) return nothing("unknown");
    const common = {
      venue: "lobster",
      symbol,
      eventTime,
      receivedTime: receivedTime ?? eventTime,
      sequence: null,
      id: null,
    };
    const said = eventOf(kind, columns, common);
    const book = bookOf(row, common);
    if (said === undefined || book === undefined) return nothing("malformed");
    return { kind, ticks: said === null ? [book] : [said, book] };
  },
}];

/** What every tick of a frame has. */
interface Common {
  readonly venue: string;
  readonly symbol: string;
  readonly eventTime: number;
  readonly receivedTime: number;
  readonly sequence: null;
  readonly id: null;
}

/** The tick that the message is besides what it does to the book; null where it is none, undefined where it is malformed. */
function eventOf(kind: typeof EVENTS[number], columns: readonly string[], common: Common): Tick | null | undefined {
  const [, , , size, amount, direction] = columns as unknown as readonly [
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  if (kind === "halt") {
    if (!Object.hasOwn(HALTS, amount)) return undefined;
    const { state, detail } = HALTS[amount as keyof typeof HALTS];
    return { type: "status", ...common, state, firstId: null, lastId: null, detail };
  }
  const price = dollarsOf(amount);
  // A cross has no resting order: its direction is a placeholder.
  if (kind === "crossTrade") return { type: "trade", ...common, price, size, side: "unknown", conditions: ["cross"] };
  if (direction !== "1" && direction !== "-1") return undefined;
  if (kind !== "execution" && kind !== "hiddenExecution") return null;
  const trade = { type: "trade", ...common, price, size, side: direction === "1" ? "sell" : "buy" } as const;
  return kind === "execution" ? trade : { ...trade, conditions: ["hidden"] };
}

/** The book after a message: a quote where the file has one level, else as many levels as there are. */
function bookOf(row: string, common: Common): Tick | undefined {
  const columns = row.split(",");
  if (columns.length % 4 !== 0 || columns.length > 4 * LEVELS_MAX) return undefined;
  const bids: Levels = [], asks: Levels = [];
  for (let i = 0; i < columns.length; i += 4) {
    if (!put(columns[i]!, columns[i + 1]!, NO_ASK, asks) || !put(columns[i + 2]!, columns[i + 3]!, NO_BID, bids)) {
      return undefined;
    }
  }
  if (columns.length > 4) return { type: "book", ...common, bids, asks };
  const [bidPrice, bidSize] = bids[0] ?? [null, null];
  const [askPrice, askSize] = asks[0] ?? [null, null];
  return { type: "quote", ...common, bidPrice, bidSize, askPrice, askSize };
}

/** Puts a level where there is one; false where its price says that there is none and its size that there is, or neither is a number. */
function put(price: string, size: string, none: string, levels: Levels): boolean {
  if (!INTEGER.test(price) || !INTEGER.test(size) || (price === none) !== (size === "0")) return false;
  if (price !== none) levels.push([dollarsOf(price), size]);
  return true;
}

/** Ten-thousandths of a dollar in dollars, digit for digit. */
function dollarsOf(price: string): string {
  const minus = price.charCodeAt(0) === 45 ? "-" : "";
  const digits = price.slice(minus.length).padStart(5, "0");
  return `${minus}${digits.slice(0, -4)}.${digits.slice(-4)}`;
}

/** µs of seconds after midnight in New York, finer digits cut off. */
function timeOf(date: string, seconds: string): number | undefined {
  const parts = SECONDS.exec(seconds);
  const midnight = midnightOf(date);
  if (parts === null || midnight === undefined || Number(parts[1]) >= DAY_SECONDS) return undefined;
  const micros = (midnight + Number(parts[1])) * 1_000_000 + Number((parts[2] ?? "").slice(0, 6).padEnd(6, "0"));
  return isMicros(micros) ? micros : undefined;
}

/** The last date that was asked for: a file has only one. */
let known: { readonly date: string; readonly midnight: number | undefined } = { date: "", midnight: undefined };

/** When a day begins in New York, seconds since the epoch; undefined where the calendar does not have it. */
function midnightOf(date: string): number | undefined {
  if (known.date !== date) known = { date, midnight: reckoned(date) };
  return known.midnight;
}

function reckoned(date: string): number | undefined {
  try {
    return Temporal.PlainDate.from(date).toZonedDateTime("America/New_York").epochMilliseconds / 1000;
  } catch {
    return undefined;
  }
}

const NOTHING: readonly Tick[] = [];

function nothing(kind: Kind): Mapped {
  return { kind, ticks: NOTHING };
}
