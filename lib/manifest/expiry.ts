/**
 * Gives up frames that are older than somebody wants them: whole closed segments, from the front, so that what is kept has
 * no hole. Each is noted as expired before it is removed, and removed before the next one is looked at: whoever dies in
 * between leaves one that is noted and still there, which the next expiry removes.
 *
 * **In** a partition's folder and a time, **Out** what was given up, and why what is first now is kept.
 * **Knows** `folder`, `partition`, `segment`, `failure`.
 */
import { reasonOf, Refusal } from "../failure.ts";
import { syncFolder } from "../folder.ts";
import { closedAt, type Held, Manifest, noteClosed } from "../manifest.ts";
import { segmentsOf } from "../partition.ts";
import { segmentName } from "../segment.ts";

/** What an expiry gave up, or would. */
export interface Expiry {
  readonly given: readonly Held[];
  /** The first offset that is kept, and why; null where there is nothing at all. */
  readonly kept: { readonly first: number; readonly why: string } | null;
}

/** Gives up what came before `before`, µs since the epoch; `at` is now. `place` is the partition's name. */
export async function expire(
  folder: string,
  place: string,
  { before, at }: { readonly before: number; readonly at: number },
): Promise<Expiry> {
  if (segmentsOf(folder).length === 0) return { given: [], kept: null };
  await noteClosed(folder, place);
  const given: Held[] = [];
  for (;;) {
    using manifest = await Manifest.take(folder, place);
    const bases = segmentsOf(folder);
    const found = await judge(folder, place, manifest, bases, before);
    if (found === null || "why" in found) return { given, kept: found };
    // The name of the one behind it is durable: after a power cut, too, the partition goes on from there.
    syncFolder(folder);
    // Noted again where somebody died behind the note: if a sync failed, what can be read of it need not be durable.
    manifest.add({ expired: { first: found.first, at, before } });
    await Deno.remove(`${folder}/${segmentName(found.first)}`);
    syncFolder(folder);
    given.push(found);
  }
}

/** What {@linkcode expire} would do; nothing is written. */
export async function forecast(folder: string, place: string, before: number): Promise<Expiry> {
  using manifest = await Manifest.look(folder, place);
  const bases = segmentsOf(folder);
  const given: Held[] = [];
  for (;;) {
    const found = await judge(folder, place, manifest, bases.slice(given.length), before);
    if (found === null || "why" in found) return { given, kept: found };
    given.push(found);
  }
}

/** The first segment, where it is to be given up, or why it is not; null where there is none. */
async function judge(
  folder: string,
  place: string,
  manifest: Manifest,
  [first, following]: readonly number[],
  before: number,
): Promise<Held | Expiry["kept"]> {
  if (first === undefined) return null;
  if (following === undefined) return { first, why: "it is being written" };
  let held = manifest.closed.get(first);
  try {
    held ??= await closedAt(folder, place, first, following);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { first, why: reasonOf(error) };
  }
  if (manifest.expired.has(first)) return held;
  const why = whyKept(held, before);
  return why === null ? held : { first, why };
}

/** Why a closed segment is kept: one of its frames is too young, or may be. */
function whyKept({ strange, untimed, receivedLast }: Held, before: number): string | null {
  if (strange > 0) return `nobody knows how old ${strange} of its records are, which are no frames`;
  if (untimed > 0 || receivedLast === null) return `nobody noted when ${untimed} of its frames came`;
  return receivedLast < before ? null : `its last frame came ${timeText(receivedLast)}`;
}

/**
 * What became of the offsets from `from` to before `low`, where a partition begins by now: which expired, and which are gone
 * though nobody noted it.
 */
export async function goneText(folder: string, place: string, from: number, low: number): Promise<string> {
  using manifest = await Manifest.look(folder, place);
  const spans = [...manifest.expired.keys()].flatMap((first) => manifest.closed.get(first) ?? [])
    .filter(({ first, last }) => last >= from && first < low).sort((a, b) => a.first - b.first);
  const expired: string[] = [], lost: string[] = [];
  let next = from;
  let latest = -Infinity;
  const rangeText = (first: number, last: number): string => `"${place}/${first}" to ${last}`;
  for (const { first, last, receivedLast } of spans) {
    if (first > next) lost.push(rangeText(next, first - 1));
    const begins = expired.length === 0 || first > next;
    expired.push(begins ? rangeText(Math.max(first, from), last) : expired.pop()!.replace(/\d+$/, String(last)));
    latest = Math.max(latest, receivedLast ?? latest);
    next = last + 1;
  }
  if (next < low) lost.push(rangeText(next, low - 1));
  return [
    ...(expired.length > 0 ? [`frames ${expired.join(", ")} expired, the last of them of ${timeText(latest)}`] : []),
    ...(lost.length > 0 ? [`frames ${lost.join(", ")} are gone, and no manifest says that they expired`] : []),
    `what is kept begins at ${low}`,
  ].join("; ");
}

/** µs since the epoch as ISO 8601, cut to milliseconds. */
export function timeText(micros: number): string {
  return new Date(Math.floor(micros / 1_000)).toISOString();
}
