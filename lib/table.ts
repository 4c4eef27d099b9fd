/**
 * The tables that both stores keep: their columns, how a tick becomes a row and a row a tick again, and what every store
 * answers about an instrument. One list, so that hot, cold and audit cannot disagree about a field's place, name or kind.
 *
 * **In** valid ticks, **Out** rows of cells in column order, and their canonical encoding for checksums.
 * **Knows** `tick`, `decimal`.
 */
import { canonical } from "./decimal.ts";
import type { Rejected, Tick, TickType, ValidTick } from "./tick.ts";

/**
 * What a cell holds, in JS: `int` a safe integer, `time` integer µs since the epoch, `text` a string, `name` a string
 * from a small set (worth a dictionary), `decimal` canonical decimal text, `list` a JSON array as text. All may be null
 * where the column says so.
 */
export type Kind = "int" | "time" | "text" | "name" | "decimal" | "list";
export interface Column {
  readonly name: string;
  readonly kind: Kind;
  readonly nullable: boolean;
}
export type Cell = string | number | null;
export type Row = readonly Cell[];

const column = (name: string, kind: Kind, nullable = false): Column => ({ name, kind, nullable });
const common = [
  column("partition", "int"),
  column("origin", "int"),
  column("venue", "name"),
  column("symbol", "name"),
  column("event_time", "time"),
  column("received_time", "time"),
  column("time_source", "name", true),
  column("sequence", "int", true),
  column("id", "text", true),
  column("source", "name", true),
  column("frame", "text", true),
  column("flags", "name", true),
] as const;

/** Name of the table that each type of tick goes to. */
export const TABLE_OF = { trade: "trades", quote: "quotes", book: "books", delta: "deltas", status: "status" } as const;
export type TableName = typeof TABLE_OF[TickType];

/** Every tick table: its columns in order. The first two are the row's identity, `(partition, origin)`. */
export const TABLES: Readonly<Record<TableName, readonly Column[]>> = {
  trades: [
    ...common,
    column("price", "decimal"),
    column("size", "decimal"),
    column("side", "name"),
    column("conditions", "list", true),
  ],
  quotes: [
    ...common,
    column("bid_price", "decimal", true),
    column("bid_size", "decimal", true),
    column("ask_price", "decimal", true),
    column("ask_size", "decimal", true),
  ],
  books: [...common, column("bids", "list"), column("asks", "list")],
  deltas: [
    ...common,
    column("bids", "list"),
    column("asks", "list"),
    column("first_id", "int", true),
    column("last_id", "int", true),
    column("previous_id", "int", true),
  ],
  status: [
    ...common,
    column("state", "name"),
    column("first_id", "int", true),
    column("last_id", "int", true),
    column("detail", "text", true),
  ],
};
export const TABLE_NAMES = Object.keys(TABLES) as readonly TableName[];

/** The hot store's table of rejected messages; the lake has none. */
export const REJECTED_COLUMNS: readonly Column[] = [
  column("partition", "int"),
  column("origin", "int"),
  column("key", "text", true),
  column("reason", "name"),
  column("reasons", "list"),
  column("rules", "name"),
  column("replays", "int"),
  column("raw", "text", true),
  column("raw_base64", "text", true),
  column("severity", "name"),
  column("standing", "name", true),
];

/** The row of a rejected message. */
export function rejectedRowOf(message: Rejected): Cell[] {
  const { partition, origin, key, reason, reasons, rules, replays, raw, rawBase64, severity, standing } = message;
  return [partition, origin, key, reason, JSON.stringify(reasons), rules, replays, raw, rawBase64, severity, standing];
}

const amount = (text: string | null): string | null => text === null ? null : canonical(text);
const levels = (side: readonly (readonly [string, string])[]): string =>
  JSON.stringify(side.map(([price, size]) => [canonical(price), canonical(size)]));

/** The row of a valid tick in the table of its type; decimals canonical, flags joined by commas. */
export function rowOf(tick: ValidTick, partition: number): Cell[] {
  const flags = tick.flags === undefined ? null : tick.flags.join(",");
  const row: Cell[] = [
    partition,
    tick.origin,
    tick.venue,
    tick.symbol,
    tick.eventTime,
    tick.receivedTime,
    tick.timeSource ?? null,
    tick.sequence,
    tick.id,
    // How it was made is still so when it is redriven.
    tick.redriven?.made ?? tick.source ?? null,
    tick.frame ?? null,
    flags,
  ];
  switch (tick.type) {
    case "trade":
      row.push(canonical(tick.price), canonical(tick.size), tick.side);
      row.push(tick.conditions === undefined ? null : JSON.stringify(tick.conditions));
      return row;
    case "quote":
      row.push(amount(tick.bidPrice), amount(tick.bidSize), amount(tick.askPrice), amount(tick.askSize));
      return row;
    case "book":
      row.push(levels(tick.bids), levels(tick.asks));
      return row;
    case "delta":
      row.push(levels(tick.bids), levels(tick.asks), tick.firstId, tick.lastId, tick.previousId);
      return row;
    case "status":
      row.push(tick.state, tick.firstId, tick.lastId, tick.detail);
      return row;
  }
}

const sides = (bids: Cell | undefined, asks: Cell | undefined) => ({
  bids: JSON.parse(String(bids)) as [string, string][],
  asks: JSON.parse(String(asks)) as [string, string][],
});

/** The tick that the row was made of, amounts as the row has them; its place and its flags are the row's alone. */
export function tickOf(table: TableName, row: Row): Tick {
  const [, , venue, symbol, eventTime, receivedTime, timeSource, sequence, id, source, frame, , ...own] = row;
  const common = {
    ...{ venue, symbol, eventTime, receivedTime },
    ...(timeSource !== null && { timeSource }),
    ...{ sequence, id },
    ...(source !== null && { source }),
    ...(frame !== null && { frame }),
  };
  const [a, b, c, d, e] = own;
  switch (table) {
    case "trades": {
      const conditions = d === null ? {} : { conditions: JSON.parse(String(d)) as string[] };
      return { type: "trade", ...common, price: a, size: b, side: c, ...conditions } as Tick;
    }
    case "quotes":
      return { type: "quote", ...common, bidPrice: a, bidSize: b, askPrice: c, askSize: d } as Tick;
    case "books":
      return { type: "book", ...common, ...sides(a, b) } as Tick;
    case "deltas":
      return { type: "delta", ...common, ...sides(a, b), firstId: c, lastId: d, previousId: e } as Tick;
    case "status":
      return { type: "status", ...common, state: a, firstId: b, lastId: c, detail: d } as Tick;
  }
}

/** An instrument of a market. */
export interface Instrument {
  readonly venue: string;
  readonly symbol: string;
}

/** What every store answers about an instrument: what venue and collector told of it, nothing that was built from its book. */
export interface Recall {
  /** Rows with `from <= event time <= to`, µs, in the order of their origin, a chunk at a time. */
  told(table: TableName, instrument: Instrument, from: number, to: number): AsyncIterable<readonly Row[]>;
  /**
   * The row of the latest event time up to `to`, µs, whose origin is below `before`, and of one time the last; null where
   * there is none. Where event times fall from one origin to the next it may be another of the last ones.
   */
  lastTold(table: TableName, instrument: Instrument, to: number, before: number): Promise<Row | null>;
  /** Symbols of a venue that a table has rows of, `max` at most, in alphabetical order. */
  symbols(table: TableName, venue: string, max: number): Promise<readonly string[]>;
}

/** Those among rows in memory that were told of the instrument with `from <= event time <= to`. */
export function toldIn(rows: readonly Row[], { venue, symbol }: Instrument, from: number, to: number): readonly Row[] {
  return rows.filter((row) => {
    const time = row[4] as number;
    return row[2] === venue && row[3] === symbol && row[9] !== "built" && time >= from && time <= to;
  });
}

/** The row of the latest time among rows in memory whose origin is below `before`. */
export function latestIn(rows: readonly Row[], before: number): Row | null {
  let latest: Row | null = null;
  for (const row of rows) {
    if (row[1] as number < before && (latest === null || row[4] as number >= (latest[4] as number))) latest = row;
  }
  return latest;
}

/** The UTC date of a time in µs, `YYYY-MM-DD`. Kept for the last day asked, since ticks come day by day. */
export function dateOf(micros: number): string {
  const day = Math.floor(micros / 86_400_000_000);
  if (day !== lastDay) {
    lastDay = day;
    lastDate = new Date(day * 86_400_000).toISOString().slice(0, 10);
  }
  return lastDate;
}
let lastDay = NaN;
let lastDate = "";

/**
 * The canonical encoding of a row, for checksums: cells in table order, JSON text, decimals without trailing zeros,
 * integer µs, explicit null. Rows of one digest are fed in the order of their origin.
 */
export function encodeRow(row: Row): string {
  return JSON.stringify(row) + "\n";
}
