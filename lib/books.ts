/**
 * Closing the books of one partition: over distinct origins and up to a cut, raw = valid + rejected + control, and
 * valid = hot = cold, row for row. Positions are read before contents, so that it may run beside the pipeline.
 *
 * **In** the log and both stores, **Out** counts, checksums and findings, each with the range that it is about.
 * **Knows** the doors, `reconcile`, `fence`, `judge`, `table`, `tick`, `failure`.
 */
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { reasonOf, Refusal } from "./failure.ts";
import { type Holding, rejectedOf, validOf } from "./fence.ts";
import { type Hot, type HotTable, tablesOf } from "./hot.ts";
import { skippedIn } from "./judge/state.ts";
import type { Lake, LakeFile, Unit } from "./lake.ts";
import { Comparison, type Entry, FATE, Fates, Window } from "./reconcile.ts";
import { encodeRow, rejectedRowOf, type Row, rowOf, TABLE_NAMES, TABLE_OF, type TableName } from "./table.ts";
import type { ValidTick } from "./tick.ts";
import { type LogRecord, type Range, TOPICS, type Transport } from "./transport.ts";

/** Something that is not as it must be, and where. */
export interface Finding {
  readonly finding:
    | "log damaged"
    | "log truncated"
    | "lost"
    | "expired"
    | "set back"
    | "judged twice"
    | "redriven twice"
    | "repeat differs"
    | "missing in hot"
    | "extra in hot"
    | "differs in hot"
    | "missing in cold"
    | "extra in cold"
    | "differs in cold"
    | "unreadable in cold"
    | "behind";
  readonly place: string;
  /** Offsets or origins, first and last. */
  readonly first: number;
  readonly last: number;
  readonly detail: string;
}

/** Offsets that a stage gave up; see `--accept-gap`. */
export interface GivenUp {
  readonly stage: string;
  readonly topic: string;
  readonly first: number;
  readonly last: number;
  /** ms since the epoch. */
  readonly at: number;
}

/** The closed books of one partition. */
export interface Books {
  readonly partition: number;
  /** Origins below it are in the books. */
  readonly cut: number;
  readonly raw: number;
  readonly control: number;
  readonly valid: number;
  readonly rejected: number;
  /** Of the valid ones, those that were rejected at first and redriven. */
  readonly redriven: number;
  readonly hot: number;
  readonly cold: number;
  /** Messages that came again with what they said before. */
  readonly repeats: number;
  /** Raw records beyond the cut. */
  readonly behind: number;
  /** SHA-256 over the rows of valid ticks as log, hot and cold have them, table by table. */
  readonly checksums: { readonly log: string; readonly hot: string; readonly cold: string };
  readonly findings: readonly Finding[];
  /** What was given up, since the log had lost it before it was read. */
  readonly gaps: readonly GivenUp[];
  /** What a message was flagged or rejected for, by origin; kept so that planted faults can be looked up. */
  readonly flagged: ReadonlyMap<number, readonly string[]>;
  readonly rejections: ReadonlyMap<number, readonly string[]>;
}

type Log = Pick<Transport, "read" | "load" | "acknowledged">;
interface Sources {
  readonly log: Log;
  readonly ranges: (topic: typeof TOPICS[keyof typeof TOPICS]) => Promise<readonly Range[]>;
  readonly hot: Hot;
  readonly lake: Lake;
  readonly signal: AbortSignal;
  /** Is shown every sound tick that is in the books, once, in the order of the log. */
  readonly see?: (partition: number, tick: ValidTick) => void;
}

/** Who applies which topic. */
const SINKS = [
  { sink: "sink-hot", topic: TOPICS.valid },
  { sink: "sink-hot", topic: TOPICS.rejected },
  { sink: "sink-cold", topic: TOPICS.valid },
] as const;
/** Findings of one kind and place are named in at most this many ranges. */
const RANGES_MAX = 100;

/** Closes the books of every partition. */
export async function closeBooks(sources: Sources): Promise<Books[]> {
  const { log, ranges, hot, lake } = sources;
  const partitions = (await ranges(TOPICS.raw)).length;
  const checkpoints = await Promise.all(Array.from({ length: partitions }, (_, p) => log.load("validate", p)));
  // What a sink acknowledges is stored before.
  const acknowledged = new Map<string, number | null>();
  for (const { sink, topic } of SINKS) {
    for (let partition = 0; partition < partitions; partition++) {
      const next = await log.acknowledged?.(sink, topic, partition) ?? null;
      acknowledged.set(`${sink} ${topic}/${partition}`, next);
    }
  }
  const holdings = [...await hot.holdings(), ...await lake.holdings()];
  const raw = await ranges(TOPICS.raw);
  // A partition that was added to one topic alone holds nothing in the others.
  const [valid, rejected] = (await Promise.all([ranges(TOPICS.valid), ranges(TOPICS.rejected)]))
    .map((held) => raw.map((_, partition) => held[partition] ?? { low: 0, high: 0 })) as [Range[], Range[]];
  const units = await lake.units();
  const skipped = [...await hot.gaps(), ...await lake.gaps()];
  const books: Books[] = [];
  for (let partition = 0; partition < partitions; partition++) {
    const sinkOf = (sink: string, topic: string, ranges: readonly Range[]) => {
      const holding = holdings.find((h) => h.sink === sink && h.topic === topic && h.partition === partition);
      return { sink, topic, holding, range: ranges[partition]! };
    };
    const sinks = SINKS.map(({ sink, topic }) => sinkOf(sink, topic, topic === TOPICS.valid ? valid : rejected));
    const judged = checkpoints[partition]?.nextOffset ?? 0;
    const gaps = [
      ...skippedIn(checkpoints[partition]?.state ?? "{}").map((gap) => ({
        ...gap,
        stage: "validate",
        topic: TOPICS.raw,
      })),
      ...skipped.filter((gap) => gap.partition === partition).map(({ sink, topic, first, last, at }) => ({
        ...{ stage: sink, topic, first, last, at },
      })),
    ];
    const book = new Book(partition, raw[partition]!, gaps);
    book.checkEnds(TOPICS.raw, judged, raw[partition]!, "validate");
    for (const { sink, topic, holding, range } of sinks) {
      book.checkEnds(topic, holding?.next ?? 0, range, sink);
      await book.checkHeld(
        sources,
        topic,
        range,
        holding,
        acknowledged.get(`${sink} ${topic}/${partition}`) ?? 0,
        sink,
      );
    }
    // A sink that has read all of its topic has applied whatever was judged, however long ago its last origin was.
    const reached = sinks.map(({ holding, range }) =>
      holding && holding.next >= range.high ? Infinity : holding ? holding.origin + 1 : range.high === 0 ? Infinity : 0
    );
    const cut = Math.max(raw[partition]!.low, Math.min(judged, raw[partition]!.high, ...reached));
    books.push(
      await book.close(
        sources,
        cut,
        valid[partition]!,
        rejected[partition]!,
        units.filter((u) => u.partition === partition),
      ),
    );
  }
  const strays = [...await straysOf(hot, books), ...foreign(units, partitions)];
  // What is of no partition is told with the last one's.
  return books.map((book, i) => {
    const isHere = (at: number): boolean => at === book.partition || (i === partitions - 1 && books[at] === undefined);
    const found = strays.filter(({ partition }) => isHere(partition)).map(({ finding }) => finding);
    return { ...book, findings: [...book.findings, ...found] };
  });
}

/** A finding of a partition, which the topic may not even have. */
interface Stray {
  readonly partition: number;
  readonly finding: Finding;
}

/**
 * Rows of the hot store that no commit answers for, since they lie beyond the last origin that was applied or in a
 * partition that the log does not have.
 */
async function straysOf(hot: Hot, books: readonly Books[]): Promise<Stray[]> {
  const appliedOf = (holdings: readonly Holding[], topic: string, partition: number): number => {
    if (books[partition] === undefined) return -1;
    const isPlace = (h: Holding) => h.sink === "sink-hot" && h.topic === topic && h.partition === partition;
    return holdings.find(isPlace)?.origin ?? -1;
  };
  const before = await hot.holdings();
  const beyond: { topic: string; table: HotTable; partition: number; origins: number[] }[] = [];
  for (const topic of [TOPICS.valid, TOPICS.rejected]) {
    for (const table of tablesOf(topic)) {
      for (const partition of await hot.partitions(table)) {
        // What lies below the cut is in the books.
        const from = Math.max(books[partition]?.cut ?? 0, appliedOf(before, topic, partition) + 1);
        const origins: number[] = [];
        for await (const rows of hot.rows(table, partition, from, Number.MAX_SAFE_INTEGER)) {
          for (const row of rows) origins.push(row[1] as number);
        }
        beyond.push({ topic, table, partition, origins });
      }
    }
  }
  // A sink that runs has moved on meanwhile.
  const after = await hot.holdings();
  return beyond.flatMap(({ topic, table, partition, origins }) => {
    const applied = appliedOf(after, topic, partition);
    const left = origins.filter((origin) => origin > applied);
    if (left.length === 0) return [];
    const count = `${left.length} ${left.length === 1 ? "row" : "rows"}`;
    const detail = books[partition] === undefined
      ? `${count} of a partition that ${TOPICS.raw} does not have`
      : `${count} beyond origin ${applied}, the last one that sink-hot applied of ${topic}`;
    const place = `${table}/${partition}`;
    return [{
      partition,
      finding: { finding: "extra in hot", place, first: left[0]!, last: left.at(-1)!, detail },
    }];
  });
}

/** Units of the lake in partitions that the log does not have; beyond what it holds of the others it has none. */
function foreign(units: readonly Unit[], partitions: number): Stray[] {
  return units.filter(({ partition }) => partition >= partitions).map(({ topic, partition, first, last }) => {
    const detail = `a unit of a partition that ${TOPICS.raw} does not have`;
    return { partition, finding: { finding: "extra in cold", place: `${topic}/${partition}`, first, last, detail } };
  });
}

class Book {
  readonly #partition: number;
  readonly #raw: Range;
  readonly #gaps: readonly GivenUp[];
  readonly #findings: Finding[] = [];
  readonly #flagged = new Map<number, readonly string[]>();
  readonly #rejections = new Map<number, readonly string[]>();
  /** First places of sound ticks that were redriven. */
  readonly #redriven = new Set<number>();

  constructor(partition: number, raw: Range, gaps: readonly GivenUp[]) {
    this.#partition = partition;
    this.#raw = raw;
    this.#gaps = gaps;
  }

  /** A log that ends before what was made of it has lost its end, and one that begins behind it what was never read. */
  checkEnds(topic: string, next: number, range: Range, who: string): void {
    if (next < range.low) {
      this.#find("expired", topic, next, range.low - 1, `deleted before ${who} read them, which --accept-gap gives up`);
    }
    if (next <= range.high) return;
    this.#find("log truncated", topic, range.high, next - 1, `${who} has applied records that the log no longer holds`);
  }

  /**
   * A store that holds less than its sink has acknowledged was emptied, restored from an old copy, or is another one. No
   * store notes what brought nothing new, such as repeats alone.
   */
  async checkHeld(
    { log, signal }: Sources,
    topic: string,
    { low }: Range,
    holding: Holding | undefined,
    acknowledged: number,
    who: string,
  ): Promise<void> {
    const { next = 0, origin = -1 } = holding ?? {};
    const place = { topic, partition: this.#partition };
    const originOf = (record: LogRecord): number =>
      topic === TOPICS.valid ? validOf(record, place).origin : rejectedOf(record, place).origin;
    const detail = `${who} has stored them, and this store does not have them: ${who} would apply them again`;
    try {
      for await (const records of log.read(topic, this.#partition, Math.max(next, low), acknowledged, signal)) {
        const missing = records.find((record) => originOf(record) > origin);
        if (missing !== undefined) return this.#find("set back", topic, missing.offset, acknowledged - 1, detail);
      }
    } catch {
      // What cannot be read is told by who reads it for the books.
    }
  }

  async close(sources: Sources, cut: number, valid: Range, rejected: Range, units: readonly Unit[]): Promise<Books> {
    const { high } = this.#raw;
    const firsts = [
      await this.#completeFrom(sources, TOPICS.valid, valid, validOf),
      await this.#completeFrom(sources, TOPICS.rejected, rejected, rejectedOf),
    ];
    // What retention took from one of the three topics cannot be held against the others.
    const low = Math.min(cut, Math.max(this.#raw.low, ...firsts));
    const fates = new Fates(low, cut);
    const raw = await this.#scan(sources, TOPICS.raw, low, cut, (record) => {
      if (record.control) fates.set(record.offset, FATE.control, 0);
    });
    const repeatsOf = { rejected: 0, valid: 0 };
    let hotRejected = 0;
    const expected: Row[] = [];
    await this.#scan(sources, TOPICS.rejected, rejected.low, rejected.high, (record) => {
      const message = rejectedOf(record, { topic: TOPICS.rejected, partition: this.#partition });
      if (!this.#judge(fates, message.origin, FATE.rejected, record, repeatsOf)) return;
      // What was redriven is no message of its own: nobody planted it.
      if (message.replays === 0) this.#rejections.set(message.origin, message.reasons);
      expected.push(rejectedRowOf(message));
    });
    for await (const rows of sources.hot.rows("rejected", this.#partition, low, cut)) hotRejected += rows.length;
    await this.#compareHot(
      sources,
      "rejected",
      low,
      cut,
      expected.map((row) => ({ origin: row[1] as number, text: encodeRow(row) })),
      null,
    );
    const sums = { log: createHash("sha256"), hot: createHash("sha256"), cold: createHash("sha256") };
    const counts = { hot: 0, cold: 0 };
    const window = new Window(units, low, cut);
    const settle = async (): Promise<void> => {
      for (const table of TABLE_NAMES) {
        const rows = window.take(table);
        for (const { text } of rows) sums.log.update(text);
        counts.hot += await this.#compareHot(sources, table, window.first, window.end, rows, sums.hot);
        counts.cold += await this.#compareCold(
          sources,
          window.files(table),
          table,
          window.first,
          window.end,
          rows,
          sums.cold,
        );
      }
    };
    const flow = this.#stream(sources, TOPICS.valid, valid.low, valid.high);
    for await (const records of flow) {
      for (const record of records) {
        const tick = validOf(record, { topic: TOPICS.valid, partition: this.#partition });
        if (!this.#judge(fates, tick.origin, FATE.valid, record, repeatsOf)) continue;
        if (tick.redriven === undefined) {
          if (tick.flags !== undefined) this.#flagged.set(tick.origin, tick.flags);
          sources.see?.(this.#partition, tick);
        } else this.#redrive(tick.redriven.first, tick.origin, fates);
        while (tick.origin >= window.end) {
          await settle();
          window.next();
        }
        window.add(TABLE_OF[tick.type], tick.origin, encodeRow(rowOf(tick, this.#partition)));
      }
    }
    await settle();
    while (window.next()) await settle();
    this.#lost(fates, raw);
    if (this.#raw.high > cut) {
      this.#find("behind", TOPICS.raw, cut, high - 1, "judged, hot and cold have not all come this far");
    }
    return {
      partition: this.#partition,
      cut,
      raw: raw.size,
      control: fates.count(FATE.control),
      valid: fates.count(FATE.valid),
      rejected: fates.count(FATE.rejected),
      redriven: this.#redriven.size,
      hot: counts.hot + hotRejected,
      cold: counts.cold,
      repeats: repeatsOf.valid + repeatsOf.rejected,
      behind: Math.max(0, high - cut),
      checksums: { log: sums.log.digest("hex"), hot: sums.hot.digest("hex"), cold: sums.cold.digest("hex") },
      findings: this.#findings,
      gaps: this.#gaps,
      flagged: this.#flagged,
      rejections: this.#rejections,
    };
  }

  /** The first origin from which on an output still holds every verdict that went to it. */
  async #completeFrom(
    sources: Sources,
    topic: string,
    { low, high }: Range,
    messageOf: (record: LogRecord, place: { topic: string; partition: number }) => { readonly previous: number },
  ): Promise<number> {
    if (low === 0) return 0;
    for await (const [first] of this.#stream(sources, topic, low, high)) {
      return messageOf(first!, { topic, partition: this.#partition }).previous + 1;
    }
    return Infinity;
  }

  /** Records in chunks; ends at a damage, which is a finding. */
  async *#stream(sources: Sources, topic: string, from: number, to: number): AsyncGenerator<readonly LogRecord[]> {
    let next = from;
    try {
      for await (const records of sources.log.read(topic, this.#partition, from, to, sources.signal)) {
        yield records;
        next = records.at(-1)!.offset + 1;
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.#find("log damaged", topic, next, to - 1, reasonOf(error));
    }
  }

  async #scan(
    sources: Sources,
    topic: string,
    from: number,
    to: number,
    each: (record: LogRecord) => void,
  ): Promise<{ size: number; holes: Set<number> }> {
    const holes = new Set<number>();
    let size = 0;
    let next = from;
    for await (const records of this.#stream(sources, topic, from, to)) {
      for (const record of records) {
        while (next < record.offset) holes.add(next++);
        next++;
        size++;
        each(record);
      }
    }
    return { size, holes };
  }

  /** Notes what became of an origin; false when it is beyond the cut or was there before. */
  #judge(
    fates: Fates,
    origin: number,
    fate: 1 | 2,
    record: LogRecord,
    repeats: { valid: number; rejected: number },
  ): boolean {
    if (!fates.covers(origin)) return false;
    const crc = crc32(record.value);
    const before = fates.of(origin);
    if (before === FATE.none) {
      fates.set(origin, fate, crc);
      return true;
    }
    const topic = fate === FATE.valid ? TOPICS.valid : TOPICS.rejected;
    if (before !== fate) this.#find("judged twice", topic, origin, origin, "it is in both outputs, must be in one");
    else if (fates.crc(origin) !== crc) {
      this.#find("repeat differs", topic, origin, origin, "it says something else than the first time");
    } else repeats[fate === FATE.valid ? "valid" : "rejected"]++;
    return false;
  }

  /** Notes that a tick came back. It may do so once, and only where it was rejected when it first came. */
  #redrive(first: string, origin: number, fates: Fates): void {
    const place = Number(first.slice(first.lastIndexOf("/") + 1));
    if (this.#redriven.has(place) || fates.covers(place) && fates.of(place) !== FATE.rejected) {
      this.#find("redriven twice", TOPICS.valid, origin, origin, `${first} is sound in another place as well`);
    }
    this.#redriven.add(place);
  }

  /** Origins that are in neither output and were no control message; a hole in the log is legal. */
  #lost(fates: Fates, raw: { holes: Set<number> }): void {
    for (const [first, last] of fates.missing(raw.holes)) {
      this.#find("lost", TOPICS.raw, first, last, "neither valid nor rejected nor control");
    }
  }

  async #compareHot(
    sources: Sources,
    table: HotTable,
    first: number,
    end: number,
    rows: readonly Entry[],
    sum: Hash | null,
  ): Promise<number> {
    const comparison = new Comparison(rows, (kind, origins) => this.#differ(kind, "hot", table, origins));
    for await (const chunk of sources.hot.rows(table, this.#partition, first, end)) {
      for (const row of chunk) {
        const text = encodeRow(row);
        sum?.update(text);
        comparison.see(row[1] as number, text);
      }
    }
    return comparison.end();
  }

  async #compareCold(
    sources: Sources,
    files: readonly LakeFile[],
    table: TableName,
    first: number,
    end: number,
    rows: readonly Entry[],
    sum: Hash,
  ): Promise<number> {
    const place = files.length === 0 ? table : files.map((file) => file.path).join(" ");
    const comparison = new Comparison(rows, (kind, origins) => this.#differ(kind, "cold", place, origins));
    const found: Row[] = [];
    for (const file of files) {
      try {
        for (const row of await sources.lake.rows(file)) found.push(row);
      } catch (error) {
        this.#find("unreadable in cold", file.path, first, end - 1, reasonOf(error));
      }
    }
    if (files.length > 1) found.sort((a, b) => (a[1] as number) - (b[1] as number));
    for (const row of found) {
      const origin = row[1] as number;
      if (origin < first || origin >= end) continue;
      const text = encodeRow(row);
      sum.update(text);
      comparison.see(origin, text);
    }
    return comparison.end();
  }

  #differ(
    kind: "missing" | "extra" | "differs",
    store: "hot" | "cold",
    place: string,
    origins: readonly number[],
  ): void {
    const detail = `${origins.length} ${origins.length === 1 ? "row" : "rows"} compared with ticks.valid`;
    this.#find(`${kind} in ${store}`, place, origins[0]!, origins.at(-1)!, detail);
  }

  #find(finding: Finding["finding"], place: string, first: number, last: number, detail: string): void {
    if (this.#findings.filter((f) => f.finding === finding && f.place.startsWith(place)).length >= RANGES_MAX) return;
    this.#findings.push({ finding, place: `${place}/${this.#partition}`, first, last, detail });
  }
}
