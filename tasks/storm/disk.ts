/**
 * A disk in memory that keeps apart what is there and what would survive a power cut: of each file the bytes that were
 * synced and the changes since, of each folder the names. A cut leaves a state that a disk may legally be left in: what was
 * synced, and of the rest any part of it, sector by sector, name by name.
 *
 * **In** changes and syncs, **Out** what is there; after a cut, what is left. **Knows** nothing.
 */

/** Bytes that a disk writes whole. */
const SECTOR = 512;

/** Chooses an integer from 0 to `bound` - 1. */
export type Choose = (bound: number) => number;

/** A change of a file that may be lost. */
type Change =
  | { readonly kind: "write"; readonly at: number; readonly bytes: Uint8Array }
  | { readonly kind: "size"; readonly size: number };

/** What becomes of changes that were not synced. */
type Luck = "lost" | "kept" | "some" | "first ones";
const LUCKS: readonly Luck[] = ["lost", "kept", "some", "first ones"];

/** For each of `count` changes whether it survives. */
function survivors(count: number, luck: Luck, choose: Choose): boolean[] {
  const first = choose(count + 1);
  return Array.from({ length: count }, (_, i) => {
    if (luck === "some") return choose(2) === 1;
    return luck === "kept" || (luck === "first ones" && i < first);
  });
}

/** A file's bytes, and what of them is durable. */
export class Content {
  bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #durable: Uint8Array<ArrayBuffer> = this.bytes;
  #changes: Change[] = [];

  write(at: number, bytes: Uint8Array): void {
    const change: Change = { kind: "write", at, bytes: bytes.slice() };
    this.#changes.push(change);
    this.bytes = changed(this.bytes, change);
  }
  truncate(size: number): void {
    const change: Change = { kind: "size", size };
    this.#changes.push(change);
    this.bytes = changed(this.bytes, change);
  }
  sync(): void {
    this.#durable = this.bytes;
    this.#changes = [];
  }
  cut(luck: Luck, choose: Choose): void {
    const kept = survivors(this.#changes.length, luck, choose);
    let left = this.#durable;
    this.#changes.forEach((change, i) => {
      if (change.kind === "size") left = kept[i] ? changed(left, change) : left;
      else if (kept[i]) { for (const part of sectorsOf(change, luck, choose)) left = changed(left, part); }
      // The length may be on the disk before the bytes: they are zeros then.
      else if (luck === "some" && choose(8) === 0) left = grown(left, change.at + change.bytes.length);
    });
    this.bytes = this.#durable = left;
    this.#changes = [];
  }
}

function changed(bytes: Uint8Array<ArrayBuffer>, change: Change): Uint8Array<ArrayBuffer> {
  if (change.kind === "size") {
    return change.size < bytes.length ? bytes.slice(0, change.size) : grown(bytes, change.size);
  }
  const result = grown(bytes, change.at + change.bytes.length).slice();
  result.set(change.bytes, change.at);
  return result;
}

function grown(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
  if (size <= bytes.length) return bytes;
  const result = new Uint8Array(size);
  result.set(bytes);
  return result;
}

/** The parts of a write that reach the disk: all sectors where everything is kept, else any, of which one may be torn. */
function sectorsOf(change: Change & { readonly kind: "write" }, luck: Luck, choose: Choose): Change[] {
  if (luck === "kept") return [change];
  const parts: Change[] = [];
  const { at, bytes } = change;
  const end = at + bytes.length;
  for (let from = at; from < end;) {
    const to = Math.min(end, (Math.floor(from / SECTOR) + 1) * SECTOR);
    const fate = choose(8);
    const upTo = fate === 0 ? from + choose(to - from) : to;
    if (fate !== 1) parts.push({ ...change, at: from, bytes: bytes.subarray(from - at, upTo - at) });
    from = to;
  }
  return parts;
}

/** What a name stands for. */
export type Entry = Content | Folder;

/** A folder's names, and which of them are durable. */
export class Folder {
  #names = new Map<string, Entry>();
  #durable = new Map<string, Entry>();
  /** Each is all or nothing: a rename takes one name away as it gives the other. */
  #changes: (readonly (readonly [string, Entry | null])[])[] = [];

  get names(): ReadonlyMap<string, Entry> {
    return this.#names;
  }
  change(...names: readonly (readonly [string, Entry | null])[]): void {
    this.#changes.push(names);
    this.#names = renamed(this.#names, names);
  }
  sync(): void {
    this.#durable = this.#names;
    this.#changes = [];
  }
  cut(luck: Luck, choose: Choose): void {
    const kept = survivors(this.#changes.length, luck, choose);
    let left = this.#durable;
    this.#changes.forEach((names, i) => {
      if (kept[i]) left = renamed(left, names);
    });
    this.#names = this.#durable = left;
    this.#changes = [];
  }
}

function renamed(names: Map<string, Entry>, changes: readonly (readonly [string, Entry | null])[]): Map<string, Entry> {
  const result = new Map(names);
  for (const [name, entry] of changes) entry === null ? result.delete(name) : result.set(name, entry);
  return result;
}

/** Cuts the power of everything below a folder. */
export function cutPower(root: Folder, choose: Choose): void {
  // Now and then all the disk has one luck; else every file has its own.
  const common = LUCKS[choose(2 * LUCKS.length)];
  const seen = new Set<Entry>();
  const visit = (entry: Entry): void => {
    if (seen.has(entry)) return;
    seen.add(entry);
    entry.cut(common ?? LUCKS[choose(LUCKS.length)]!, choose);
    if (entry instanceof Folder) { for (const below of entry.names.values()) visit(below); }
  };
  visit(root);
}
