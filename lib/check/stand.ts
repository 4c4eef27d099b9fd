/**
 * What a run of checks stands on: the views of one date, the instruments that it has, their terms and hours, and the lens
 * through which a part of them is looked at. Instruments are taken in parts of a bounded number of rows, each a range of
 * symbols, so that row groups are pruned and memory is bounded.
 *
 * **In** files by table, **Out** views and lenses. **Knows** `parquet`, `table`, `calendar`.
 */
import { calendarOf, openCalendar } from "../calendar.ts";
import type { Views } from "../parquet.ts";
import { TABLE_NAMES, type TableName, TABLES } from "../table.ts";
import { type Lens, literal, number, type Span, type Subject, SUBJECTS, WHOLE } from "./kind.ts";
import {
  amountsOf,
  type Derived,
  isDerived,
  type Known,
  PAIRED,
  pairedOf,
  placedAt,
  relationOf,
  valuesOf,
} from "./relation.ts";

const DAY = 86_400_000_000;

/** Files of one date by table, as paths or bytes. */
export type Files = Readonly<Partial<Record<TableName, readonly (string | Uint8Array)[]>>>;

/** Terms of an instrument in force for events from `since` until `until`, µs. */
export interface Terms {
  readonly venue: string;
  readonly symbol: string;
  readonly since: number;
  readonly until: number;
  readonly tickSize: string;
  readonly lot: string;
  readonly negative: boolean;
}

/** An instrument of the date. */
export interface Listed {
  /** Its number in this date. */
  readonly inst: number;
  readonly venue: string;
  readonly symbol: string;
  /** Rows by subject. */
  readonly rows: Readonly<Partial<Record<Subject, number>>>;
}

/** A part of the instruments. */
export interface Part {
  readonly first: string;
  readonly last: string;
  readonly instruments: readonly Listed[];
}

/** A span of a session. */
export interface Hours {
  readonly opens: number;
  readonly closes: number;
  readonly phase: string;
}

/** Defines the views of a date: a table by its name, `hot_` before it where it is of the hot store, and `built`. */
export async function lay(views: Views, files: Files, prefix: "" | "hot_" = ""): Promise<void> {
  for (const table of TABLE_NAMES) {
    const of = files[table] ?? [];
    if (of.length > 0) await views.define(`${prefix}${table}`, of);
    else views.defineEmpty(`${prefix}${table}`, TABLES[table]);
  }
  if (prefix === "") views.run("CREATE OR REPLACE TEMP VIEW built AS SELECT * FROM quotes WHERE source = 'built'");
}

/** The instruments of the date in alphabetical order, with how many rows each has. */
export function instrumentsOf(views: Views, symbol: string | null): readonly Listed[] {
  const found = new Map<string, { venue: string; symbol: string; rows: Partial<Record<Subject, number>> }>();
  const where = symbol === null ? "" : `WHERE symbol = ${literal(symbol)}`;
  const counts = TABLE_NAMES.map((table) =>
    `SELECT ${
      literal(table)
    } AS subject, venue, symbol, count(*) AS n, count(source) AS apart FROM ${table} ${where} GROUP BY ALL`
  );
  const rows = views.ask(`SELECT * FROM (${counts.join(" UNION ALL ")}) ORDER BY symbol, venue`);
  const built = new Map<string, number>();
  if (rows.some(({ apart }) => number(apart) > 0)) {
    const ofBuilt = TABLE_NAMES.map((table) =>
      `SELECT ${
        literal(table)
      } AS subject, venue, symbol, count(*) AS n FROM ${table} WHERE source = 'built' GROUP BY ALL`
    );
    for (const { subject, venue, symbol, n } of views.ask(ofBuilt.join(" UNION ALL "))) {
      built.set(`${subject}:${venue}:${symbol}`, number(n));
    }
  }
  for (const { subject, venue, symbol, n } of rows) {
    const key = `${venue}:${symbol}`;
    const listed = found.get(key) ?? { venue: String(venue), symbol: String(symbol), rows: {} };
    found.set(key, listed);
    const ours = built.get(`${subject}:${key}`) ?? 0;
    if (number(n) > ours) listed.rows[subject as TableName] = number(n) - ours;
    if (subject === "quotes" && ours > 0) listed.rows.built = ours;
  }
  return [...found.values()].map((listed, inst) => ({ inst, ...listed }));
}

const rowsOf = ({ rows }: Listed): number => SUBJECTS.reduce((sum, subject) => sum + (rows[subject] ?? 0), 0);

/** How many rows of a subject a part has. */
export const rowsIn = ({ instruments }: Part, subject: Subject): number =>
  instruments.reduce((sum, { rows }) => sum + (rows[subject] ?? 0), 0);

/** The instruments in parts of `rowsMax` rows, or of one symbol where that has more. */
export function partsOf(instruments: readonly Listed[], rowsMax: number): readonly Part[] {
  const parts: { first: string; last: string; instruments: Listed[] }[] = [];
  let rows = 0;
  for (const listed of instruments) {
    const part = parts.at(-1);
    const more = rowsOf(listed);
    if (part === undefined || (rows + more > rowsMax && part.last !== listed.symbol)) {
      parts.push({ first: listed.symbol, last: listed.symbol, instruments: [listed] });
      rows = more;
    } else {
      part.last = listed.symbol;
      part.instruments.push(listed);
      rows += more;
    }
  }
  return parts;
}

/** The spans of an instrument's sessions that touch the day of UTC; null where its calendar is not known for it. */
export function hoursOf(venue: string, symbol: string, from: number): readonly Hours[] | null {
  const name = calendarOf(venue, symbol);
  if (name === null) return null;
  const calendar = openCalendar(name);
  if (!calendar.knows(from) || !calendar.knows(from + DAY - 1)) return null;
  const spans: Hours[] = [];
  for (const day of [-1, 0, 1]) {
    const date = new Date((from + day * DAY) / 1_000).toISOString().slice(0, 10);
    if (!calendar.knows(date)) continue;
    for (const { opens, closes, phase } of calendar.spansOf(date)) {
      if (opens < from + DAY && closes > from) spans.push({ opens, closes, phase });
    }
  }
  return spans.toSorted((a, b) => a.opens - b.opens);
}

/** Makes the tables of instruments and of what is known of them, which relations are joined with. */
export function layKnown(
  views: Views,
  instruments: readonly Listed[],
  terms: readonly Terms[],
  hours: ReadonlyMap<string, readonly Hours[] | null>,
): void {
  const numbers = new Map(instruments.map(({ inst, venue, symbol }) => [`${venue}:${symbol}`, inst]));
  const names = ({ venue, symbol }: Pick<Listed, "venue" | "symbol">): string =>
    `${literal(venue)}, ${literal(symbol)}`;
  views.run("CREATE OR REPLACE TEMP TABLE inst (inst INTEGER, venue VARCHAR, symbol VARCHAR)");
  fill(views, "inst", instruments.map((listed) => `${listed.inst}, ${names(listed)}`));
  views.run(
    "CREATE OR REPLACE TEMP TABLE terms (inst INTEGER, since BIGINT, until BIGINT, tick_size DECIMAL(38,12), lot_size DECIMAL(38,12))",
  );
  fill(
    views,
    "terms",
    terms.flatMap(({ venue, symbol, since, until, tickSize, lot }) => {
      const inst = numbers.get(`${venue}:${symbol}`);
      const end = Number.isFinite(until) ? until : Number.MAX_SAFE_INTEGER;
      return inst === undefined ? [] : [[inst, since, end, literal(tickSize), literal(lot)].join(", ")];
    }),
  );
  views.run(
    "CREATE OR REPLACE TEMP TABLE hours (inst INTEGER, venue VARCHAR, symbol VARCHAR, opens BIGINT, closes BIGINT, phase VARCHAR)",
  );
  fill(
    views,
    "hours",
    instruments.flatMap((listed) =>
      (hours.get(`${listed.venue}:${listed.symbol}`) ?? []).map(({ opens, closes, phase }) =>
        [listed.inst, names(listed), opens, closes, literal(phase)].join(", ")
      )
    ),
  );
}

const VALUES_MAX = 500;
function fill(views: Views, table: string, rows: readonly string[]): void {
  for (let i = 0; i < rows.length; i += VALUES_MAX) {
    views.run(`INSERT INTO ${table} VALUES ${rows.slice(i, i + VALUES_MAX).map((row) => `(${row})`).join(", ")}`);
  }
}

/** Subjects whose rows are narrow and asked often. */
const KEPT = ["trades", "quotes", "built"] as const satisfies readonly Subject[];
/** Rows of a subject that are kept in memory at once. */
const KEPT_ROWS_MAX = 1_500_000;

function within(part: Part | null): string {
  if (part === null) return "true";
  return part.first === part.last
    ? `symbol = ${literal(part.first)}`
    : `symbol >= ${literal(part.first)} AND symbol <= ${literal(part.last)}`;
}

/** A time of µs as the engine has it in its files. */
const timestampOf = (micros: number): string => `CAST(make_timestamp(${micros}) AS TIMESTAMPTZ)`;

/** The rows of a subject in the files, by the number of their instrument. */
function numbered(subject: Subject, part: Part | null): string {
  const [table, told] = subject === "built"
    ? ["quotes", "source = 'built'"]
    : [subject, "source IS DISTINCT FROM 'built'"];
  const [one, ...others] = part?.instruments ?? [];
  // Names are compared where they are stored, once each; to join them costs as much as to read them.
  if (one !== undefined && others.length === 0) {
    return `SELECT ${one.inst}::INTEGER AS inst, own.* EXCLUDE (venue, symbol) FROM ${table} own WHERE venue = ${
      literal(one.venue)
    } AND symbol = ${literal(one.symbol)} AND ${told}`;
  }
  return `SELECT inst.inst, own.* EXCLUDE (venue, symbol) FROM ${table} own JOIN inst USING (venue, symbol) WHERE ${
    within(part)
  } AND ${told}`;
}

/** Takes the rows of a part out of the files, once for all that is asked of them; gives the subjects that it took. */
export function keep(views: Views, part: Part, subjects: readonly Subject[]): readonly Subject[] {
  return KEPT.filter((subject) => subjects.includes(subject)).filter((subject) => {
    const rows = rowsIn(part, subject);
    if (rows === 0 || rows > KEPT_ROWS_MAX) return false;
    views.run(`CREATE OR REPLACE TEMP TABLE kept_${subject} AS ${numbered(subject, part)}`);
    return true;
  });
}

/** What is known of some instruments on a day from `from`, µs. */
export function knownOf(
  instruments: readonly Listed[],
  terms: readonly Terms[],
  hours: ReadonlyMap<string, readonly Hours[] | null>,
  from: number,
): Known {
  const negative = new Set(
    terms.filter(({ negative, since, until }) => negative && since < from + DAY && until > from).map(keyOf),
  );
  const listed = instruments.filter((one) => negative.has(keyOf(one))).map(({ inst }) => inst);
  // Of an instrument whose hours are not known nothing is said that would depend on them.
  const isOpen = instruments.every((one) => {
    const spans = hours.get(keyOf(one)) ?? null;
    return spans === null || spans.length === 1 && spans[0]!.opens <= from && spans[0]!.closes >= from + DAY;
  });
  return { negative: listed.length === 0 ? "-1" : listed.join(", "), openSince: isOpen ? from : null };
}
const keyOf = ({ venue, symbol }: { readonly venue: string; readonly symbol: string }): string => `${venue}:${symbol}`;

/** Lets go of what was kept. */
export function release(views: Views, kept: readonly Subject[]): void {
  for (const subject of kept) views.run(`DROP TABLE kept_${subject}`);
}

/**
 * A lens on a part of the instruments, or on all, through what is `kept` of it; `insts` are those of the part that it is on,
 * all of them where it is null.
 */
export function lensOn(
  views: Views,
  part: Part | null,
  kept: readonly Subject[],
  known: Known,
  insts: readonly number[] | null = null,
): Lens {
  const source = (subject: Subject): string => {
    const rows = kept.includes(subject) ? `kept_${subject}` : `(${numbered(subject, part)})`;
    return insts === null ? rows : `(SELECT * FROM ${rows} WHERE inst IN (${insts.join(", ")}))`;
  };
  const keyed = (subject: Subject, needs: readonly Derived[] = []): string => relationOf(source(subject), needs, known);
  const between = (subject: Subject, by: "origin" | "time", { from, until }: Pick<Span, "from" | "until">): string => {
    if (from === null && until === null) return source(subject);
    const [column, bound] = by === "origin" ? ["origin", String] : [timed(), timestampOf];
    const bounds = [
      ...(from === null ? [] : [`${column} >= ${bound(from)}`]),
      ...(until === null ? [] : [`${column} < ${bound(until)}`]),
    ];
    return `(SELECT * FROM ${source(subject)} WHERE ${bounds.join(" AND ")})`;
  };
  const timed = (): string => byReceipt() === "-1" ? "event_time" : "received_time";
  const named = (sql: string): string =>
    `SELECT inst.venue, inst.symbol, own.* EXCLUDE (inst) FROM (${sql}) own JOIN inst USING (inst)`;
  let received: string | undefined;
  const byReceipt = (): string => {
    if (received !== undefined) return received;
    const found = views.ask(`SELECT DISTINCT inst FROM ${source("quotes")} WHERE time_source = 'received'`);
    return received = found.length === 0 ? "-1" : found.map(({ inst }) => String(inst)).join(", ");
  };
  return {
    keyed,
    rows: (subject, needs) => named(keyed(subject, needs)),
    stepping(subject, columns, { before, until }) {
      const rows = relationOf(
        between(subject, "origin", { from: before, until }),
        columns.filter(isDerived),
        known,
      );
      return `SELECT inst, ${columns.join(", ")} FROM (${rows}) ORDER BY inst, "partition", origin`;
    },
    values: (subject, what) => valuesOf(source(subject), amountsOf(subject, what)),
    among: (insts) => lensOn(views, part, kept, known, insts),
    pairing({ from, before, until }) {
      const trades = relationOf(between("trades", "time", { from, until }), ["approx"], known);
      return pairedOf(`(${trades})`, between("quotes", "time", { from: before, until }), byReceipt());
    },
    spans(subject, by, many) {
      const column = by === "origin" ? "origin" : `epoch_us(${timed()})`;
      const shares = Array.from({ length: many - 1 }, (_, i) => (i + 1) / many);
      const [found] = views.ask(
        `SELECT min("partition") = max("partition") AS is_one, approx_quantile(${column}, [${
          shares.join(", ")
        }]) AS cuts
          FROM ${source(subject)}`,
      );
      // Places in several partitions do not follow each other.
      if (by === "origin" && found!.is_one !== true) return [WHOLE];
      const cuts = [...new Set(JSON.parse(String(found!.cuts)) as number[])];
      const starts = cuts.flatMap((from) => {
        // What trades are joined with are quotes, whichever of them is cut.
        const rows = between(by === "time" ? "quotes" : subject, by, { from: null, until: from });
        const [last] = views.ask(`SELECT max(${column}) AS before FROM ${rows}`);
        const before = last!.before === null ? null : number(last!.before);
        return before === null && by === "origin" ? [] : [{ from, before }];
      });
      return [{ from: null, before: null }, ...starts].map((start, i) => ({
        ...start,
        until: starts[i]?.from ?? null,
      }));
    },
    get paired() {
      const pairs = part === null ? `(${this.pairing(WHOLE)})` : "paired";
      return named(
        `SELECT trade.*, ${PAIRED.map((name) => `pair.${name}`).join(", ")} FROM (${
          keyed("trades", ["approx"])
        }) trade JOIN ${pairs} pair USING (inst, "partition", origin)`,
      );
    },
    get quoted() {
      const at = `SELECT *, ${placedAt(byReceipt())} AS at FROM ${source("quotes")}`;
      return named(
        `SELECT *, coalesce(lead(at) OVER (PARTITION BY inst ORDER BY at, origin), 9007199254740991) AS until FROM (${at})`,
      );
    },
    hot: (table) => `(SELECT * FROM hot_${table} WHERE ${within(part)})`,
    cold: (table) => `(SELECT * FROM ${table} WHERE ${within(part)})`,
  };
}
