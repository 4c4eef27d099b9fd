/**
 * Columns that checks derive from a table's rows, each reckoned once for all checks that need it: times as µs, what an
 * instrument's terms and hours are at an event, and what came before and after it. An instrument is a whole number, `inst`,
 * here: to sort and group by its names would cost more than all else.
 *
 * **In** a source of rows and the names that are needed, **Out** SQL. **Knows** nothing.
 */

/** In the order of arrival; an instrument keeps its partition. */
const SERIES = `PARTITION BY inst ORDER BY "partition", origin`;
const BEFORE = "ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING";
const IS_OWN = "time_source IS NULL";

/** What is known of the instruments of a lens. */
export interface Known {
  /** Those that may go below zero at some time of the date; -1 where none may. */
  readonly negative: string;
  /** When the session of all of them opened that lasts all day, µs; null where some have other hours. */
  readonly openSince: number | null;
}

/** Of the row itself. */
const OWN = {
  /** Event and receipt, µs. */
  t: "epoch_us(event_time)",
  /** The same where it is the venue's. */
  own_t: `CASE WHEN ${IS_OWN} THEN epoch_us(event_time) END`,
  r: "epoch_us(received_time)",
  /** From event to receipt, µs; null where the event's time is that of its receipt. */
  lag: `CASE WHEN ${IS_OWN} THEN epoch_us(received_time) - epoch_us(event_time) END`,
  /** The spread in basis points of the middle. */
  bps: "CASE WHEN bid_price + ask_price > 0 THEN " +
    "CAST(ask_price - bid_price AS DOUBLE) * 20000 / CAST(bid_price + ask_price AS DOUBLE) END",
  /** The middle of best bid and ask, as far as statistics need it. */
  mid: "CAST(bid_price + ask_price AS DOUBLE) / 2",
  approx: "CAST(price AS DOUBLE)",
  /** Neither fetched afterwards nor redriven, so that its place in time means something. */
  is_live: "source IS NULL OR source NOT IN ('backfill', 'redrive')",
  is_late: "coalesce(list_contains(string_split(flags, ','), 'late'), false)",
  /** What best bid and ask say, in brief. */
  best: "hash(bid_price, bid_size, ask_price, ask_size)",
} as const;
/** Of what is in force for the instrument at the event. */
const TERMS = { tick_size: "terms.tick_size", lot_size: "terms.lot_size" } as const;
/** Of the instrument. */
const LISTED = {
  is_negative: ({ negative }: Known) => `inst IN (${negative})`,
} as const;
const HOURS = {
  phase: "hours.phase",
  /** When the core session that it lies in opens, µs. */
  opens: "CASE WHEN hours.phase = 'core' THEN hours.opens END",
} as const;
/** Of the rows around it, by what each of them needs. */
const AROUND = {
  /** Latest event before, of times that are the venue's; and of all. */
  high_t: { sql: `max(own_t) OVER (${SERIES} ${BEFORE})`, needs: ["own_t"] },
  last_t: { sql: `max(t) OVER (${SERIES} ${BEFORE})`, needs: ["t"] },
  prev_sequence: { sql: `lag(sequence) OVER (${SERIES})`, needs: [] },
  prev_price: { sql: `lag(approx) OVER (${SERIES})`, needs: ["approx"] },
  next_price: { sql: `lead(approx) OVER (${SERIES})`, needs: ["approx"] },
  prev_mid: { sql: `lag(mid) OVER (${SERIES})`, needs: ["mid"] },
  prev_last_id: { sql: `lag(last_id) OVER (${SERIES})`, needs: [] },
  /** Event time of the quote where the best that it shows was first shown, where it is the row's own. */
  changed_at: { sql: `CASE WHEN lag(best) OVER (${SERIES}) IS DISTINCT FROM best THEN t END`, needs: ["best", "t"] },
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
  | keyof typeof LISTED
  | keyof typeof TERMS
  | keyof typeof HOURS
  | keyof typeof AROUND
  | keyof typeof BEYOND;

/** Whether a column is derived, and no column of a table. */
export const isDerived = (name: string): name is Derived =>
  [OWN, LISTED, TERMS, HOURS, AROUND, BEYOND].some((layer) => Object.hasOwn(layer, name));

/**
 * Steps from row to row over a table of rows in order, `steps`: a third of what a window costs, and enough to suspect.
 * The first row of an instrument has none before it; where the table goes on, its first row is the one before alone.
 */
export function stepsOf(columns: readonly string[], goesOn: boolean): string {
  const before = columns.map((name) => `CASE WHEN prev.inst = cur.inst THEN prev.${name} END AS prev_${name}`);
  const none = ["inst", ...columns].map((name) => `NULL AS ${name}`);
  const rows = `SELECT inst, ${columns.join(", ")} FROM steps`;
  const [cur, prev] = goesOn
    ? ["SELECT * FROM steps OFFSET 1", rows]
    : ["SELECT * FROM steps", `SELECT ${none.join(", ")} UNION ALL ${rows}`];
  return `SELECT cur.*, ${before.join(", ")} FROM (${cur}) cur POSITIONAL JOIN (${prev}) prev
    WHERE cur.inst IS NOT NULL`;
}

/** Columns of amounts by subject. */
const AMOUNTS = {
  prices: { trades: ["price"], quotes: ["bid_price", "ask_price"], built: ["bid_price", "ask_price"] },
  sizes: { trades: ["size"], quotes: ["bid_size", "ask_size"], built: ["bid_size", "ask_size"] },
} as const;
export type Priced = keyof typeof AMOUNTS["prices"];
export const amountsOf = (subject: string, what: "prices" | "sizes"): readonly string[] =>
  AMOUNTS[what][subject as Priced] ?? [];

/** Each value of the amounts of a source once, since there are few of them, with the terms of its instrument. */
export function valuesOf(source: string, columns: readonly string[]): string {
  const each = columns.map((name) =>
    `SELECT inst, ${name} AS value FROM ${source} WHERE ${name} IS NOT NULL GROUP BY ALL`
  );
  return `SELECT own.inst, own.value, terms.tick_size, terms.lot_size FROM (${
    each.join(" UNION ALL ")
  }) own LEFT JOIN terms ON terms.inst = own.inst`;
}

/** A SELECT of the rows of `source`, a relation in brackets or by name, with what is needed of them. */
export function relationOf(source: string, names: readonly Derived[], known: Known): string {
  const wanted = new Set<Derived>(names);
  for (const layer of [BEYOND, AROUND]) {
    for (const [name, { needs }] of Object.entries(layer)) {
      if (wanted.has(name as Derived)) { for (const need of needs) wanted.add(need); }
    }
  }
  const needsTerms = namesIn(TERMS, wanted).length > 0;
  const needsHours = known.openSince === null && namesIn(HOURS, wanted).length > 0;
  if (needsTerms || needsHours) wanted.add("t");
  const open: Readonly<Record<keyof typeof HOURS, string>> = { phase: "'core'", opens: `${known.openSince}::BIGINT` };
  let sql = select(source, [
    ...namesIn(OWN, wanted).map((name): [string, string] => [name, OWN[name]]),
    ...namesIn(LISTED, wanted).map((name): [string, string] => [name, LISTED[name](known)]),
    ...(needsHours ? [] : namesIn(HOURS, wanted).map((name): [string, string] => [name, open[name]])),
  ]);
  if (needsTerms || needsHours) {
    const joined = [
      ...namesIn(TERMS, wanted).map((name): [string, string] => [name, TERMS[name]]),
      ...(needsHours ? namesIn(HOURS, wanted).map((name): [string, string] => [name, HOURS[name]]) : []),
    ];
    const on = (table: string, from: string, to: string): string =>
      ` LEFT JOIN ${table} ON ${table}.inst = own.inst AND own.t >= ${table}.${from} AND own.t < ${table}.${to}`;
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
 * Trades with the quote in force before each, by event and then by arrival; where the quotes of an instrument have no time
 * of their own (`received`, a list of numbers), by receipt.
 */
export const PAIRED = ["bid_price", "ask_price", "at", "quoted_at", "quote_origin"] as const;
export function pairedOf(trades: string, quotes: string, received: string): string {
  const place = `${placedAt(received)}::HUGEINT * 9007199254740992 + origin`;
  return `SELECT trade.*, quote.bid_price, quote.ask_price, quote.at AS quoted_at, quote.origin AS quote_origin
    FROM (SELECT inst, "partition", origin, price, conditions, approx, ${
    placedAt(received)
  } AS at, ${place} AS place FROM ${trades}) trade
    ASOF LEFT JOIN (SELECT inst, bid_price, ask_price, origin, ${
    placedAt(received)
  } AS at, ${place} AS place FROM ${quotes}) quote
    ON trade.inst = quote.inst AND trade.place > quote.place`;
}

/** The time by which trades and quotes are joined, µs. */
export function placedAt(received: string): string {
  return `CASE WHEN inst IN (${received}) THEN epoch_us(received_time) ELSE epoch_us(event_time) END`;
}
