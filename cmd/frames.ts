/**
 * What the tape of frames holds, segment by segment; whether its closed files are what was noted of them; and what is to
 * expire.
 *
 * **In** the log, **Out** the manifest; exit 3 when something is missing or damaged. `--expire` alone changes something.
 * **Knows** `manifest`, `frames`, `examine`, `patience`, `stage`, `crew`.
 */
import { columns } from "../lib/columns.ts";
import { start } from "../lib/crew.ts";
import { isThere } from "../lib/examine.ts";
import { Misuse, shownUrl } from "../lib/failure.ts";
import { FRAMES } from "../lib/frames.ts";
import { expire, type Expiry, forecast, timeText } from "../lib/manifest/expiry.ts";
import { type Finding, type Row, survey } from "../lib/manifest/survey.ts";
import { ofDisk } from "../lib/patience.ts";
import { defineInspection } from "../lib/stage.ts";
import { openTransport, type Range, type Transport } from "../lib/transport.ts";

const HOUR_MS = 3_600_000;

const stage = defineInspection({
  name: "frames",
  does: "what the tape of frames holds, whether it is sound, and what is to expire, or exit 3",
  reads: [FRAMES],
  writes: [],
  needs: [],
  flags: {
    check: { kind: "switch", does: "reads every closed file and holds it against what was noted of it" },
    expire: { kind: "switch", does: "removes closed segments whose frames all are older, and notes that they expired" },
    "older-than": {
      kind: "text",
      value: "30d",
      pattern: /^[1-9]\d{0,4}[dh]$/,
      does: "with --expire: days, or hours (h)",
    },
    "dry-run": { kind: "switch", does: "with --expire: says what would expire, and removes nothing" },
  },
  examples: [
    "deno task frames",
    "deno task frames --check",
    "deno task frames --expire --older-than 30d --dry-run",
    "deno task frames --json | jq '.segments[] | select(.state == \"expired\")'",
  ],
  changes: (values) => values.expire && !values["dry-run"],
  async inspect({ values, doors, world }) {
    const { transport: url } = doors;
    const olderMs = ageOf(values, url);
    const shown = shownUrl(url).replace(/\?…$/, "");
    if (!await isThere(url)) throw noneIn(shown);
    const log = await openTransport(url, { ...world, isLooking: true });
    try {
      const ranges = await rangesOf(log, shown);
      if (log.folders === undefined) return { text: rangesText(ranges, url), ...partitionsOf(ranges), segments: [] };
      const folders = log.folders(FRAMES);
      const now = world.now();
      const expiries: (Expiry & { readonly partition: number })[] = [];
      if (olderMs !== null) {
        const before = Math.max(0, now - olderMs) * 1_000;
        for (const [partition, folder] of folders.entries()) {
          const place = `${FRAMES}/${partition}`;
          const expiry = values["dry-run"]
            ? await forecast(folder, place, before)
            : await expire(folder, place, { before, at: now * 1_000 });
          expiries.push({ partition, ...expiry });
        }
      }
      const segments: (Row & { readonly partition: number })[] = [];
      const findings: Finding[] = [];
      for (const [partition, folder] of folders.entries()) {
        const found = await survey(folder, `${FRAMES}/${partition}`, values.check);
        segments.push(...found.rows.map((row) => ({ partition, ...row })));
        findings.push(...found.findings);
      }
      return {
        text: [
          ...segmentsText(segments),
          ...expiries.filter(({ kept }) => kept !== null).map((expiry) => expiryText(expiry, values["dry-run"])),
          ...(values.check && findings.length === 0 ? [checkText(segments)] : []),
          ...findings.map(({ finding, place, detail }) => `${finding}  ${place}  ${detail}`),
        ].join("\n"),
        findings,
        ...partitionsOf(await log.ranges(FRAMES)),
        segments: segments.map(({ held, expired, last, ...row }) => ({ ...row, last, ...held, ...expiredIn(expired) })),
        ...(olderMs !== null && { expiries }),
      };
    } catch (error) {
      throw ofDisk(`look after the frames in "${shown}"`, error).error;
    } finally {
      await log.close();
    }
  },
});

/** How old what is to expire must be, ms; null where nothing is to. @throws {Misuse} for flags that do not go together */
function ageOf(
  values: {
    readonly check: boolean;
    readonly expire: boolean;
    readonly "older-than"?: string | undefined;
    readonly "dry-run": boolean;
  },
  url: string,
): number | null {
  const older = values["older-than"];
  if (!values.expire && (older !== undefined || values["dry-run"])) {
    throw new Misuse("Cannot use --older-than or --dry-run: nothing is to expire, must be given with --expire");
  }
  if (values.expire && older === undefined) {
    throw new Misuse("Cannot expire frames: no --older-than is given, must be an age as 30d or 12h");
  }
  const ms = older === undefined ? null : parseInt(older) * HOUR_MS * (older.endsWith("d") ? 24 : 1);
  const isKafka = url.startsWith("kafka:");
  if (isKafka && ms !== null) {
    throw new Misuse(
      `Cannot expire frames in "${
        shownUrl(url)
      }": Kafka itself removes what is older than its topic allows, must be set there: kafka-configs.sh --alter --entity-type topics --entity-name ${
        topicIn(url)
      } --add-config retention.ms=${ms}`,
    );
  }
  if (!url.startsWith("log:") && (values.check || values.expire)) {
    const whose = isKafka ? "its files are the brokers', who check them" : "it has no files";
    throw new Misuse(`Cannot check frames in "${shownUrl(url)}": ${whose}, must be log:FOLDER`);
  }
  return ms;
}

/** The topic's name at the server. */
const topicIn = (url: string): string => `${URL.parse(url)?.searchParams.get("prefix") ?? ""}${FRAMES}`;

function noneIn(shown: string): Misuse {
  return new Misuse(`Cannot show frames in "${shown}": none are kept there, must be what ingest --frames keeps`);
}

async function rangesOf(log: Transport, shown: string): Promise<readonly Range[]> {
  try {
    return await log.ranges(FRAMES);
  } catch (error) {
    if (error instanceof Misuse) throw noneIn(shown);
    throw error;
  }
}

const partitionsOf = (ranges: readonly Range[]) => ({
  topic: FRAMES,
  partitions: ranges.map((range, partition) => ({ partition, ...range })),
});

const expiredIn = (expired: Row["expired"]) =>
  expired === null ? {} : { expiredAt: expired.at, expiredBefore: expired.before };

const shownCount = (n: number): string => n.toLocaleString("en");
const WORDS = ["file", "state", "came first", "came last", "sha-256", "frames"];

/** A line a segment. */
function segmentsText(segments: readonly (Row & { readonly partition: number })[]): string[] {
  if (segments.length === 0) return ["nothing was ever kept"];
  const rows = segments.map(({ partition, file, state, first, last, held }) => [
    `${partition}/${file || "?"}`,
    state,
    String(first),
    last === null ? "?" : String(last),
    ...[held?.receivedFirst, held?.receivedLast].map((micros) => typeof micros === "number" ? timeText(micros) : "?"),
    held === null ? "?" : shownCount(held.bytes),
    held === null || state === "open" ? "" : held.sha256.slice(0, 12),
    held === null ? "?" : framesText(held),
  ]);
  return columns(
    [["file", "state", "first", "last", "came first", "came last", "bytes", "sha-256", "frames"], ...rows],
    (name) => WORDS.includes(name),
  );
}

function framesText({ frames, strange, untimed }: NonNullable<Row["held"]>): string {
  return [
    ...Object.entries(frames).map(([venue, n]) => `${venue} ${shownCount(n)}`),
    ...(untimed > 0 ? [`${shownCount(untimed)} without a time`] : []),
    ...(strange > 0 ? [`${shownCount(strange)} that are none`] : []),
  ].join(", ");
}

function expiryText({ partition, given, kept }: Expiry & { readonly partition: number }, isDry: boolean): string {
  const place = `${FRAMES}/${partition}`;
  const bytes = given.reduce((sum, held) => sum + held.bytes, 0);
  const gone = given.length === 0
    ? `nothing ${isDry ? "would expire" : "expired"}`
    : `"${place}/${given[0]!.first}" to ${given.at(-1)!.last} ${isDry ? "would expire" : "expired"}, ${
      shownCount(bytes)
    } bytes`;
  return `${place}: ${gone}${kept === null ? "" : `; kept from ${kept.first} on: ${kept.why}`}`;
}

function checkText(segments: readonly Row[]): string {
  const count = (...states: Row["state"][]): number => segments.filter(({ state }) => states.includes(state)).length;
  return `${count("closed", "expiring")} closed files are what was noted of them, byte for byte; ${
    count("open", "unnoted")
  } more are sound line by line`;
}

/** What a server tells, a line a partition. */
function rangesText(ranges: readonly Range[], url: string): string {
  const rows = ranges.map(({ low, high }, partition) => [partition, low, high, high - low].map(String));
  return [
    ...columns([["partition", "first", "next", "offsets"], ...rows], () => false),
    ...(url.startsWith("kafka:")
      ? [`how long Kafka keeps them is its own: retention.ms of topic ${topicIn(url)}`]
      : []),
  ].join("\n");
}

export default stage;
if (import.meta.main) await start(stage, import.meta.url);
