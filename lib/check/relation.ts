/**
 * Columns that checks derive from a table's rows, each reckoned once for all checks that need it: times as µs, what an
 * instrument's terms and hours are at an event, and what came before and after it.
 *
 * **In** a source of rows and the names that are needed, **Out** SQL. **Knows** `table`.
 */

/** In the order of arrival; an instrument keeps its partition. */
const SERIES = `PARTITION BY venue, symbol ORDER BY "partition", origin`;
const BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING";
const IS_OWN = "time_source IS NULL";

/** Of the row itself. */
const OWN = {
  /** Event and receipt, µs. */
  t: "epoch_us(event_time)",
  r: "epoch_us(received_time)",
  /** From event to receipt, µs; null where the event's time is that of its receipt. */
  lag: `CASE WHEN ${IS_OWN} THEN epoch_us(received_time) - epoch_us(event_time) END`,
  /** The spread in basis points of the middle. */
  bps: "CASE WHEN bid_price + ask_price > 0 THEN " +
    "CAST(ask_price - bid_price AS DOUBLE) * 20000 / CAST(bid_price + ask_price AS DOUBLE) END",
  /** The middle of best bid and ask, as far as statistics need it. */
  mid: "CAST(bid_price + ask_price AS DOUBLE) / 2",
  approx: "CAST(price AS DOUBLE)",
} as const;
/** Of what is in force for the instrument at the event. */
const TERMS = { tick_size: "terms.tick_size", lot_size: "terms.lot_size", is_negative: "terms.is_negative" } as const;
const HOURS = {
  phase: "hours.phase",
  /** When the core session that it lies in opens, µs. */
  opens: "CASE WHEN hours.phase = 'core' THEN hours.opens END",
} as const;
/** Of the rows around it, by what each of them needs. */
const AROUND = {
  /** Latest event before, of times that are the venue's; and of all. */
  high_t: { sql: `max(CASE WHEN ${IS_OWN} THEN t END) OVER (${SERIES} ${BEFORE})`, needs: ["t"] },
  last_t: { sql: `max(t) OVER (${SERIES} ${BEFORE})`, needs: ["t"] },
  prev_sequence: { sql: `lag(sequence) OVER (${SERIES})`, needs: [] },
  prev_price: { sql: `lag(approx) OVER (${SERIES})`, needs: ["approx"] },
  next_price: { sql: `lead(approx) OVER (${SERIES})`, needs: ["approx"] },
  prev_mid: { sql: `lag(mid) OVER (${SERIES})`, needs: ["mid"] },
  prev_last_id: { sql: `lag(last_id) OVER (${SERIES})`, needs: [] },
  /** Event time of the quote where the best that it shows was first shown, where it is the row's own. */
  changed_at: {
    sql: `CASE WHEN ${
      ["bid_price", "bid_size", "ask_price", "ask_size"]
        .map((name) => `lag(${name}) OVER (${SERIES}) IS DISTINCT FROM ${name}`).join(" OR ")
    } THEN t END`,
    needs: ["t"],
  },
} as const;
/** Of what is around it of those. */
const BEYOND = {
  /** Since when the best is what it is, µs. */
  same_since: {
    sql: `max(changed_at) OVER (${SERIES} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)`,
    needs: ["changed_at", "t"],
  },
} as const;

export type Derived =
  | keyof typeof OWN
  | keyof typeof TERMS
  | keyof typeof HOURS
  | keyof typeof AROUND
  | keyof typeof BEYOND;

/** A SELECT of the rows of `source`, a relation in brackets or by name, with what is needed of them. */
export function relationOf(source: string, names: readonly Derived[]): string {
  const wanted = new Set<Derived>(names);
  for (const layer of [BEYOND, AROUND]) {
    for (const [name, { needs }] of Object.entries(layer)) {
      if (wanted.has(name as Derived)) { for (const need of needs) wanted.add(need); }
    }
  }
  const needsTerms = namesIn(TERMS, wanted).length > 0, needsHours = namesIn(HOURS, wanted).length > 0;
  if (needsTerms || needsHours) wanted.add("t");
  let sql = select(source, namesIn(OWN, wanted).map((name) => [name, OWN[name]]));
  if (needsTerms || needsHours) {
    const joined = [
      ...namesIn(TERMS, wanted).map((name): [string, string] => [name, TERMS[name]]),
      ...namesIn(HOURS, wanted).map((name): [string, string] => [name, HOURS[name]]),
    ];
    const on = (table: string, from: string, to: string): string =>
      ` LEFT JOIN ${table} ON ${table}.venue = own.venue AND ${table}.symbol = own.symbol AND own.t >= ${table}.${from} AND own.t < ${table}.${to}`;
    sql = `SELECT own.*, ${joined.map(([name, column]) => `${column} AS ${name}`).join(", ")} FROM (${sql}) own` +
      (needsTerms ? on("terms", "since", "until") : "") + (needsHours ? on("hours", "opens", "closes") : "");
  }
  for (const layer of [AROUND, BEYOND]) {
    const columns = namesIn(layer, wanted).map((name): [string, string] => [name, (layer as Layer)[name]!.sql]);
    sql = select(`(${sql})`, columns);
  }
  return sql;
}
type Layer = Readonly<Record<string, { readonly sql: string }>>;

function namesIn<T extends object>(layer: T, wanted: ReadonlySet<string>): (keyof T & string)[] {
  return (Object.keys(layer) as (keyof T & string)[]).filter((name) => wanted.has(name));
}

function select(source: string, columns: readonly (readonly [string, string])[]): string {
  if (columns.length === 0) return source.startsWith("(SELECT") ? source.slice(1, -1) : `SELECT * FROM ${source}`;
  return `SELECT *, ${columns.map(([name, sql]) => `${sql} AS ${name}`).join(", ")} FROM ${source}`;
}

/**
 * Trades with the quote in force before each, by event and then by arrival; where the quotes of a venue have no time of
 * their own (`received`, a list of literals), by receipt.
 */
export function pairedOf(trades: string, quotes: string, received: string): string {
  const at = `CASE WHEN venue IN (${received}) THEN epoch_us(received_time) ELSE epoch_us(event_time) END`;
  const place = `${at}::HUGEINT * 9007199254740992 + origin`;
  return `SELECT trade.*, quote.bid_price, quote.ask_price, quote.at AS quoted_at, quote.origin AS quote_origin
    FROM (SELECT *, ${at} AS at, ${place} AS place FROM ${trades}) trade
    ASOF LEFT JOIN (SELECT venue, symbol, bid_price, ask_price, origin, ${at} AS at, ${place} AS place FROM ${quotes}) quote
    ON trade.venue = quote.venue AND trade.symbol = quote.symbol AND trade.place > quote.place`;
}
