/**
 * What a partition of frames holds and held, segment by segment, and whether its closed files are what was noted of them.
 *
 * **In** a partition's folder, **Out** a row a segment, and findings where something is missing or damaged.
 * **Knows** `partition`, `segment`, `failure`.
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { reasonOf, Refusal } from "../failure.ts";
import { closedAt, type Expired, type Held, Manifest } from "../manifest.ts";
import { segmentsOf } from "../partition.ts";
import { isSound, segmentName } from "../segment.ts";
import { inSlices, summarise } from "./summary.ts";

/**
 * `open` is being written; `unnoted` is closed and not in the manifest yet; `expiring` is noted as expired and still there;
 * `missing` is gone, and nobody noted that it expired.
 */
export type State = "open" | "closed" | "unnoted" | "expired" | "expiring" | "missing" | "damaged";

/** A segment. */
export interface Row {
  readonly file: string;
  readonly state: State;
  readonly first: number;
  /** Null where what it holds is not known, as of one that is damaged and was never noted. */
  readonly last: number | null;
  readonly held: Held | null;
  readonly expired: Expired | null;
}

/** Something that is not as it must be. */
export interface Finding {
  readonly finding: "missing" | "damaged";
  /** Topic, partition and offsets. */
  readonly place: string;
  readonly detail: string;
}

/** What was found in a partition. */
export interface Survey {
  readonly rows: readonly Row[];
  readonly findings: readonly Finding[];
}

/** Looks at every segment; with `isThorough` each closed file is read and held against what was noted of it. */
export async function survey(folder: string, place: string, isThorough: boolean): Promise<Survey> {
  for (;;) {
    const listing = await listed(folder, place);
    try {
      return await surveyOf(listing, folder, place, isThorough);
    } catch (error) {
      // A segment that was listed expired meanwhile, which the manifest says by now.
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}

async function surveyOf(
  { bases, sizes, closed, expired }: Awaited<ReturnType<typeof listed>>,
  folder: string,
  place: string,
  isThorough: boolean,
): Promise<Survey> {
  const last = bases.at(-1);
  const rows: Row[] = [];
  const findings: Finding[] = [];
  const find = (finding: Finding["finding"], first: number, to: number | null, detail: string): void => {
    findings.push({ finding, place: `${place}/${first}${to === null ? "" : ` to ${to}`}`, detail });
  };
  let next = 0;
  for (const first of [...new Set([...closed.keys(), ...bases])].sort((a, b) => a - b)) {
    const file = segmentName(first);
    if (first > next) {
      rows.push({ file: "", state: "missing", first: next, last: first - 1, held: null, expired: null });
      find("missing", next, first - 1, "no file holds them, and no manifest says what became of them");
    }
    const noted = closed.get(first) ?? null;
    const row = { file, first, last: noted?.last ?? null, held: noted, expired: expired.get(first) ?? null };
    const put = (state: State, held = noted): void => {
      rows.push({ ...row, state, held, last: held?.last ?? null });
      next = Math.max(next, (held?.last ?? first - 1) + 1);
    };
    const size = sizes.get(first);
    if (size === undefined) {
      put(row.expired === null ? "missing" : "expired");
      if (row.expired === null) find("missing", first, row.last, `${file} is gone, and was not noted as expired`);
    } else if (noted !== null && first === last) {
      put("damaged");
      find("missing", noted.last + 1, null, `${file} was closed, and what followed it is gone`);
    } else if (noted !== null) {
      const damage = isThorough
        ? await damageOf(folder, noted)
        : size === noted.bytes
        ? null
        : { first, detail: `${file} has ${size} bytes, and had ${noted.bytes} when it was closed` };
      put(damage !== null ? "damaged" : row.expired === null ? "closed" : "expiring");
      if (damage !== null) find("damaged", damage.first, null, damage.detail);
    } else {
      const following = bases.find((base) => base > first);
      try {
        const held = following === undefined
          ? (await summarise(folder, place, first)).held
          : await closedAt(folder, place, first, following);
        put(following === undefined ? "open" : "unnoted", held);
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        put("damaged");
        find("damaged", first, following === undefined ? null : following - 1, reasonOf(error));
        // What it holds nobody can say; that nothing is missing behind it, its successor does.
        next = following ?? next;
      }
    }
  }
  return { rows, findings };
}

/** The segments that are there with their sizes, and the manifest, as they were at one moment. */
async function listed(folder: string, place: string) {
  using manifest = await Manifest.look(folder, place);
  const bases = segmentsOf(folder);
  const sizes = new Map(bases.map((base) => [base, Deno.statSync(`${folder}/${segmentName(base)}`).size]));
  return { bases, sizes, closed: manifest.closed, expired: manifest.expired };
}

/** Where damage begins: the first offset that is not as it was, and what is wrong there. */
interface Damage {
  readonly first: number;
  readonly detail: string;
}

/**
 * Where a closed file is not what was noted of it: the first record that is not as it was written, and its bytes; null where
 * it is. A line whose checksum was made to fit is found by the file's hash.
 */
async function damageOf(folder: string, held: Held): Promise<Damage | null> {
  const name = segmentName(held.first);
  using file = await Deno.open(`${folder}/${name}`);
  const hash = createHash("sha256");
  const damages: Damage[] = [];
  const changed = (from: number, to: number): string => `${name}, bytes ${from} to ${to}: not as it was written`;
  // Bytes before the slice, bytes hashed, and the record that must come.
  let [at, hashed, next] = [0, 0, held.first];
  await inSlices(file, (slice) => {
    hash.update(slice.subarray(hashed - at));
    hashed = at + slice.length;
    let start = 0;
    while (damages.length === 0 && next <= held.last) {
      const end = slice.indexOf(10, start);
      if (end < 0) break;
      const head = Buffer.from(slice.buffer, start, Math.min(64, end - start)).toString("latin1");
      const offset = /^\{"crc":"[0-9a-f]{8}","offset":(\d+),/.exec(head)?.[1];
      if (offset === String(next) && isSound(slice, start, end)) next++;
      else damages.push({ first: next, detail: changed(at + start, at + end) });
      start = end + 1;
    }
    const taken = damages.length === 0 && next <= held.last ? start : slice.length;
    at += taken;
    return taken;
  });
  if (damages[0] !== undefined) return damages[0];
  const { size } = file.statSync();
  if (next <= held.last) {
    const cut = `${name} ends at byte ${size}, and had ${held.bytes} when it was closed`;
    return { first: next, detail: size < held.bytes ? cut : changed(at, size - 1) };
  }
  if (size > held.bytes) {
    return { first: next, detail: `${name}, bytes ${held.bytes} to ${size - 1}: were added after it was closed` };
  }
  const sha256 = hash.digest("hex");
  if (sha256 === held.sha256) return null;
  const detail =
    `${name} has SHA-256 ${sha256}, and had ${held.sha256} when it was closed; each line by itself is sound`;
  return { first: held.first, detail };
}
