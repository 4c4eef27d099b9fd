/**
 * What the program asks of the system, answered by a disk in memory: files, folders, locks, watchers, Deno KV, timers and
 * the clock. Each operation that changes the disk is struck as a plan says. A process is a life: when it is over its locks
 * are free, its timers never fire, and whatever it asks for is refused.
 *
 * Everything happens in the order of the program's own turns, so that the same plan gives the same run. Kv is native and
 * cannot lie on this disk; a power cut takes some of its last commits instead.
 * **In** a plan, **Out** `Deno` and timers as the program knows them, for paths below {@linkcode ROOT} and for lives only.
 * **Knows** `disk`, `handle`, `plan`.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";
import { Content, cutPower, type Entry, Folder } from "./disk.ts";
import { full, Handle, infoOf, type Life, missing, taken, Watcher } from "./handle.ts";
import { Killed } from "./incarnation.ts";
import type { Fate } from "./plan.ts";

/** Where the disk is; nothing lies there on the real one. */
export const ROOT = "/disk-of-the-storm";
/** A commit of the Kv that a power cut may take: so many of the last ones at most. */
const COMMITS_LOST_MAX = 4;

/** What a system needs of its plan. */
export interface Weather {
  strike(who: string, operation: string): Fate;
  choose(bound: number): number;
  turns(): number;
}

interface Timer {
  at: number;
  readonly every: number | null;
  readonly life: Life;
  readonly act: () => unknown;
}

interface Kv {
  /** In the order of their commits: key and value. */
  readonly commits: (readonly [string, unknown])[];
}

export class System {
  readonly #plan: Weather;
  readonly #deaf: RegExp | null;
  readonly #root = new Folder();
  readonly #current = new AsyncLocalStorage<Life>();
  readonly #lives = new Set<Life>();
  readonly #handles = new Set<Handle>();
  readonly #watchers = new Set<Watcher>();
  readonly #kvs = new Map<string, Kv>();
  readonly #timers = new Map<number, Timer>();
  readonly #undo: (() => void)[] = [];
  #clock = 0;
  #serial = 0;

  /** A sync of a path that `deaf` matches does nothing and says that it did: as if the program had left it out. */
  constructor(plan: Weather, deaf: RegExp | null = null) {
    this.#plan = plan;
    this.#deaf = deaf;
    this.#root.change([ROOT.slice(1), new Folder()]);
    this.#root.sync();
  }

  /** Runs a life, all of whose operations are its own from now on. */
  live<T>(life: Life, act: () => Promise<T>): Promise<T> {
    this.#lives.add(life);
    return this.#current.run(life, act);
  }

  /** Takes from a life that is over what a system takes from a process that has ended. */
  bury(life: Life): void {
    this.#lives.delete(life);
    for (const [id, timer] of this.#timers) if (timer.life === life) this.#timers.delete(id);
    for (const watcher of this.#watchers) if (watcher.life === life) watcher.close();
    for (const handle of this.#handles) if (handle.life === life) handle.close();
  }

  /** Ends every life, and leaves of the disk what a power cut may leave. */
  cutPower(): void {
    for (const life of this.#lives) life.end();
    cutPower(this.#root, (bound) => this.#plan.choose(bound));
    for (const { commits } of this.#kvs.values()) {
      commits.length -= this.#plan.choose(1 + Math.min(COMMITS_LOST_MAX, commits.length));
    }
  }

  /** Whoever builds on what lies in a folder makes it durable first; so does a storm that goes by it. */
  sync(path: string): void {
    const folder = this.#find(path);
    if (folder instanceof Folder) folder.sync();
  }

  /** Lets time pass while nothing else happens, until `done`. Gives false when it never comes. */
  async pass(done: Promise<unknown>, turnsMax: number): Promise<boolean> {
    let isDone = false;
    done.then(() => isDone = true, () => isDone = true);
    for (let turn = 0; turn < turnsMax; turn++) {
      // A turn of the real event loop: by then the program has nothing left to do but wait.
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (isDone) return true;
      const next = Math.min(...Array.from(this.#timers.values(), ({ at }) => at));
      if (next === Infinity) return false;
      this.#clock = Math.max(this.#clock, next);
      this.#ring();
    }
    return false;
  }

  #ring(): void {
    for (const [id, timer] of [...this.#timers]) {
      if (timer.at > this.#clock || !this.#timers.has(id)) continue;
      if (timer.every === null) this.#timers.delete(id);
      else timer.at = this.#clock + timer.every;
      // What a timer throws nobody catches: it ends the process.
      const crash = (): void => timer.life.end();
      this.#current.run(timer.life, async () => await timer.act()).catch(crash);
    }
  }

  #assertAlive(): Life | undefined {
    const life = this.#current.getStore();
    if (life?.isOver) throw new Killed(`${life.who} is over`);
    return life;
  }

  /** An operation that changes the disk. `short` does a part of it, for one that fails halfway. */
  change<T>(operation: string, path: string, act: () => T, short: () => void = () => {}): T {
    const life = this.#assertAlive();
    if (life === undefined) return act();
    const fate = this.#plan.strike(life.who, `${operation} ${path.slice(ROOT.length + 1)}`);
    this.#clock++;
    queueMicrotask(() => this.#ring());
    const strike = (blow: string): void => {
      if (fate === `kill ${blow}`) life.end();
      if (fate === `power cut ${blow}`) this.cutPower();
      this.#assertAlive();
    };
    strike("before");
    if (fate === "fail before") throw full(operation, path);
    if (fate === "fail after") {
      short();
      throw full(operation, path);
    }
    const result = act();
    strike("after");
    return result;
  }
  choose(bound: number): number {
    return this.#plan.choose(bound);
  }
  synced(path: string, entry: Entry): void {
    this.change("sync", path, () => {
      if (this.#deaf?.test(path.slice(ROOT.length + 1)) !== true) entry.sync();
    });
  }

  #find(path: string): Entry | undefined {
    let entry: Entry | undefined = this.#root;
    for (const part of path.split("/")) {
      if (part === "" || part === ".") continue;
      if (!(entry instanceof Folder)) return undefined;
      entry = entry.names.get(part);
    }
    return entry;
  }
  #there(operation: string, path: string): Entry {
    this.#assertAlive();
    const entry = this.#find(path);
    if (entry === undefined) throw missing(operation, path);
    return entry;
  }
  #folderAbove(operation: string, path: string): readonly [Folder, string] {
    const above = this.#there(operation, path.slice(0, path.lastIndexOf("/")));
    if (above instanceof Folder) return [above, path.slice(path.lastIndexOf("/") + 1)];
    throw missing(operation, path);
  }
  #notify(path: string): void {
    for (const watcher of this.#watchers) watcher.tell(path);
  }

  #open(path: string, options: Deno.OpenOptions = { read: true }): Handle {
    this.#assertAlive();
    let entry = this.#find(path);
    if (entry !== undefined && options.createNew) throw taken("open", path);
    if (entry === undefined && (options.create || options.createNew)) {
      const [above, name] = this.#folderAbove("open", path);
      const made = entry = new Content();
      this.change("create", path, () => above.change([name, made]));
    }
    if (entry === undefined) throw missing("open", path);
    if (options.truncate && entry instanceof Content) {
      const content = entry;
      this.change("truncate", path, () => content.truncate(0));
    }
    const handle = new Handle(this, entry, path, options.append ?? false, this.#current.getStore(), {
      wrote: () => this.#notify(path),
      closed: () => void this.#handles.delete(handle),
    });
    this.#handles.add(handle);
    return handle;
  }

  #mkdir(path: string, options: Deno.MkdirOptions = {}): void {
    this.#assertAlive();
    if (options.recursive) {
      for (let at = path.indexOf("/", ROOT.length + 1);; at = path.indexOf("/", at + 1)) {
        const part = at < 0 ? path : path.slice(0, at);
        if (this.#find(part) === undefined) this.#mkdir(part);
        if (at < 0) return;
      }
    }
    const [above, name] = this.#folderAbove("mkdir", path);
    if (above.names.has(name)) throw taken("mkdir", path);
    this.change("mkdir", path, () => above.change([name, new Folder()]));
  }

  #link(from: string, to: string): void {
    const entry = this.#there("link", from);
    const [above, name] = this.#folderAbove("link", to);
    if (above.names.has(name)) throw taken("link", to);
    this.change("link", to, () => above.change([name, entry]));
  }

  #rename(from: string, to: string): void {
    const entry = this.#there("rename", from);
    const [above, name] = this.#folderAbove("rename", from);
    const [into, wanted] = this.#folderAbove("rename", to);
    if (above !== into) throw new Error(`Cannot rename "${from}": leaves its folder, must stay in it`);
    this.change("rename", to, () => above.change([wanted, entry], [name, null]));
  }

  #remove(path: string): void {
    this.#there("remove", path);
    const [above, name] = this.#folderAbove("remove", path);
    this.change("remove", path, () => above.change([name, null]));
  }

  #stat(path: string): Deno.FileInfo {
    return infoOf(this.#there("stat", path));
  }

  #list(path: string): Deno.DirEntry[] {
    const entry = this.#there("readdir", path);
    if (!(entry instanceof Folder)) throw missing("readdir", path);
    return [...entry.names].map(([name, below]) => ({
      name,
      isFile: below instanceof Content,
      isDirectory: below instanceof Folder,
      isSymlink: false,
    }));
  }

  #read(path: string): Uint8Array<ArrayBuffer> {
    const entry = this.#there("open", path);
    if (entry instanceof Content) return entry.bytes.slice();
    throw Object.assign(new Deno.errors.IsADirectory(`Is a directory (os error 21): open '${path}'`), {
      code: "EISDIR",
    });
  }

  /** Takes its turn, as whatever the program waits for does. */
  async turn<T>(act: () => T): Promise<T> {
    for (let turn = this.#plan.turns(); turn > 0; turn--) await null;
    return act();
  }

  #kv(path: string): Deno.Kv {
    this.#assertAlive();
    let kv = this.#kvs.get(path);
    if (kv === undefined) this.#kvs.set(path, kv = { commits: [] });
    const { commits } = kv;
    const found = {
      get: (key: Deno.KvKey) =>
        this.turn(() => {
          this.#assertAlive();
          return { value: commits.findLast(([name]) => name === JSON.stringify(key))?.[1] ?? null };
        }),
      set: (key: Deno.KvKey, value: unknown) =>
        this.turn(() => this.change("commit", path, () => void commits.push([JSON.stringify(key), value]))),
      close: () => {},
    };
    return found as unknown as Deno.Kv;
  }

  #wait(act: () => unknown, ms: number, every: number | null, life: Life): number {
    const id = 2 ** 40 + ++this.#serial;
    this.#timers.set(id, { at: this.#clock + ms, every, life, act });
    return id;
  }

  /** Puts this system in the place of the real one; the disposal puts it back. */
  install(): Disposable {
    const mine = (path: unknown): boolean => String(path).startsWith(ROOT);
    const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
    /** For paths of this disk, another function, which gives at once or in its turn. */
    const put = (name: keyof typeof Deno, act: (...given: never[]) => unknown, how: "now" | "turn"): void =>
      this.#replace(Deno, name, (original) => (...given: unknown[]) => {
        const paths = (Array.isArray(given[0]) ? given[0] : given.slice(0, 1)).map(String);
        if (!paths.some(mine)) return (original as (...given: unknown[]) => unknown)(...given);
        const run = (): unknown => act(...given as never[]);
        return how === "now" ? run() : this.turn(run);
      });
    const both = (name: keyof typeof Deno, act: (...given: never[]) => unknown): void => {
      put(name, act, "turn");
      put(`${name}Sync` as keyof typeof Deno, act, "now");
    };
    both("open", (path: string, options?: Deno.OpenOptions) => this.#open(path, options));
    both("mkdir", (path: string, options?: Deno.MkdirOptions) => this.#mkdir(path, options));
    both("link", (from: string, to: string) => this.#link(from, to));
    both("rename", (from: string, to: string) => this.#rename(from, to));
    both("remove", (path: string) => this.#remove(path));
    both("stat", (path: string) => this.#stat(path));
    both("lstat", (path: string) => this.#stat(path));
    both("readFile", (path: string) => this.#read(path));
    both("readTextFile", (path: string) => text(this.#read(path)));
    put("readDirSync", (path: string) => this.#list(path), "now");
    put("readDir", (path: string) => this.#listing(path), "now");
    put("openKv", (path: string) => this.#kv(path), "turn");
    put("watchFs", (paths: readonly string[]) => {
      const watcher = new Watcher(paths, this.#assertAlive(), () => void this.#watchers.delete(watcher));
      this.#watchers.add(watcher);
      return watcher;
    }, "now");
    put("writeTextFileSync", (path: string, words: string) => {
      const handle = this.#open(path, { create: true, write: true, truncate: true });
      handle.writeSync(new TextEncoder().encode(words));
      handle.close();
    }, "now");
    const timers = [["setTimeout", false], ["setInterval", true]] as const;
    for (const [name, again] of timers) {
      this.#replace(globalThis, name, (original) => (act: () => unknown, ms = 0) => {
        const life = this.#current.getStore();
        if (life === undefined) return (original as (act: () => unknown, ms: number) => unknown)(act, ms);
        return this.#wait(act, ms, again ? ms : null, life);
      });
    }
    for (const name of ["clearTimeout", "clearInterval"] as const) {
      this.#replace(globalThis, name, (original) => (id: unknown) => {
        if (!this.#timers.delete(id as number)) (original as (id: unknown) => void)(id);
      });
    }
    this.#replace(
      performance,
      "now",
      (original) => () =>
        this.#current.getStore() === undefined ? (original as () => number).call(performance) : this.#clock,
    );
    this.#replace(
      crypto,
      "randomUUID",
      () => () => `00000000-0000-4000-8000-${String(++this.#serial).padStart(12, "0")}`,
    );
    return {
      [Symbol.dispose]: () => {
        for (const undo of this.#undo.reverse()) undo();
      },
    };
  }

  async *#listing(path: string): AsyncGenerator<Deno.DirEntry> {
    yield* await this.turn(() => this.#list(path));
  }

  #replace<T extends object, K extends keyof T>(owner: T, name: K, make: (original: T[K]) => unknown): void {
    const kept = Object.getOwnPropertyDescriptor(owner, name);
    Object.defineProperty(owner, name, { value: make(owner[name]), configurable: true, writable: true });
    this.#undo.push(() => {
      if (kept === undefined) delete owner[name];
      else Object.defineProperty(owner, name, kept);
    });
  }
}
