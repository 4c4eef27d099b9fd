/**
 * The named crash points: what a stage asks of its doors, of the disk and of the databases, and where between two such
 * deeds a process can be made to die. The stages know nothing of it; a victim replaces what they call.
 *
 * **In** when it is over, **Out** doors for one run of a stage. **Knows** the doors.
 */
import { Socket } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { Buffer } from "node:buffer";
import { openHot } from "../../lib/hot.ts";
import { openLake } from "../../lib/lake.ts";
import type { Openers } from "../../lib/stage.ts";
import { openTransport } from "../../lib/transport.ts";
import { type Deed, watchDisk } from "../../testdata/disk.ts";

export type Victim = "simulate" | "validate" | "sink-hot" | "sink-cold";
/** `half` leaves a write at half of its bytes. */
type Moment = "before" | "half" | "after";

export interface Point {
  readonly stage: Victim;
  readonly deed: string;
  readonly moment: Moment;
  /** Scheme of the door that it belongs to; null where every one has it. */
  readonly scheme: string | null;
  /**
   * Deaths, by their points' names, behind which alone it is come by: it belongs to the recovery from them. Empty where no
   * death leads there; null where every life does.
   */
  readonly behind: readonly string[] | null;
}

const BOTH = ["before", "after"] as const, TORN = ["before", "half", "after"] as const;

/** A file's part in the protocols, by what its path looks like; the first that fits. */
const FILES: readonly (readonly [Deed, RegExp, string])[] = [
  ["write", /\.jsonl$/, "write of a segment"],
  ["sync", /\.jsonl$/, "sync of a segment"],
  ["write", /\/lock$/, "note of a new segment"],
  ["sync", /\/ticks\.[a-z]+\/\d+$/, "sync of a partition's folder"],
  ["write", /\/checkpoint\/[^/]+\.new$/, "draft of a checkpoint"],
  ["sync", /\/checkpoint\/[^/]+\.new$/, "sync of a checkpoint"],
  ["rename", /\/checkpoint\//, "name of a checkpoint"],
  ["sync", /\/checkpoint$/, "sync of the checkpoints' folder"],
  ["write", /\/_tmp\//, "draft of a lake's file"],
  ["sync", /\/_tmp\//, "sync of a lake's file"],
  ["link", /\/_tmp\//, "name of a lake's file"],
  ["sync", /\/date=[^/]+$/, "sync of a lake's folder"],
  ["write", /\/_ledger\//, "line of the ledger"],
  ["sync", /\/_ledger\/[^/]+$/, "sync of the ledger"],
  ["truncate", /\.jsonl$/, "cut of a segment"],
  ["truncate", /\/_ledger\//, "cut of the ledger"],
  ["remove", /\/date=[^/]+\/[^/]+$/, "removal of what was not committed"],
];

const of = (stage: Victim, scheme: string | null, moments: readonly Moment[], ...deeds: string[]): Point[] =>
  deeds.flatMap((deed) => moments.map((moment) => ({ stage, deed, moment, scheme, behind: null })));
/** The points of a recovery from a death at `moments` of other deeds. */
const after = (points: readonly Point[], moments: readonly Moment[], ...deeds: string[]): Point[] =>
  points.map((point) => ({
    ...point,
    behind: deeds.flatMap((deed) => moments.map((moment) => nameOf({ ...point, deed, moment }))),
  }));

const APPENDS = (stage: Victim): Point[] => [
  ...of(stage, "log", TORN, "write of a segment"),
  ...of(stage, "log", BOTH, "sync of a segment", "note of a new segment", "sync of a partition's folder"),
  ...after(of(stage, "log", BOTH, "cut of a segment"), ["half"], "write of a segment"),
];
const SAVES = (stage: Victim): Point[] => [
  ...of(stage, null, BOTH, "claim of a partition", "save of a checkpoint"),
  ...of(stage, "log", TORN, "draft of a checkpoint"),
  ...of(stage, "log", BOTH, "sync of a checkpoint", "name of a checkpoint", "sync of the checkpoints' folder"),
];

/** Every named crash point. */
export const POINTS: readonly Point[] = [
  ...of("simulate", null, BOTH, "append to ticks.raw"),
  ...APPENDS("simulate"),
  ...SAVES("simulate"),
  ...of("validate", null, BOTH, "append to ticks.valid", "append to ticks.rejected"),
  ...APPENDS("validate"),
  ...SAVES("validate"),
  ...of("sink-hot", null, BOTH, "acquire of a place", "apply of a batch"),
  ...of("sink-hot", "sqlite", BOTH, "begin in SQLite", "commit in SQLite"),
  ...of("sink-hot", "postgres", BOTH, "begin in Postgres", "copy into Postgres", "commit in Postgres"),
  ...of("sink-cold", null, BOTH, "acquire of a place", "publish of a unit", "intent of a unit", "release of a place"),
  ...of("sink-cold", "file", TORN, "draft of a lake's file", "line of the ledger"),
  ...of("sink-cold", "file", BOTH, "sync of a lake's file", "name of a lake's file", "sync of a lake's folder"),
  ...of("sink-cold", "file", BOTH, "sync of the ledger"),
  ...after(of("sink-cold", "file", BOTH, "cut of the ledger"), ["half"], "line of the ledger"),
  ...after(
    of("sink-cold", "file", BOTH, "removal of what was not committed"),
    BOTH,
    ...["sync of a lake's folder", "sync of the ledger"],
  ),
  ...after(of("sink-hot", null, BOTH, "giving up of lost records"), []),
  ...after(of("sink-cold", null, BOTH, "giving up of lost records"), []),
];

/** The point as it is printed, and named on a victim's command line. */
export function nameOf({ stage, deed, moment }: Pick<Point, "stage" | "deed" | "moment">): string {
  return `${stage}: ${moment} ${deed}`;
}

/** The points that a storm can reach where the doors are of these schemes. */
export function reachable(schemes: readonly string[]): readonly Point[] {
  return POINTS.filter(({ scheme, behind }) =>
    (scheme === null || schemes.includes(scheme)) && (behind === null || behind.length > 0)
  );
}

/** What stands at every deed of a stage: doors for its run, until it is disposed of. */
export interface Guardpost extends Disposable {
  readonly openers: Openers;
}

/** Calls `die` at the deed and moment that `isDue` says; with `half`, after half of the deed's bytes were written. */
export function stand(isDue: (deed: string, moment: Moment) => boolean, die: () => void): Guardpost {
  let isTorn = false;
  const at: At = (deed, moment) => {
    if (isDue(deed, moment)) die();
  };
  using stack = new DisposableStack();
  stack.use(watchDisk({
    before: (deed, paths) => {
      const part = partOf(deed, paths);
      if (part === null) return;
      at(part, "before");
      isTorn = deed === "write" && isDue(part, "half");
      return isTorn ? "half" : undefined;
    },
    after: (deed, paths) => {
      const part = partOf(deed, paths);
      if (isTorn) die();
      if (part !== null) at(part, "after");
    },
  }));
  stack.defer(watchSqlite(at));
  stack.defer(watchPostgres(at));
  const openers: Openers = {
    transport: async (url, world) =>
      watched(await openTransport(url, world), {
        append: (topic) => `append to ${topic}`,
        claim: () => "claim of a partition",
        save: () => "save of a checkpoint",
      }, at),
    hot: async (url, world) =>
      watched(
        await openHot(url, world),
        {
          acquire: () => "acquire of a place",
          apply: () => "apply of a batch",
          skip: () => "giving up of lost records",
        },
        at,
      ),
    lake: async (url, world) =>
      watched(await openLake(url, world), {
        acquire: () => "acquire of a place",
        intend: () => "intent of a unit",
        publish: () => "publish of a unit",
        release: () => "release of a place",
        skip: () => "giving up of lost records",
      }, at),
  };
  const kept = stack.move();
  return { openers, [Symbol.dispose]: () => kept.dispose() };
}

type At = (deed: string, moment: Moment) => void;

function partOf(deed: Deed, paths: readonly string[]): string | null {
  return FILES.find(([of, path]) => of === deed && path.test(paths[0]!))?.[2] ?? null;
}

/** The door, with `at` told before and after the methods that are named. */
function watched<Door extends object>(
  door: Door,
  deeds: Readonly<Record<string, (...given: unknown[]) => string>>,
  at: At,
): Door {
  return new Proxy(door, {
    get: (target, name) => {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      const deedOf = Object.hasOwn(deeds, name) ? deeds[String(name)] : undefined;
      if (deedOf === undefined) return member.bind(target);
      return async (...given: unknown[]) => {
        const deed = deedOf(...given);
        at(deed, "before");
        const result: unknown = await member.apply(target, given);
        at(deed, "after");
        return result;
      };
    },
  });
}

function watchSqlite(at: At): () => void {
  const { exec } = DatabaseSync.prototype;
  DatabaseSync.prototype.exec = function (sql: string): void {
    const deed = sql === "begin immediate" ? "begin in SQLite" : sql === "commit" ? "commit in SQLite" : null;
    if (deed !== null) at(deed, "before");
    exec.call(this, sql);
    if (deed !== null) at(deed, "after");
  };
  return () => DatabaseSync.prototype.exec = exec;
}

/** What goes out to a Postgres server, by the words in it; `after` is when it has been sent and not answered. */
function watchPostgres(at: At): () => void {
  const { write } = Socket.prototype;
  const deeds = [["begin\0", "begin in Postgres"], ["copy ", "copy into Postgres"], ["commit\0", "commit in Postgres"]];
  Socket.prototype.write = function (this: Socket, ...given: unknown[]): boolean {
    const [bytes] = given;
    const found = Buffer.isBuffer(bytes) ? deeds.filter(([word]) => bytes.includes(word!)) : [];
    for (const [, deed] of found) at(deed!, "before");
    const isTaken = (write as (...given: unknown[]) => boolean).apply(this, given);
    for (const [, deed] of found) at(deed!, "after");
    return isTaken;
  };
  return () => Socket.prototype.write = write;
}
