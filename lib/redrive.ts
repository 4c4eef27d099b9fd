/**
 * The way back of a dead letter: as a new raw message of the same key and partition, with `source: "redrive"`, its first
 * raw place, and everything else as it was.
 *
 * A letter is redriven once: what a run has looked at, by which filter and up to which origin, is kept in the checkpoint,
 * and says of every letter whether a run has had it. What came of it is another letter, with one replay more.
 * **In** letters, **Out** messages, and which letters are not to be redriven, and why.
 * **Knows** `letter`, `reading`, `sequence`, `table`, `tick`, `transport`.
 */
import { Buffer } from "node:buffer";
import { type Contents, type Filter, isWanted, type Letter, placeOf } from "./letter.ts";
import { DEPTH_MAX, outlineOf } from "./reading.ts";
import { REMEMBERED } from "./rule.ts";
import { DISCIPLINES, isIdentified } from "./sequence.ts";
import { type Recall, TABLE_OF } from "./table.ts";
import { isMicros, isRedriven, type Redriven } from "./tick.ts";
import { type Message, MESSAGE_BYTES_MAX } from "./transport.ts";

/** What becomes of a letter that is wanted, besides being sent. */
export const FATES = {
  had: "were redriven before",
  ceiling: "were replayed as often as may be",
  unfit: "cannot be given a source: no JSON object, or too large for one more field",
  repeated: "were duplicates when they first came, and would be so again",
  stored: "have their number in the store already",
} as const;
export type Fate = keyof typeof FATES;

/** What a run looks for. */
export interface Wanted extends Filter {
  /** Letters that were redriven so often are left alone. */
  readonly replaysMax: number;
}

/** What runs have had: letters that they wanted, below an origin in each partition. */
export interface Claim {
  readonly wanted: Wanted;
  readonly upTo: readonly number[];
}

/** Whether some run has had the letter. */
export function isHad(claims: readonly Claim[], letter: Letter, contents: Contents): boolean {
  return claims.some(({ wanted, upTo }) =>
    letter.origin < (upTo[letter.partition] ?? 0) && letter.replays < wanted.replaysMax &&
    isWanted(wanted, letter, contents)
  );
}

/** The claims with one more; it takes the place of that of an earlier run which wanted the same. */
export function withClaim(claims: readonly Claim[], claim: Claim): Claim[] {
  const { upTo } = claim;
  const same = claims.find(({ wanted }) => isSame(wanted, claim.wanted));
  const both = same === undefined ? upTo : upTo.map((origin, partition) => Math.max(origin, same.upTo[partition] ?? 0));
  return [...claims.filter((other) => other !== same), { wanted: claim.wanted, upTo: both }];
}

/** Where a run that wants this may begin: below, one that wanted the same has had everything. */
export function beginOf(claims: readonly Claim[], wanted: Wanted, partition: number): number {
  return claims.find((claim) => isSame(claim.wanted, wanted))?.upTo[partition] ?? 0;
}

function isSame(one: Wanted, other: Wanted): boolean {
  return (Object.keys(one) as (keyof Wanted)[]).every((name) => one[name] === other[name]);
}

/** The letter as a raw message; null where it cannot be one. */
export function messageOf(letter: Letter, { text, value }: Contents): Pick<Message, "key" | "value"> | null {
  if (text === null || value === null || !text.isWellFormed()) return null;
  const { depth, fields } = outlineOf(text);
  // A text that names a field twice says two things, and would come back as one of them.
  if (depth > DEPTH_MAX || fields !== Object.keys(value).length) return null;
  const { source } = value;
  const before = isRedriven(value.redriven) ? value.redriven : null;
  const made = before?.made ?? (source === "conflated" || source === "built" ? source : undefined);
  const broke = REMEMBERED.filter((name) => letter.reasons.includes(name) || before?.broke?.includes(name) === true);
  const redriven: Redriven = {
    first: before?.first ?? placeOf(letter),
    replays: letter.replays + 1,
    ...(broke.length > 0 && { broke }),
    ...((before === null ? letter.standing === "none" : before.unplaced) && { unplaced: true as const }),
    ...(made !== undefined && { made }),
  };
  const message = JSON.stringify({ ...value, source: "redrive", redriven });
  return Buffer.byteLength(message) > MESSAGE_BYTES_MAX ? null : { key: letter.key, value: message };
}

/** Who asks for the same again asks within the same millisecond: some venues tell one trade more exactly than another way. */
const MILLISECOND = 1_000;

/** How far from its receipt a tick may have happened whose own time cannot be believed, µs. */
const NEAR = 60_000_000;

/**
 * Whether the store has a tick of the letter's number or id already: it came again by another way, and was sound. Asked
 * only where these are promised not to repeat.
 */
export async function isStored(recall: Recall, letter: Letter, contents: Contents): Promise<boolean> {
  const { venue, symbol, type, receivedTime, value } = contents;
  if (venue === null || symbol === null || type === null || value === null) return false;
  const { sequence, id, eventTime } = value;
  const discipline = Object.hasOwn(DISCIPLINES, venue) ? DISCIPLINES[venue]![type] ?? "none" : "none";
  const isNumbered = Number.isSafeInteger(sequence) && discipline !== "none";
  const isNamed = sequence === null && typeof id === "string" && isIdentified(venue, type);
  if (!isMicros(eventTime) || !isNumbered && !isNamed) return false;
  const from = eventTime - eventTime % MILLISECOND;
  const spans = [[from, from + MILLISECOND - 1]];
  // Another way tells another time of an event that cannot have been so late. Where its series had begun, its number was
  // noted, and what came by another way was a duplicate.
  if (receivedTime !== null && letter.reasons.includes("future") && letter.standing === "none") {
    spans.push([receivedTime - NEAR, receivedTime + NEAR]);
  }
  for (const [first, last] of spans as [number, number][]) {
    for await (const rows of recall.told(TABLE_OF[type], { venue, symbol }, first, last)) {
      if (rows.some((row) => isNumbered ? row[SEQUENCE] === sequence : row[ID] === id)) return true;
    }
  }
  return false;
}
/** The columns of number and id in every table of ticks. */
const SEQUENCE = 7, ID = 8;

/** Whether the letter was a duplicate when it first came: that stays said, and no rules file can let one pass. */
export function isRepeated({ reasons }: Letter, { value }: Contents): boolean {
  return reasons.includes("duplicate") ||
    isRedriven(value?.redriven) && value.redriven.broke?.includes("duplicate") === true;
}
