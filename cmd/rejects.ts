/**
 * Dead letters: how many there are and why, one of them whole, or all of them as NDJSON with their original bytes.
 *
 * **In** the hot store, or `ticks.rejected` where that has none, **Out** counts, a letter, lines; exit 3 where there is no
 * letter to show. **Knows** `letter`, `redrive`, `rule`, `examine`, `hot`, `transport`, `sequence`, `columns`, `stage`,
 * `crew`.
 */
import { columns } from "../lib/columns.ts";
import { start } from "../lib/crew.ts";
import { isThere } from "../lib/examine.ts";
import { Misuse, printable, shownUrl } from "../lib/failure.ts";
import { openHot } from "../lib/hot.ts";
import {
  bytesIn,
  contentsOf,
  type Filter,
  isCut,
  isWanted,
  type Letter,
  type Letters,
  lettersInHot,
  lettersInTopic,
  placeOf,
  SEVERITIES,
  sinceOf,
} from "../lib/letter.ts";
import { Export, positionsIn } from "../lib/letter/export.ts";
import { isHad } from "../lib/redrive.ts";
import { sentOf } from "../lib/redrive/aftermath.ts";
import { History } from "../lib/redrive/history.ts";
import { RULES } from "../lib/rule.ts";
import { DISCIPLINES } from "../lib/sequence.ts";
import { defineInspection } from "../lib/stage.ts";
import { openTransport, TOPICS, type Transport } from "../lib/transport.ts";
import type { World } from "../lib/world.ts";

const NUMBERS = new Set(["letters", "redriven", "replayed"]);
const GROUPS_SHOWN = 40;
/** Groups that are told apart: symbols come from outside. */
const GROUPS_MAX = 10_000;
/** Venues that are told apart. */
const VENUES_MAX = 1_000;
const PLACE = /^(?:ticks\.raw\/)?(\d{1,9})\/(\d{1,15})$/;
const EVER = Number.MAX_SAFE_INTEGER;
const never = new AbortController().signal;

const stage = defineInspection({
  name: "rejects",
  does: "dead letters: counts by reason, one of them whole, or all as NDJSON",
  reads: [TOPICS.rejected],
  writes: [],
  needs: ["hot"],
  flags: {
    what: { kind: "word", of: ["list", "show", "export"], value: "WHAT", does: "list counts, show one, export all" },
    place: { kind: "word", value: "PLACE", does: "with show: of which message, ticks.raw/2/418223" },
    reason: {
      kind: "text",
      value: "RULE",
      of: RULES.map(({ name }) => name),
      does: "letters whose first broken rule it is",
    },
    venue: { kind: "text", value: "VENUE", does: "letters of a venue" },
    symbol: { kind: "text", value: "SYMBOL", does: "letters of an instrument, as the venue writes it" },
    severity: { kind: "choice", of: ["any", ...SEVERITIES], default: "any", does: "what was rejected, or set apart" },
    since: { kind: "text", value: "1h|TIME", does: "letters that were received since then" },
    store: {
      kind: "choice",
      of: ["any", "hot", "topic"],
      default: "any",
      does: "where to look: any is hot, and the topic where hot has none",
    },
    raw: { kind: "switch", does: "with show: the original bytes to stdout, as they came" },
    out: { kind: "text", value: "FILE", does: "with export: goes on behind what the file has (default stdout)" },
    after: { kind: "text", value: "P/O,P/O", does: "with export: goes on behind these places, one a partition" },
  },
  examples: [
    "deno task rejects list --since 1h --reason grid",
    "deno task rejects show ticks.raw/2/418223",
    "deno task rejects show ticks.raw/2/418223 --raw | xxd",
    "deno task rejects export --out letters.ndjson",
  ],
  files: ({ out }) => out === undefined ? {} : { read: [out], write: [out] },
  changes: ({ out }) => out !== undefined,
  prints: ({ what, raw, out }) => raw || what === "export" && out === undefined,
  async inspect({ values, doors, world }) {
    const { what = "list", place } = values;
    if ((what === "show") !== (place !== undefined)) {
      throw new Misuse(
        what === "show"
          ? "Cannot show letter: no place is given, must be like ticks.raw/2/418223, as rejects export names it"
          : `Cannot ${what} rejects "${place}": a place is given, must be given to show alone`,
      );
    }
    const filter: Filter = {
      ...{ reason: values.reason ?? null, venue: values.venue ?? null, symbol: values.symbol ?? null },
      severity: values.severity === "any" ? null : values.severity,
      since: values.since === undefined ? null : sinceOf(values.since, world.now() * 1_000),
    };
    await using shelf = await openShelf(values.store, doors, { ...world, isLooking: true });
    if (what === "show") return await show(shelf, place!, values.raw);
    if (what === "list") return await list(shelf, filter);
    const after = values.after === undefined ? new Map<number, number>() : positionsIn(values.after);
    using target = Export.to(values.out ?? null, after);
    for (const partition of shelf.partitions) {
      for await (const letters of shelf.letters.read(partition, target.next(partition), EVER)) {
        for (const letter of letters) {
          target.pass(letter, isWanted(filter, letter, contentsOf(letter)));
        }
      }
    }
    const { written, positions } = target.end();
    return {
      text: `exported ${written.toLocaleString("en")} letters${
        positions === "" ? "" : `; --after ${positions} goes on behind them`
      }`,
      ...{ store: shelf.letters.store, letters: written, after: positions },
    };
  },
});

/** Where the letters lie, and who must be closed. */
interface Shelf extends AsyncDisposable {
  readonly letters: Letters;
  readonly partitions: readonly number[];
  /** The log, where there is one. */
  readonly log: Transport | null;
}

/** @throws {Misuse} where nobody has stored anything */
async function openShelf(
  store: string,
  doors: { readonly transport: string; readonly hot: string },
  world: World,
): Promise<Shelf> {
  const log = await isThere(doors.transport) ? await openTransport(doors.transport, world) : null;
  const closing: { close(): Promise<void> }[] = log === null ? [] : [log];
  const close = async (): Promise<void> => {
    for (const door of closing) await door.close();
  };
  try {
    if (store !== "topic" && await isThere(doors.hot)) {
      const hot = await openHot(doors.hot, world);
      closing.unshift(hot);
      const isHeld = hot.version !== 0 && (await hot.holdings()).some(({ topic }) => topic === TOPICS.rejected);
      if (isHeld) {
        const partitions = [...await hot.partitions("rejected")].sort((a, b) => a - b);
        return { letters: lettersInHot(hot), partitions, log, [Symbol.asyncDispose]: close };
      }
    }
    if (store === "hot" || log === null) {
      const url = shownUrl(store === "topic" ? doors.transport : doors.hot);
      throw new Misuse(
        `Cannot look for dead letters in "${url}": there are none, must be what sink-hot or validate wrote`,
      );
    }
    const ranges = () => log.ranges(TOPICS.rejected);
    const partitions = [...(await ranges()).keys()];
    const letters = lettersInTopic(log, ranges, world.trying?.signal ?? never);
    return { letters, partitions, log, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Letters that are alike. */
interface Group {
  readonly reason: string;
  readonly severity: string;
  readonly venue: string | null;
  readonly symbol: string | null;
  letters: number;
  /** Those that a run has sent since; and those that came of redriving others. */
  redriven: number;
  replayed: number;
  /** µs; null where none tells a time. */
  newest: number | null;
}

async function list({ letters, partitions, log }: Shelf, filter: Filter) {
  const sent = await sentSince(log);
  const groups = new Map<string, Group>();
  let [count, untimed] = [0, 0];
  const venues = new Set<string>();
  for (const partition of partitions) {
    for await (const chunk of letters.read(partition, 0, EVER)) {
      for (const letter of chunk) {
        const contents = contentsOf(letter);
        if (contents.venue !== null && venues.size < VENUES_MAX) venues.add(contents.venue);
        if (filter.since !== null && contents.receivedTime === null) {
          if (isWanted({ ...filter, since: null }, letter, contents)) untimed++;
          continue;
        }
        if (!isWanted(filter, letter, contents)) continue;
        const { reason, severity, replays } = letter;
        const isOther = groups.size >= GROUPS_MAX;
        const { venue, symbol } = isOther ? { venue: null, symbol: null } : contents;
        const key = JSON.stringify([reason, severity, venue, symbol]);
        const group = groups.get(key) ??
          { reason, severity, venue, symbol, letters: 0, redriven: 0, replayed: 0, newest: null };
        groups.set(key, group);
        count++;
        group.letters++;
        if (sent.places.has(placeOf(letter))) group.redriven++;
        if (replays > 0) group.replayed++;
        const { receivedTime } = contents;
        if (receivedTime !== null && receivedTime > (group.newest ?? 0)) group.newest = receivedTime;
      }
    }
  }
  const { venue } = filter;
  // A venue may be named by whoever writes ticks: those that are known are ours, and those of letters.
  if (venue !== null && !venues.has(venue) && !Object.hasOwn(DISCIPLINES, venue) && venues.size < VENUES_MAX) {
    const known = [...venues].sort().slice(0, GROUPS_SHOWN).map(printable).join(", ") || "none";
    throw new Misuse(
      `Cannot list letters of --venue "${venue}": it is unknown, must be one that letters are of: ${known}`,
    );
  }
  const sorted = [...groups.values()].sort((a, b) => b.letters - a.letters);
  const shown = (n: number): string => n.toLocaleString("en");
  const rows = sorted.slice(0, GROUPS_SHOWN).map((group) => [
    ...[group.reason, group.severity, printable(group.venue ?? "-"), printable(group.symbol ?? "-")],
    ...[shown(group.letters), shown(group.redriven), shown(group.replayed), timeText(group.newest)],
  ]);
  const head = ["reason", "severity", "venue", "symbol", "letters", "redriven", "replayed", "newest"];
  return {
    text: [
      `${shown(count)} dead letters, from ${letters.store === "hot" ? "hot" : TOPICS.rejected}`,
      ...(untimed > 0 ? [`${shown(untimed)} more tell no time of receipt, and are left out`] : []),
      ...(sent.lost > 0 ? [`${shown(sent.lost)} more redriven messages have expired, and nobody knows of which`] : []),
      ...(rows.length > 0 ? ["", ...columns([head, ...rows], (name) => !NUMBERS.has(name))] : []),
      ...(sorted.length > rows.length ? [`and ${shown(sorted.length - rows.length)} more, see --json`] : []),
    ].join("\n"),
    ...{ store: letters.store, letters: count, untimed, expired: sent.lost, groups: sorted },
  };
}

/** What runs of redrive have sent, also one that runs now; and which letters they have had. */
async function sentSince(log: Transport | null) {
  const checkpoint = await log?.load("redrive", 0) ?? null;
  const history = new History(checkpoint?.state ?? null);
  const raw = history.last === undefined ? [] : await log!.ranges(TOPICS.raw);
  if (history.last?.state === "open") await history.follow(history.last, log!, raw);
  const sent = log === null ? { places: new Set<string>(), lost: 0 } : await sentOf(history.runs, log, raw);
  return { ...sent, claims: history.claims };
}

const timeText = (micros: number | null): string => micros === null ? "-" : new Date(micros / 1_000).toISOString();

async function show({ letters, log }: Shelf, text: string, isRaw: boolean) {
  const found = PLACE.exec(text);
  if (found === null) {
    throw new Misuse(`Cannot show letter "${text}": that is no place, must be like ticks.raw/2/418223`);
  }
  const [partition, origin] = [Number(found[1]), Number(found[2])];
  const letter = await letterAt(letters, partition, origin);
  if (letter === null) {
    const place = placeOf({ partition, origin });
    const detail = `no dead letter is kept of it in ${letters.store === "hot" ? "hot" : TOPICS.rejected}`;
    return { text: `${place}  ${detail}`, findings: [{ finding: "no letter", place, detail }] };
  }
  if (isRaw) {
    Export.write(bytesIn(letter));
    return { text: "", ...shownOf(letter) };
  }
  const contents = contentsOf(letter);
  const { places, lost, claims } = await sentSince(log);
  const isRedriven = places.has(placeOf(letter)) || lost > 0 && isHad(claims, letter, contents);
  const { key, severity, rules, replays, reasons } = letter;
  const bytes = bytesIn(letter);
  const { redriven } = contents.value ?? {};
  return {
    text: [
      `${placeOf(letter)}   ${key === null ? "no key" : printable(key)}   ${severity}`,
      ...reasons.map((name, i) => `${i === 0 ? "broke   " : "        "} ${name.padEnd(10)} ${whyOf(name)}`),
      `rules    ${rules}: version of their code${
        rules.includes("@") ? ", and offset of the control record in force" : ""
      }`,
      `came     ${timeText(contents.receivedTime)}${
        contents.frame === null ? "" : `, frame ${printable(contents.frame)}`
      }`,
      `replays  ${replays}${redriven === undefined ? "" : `, ${printable(JSON.stringify(redriven))}`}${
        isRedriven ? "; redriven since" : ""
      }`,
      isCut(letter)
        ? `bytes    the first ${bytes.length.toLocaleString("en")} of ${letter.raw}`
        : `bytes    ${bytes.length.toLocaleString("en")}${contents.text === null ? ", not UTF-8" : ""}`,
      "",
      contents.text === null ? bytes.toString("base64") : printable(contents.text),
    ].join("\n"),
    ...shownOf(letter),
    ...{ broken: reasons.map((name) => ({ rule: name, why: whyOf(name) })), frame: contents.frame, isRedriven },
  };
}

const shownOf = (letter: Letter) => ({ place: placeOf(letter), ...letter });

async function letterAt(letters: Letters, partition: number, origin: number): Promise<Letter | null> {
  for await (const chunk of letters.read(partition, origin, origin + 1)) {
    const letter = chunk.find((letter) => letter.origin === origin);
    if (letter !== undefined) return letter;
  }
  return null;
}

const whyOf = (name: string): string =>
  RULES.find((rule) => rule.name === name)?.why ?? "a rule that is not known here";

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
