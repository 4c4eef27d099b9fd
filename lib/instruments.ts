/**
 * A venue's instruments, asked for by REST and brought into force. What they are, and since when, is said by a control
 * record in every partition of `ticks.raw`, so that verdicts follow from the log alone; it is appended where they are no
 * longer what they were when the venue was asked before. What that was is kept in a checkpoint, for comparison alone.
 * Whether they trade is told of each whose status is another one than before, as a tick.
 *
 * **In** a venue's answers, **Out** control records, status ticks, and the answers as frames. **Knows** `venue`, `feed`,
 * `frames`, `rule`, `producer`, `tape`, `tick`, `transport`, `decimal`, `failure`, `world`.
 */
import { canonical } from "./decimal.ts";
import { Misuse, Outage, printable } from "./failure.ts";
import { RestClient } from "./feed/rest.ts";
import { type Frame, FRAMES, messagesOf } from "./frames.ts";
import { Resumed } from "./producer.ts";
import { Instrument, INSTRUMENTS_MAX, InstrumentsControl } from "./rule/control.ts";
import { assertSame, type Tape } from "./tape.ts";
import { isSymbol, keyOf, type Status } from "./tick.ts";
import { type Message, MESSAGE_BYTES_MAX, partitionOf, type Range, TOPICS, type Transport } from "./transport.ts";
import type { Instrument as Listed, Venue } from "./venue.ts";
import type { World } from "./world.ts";

const STAGE = "instruments";
/** Pages of one list. */
const PAGES_MAX = 100;

/** What is to be brought into force, and where to. */
export interface Bringing {
  /** The only ones that may change; null for all of the venue. */
  readonly symbols: readonly string[] | null;
  /** Scheme, host and port of REST; null for the venue's own. */
  readonly base: string | null;
  /** Whether it is said again though nothing has changed. */
  readonly again: boolean;
  readonly places: readonly Range[];
  /** What each partition of the frames' topic holds; empty where frames are not kept. */
  readonly shelves: readonly Range[];
  readonly log: Pick<Transport, "claim" | "save" | "sync" | "read">;
  readonly send: (
    topic: typeof TOPICS.raw | typeof FRAMES,
    partition: number,
    messages: readonly Message[],
  ) => Promise<{ readonly first: number; readonly next: number }>;
  readonly tape: Tape;
  /** Hears of each answer what kind of frame it was. */
  readonly heard: (kind: string) => void;
  /** Whole µs since the epoch. */
  readonly micros: () => number;
  readonly world: World;
  readonly signal: AbortSignal;
}

/** How many instruments the venue lists, and how many of them are what. */
export interface Brought {
  readonly instruments: number;
  /** That are new, have other steps, or are gone. */
  readonly changed: number;
  readonly halted: number;
  readonly closed: number;
  /** Whose steps are missing, zero or too fine: nothing is held against them. */
  readonly stepless: number;
  /** Whose status is another one than when the venue was asked before, or not to trade at the first time. */
  readonly switched: number;
  readonly text: string;
}

/** What is kept of a venue between two runs. */
interface Kept {
  /** The record that was said last, and whether all partitions hold it. */
  readonly record: string;
  readonly isDone: boolean;
  /** Until when all that it says was known to be so, µs. */
  readonly seen: number;
  readonly numbers: readonly number[];
  readonly offsets: readonly number[];
  readonly tape: Tape;
  /** Who was not trading; absent where an earlier version kept it. */
  readonly resting?: Statuses;
  /** What is told until all partitions hold it: the record, or statuses alone, as of when; absent as above. */
  readonly news?: News;
}

/** By symbol. */
type Statuses = Readonly<Record<string, Listed["status"]>>;

interface News {
  readonly isRecord: boolean;
  readonly switched: Statuses;
  /** µs. */
  readonly since: number;
}

/** What the venue lists, known to be so at `seen` and since `since` at the latest, µs. */
interface Answered {
  readonly listed: ReadonlyMap<string, Listed>;
  readonly seen: number;
  readonly since: number;
}

/**
 * Asks once, and brings into force what is not yet.
 * @throws {Misuse} for a venue that cannot be asked, a symbol that it does not list, or more than can be in force
 * @throws {Outage} when it does not answer, or with something else
 * @throws {Refusal} when the log is another one than before
 */
export async function bring(venue: Venue, options: Bringing): Promise<Brought> {
  const { symbols, again, places, log, send, tape } = options;
  const { name } = venue;
  if (venue.instruments === undefined) {
    throw new Misuse(`Cannot bring instruments of "${name}" into force: it lists none, must be a venue that does`);
  }
  const { epoch, checkpoint } = await log.claim(STAGE, 0);
  const state: Record<string, Kept> = checkpoint === null ? {} : JSON.parse(checkpoint.state);
  const before = state[name];
  assertSame(`bring instruments of ${name} into force`, before?.tape ?? {}, tape);
  const resumed = await Resumed.open({
    ...{ id: `${STAGE}-${name}`, epoch, numbers: before?.numbers ?? null, offsets: before?.offsets ?? null, log },
    ...{ topic: TOPICS.raw, ranges: places },
    send: (partition, messages) => send(TOPICS.raw, partition, messages),
  });
  let saves = checkpoint?.nextOffset ?? 0;
  const keep = async (known: Known, news: News | null): Promise<void> => {
    const [numbers, offsets] = [[...resumed.numbers], [...resumed.offsets]];
    state[name] = { ...known, isDone: news === null, numbers, offsets, tape, ...(news !== null && { news }) };
    await log.save(STAGE, 0, { epoch, nextOffset: ++saves, state: JSON.stringify(state) });
  };
  const say = async (known: Known, news: News): Promise<void> => {
    // Kept first: a run that fell in between has told some partitions, and the next one tells the others the same.
    await keep(known, news);
    const lots = lotsOf(name, known.record, news, places.length);
    await Promise.all(lots.map((lot, partition) => lot.length > 0 ? resumed.append(partition, lot) : undefined));
    await Promise.all(places.map((_, partition) => log.sync(TOPICS.raw, partition)));
    await keep(known, null);
  };
  if (before?.isDone === false) {
    const { record, seen, resting = {}, news = { isRecord: true, switched: {}, since: seen } } = before;
    await say({ record, seen, resting }, news);
  }

  const counts = { instruments: 0, changed: 0, halted: 0, closed: 0, stepless: 0, switched: 0 };
  const answered = await ask(venue, epoch, options);
  if (answered === null) return { ...counts, text: `instruments   stopped before ${name} answered` };
  const { listed } = answered;
  const known = before === undefined ? new Map<string, Instrument>() : instrumentsIn(before.record);
  const asked = new Set(symbols ?? [...known.keys(), ...listed.keys()]);
  const strange = [...asked].find((symbol) => !listed.has(symbol) && !known.has(symbol));
  if (strange !== undefined) {
    throw new Misuse(
      `Cannot bring instrument "${printable(strange)}" into force: ${name} does not list it, must be one that it lists`,
    );
  }
  const now = new Map([...known].filter(([symbol]) => !asked.has(symbol)));
  const statuses = new Map(Object.entries(before?.resting ?? {}));
  const switched: Record<string, Listed["status"]> = {};
  for (const symbol of asked) {
    const entry = listed.get(symbol);
    const instrument = entry === undefined ? undefined : instrumentOf(entry);
    if (instrument !== undefined) now.set(symbol, instrument);
    if (JSON.stringify(instrument) !== JSON.stringify(known.get(symbol))) counts.changed++;
    // What a venue no longer lists does not trade there.
    const status = entry?.status ?? "closed";
    if (isSymbol(symbol)) {
      if (status !== (statuses.get(symbol) ?? "trading")) switched[symbol] = status;
      if (status === "trading") statuses.delete(symbol);
      else statuses.set(symbol, status);
    }
    if (entry === undefined) continue;
    counts.instruments++;
    if (entry.status !== "trading") counts[entry.status]++;
    if (instrument === undefined) counts.stepless++;
  }
  const resting = Object.fromEntries(statuses);
  counts.switched = Object.keys(switched).length;
  // Those that were not asked about may have changed since.
  const isWhole = [...known.keys()].every((symbol) => asked.has(symbol));
  const seen = before === undefined || isWhole ? answered.seen : before.seen;
  const { since } = answered;
  if (before !== undefined && counts.changed === 0 && !again) {
    const same = { record: before.record, seen, resting };
    if (counts.switched === 0) await keep(same, null);
    else await say(same, { isRecord: false, switched, since });
    return broughtOf(name, counts);
  }
  const until = before === undefined ? {} : { until: Math.min(before.seen, since) };
  const record = JSON.stringify({
    control: "instruments",
    venue: name,
    since,
    ...until,
    instruments: [...now.values()],
  });
  const others = Object.entries(state).filter(([other]) => other !== name).map(([, kept]) =>
    instrumentsIn(kept.record).size
  );
  assertFits(name, record, others.reduce((sum, size) => sum + size, now.size));
  await say({ record, seen, resting }, { isRecord: true, switched, since });
  return broughtOf(name, counts);
}

/** Instruments of a venue that were not trading when it was asked last. */
export async function restingOf(venue: string, log: Pick<Transport, "load">): Promise<readonly string[]> {
  const checkpoint = await log.load(STAGE, 0);
  const state: Record<string, Kept> = checkpoint === null ? {} : JSON.parse(checkpoint.state);
  return Object.keys(state[venue]?.resting ?? {});
}

type Known = Pick<Kept, "record" | "seen"> & Required<Pick<Kept, "resting">>;

/** What each partition is told. */
function lotsOf(venue: string, record: string, { isRecord, switched, since }: News, partitions: number) {
  const lots = Array.from(
    { length: partitions },
    (): Pick<Message, "key" | "value" | "control">[] => isRecord ? [{ key: null, value: record, control: true }] : [],
  );
  for (const [symbol, state] of Object.entries(switched)) {
    const tick: Status = {
      ...{ type: "status", venue, symbol, eventTime: since, receivedTime: since, timeSource: "received" },
      ...{ sequence: null, id: null, state, firstId: null, lastId: null, detail: "as listed" },
    };
    const key = keyOf(tick);
    lots[partitionOf(key, partitions)]!.push({ key, value: JSON.stringify(tick) });
  }
  return lots;
}

function broughtOf(venue: string, counts: Omit<Brought, "text">): Brought {
  const shown = (n: number): string => n.toLocaleString("en");
  const { instruments, stepless, switched } = counts;
  const words = [`${shown(instruments)} of ${venue}`];
  for (const name of ["changed", "halted", "closed"] as const) words.push(`${shown(counts[name])} ${name}`);
  if (switched > 0) words.push(`${shown(switched)} of another status than before`);
  if (stepless > 0) words.push(`${shown(stepless)} without a step, not held against a grid`);
  return { ...counts, text: `instruments   ${words.join(", ")}` };
}

/** @throws {Misuse} for what `validate` would refuse, and stop at */
function assertFits(venue: string, record: string, count: number): void {
  const says = (state: string, wanted: string): Misuse =>
    new Misuse(`Cannot bring instruments of "${venue}" into force: ${state}, must ${wanted}`);
  if (count > INSTRUMENTS_MAX) {
    throw says(`${count} would be, with those of other venues`, `be at most ${INSTRUMENTS_MAX}; --symbols names some`);
  }
  const bytes = new TextEncoder().encode(record).length;
  if (bytes > MESSAGE_BYTES_MAX) {
    throw says(`their record has ${bytes} bytes`, `have at most ${MESSAGE_BYTES_MAX}; --symbols names some`);
  }
  const issue = InstrumentsControl.safeParse(JSON.parse(record)).error?.issues[0];
  if (issue !== undefined) {
    throw says(`${issue.path.join(".")} is not as described`, issue.message.replace(/^must /, ""));
  }
}

/** What a record says of each symbol. */
function instrumentsIn(record: string): Map<string, Instrument> {
  const { instruments }: { readonly instruments: readonly Instrument[] } = JSON.parse(record);
  return new Map(instruments.map((instrument) => [instrument.symbol, instrument]));
}

/** Undefined where its steps, or its name, are none that a tick could be held against. Nothing listed trades below zero. */
function instrumentOf({ symbol, tickSize, lot }: Listed): Instrument | undefined {
  const { data } = Instrument.safeParse({ symbol, tickSize, lot, negative: false });
  return data === undefined ? undefined : { ...data, tickSize: canonical(data.tickSize), lot: canonical(data.lot) };
}

/** Everything that the venue lists, page by page; null where it was stopped before. */
async function ask(venue: Venue, epoch: number, options: Bringing): Promise<Answered | null> {
  const { base, shelves, log, send, heard, micros, world, signal } = options;
  const { name } = venue;
  const { trying } = world;
  if (trying === undefined) throw new Error("Cannot ask a venue: nobody waits here, must be run by a crew");
  const run = `${name}-${STAGE}-${epoch}`;
  const asker = { run, now: micros, world: { ...world, trying }, ...(base !== null && { base }) };
  const client = new RestClient(venue, asker);
  const shelf = shelves.length === 0 ? null : await Resumed.open({
    ...{ id: run, epoch, numbers: null, offsets: shelves.map(({ high }) => high), log, topic: FRAMES, ranges: shelves },
    send: (partition, messages) => send(FRAMES, partition, messages),
  });
  const says = (state: string): Outage =>
    new Outage(`Cannot bring instruments of "${name}" into force: ${state}, must list its instruments`);
  const listed = new Map<string, Listed>();
  let seen = Infinity;
  let next: string | undefined;
  for (let page = 0; page < PAGES_MAX; page++) {
    const reply = await client.instruments(signal, next).catch((error) => {
      if (signal.aborted) return null;
      throw error;
    });
    if (reply === null) return null;
    const { connection, number, receivedTime, requestedTime, request, text } = reply;
    seen = Math.min(seen, requestedTime);
    // Kept before anything is made of it, as all frames are.
    const frame: Frame = { venue: name, connection, number, receivedTime, request, frame: text };
    await shelf?.append(partitionOf(name, shelves.length), messagesOf(frame));
    heard(venue.map(text, receivedTime).kind);
    const answer = venue.instruments!(text);
    if (answer === null) throw says(`it answers "${printable(text.slice(0, 200))}"`);
    for (const instrument of answer.instruments) listed.set(instrument.symbol, instrument);
    next = answer.next;
    if (next !== undefined) continue;
    // All would be gone at once; a venue that is out of order says so too.
    if (listed.size === 0) throw says("it lists none");
    await Promise.all(shelves.map((_, partition) => log.sync(FRAMES, partition)));
    return { listed, seen, since: receivedTime };
  }
  throw says(`its list has over ${PAGES_MAX} pages`);
}
