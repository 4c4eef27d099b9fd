/**
 * A storm over a live feed: a pretended venue on a real socket, a client that follows and collects it, faults one after
 * the other by seeded chance, and then calm. What was collected is held against what the venue knows that it did.
 *
 * Time moves only as the market does. Whoever awaits the network is waited for before it moves on, so that the order of
 * things hangs on the seed and not on the machine.
 * **In** a venue, a seed, how many faults. **Out** what struck, what was collected, and what of it is wrong.
 */
import { Collector } from "../../lib/collect.ts";
import { Chance } from "../../lib/chance.ts";
import type { FeedEvent } from "../../lib/feed.ts";
import { HANDSHAKE_MS } from "../../lib/feed/handshake.ts";
import { REPLY_MS } from "../../lib/feed/rest.ts";
import type { Shown } from "../../lib/history.ts";
import { Judge } from "../../lib/judge.ts";
import { LiveSource } from "../../lib/live.ts";
import { START_MICROS } from "../../lib/market.ts";
import { listener } from "../../lib/patience.ts";
import { Pretend } from "../../lib/pretend.ts";
import type { AnswerFault, Planted } from "../../lib/mischief.ts";
import { type Book, keyOf, type Status, type Tick, type Trade } from "../../lib/tick.ts";
import { openVenue, type Venue } from "../../lib/venue.ts";
import type { Trying, World } from "../../lib/world.ts";

/** What is done to a venue: one fault, or some that only strike together. */
export type Deed =
  | "drop"
  | "twice"
  | "swap"
  | "garble"
  | "stall"
  | "halfOpen"
  | "close"
  | "abort"
  | "checksum"
  | "reset"
  | "shutdown"
  | "refused"
  | "unanswered"
  | "rollover"
  | "rollover struck";

/** Where a follower finds itself. */
export interface Scene {
  readonly plan: Storm;
  readonly pretend: Pretend;
  readonly venue: Venue;
  /** µs. */
  readonly now: () => number;
  readonly world: World & { readonly trying: Trying };
}

/** How a venue is stormed. */
export interface Storm {
  readonly as: string;
  /** Streams whose frames may be lost, doubled or swapped: those of which that can be known. */
  readonly frames: readonly ("trade" | "quote" | "book")[];
  readonly deeds: readonly Deed[];
  /** What may be wrong with an answer by REST, and which lost frame has one asked for. */
  readonly answers?: { readonly faults: readonly AnswerFault[]; readonly after: "trade" | "book" };
  /** Levels of the books that are built, where it has books. */
  readonly depth?: number;
  /** What comes of most snapshots that are held against books; absent where none are. */
  readonly compares?: "equal" | "unnumbered";
}

/** What became of a storm. */
export interface Found {
  /** How often each fault struck, and how often a connection took another's place. */
  readonly struck: Readonly<Record<string, number>>;
  /** Trades of the venue since the first that was collected, those of them that were, and those in a gap. */
  readonly trades: number;
  readonly collected: number;
  /** Ticks that told them: less where one tells how much several traded. */
  readonly told: number;
  readonly missed: number;
  readonly gaps: number;
  /** Ticks that came more than once and counted once. */
  readonly doubled: number;
  /** Books that were built and held against the venue's own. */
  readonly books: number;
  readonly bookGaps: number;
  /** Snapshots that were held against books, by what came of it. */
  readonly compared: Readonly<Record<string, number>>;
  readonly wrong: readonly string[];
}

const SYMBOLS = 3;
const RUN = "storm";
const TOKEN = "storm";
/**
 * Time moves in whole steps of it, ms: no two events of the market have the same. What is left of a client's wait after some
 * of them is never a round number, so that nothing looks like a wait for the network that is none.
 */
const GRAIN_MS = 7;
const LIFETIME_MS = 400_000;
const COMPARE_EVERY_MS = 200_000;
/** Rounds of waiting within which everything must be well again. */
const ROUNDS_MAX = 2_000;
/** Rounds in which two connections may be heard at once, one by one. */
const STROLLS_MAX = 100;
const CODES = [1000, 1001, 1008, 1011, 1012, 1013];

/** A time that passes when the market moves, and a client's waits in it. */
class Tide {
  time = START_MICROS;
  /** How long somebody waits for an answer of the network: nobody waits so long for anything else. */
  readonly #net: readonly number[];
  #waits: { readonly at: number; readonly isNet: boolean; readonly end: () => void }[] = [];
  #freed: () => void = () => {};

  constructor(net: readonly number[]) {
    this.#net = net;
  }

  readonly now = (): number => this.time;

  readonly pause: Trying["pause"] = (ms, signal) =>
    new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const end = (): void => {
        this.#waits = this.#waits.filter((wait) => wait.end !== end);
        signal.removeEventListener("abort", end);
        resolve();
        if (!this.#isAtNet) this.#freed();
      };
      signal.addEventListener("abort", end);
      this.#waits.push({ at: this.time + ms * 1_000, isNet: this.#net.includes(ms), end });
    });

  go(ms: number): void {
    this.time += ms * 1_000;
    for (const { end } of this.#waits.filter(({ at }) => at <= this.time)) end();
  }

  /** When the next wait is over. */
  get next(): number {
    return Math.min(...this.#waits.map(({ at }) => at));
  }

  /** Until nobody waits for an answer of the network. Who has just had one may go on to the next. */
  async free(): Promise<void> {
    while (this.#isAtNet) {
      await new Promise<void>((resolve) => this.#freed = resolve);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  get #isAtNet(): boolean {
    return this.#waits.some(({ isNet }) => isNet);
  }
}

/** What a storm sees of whoever follows the venue: all that was collected, and what became of connections. */
export abstract class Follower {
  readonly ticks: Tick[] = [];
  /** Connections, and whether they are subscribed. */
  readonly open = new Map<string, boolean>();
  /** Whether the book of a symbol is in sync, as it was told. */
  readonly synced = new Map<string, boolean>();
  /** When the last trade of a symbol was, µs. */
  readonly last = new Map<string, number>();
  rollovers = 0;
  readonly compared: Record<string, number> = {};
  #failure: unknown = null;
  #happened: () => void = () => {};

  /** Until this is so; it is looked at whenever something was taken. */
  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      this.check();
      await new Promise<void>((resolve) => this.#happened = resolve);
    }
  }

  /** Stops to follow. */
  abstract close(): Promise<void>;

  /** @throws what the follower fell over */
  protected check(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  protected fail(error: unknown): void {
    this.#failure = error;
    this.#happened();
  }

  protected take(tick: Tick): void {
    this.ticks.push(tick);
    if (tick.type === "trade") this.last.set(tick.symbol, tick.eventTime);
    if (tick.type === "status" && tick.detail === "book synced") this.synced.set(tick.symbol, true);
    if (isBookGap(tick)) this.synced.set(tick.symbol, false);
    this.#happened();
  }

  protected hear(event: FeedEvent): void {
    if (event.event === "connected") this.open.set(event.connection, false);
    if (event.event === "subscribed") this.open.set(event.connection, true);
    if (event.event === "disconnected") {
      this.open.delete(event.connection);
      if (event.successor !== null) this.rollovers++;
    }
    this.#happened();
  }
}

/** Follows by hand: a live source into a collector. */
class Directly extends Follower {
  readonly #source: LiveSource;
  readonly #over = new AbortController();
  readonly #reading: Promise<void>;

  constructor({ plan, pretend, venue, now, world }: Scene) {
    super();
    this.#source = new LiveSource(venue, {
      subscription: { symbols: pretend.symbols, channels: venue.live!.channels },
      ...{ run: RUN, base: pretend.socketUrl, rest: pretend.restUrl, token: TOKEN, micros: now, world },
      compareEveryMs: COMPARE_EVERY_MS,
    });
    const { depth } = plan;
    const collector = new Collector(venue, { names: false, ...(depth !== undefined && { depth, everyMs: 0 }) });
    this.#reading = this.#read(collector).catch((error) => this.fail(error));
  }

  async close(): Promise<void> {
    this.#over.abort();
    await this.#reading;
    await this.#source[Symbol.asyncDispose]();
    this.check();
  }

  async #read(collector: Collector): Promise<void> {
    for await (const { frames } of this.#source.read(0, this.#over.signal)) {
      for (const frame of frames) {
        const collected = collector.take(frame);
        this.#source.want(collected);
        for (const tick of collected.ticks) this.take(tick);
        for (const { outcome } of collected.compared) this.compared[outcome] = (this.compared[outcome] ?? 0) + 1;
        if (frame.isEvent) this.hear(JSON.parse(frame.frame));
      }
    }
  }
}

/** Whether the book was lost, as its keeper tells it. */
function isBookGap(tick: Tick): boolean {
  return tick.type === "status" && tick.state === "gap" && tick.detail?.startsWith("book ") === true;
}

/** One storm. `follow` begins to follow. */
export async function storm(
  plan: Storm,
  seed: number,
  faults: number,
  follow: (scene: Scene) => Follower | Promise<Follower> = (scene) => new Directly(scene),
): Promise<Found> {
  const { as, frames, deeds, depth } = plan;
  const chance = Chance.of(seed, 40);
  const jitter = Chance.of(seed, 41);
  const known = await openVenue(as);
  // Kraken, which beats every 30 s, is asked nothing by REST.
  const tide = new Tide([HANDSHAKE_MS, REPLY_MS].filter((ms) => ms !== known.live!.heartbeat?.everyMs));
  const pretend = await Pretend.open({
    ...{ as, seed, symbols: SYMBOLS, levels: 60, now: tide.now, tradesMax: Infinity, booksMax: 1_000_000 },
  });
  const { symbols } = pretend;
  const isRenewed = deeds.some((deed) => deed.startsWith("rollover"));
  // This market never rests.
  const { resting: _resting, ...restless } = known.live!;
  const venue: Venue = { ...known, live: { ...restless, ...(isRenewed && { lifetimeMs: LIFETIME_MS }) } };
  /** Whether it is asked for its address first. */
  const isAsked = known.live!.authorize !== undefined;
  const report = (): void => {};
  const world: World & { readonly trying: Trying } = {
    now: () => Math.floor(tide.time / 1_000),
    env: (name) => name === known.live!.secret ? TOKEN : undefined,
    report,
    retryForMs: 100_000_000,
    trying: {
      random: () => (jitter.draw() >>> 0) / 2 ** 32,
      pause: tide.pause,
      signal: new AbortController().signal,
      hear: listener(report, () => {}),
    },
  };
  const follower = await follow({ plan, pretend, venue, now: tide.now, world });
  // The venue numbers connections from 1, their followers from 0.
  const numberOfName = (name: string): number => Number(name.slice(name.lastIndexOf(".") + 1)) + 1;
  const struckBy = (...faults: readonly string[]): ReadonlySet<number> =>
    new Set(pretend.truth.faults.filter(({ fault }) => faults.includes(fault)).map(({ connection }) => connection!));
  /** Connections on which nothing more comes, and those that the venue has ended. */
  const deaf = (): ReadonlySet<number> => struckBy("stall", "halfOpen");
  const ended = (): ReadonlySet<number> => struckBy("close", "abort");
  const open = (): string[] => [...follower.open.keys()];

  /** Until everybody has heard what was said, and has said what there is to say to it. */
  async function settle(): Promise<void> {
    for (let i = 0; i < 2; i++) {
      const over = ended();
      await follower.until(() => !open().some((name) => over.has(numberOfName(name))));
      await tide.free();
      await pretend.heard();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  async function pass(steps: number, ms: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      tide.go(ms);
      pretend.step();
    }
    await settle();
  }

  /** On to the next thing that somebody waits for, and so slowly that nobody is taken for silent who is not. */
  const hurry = (): Promise<void> => {
    const steps = 1 + chance.below(3);
    const left = Math.min((tide.next - tide.time) / 1_000 / (1 + chance.below(2)), venue.live!.silentMs / 3);
    return pass(steps, GRAIN_MS * Math.max(1, Math.ceil(left / GRAIN_MS / steps)));
  };
  const stroll = (): Promise<void> => pass(1 + chance.below(6), GRAIN_MS * (1 + chance.below(5)));

  const isWell = (): boolean => {
    const gone = deaf();
    return open().length > 0 && [...follower.open].every(([name, isLive]) => isLive && !gone.has(numberOfName(name))) &&
      (depth === undefined || symbols.every((symbol) => follower.synced.get(symbol) === true));
  };
  async function until(what: string, isSo: () => boolean): Promise<void> {
    for (let round = 0; !isSo(); round++) {
      if (round === ROUNDS_MAX) throw new Error(`${as}, seed ${seed}: never ${what}`);
      await hurry();
    }
  }

  const plant = (...planted: Planted[]): () => boolean => {
    const before = pretend.struck;
    for (const fault of planted) pretend.plant(fault);
    return () => pretend.struck >= before + planted.length;
  };
  const one = <T>(list: readonly T[]): T => list[chance.below(list.length)]!;
  const anyFrame = (): Omit<Planted, "fault"> => ({
    symbol: one(symbols),
    stream: one(frames),
    after: chance.below(4),
  });
  const ends = (): Planted => ({ fault: one(["abort", "close"]), code: one(CODES), after: chance.below(4) });

  const comesAnother = (before: readonly string[]): Promise<void> =>
    until("rolled over", () => open().length > before.length || open().some((name) => !before.includes(name)));
  /** What both say is said while there are two. */
  const whileTwo = async (): Promise<void> => {
    for (let round = 0; open().length > 1 && round < STROLLS_MAX; round++) await stroll();
  };

  async function strike(deed: Deed): Promise<void> {
    switch (deed) {
      case "drop":
      case "twice":
      case "swap":
        return await until(`struck by ${deed}`, plant({ fault: deed, ...anyFrame() }));
      case "garble":
        // That a book lost something is known wherever it comes, even where nothing is numbered.
        return await until("garbled", plant({ fault: deed, ...anyFrame(), stream: one([...frames, "book"]) }));
      case "refused":
        // As often as there is patience for: pauses grow.
        return await until(
          "refused",
          plant(
            { fault: one(["html", "tooMany", "banned"]), at: isAsked ? one(["upgrade", "request"]) : "upgrade" },
            ends(),
          ),
        );
      case "unanswered": {
        const isStruck = plant({ fault: one(plan.answers!.faults), at: "request" });
        // Not every frame that is lost has something asked for.
        const { after: stream } = plan.answers!;
        let isLost = (): boolean => true;
        return await until("unanswered", () => {
          if (isLost()) isLost = plant({ fault: "drop", stream, symbol: one(symbols) });
          return isStruck();
        });
      }
      case "rollover":
      case "rollover struck": {
        await comesAnother(open());
        if (deed === "rollover struck") {
          const fault: Planted = one([
            { fault: one(["halfOpen", "stall"]) },
            ends(),
            ends(),
            { fault: one(["drop", "twice", "swap"]), ...anyFrame() },
          ]);
          plant({ ...fault, connection: numberOfName(one(open())) });
        }
        return await whileTwo();
      }
      case "shutdown": {
        const before = open();
        const isStruck = plant({ fault: deed, after: chance.below(6) });
        await until("told that it ends", isStruck);
        // Another one comes before it ends, or else when it has.
        await comesAnother(before);
        return await whileTwo();
      }
      default: {
        const about = deed === "checksum" || deed === "reset" ? { symbol: one(symbols) } : {};
        await until(`struck by ${deed}`, plant({ fault: deed, code: one(CODES), after: chance.below(6), ...about }));
      }
    }
  }

  try {
    await follower.until(() => follower.open.size > 0);
    await until("begun", () => isWell() && follower.last.size === symbols.length);
    for (let fault = 0; fault < faults; fault++) {
      await strike(one(deeds));
      // Some strike before the one before has healed.
      if (chance.below(4) > 0) await until(`well again after fault ${fault}`, isWell);
      for (let i = chance.below(3); i > 0; i--) await stroll();
    }
    // What was missed is told when something comes behind it.
    const isDone = (): boolean => {
      const since = pretend.truth.faults.at(-1)?.time ?? 0;
      return isWell() && symbols.every((symbol) => {
        const { time } = pretend.truth.trades(symbol).at(-1)!;
        return time > since && follower.last.get(symbol) === time;
      });
    };
    await until("calm", isDone);
    await settle();
    return judged(pretend, follower, venue, depth);
  } finally {
    await follower.close();
    await pretend.close();
  }
}

/** Gives a trade its number in the venue's truth. */
function numbering(truth: ReadonlyMap<number, { readonly id: number; readonly time: number }>) {
  // Finnhub's have nothing but their time, of which each has its own here.
  const byTime = new Map([...truth.values()].map(({ id, time }) => [time, id]));
  // Bybit has ids and no counter: 19 digits, whose end rises by one here.
  return ({ sequence, id, eventTime }: Trade): number =>
    sequence ?? (id === null ? byTime.get(eventTime) ?? NaN : Number(BigInt(id) % 1_000_000_000_000n));
}

/** What was collected, held against what the venue did. */
function judged(
  pretend: Pretend,
  { ticks, rollovers, compared }: Follower,
  venue: Venue,
  depth: number | undefined,
): Found {
  const wrong: string[] = [];
  const say = (line: string): void => void (wrong.length < 20 && wrong.push(line));
  const struck: Record<string, number> = { rollover: rollovers };
  for (const { fault, code } of pretend.truth.faults) {
    const name = code === undefined ? fault : `${fault} ${code}`;
    struck[name] = (struck[name] ?? 0) + 1;
  }
  const { valid, doubled } = ruled(ticks, say);
  const found = {
    struck,
    doubled,
    trades: 0,
    collected: 0,
    told: 0,
    missed: 0,
    gaps: 0,
    books: 0,
    bookGaps: 0,
    compared,
    wrong,
  };
  if (compared.differing !== undefined) say(`${compared.differing} books are others than their snapshots`);
  const isNumbered = venue.disciplines.trade === "contiguous";
  for (const symbol of pretend.symbols) {
    const own = valid.filter((tick) => tick.symbol === symbol);
    const truth = new Map(pretend.truth.trades(symbol).map((trade) => [trade.id, trade]));
    const numberOf = numbering(truth);
    const collected = new Set<number>();
    const gaps: Status[] = [];
    for (const tick of own) {
      if (tick.type === "status" && tick.state === "gap") tick.detail === "trade" ? gaps.push(tick) : found.bookGaps++;
      if (tick.type !== "trade") continue;
      const number = numberOf(tick);
      const trade = truth.get(number);
      found.told++;
      const told = tick.source === "conflated" ? together(truth, number, tick.size) : [number];
      for (const each of told) {
        if (collected.has(each)) say(`${symbol}: trade ${each} counts twice`);
        collected.add(each);
      }
      const isWhole = tick.source === "conflated" ? told.length > 0 : trade?.size === tick.size;
      const isTrue = trade !== undefined && trade.price === tick.price && isWhole &&
        tick.side === (isNamed(tick) ? trade.side : "unknown") && trade.time === tick.eventTime;
      if (!isTrue) say(`${symbol}: trade ${number} is invented: ${JSON.stringify(tick)}`);
    }
    const first = Math.min(...collected), last = Math.max(...truth.keys());
    found.trades += last - first + 1;
    found.collected += collected.size;
    found.gaps += gaps.length;
    // What was traded while nobody listened shows in the next total.
    const isTotal = own.some(({ source }) => source === "conflated");
    const inGap = isNumbered ? within(gaps) : isTotal ? () => false : between(own, collected, numberOf);
    for (let number = first; number <= last; number++) {
      if (collected.has(number)) continue;
      found.missed++;
      if (!inGap(number)) say(`${symbol}: trade ${number} was missed and is in no gap`);
    }
    for (const { firstId, lastId } of isNumbered ? gaps : []) {
      if (firstId === null || lastId === null || !collected.has(firstId) || !collected.has(lastId)) {
        say(`${symbol}: a gap from ${firstId} to ${lastId} has ends that never came`);
      }
    }
    if (venue.books === "whole") found.books += whole(pretend.truth.books(symbol), own, say);
    if (depth !== undefined) found.books += books(pretend.truth.books(symbol), own, depth, say);
  }
  return found;
}

/** What the rules of sequence leave of it. */
function ruled(ticks: readonly Tick[], say: (line: string) => void): { valid: Tick[]; doubled: number } {
  const judge = new Judge({ partition: 0 });
  const seen = new Set<string>();
  let doubled = 0;
  const valid = ticks.filter((tick, offset) => {
    const verdict = judge.judge({ offset, key: keyOf(tick), value: JSON.stringify(tick) });
    if (verdict.to === "rejected" && !["duplicate", "backwards"].includes(verdict.reason)) {
      say(`${verdict.reason}: ${JSON.stringify(tick)}`);
    }
    // What has no number is known by its id.
    const id = tick.type === "trade" && tick.sequence === null && tick.id !== null ? `${tick.symbol} ${tick.id}` : null;
    const isNew = verdict.to === "valid" && (id === null || !seen.has(id));
    if (id !== null) seen.add(id);
    if (!isNew) doubled++;
    return isNew;
  });
  return { valid, doubled };
}

/** Whether a number lies within one of these gaps. */
function within(gaps: readonly Status[]): (number: number) => boolean {
  return (number) => gaps.some(({ firstId, lastId }) => firstId! < number && number < lastId!);
}

/** Where trades have no numbers to those who collect them: whether a gap was told between the trades around this one. */
function between(
  ticks: readonly Tick[],
  collected: ReadonlySet<number>,
  numberOf: (trade: Trade) => number,
): (number: number) => boolean {
  const told = new Set<number>();
  let last = Infinity, hasGap = false;
  for (const tick of ticks) {
    if (tick.type === "status" && tick.state === "gap" && tick.detail === "trade") hasGap = true;
    if (tick.type !== "trade") continue;
    const number = numberOf(tick);
    for (let missed = last + 1; hasGap && missed < number; missed++) if (!collected.has(missed)) told.add(missed);
    last = number;
    hasGap = false;
  }
  return (number) => told.has(number);
}

/** The trades up to this one that make up a size together; none where no number of them does. */
function together(truth: ReadonlyMap<number, { readonly size: string }>, last: number, size: string): number[] {
  const numbers: number[] = [];
  let left = BigInt(size);
  for (let number = last; left > 0n && truth.has(number); number--) {
    numbers.unshift(number);
    left -= BigInt(truth.get(number)!.size);
  }
  return left === 0n ? numbers : [];
}

/** Holds every book that was sent whole against the venue's at that time. How many there were. */
function whole(truth: readonly Shown[], ticks: readonly Tick[], say: (line: string) => void): number {
  let count = 0;
  for (const tick of ticks) {
    if (tick.type !== "book" || tick.source !== undefined) continue;
    count++;
    const shown = truth.findLast(({ time }) => time <= tick.eventTime)!;
    const isThat = (["bids", "asks"] as const).every((side) =>
      tick[side].length > 0 &&
      tick[side].every(([price, size], i) => shown[side][i]?.price === price && shown[side][i]?.size === size)
    );
    if (!isThat) say(`${tick.symbol}: the book of ${tick.eventTime} is another`);
  }
  if (count === 0) say(`${truth[0]!.symbol}: no book came`);
  return count;
}

/** Whether something tells the trade from others. */
const isNamed = ({ sequence, id }: Trade): boolean => sequence !== null || id !== null;

/** Holds every book that was built against the venue's, and the last one against its last. How many there were. */
function books(truth: readonly Shown[], ticks: readonly Tick[], depth: number, say: (line: string) => void): number {
  // By number where the venue numbers its books on the whole, else by time, of which each has its own here.
  const byId = new Map(truth.map((book) => [String(book.id), book]));
  const byTime = new Map(truth.map((book) => [book.time, book]));
  const isThat = (built: Book, shown: Shown | undefined): boolean =>
    shown !== undefined &&
    (["bids", "asks"] as const).every((side) =>
      built[side].length > 0 && built[side].length <= depth &&
      built[side].every(([price, size], i) => shown[side][i]?.price === price && shown[side][i]?.size === size)
    );
  let count = 0, isSynced = false;
  let last: Book | null = null;
  for (const tick of ticks) {
    if (tick.type === "status" && tick.detail === "book synced") isSynced = true;
    if (isBookGap(tick)) isSynced = false;
    if (tick.type !== "book" || tick.source !== "built") continue;
    count++;
    last = tick;
    if (!isSynced) say(`${tick.symbol}: a book is built while none is in sync: ${tick.id}, ${tick.eventTime}`);
    const shown = (tick.id === null ? undefined : byId.get(tick.id)) ?? byTime.get(tick.eventTime);
    if (!isThat(tick, shown)) say(`${tick.symbol}: the book built at ${tick.id}, ${tick.eventTime} is another`);
  }
  if (!isSynced || last === null || !isThat(last, truth.at(-1))) say(`${truth[0]!.symbol}: the last book is another`);
  return count;
}
