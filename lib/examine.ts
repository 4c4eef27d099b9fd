/**
 * Asks the log, the hot store and the lake how they are, and writes down what they say. A door that stays shut is a fact
 * among others. Looking makes, mends and writes nothing: what is not there yet is a fact too. What the facts mean is said
 * in `health`.
 *
 * **In** the doors' URLs, **Out** facts. **Knows** the doors, `fence`, `tick`, `failure`, `world`.
 */
import { statfsSync } from "node:fs";
import { Misuse, reasonOf } from "./failure.ts";
import { type Holding, rejectedOf, validOf } from "./fence.ts";
import { openHot } from "./hot.ts";
import { openLake } from "./lake.ts";
import { openTransport, type Range, TOPICS, type Transport } from "./transport.ts";
import type { World } from "./world.ts";

export type StageName = "validate" | "sink-hot" | "sink-cold";
/** The stages that keep a place, in the order of the flow, and the topics that they keep it in. */
export const STAGES: readonly { readonly stage: StageName; readonly topics: readonly string[] }[] = [
  { stage: "validate", topics: [TOPICS.raw] },
  { stage: "sink-hot", topics: [TOPICS.valid, TOPICS.rejected] },
  { stage: "sink-cold", topics: [TOPICS.valid] },
];

/** Permissions of a file or folder. */
export interface Guard {
  /** The bits of user, group and others. */
  readonly mode: number;
  readonly owner: number;
  /** Who looks; 0 may do everything. */
  readonly user: number;
}

/** How far another clock is ahead of ours, and how exactly that is known. */
export interface Skew {
  readonly ms: number;
  readonly withinMs: number;
}

/** How a door answered. */
export interface DoorFact {
  readonly door: "log" | "hot" | "lake";
  /** Its URL without user, password and settings. */
  readonly place: string;
  /** False for files that nobody has written yet. */
  readonly isThere: boolean;
  /** What lies there says of its format; null where it says nothing, or is not there. */
  readonly version: string | null;
  /** Who may read and write what is embedded, as the system keeps it; null for a server, and where nothing is yet. */
  readonly guard: Guard | null;
  /** How long it took to open, and to answer the first question; ms. */
  readonly openMs: number;
  readonly answerMs: number;
  /** The line that says why it stays shut; null when it does not. */
  readonly failure: string | null;
}

/** How far a stage has come in a partition. */
export interface Position {
  readonly topic: string;
  readonly partition: number;
  /** Null before the first checkpoint. */
  readonly epoch: number | null;
  /** When the epoch was taken, ms since the epoch; null where it is not kept. */
  readonly since: number | null;
  /** Identity of the log that the offsets belong to; null where it is not kept. */
  readonly identity: string | null;
  /** The first offset that is not done yet. */
  readonly next: number;
  /** The offset that its next owner resumes at, which a checkpoint keeps behind `next`. */
  readonly resume: number;
  /** Whether a process that lives has it; null where that cannot be told. */
  readonly isOwned: boolean | null;
  /** That process; null where it is not known. */
  readonly pid: number | null;
  /** When it last moved, ms since the epoch; null where that is not kept. */
  readonly committed: number | null;
}

/** What a topic holds, and whose offsets these are. */
export interface TopicFact {
  readonly identity: string;
  readonly ranges: readonly Range[];
}

/** Positions, and after them what the topics hold: no position may lie beyond. Null where a door did not answer. */
export interface Look {
  readonly positions: Readonly<Record<StageName, readonly Position[] | null>>;
  readonly topics: Readonly<Record<string, TopicFact | null>> | null;
}

/** What a disk has left, bytes. */
export interface Room {
  readonly folders: readonly string[];
  readonly free: number;
  readonly total: number;
}

/** Everything that was found. */
export interface Facts {
  readonly versions: Readonly<Record<string, string>>;
  readonly doors: readonly DoorFact[];
  /** Two looks with time between them where something was behind; otherwise one, twice. */
  readonly looks: readonly [Look, Look];
  readonly rooms: readonly Room[];
  /** Of the doors that have a clock of their own and tell it. */
  readonly skews: Readonly<Partial<Record<DoorFact["door"], Skew>>>;
}

/** Control records at the end of a partition that are looked over: no verdict speaks of them. */
const CONTROLS_MAX = 64;

/** Asks each door; `watch` waits between two looks where something is behind. */
export async function examine(
  urls: { readonly transport: string; readonly hot: string; readonly lake: string },
  world: World,
  watch: () => Promise<void>,
): Promise<Omit<Facts, "versions">> {
  // What does not answer now is a fact: nothing is tried again.
  const once: World = { ...world, retryForMs: 0, isLooking: true };
  const [log, hot, lake] = await Promise.all([
    Visit.to("log", urls.transport, once, openTransport, (door) => topicOf(door, TOPICS.raw)),
    Visit.to("hot", urls.hot, once, openHot, (door) => door.holdings()),
    Visit.to("lake", urls.lake, once, openLake, (door) => door.holdings()),
  ]);
  try {
    const look = async (): Promise<Look> => {
      const [validate, sinkHot, sinkCold] = await Promise.all([
        log.ask([], judgedOf),
        hot.ask([], async (store) => (await store.holdings()).map((held) => positionOf(held, null))),
        lake.ask(
          [],
          async (store) =>
            await Promise.all(
              (await store.holdings()).map(async (held) => {
                const committed = await store.writtenAt?.(held) ?? null;
                return { ...positionOf(held, await store.isOwned(held)), committed };
              }),
            ),
        ),
      ]);
      const applying = sinkHot && (await log.ask(sinkHot, (door) => ownedOf(door, "sink-hot", sinkHot)) ?? sinkHot);
      const none = Object.fromEntries(Object.values(TOPICS).map((topic) => [topic, null]));
      const topics = await log.ask(none, topicsOf);
      return { positions: { validate, "sink-hot": applying, "sink-cold": sinkCold }, topics };
    };
    const before = await look();
    const skewTo = async (store: { clock?(): Promise<number | null> }): Promise<Skew | null> =>
      store.clock === undefined ? null : await skewOf(() => store.clock!(), world);
    const [ofLog, ofHot] = [await log.ask(null, skewTo), await hot.ask(null, skewTo)];
    const skews = { ...(ofLog && { log: ofLog }), ...(ofHot && { hot: ofHot }) };
    let after = before;
    if (isBehind(before)) {
      await watch();
      after = await look();
    }
    const doors = [log.fact, hot.fact, lake.fact];
    return { doors, looks: [before, after], rooms: roomsOf([urls.transport, urls.hot, urls.lake]), skews };
  } finally {
    await Promise.all([log.leave(), hot.leave(), lake.leave()]);
  }
}

interface Visited {
  readonly version?: string | number;
  close(): Promise<void>;
}

/** A door that was tried, and stays usable as long as it answers. */
class Visit<Door extends Visited> {
  #fact: DoorFact;
  #door: Door | null = null;

  private constructor(door: DoorFact["door"], url: string, isThere: boolean) {
    const guard = isThere ? guardOf(url) : null;
    this.#fact = { door, place: placeOf(url), isThere, version: null, guard, openMs: 0, answerMs: 0, failure: null };
  }

  static async to<Door extends Visited>(
    name: DoorFact["door"],
    url: string,
    world: World,
    open: (url: string, world: World) => Promise<Door>,
    greet: (door: Door) => Promise<unknown>,
  ): Promise<Visit<Door>> {
    const visit = new Visit<Door>(name, url, await isThere(url));
    if (!visit.#fact.isThere) return visit;
    const from = world.now();
    try {
      const door = await open(url, world);
      const opened = world.now();
      const openMs = opened - from;
      if (door.version === 0) {
        // A server without our schema: as a file that nobody has written.
        await door.close();
        visit.#fact = { ...visit.#fact, isThere: false, openMs };
        return visit;
      }
      visit.#door = door;
      await greet(door);
      const version = typeof door.version === "number" ? `schema ${door.version}` : door.version ?? null;
      visit.#fact = { ...visit.#fact, version, openMs, answerMs: world.now() - opened };
    } catch (error) {
      visit.#fact = { ...visit.#fact, failure: reasonOf(error) };
    }
    return visit;
  }

  get fact(): DoorFact {
    return this.#fact;
  }

  /** The answer; `nothing` of what is not there yet, null of what does not answer. */
  async ask<T>(nothing: T, question: (door: Door) => Promise<T> | T): Promise<T | null> {
    if (this.#fact.failure !== null) return null;
    if (this.#door === null) return nothing;
    try {
      return await question(this.#door);
    } catch (error) {
      this.#fact = { ...this.#fact, failure: reasonOf(error) };
      return null;
    }
  }

  async leave(): Promise<void> {
    // A door that would not answer may not close either, and its failure is told already.
    await this.#door?.close().catch(() => {});
  }
}

/** A URL for people: of a server no user, password or settings, only what tells tapes apart. */
function placeOf(url: string): string {
  const scheme = url.slice(0, url.indexOf(":"));
  if (/^(log|sqlite|file|memory)$/.test(scheme)) return url.split("?", 1)[0]!;
  const [rest = "", query] = url.slice(Math.max(url.lastIndexOf("@") + 1, scheme.length + 1)).split("?", 2);
  const own = /(?:^|&)((?:prefix|schema)=[\w.-]+)/.exec(query ?? "")?.[1];
  return `${scheme}://${rest.replace(/^\/\//, "")}${own === undefined ? "" : `?${own}`}`;
}

/** Path of what is embedded; null for a server. */
function pathOf(url: string): string | null {
  return /^(?:log|sqlite|file):(?:\/\/(?=\/))?([^?]+)/.exec(url)?.[1] ?? null;
}

/** Whether anybody has written what is embedded there; a server is asked when it is opened. */
export async function isThere(url: string): Promise<boolean> {
  const path = pathOf(url);
  if (path === null) return true;
  try {
    // A folder alone is no log yet.
    await Deno.stat(url.startsWith("log:") ? `${path}/log.json` : path);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
}

/** Null for a server, for what may not be looked at, and where the system keeps no such thing. */
function guardOf(url: string): Guard | null {
  const path = pathOf(url);
  if (path === null) return null;
  try {
    const { mode, uid } = Deno.statSync(path);
    const user = Deno.uid();
    return mode === null || uid === null || user === null ? null : { mode: mode & 0o777, owner: uid, user };
  } catch {
    // What may not be looked at is told by its door.
    return null;
  }
}

function positionOf(held: Holding, isOwned: boolean | null): Position {
  const { topic, partition, epoch, since, identity, next, committed = null } = held;
  return { topic, partition, epoch, since, identity, next, resume: next, isOwned, pid: null, committed };
}

/** The positions, with who reads the partitions for the group, where the log can tell. */
async function ownedOf(log: Transport, group: string, positions: readonly Position[]): Promise<readonly Position[]> {
  return await Promise.all(positions.map(async (position) => {
    if (log.reader === undefined) return position;
    const reader = await log.reader(group, position.topic, position.partition);
    return { ...position, isOwned: reader !== null, pid: reader?.pid ?? null };
  }));
}

async function topicOf(log: Transport, topic: string): Promise<TopicFact | null> {
  try {
    return { ranges: await log.ranges(topic), identity: (await log.topic(topic)).identity };
  } catch (error) {
    // An open log misses nothing but the topic.
    if (error instanceof Misuse) return null;
    throw error;
  }
}

async function topicsOf(log: Transport): Promise<Record<string, TopicFact | null>> {
  const names = Object.values(TOPICS);
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await topicOf(log, name)])));
}

/** How far `validate` has come: by its checkpoint, or beyond it by the verdicts that it has written since. */
async function judgedOf(log: Transport): Promise<readonly Position[]> {
  const topics = await topicsOf(log);
  const positions = await Promise.all((topics[TOPICS.raw]?.ranges ?? []).map(async (raw, partition) => {
    const checkpoint = await log.load("validate", partition);
    const resume = checkpoint?.nextOffset ?? 0;
    let next = resume;
    for (const [topic, messageOf] of [[TOPICS.valid, validOf], [TOPICS.rejected, rejectedOf]] as const) {
      const { low, high } = topics[topic]?.ranges[partition] ?? { low: 0, high: 0 };
      for await (const records of low < high ? log.read(topic, partition, high - 1, high) : []) {
        const { origin } = messageOf(records.at(-1)!, { topic, partition });
        next = Math.max(next, origin + 1);
      }
    }
    const judged = next;
    if (next >= raw.low && next < raw.high) next = await beyondControls(log, partition, next, raw.high);
    // Control records alone need no judge yet.
    const holder = await log.holder?.("validate", partition) ?? null;
    const begun = holder !== null || checkpoint !== null || judged > 0 || (next > 0 && next === raw.high);
    const epoch = holder?.epoch ?? checkpoint?.epoch ?? null;
    const place = { topic: TOPICS.raw, partition, epoch, since: holder?.since || null, identity: null };
    const committed = await log.savedAt?.("validate", partition) ?? null;
    return begun ? [{ ...place, next, resume, isOwned: null, pid: null, committed }] : [];
  }));
  return await ownedOf(log, "validate", positions.flat());
}

async function beyondControls(log: Transport, partition: number, from: number, high: number): Promise<number> {
  let next = from;
  for await (const records of log.read(TOPICS.raw, partition, from, Math.min(high, from + CONTROLS_MAX))) {
    for (const { control, offset } of records) {
      if (control !== true) return next;
      next = offset + 1;
    }
  }
  return next;
}

/** Whether anything waits, or is not even taken. */
function isBehind({ positions, topics }: Look): boolean {
  return STAGES.some(({ stage, topics: names }) =>
    names.some((topic) =>
      (topics?.[topic]?.ranges ?? []).some(({ high }, partition) =>
        high > (positions[stage]?.find((p) => p.topic === topic && p.partition === partition)?.next ?? 0)
      )
    )
  );
}

async function skewOf(clock: () => Promise<number | null>, { now }: World): Promise<Skew | null> {
  const from = now();
  const theirs = await clock();
  const to = now();
  if (theirs === null) return null;
  return { ms: Math.round(theirs - (from + to) / 2), withinMs: Math.ceil((to - from) / 2) + 1 };
}

/** What the disks below the embedded doors have left; folders of one disk are told together. */
function roomsOf(urls: readonly string[]): readonly Room[] {
  const rooms = new Map<number, Room>();
  for (const url of urls) {
    const path = pathOf(url);
    if (path === null) continue;
    try {
      const { bavail, blocks, bsize } = statfsSync(path);
      const { dev } = Deno.statSync(path);
      const folders = [...new Set([...rooms.get(dev)?.folders ?? [], path])];
      rooms.set(dev, { folders, free: bavail * bsize, total: blocks * bsize });
    } catch {
      // What is not there yet takes no room; what may not be looked at is told by its door.
    }
  }
  return [...rooms.values()];
}
