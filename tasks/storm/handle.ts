/**
 * What a life of the storm has open: files with their place and locks, and watchers. All of it is gone when the life is.
 *
 * **In** entries of the disk, **Out** files as `Deno` gives them, and the errors that it throws. **Knows** `disk`.
 */
import { Content, type Entry } from "./disk.ts";
import { Killed } from "./incarnation.ts";

/** A process. */
export interface Life {
  readonly who: string;
  readonly isOver: boolean;
  end(): void;
}

/** How what is done to a file is struck. */
interface Acts {
  change<T>(operation: string, path: string, act: () => T, short?: () => void): T;
  synced(path: string, entry: Entry): void;
  turn<T>(act: () => T): Promise<T>;
  choose(bound: number): number;
}

/** The disk has no room, or cannot sync. */
export function full(operation: string, path: string): Error {
  const error = operation === "sync"
    ? { code: "EIO", text: "Input/output error (os error 5)" }
    : { code: "ENOSPC", text: "No space left on device (os error 28)" };
  return Object.assign(new Error(`${error.text}: ${operation} '${path}'`), { code: error.code });
}
export function missing(operation: string, path: string): Error {
  const error = new Deno.errors.NotFound(`No such file or directory (os error 2): ${operation} '${path}'`);
  return Object.assign(error, { code: "ENOENT" });
}
export function taken(operation: string, path: string): Error {
  const error = new Deno.errors.AlreadyExists(`File exists (os error 17): ${operation} '${path}'`);
  return Object.assign(error, { code: "EEXIST" });
}
export function infoOf(entry: Entry): Deno.FileInfo {
  const isFile = entry instanceof Content;
  return { size: isFile ? entry.bytes.length : 0, isFile, isDirectory: !isFile, isSymlink: false } as Deno.FileInfo;
}

/** Advisory locks of a file, by the handle that holds them. */
const locks = new WeakMap<Entry, Set<Handle>>();

/** An open file or folder, as the program knows it. */
export class Handle {
  readonly life: Life | undefined;
  readonly #system: Acts;
  readonly #entry: Entry;
  readonly #path: string;
  readonly #appends: boolean;
  readonly #told: { readonly wrote: () => void; readonly closed: () => void };
  #at = 0;
  #isExclusive = false;
  #freed = Promise.withResolvers<void>();

  constructor(
    system: Acts,
    entry: Entry,
    path: string,
    appends: boolean,
    life: Life | undefined,
    told: { readonly wrote: () => void; readonly closed: () => void },
  ) {
    this.#system = system;
    this.#entry = entry;
    this.#path = path;
    this.#appends = appends;
    this.life = life;
    this.#told = told;
  }

  get #content(): Content {
    if (this.#entry instanceof Content) return this.#entry;
    throw new Deno.errors.IsADirectory(`Is a directory (os error 21): '${this.#path}'`);
  }

  readSync(into: Uint8Array): number | null {
    const rest = this.#content.bytes.subarray(this.#at, this.#at + into.length);
    if (rest.length === 0 && into.length > 0) return null;
    into.set(rest);
    this.#at += rest.length;
    return rest.length;
  }
  seekSync(offset: number, mode: Deno.SeekMode): number {
    const from = mode === Deno.SeekMode.Start
      ? 0
      : mode === Deno.SeekMode.Current
      ? this.#at
      : this.#content.bytes.length;
    return this.#at = from + offset;
  }
  statSync(): Deno.FileInfo {
    return infoOf(this.#entry);
  }

  writeSync(bytes: Uint8Array): number {
    const content = this.#content;
    const put = (part: Uint8Array): number => {
      if (this.#appends) this.#at = content.bytes.length;
      content.write(this.#at, part);
      this.#at += part.length;
      this.#told.wrote();
      return part.length;
    };
    return this.#system.change(
      `write ${bytes.length}`,
      this.#path,
      () => put(bytes),
      () => put(bytes.subarray(0, this.#system.choose(bytes.length))),
    );
  }
  write(bytes: Uint8Array): Promise<number> {
    return this.#system.turn(() => this.writeSync(bytes));
  }
  truncateSync(size = 0): void {
    this.#system.change("truncate", this.#path, () => this.#content.truncate(size));
  }
  truncate(size?: number): Promise<void> {
    return this.#system.turn(() => this.truncateSync(size));
  }
  syncSync(): void {
    this.#system.synced(this.#path, this.#entry);
  }
  sync(): Promise<void> {
    return this.#system.turn(() => this.syncSync());
  }
  syncDataSync(): void {
    this.syncSync();
  }
  syncData(): Promise<void> {
    return this.sync();
  }

  tryLockSync(isExclusive = false): boolean {
    let holders = locks.get(this.#entry);
    if (holders === undefined) locks.set(this.#entry, holders = new Set());
    for (const holder of holders) if (holder !== this && (isExclusive || holder.#isExclusive)) return false;
    this.#isExclusive = isExclusive;
    holders.add(this);
    return true;
  }
  tryLock(isExclusive?: boolean): Promise<boolean> {
    return this.#system.turn(() => this.tryLockSync(isExclusive));
  }
  lockSync(isExclusive?: boolean): void {
    // Everybody lives on one thread: who would have to wait here would wait for ever.
    if (!this.tryLockSync(isExclusive)) throw new Error(`Cannot lock "${this.#path}": is locked, must be free`);
  }
  async lock(isExclusive?: boolean): Promise<void> {
    await this.#system.turn(() => {});
    // Nobody may let go between the look and the wait.
    while (!this.tryLockSync(isExclusive)) {
      if (this.life?.isOver) throw new Killed(`${this.life.who} is over`);
      await Promise.race([...locks.get(this.#entry)!].map((holder) => holder.#freed.promise));
    }
  }
  unlockSync(): void {
    locks.get(this.#entry)?.delete(this);
    this.#freed.resolve();
    this.#freed = Promise.withResolvers();
  }
  close(): void {
    this.unlockSync();
    this.#told.closed();
  }
  [Symbol.dispose](): void {
    this.close();
  }
}

/** Tells a life what changes below some folders. */
export class Watcher {
  readonly life: Life | undefined;
  readonly #folders: readonly string[];
  readonly #closed: () => void;
  readonly #events: Deno.FsEvent[] = [];
  #bell = Promise.withResolvers<void>();
  #isClosed = false;

  constructor(folders: readonly string[], life: Life | undefined, closed: () => void) {
    this.#folders = folders;
    this.life = life;
    this.#closed = closed;
  }
  tell(path: string): void {
    if (!this.#folders.some((folder) => path.startsWith(`${folder}/`))) return;
    this.#events.push({ kind: "modify", paths: [path] });
    this.#bell.resolve();
  }
  close(): void {
    this.#isClosed = true;
    this.#bell.resolve();
    this.#closed();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<Deno.FsEvent> {
    while (!this.#isClosed) {
      yield* this.#events.splice(0);
      if (this.#isClosed) return;
      await this.#bell.promise;
      this.#bell = Promise.withResolvers();
    }
  }
}
