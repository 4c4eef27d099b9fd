/**
 * Names and durable files of a lake's folder. A file gets its final name by a link after its bytes are synced, and counts
 * once the folders above it are synced too.
 *
 * **In** places, bytes, paths relative to the root, **Out** files that survive a power cut. **Knows** `fence`,
 * `folder`, `failure`.
 */
import { dirname } from "node:path";
import { Misuse, Refusal } from "../../failure.ts";
import type { Place } from "../../fence.ts";
import { syncFolder } from "../../folder.ts";

const NAME_BYTES_MAX = 190;
const FILE = /^(.+)-(\d{20})-(\d{20})\.parquet$/;
const encoder = new TextEncoder();

/**
 * What a place is called in names of files: its topic, percent-encoded where a file system might mind, and partition.
 * @throws {Misuse} when it is no file's name
 */
export function nameOf({ topic, partition }: Place): string {
  const hex = (text: string): string =>
    [...encoder.encode(text)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
  const name = `${topic.replace(/[^A-Za-z0-9._-]|^[._]/gu, hex)}-${partition}`;
  if (name.length <= NAME_BYTES_MAX && Number.isSafeInteger(partition) && partition >= 0) return name;
  throw new Misuse(`Cannot name files of "${topic}/${partition}": is too long or no partition, must be a file's name`);
}

const digits = (origin: number): string => String(origin).padStart(20, "0");

/** The path of a unit's file of a table and date. */
export function pathOf(table: string, date: string, name: string, first: number, last: number): string {
  return `${table}/date=${date}/${name}-${digits(first)}-${digits(last)}.parquet`;
}

/** Name of the place, first and last origin that a path tells; null for a path that is not ours. */
export function parse(path: string): { readonly name: string; readonly first: number; readonly last: number } | null {
  const parts = FILE.exec(path.slice(path.lastIndexOf("/") + 1));
  return parts === null ? null : { name: parts[1]!, first: Number(parts[2]), last: Number(parts[3]) };
}

/** Gives durable bytes their final name. What has the name already gives way: only the ledger makes a file exist. */
export async function place(
  root: string,
  path: string,
  bytes: Uint8Array,
  temporary: string,
  giveWay: () => Promise<void>,
): Promise<void> {
  await makeOwnFolder(root, dirname(path));
  const [from, to] = [`${root}/${temporary}`, `${root}/${path}`];
  try {
    {
      using file = await Deno.open(from, { createNew: true, write: true });
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      await file.sync();
    }
    await Deno.link(from, to).catch(async (error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
      await giveWay();
      await Deno.link(from, to);
    });
  } finally {
    await Deno.remove(from).catch(unlessMissing);
  }
}

/**
 * Makes a folder of the lake, durable once what lies in it is.
 * @throws {Refusal} when something else, a symbolic link say, has its name
 */
export async function makeOwnFolder(root: string, path: string): Promise<void> {
  await Deno.mkdir(root, { recursive: true });
  let folder = root;
  for (const part of path.split("/")) {
    folder += `/${part}`;
    await Deno.mkdir(folder).catch((error) => {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    });
    if ((await Deno.lstat(folder)).isDirectory) continue;
    throw new Refusal(`Cannot write into "${folder}": is no folder of the lake's own, must be a real folder`);
  }
}

/** Syncs every folder above the paths, deepest first; other owners' new folders too, which they may not have synced. */
// deno-lint-ignore require-await -- as all that makes the lake durable
export async function syncAbove(root: string, paths: readonly string[]): Promise<void> {
  const inner = paths.map(dirname);
  for (const folder of new Set([...inner, ...inner.map(dirname), "."])) syncFolder(`${root}/${folder}`);
}

/** Every file below `folder` that a reader by pattern could see, relative to the root. */
export async function* filesBelow(root: string, folder: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of entriesOf(`${root}/${folder}`)) {
    if (/^[._]/.test(name)) continue;
    if (isDirectory) yield* filesBelow(root, `${folder}/${name}`);
    else yield `${folder}/${name}`;
  }
}

/** What a folder holds; one that does not exist holds nothing. */
export async function* entriesOf(folder: string): AsyncGenerator<Deno.DirEntry> {
  try {
    yield* Deno.readDir(folder);
  } catch (error) {
    unlessMissing(error);
  }
}

/** For `catch`: nothing when the file is missing. */
export function unlessMissing(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
